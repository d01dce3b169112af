// SPDX-License-Identifier: Apache-2.0
// panectl's own options: where the switch is, who speaks, and how answers are shown. Thread: one.
#pragma once
#include "statements.h"

// Takes them out of the command line, wherever they stand before a "--". What is left, in its order, are words: of a
// command of panectl with flags of its own, or statements. argc and argv are set to them. An option wins over its
// environment variable. -1: go on; otherwise the exit status, and what was to be said is said.
int options_take(int *argc, char ***argv, struct options *out);
// Says "panectl: ..." with what in the place of its one %s, and that --help tells more. STATUS_USAGE.
int options_wrong(const char *fmt, const char *what);
