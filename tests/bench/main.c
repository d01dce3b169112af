// SPDX-License-Identifier: Apache-2.0
// pane-bench: one command a benchmark; people read a table, programs --json.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "dataplane/cls_row.h"

static const struct command {
	const char *name, *help;
	json_t *(*run)(const struct bench_opts *opts, struct err *err);
	bool no_file;
} commands[] = {
	{"admit", "statements admitted a second, parse included, durability off and on", bench_admit},
	{"stand", "many reservations that stand: cost of one more, memory, restart", bench_stand, true},
	{"classify", "lookup through the layers, against plain rte_acl: merged, changing, with a dead row",
	 bench_classify},
	{"compile", "policy tree of the script to rows by parts, and to the flat network flow table", bench_compile},
	{"update", "from a statement to the first packets that obey it, a worker classifying all the while",
	 bench_update},
	{"switch",
	 "the real switch: from a statement on its socket to the first frames that obey it; how late rows start and "
	 "end",
	 bench_switch},
	{"verify", "proof that the table by parts is the policy: one change, the whole table", bench_verify},
	{"openflow",
	 "200 played switches that send packet-ins; a request on a line of 20; inside the testbed: flow mods to a "
	 "bridge",
	 bench_openflow, true},
	{"forward", "packets through the real worker", bench_forward, true},
	{"sched", "packets in and out of the scheduler of one queue; a change adopted", bench_sched, true},
};

static const char options_help[] =
	"\noptions:\n"
	"  --repeat N         runs; the median is reported, min and max beside it [5]\n"
	"  --json             one JSON object on one line\n"
	"  --no-flat          compile: by parts only\n"
	"  --dump             compile: print the flat table in force at 0, a row as JSON a line, first match decides\n"
	"  --journal PATH     admit, stand: of the log, on a disk that syncs; a commit for every 256 statements\n"
	"                     [a file in $TMPDIR or /var/tmp, removed afterwards]\n"
	"  --requests N       stand: how many, 2,000 at least [100000]\n"
	"\nupdate (FILE.pane: what is in force before):\n"
	"  --rate N           changes per second [1000]; then 10,000 as fast as they go\n"
	"  --seconds S        [1]\n"
	"\nswitch (FILE.pane: what is in force before; as root):\n"
	"  --rate N           changes per second [1000]; then 3,072 as fast as they go, then 200 instants\n"
	"  --seconds S        of changes [1]\n"
	"\nclassify (FILE.rules in ClassBench's format, with FILE.trace if there is one; or FILE.pane):\n"
	"  --rate N           changes per second [1000]\n"
	"  --flows N          packets drawn where there is no trace [1000]\n"
	"  --seconds S        of a run with changes; the others take a fifth [1]\n"
	"\nsched:\n"
	"  --classes N        beside best effort [65535]\n"
	"  --backlogged M     of them all the time [0]\n"
	"  --beside           alternate with DPDK's rte_sched, the same packets: how many times as fast ours is\n"
	"  --seconds S        of one run, about [1]\n"
	"\nforward:\n"
	"  --ports \"DEV...\"  devices as in the configuration, separated by blanks [two that invent the flows, "
	"pcap:]\n"
	"  --rules FILE       ClassBench rules, first match wins, default allow; fw:N: N firewall-like ones [none]\n"
	"  --deny-every N     every Nth rule denies, the others allow; 0: none denies [0]\n"
	"  --categories N     the rules are spread over so many; in each the first match wins [1]\n"
	"  --limits N         the rules are under so many limits, too, that never stop; 0: none [0]\n"
	"  --flows N          flows, each within a rule drawn at random [1000]\n"
	"  --trace FILE       the flows of a ClassBench header trace instead\n"
	"  --packets PCAP     what this capture file holds instead, in at the first port\n"
	"  --hosts N          MAC addresses on each side [256]\n"
	"  --frame-bytes N    with FCS [64]\n"
	"  --seed N           of the flows [1]\n"
	"  --write PREFIX     only write what each side sends to PREFIX0.pcap and PREFIX1.pcap, the rules to "
	"PREFIXrules\n"
	"  --seconds S        of one run, in processor time of the worker [1]\n"
	"  --cores M,W,...    CPUs of the main thread and of the workers [chosen: one]\n"
	"  --memory MB        [1024]\n"
	"  --huge             of huge pages\n"
	"  --check            stop, and compare what was denied with a linear scan of the rules\n";

static int usage(FILE *out, int status)
{
	fprintf(out, "usage: pane-bench COMMAND FILE [OPTION...]\n"
		     "       pane-bench stand|forward|openflow|sched [OPTION...]\n\ncommands:\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs(options_help, out);
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
	if (*optarg == '\0' || *end != '\0' || o->seconds < 0.01 || o->seconds > 86400) {
		fprintf(stderr, "pane-bench: --%s: expected a number, got \"%s\"\n",
			option == OPT_SEED ? "seed" : "seconds", optarg);
		return -EINVAL;
	}
	return 0;
}

static int parse_opts(int argc, char **argv, struct bench_opts *opts)
{
	int c, ret;

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
	while ((c = getopt_long(argc, argv, "hj", longs, NULL)) != -1) {
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
		} else {
			return c == 'h' ? 1 : -EINVAL;
		}
	}
	return 0;
}

static int run(const struct command *command, const struct bench_opts *opts)
{
	struct err err = {0};
	json_t *figures;

	if (opts->dump && command->run == bench_compile) {
		if (bench_dump(opts->file, &err) == 0)
			return 0;
		fprintf(stderr, "pane-bench: %s: %s\n", command->name, err.msg);
		return 1;
	}
	figures = command->run(opts, &err);
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
	for (size_t i = 0; optind < argc && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[optind], commands[i].name) != 0)
			continue;
		if (argc - optind != (commands[i].no_file ? 1 : 2))
			return usage(stderr, 2);
		opts.file = argv[optind + 1];
		return run(&commands[i], &opts);
	}
	if (optind < argc)
		fprintf(stderr, "pane-bench: unknown command \"%s\"\n", argv[optind]);
	return usage(stderr, 2);
}
