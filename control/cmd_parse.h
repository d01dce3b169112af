// SPDX-License-Identifier: Apache-2.0
// Tokens -> struct statement (SPEC 1, 2, 4, 7). Touches no state. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "reply.h"
#include "statement.h"

// How names inside flow groups become values. user: number (>= 1) or 0 if unknown. host: as nib_host_find.
struct cmd_names {
	void *ctx;
	uint32_t (*user)(void *ctx, const char *name);
	bool (*host)(void *ctx, const char *name, struct span128 *addr, uint32_t *kinds);
};

// Parses one statement; the final dot may be missing. out is initialised by the caller.
// 0, or -1 with the refusal in reply (code; why with line, column and what was expected; members line, column, and for
// REPLY_SYNTAX expected). Line and column count from the statement's first character, 1-based.
int cmd_parse(const char *text, size_t len, const struct cmd_names *names, struct statement *out, struct reply *reply);

// Finds the end of the first statement in text (SPEC 7: a dot followed by a blank, comment, newline or the end, outside
// comments): its length with the dot, 0 if there is none yet. at_end: nothing more will come, so a dot that is the last
// byte ends the statement; otherwise it may be the middle of an address and more input decides (the server sets at_end
// at end of file, and when a client has sent nothing more for a few milliseconds).
// *skip: bytes of blanks and comments before the statement; it is [text + *skip, text + *skip + the result).
size_t cmd_split(const char *text, size_t len, bool at_end, size_t *skip);

// A rate as in SPEC 2 ("5Mb", "10kb", "2Gb", "100"): 0 or -EINVAL. Used by the configuration too.
int cmd_parse_rate(const char *text, uint64_t *bps);
