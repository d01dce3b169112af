// SPDX-License-Identifier: Apache-2.0
// panectl: statements to the switch from the command line, a script or a terminal, and `panectl check` for trace files.
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "control/check.h"
#include "control/cmd_parse.h"
#include "control/cmd_table.h"
#include "draw.h"
#include "interactive.h"
#include "script.h"
#include "show.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$-"

enum status {
	STATUS_ACCEPTED = 0,
	STATUS_REFUSED = 1,
	STATUS_USAGE = 2,
	STATUS_FAILED = 3,
};

struct session {
	struct client *client;
	bool json, refused, progress;
	size_t n_sent, n_answered;
	size_t under_way; // bytes sent, not answered yet: an upper bound
};

struct options {
	const char *socket, *user;
	bool json;
};

static const char usage[] =
	"usage: panectl [--socket PATH] [--user NAME] [--json] ['STATEMENT.' ...]\n"
	"       panectl schedule SHARE | tree | events | script FILE | check FILE... | help [VERB]\n"
	"\n"
	"Statements say what the network shall do: panectl help. A final dot that is missing is added. Without "
	"statements\n"
	"they are read from the terminal (TAB completes, ^D leaves) or, one after the other, from standard input.\n"
	"\n"
	"  --socket PATH  of the switch, or ADDRESS:PORT of its loopback TCP socket  (default $PANE_SOCKET or\n"
	"                 /run/pane/control.sock)\n"
	"  --user NAME    speak as NAME, NAME@HOST or NAME@HOST/APPLICATION (default $PANE_USER or your OS user's "
	"name)\n"
	"  --json         print the answers as they come, one JSON object a line\n"
	"  --version, --help\n"
	"\n"
	"Exit status: 0 accepted (check: as expected), 1 refused (check: differences), 2 bad command line, or a file\n"
	"cannot be read, 3 no connection or no session.\n";

static int run_check(const struct options *o, char **args, int n_args);
static int run_events(const struct options *o, char **args, int n_args);
static int run_help(const struct options *o, char **args, int n_args);
static int run_play(const struct options *o, char **args, int n_args);
static int run_schedule(const struct options *o, char **args, int n_args);
static int run_tree(const struct options *o, char **args, int n_args);

// What panectl itself does; everything else on its command line is a statement.
static const struct command {
	const char *name, *syntax, *help;
	int (*run)(const struct options *o, char **args, int n_args);
} commands[] = {
	{"schedule", "schedule SHARE [--width N] [--json]", "draw a share's free bandwidth over time", run_schedule},
	{"tree", "tree [--width N] [--json]",
	 "draw the shares you may see: what may be reserved in each, what is now, and requests in it and below",
	 run_tree},
	{"events", "events [--json]", "print what happens to your requests, until you stop it (^C)", run_events},
	{"script", "script FILE [--offline] [--json]",
	 "play the lines `speaker : statement.` of a file at the switch, or --offline: clock at 0, no network",
	 run_play},
	{"check", "check FILE...", "run trace files (`True <- alice : reserve(*) = 5 on net0.`) without any switch",
	 run_check},
	{"help", "help [VERB]", "the verbs, or one of them", run_help},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int usage_error(const char *fmt, const char *what)
{
	fprintf(stderr, "panectl: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, " (see --help)\n");
	return STATUS_USAGE;
}

static int failed(const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "panectl: %s\n", err->msg);
	return STATUS_FAILED;
}

static int receive(struct session *s)
{
	const char *line;
	struct err err;
	json_t *answer = client_receive(s->client, &line, &err);

	if (answer == NULL)
		return failed(&err);
	s->n_answered++;
	if (s->n_answered == s->n_sent)
		s->under_way = 0;
	if (!json_is_true(json_object_get(answer, "ok")))
		s->refused = true;
	if (s->json)
		puts(line);
	else
		show_answer(answer, stdout);
	json_decref(answer);
	if (s->progress && s->n_answered % 1000 == 0)
		fprintf(stderr, "\r%zu statements", s->n_answered);
	return 0;
}

static int receive_all(struct session *s)
{
	int ret = 0;

	while (ret == 0 && s->n_answered < s->n_sent)
		ret = receive(s);
	return ret;
}

// Sends without waiting for the answer, as long as not too much is under way.
static int submit(struct session *s, const char *statement, size_t len)
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
		return failed(&err);
	s->n_sent++;
	s->under_way += len + 1;
	return 0;
}

static int ask(void *ctx, const char *statement, size_t len)
{
	struct session *s = ctx;
	int ret = submit(s, statement, len);

	if (ret == 0)
		ret = receive_all(s);
	fflush(stdout);
	if (ret == 0 && len >= 4 && memcmp(statement, "quit", 4) == 0)
		ret = -1;
	return ret;
}

// All statements of a text that is complete but for, perhaps, the last dot.
static int submit_text(struct session *s, const char *text, size_t len)
{
	char *copy = malloc(len + 3);
	size_t at = 0, skip, n, total = len;
	int ret = 0;

	if (copy == NULL)
		return failed(&(struct err){.msg = "out of memory"});
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
static int run_script(struct session *s)
{
	size_t len = 0, cap = 1 << 16;
	char *text = malloc(cap);
	int ret = text == NULL ? failed(&(struct err){.msg = "out of memory"}) : 0;

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
				ret = failed(&(struct err){.msg = "out of memory"});
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

static void print_event(void *ctx, const json_t *event, const char *line)
{
	const struct session *s = ctx;

	if (s->json)
		puts(line);
	else
		show_event(event, stdout);
	fflush(stdout);
}

// One statement, nothing else under way. The answer (caller: json_decref), NULL with err.
static json_t *ask_once(struct client *client, const char *statement, const char **line, struct err *err)
{
	return client_send(client, statement, strlen(statement), err) < 0 ? NULL : client_receive(client, line, err);
}

static json_t *names(void *ctx, enum complete_what what)
{
	struct session *s = ctx;
	struct err err;
	const char *line;
	json_t *answer = ask_once(s->client, "ListShares.", &line, &err), *shares, *share, *found;
	size_t i;

	shares = json_object_get(answer, "shares");
	if (what == COMPLETE_USER) {
		found = complete_users(shares);
	} else {
		found = json_array();
		json_array_foreach(shares, i, share)
		{
			json_array_append(found, json_object_get(share, "name"));
		}
	}
	json_decref(answer);
	return found;
}

static int run_statements(const struct options *o, char **args, int n_args)
{
	struct session s = {.json = o->json};
	struct err err;
	int ret = 0;

	s.client = client_open(o->socket, o->user, &err);
	if (s.client == NULL)
		return failed(&err);
	if (n_args == 0 && isatty(STDIN_FILENO)) {
		const struct interactive with = {ask, names, &s};

		client_on_event(s.client, print_event, &s);
		ret = interactive_run(o->user, &with);
		if (ret < 0)
			ret = 0;
	} else if (n_args == 0) {
		s.progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
		ret = run_script(&s);
	}
	for (int i = 0; i < n_args && ret == 0; i++)
		ret = submit_text(&s, args[i], strlen(args[i]));
	if (ret == 0)
		ret = receive_all(&s);
	if (s.progress && s.n_answered >= 1000)
		fprintf(stderr, "\r%zu statements\n", s.n_answered);
	client_close(s.client);
	if (ret == 0 && s.refused)
		ret = STATUS_REFUSED;
	return ret;
}

// Takes the flags of a command out of its arguments: --json, and where they are asked for --width N and --offline.
// The number of arguments that are left, or -1.
static int take_flags(struct options *o, char **args, int n_args, unsigned int *width, bool *offline)
{
	int left = 0;

	for (int i = 0; i < n_args; i++) {
		char *end = "";

		if (strcmp(args[i], "--json") == 0) {
			o->json = true;
		} else if (offline != NULL && strcmp(args[i], "--offline") == 0) {
			*offline = true;
		} else if (width != NULL && strcmp(args[i], "--width") == 0 && i + 1 < n_args) {
			*width = (unsigned int)strtoul(args[++i], &end, 10);
			if (*end != '\0' || *width < DRAW_WIDTH_MIN || *width > 10000) {
				usage_error("--width: expected 40 to 10000, got %s", args[i]);
				return -1;
			}
		} else if (args[i][0] == '-') {
			usage_error("unknown flag %s", args[i]);
			return -1;
		} else {
			args[left++] = args[i];
		}
	}
	return left;
}

static unsigned int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns != NULL && atoi(columns) > 0 && atoi(columns) <= 10000 ? (unsigned int)atoi(columns) : 80;
}

// Asks one question and shows the answer: drawn, or as it came.
static int draw(const struct options *o, const char *statement, unsigned int width, const char *share)
{
	struct draw d = {.width = width, .out = stdout};
	struct session s = {.json = o->json};
	const char *line;
	json_t *answer;
	struct err err;

	setlocale(LC_CTYPE, "");
	d.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	s.client = client_open(o->socket, o->user, &err);
	if (s.client == NULL)
		return failed(&err);
	answer = ask_once(s.client, statement, &line, &err);
	if (answer == NULL) {
		client_close(s.client);
		return failed(&err);
	}
	s.refused = !json_is_true(json_object_get(answer, "ok"));
	if (o->json)
		puts(line);
	else if (s.refused)
		show_answer(answer, stdout);
	else if (share != NULL)
		draw_schedule(&d, share, json_object_get(answer, "items"));
	else
		draw_tree(&d, json_object_get(answer, "shares"));
	json_decref(answer);
	client_close(s.client);
	return s.refused ? STATUS_REFUSED : STATUS_ACCEPTED;
}

static int run_schedule(const struct options *given, char **args, int n_args)
{
	unsigned int width = terminal_width();
	struct options o = *given;
	char statement[256];

	n_args = take_flags(&o, args, n_args, &width, NULL);
	if (n_args < 0)
		return STATUS_USAGE;
	if (n_args != 1 || strspn(args[0], NAME_CHARS) != strlen(args[0]) || strlen(args[0]) > 200)
		return usage_error("%s: which share?", "schedule");
	snprintf(statement, sizeof(statement), "GetSchedule %s.", args[0]);
	return draw(&o, statement, width, args[0]);
}

static int run_tree(const struct options *given, char **args, int n_args)
{
	unsigned int width = terminal_width();
	struct options o = *given;

	n_args = take_flags(&o, args, n_args, &width, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : usage_error("tree: %s is too much", args[0]);
	return draw(&o, "ListShares.", width, NULL);
}

static int run_events(const struct options *given, char **args, int n_args)
{
	struct options o = *given;
	struct session s = {0};
	const char *line;
	struct err err;

	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : usage_error("events: %s is too much", args[0]);
	s.json = o.json;
	s.client = client_open(o.socket, o.user, &err);
	if (s.client == NULL)
		return failed(&err);
	client_on_event(s.client, print_event, &s);
	json_decref(client_receive(s.client, &line, &err)); // no answer is owed: it ends when the session does
	client_close(s.client);
	return failed(&err);
}

static int run_play(const struct options *given, char **args, int n_args)
{
	struct options o = *given;
	struct script_conf conf = {.socket = o.socket};
	struct err err = {0};
	size_t n_refused;
	int rc;

	n_args = take_flags(&o, args, n_args, NULL, &conf.offline);
	if (n_args < 0)
		return STATUS_USAGE;
	if (n_args != 1)
		return usage_error("%s: which file? one", "script");
	conf.path = args[0];
	conf.json = o.json;
	rc = script_run(&conf, &n_refused, &err);
	if (rc != 0) {
		failed(&err);
		return !conf.offline && rc != -EINVAL && access(conf.path, R_OK) == 0 ? STATUS_FAILED : STATUS_USAGE;
	}
	return n_refused > 0 ? STATUS_REFUSED : STATUS_ACCEPTED;
}

// Also without a switch.
static int run_help(const struct options *o, char **args, int n_args)
{
	const struct cmd_info *row;
	size_t len = n_args > 0 ? strcspn(args[0], ".") : 0, n = 0;

	(void)o;
	if (n_args > 1)
		return usage_error("help: %s is too much", args[1]);
	for (size_t i = 0; (row = cmd_table_at(i)) != NULL; i++) {
		if (n_args > 0 && (strlen(row->name) != len || strncmp(row->name, args[0], len) != 0))
			continue;
		printf("%s.\n    %s\n", row->syntax, row->help);
		if (n_args > 0)
			printf("    for example: %s\n", row->example);
		n++;
	}
	if (n_args == 0)
		printf("\nOf panectl itself:\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (n_args > 0 && (strcmp(commands[i].name, args[0]) != 0 || n > 0))
			continue;
		printf("panectl %s\n    %s\n", commands[i].syntax, commands[i].help);
		n++;
	}
	if (n == 0) {
		fprintf(stderr, "panectl: there is no verb %s\n", args[0]);
		return STATUS_REFUSED;
	}
	return STATUS_ACCEPTED;
}

static int run_check(const struct options *o, char **files, int n_files)
{
	int status = STATUS_ACCEPTED;

	(void)o;
	if (n_files == 0)
		return usage_error("%s: which files?", "check");
	for (int i = 0; i < n_files; i++) {
		struct check_result result;
		struct err err = {0};

		if (check_file(files[i], stdout, &result, &err) < 0) {
			fflush(stdout);
			fprintf(stderr, "panectl: %s\n", err.msg);
			status = STATUS_USAGE;
			continue;
		}
		if (result.differing == 0) {
			printf("%s: %zu statements, all as expected\n", files[i], result.statements);
			continue;
		}
		printf("%s: %zu statements, %zu not as expected\n", files[i], result.statements, result.differing);
		if (status == STATUS_ACCEPTED)
			status = STATUS_REFUSED;
	}
	return status;
}

static const char *default_user(void)
{
	const char *env = getenv("PANE_USER");
	const struct passwd *pw = getpwuid(geteuid());

	if (env != NULL && env[0] != '\0')
		return env;
	return pw != NULL ? pw->pw_name : "nobody";
}

int main(int argc, char **argv)
{
	static const struct option flags[] = {
		{"socket", required_argument, NULL, 's'}, {"user", required_argument, NULL, 'u'},
		{"json", no_argument, NULL, 'j'},         {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},         {0},
	};
	const char *env = getenv("PANE_SOCKET");
	struct options o = {.socket = env != NULL && env[0] != '\0' ? env : "/run/pane/control.sock",
			    .user = default_user()};
	int flag;

	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	while ((flag = getopt_long(argc, argv, "+:hs:u:j", flags, NULL)) != -1) {
		switch (flag) {
		case 's':
			o.socket = optarg;
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'j':
			o.json = true;
			break;
		case 'V':
			printf("panectl %s\n", PANE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case ':':
			return usage_error("%s needs a value", argv[optind - 1]);
		default:
			return usage_error("unknown flag %s",
					   optopt != 0 ? (char[]){'-', (char)optopt, '\0'} : argv[optind - 1]);
		}
	}
	for (size_t i = 0; optind < argc && i < N_COMMANDS; i++) {
		if (strcmp(argv[optind], commands[i].name) == 0)
			return commands[i].run(&o, argv + optind + 1, argc - optind - 1);
	}
	return run_statements(&o, argv + optind, argc - optind);
}
