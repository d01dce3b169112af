// SPDX-License-Identifier: Apache-2.0
// pane-bench: one command a benchmark; people read a table, programs --json.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum status { // of the program
	STATUS_MEASURED = 0,
	STATUS_NOT_MEASURED = 1,
	STATUS_USAGE = 2,
};

static const struct command {
	const char *name, *file, *help, *options; // file: what FILE is; NULL: there is none
	json_t *(*run)(const struct bench_opts *opts, struct err *err);
} commands[] = {
	{"admit", "FILE.pane", "statements admitted a second, parse included, durability off and on",
	 "  --journal PATH     of the log, on a disk that syncs; a commit for every 256 statements\n"
	 "                     [a file in $TMPDIR or /var/tmp, removed afterwards]\n",
	 bench_admit},
	{"stand", NULL, "many reservations that stand: cost of one more, memory, restart",
	 "  --requests N       how many, 2000 at least [100000]\n"
	 "  --journal PATH     as for admit\n",
	 bench_stand},
	{"classify", "FILE.rules (in ClassBench's format, with FILE.trace if there is one) or FILE.pane",
	 "lookup through the layers, against plain rte_acl: merged, changing, with a dead row",
	 "  --rate N           changes per second [1000]\n"
	 "  --flows N          packets drawn where there is no trace [1000]\n"
	 "  --seconds S        of a run with changes; the others take a fifth [1]\n",
	 bench_classify},
	{"compile", "FILE.pane", "policy tree of the script to rows by parts, and to the flat network flow table",
	 "  --no-flat          by parts only\n"
	 "  --dump             print the flat table in force at 0, a row as JSON a line, first match decides\n",
	 bench_compile},
	{"update", "FILE.pane (what is in force before; /dev/null: nothing)",
	 "from a statement to the first packets that obey it, a worker classifying all the while",
	 "  --rate N           changes per second [1000]; then 10,000 as fast as they go\n"
	 "  --seconds S        of changes [1]\n",
	 bench_update},
	{"switch", "FILE.pane (what is in force before; /dev/null: nothing)",
	 "the real switch: from a statement on its socket to the first frames that obey it; how late rows start and "
	 "end; as root",
	 "  --rate N           changes per second [1000]; then 3,072 as fast as they go, then 200 instants\n"
	 "  --seconds S        of changes [1]\n",
	 bench_switch},
	{"verify", "FILE.pane", "proof that the table by parts is the policy: one change, the whole table",
	 "  --no-flat          by parts only\n", bench_verify},
	{"openflow", NULL,
	 "200 played switches that send packet-ins; a request on a line of 20; inside the testbed: flow mods to a "
	 "bridge",
	 "", bench_openflow},
	{"forward", NULL, "packets through the real worker",
	 "  --ports \"DEV...\"   devices as in the configuration, separated by blanks [two that invent the flows, "
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
	 "  --check            stop, and compare what was denied with a linear scan of the rules\n",
	 bench_forward},
	{"sched", NULL, "packets in and out of the scheduler of one queue; a change adopted",
	 "  --classes N        beside best effort [65535]\n"
	 "  --backlogged M     of them all the time [0]\n"
	 "  --beside           alternate with DPDK's rte_sched, the same packets: how many times as fast ours is\n"
	 "  --seconds S        of one run, about [1]\n",
	 bench_sched},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char options_of_all[] = "\noptions of every command:\n"
				     "  --repeat N         runs; the median is reported, min and max beside it [5]\n"
				     "  --json             one JSON object on one line\n"
				     "  --help             of the command that is named; without one, of all\n"
				     "\nExit status: 0 measured; 1 not: a file cannot be read, a device or a limit is "
				     "in the way, a check failed; 2 the\n"
				     "command line is wrong.\n";

static void help(const struct command *one)
{
	if (one != NULL) {
		printf("usage: pane-bench %s%s [OPTION...]\n%s\n", one->name, one->file == NULL ? "" : " FILE",
		       one->help);
		if (one->file != NULL)
			printf("FILE: %s\n", one->file);
		printf("%s%s%s", one->options[0] == '\0' ? "" : "\noptions:\n", one->options, options_of_all);
		return;
	}
	printf("usage: pane-bench COMMAND [FILE] [OPTION...]\n\ncommands (pane-bench COMMAND --help tells the options "
	       "of "
	       "one):\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-8s %-4s  %s\n", commands[i].name, commands[i].file == NULL ? "" : "FILE", commands[i].help);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (commands[i].options[0] == '\0')
			continue;
		printf("\n%s%s%s:\n%s", commands[i].name, commands[i].file == NULL ? "" : " ",
		       commands[i].file == NULL ? "" : commands[i].file, commands[i].options);
	}
	fputs(options_of_all, stdout);
}

static int wrong(const char *fmt, const char *what)
{
	fprintf(stderr, "pane-bench: ");
	fprintf(stderr, fmt, what);
	fputc('\n', stderr);
	return STATUS_USAGE;
}

// Its file is looked for before anything is started.
static bool has_file(const struct command *command, const struct bench_opts *opts, struct err *err)
{
	FILE *f = command->file == NULL ? NULL : bench_open(opts->file, err);

	if (f != NULL)
		fclose(f);
	return command->file == NULL || f != NULL;
}

static int run(const struct command *command, const struct bench_opts *opts)
{
	struct err err = {0};
	json_t *figures = NULL;
	bool dump = opts->dump && command->run == bench_compile, ok;

	bench_progress_start(command->name);
	if (!has_file(command, opts, &err))
		ok = false;
	else if (dump)
		ok = bench_dump(opts->file, &err) == 0;
	else
		ok = (figures = command->run(opts, &err)) != NULL;
	bench_progress_end();
	if (!ok) {
		fprintf(stderr, "pane-bench: %s: %s\n", command->name, err.msg);
		return STATUS_NOT_MEASURED;
	}
	if (opts->json && !dump) {
		json_dumpf(figures, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else if (!dump) {
		bench_table(command->name, figures, opts->repeat);
	}
	json_decref(figures);
	return STATUS_MEASURED;
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;
	struct bench_opts opts;
	const char *name;
	int n_words;

	if (bench_opts_parse(argc, argv, &opts) < 0)
		return wrong("%s", "pane-bench --help tells the options");
	n_words = argc - optind;
	name = n_words > 0 ? argv[optind] : "";
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			command = &commands[i];
	if (command == NULL && n_words > 0)
		return wrong("there is no command \"%s\": pane-bench --help lists them", name);
	if (opts.help) {
		help(command);
		return STATUS_MEASURED;
	}
	if (command == NULL)
		return wrong("%s", "which command? pane-bench --help lists them");
	if (command->file != NULL && n_words < 2)
		return wrong("which file? it takes %s", command->file);
	if (n_words > (command->file != NULL ? 2 : 1))
		return wrong("\"%s\" is too much", argv[optind + (command->file != NULL ? 2 : 1)]);
	opts.file = argv[optind + 1];
	return run(command, &opts);
}
