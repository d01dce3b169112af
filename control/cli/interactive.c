// SPDX-License-Identifier: Apache-2.0
#include "interactive.h"

#include <histedit.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cmd_parse.h"
#include "control/cmd_table.h"

#define HISTORY_LINES 500

struct terminal {
	EditLine *el;
	History *history;
	char prompt[256];
	char *text; // of the statement so far
	size_t len;
	const struct interactive *with;
};

static char *show_prompt(EditLine *el)
{
	struct terminal *t;

	el_get(el, EL_CLIENTDATA, &t);
	return t->len > 0 ? "... " : t->prompt;
}

static void show_choices(const json_t *found, enum complete_what what)
{
	const json_t *name;
	size_t i;

	putchar('\n');
	json_array_foreach(found, i, name)
	{
		const char *text = json_string_value(name);
		const struct cmd_info *row = what == COMPLETE_VERB ? cmd_table_find(text, strlen(text)) : NULL;

		printf("%s%s\n", row != NULL ? row->syntax : text, row != NULL ? "." : "");
	}
}

// Completes what the cursor is at the end of as far as that is clear; if it is not at all, the choices are listed.
static unsigned char complete(EditLine *el, int ch)
{
	const LineInfo *line = el_line(el);
	size_t len = (size_t)(line->cursor - line->buffer), word_len, common, n;
	unsigned char result = CC_REFRESH_BEEP;
	enum complete_what what;
	struct terminal *t;
	json_t *names, *found;
	char *text, *word;

	(void)ch;
	el_get(el, EL_CLIENTDATA, &t);
	text = malloc(t->len + len + 1);
	if (text == NULL)
		return CC_ERROR;
	if (t->len > 0)
		memcpy(text, t->text, t->len);
	memcpy(text + t->len, line->buffer, len);
	len += t->len;
	text[len] = '\0';
	what = complete_what(text, len, &word_len);
	word = text + len - word_len;
	names = what == COMPLETE_VERB      ? complete_verbs()
		: what == COMPLETE_NOTHING ? NULL
					   : t->with->names(t->with->ctx, what);
	found = complete_match(names, word, word_len, &common);
	n = json_array_size(found);
	if (common > 0) {
		char *more = strndup(json_string_value(json_array_get(found, 0)) + word_len, common);

		result = more != NULL && el_insertstr(el, more) != -1 ? CC_REFRESH : CC_ERROR;
		free(more);
	} else if (n > 1) {
		show_choices(found, what);
		result = CC_REDISPLAY;
	}
	json_decref(found);
	json_decref(names);
	free(text);
	return result;
}

static void history_path(char *buf, size_t size)
{
	const char *dir = getenv("HOME");

	snprintf(buf, size, "%s/.panectl_history", dir != NULL ? dir : ".");
}

static bool terminal_init(struct terminal *t, const struct interactive *with)
{
	char path[4096];
	HistEvent event;

	memset(t, 0, sizeof(*t));
	t->with = with;
	snprintf(t->prompt, sizeof(t->prompt), "%s> ", client_user(with->client));
	t->el = el_init("panectl", stdin, stdout, stderr);
	t->history = history_init();
	if (t->el == NULL || t->history == NULL)
		return false;
	history(t->history, &event, H_SETSIZE, HISTORY_LINES);
	history_path(path, sizeof(path));
	history(t->history, &event, H_LOAD, path);
	el_set(t->el, EL_CLIENTDATA, t);
	el_set(t->el, EL_PROMPT, show_prompt);
	el_set(t->el, EL_EDITOR, "emacs");
	el_set(t->el, EL_SIGNAL, 1);
	el_set(t->el, EL_HIST, history, t->history);
	el_set(t->el, EL_ADDFN, "pane-complete", "complete a word", complete);
	el_set(t->el, EL_BIND, "^I", "pane-complete", NULL);
	el_source(t->el, NULL);
	return true;
}

static void terminal_fini(struct terminal *t)
{
	char path[4096];
	HistEvent event;

	if (t->history != NULL) {
		history_path(path, sizeof(path));
		history(t->history, &event, H_SAVE, path); // a home that cannot be written has no history
		history_end(t->history);
	}
	if (t->el != NULL)
		el_end(t->el);
	free(t->text);
}

// Hands over the complete statements of the text so far. The result of ask, 0 to go on.
static int ask_complete(struct terminal *t)
{
	size_t skip, n;

	while ((n = cmd_split(t->text, t->len, true, &skip)) > 0) {
		int ret = t->with->ask(t->with->ctx, t->text + skip, n);

		memmove(t->text, t->text + skip + n, t->len - skip - n);
		t->len -= skip + n;
		if (ret != 0)
			return ret;
	}
	// What is left is the beginning of a statement, or nothing.
	if (skip == t->len || strspn(t->text, " \t\r\n") >= t->len)
		t->len = 0;
	return 0;
}

int interactive_run(const struct interactive *with)
{
	struct terminal t;
	HistEvent event;
	const char *line;
	int count, ret = 0;

	if (!terminal_init(&t, with)) {
		fprintf(stderr, "panectl: no line editing on this terminal\n");
		ret = -1;
	}
	while (ret == 0 && (line = el_gets(t.el, &count)) != NULL && count > 0) {
		char *text = realloc(t.text, t.len + (size_t)count + 1);

		if (text == NULL) {
			fprintf(stderr, "panectl: out of memory\n");
			ret = -1;
			break;
		}
		t.text = text;
		memcpy(t.text + t.len, line, (size_t)count);
		t.len += (size_t)count;
		t.text[t.len] = '\0';
		if (strspn(line, " \t\r\n") < (size_t)count)
			history(t.history, &event, H_ENTER, line);
		ret = ask_complete(&t);
	}
	if (ret == 0)
		putchar('\n');
	terminal_fini(&t);
	return ret;
}
