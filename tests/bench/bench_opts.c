// SPDX-License-Identifier: Apache-2.0
// The options of pane-bench's command line.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "dataplane/cls_row.h"

enum {
	OPT_FIRST = 256,
	OPT_FLOWS = OPT_FIRST,
	OPT_HOSTS,
	OPT_FRAME,
	OPT_DENY,
	OPT_CATEGORIES,
	OPT_LIMITS,
	OPT_MEMORY,
	OPT_REPEAT,
	OPT_RATE,
	OPT_REQUESTS,
	OPT_CLASSES,
	OPT_BACKLOGGED,
	OPT_SEED,
	OPT_PORTS,
	OPT_RULES,
	OPT_PACKETS,
	OPT_TRACE,
	OPT_WRITE,
	OPT_CORES,
	OPT_JOURNAL,
	OPT_SECONDS,
	OPT_CHECK,
	OPT_HUGE,
	OPT_NO_FLAT,
	OPT_DUMP,
	OPT_BESIDE
};

static const struct option longs[] = {
	{"flows", required_argument, NULL, OPT_FLOWS},
	{"hosts", required_argument, NULL, OPT_HOSTS},
	{"frame-bytes", required_argument, NULL, OPT_FRAME},
	{"deny-every", required_argument, NULL, OPT_DENY},
	{"categories", required_argument, NULL, OPT_CATEGORIES},
	{"limits", required_argument, NULL, OPT_LIMITS},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"repeat", required_argument, NULL, OPT_REPEAT},
	{"rate", required_argument, NULL, OPT_RATE},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"classes", required_argument, NULL, OPT_CLASSES},
	{"backlogged", required_argument, NULL, OPT_BACKLOGGED},
	{"seed", required_argument, NULL, OPT_SEED},
	{"ports", required_argument, NULL, OPT_PORTS},
	{"rules", required_argument, NULL, OPT_RULES},
	{"packets", required_argument, NULL, OPT_PACKETS},
	{"trace", required_argument, NULL, OPT_TRACE},
	{"write", required_argument, NULL, OPT_WRITE},
	{"cores", required_argument, NULL, OPT_CORES},
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"check", no_argument, NULL, OPT_CHECK},
	{"huge", no_argument, NULL, OPT_HUGE},
	{"no-flat", no_argument, NULL, OPT_NO_FLAT},
	{"dump", no_argument, NULL, OPT_DUMP},
	{"beside", no_argument, NULL, OPT_BESIDE},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse_number(int option, struct bench_opts *o)
{
	static const uint32_t most[] = {10000000, 65536,    1518,  10000000, CLS_CATEGORIES_MAX, 65535, 1048576, 1000,
					1000000,  10000000, 65535, 65535};
	static const uint32_t least[] = {1, 1, 64, 0, 1, 0, 64, 1, 1, 2000, 1, 0};
	uint32_t *const to[] = {&o->flows,      &o->hosts,    &o->frame_bytes, &o->deny_every,
				&o->categories, &o->limits,   &o->memory_mb,   &o->repeat,
				&o->rate,       &o->requests, &o->classes,     &o->backlogged};
	int i = option - OPT_FIRST;
	char *end;
	unsigned long v = strtoul(optarg, &end, 10);

	if (*optarg == '\0' || *end != '\0' || *optarg == '-' || v < least[i] || v > most[i]) {
		fprintf(stderr, "pane-bench: --%s: expected %u..%u, got \"%s\"\n", longs[i].name, least[i], most[i],
			optarg);
		return -EINVAL;
	}
	*to[i] = (uint32_t)v;
	return 0;
}

static int parse_value(int option, struct bench_opts *o)
{
	const char **const to[] = {&o->ports, &o->rules, &o->packets, &o->trace, &o->write, &o->cores, &o->journal};
	char *end;

	if (option < OPT_SEED)
		return parse_number(option, o);
	if (option >= OPT_PORTS && option <= OPT_JOURNAL) {
		*to[option - OPT_PORTS] = optarg;
		return 0;
	}
	if (option == OPT_SEED)
		o->seed = strtoull(optarg, &end, 10);
	else
		o->seconds = strtod(optarg, &end);
	if (*optarg == '\0' || *optarg == '-' || *end != '\0' || !(o->seconds >= 0.01 && o->seconds <= 86400)) {
		fprintf(stderr, "pane-bench: --%s: expected %s, got \"%s\"\n", option == OPT_SEED ? "seed" : "seconds",
			option == OPT_SEED ? "a number from 0 on" : "0.01 to 86400 seconds", optarg);
		return -EINVAL;
	}
	return 0;
}

// What getopt did not know, or what lacks its value.
static int refuse(int c, char **argv)
{
	char letter[] = {'-', (char)optopt, '\0'};
	bool is_short = optopt > 0 && optopt < OPT_FIRST && strncmp(argv[optind - 1], "--", 2) != 0;

	fprintf(stderr, c == ':' ? "pane-bench: %s needs a value\n" : "pane-bench: unknown option %s\n",
		is_short ? letter : argv[optind - 1]);
	return -EINVAL;
}

int bench_opts_parse(int argc, char **argv, struct bench_opts *opts)
{
	int c, ret;

	opterr = 0;
	*opts = (struct bench_opts){.repeat = 5,
				    .flows = 1000,
				    .hosts = 256,
				    .frame_bytes = 64,
				    .categories = 1,
				    .rate = 1000,
				    .requests = 100000,
				    .classes = 65535,
				    .seconds = 1,
				    .memory_mb = 1024,
				    .seed = 1};
	while ((c = getopt_long(argc, argv, ":hj", longs, NULL)) != -1) {
		if (c == 'j') {
			opts->json = true;
		} else if (c == OPT_NO_FLAT) {
			opts->no_flat = true;
		} else if (c == OPT_DUMP) {
			opts->dump = true;
		} else if (c == OPT_CHECK) {
			opts->check = true;
		} else if (c == OPT_HUGE) {
			opts->huge = true;
		} else if (c == OPT_BESIDE) {
			opts->beside = true;
		} else if (c >= OPT_FIRST) {
			ret = parse_value(c, opts);
			if (ret < 0)
				return ret;
		} else if (c == 'h') {
			opts->help = true;
		} else {
			return refuse(c, argv);
		}
	}
	return 0;
}
