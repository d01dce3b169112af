// SPDX-License-Identifier: Apache-2.0
#include "session_text.h"

#include <stdint.h>

#include "cmd_lex.h"

enum session_word session_word(const char *text, size_t len)
{
	enum session_word word = SESSION_WORD_NONE;
	struct lex l;

	lex_init(&l, text, len, NULL);
	if (lex_accept_word(&l, "quit")) {
		word = SESSION_WORD_QUIT;
	} else if (lex_accept_word(&l, "mode")) {
		if (lex_accept_word(&l, "json"))
			word = SESSION_WORD_JSON;
		else if (lex_accept_word(&l, "classic"))
			word = SESSION_WORD_CLASSIC;
	}
	if (word == SESSION_WORD_NONE)
		return word;
	lex_accept(&l, ".");
	return lex_peek(&l).len == 0 && l.open_comment == SIZE_MAX ? word : SESSION_WORD_NONE;
}

size_t skip_scan(enum skip_at *at, const char *text, size_t len, bool at_end, bool *done)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i], next = i + 1 < len ? text[i + 1] : '\0';
		bool last = i + 1 == len && !at_end;

		*done = false;
		switch (*at) {
		case SKIP_DOT:
			*done = lex_is_blank(c) || (c == '/' && (next == '/' || next == '*'));
			if (*done || (c == '/' && last))
				return i;
			*at = SKIP_TEXT;
			// fall through
		case SKIP_TEXT:
			if (c == '/' && last)
				return i;
			if (c == '.')
				*at = SKIP_DOT;
			else if (c == '/' && (next == '/' || next == '*')) {
				*at = next == '/' ? SKIP_LINE : SKIP_BLOCK;
				i++;
			}
			break;
		case SKIP_LINE:
			if (c == '\n')
				*at = SKIP_TEXT;
			break;
		case SKIP_BLOCK:
			if (c == '*' && last)
				return i;
			if (c == '*' && next == '/') {
				*at = SKIP_TEXT;
				i++;
			}
			break;
		}
	}
	*done = at_end && *at == SKIP_DOT;
	return len;
}

void refuse_unfinished(struct reply *r, const char *text, size_t len)
{
	struct token t;
	struct lex l;

	lex_init(&l, text, len, r);
	while ((t = lex_peek(&l)).len > 0)
		l.pos = t.at + t.len;
	lex_expected(&l, REPLY_SYNTAX, t, "the dot that ends a statement");
}
