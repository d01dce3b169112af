// SPDX-License-Identifier: Apache-2.0
// `pane-bench stand`: what it costs to admit a reservation when many stand, what they take of memory, and how soon a
// controller that was killed has them back. Reservations as in the `resv` scripts: distinct flow groups, distinct
// intervals in random order, one share.
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/engine.h"
#include "control/log.h"
#include "control/recovery.h"

#define FEW 1000   // the cost among many is compared with that among these
#define TIMED 1000 // statements in each sample
#define GROUP 256  // pipelined statements that share a commit

struct life {
	struct nib *nib;
	struct engine *engine;
	struct recovery *recovery;
};

static void life_end(struct life *l, bool clean)
{
	recovery_close(l->recovery, clean);
	engine_destroy(l->engine);
	nib_destroy(l->nib);
	*l = (struct life){0};
}

static int life_begin(struct life *l, const char *path, struct err *err)
{
	const struct engine_conf conf = {.offline = false};
	const struct recovery_conf journal = {.path = path};

	*l = (struct life){.nib = nib_create()};
	if (l->nib != NULL)
		l->engine = engine_create(&conf, l->nib, 0);
	if (l->engine == NULL) {
		life_end(l, false);
		return err_set(err, ENOMEM, "out of memory");
	}
	if (path != NULL && (l->recovery = recovery_open(&journal, l->engine, l->nib, 0, err)) == NULL) {
		life_end(l, false);
		return -EIO;
	}
	return 0;
}

static int say(struct life *l, const char *statement, double *us, struct err *err)
{
	const struct principal root = {.user = "root"};
	size_t len = strlen(statement);
	struct reply reply;
	uint64_t start_ns = bench_now_ns();
	int ret = 0;

	reply_init(&reply);
	engine_exec(l->engine, &root, statement, len, 0, &reply);
	*us = (double)(bench_now_ns() - start_ns) / 1e3;
	if (reply.code != REPLY_OK)
		ret = err_set(err, EINVAL, "refused: %s", statement);
	else if (l->recovery != NULL)
		ret = recovery_append(l->recovery, &root, statement, len, err);
	reply_fini(&reply);
	return ret;
}

// A permutation of 0 .. n-1 in constant memory: the cost is to be the engine's.
static uint32_t shuffled(uint32_t i, uint32_t n)
{
	uint64_t step = 2654435761u % n;

	while (step < 2 || n % step == 0) // n of the kind 10^k is all that is asked for; else some come twice
		step++;
	return (uint32_t)(i * step % n);
}

static void reservation(uint32_t i, char *out, size_t size)
{
	uint32_t src = i + 1, dst = 0x20000 + (uint32_t)((uint64_t)i * 7919 % 65000);

	snprintf(out, size,
		 "reserve(transport=TCP, srcHost=10.%u.%u.%u, dstHost=10.%u.%u.%u, dstPort=%u) = %u on net0"
		 " from %u to %u.",
		 src >> 16 & 255, src >> 8 & 255, src & 255, dst >> 16 & 255, dst >> 8 & 255, dst & 255, 1 + i % 60000,
		 100 + i % 900, 10 + 10 * i, 19 + 10 * i);
}

static double resident_mb(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	malloc_trim(0);
	if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f != NULL)
		fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

struct sample {
	double few[TIMED], many[TIMED];
	uint32_t n_few, n_many;
};

// n requests, one after the other.
static int fill(struct life *l, uint32_t n, struct sample *s, struct err *err)
{
	char text[256];
	double us;
	int ret = say(l, "NewShare net0 for (*) [reserve <= 1000] on rootShare.", &us, err);

	for (uint32_t i = 0; i < n && ret == 0; i++) {
		reservation(shuffled(i, n), text, sizeof(text));
		ret = say(l, text, &us, err);
		if (i >= FEW && s->n_few < TIMED)
			s->few[s->n_few++] = us;
		if (i >= n - TIMED)
			s->many[s->n_many++] = us;
		if (ret == 0 && l->recovery != NULL && i % GROUP == 0)
			ret = recovery_commit(l->recovery, err) < 0 ? -EIO : 0;
	}
	return ret;
}

// A controller that had accepted n and was killed, and one that was asked to stop.
static int restart(const char *path, uint32_t n, double *killed_ms, double *clean_ms, struct err *err)
{
	struct sample *unused = calloc(1, sizeof(*unused));
	struct life l = {0};
	int ret = unused == NULL ? err_set(err, ENOMEM, "out of memory") : life_begin(&l, path, err);

	if (ret == 0)
		ret = fill(&l, n, unused, err);
	if (ret == 0 && recovery_commit(l.recovery, err) < 0)
		ret = -EIO;
	for (int i = 0; i < 2 && ret == 0; i++) {
		uint64_t start_ns;

		life_end(&l, i == 1);
		start_ns = bench_now_ns();
		ret = life_begin(&l, path, err);
		*(i == 0 ? killed_ms : clean_ms) = (double)(bench_now_ns() - start_ns) / 1e6;
		if (ret == 0 && engine_n_requests(l.engine) != n)
			ret = err_set(err, EIO, "%zu of %u requests came back", engine_n_requests(l.engine), n);
	}
	life_end(&l, false);
	free(unused);
	return ret;
}

struct stand_runs {
	double *few, *many, *ratio, *mb, *killed, *clean;
};

static int stand_run(const char *path, uint32_t n, uint32_t run, struct stand_runs *runs, struct err *err)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct life l;
	double before_mb = resident_mb();
	int ret = s == NULL ? err_set(err, ENOMEM, "out of memory") : life_begin(&l, NULL, err);

	if (ret == 0) {
		ret = fill(&l, n, s, err);
		runs->mb[run] = resident_mb() - before_mb;
		life_end(&l, false);
	}
	if (ret == 0) {
		runs->few[run] = bench_quantile(s->few, s->n_few, 0.5);
		runs->many[run] = bench_quantile(s->many, s->n_many, 0.5);
		runs->ratio[run] = runs->many[run] / runs->few[run];
		bench_journal_forget(path);
		ret = restart(path, n, &runs->killed[run], &runs->clean[run], err);
		bench_journal_forget(path);
	}
	free(s);
	return ret;
}

json_t *bench_stand(const struct bench_opts *opts, struct err *err)
{
	size_t n = opts->repeat;
	double *mem = calloc(6 * n, sizeof(double));
	struct stand_runs runs = {mem, mem + n, mem + 2 * n, mem + 3 * n, mem + 4 * n, mem + 5 * n};
	char path[4096];
	json_t *out = NULL;
	int ret = mem == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	log_init("pane-bench", LOG_LEVEL_WARNING, NULL);
	bench_journal_path(opts, path, sizeof(path));
	for (uint32_t i = 0; i < opts->repeat && ret == 0; i++) {
		bench_progress("run", i + 1, opts->repeat);
		ret = stand_run(path, opts->requests, i, &runs, err);
	}
	if (ret == 0) {
		out = json_object();
		json_object_set_new(out, "requests", json_integer(opts->requests));
		bench_spread(out, "p50_us_at_1000", runs.few, n);
		bench_spread(out, "p50_us", runs.many, n);
		bench_spread(out, "ratio", runs.ratio, n);
		bench_spread(out, "memory_mb", runs.mb, n);
		bench_spread(out, "restart_killed_ms", runs.killed, n);
		bench_spread(out, "restart_clean_ms", runs.clean, n);
	}
	free(mem);
	return out;
}
