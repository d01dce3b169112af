// SPDX-License-Identifier: Apache-2.0
// `pane-bench admit`: the controller's decisions on a command script, clock at 0, no network.
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/engine.h"
#include "control/journal.h"

#define GROUP 256 // pipelined statements that share a commit

struct played {
	struct nib *nib;
	struct engine *engine;
	struct journal *journal;
	size_t n_waiting; // statements executed and not yet to be answered
	double *us;       // one a timed statement
	size_t n_us, refused;
	uint64_t timed_ns, cpu_ns; // all timed statements with their commits; and what of it this process ran
};

static uint64_t cpu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void played_fini(struct played *p)
{
	journal_close(p->journal);
	engine_destroy(p->engine);
	nib_destroy(p->nib);
	free(p->us);
	*p = (struct played){0};
}

// What the controller does with a turn's statements before it answers them.
static int commit(struct played *p, bool timed, struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	int ret = p->journal == NULL ? 0 : journal_commit(p->journal, err);

	if (timed)
		p->timed_ns += bench_now_ns() - start_ns;
	p->n_waiting = 0;
	return ret;
}

static int play_line(struct played *p, const struct bench_line *line, struct err *err)
{
	struct principal speaker;
	struct reply reply;
	uint64_t start_ns, end_ns;
	int ret = 0;

	if (principal_parse(line->speaker, &speaker, err) < 0)
		return -EINVAL;
	start_ns = bench_now_ns();
	reply_init(&reply);
	engine_exec(p->engine, &speaker, line->statement, line->len, 0, &reply);
	if (p->journal != NULL && reply.mutated)
		ret = journal_append(p->journal, engine_now_ns(p->engine), &speaker, line->statement, line->len, err);
	end_ns = bench_now_ns();
	if (line->timed) {
		p->us[p->n_us++] = (double)(end_ns - start_ns) / 1e3;
		p->timed_ns += end_ns - start_ns;
		p->refused += reply.code != REPLY_OK;
	} else if (reply.code != REPLY_OK) {
		char *answer = reply_render_json(&reply);

		ret = err_set(err, EINVAL, "set-up statement refused: %s: %s", line->statement, answer ? answer : "");
		free(answer);
	}
	reply_fini(&reply);
	if (ret == 0 && ++p->n_waiting == GROUP)
		ret = commit(p, line->timed, err);
	return ret;
}

// Plays the whole script into a fresh engine.
static int play(const struct bench_script *s, const char *journal, struct played *p, struct err *err)
{
	struct engine_conf conf = {.offline = true};
	uint64_t cpu_ns = cpu_now_ns();
	int ret = 0;

	*p = (struct played){.nib = nib_create(), .us = calloc(s->n + 1, sizeof(double))};
	if (p->nib != NULL)
		p->engine = engine_create(&conf, p->nib, 0);
	if (p->engine == NULL || p->us == NULL)
		ret = err_set(err, ENOMEM, "out of memory");
	if (ret == 0 && journal != NULL) {
		bench_journal_forget(journal); // an old file is not added to
		p->journal = journal_open(journal, err);
		ret = p->journal == NULL ? -EIO : 0;
	}
	for (size_t i = 0; i < s->n && ret == 0; i++) {
		if (i > 0 && s->lines[i].timed && !s->lines[i - 1].timed) {
			ret = commit(p, false, err); // the set-up is not to be paid for later
			cpu_ns = cpu_now_ns();
		}
		if (ret == 0)
			ret = play_line(p, &s->lines[i], err);
	}
	if (ret == 0)
		ret = commit(p, true, err);
	p->cpu_ns = cpu_now_ns() - cpu_ns;
	if (ret < 0)
		played_fini(p);
	return ret;
}

struct admit_runs {
	double *rate, *cpu_rate, *p50, *p99;
};

static int admit_run(const struct bench_script *s, const char *journal, uint32_t run, struct admit_runs *runs,
		     json_t *out, struct err *err)
{
	struct played p;

	if (play(s, journal, &p, err) < 0)
		return -err->code;
	runs->rate[run] = p.timed_ns > 0 ? (double)p.n_us * 1e9 / (double)p.timed_ns : 0;
	runs->cpu_rate[run] = p.cpu_ns > 0 ? (double)p.n_us * 1e9 / (double)p.cpu_ns : 0;
	runs->p50[run] = bench_quantile(p.us, p.n_us, 0.5);
	runs->p99[run] = bench_quantile(p.us, p.n_us, 0.99);
	json_object_set_new(out, "statements", json_integer((json_int_t)p.n_us));
	json_object_set_new(out, "refused", json_integer((json_int_t)p.refused));
	played_fini(&p);
	return 0;
}

static void admit_figures(json_t *out, struct admit_runs *runs, uint32_t n)
{
	bench_spread(out, "statements_per_s", runs->rate, n);
	bench_spread(out, "statements_per_cpu_s", runs->cpu_rate, n); // on a shared machine
	bench_spread(out, "p50_us", runs->p50, n);
	bench_spread(out, "p99_us", runs->p99, n);
}

// Durability off, and below "durable" on; runs alternate.
json_t *bench_admit(const struct bench_opts *opts, struct err *err)
{
	size_t n = opts->repeat;
	double *mem = calloc(8 * n, sizeof(double));
	struct admit_runs off = {mem, mem + n, mem + 2 * n, mem + 3 * n};
	struct admit_runs on = {mem + 4 * n, mem + 5 * n, mem + 6 * n, mem + 7 * n};
	json_t *out = json_object(), *durable = json_object();
	struct bench_script s;
	char path[4096];
	int ret = bench_script_load(opts->file, &s, err);

	bench_journal_path(opts, path, sizeof(path));
	for (uint32_t i = 0; i < opts->repeat && ret == 0; i++) {
		bench_progress("run", i + 1, opts->repeat);
		ret = admit_run(&s, NULL, i, &off, out, err);
		if (ret == 0)
			ret = admit_run(&s, path, i, &on, durable, err);
		bench_journal_forget(path);
	}
	if (ret == 0) {
		admit_figures(out, &off, opts->repeat);
		admit_figures(durable, &on, opts->repeat);
		json_object_set(out, "durable", durable);
	} else {
		json_decref(out);
		out = NULL;
	}
	json_decref(durable);
	free(mem);
	bench_script_free(&s);
	return out;
}

int bench_policy_load(const char *path, struct bench_policy *policy, struct err *err)
{
	struct bench_script s;
	struct played p = {0};
	int ret = bench_script_load(path, &s, err);

	if (ret == 0) {
		ret = play(&s, NULL, &p, err);
		bench_script_free(&s);
	}
	*policy = (struct bench_policy){.nib = p.nib, .engine = p.engine};
	free(p.us);
	return ret;
}

void bench_policy_free(struct bench_policy *policy)
{
	engine_destroy(policy->engine);
	nib_destroy(policy->nib);
}
