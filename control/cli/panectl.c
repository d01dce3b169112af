// SPDX-License-Identifier: Apache-2.0
// panectl: statements to the switch from the command line, a script or a terminal, and `panectl check` for trace files.
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "capture.h"
#include "control/check.h"
#include "control/cmd_table.h"
#include "draw.h"
#include "network.h"
#include "options.h"
#include "queues.h"
#include "script.h"
#include "show.h"
#include "statements.h"
#include "trace.h"
#include "traffic.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$-"

static int run_check(const struct options *o, char **args, int n_args);
static int run_events(const struct options *o, char **args, int n_args);
static int run_help(const struct options *o, char **args, int n_args);
static int run_play(const struct options *o, char **args, int n_args);
static int run_stats(const struct options *o, char **args, int n_args);
static int run_trace(const struct options *o, char **args, int n_args);
static int run_top(const struct options *o, char **args, int n_args);
static int run_queues(const struct options *o, char **args, int n_args);
static int run_schedule(const struct options *o, char **args, int n_args);
static int run_topology(const struct options *o, char **args, int n_args);
static int run_verify(const struct options *o, char **args, int n_args);
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
	{"queues", "queues [--json]",
	 "draw the shares and requests you may see with what was promised and what they receive now, and the ports",
	 run_queues},
	{"topology", "topology [--dot] [--json]",
	 "draw switches, ports, links and hosts, as far as you may see them; --dot: for Graphviz", run_topology},
	{"verify", "verify [--json]",
	 "read back what the OpenFlow switches have, and check it against the policy: loops, black holes, denied "
	 "packets "
	 "that arrive (status 1: something was found)",
	 run_verify},
	{"stats", "stats [--seconds S] [--json]",
	 "what passes at each port a second, and why frames are dropped, over S seconds [1]", run_stats},
	{"top", "top [--seconds S] [--rounds N] [--json]", "the same again and again, until you stop it (^C)", run_top},
	{"events", "events [--json]", "print what happens to your requests, until you stop it (^C)", run_events},
	{"trace", "trace 'srcHost=10.0.0.5 dstPort=80' [--json]",
	 "what becomes of such a packet: the requests that match, how they combine, what the dataplane does with it",
	 run_trace},
	{"capture", "capture '(dstPort=80)' FILE [--share S] [--count N] [--seconds S]",
	 "write frames of a flow group, as they come in at the switch, to a pcapng file, or - for standard output "
	 "(share rootShare, 1000 frames, 10 s)",
	 capture_run},
	{"script", "script FILE [--offline] [--json]",
	 "play the lines `speaker : statement.` of a file at the switch, or --offline: clock at 0, no network",
	 run_play},
	{"check", "check FILE...", "run trace files (`True <- alice : reserve(*) = 5 on net0.`) without any switch",
	 run_check},
	{"help", "help [VERB]", "the verbs, or one of them", run_help},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

// The one that runs: whoever uses it wrongly is told its form.
static const struct command *running;

static int wrong_here(const char *fmt, const char *what)
{
	fprintf(stderr, "panectl: %s: ", running->name);
	fprintf(stderr, fmt, what);
	fprintf(stderr, "\nusage: panectl %s\n", running->syntax);
	return STATUS_USAGE;
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
		} else if (width != NULL && strcmp(args[i], "--width") == 0) {
			if (i + 1 == n_args) {
				wrong_here("%s needs a value", args[i]);
				return -1;
			}
			*width = (unsigned int)strtoul(args[++i], &end, 10);
			if (*end != '\0' || *width < DRAW_WIDTH_MIN || *width > 10000) {
				wrong_here("--width: expected 40 to 10000 columns, got %s", args[i]);
				return -1;
			}
		} else if (args[i][0] == '-') {
			wrong_here("unknown flag %s", args[i]);
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

static struct draw terminal(unsigned int width)
{
	setlocale(LC_CTYPE, "");
	return (struct draw){.width = width, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0, .out = stdout};
}

// Asks one question and shows the answer: drawn, or as it came.
static int draw(const struct options *o, const char *statement, unsigned int width, const char *share)
{
	struct draw d = terminal(width);
	struct talk s = {.json = o->json};
	const char *line;
	json_t *answer;
	struct err err;

	s.client = client_open(&o->at, o->user, &err);
	if (s.client == NULL)
		return panectl_failed(&err);
	answer = panectl_ask(s.client, statement, &line, &err);
	if (answer == NULL) {
		client_close(s.client);
		return panectl_failed(&err);
	}
	s.refused = !json_is_true(json_object_get(answer, "ok"));
	if (o->json)
		puts(line);
	else if (s.refused)
		show_answer(answer, stdout);
	else if (share != NULL)
		draw_schedule(&d, share, json_object_get(answer, "items"));
	else if (json_object_get(answer, "shares") != NULL)
		draw_tree(&d, json_object_get(answer, "shares"));
	else
		queues_draw(&d, json_object_get(answer, "items"));
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
		return wrong_here("%s", n_args == 0 ? "which share?" : "one share, by its name");
	snprintf(statement, sizeof(statement), "GetSchedule %s.", args[0]);
	return draw(&o, statement, width, args[0]);
}

static int run_tree(const struct options *given, char **args, int n_args)
{
	unsigned int width = terminal_width();
	struct options o = *given;

	n_args = take_flags(&o, args, n_args, &width, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s is too much", args[0]);
	return draw(&o, "ListShares.", width, NULL);
}

static int run_queues(const struct options *given, char **args, int n_args)
{
	struct options o = *given;

	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s is too much", args[0]);
	return draw(&o, "queues.", terminal_width(), NULL);
}

static int run_topology(const struct options *given, char **args, int n_args)
{
	struct draw d = terminal(terminal_width());
	struct options o = *given;
	bool dot = false;
	int left = 0;

	for (int i = 0; i < n_args; i++) {
		if (strcmp(args[i], "--dot") == 0)
			dot = true;
		else
			args[left++] = args[i];
	}
	n_args = take_flags(&o, args, left, NULL, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s is too much", args[0]);
	return network_topology(&o, &d, dot);
}

// verify ROUND is a statement.
static int run_verify(const struct options *given, char **args, int n_args)
{
	char statement[40], *one = statement;
	struct options o = *given;

	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args < 0)
		return STATUS_USAGE;
	if (n_args > 1 || (n_args == 1 && strspn(args[0], "0123456789.") != strlen(args[0])))
		return wrong_here("%s is too much", args[n_args - 1]);
	if (n_args == 0)
		return network_verify(&o);
	snprintf(statement, sizeof(statement), "verify %.20s", args[0]);
	return statements_run(&o, &one, 1);
}

static int run_events(const struct options *given, char **args, int n_args)
{
	struct options o = *given;
	struct talk s = {0};
	const char *line;
	struct err err;

	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s is too much", args[0]);
	s.json = o.json;
	s.client = client_open(&o.at, o.user, &err);
	if (s.client == NULL)
		return panectl_failed(&err);
	client_on_event(s.client, panectl_print_event, &s);
	client_patience(s.client, -1);
	json_decref(client_receive(s.client, &line, &err)); // no answer is owed: it ends when the session does
	client_close(s.client);
	return panectl_failed(&err);
}

// --seconds S and --rounds N out of the arguments; rounds NULL: is not asked for. 0, or STATUS_USAGE.
static int take_pace(char **args, int *n_args, double *seconds, unsigned int *rounds)
{
	int left = 0;

	for (int i = 0; i < *n_args; i++) {
		bool is_seconds = strcmp(args[i], "--seconds") == 0;
		char *end = "";

		if (!is_seconds && (rounds == NULL || strcmp(args[i], "--rounds") != 0)) {
			args[left++] = args[i];
			continue;
		}
		if (i + 1 == *n_args)
			return wrong_here("%s needs a value", args[i]);
		if (is_seconds)
			*seconds = strtod(args[++i], &end);
		else
			*rounds = (unsigned int)strtoul(args[++i], &end, 10);
		if (is_seconds && (*end != '\0' || !(*seconds >= 0.01 && *seconds <= 86400)))
			return wrong_here("--seconds: expected 0.01 to 86400, got %s", args[i]);
		if (*end != '\0')
			return wrong_here("--rounds: expected a number, got %s", args[i]);
	}
	*n_args = left;
	return 0;
}

static int run_pace(const struct options *given, char **args, int n_args, bool once)
{
	struct options o = *given;
	double seconds = 1;
	unsigned int rounds = 0;
	int ret = take_pace(args, &n_args, &seconds, once ? NULL : &rounds);

	if (ret != 0)
		return ret;
	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args != 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s is too much", args[0]);
	return once ? traffic_stats(&o, seconds) : traffic_top(&o, seconds, rounds);
}

static int run_stats(const struct options *given, char **args, int n_args)
{
	return run_pace(given, args, n_args, true);
}

static int run_top(const struct options *given, char **args, int n_args)
{
	return run_pace(given, args, n_args, false);
}

static int run_trace(const struct options *given, char **args, int n_args)
{
	struct options o = *given;

	n_args = take_flags(&o, args, n_args, NULL, NULL);
	if (n_args <= 0)
		return n_args < 0 ? STATUS_USAGE : wrong_here("%s", "which packet?");
	return trace_run(&o, args, n_args);
}

static int run_play(const struct options *given, char **args, int n_args)
{
	struct options o = *given;
	struct script_conf conf = {.at = o.at};
	struct err err = {0};
	size_t n_refused;
	int rc;

	n_args = take_flags(&o, args, n_args, NULL, &conf.offline);
	if (n_args < 0)
		return STATUS_USAGE;
	if (n_args != 1)
		return wrong_here("%s", n_args == 0 ? "which file?" : "one file");
	conf.path = args[0];
	conf.json = o.json;
	rc = script_run(&conf, &n_refused, &err);
	if (rc != 0) {
		panectl_failed(&err);
		return !conf.offline && rc != -EINVAL && rc != -EISDIR && access(conf.path, R_OK) == 0 ? STATUS_FAILED
												       : STATUS_USAGE;
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
		return wrong_here("%s is too much", args[1]);
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
		return wrong_here("%s", "which files?");
	for (int i = 0; i < n_files; i++) {
		struct check_result result;
		struct err err = {0};

		if (check_file(files[i], stdout, &result, &err) < 0) {
			fflush(stdout);
			fprintf(stderr, "panectl: %s\n", err.msg);
			status = STATUS_USAGE;
			continue;
		}
		if (result.statements == 0) { // nothing was checked: perhaps it is another file that was meant
			fprintf(stderr, "panectl: %s: no line of the form ANSWER <- SPEAKER : STATEMENT. in it\n",
				files[i]);
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

// panectl COMMAND --help.
static bool asks_for_help(int n_args, char **args)
{
	return n_args > 0 && (strcmp(args[0], "--help") == 0 || strcmp(args[0], "-h") == 0);
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_take(&argc, &argv, &o);

	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "");
	if (status >= 0)
		return status;
	for (size_t i = 0; argc > 0 && i < N_COMMANDS; i++) {
		running = &commands[i];
		if (strcmp(argv[0], running->name) != 0)
			continue;
		if (!asks_for_help(argc - 1, argv + 1))
			return running->run(&o, argv + 1, argc - 1);
		printf("panectl %s\n    %s\n", running->syntax, running->help);
		return STATUS_ACCEPTED;
	}
	if (asks_for_help(argc - 1, argv + 1)) // of a verb; `help` is the last command
		return running->run(&o, argv, 1);
	for (int i = 0; i < argc; i++)
		if (argv[i][0] == '-')
			return options_wrong("unknown flag %s", argv[i]);
	return statements_run(&o, argv, argc);
}
