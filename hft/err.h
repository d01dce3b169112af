// SPDX-License-Identifier: Apache-2.0
// An error a user will read: a negative errno-like code and one sentence that names the thing.
// Owner: the caller, on its stack. Thread: any. No allocation.
#pragma once
#include <stdarg.h>

struct err {
	int code; // positive errno value, 0: none
	char msg[512];
};

// Fills err (err may be NULL) and returns -code, so that refusing is one statement.
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
