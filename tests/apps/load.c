// SPDX-License-Identifier: Apache-2.0
// pane-load's commands and options, and what they share: clock and series.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

volatile sig_atomic_t load_stop;

static void on_signal(int sig)
{
	load_stop = 1;
}

double load_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int load_going(const struct load_opts *opts, double begin)
{
	return !load_stop && (opts->seconds == 0 || load_now() - begin < opts->seconds);
}

void load_series_start(struct load_series *s, uint32_t step_ms)
{
	*s = (struct load_series){.step = step_ms / 1e3};
	s->next = load_now() + s->step;
}

void load_series_run(struct load_series *s)
{
	double now = load_now();

	if (now < s->next)
		return;
	printf("%.3f %.4f\n", now, (double)s->bytes * 8 / 1e6 / (now - s->next + s->step));
	s->bytes = 0;
	s->next = now + s->step;
}

static const struct command {
	const char *name, *help;
	int (*run)(const struct load_opts *opts);
} commands[] = {
	{"sink", "sink PORT: takes TCP and UDP on PORT, prints the rate of what arrives", load_sink},
	{"send", "send ADDRESS[,ADDRESS] PORT: TCP flows, prints when --bytes have arrived", load_send},
	{"flood", "flood ADDRESS: UDP to ports 10000 and up, at --rate", load_flood},
	{"watch", "watch INTERFACE: prints the rate of what it receives", load_watch},
};

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: pane-load COMMAND [OPTIONS]\n\ncommands:\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %s\n", commands[i].help);
	fprintf(out, "\n  --flows N       send: flows to each address; flood: ports [1]\n"
		     "  --bytes N       send: bytes in all, shared by the flows as they come [no end]\n"
		     "  --rate MBPS     flood: Mb/s of frames [10]\n"
		     "  --size N        flood: largest payload in bytes, 16..1472 [1000]\n"
		     "  --seconds S     ends after that time [no end]\n"
		     "  --step MS       between two lines [100]\n");
	return status;
}

static int number(const char *name, const char *text, double low, double high, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	if (end != text && *end == '\0' && errno == 0 && *value >= low && *value <= high)
		return 0;
	fprintf(stderr, "pane-load: %s: expected %.0f..%.0f, got \"%s\"\n", name, low, high, text);
	return -1;
}

static int parse_opts(int argc, char **argv, struct load_opts *opts)
{
	static const struct option longs[] = {
		{"flows", required_argument, NULL, 'f'},   {"bytes", required_argument, NULL, 'b'},
		{"rate", required_argument, NULL, 'r'},    {"size", required_argument, NULL, 's'},
		{"seconds", required_argument, NULL, 't'}, {"step", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	double v = 0;
	int c, rc = 0;

	*opts = (struct load_opts){.flows = 1, .size = 1000, .rate_bps = 10000000, .step_ms = 100};
	while (rc == 0 && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			rc = number("--flows", optarg, 1, 50000, &v);
			opts->flows = (uint32_t)v;
			break;
		case 'b':
			rc = number("--bytes", optarg, 1, 1e15, &v);
			opts->bytes = (uint64_t)v;
			break;
		case 'r':
			rc = number("--rate", optarg, 0.01, 1e6, &v);
			opts->rate_bps = (uint64_t)(v * 1e6);
			break;
		case 's':
			rc = number("--size", optarg, 16, 1472, &v);
			opts->size = (uint32_t)v;
			break;
		case 't':
			rc = number("--seconds", optarg, 0, 1e6, &v);
			opts->seconds = v;
			break;
		case 'i':
			rc = number("--step", optarg, 1, 1e5, &v);
			opts->step_ms = (uint32_t)v;
			break;
		default:
			rc = c == 'h' ? 1 : -1;
		}
	}
	return rc;
}

// The words after the command: what it talks to, and a port where it needs one.
static int parse_words(int argc, char **argv, struct load_opts *opts)
{
	const char *name = argv[0];
	bool sink = strcmp(name, "sink") == 0, send = strcmp(name, "send") == 0;
	double port = 0;

	if (argc != (send ? 3 : 2)) {
		fprintf(stderr, "pane-load %s: expected %d words after it, got %d\n", name, send ? 2 : 1, argc - 1);
		return -1;
	}
	if ((sink || send) && number("PORT", argv[argc - 1], 1, 65535, &port) < 0)
		return -1;
	opts->port = (uint16_t)port;
	opts->target = argv[1];
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct load_opts opts;
	int rc = parse_opts(argc, argv, &opts);

	if (rc != 0 || optind == argc)
		return rc == 1 ? usage(stdout, 0) : usage(stderr, 2);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[optind], commands[i].name) != 0)
			continue;
		if (parse_words(argc - optind, argv + optind, &opts) < 0)
			return 2;
		return commands[i].run(&opts) < 0 ? 1 : 0;
	}
	fprintf(stderr, "pane-load: no command \"%s\"\n", argv[optind]);
	return usage(stderr, 2);
}
