// SPDX-License-Identifier: Apache-2.0
// What a session must know of its input's text beyond where a statement ends: the statements that are its own business,
// the end of one that is too long to keep, and what to say of one that was never finished. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "reply.h"

enum session_word {
	SESSION_WORD_NONE, // any other statement
	SESSION_WORD_JSON, // mode json.
	SESSION_WORD_CLASSIC,
	SESSION_WORD_QUIT,
};

// Where the reader is inside a statement that is too long to keep (SPEC 7's lexical rules).
enum skip_at {
	SKIP_TEXT,
	SKIP_DOT,  // after a dot
	SKIP_LINE, // in a // comment
	SKIP_BLOCK,
};

// Of a statement, with or without its dot; blanks and comments may stand anywhere.
enum session_word session_word(const char *text, size_t len);
// Bytes of text up to and with the end of the statement, or all that tell nothing any more; *done: the end was there.
size_t skip_scan(enum skip_at *at, const char *text, size_t len, bool at_end, bool *done);
// Refuses the beginning of a statement after which nothing will come: line and column of the end, and the dot that was
// expected there (or the end of a comment, from where that starts).
void refuse_unfinished(struct reply *r, const char *text, size_t len);
