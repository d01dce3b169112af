// SPDX-License-Identifier: Apache-2.0
// Runs trace files (SPEC 8) against an engine of their own: clock at 0, no network. `panectl check`.
#pragma once
#include <stddef.h>
#include <stdio.h>

#include "hft/err.h"
#include "speaker.h"

struct check_result {
	size_t statements, differing;
};

// A statement of a script: `SPEAKER : STATEMENT.` in `line`. Returns 0 to go on; other values end the run.
typedef int (*check_script_fn)(void *ctx, unsigned int line, const struct principal *speaker, const char *statement,
			       size_t len);
// Calls fn for each statement of a file. What fn returned when it was not 0; -errno when the file cannot be read or a
// line is no line of a script (err names file and line).
int check_script(const char *path, check_script_fn fn, void *ctx, struct err *err);

// Prints a line for each statement whose answer differs: FILE:LINE: expected True, got False (code): why. -errno when
// the file cannot be read or a line is no trace line (err names file and line); 0 otherwise, also with differences.
int check_file(const char *path, FILE *out, struct check_result *result, struct err *err);
