// SPDX-License-Identifier: Apache-2.0
#include "interactive.h"

#include <ctype.h>
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "control/cmd_parse.h"
#include "control/cmd_table.h"
#include "statements.h"

#define HISTORY_LINES 500

struct terminal {
	EditLine *el;
	History *history;
	char prompt[256];
	char *text; // of the statement so far
	size_t len;
	const struct interactive *with;
	bool interrupted; // ^C: what was typed is dropped
	bool lost;        // the session
	bool told;        // how a statement ends
};

// Signals are taken only while a key is waited for, where the terminal can be put right.
static volatile sig_atomic_t caught;
static const int handled[] = {SIGINT, SIGTSTP, SIGWINCH, SIGTERM, SIGHUP, SIGQUIT};

#define N_HANDLED (sizeof(handled) / sizeof(handled[0]))
#define KEY_INTERRUPT L'\003' // bound to interrupt()

static void catch (int signal)
{
	caught = signal;
}

// Between lines an interrupt is nobody's: the answer that is waited for comes, and the line has ended already.
static void take_signals(bool take)
{
	struct sigaction action = {.sa_handler = take ? catch : SIG_DFL};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < N_HANDLED; i++)
		sigaddset(&set, handled[i]);
	if (take)
		sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < N_HANDLED; i++) {
		action.sa_handler = take ? catch : handled[i] == SIGINT ? SIG_IGN : SIG_DFL;
		sigaction(handled[i], &action, NULL);
	}
	if (!take)
		sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static unsigned char interrupt(EditLine *el, int ch)
{
	struct terminal *t;

	(void)ch;
	el_get(el, EL_CLIENTDATA, &t);
	t->interrupted = true;
	fputs("^C", stdout);
	return CC_NEWLINE;
}

// Takes the line that is being typed off the screen; EL_REFRESH puts it back.
static void clear_line(struct terminal *t)
{
	const LineInfo *line = el_line(t->el);
	size_t at = strlen(t->len > 0 ? "... " : t->prompt);
	int rows = 0, columns = 0;

	for (const char *c = line->buffer; c < line->cursor; c++)
		at += (*c & 0xc0) != 0x80;
	el_get(t->el, EL_GETTC, "co", &columns);
	if (columns > 0)
		rows = (int)(at / (size_t)columns);
	if (rows > 0)
		printf("\033[%dA", rows);
	fputs("\r\033[J", stdout);
}

static void take_events(struct terminal *t)
{
	struct err err;

	clear_line(t);
	if (client_take_events(t->with->client, &err) < 0) {
		fflush(stdout);
		fprintf(stderr, "panectl: %s\n", err.msg);
		t->lost = true;
	}
	fflush(stdout);
	if (!t->lost)
		el_set(t->el, EL_REFRESH);
}

static void stop(struct terminal *t)
{
	el_set(t->el, EL_PREP_TERM, 0);
	raise(SIGSTOP);
	el_set(t->el, EL_PREP_TERM, 1);
	el_set(t->el, EL_REFRESH);
}

// 1: an interrupt; 0: go on; -1: leave.
static int on_signal(struct terminal *t)
{
	int signal = caught;

	caught = 0;
	switch (signal) {
	case SIGINT:
		return 1;
	case SIGTSTP:
		stop(t);
		return 0;
	case SIGWINCH:
		el_resize(t->el);
		return 0;
	default:
		return signal == 0 ? 0 : -1;
	}
}

// A character, of as many bytes as it has in this locale. 1, or 0 at the end.
static int read_character(wchar_t *c)
{
	mbstate_t state = {0};
	size_t rc;
	char byte;

	do {
		if (read(STDIN_FILENO, &byte, 1) != 1)
			return 0;
		rc = mbrtowc(c, &byte, 1, &state);
		if (rc == (size_t)-1) {
			memset(&state, 0, sizeof(state));
			*c = L'?';
			rc = 1;
		}
	} while (rc == (size_t)-2);
	return 1;
}

// The next key. Events that come meanwhile are shown above the line.
static int wait_key(EditLine *el, wchar_t *c)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	struct terminal *t;
	sigset_t none;

	sigemptyset(&none);
	el_get(el, EL_CLIENTDATA, &t);
	fds[1].fd = client_fd(t->with->client);
	while (!t->lost) {
		int n = ppoll(fds, 2, NULL, &none), signal = on_signal(t);

		if (signal > 0) {
			*c = KEY_INTERRUPT;
			return 1;
		}
		if (signal < 0 || (n < 0 && errno != EINTR))
			return 0;
		if (n <= 0)
			continue;
		if (fds[0].revents != 0)
			return read_character(c);
		take_events(t);
	}
	return 0;
}

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
	names = complete_known(what);
	if (names == NULL && what != COMPLETE_NOTHING)
		names = t->with->names(t->with->ctx, what);
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
	el_set(t->el, EL_SIGNAL, 0);
	el_set(t->el, EL_GETCFN, wait_key);
	el_set(t->el, EL_HIST, history, t->history);
	el_set(t->el, EL_ADDFN, "pane-complete", "complete a word", complete);
	el_set(t->el, EL_BIND, "^I", "pane-complete", NULL);
	el_set(t->el, EL_ADDFN, "pane-interrupt", "drop the line", interrupt);
	el_set(t->el, EL_BIND, "^C", "pane-interrupt", NULL);
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
	if (t->len > 0 && !t->told)
		puts("a statement ends with a dot; ^C drops it");
	t->told = t->told || t->len > 0;
	return 0;
}

// What people type without a dot, and nothing can follow: help, help VERB, quit, a question of one word, and what
// begins with no verb at all, of which more lines would make nothing.
static bool needs_no_dot(const char *line, size_t len)
{
	static const char *const questions[] = {"help",  "quit",   "time",       "ports",        "links",
						"hosts", "queues", "ListShares", "ListRequests", "verify"};
	size_t word = 0;

	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	while (len > 0 && isblank((unsigned char)*line)) {
		line++;
		len--;
	}
	if (len == 0 || line[len - 1] == '.' || *line == '/')
		return false;
	while (word < len && isalnum((unsigned char)line[word]))
		word++;
	if (cmd_table_find(line, word) == NULL || (word == 4 && memcmp(line, "help", 4) == 0))
		return true;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (word == len && strlen(questions[i]) == len && memcmp(line, questions[i], len) == 0)
			return true;
	return false;
}

// The line goes behind what is there of the statement. false: out of memory.
static bool add_line(struct terminal *t, const char *line, size_t len)
{
	char *text = realloc(t->text, t->len + len + 3);

	if (text == NULL)
		return false;
	t->text = text;
	memcpy(text + t->len, line, len);
	if (t->len == 0 && needs_no_dot(line, len)) {
		memcpy(text + len, ".\n", 2);
		len += 2;
	}
	t->len += len;
	text[t->len] = '\0';
	return true;
}

// The next line as it was typed, with its newline; NULL: there is none any more.
static const char *read_line(struct terminal *t, size_t *len)
{
	const char *line;
	int count = 0;

	t->interrupted = false;
	take_signals(true);
	line = el_gets(t->el, &count);
	take_signals(false);
	*len = count > 0 ? (size_t)count : 0;
	if (t->interrupted)
		return "";
	return count > 0 && !t->lost ? line : NULL;
}

int interactive_run(const struct interactive *with)
{
	struct terminal t;
	const char *line;
	HistEvent event;
	size_t len;
	int ret = 0;

	setlocale(LC_CTYPE, "");
	if (!terminal_init(&t, with)) {
		fprintf(stderr, "panectl: no line editing on this terminal\n");
		ret = -1;
	}
	if (ret == 0)
		puts("a statement ends with a dot; TAB completes, help lists all, ^P is what was typed before, ^D "
		     "leaves");
	while (ret == 0 && (line = read_line(&t, &len)) != NULL) {
		if (t.interrupted) {
			t.len = 0;
			continue;
		}
		if (!add_line(&t, line, len)) {
			fprintf(stderr, "panectl: out of memory\n");
			ret = -1;
			break;
		}
		if (strspn(line, " \t\r\n") < len)
			history(t.history, &event, H_ENTER, line);
		ret = ask_complete(&t);
	}
	if (ret == 0 && !t.lost)
		putchar('\n');
	if (t.lost)
		ret = STATUS_FAILED;
	terminal_fini(&t);
	return ret;
}
