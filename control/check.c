// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_parse.h"
#include "engine.h"

struct trace {
	const char *path;
	const char *text, *at, *end;
	unsigned int line; // of `at`
	struct engine *engine;
	FILE *out;
	struct check_result *result;
};

static char *read_file(const char *path, size_t *len, struct err *err)
{
	FILE *f = fopen(path, "r"), *copy;
	char *text = NULL, block[4096];
	size_t n;

	if (f == NULL) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		return NULL;
	}
	copy = open_memstream(&text, len);
	while (copy != NULL && (n = fread(block, 1, sizeof(block), f)) > 0)
		fwrite(block, 1, n, copy);
	if (ferror(f))
		err_set(err, errno, "%s: cannot be read: %s", path, strerror(errno));
	if (copy == NULL || fclose(copy) != 0)
		err_set(err, ENOMEM, "%s: out of memory", path);
	fclose(f);
	if (err->code == 0)
		return text;
	free(text);
	return NULL;
}

static void move_to(struct trace *t, const char *to)
{
	for (; t->at < to; t->at++)
		t->line += *t->at == '\n';
}

// Past blanks and comments; false at the end of the file.
static bool skip_blank(struct trace *t)
{
	while (t->at < t->end) {
		const char *stop = NULL;

		if (strchr(" \t\r\n", *t->at) != NULL) {
			move_to(t, t->at + 1);
			continue;
		}
		if (t->end - t->at >= 2 && memcmp(t->at, "//", 2) == 0)
			stop = memchr(t->at, '\n', (size_t)(t->end - t->at));
		else if (t->end - t->at >= 2 && memcmp(t->at, "/*", 2) == 0)
			stop = memmem(t->at + 2, (size_t)(t->end - t->at) - 2, "*/", 2);
		else
			return true;
		move_to(t, stop == NULL ? t->end : stop + (*stop == '*' ? 2 : 1));
	}
	return false;
}

// What stands before `mark` on this line, without blanks around it; at is then after the mark. NULL: there is no mark.
static char *take_before(struct trace *t, const char *mark)
{
	const char *eol = memchr(t->at, '\n', (size_t)(t->end - t->at));
	size_t len = (size_t)((eol == NULL ? t->end : eol) - t->at);
	const char *found = memmem(t->at, len, mark, strlen(mark));
	char *text;

	if (found == NULL)
		return NULL;
	len = (size_t)(found - t->at);
	while (len > 0 && strchr(" \t", t->at[len - 1]) != NULL)
		len--;
	text = strndup(t->at, len);
	t->at = found + strlen(mark);
	while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
		t->at++;
	return text;
}

static int compare(struct trace *t, const char *expected, const struct principal *speaker, const char *statement,
		   size_t len, unsigned int line)
{
	struct reply reply;
	char *got;

	reply_init(&reply);
	engine_exec(t->engine, speaker, statement, len, 0, &reply);
	got = reply_render_classic(&reply);
	t->result->statements++;
	if (got != NULL && strcmp(got, expected) != 0) {
		const char *why = json_string_value(json_object_get(reply.body, "why"));

		t->result->differing++;
		fprintf(t->out, "%s:%u: expected %s, got %s", t->path, line, expected, got);
		if (reply.code != REPLY_OK)
			fprintf(t->out, " (%s): %s", reply_code_name(reply.code), why == NULL ? "" : why);
		fputc('\n', t->out);
	}
	reply_fini(&reply);
	free(got);
	return got == NULL ? -ENOMEM : 0;
}

// ANSWER <- SPEAKER : STATEMENT.
static int trace_line(struct trace *t, struct err *err)
{
	unsigned int line = t->line;
	char *expected = take_before(t, "<-");
	char *name = expected == NULL ? NULL : take_before(t, ": ");
	struct principal speaker;
	size_t len = 0, skip = 0;
	struct err why;
	int rc;

	if (name != NULL)
		len = cmd_split(t->at, (size_t)(t->end - t->at), true, &skip);
	if (name == NULL || expected[0] == '\0')
		rc = err_set(err, EINVAL, "%s:%u: not a line of the form ANSWER <- SPEAKER : STATEMENT.", t->path,
			     line);
	else if (principal_parse(name, &speaker, &why) < 0)
		rc = err_set(err, EINVAL, "%s:%u: %s", t->path, line, why.msg);
	else if (len == 0)
		rc = err_set(err, EINVAL, "%s:%u: the statement has no end (\".\")", t->path, line);
	else {
		rc = compare(t, expected, &speaker, t->at + skip, len, line);
		if (rc < 0)
			err_set(err, ENOMEM, "%s:%u: out of memory", t->path, line);
		move_to(t, t->at + skip + len);
	}
	free(expected);
	free(name);
	return rc;
}

int check_file(const char *path, FILE *out, struct check_result *result, struct err *err)
{
	struct engine_conf conf = {.offline = true};
	struct trace t = {.path = path, .line = 1, .out = out, .result = result};
	struct nib *nib;
	struct err unused;
	char *text;
	size_t len;
	int rc = 0;

	*result = (struct check_result){0};
	if (err == NULL)
		err = &unused;
	err->code = 0;
	text = read_file(path, &len, err);
	if (text == NULL)
		return -err->code;
	nib = nib_create();
	t.engine = nib == NULL ? NULL : engine_create(&conf, nib, 0);
	if (t.engine == NULL)
		rc = err_set(err, ENOMEM, "%s: out of memory", path);
	t.text = t.at = text;
	t.end = text + len;
	while (rc == 0 && skip_blank(&t))
		rc = trace_line(&t, err);
	engine_destroy(t.engine);
	nib_destroy(nib);
	free(text);
	return rc;
}

// SPEAKER : STATEMENT.
static int script_line(struct trace *t, check_script_fn fn, void *ctx, struct err *err)
{
	unsigned int line = t->line;
	char *name = take_before(t, ": ");
	struct principal speaker;
	size_t len = 0, skip = 0;
	struct err why;
	int rc;

	if (name != NULL)
		len = cmd_split(t->at, (size_t)(t->end - t->at), true, &skip);
	if (name == NULL)
		rc = err_set(err, EINVAL, "%s:%u: not a line of the form SPEAKER : STATEMENT.", t->path, line);
	else if (principal_parse(name, &speaker, &why) < 0)
		rc = err_set(err, EINVAL, "%s:%u: %s", t->path, line, why.msg);
	else if (len == 0)
		rc = err_set(err, EINVAL, "%s:%u: the statement has no end (\".\")", t->path, line);
	else {
		rc = fn(ctx, line, &speaker, t->at + skip, len);
		move_to(t, t->at + skip + len);
	}
	free(name);
	return rc;
}

int check_script(const char *path, check_script_fn fn, void *ctx, struct err *err)
{
	struct trace t = {.path = path, .line = 1};
	size_t len;
	char *text;
	int rc = 0;

	err->code = 0;
	text = read_file(path, &len, err);
	if (text == NULL)
		return -err->code;
	t.text = t.at = text;
	t.end = text + len;
	while (rc == 0 && skip_blank(&t))
		rc = script_line(&t, fn, ctx, err);
	free(text);
	return rc;
}
