// SPDX-License-Identifier: Apache-2.0
// `pane-bench sched`: one packet through the scheduler of one queue, in and out, bursts of 32, on a simulated clock
// that keeps a line of 10 Gb/s exactly busy; and what it costs the packet path to adopt a change. --classes N of each
// kind that there is: all with a reservation; all with a limit of their own above their part; all with a limit that
// never stops. --backlogged M of them hold a few packets all the time; 0: each packet is in a class drawn at random.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "bench.h"
#include "bench_eal.h"
#include "bench_rte_sched.h"
#include "dataplane/sched.h"
#include "dataplane/sched_slots.h"

#define BURST 32
#define HZ 1000000000ULL
#define LINE_BPS 10000000000ULL
#define FRAME_BYTES 64
#define STANDING 2 // packets of a class that is backlogged
#define CHANGED 10U
#define ADOPTIONS 2000U
#define RUNS_MAX 1000

enum kind {
	RESERVED,
	LIMITED,
	EXCESS,
	N_KINDS,
};

static const char *const kind_name[] = {"reserved_mpps", "limited_mpps", "excess_mpps"};

struct stand {
	struct sched_limits *limits;
	struct sched *sched;
	uint32_t n_classes, n_standing;
	struct sched_set *sets;
	uint32_t *class;             // as sched_class named them: the worker keeps that, too
	struct rte_mbuf *mbufs;      // packets of no pool: their port and hash say which class they are of
	struct rte_mbuf *out[BURST]; // not queued
	uint16_t n_out;
	uint64_t now;
	uint32_t lcg;
};

static uint64_t rate_of(enum kind kind, uint32_t n)
{
	if (kind == EXCESS)
		return 40 * LINE_BPS;
	return kind == LIMITED ? LINE_BPS / 10 * 11 / n : LINE_BPS / 10 * 9 / n;
}

static void set_meters(struct stand *st, enum kind kind, uint32_t first, uint32_t n, uint32_t percent)
{
	for (uint32_t i = first; i < first + n; i++) {
		struct sched_change c = {.kind = SCHED_METER_SET,
					 .slot = i,
					 .id = i + 1,
					 .is_limit = kind != RESERVED,
					 .rate_bps = rate_of(kind, st->n_classes) / 100 * percent};

		sched_apply(st->limits, &c, 1, st->now);
	}
}

static uint32_t class_of(struct stand *st, const struct rte_mbuf *m)
{
	uint32_t *class = &st->class[m->hash.usr];

	if (unlikely(!sched_class_is_live(st->sched, *class)))
		*class = sched_class(st->sched, &st->sets[m->hash.usr], st->now);
	return *class;
}

static void stand_destroy(struct stand *st)
{
	struct rte_mbuf *out[BURST];

	while (st->sched != NULL && sched_backlog_packets(st->sched) > 0) // no pool would take them back
		sched_dequeue(st->sched, out, BURST, st->now += HZ / 1000);
	sched_destroy(st->sched);
	sched_limits_destroy(st->limits);
	free(st->sets);
	free(st->class);
	free(st->mbufs);
}

static int stand_create(struct stand *st, uint32_t n_classes, uint32_t n_standing, enum kind kind, struct err *err)
{
	uint32_t n_mbufs = n_standing * STANDING + BURST;
	struct sched_conf conf = {
		.rate_bps = LINE_BPS, .tsc_hz = HZ, .mtu_bytes = 1514, .packets_max = 4 * n_mbufs, .socket_id = -1};

	*st = (struct stand){.n_classes = n_classes, .n_standing = n_standing, .now = 1, .lcg = 1};
	st->limits = sched_limits_create(HZ, conf.mtu_bytes, conf.socket_id, err);
	st->sched = st->limits == NULL ? NULL : sched_create(&conf, st->limits, err);
	st->sets = calloc(n_classes, sizeof(*st->sets));
	st->class = malloc(n_classes * sizeof(*st->class));
	st->mbufs = calloc(n_mbufs, sizeof(*st->mbufs));
	if (st->sched == NULL || st->sets == NULL || st->class == NULL || st->mbufs == NULL) {
		stand_destroy(st);
		return err_set(err, ENOMEM, "no memory for %u classes", n_classes);
	}
	for (uint32_t i = 0; i < n_classes; i++) {
		struct sched_set *set = &st->sets[i];

		st->class[i] = SCHED_POLICED; // never live
		set->n_reservations = kind == RESERVED;
		set->n_limits = kind != RESERVED;
		set->reservation[0] = set->limit[0] = i;
		sched_set_seal(set);
	}
	set_meters(st, kind, 0, n_classes, 100);
	for (uint32_t i = 0; i < n_mbufs; i++) {
		struct rte_mbuf *m = &st->mbufs[i];

		m->pkt_len = FRAME_BYTES;
		m->data_len = FRAME_BYTES;
		m->hash.usr = n_standing == 0 ? i % n_classes : i % n_standing;
		if (i < BURST)
			st->out[st->n_out++] = m;
		else
			sched_enqueue(st->sched, m, class_of(st, m), i, st->now);
	}
	return 0;
}

// Mpps.
static double run(struct stand *st, uint64_t rounds)
{
	struct rte_mbuf **m = st->out;
	uint64_t packets = 0, start = bench_thread_ns();

	for (uint64_t round = 0; round < rounds; round++) {
		uint32_t class[BURST];

		for (uint16_t i = 0; i < st->n_out; i++) {
			if (st->n_standing == 0) {
				st->lcg = st->lcg * 1664525 + 1013904223;
				m[i]->hash.usr = (uint32_t)((uint64_t)st->lcg * st->n_classes >> 32);
			}
			class[i] = class_of(st, m[i]);
		}
		sched_prefetch(st->sched, class, st->n_out);
		for (uint16_t i = 0; i < st->n_out; i++)
			sched_enqueue(st->sched, m[i], class[i], i, st -> now);
		st->now += FRAME_BYTES * 8 * HZ / LINE_BPS * BURST + 8;
		st->n_out = sched_dequeue(st->sched, m, BURST, st->now);
		packets += st->n_out;
	}
	return (double)packets * 1e3 / (double)(bench_thread_ns() - start);
}

static int measure(const struct bench_opts *opts, enum kind kind, double *mpps, struct sched_stats *stats,
		   struct err *err)
{
	struct stand st;
	int ret = stand_create(&st, opts->classes, opts->backlogged, kind, err);

	if (ret < 0)
		return ret;
	run(&st, 2 * opts->classes / BURST + 1000);
	*mpps = run(&st, (uint64_t)(opts->seconds * 3e5));
	sched_stats(st.sched, stats);
	stand_destroy(&st);
	return 0;
}

// What ten changed meters among all cost the worker.
static int measure_adoption(const struct bench_opts *opts, json_t *out, struct err *err)
{
	double *us = calloc(ADOPTIONS, sizeof(*us));
	struct stand st;
	int ret = us == NULL ? err_set(err, ENOMEM, "no memory")
			     : stand_create(&st, opts->classes, opts->classes, LIMITED, err);

	for (uint32_t i = 0; ret == 0 && i < ADOPTIONS; i++) {
		uint32_t first = i * CHANGED % (opts->classes - RTE_MIN(opts->classes - 1, CHANGED));
		uint64_t start = bench_thread_ns();

		set_meters(&st, LIMITED, first, RTE_MIN(CHANGED, opts->classes), i % 2 ? 100 : 90);
		us[i] = (double)(bench_thread_ns() - start) / 1e3;
	}
	if (ret == 0) {
		json_object_set_new(out, "adopt_10_changes_us", json_real(bench_quantile(us, ADOPTIONS, 0.5)));
		json_object_set_new(out, "adopt_10_changes_p99_us", json_real(bench_quantile(us, ADOPTIONS, 0.99)));
		stand_destroy(&st);
	}
	free(us);
	return ret;
}

// Of runs that were beside each other.
static void put_ratios(json_t *out, double mpps[N_KINDS][RUNS_MAX], double *theirs, uint32_t n)
{
	static const char *const name[N_KINDS] = {"reserved_to_rte_sched", "limited_to_rte_sched",
						  "excess_to_rte_sched"};
	static double ratio[RUNS_MAX];

	for (enum kind kind = 0; kind < N_KINDS; kind++) {
		for (uint32_t i = 0; i < n; i++)
			ratio[i] = mpps[kind][i] / theirs[i];
		bench_spread(out, name[kind], ratio, n);
	}
	bench_spread(out, "rte_sched_mpps", theirs, n);
}

json_t *bench_sched(const struct bench_opts *opts, struct err *err)
{
	static double mpps[N_KINDS][RUNS_MAX], theirs[RUNS_MAX];
	double their_bytes = 0;
	json_t *out = json_object();
	struct sched_stats stats = {0};
	int ret = 0;

	if (opts->backlogged > opts->classes)
		ret = err_set(err, EINVAL, "%u classes backlogged of %u", opts->backlogged, opts->classes);
	if (ret == 0 && opts->beside)
		ret = bench_eal_start(err);
	for (uint32_t i = 0; ret == 0 && i < opts->repeat; i++) {
		bench_progress("run", i + 1, opts->repeat);
		for (enum kind kind = 0; ret == 0 && kind < N_KINDS; kind++)
			ret = measure(opts, kind, &mpps[kind][i], &stats, err);
		if (ret == 0 && opts->beside)
			ret = bench_rte_sched(opts, &theirs[i], &their_bytes, err);
	}
	if (ret == 0)
		ret = measure_adoption(opts, out, err);
	if (ret < 0) {
		json_decref(out);
		return NULL;
	}
	json_object_set_new(out, "classes", json_integer(opts->classes));
	json_object_set_new(out, "backlogged", json_integer(opts->backlogged));
	if (opts->beside)
		put_ratios(out, mpps, theirs, opts->repeat);
	if (opts->beside)
		json_object_set_new(out, "rte_sched_bytes_per_class", json_integer((json_int_t)their_bytes));
	for (enum kind kind = 0; kind < N_KINDS; kind++)
		bench_spread(out, kind_name[kind], mpps[kind], opts->repeat);
	json_object_set_new(out, "bytes_per_class", json_integer((json_int_t)stats.bytes_per_class));
	json_object_set_new(out, "bytes_per_meter", json_integer((json_int_t)stats.bytes_per_meter));
	return out;
}
