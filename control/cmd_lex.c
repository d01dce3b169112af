// SPDX-License-Identifier: Apache-2.0
#include "cmd_lex.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cmd_parse.h"

#define GOT_MAX 40 // bytes of a word shown in a message

bool lex_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool starts_comment(const char *text, size_t len)
{
	return len >= 2 && text[0] == '/' && (text[1] == '/' || text[1] == '*');
}

long lex_comment(const char *text, size_t len)
{
	const char *end;

	if (!starts_comment(text, len))
		return 0;
	if (text[1] == '/') {
		end = memchr(text, '\n', len);
		return end != NULL ? end - text + 1 : (long)len;
	}
	end = memmem(text + 2, len - 2, "*/", 2);
	return end != NULL ? end - text + 2 : -1;
}

static void skip(struct lex *l)
{
	while (l->pos < l->len) {
		long comment = lex_comment(l->text + l->pos, l->len - l->pos);

		if (comment < 0) {
			l->open_comment = l->pos;
			l->pos = l->len;
		} else if (comment > 0) {
			l->pos += comment;
		} else if (lex_is_blank(l->text[l->pos])) {
			l->pos++;
		} else {
			return;
		}
	}
}

void lex_init(struct lex *l, const char *text, size_t len, struct reply *reply)
{
	*l = (struct lex){.text = text, .len = len, .open_comment = SIZE_MAX, .reply = reply};
	skip(l);
	l->origin = l->open_comment == SIZE_MAX ? l->pos : l->open_comment;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

// A dot followed by a blank, a comment or the end.
static bool is_final_dot(const struct lex *l, size_t at)
{
	size_t next = at + 1;

	return l->text[at] == '.' &&
	       (next == l->len || lex_is_blank(l->text[next]) || starts_comment(l->text + next, l->len - next));
}

static bool in_class(const struct lex *l, size_t at, size_t start, enum lex_class class)
{
	char c = l->text[at];

	if (is_plain(c))
		return true;
	switch (class) {
	case LEX_PLAIN:
		return false;
	case LEX_NAME:
		return c == '-' && at > start;
	case LEX_TEXT:
		break;
	}
	if (c == '.')
		return !is_final_dot(l, at);
	if (c == '/')
		return !starts_comment(l->text + at, l->len - at);
	return c == ':' || c == '@' || c == '+' || c == '-';
}

struct token lex_word(struct lex *l, enum lex_class class)
{
	size_t start;

	skip(l);
	start = l->pos;
	while (l->pos < l->len && in_class(l, l->pos, start, class))
		l->pos++;
	return (struct token){.text = l->text + start, .len = l->pos - start, .at = start};
}

struct token lex_peek(struct lex *l)
{
	struct token t = lex_word(l, LEX_TEXT);

	if (t.len == 0 && l->pos < l->len)
		t.len = 1;
	l->pos = t.at;
	return t;
}

bool lex_accept(struct lex *l, const char *punctuation)
{
	size_t len = strlen(punctuation);

	skip(l);
	if (l->len - l->pos < len || memcmp(l->text + l->pos, punctuation, len) != 0)
		return false;
	l->pos += len;
	return true;
}

bool lex_accept_word(struct lex *l, const char *word)
{
	struct token t = lex_word(l, LEX_NAME);

	if (token_is(t, word))
		return true;
	l->pos = t.at;
	return false;
}

int lex_end(struct lex *l, const char *expected)
{
	skip(l);
	if (l->open_comment != SIZE_MAX)
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), expected);
	if (l->pos == l->len)
		return 0;
	if (!is_final_dot(l, l->pos))
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), expected);
	l->pos++;
	skip(l);
	if (l->pos < l->len || l->open_comment != SIZE_MAX)
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), "nothing after the dot");
	return 0;
}

bool token_is(struct token t, const char *text)
{
	return t.len == strlen(text) && memcmp(t.text, text, t.len) == 0;
}

// Columns count characters, so bytes inside a UTF-8 sequence (in a comment) do not count.
static void place(const struct lex *l, size_t at, int *line, int *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = l->origin; i < at && i < l->len; i++) {
		if (l->text[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)l->text[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

static void format_got(struct token got, char *buf, size_t size)
{
	size_t n = got.len < GOT_MAX ? got.len : GOT_MAX, used;

	if (got.len == 0) {
		snprintf(buf, size, "the end");
		return;
	}
	used = snprintf(buf, size, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = got.text[i];

		used += snprintf(buf + used, size - used, c >= 0x20 && c <= 0x7e ? "%c" : "\\x%02x", c);
	}
	snprintf(buf + used, size - used, "%s\"", n < got.len ? "..." : "");
}

int lex_refuse(struct lex *l, enum reply_code code, size_t at, const char *fmt, ...)
{
	char sentence[512];
	int line, column;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	place(l, at, &line, &column);
	reply_refuse(l->reply, code, "line %d, column %d: %s", line, column, sentence);
	json_object_set_new(l->reply->body, "line", json_integer(line));
	json_object_set_new(l->reply->body, "column", json_integer(column));
	return -1;
}

int lex_expected(struct lex *l, enum reply_code code, struct token got, const char *expected)
{
	char text[GOT_MAX * 4 + 8];

	if (l->open_comment != SIZE_MAX && got.at >= l->open_comment) {
		lex_refuse(l, REPLY_SYNTAX, l->open_comment, "expected the comment that starts here to end with */");
		expected = "*/";
	} else {
		format_got(got, text, sizeof(text));
		lex_refuse(l, code, got.at, "expected %s, got %s", expected, text);
	}
	json_object_set_new(l->reply->body, "expected", json_string(expected));
	return -1;
}

size_t cmd_split(const char *text, size_t len, bool at_end, size_t *skipped)
{
	struct lex l = {.text = text, .len = len, .open_comment = SIZE_MAX};

	skip(&l);
	*skipped = l.open_comment == SIZE_MAX ? l.pos : l.open_comment;
	for (size_t i = l.pos; i < len; i++) {
		long comment = lex_comment(text + i, len - i);

		if (comment < 0)
			return 0;
		if (comment > 0) {
			i += comment - 1;
		} else if (is_final_dot(&l, i)) {
			return i + 1 == len && !at_end ? 0 : i + 1 - l.pos;
		}
	}
	return 0;
}
