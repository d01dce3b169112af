// SPDX-License-Identifier: Apache-2.0
// The verbs of the command socket: the one source for the parser's look-up, `help` and completion.
// Constant data. Thread: any.
#pragma once
#include <stddef.h>

#include "statement.h"

struct cmd_info {
	enum verb verb;
	const char *name;
	const char *syntax;  // without the final dot
	const char *help;    // one line
	const char *example; // a whole statement
};

// Row i in the order `help` shows them, NULL after the last one.
const struct cmd_info *cmd_table_at(size_t i);
// The row of a verb as written (case sensitive; not NUL-terminated); NULL: no such verb.
const struct cmd_info *cmd_table_find(const char *name, size_t len);
// The row of a verb; never NULL.
const struct cmd_info *cmd_table_get(enum verb verb);
