// SPDX-License-Identifier: Apache-2.0
// What the benchmarks share: the clock, order statistics, command scripts, options.
// Owner: pane-bench's main thread.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "hft/err.h"

struct engine;
struct nib;

struct bench_opts {
	const char *file;
	uint32_t repeat; // runs, the median is reported
	bool json;
	bool no_flat;  // compile: leave the flat table out
	bool dump;     // compile: print the flat table instead
	uint32_t rate; // classify: changes per second
	// admit, stand: a new one is made there, on a disk that syncs; NULL: in a directory for such files
	const char *journal;
	uint32_t requests;            // stand: how many
	uint32_t classes, backlogged; // sched
	bool beside;                  // sched: alternate with rte_sched

	// forward; NULL: none
	const char *ports;   // devices (nic-config/port.h), separated by blanks; NULL: made from the flows
	const char *rules;   // ClassBench file
	const char *packets; // capture file, the source of the first port
	const char *trace;   // ClassBench header trace instead of flows drawn from the rules
	const char *write;   // only write the flows' capture files, with this prefix
	const char *cores;   // "MAIN,WORKER,..."
	double seconds;      // of one run; classify, too
	uint32_t flows, hosts, frame_bytes, deny_every, categories, limits, memory_mb;
	uint64_t seed;
	bool check; // compare what was denied with a linear scan of the rules
	bool huge;  // memory of huge pages
	bool help;  // only tell the options
};

// 0, or -EINVAL, and what is wrong is said. What is no option is left behind optind.
int bench_opts_parse(int argc, char **argv, struct bench_opts *opts);

// A command script: `speaker : statement.` a line; what stands before `// BEGIN` is set-up and not timed.
struct bench_line {
	char *speaker, *statement;
	size_t len;
	bool timed;
};

struct bench_script {
	struct bench_line *lines;
	size_t n, n_timed;
};

// For reading; a folder is refused. NULL with err.
FILE *bench_open(const char *path, struct err *err);
// 0, or -EINVAL with err where a plain file, read to its end, had nothing in it of what was looked for.
int bench_not_empty(const char *path, size_t n, const char *what, struct err *err);
uint64_t bench_now_ns(void);                                                      // monotonic
int bench_script_load(const char *path, struct bench_script *s, struct err *err); // -errno; err names file and line
void bench_script_free(struct bench_script *s);
// q in 0..1 of n values (sorted in place); 0 when n is 0.
double bench_quantile(double *values, size_t n, double q);
// NAME, NAME_min and NAME_max of the runs' values into out (values are sorted in place).
void bench_spread(json_t *out, const char *name, double *values, size_t n);

// How far it is, to standard error from the second second on, where that is a terminal. Main thread.
void bench_progress_start(const char *command);
void bench_progress(const char *phase, uint32_t at, uint32_t of); // phase lives on, NULL: none; of 0: not known
void bench_progress_end(void);

// The figures, for people, to standard output. They are of so many runs.
void bench_table(const char *command, json_t *figures, uint32_t repeat);

// Of opts, or one of this process in $TMPDIR or /var/tmp.
void bench_journal_path(const struct bench_opts *opts, char *path, size_t size);
void bench_journal_forget(const char *path); // the file, and what SQLite puts beside it

// The controller's state after a command script.
struct bench_policy {
	struct nib *nib;
	struct engine *engine;
};

int bench_policy_load(const char *path, struct bench_policy *policy, struct err *err); // -errno; err
void bench_policy_free(struct bench_policy *policy);

// Each runs one benchmark and returns its figures (new reference), or NULL with err.
json_t *bench_admit(const struct bench_opts *opts, struct err *err);
json_t *bench_stand(const struct bench_opts *opts, struct err *err);
json_t *bench_compile(const struct bench_opts *opts, struct err *err);
int bench_dump(const char *path, struct err *err); // the flat table of a script, clock at 0, to stdout
json_t *bench_classify(const struct bench_opts *opts, struct err *err);
json_t *bench_update(const struct bench_opts *opts, struct err *err);
json_t *bench_switch(const struct bench_opts *opts, struct err *err);
json_t *bench_verify(const struct bench_opts *opts, struct err *err);
json_t *bench_openflow(const struct bench_opts *opts, struct err *err);
json_t *bench_sched(const struct bench_opts *opts, struct err *err);
json_t *bench_forward(const struct bench_opts *opts, struct err *err);

// A part of openflow: into out. 0, or -errno with err.
int bench_flow_mods(const struct bench_opts *opts, json_t *out, struct err *err);
