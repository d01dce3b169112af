// SPDX-License-Identifier: Apache-2.0
// Bytes -> words that keep their place. Words are read by context: the parser says which class of word it wants at this
// place, so `80` can be a port or a name and `2001:db8::/32` one word. Blanks and comments are skipped before each
// word. Owner: the caller, on its stack. Thread: any. No allocation but in refusals.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "reply.h"

#define LEX_STATEMENT_MAX 65536 // bytes a statement

enum lex_class {
	LEX_PLAIN, // [A-Za-z0-9_$]: numbers, keywords of values
	LEX_NAME,  // the same and -, not as the first: identifiers
	LEX_TEXT,  // also . : / @ + -: addresses, rates, times, principals; a dot that ends the statement is left out
};

struct lex {
	const char *text;
	size_t len, pos;
	size_t origin;       // the statement's first character: line 1, column 1
	size_t open_comment; // where a comment starts that never ends, or SIZE_MAX
	struct reply *reply; // of refusals
};

struct token {
	const char *text; // not NUL-terminated
	size_t len, at;
};

void lex_init(struct lex *l, const char *text, size_t len, struct reply *reply);
// The longest word of the class at the next place; len 0 when there is none (nothing but blanks is then consumed).
struct token lex_word(struct lex *l, enum lex_class class);
// The word or single byte that comes next, for messages; len 0 at the end. Consumes nothing but blanks.
struct token lex_peek(struct lex *l);
// Consumes the punctuation if it is next.
bool lex_accept(struct lex *l, const char *punctuation);
// Consumes the word if it is next as a whole name.
bool lex_accept_word(struct lex *l, const char *word);
// The final dot, if there is one, and then nothing. 0, or -1 with expected (what could also have come) in the reply.
int lex_end(struct lex *l, const char *expected);
bool token_is(struct token t, const char *text);

// Refuses: `line 1, column 9: expected a port 0..65535, got "65536"`. Returns -1.
int lex_expected(struct lex *l, enum reply_code code, struct token got, const char *expected);
// Refuses with a sentence of its own: `line 1, column 9: SENTENCE`. Returns -1.
int lex_refuse(struct lex *l, enum reply_code code, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool lex_is_blank(char c);
// Length of the comment that starts at text (0: none starts there, -1: it starts and never ends).
long lex_comment(const char *text, size_t len);
