// SPDX-License-Identifier: Apache-2.0
// pane-bench: one command a benchmark; people read a table, programs --json.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const struct command {
	const char *name, *help;
	json_t *(*run)(const struct bench_opts *opts, struct err *err);
} commands[] = {
	{"admit", "statements admitted a second, parse included", bench_admit},
	{"compile", "policy tree of the script to rows by parts, and to the flat network flow table", bench_compile},
	{"verify", "proof that the table by parts is the policy: one change, the whole table", bench_verify},
};

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: pane-bench COMMAND FILE.pane [--repeat N] [--json] [--journal PATH]\n\ncommands:\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\n  --repeat N   runs; the median is reported, min and max beside it [5]\n"
		     "  --json       one JSON object on one line\n"
		     "  --no-flat    compile: by parts only\n"
		     "  --journal PATH  admit: log on, in a new file on a disk that syncs; a commit for every 256 "
		     "statements\n");
	return status;
}

static void print_table(const char *command, json_t *figures)
{
	const char *key;
	json_t *value;

	printf("%s\n", command);
	json_object_foreach(figures, key, value)
	{
		if (json_is_integer(value)) {
			printf("  %-28s %16lld\n", key, (long long)json_integer_value(value));
		} else if (json_is_real(value)) {
			printf("  %-28s %16.3f\n", key, json_real_value(value));
		} else {
			char *text = json_dumps(value, JSON_COMPACT);

			printf("  %-28s %16s\n", key, text != NULL ? text : "?");
			free(text);
		}
	}
}

static int parse_opts(int argc, char **argv, struct bench_opts *opts)
{
	static const struct option longs[] = {
		{"repeat", required_argument, NULL, 'r'},  {"json", no_argument, NULL, 'j'},
		{"journal", required_argument, NULL, 'J'}, {"no-flat", no_argument, NULL, 'F'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	char *end;
	int c;

	*opts = (struct bench_opts){.repeat = 5};
	while ((c = getopt_long(argc, argv, "hj", longs, NULL)) != -1) {
		if (c == 'j') {
			opts->json = true;
		} else if (c == 'F') {
			opts->no_flat = true;
		} else if (c == 'J') {
			opts->journal = optarg;
		} else if (c == 'r') {
			opts->repeat = (uint32_t)strtoul(optarg, &end, 10);
			if (*end != '\0' || opts->repeat == 0 || opts->repeat > 1000) {
				fprintf(stderr, "pane-bench: --repeat: expected 1..1000, got \"%s\"\n", optarg);
				return -EINVAL;
			}
		} else {
			return c == 'h' ? 1 : -EINVAL;
		}
	}
	return 0;
}

static int run(const struct command *command, const struct bench_opts *opts)
{
	struct err err = {0};
	json_t *figures = command->run(opts, &err);

	if (figures == NULL) {
		fprintf(stderr, "pane-bench: %s: %s\n", command->name, err.msg);
		return 1;
	}
	if (opts->json) {
		json_dumpf(figures, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		print_table(command->name, figures);
	}
	json_decref(figures);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench_opts opts;
	int ret = parse_opts(argc, argv, &opts);

	if (ret != 0)
		return usage(ret > 0 ? stdout : stderr, ret > 0 ? 0 : 2);
	if (argc - optind != 2)
		return usage(stderr, 2);
	opts.file = argv[optind + 1];
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[optind], commands[i].name) == 0)
			return run(&commands[i], &opts);
	}
	fprintf(stderr, "pane-bench: unknown command \"%s\"\n", argv[optind]);
	return usage(stderr, 2);
}
