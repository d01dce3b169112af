// SPDX-License-Identifier: Apache-2.0
// panectl trace 'srcHost=10.0.0.5 dstPort=80': what becomes of a packet. Thread: one.
#pragma once
#include "statements.h"

// Asks and shows the answer. The program's exit status.
int trace_run(const struct options *o, char **tests, int n_tests);
