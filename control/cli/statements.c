// SPDX-License-Identifier: Apache-2.0
#include "statements.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cmd_parse.h"
#include "control/cmd_table.h"
#include "interactive.h"
#include "rates.h"
#include "show.h"

int panectl_failed(const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "panectl: %s\n", err->msg);
	return STATUS_FAILED;
}

// The verb that a text begins with, or NULL.
static const struct cmd_info *verb_of(const char *text, size_t len)
{
	size_t n = 0;

	while (len > 0 && isspace((unsigned char)*text)) {
		text++;
		len--;
	}
	while (n < len && isalpha((unsigned char)text[n]))
		n++;
	return cmd_table_find(text, n);
}

// Of a statement on the command line that is not understood the form is told.
static void show_form(struct talk *s, const json_t *answer)
{
	const struct cmd_info *verb = s->n_answered <= s->n_verbs ? s->verbs[s->n_answered - 1] : NULL;
	const char *code = json_string_value(json_object_get(answer, "code"));

	if (verb == NULL || s->json || code == NULL || strcmp(code, "syntax") != 0)
		return;
	fflush(stdout);
	fprintf(stderr, "its form: %s.\nfor example: panectl '%s'\n", verb->syntax, verb->example);
}

static void keep_verb(struct talk *s, const char *statement, size_t len)
{
	const struct cmd_info **verbs = realloc(s->verbs, (s->n_verbs + 1) * sizeof(*verbs));

	if (verbs == NULL) {
		s->forms = false; // it is only for what is told of errors
		return;
	}
	s->verbs = verbs;
	verbs[s->n_verbs++] = verb_of(statement, len);
}

static int receive(struct talk *s)
{
	const char *line;
	char stale[128];
	struct err err;
	json_t *answer = client_receive(s->client, &line, &err);

	if (answer == NULL)
		return panectl_failed(&err);
	s->n_answered++;
	if (s->n_answered == s->n_sent)
		s->under_way = 0;
	if (!json_is_true(json_object_get(answer, "ok")))
		s->refused = true;
	if (s->json)
		puts(line);
	else
		show_answer(answer, stdout);
	if (rates_stale(answer, stale, sizeof(stale))) {
		fflush(stdout);
		fprintf(stderr, "panectl: %s\n", stale);
		s->refused = true;
	}
	show_form(s, answer);
	json_decref(answer);
	if (s->progress && s->n_answered % 1000 == 0)
		fprintf(stderr, "\r%zu statements", s->n_answered);
	return 0;
}

static int receive_all(struct talk *s)
{
	int ret = 0;

	while (ret == 0 && s->n_answered < s->n_sent)
		ret = receive(s);
	return ret;
}

// Sends without waiting for the answer, as long as not too much is under way.
static int submit(struct talk *s, const char *statement, size_t len)
{
	struct err err;
	int ret = 0;

	if (len >= 5 && memcmp(statement, "mode", 4) == 0 && strchr(" \t\r\n", statement[4]) != NULL) {
		fprintf(stderr, "panectl: the mode is panectl's own business; --json shows the answers as they come\n");
		s->refused = true;
		return 0;
	}
	while (ret == 0 && s->under_way > 0 && s->under_way + len > CLIENT_WINDOW_BYTES)
		ret = receive_all(s);
	if (ret != 0)
		return ret;
	if (client_send(s->client, statement, len, &err) < 0)
		return panectl_failed(&err);
	s->n_sent++;
	if (s->forms)
		keep_verb(s, statement, len);
	s->under_way += len + 1;
	return 0;
}

static int ask(void *ctx, const char *statement, size_t len)
{
	struct talk *s = ctx;
	int ret = submit(s, statement, len);

	if (ret == 0)
		ret = receive_all(s);
	fflush(stdout);
	if (ret == 0 && len >= 4 && memcmp(statement, "quit", 4) == 0)
		ret = -1;
	return ret;
}

// All statements of a text that is complete but for, perhaps, the last dot.
static int submit_text(struct talk *s, const char *text, size_t len)
{
	char *copy = malloc(len + 3);
	size_t at = 0, skip, n, total = len;
	int ret = 0;

	if (copy == NULL)
		return panectl_failed(&(struct err){.msg = "out of memory"});
	memcpy(copy, text, len);
	memcpy(copy + len, "\n.", 3);
	while (ret == 0) {
		n = cmd_split(copy + at, total - at, true, &skip);
		if (n == 0 && skip < total - at && total == len) {
			total = len + 2; // a statement is left: with the dot it is whole
			continue;
		}
		if (n == 0 && skip < total - at) {
			fprintf(stderr, "panectl: a comment has no end\n");
			s->refused = true;
		}
		if (n == 0)
			break;
		ret = submit(s, copy + at + skip, n);
		at += skip + n;
	}
	free(copy);
	return ret;
}

// Standard input, statement by statement. Answers are fetched whenever the input pauses.
static int run_script(struct talk *s)
{
	size_t len = 0, cap = 1 << 16;
	char *text = malloc(cap);
	int ret = text == NULL ? panectl_failed(&(struct err){.msg = "out of memory"}) : 0;

	while (ret == 0) {
		struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
		size_t at = 0, skip, n;
		ssize_t got;

		if (poll(&in, 1, 0) == 0) {
			ret = receive_all(s);
			fflush(stdout);
			if (ret != 0)
				break;
		}
		if (len == cap) {
			char *bigger = realloc(text, cap * 2);

			if (bigger == NULL) {
				ret = panectl_failed(&(struct err){.msg = "out of memory"});
				break;
			}
			text = bigger;
			cap *= 2;
		}
		got = read(STDIN_FILENO, text + len, cap - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
		while (ret == 0 && (n = cmd_split(text + at, len - at, false, &skip)) > 0) {
			ret = submit(s, text + at + skip, n);
			at += skip + n;
		}
		memmove(text, text + at, len - at);
		len -= at;
	}
	if (ret == 0 && len > 0)
		ret = submit_text(s, text, len);
	free(text);
	return ret;
}

void panectl_print_event(void *ctx, const json_t *event, const char *line)
{
	const struct talk *s = ctx;

	if (s->json)
		puts(line);
	else
		show_event(event, stdout);
	fflush(stdout);
}

json_t *panectl_ask(struct client *client, const char *statement, const char **line, struct err *err)
{
	return client_send(client, statement, strlen(statement), err) < 0 ? NULL : client_receive(client, line, err);
}

// Asks for what completion needs.
static json_t *names(void *ctx, enum complete_what what)
{
	struct talk *s = ctx;
	struct err err;
	const char *line;
	json_t *answer = panectl_ask(s->client, what == COMPLETE_PORT ? "ports." : "ListShares.", &line, &err);
	json_t *all = json_object_get(answer, what == COMPLETE_PORT ? "items" : "shares"), *one, *found;
	size_t i;

	if (what == COMPLETE_USER) {
		found = complete_users(all);
	} else {
		found = json_array();
		json_array_foreach(all, i, one)
		{
			json_array_append(found, json_object_get(one, "name"));
		}
	}
	json_decref(answer);
	return found;
}

// The shell has parted a statement if what comes next is no verb, and what is there has no final dot.
static bool goes_on(const char *text, const char *next)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	next += strspn(next, " \t\r\n");
	return len > 0 && text[len - 1] != '.' && *next != '\0' && *next != '/' && verb_of(next, strlen(next)) == NULL;
}

// A statement from the front of args, in one piece (caller: free); *n_words: how many were taken. NULL: out of memory.
static char *take_words(char **args, int n_args, int *n_words)
{
	char *text = strdup(args[0]);

	for (*n_words = 1; text != NULL && *n_words < n_args && goes_on(text, args[*n_words]); ++*n_words) {
		char *longer = NULL;

		if (asprintf(&longer, "%s %s", text, args[*n_words]) < 0)
			longer = NULL;
		free(text);
		text = longer;
	}
	return text;
}

static int submit_words(struct talk *s, char **args, int n_args)
{
	int ret = 0, n_words;

	s->forms = true;
	for (int i = 0; i < n_args && ret == 0; i += n_words) {
		char *text = take_words(args + i, n_args - i, &n_words);

		ret = text == NULL ? panectl_failed(&(struct err){.msg = "out of memory"})
				   : submit_text(s, text, strlen(text));
		free(text);
	}
	return ret;
}

int statements_run(const struct options *o, char **args, int n_args)
{
	struct talk s = {.json = o->json};
	bool at_terminal = n_args == 0 && isatty(STDIN_FILENO);
	struct err err;
	int ret = 0;

	s.client = client_open(&o->at, o->user, &err);
	if (s.client == NULL)
		return panectl_failed(&err);
	if (at_terminal) {
		const struct interactive with = {.ask = ask, .names = names, .ctx = &s, .client = s.client};

		client_on_event(s.client, panectl_print_event, &s);
		ret = interactive_run(&with);
		s.refused = false; // who sits there has seen it
		if (ret < 0)
			ret = 0;
	} else if (n_args == 0) {
		s.progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
		ret = run_script(&s);
	}
	if (ret == 0)
		ret = submit_words(&s, args, n_args);
	if (ret == 0)
		ret = receive_all(&s);
	if (s.progress && s.n_answered >= 1000)
		fprintf(stderr, "\r%zu statements\n", s.n_answered);
	client_close(s.client);
	free(s.verbs);
	if (ret == 0 && s.refused)
		ret = STATUS_REFUSED;
	return ret;
}
