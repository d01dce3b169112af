// SPDX-License-Identifier: Apache-2.0
// Errors of nic-config/ are text: what failed, and what was expected.
#pragma once
#include <stdarg.h>
#include <stdio.h>

#define WHY_BYTES 256

// Writes the text; -code.
__attribute__((format(printf, 3, 4))) static inline int why_fail(char why[WHY_BYTES], int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_BYTES, fmt, ap);
	va_end(ap);
	return -code;
}
