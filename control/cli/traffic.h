// SPDX-License-Identifier: Apache-2.0
// panectl stats and top: what passes at each port a second, and why frames are dropped. Thread: one.
#pragma once
#include "statements.h"

// Once, over so many seconds. The program's exit status.
int traffic_stats(const struct options *o, double seconds);
// Again and again, each time over so many seconds, until it is stopped; rounds 0: no end.
int traffic_top(const struct options *o, double seconds, unsigned int rounds);
