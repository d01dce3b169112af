// SPDX-License-Identifier: Apache-2.0
// Text -> the privileges of a NewShare (SPEC 3). Thread: control only.
#pragma once
#include "cmd_lex.h"
#include "cmd_parse.h"
#include "statement.h"

// Reads `[reserve <= 5, weight = 2]`, or the same without brackets, or nothing, up to the `on` that follows.
// 0, or -1 with the refusal in the lexer's reply. Containment is not its business.
int cmd_privileges_parse(struct lex *l, const struct cmd_names *names, struct privileges *out);
