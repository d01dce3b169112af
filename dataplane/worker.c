// SPDX-License-Identifier: Apache-2.0
// A turn is: take over a new snapshot; for each port receive, parse all, classify all, act; for each port transmit.
// Outputs are batched per port and never outlive the turn, so a packet is always either in a scheduler or accounted
// for.
#include "worker_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>

#include "class_ask.h"

#define FDB_ENTRIES 65536
#define FDB_SWEEP_TICKS 512 // the whole table is swept in so many ticks
#define IDLE_TURNS 200      // empty turns before the first sleep
#define SLEEP_NS 50000
#define TIMED_TURN_PARTS 20000 // of a second: a turn that is timed takes at most so much
#define CHANGES 64             // of policy, taken from the log at once
#define WAKE_NS 20000          // a sleep may take so much longer than asked for; also the shortest worth taking

static int memory_up(struct worker *w, const struct worker_conf *conf, struct err *err)
{
	uint64_t ageing = conf->mac_ageing_s * conf->tsc_hz >> w->tick_shift;

	w->fdb = fdb_create(FDB_ENTRIES, (uint32_t)RTE_MIN(ageing, UINT32_MAX), rte_rand(), err);
	if (w->fdb != NULL)
		w->sights = sights_create((uint32_t)RTE_MIN(ageing / 4, UINT32_MAX), err);
	if (w->sights == NULL)
		return -err->code;
	w->counts = calloc(NAMES_COUNTERS_MAX, sizeof(*w->counts));
	w->reader = layers_reader_create(conf->layers);
	if (w->counts == NULL || w->reader == NULL)
		return err_set(err, ENOMEM, "worker: no memory for lookups and counters");
	w->combine = combine_create(conf->nodes, conf->layers, w->counts, err);
	return w->combine == NULL ? -err->code : 0;
}

static void memory_down(struct worker *w)
{
	combine_destroy(w->combine);
	layers_reader_destroy(w->reader);
	free(w->counts);
	sights_destroy(w->sights);
	fdb_destroy(w->fdb);
}

struct worker *worker_create(const struct worker_conf *conf, struct err *err)
{
	struct worker *w;
	int ret;

	if (conf->n_ports == 0 || conf->n_ports > WORKER_PORTS_MAX || conf->tsc_hz == 0) {
		err_set(err, EINVAL, "worker: %u ports, at most %u", conf->n_ports, WORKER_PORTS_MAX);
		return NULL;
	}
	w = aligned_alloc(_Alignof(struct worker), sizeof(*w));
	if (w == NULL) {
		err_set(err, ENOMEM, "worker: no memory");
		return NULL;
	}
	memset(w, 0, sizeof(*w));
	w->n_ports = conf->n_ports;
	w->poll_always = conf->poll_always;
	w->drop_fragments = conf->drop_fragments;
	w->tsc_hz = conf->tsc_hz;
	w->pool = conf->pool;
	w->limits = conf->limits;
	w->log = conf->log;
	w->ask = conf->ask;
	w->slot = conf->slot;
	w->qsbr_id = conf->qsbr_id;
	for (uint16_t i = 0; i < conf->n_ports; i++) {
		struct worker_port *p = &w->port[i];

		p->port_id = conf->port[i].port_id;
		p->max_frame_bytes = conf->port[i].max_frame_bytes;
		p->sched = conf->port[i].sched;
		p->up = true;
		p->link_seen = 1;
		atomic_init(&p->link, 1);
	}
	while (conf->tsc_hz >> w->tick_shift > 1000)
		w->tick_shift++;
	ret = memory_up(w, conf, err);
	if (ret == 0 && rte_rcu_qsbr_thread_register(w->slot->rcu, w->qsbr_id) != 0)
		ret = err_set(err, EINVAL, "worker: no place %u in the RCU variable", w->qsbr_id);
	if (ret < 0) {
		memory_down(w);
		free(w);
		w = NULL;
	}
	return w;
}

void worker_destroy(struct worker *w)
{
	if (w == NULL)
		return;
	rte_rcu_qsbr_thread_unregister(w->slot->rcu, w->qsbr_id);
	memory_down(w);
	free(w);
}

static void adopt(struct worker *w, const struct snapshot *s)
{
	w->gen = s->gen;
	w->adopted = true;
	atomic_store_explicit(&w->slot->adopted_gen, s->gen, memory_order_release);
}

// After the snapshot pointer is loaded: whatever its rows name is in the log by then.
static void follow_log(struct worker *w, uint64_t now_tsc)
{
	struct sched_change changes[CHANGES];
	uint32_t n;

	while (unlikely((n = sched_log_read(w->log, 0, changes, CHANGES)) > 0))
		sched_apply(w->limits, changes, n, now_tsc);
}

static void timing_begin(struct worker *w, uint64_t now_tsc)
{
	w->timing.on = ++w->timing.n_turns % WORKER_TIMED_TURNS == 0;
	if (likely(!w->timing.on))
		return;
	w->timing.end_tsc = now_tsc;
	w->timing.n_packets = 0;
	memset(w->timing.ticks, 0, sizeof(w->timing.ticks));
}

static void sum_add(_Atomic uint64_t *sum, uint64_t n)
{
	atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + n, memory_order_relaxed);
}

// A turn in which somebody else had the core is left out, and an idle one.
static void timing_end(struct worker *w, uint64_t now_tsc)
{
	if (likely(!w->timing.on) || w->timing.n_packets == 0 ||
	    w->timing.end_tsc - now_tsc > w->tsc_hz / TIMED_TURN_PARTS)
		return;
	for (int i = 0; i < WORKER_PHASES; i++)
		sum_add(&w->phases.ticks[i], w->timing.ticks[i]);
	sum_add(&w->phases.packets, w->timing.n_packets);
}

static void follow_link(struct worker *w, struct worker_port *p)
{
	uint32_t link = atomic_load_explicit(&p->link, memory_order_relaxed);

	if (likely(link == p->link_seen))
		return;
	p->link_seen = link;
	p->up = (link & 1) != 0;
	fdb_flush_port(w->fdb, (uint16_t)(p - w->port));
}

static void follow_clock(struct worker *w, uint64_t now_tsc)
{
	uint32_t tick = (uint32_t)(now_tsc >> w->tick_shift);

	if (likely(tick == w->tick))
		return;
	w->tick = tick;
	if (unlikely(w->ask != NULL && class_ask_is_open(w->ask)))
		class_ask_answer(w->ask, w->port[w->ask->port].sched);
	combine_flush(w->combine);
	fdb_age(w->fdb, fdb_n_slots(w->fdb) / FDB_SWEEP_TICKS, tick);
	atomic_store_explicit(&w->n_addresses, fdb_n_entries(w->fdb), memory_order_relaxed);
}

unsigned int worker_turn(struct worker *w, uint64_t now_tsc)
{
	const struct snapshot *s = atomic_load_explicit(&w->slot->live, memory_order_acquire);
	unsigned int n = 0;

	timing_begin(w, now_tsc);
	follow_clock(w, now_tsc);
	for (uint16_t i = 0; i < w->n_ports; i++) {
		follow_link(w, &w->port[i]);
		w->port[i].bypass = sched_may_bypass(w->port[i].sched, SCHED_BEST_EFFORT);
	}
	if (likely(s != NULL)) {
		follow_log(w, now_tsc);
		if (unlikely(!w->adopted || s->gen != w->gen))
			adopt(w, s);
		for (uint16_t i = 0; i < w->n_ports; i++)
			n += worker_receive(w, &w->port[i], s, now_tsc);
	}
	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (w->port[i].n_direct > 0)
			worker_flush_direct(&w->port[i]);
		if (sched_backlog_packets(w->port[i].sched) > 0)
			n += worker_send_scheduled(&w->port[i], now_tsc);
		counters_add(&w->port[i].counters, COUNTER_queue_dropped, sched_new_drops(w->port[i].sched));
	}
	worker_phase_end(w, WORKER_TX);
	timing_end(w, now_tsc);
	rte_rcu_qsbr_quiescent(w->slot->rcu, w->qsbr_id); // no pointer into s survives this line
	return n;
}

// Nanoseconds until a scheduler wants to send, a millisecond at most.
static uint64_t quiet_ns(const struct worker *w, uint64_t now_tsc)
{
	uint64_t least = w->tsc_hz / MS_PER_S;

	for (uint16_t i = 0; i < w->n_ports; i++)
		least = RTE_MIN(least, sched_next_tsc(w->port[i].sched, now_tsc));
	return least * NS_PER_S / w->tsc_hz;
}

// Away from the snapshot while asleep, so that nobody waits for this worker.
static void rest(const struct worker *w, uint64_t now_tsc)
{
	struct timespec ts = {0};
	uint64_t ns = quiet_ns(w, now_tsc);

	if (ns < 2 * WAKE_NS)
		return;
	ts.tv_nsec = (long)RTE_MIN(ns - WAKE_NS, (uint64_t)SLEEP_NS);
	rte_rcu_qsbr_thread_offline(w->slot->rcu, w->qsbr_id);
	nanosleep(&ts, NULL);
	rte_rcu_qsbr_thread_online(w->slot->rcu, w->qsbr_id);
}

int worker_main(void *worker)
{
	struct worker *w = worker;
	unsigned int empty_turns = 0;

	prctl(PR_SET_TIMERSLACK, 1); // the default of 50 us would double every sleep
	rte_rcu_qsbr_thread_online(w->slot->rcu, w->qsbr_id);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t now_tsc = rte_rdtsc();

		if (worker_turn(w, now_tsc) > 0)
			empty_turns = 0;
		else if (empty_turns < IDLE_TURNS)
			empty_turns++;
		else if (!w->poll_always)
			rest(w, now_tsc);
	}
	rte_rcu_qsbr_thread_offline(w->slot->rcu, w->qsbr_id);
	return 0;
}

void worker_stop(struct worker *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_relaxed);
}

void worker_port_set_up(struct worker *w, uint16_t port, bool up)
{
	uint32_t link = atomic_load_explicit(&w->port[port].link, memory_order_relaxed);

	if ((link & 1) != up)
		atomic_store_explicit(&w->port[port].link, ((link >> 1) + 1) << 1 | up, memory_order_relaxed);
}

void worker_counters_get(const struct worker *w, uint16_t port, uint64_t *value)
{
	const struct worker_port *p = &w->port[port];
	struct rte_eth_stats stats;

	counters_read(&p->counters, value);
	if (rte_eth_stats_get(p->port_id, &stats) == 0) {
		value[COUNTER_dev_missed] = stats.imissed;
		value[COUNTER_dev_no_mbuf] = stats.rx_nombuf;
		value[COUNTER_dev_tx_errors] = stats.oerrors;
	}
}

const char *const worker_phase_name[WORKER_PHASES] = {
	[WORKER_RX] = "rx",   [WORKER_PARSE] = "parse", [WORKER_CLASSIFY] = "classify",
	[WORKER_ACT] = "act", [WORKER_TX] = "tx",
};

void worker_phases_get(const struct worker *w, struct worker_phases *out)
{
	for (int i = 0; i < WORKER_PHASES; i++)
		out->ticks[i] = atomic_load_explicit(&w->phases.ticks[i], memory_order_relaxed);
	out->packets = atomic_load_explicit(&w->phases.packets, memory_order_relaxed);
}

const struct row_count *worker_row_counts(const struct worker *w)
{
	return w->counts;
}

bool worker_next_sight(struct worker *w, struct sight *out)
{
	return sights_next(w->sights, out);
}

uint32_t worker_n_addresses(const struct worker *w)
{
	return atomic_load_explicit(&w->n_addresses, memory_order_relaxed);
}
