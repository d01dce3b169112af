// SPDX-License-Identifier: Apache-2.0
// panectl capture '(dstPort=80)' FILE: frames of a flow group into a pcapng file. Thread: one.
#pragma once
#include "statements.h"

// args: GROUP FILE [--share S] [--count N] [--seconds S]. The program's exit status.
int capture_run(const struct options *o, char **args, int n_args);
