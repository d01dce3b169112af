// SPDX-License-Identifier: Apache-2.0
#include "http_head.h"

#include <string.h>
#include <strings.h>

struct span {
	const char *at;
	size_t len;
};

struct fields {
	unsigned int n_hosts;
	bool close, keep_alive, body, bad;
};

static bool is(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
			return false;
	}
	return s.len > 0;
}

// What stands before the first c, which is taken away with it; all of it where there is none.
static struct span take(struct span *rest, char c)
{
	const char *end = rest->len > 0 ? memchr(rest->at, c, rest->len) : NULL;
	struct span s = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->len};
	size_t used = end != NULL ? s.len + 1 : s.len;

	rest->at += used;
	rest->len -= used;
	return s;
}

static struct span trim(struct span s)
{
	for (; s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'); s.len--)
		s.at++;
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

// Without its end: LF, or CR LF.
static struct span take_line(struct span *rest)
{
	struct span line = take(rest, '\n');

	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

// Bytes up to and with the empty line behind the last field; 0: it has not come yet. Empty lines may come first.
static size_t head_len(const char *data, size_t len)
{
	struct span rest = {data, len};
	bool begun = false;

	while (rest.len > 0 && memchr(rest.at, '\n', rest.len) != NULL) {
		bool empty = take_line(&rest).len == 0;

		if (begun && empty)
			return len - rest.len;
		begun = begun || !empty;
	}
	return 0;
}

// http://HOST/PATH?QUERY or /PATH?QUERY.
static struct span path_of(struct span target)
{
	static const char scheme[] = "http://";
	const size_t n = sizeof(scheme) - 1;
	const char *slash;

	if (target.len > n && strncasecmp(target.at, scheme, n) == 0) {
		slash = memchr(target.at + n, '/', target.len - n);
		target = slash == NULL ? (struct span){"/", 1}
				       : (struct span){slash, target.len - (size_t)(slash - target.at)};
	}
	return take(&target, '?');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// METHOD TARGET HTTP/1.MINOR. Sets *minor.
static int request_line(struct span line, struct http_head *out, int *minor)
{
	struct span method = take(&line, ' '), target = take(&line, ' '), path = path_of(target);

	for (size_t i = 0; i < target.len; i++) {
		if ((unsigned char)target.at[i] <= ' ' || target.at[i] == 127)
			return 400;
	}
	if (!is_token(method) || target.len == 0 || line.len != 8 || memcmp(line.at, "HTTP/", 5) != 0 ||
	    !is_digit(line.at[5]) || line.at[6] != '.' || !is_digit(line.at[7]))
		return 400;
	out->method = HTTP_METHOD_OTHER;
	if (method.len == 3 && memcmp(method.at, "GET", 3) == 0)
		out->method = HTTP_METHOD_GET;
	else if (method.len == 4 && memcmp(method.at, "HEAD", 4) == 0)
		out->method = HTTP_METHOD_HEAD;
	out->path = path.at;
	out->path_len = path.len;
	*minor = line.at[7] - '0';
	return line.at[5] == '1' ? 200 : 505;
}

static void connection_options(struct span value, struct fields *f)
{
	while (value.len > 0) {
		struct span option = trim(take(&value, ','));

		f->close = f->close || is(option, "close");
		f->keep_alive = f->keep_alive || is(option, "keep-alive");
	}
}

static void field(struct span line, struct fields *f)
{
	bool has_colon = line.len > 0 && memchr(line.at, ':', line.len) != NULL;
	struct span name = take(&line, ':'), value = trim(line);

	f->bad = f->bad || !has_colon || !is_token(name); // a folded line has no name
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		f->bad = f->bad || (c < ' ' && c != '\t') || c == 127;
	}
	if (is(name, "Host"))
		f->n_hosts++;
	else if (is(name, "Connection"))
		connection_options(value, f);
	else if (is(name, "Transfer-Encoding"))
		f->body = true;
	else if (is(name, "Content-Length"))
		f->body = f->body || !is(value, "0");
}

bool http_head_parse(const char *data, size_t len, struct http_head *out)
{
	size_t whole = head_len(data, len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX);
	struct span rest = {data, whole}, line = {data, 0};
	struct fields f = {0};
	int minor = 0;

	if (whole == 0 && len < HTTP_HEAD_MAX)
		return false;
	*out = (struct http_head){.status = 431, .method = HTTP_METHOD_OTHER, .len = len};
	if (whole == 0)
		return true;
	out->len = whole;
	while (line.len == 0)
		line = take_line(&rest);
	out->status = request_line(line, out, &minor);
	for (line = take_line(&rest); line.len > 0; line = take_line(&rest))
		field(line, &f);
	if (out->status == 200 && (f.bad || f.n_hosts > 1 || (minor > 0 && f.n_hosts == 0)))
		out->status = 400;
	if (out->status == 200 && f.body)
		out->status = 413;
	out->keeps = out->status == 200 && !f.close && (minor > 0 || f.keep_alive);
	return true;
}
