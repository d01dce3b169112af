// SPDX-License-Identifier: Apache-2.0
// Runs trace files (SPEC 8) against an engine of their own: clock at 0, no network. `panectl check`.
#pragma once
#include <stddef.h>
#include <stdio.h>

#include "hft/err.h"

struct check_result {
	size_t statements, differing;
};

// Prints a line for each statement whose answer differs: FILE:LINE: expected True, got False (code): why. -errno when the
// file cannot be read or a line is no trace line (err names file and line); 0 otherwise, also with differences.
int check_file(const char *path, FILE *out, struct check_result *result, struct err *err);
