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

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "class_ask.h"

#define FDB_SWEEP_TICKS 512    // the whole table is swept in so many ticks
#define TIMED_TURN_PARTS 20000 // of a second: a turn that is timed takes at most so much
#define TICKS_AT_ONCE 2U       // that an idle worker catches up with: all would cost it 4 % of its core
#define CHANGES 64             // of policy, taken from the log at once

_Static_assert(WORKER_TIMED_TURNS % 2 != 0, "the turns timed would see the same frames again and again");

static int rings_up(struct worker *w, uint16_t n_workers)
{
	if (w->id != WORKER_OWNER && (w->handed = hand_ring_create(WORKER_RING, sizeof(struct worker_handed))) == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < n_workers; i++) {
		if (i != w->id && (w->to_me[i] = hand_ring_create(WORKER_RING, sizeof(void *))) == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int memory_up(struct worker *w, const struct workers_conf *conf, struct err *err)
{
	uint64_t ageing = conf->mac_ageing_s * conf->tsc_hz >> w->tick_shift;

	w->sights = sights_create((uint32_t)RTE_MIN(ageing / 4, UINT32_MAX), err);
	if (w->sights == NULL)
		return -err->code;
	w->counts = calloc(NAMES_COUNTERS_MAX, sizeof(*w->counts));
	w->reader = layers_reader_create(conf->layers);
	if (w->counts == NULL || w->reader == NULL || rings_up(w, conf->n_workers) < 0)
		return err_set(err, ENOMEM, "worker: no memory for lookups and counters");
	w->near = aligned_alloc(_Alignof(struct fdb_near), sizeof(*w->near));
	if (w->near == NULL)
		return err_set(err, ENOMEM, "worker: no memory for addresses");
	fdb_near_init(w->near, w->fdb);
	w->combine = combine_create(conf->nodes, conf->layers, w->counts, err);
	return w->combine == NULL ? -err->code : 0;
}

static void drop_handed(struct hand_ring *handed)
{
	struct worker_handed h;

	while (handed != NULL && hand_ring_get(handed, &h, 1) == 1)
		rte_pktmbuf_free(h.m);
}

static void drop_given(struct hand_ring *given)
{
	void *m;

	while (given != NULL && hand_ring_get(given, &m, 1) == 1)
		rte_pktmbuf_free(m);
}

static void memory_down(struct worker *w)
{
	drop_handed(w->handed);
	hand_ring_destroy(w->captured);
	hand_ring_destroy(w->handed);
	for (uint16_t i = 0; i < WORKERS_MAX; i++) {
		drop_given(w->to_me[i]);
		hand_ring_destroy(w->to_me[i]);
	}
	combine_destroy(w->combine);
	layers_reader_destroy(w->reader);
	free(w->counts);
	free(w->near);
	sights_destroy(w->sights);
}

struct worker *worker_create(struct workers *all, uint16_t id, const struct workers_conf *conf, struct err *err)
{
	struct worker *w = aligned_alloc(_Alignof(struct worker), sizeof(*w));
	int ret;

	if (w == NULL) {
		err_set(err, ENOMEM, "worker: no memory");
		return NULL;
	}
	memset(w, 0, sizeof(*w));
	w->all = all;
	w->id = id;
	w->poll_always = conf->poll_always;
	w->drop_fragments = conf->drop_fragments;
	w->tsc_hz = conf->tsc_hz;
	w->tick_shift = all->tick_shift;
	w->fdb = all->fdb;
	w->pool = conf->pool;
	w->limits = conf->limits;
	w->log = conf->log;
	w->ask = conf->ask;
	w->slot = conf->slot;
	ret = worker_wait_up(w, err);
	if (ret == 0)
		ret = memory_up(w, conf, err);
	if (ret == 0 && rte_rcu_qsbr_thread_register(w->slot->rcu, id) != 0)
		ret = err_set(err, EINVAL, "worker: no place %u in the RCU variable", id);
	if (ret < 0) {
		memory_down(w);
		worker_wait_down(w);
		free(w);
		w = NULL;
	}
	return w;
}

void worker_destroy(struct worker *w)
{
	if (w == NULL)
		return;
	rte_rcu_qsbr_thread_unregister(w->slot->rcu, w->id);
	memory_down(w);
	worker_wait_down(w);
	free(w);
}

static void adopt(struct worker *w, const struct snapshot *s)
{
	w->gen = s->gen;
	w->adopted = true;
	atomic_store_explicit(&w->slot->adopted_gen[w->id], s->gen, memory_order_release);
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
	uint32_t link = atomic_load_explicit(&w->all->link[p - w->port], memory_order_relaxed);

	if (likely(link == p->link_seen))
		return;
	p->link_seen = link;
	p->up = p->attached && (link & 1) != 0;
	fdb_flush_port(w->fdb, (uint16_t)(p - w->port));
}

// A portion of everything that wants to be looked through again and again.
static void do_tick(struct worker *w, uint64_t now_tsc)
{
	combine_flush(w->combine);
	if (w->id != WORKER_OWNER)
		return;
	if (unlikely(w->ask != NULL && class_ask_is_open(w->ask)))
		class_ask_answer(w->ask, w->port[w->ask->port].sched);
	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (w->port[i].sched != NULL)
			sched_tell(w->port[i].sched, now_tsc);
	}
	fdb_age(w->fdb, fdb_n_slots(w->fdb) / FDB_SWEEP_TICKS, w->tick);
}

static void follow_clock(struct worker *w, uint64_t now_tsc)
{
	uint32_t tick = (uint32_t)(now_tsc >> w->tick_shift), n = tick - w->tick;

	if (likely(n == 0))
		return;
	w->tick = tick;
	for (n = RTE_MIN(n, TICKS_AT_ONCE); n > 0; n--)
		do_tick(w, now_tsc);
}

// What others have handed over by now. Read before the log, so that the log has all meters that they name.
static void count_handed(const struct worker *w, uint32_t n[WORKERS_MAX])
{
	for (uint16_t i = 0; i < w->all->n; i++)
		n[i] = i == w->id ? 0 : hand_ring_count(w->all->worker[i]->handed);
}

static unsigned int receive_all(struct worker *w, const struct snapshot *s, uint64_t now_tsc)
{
	uint32_t n_handed[WORKERS_MAX];
	bool owns = w->id == WORKER_OWNER, alone = w->all->n == 1;
	unsigned int n = 0;

	if (owns && !alone)
		count_handed(w, n_handed);
	if (owns)
		follow_log(w, now_tsc);
	if (unlikely(!w->adopted || s->gen != w->gen))
		adopt(w, s);
	for (uint16_t i = 0; i < w->n_rx; i++)
		n += worker_receive(w, w->rx[i], s, now_tsc);
	if (likely(alone))
		return n;
	n += worker_receive_given(w, s, now_tsc);
	if (w->n_staged > 0)
		worker_hand_over(w);
	return owns ? n + worker_take_over(w, n_handed, now_tsc) : n;
}

static unsigned int send_all(struct worker *w, uint64_t now_tsc)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < w->n_ports; i++) {
		struct worker_port *p = &w->port[i];

		if (p->n_direct > 0)
			worker_flush_direct(p);
		if (p->sched == NULL)
			continue;
		if (sched_backlog_packets(p->sched) > 0)
			n += worker_send_scheduled(p, now_tsc);
		counters_add(&p->counters, COUNTER_queue_dropped, sched_new_drops(p->sched));
	}
	return n;
}

unsigned int worker_turn(struct worker *w, uint64_t now_tsc)
{
	const struct snapshot *s = atomic_load_explicit(&w->slot->live, memory_order_acquire);
	unsigned int n = 0;

	timing_begin(w, now_tsc);
	follow_clock(w, now_tsc);
	for (uint16_t i = 0; i < w->n_ports; i++) {
		struct worker_port *p = &w->port[i];

		follow_link(w, p);
		worker_port_bypass(p, p->sched != NULL ? sched_may_bypass(p->sched, SCHED_BEST_EFFORT) : p->bypass);
	}
	if (likely(s != NULL))
		n += receive_all(w, s, now_tsc);
	n += send_all(w, now_tsc);
	worker_phase_end(w, WORKER_TX);
	timing_end(w, now_tsc);
	rte_rcu_qsbr_quiescent(w->slot->rcu, w->id); // no pointer into s survives this line
	return n;
}

// Until workers_release. Nobody waits for its quiescence meanwhile.
static void park(struct worker *w)
{
	uint64_t since_tsc = rte_rdtsc();

	rte_rcu_qsbr_thread_offline(w->slot->rcu, w->id);
	atomic_store(&w->parked, true);
	while (atomic_load(&w->all->hold))
		worker_give_way(w, since_tsc);
	atomic_store(&w->parked, false);
	rte_rcu_qsbr_thread_online(w->slot->rcu, w->id);
}

int worker_main(void *worker)
{
	struct worker *w = worker;
	unsigned int idle = 0;

	prctl(PR_SET_TIMERSLACK, 1); // the default of 50 us would double every sleep
	rte_rcu_qsbr_thread_online(w->slot->rcu, w->id);
	atomic_store(&w->running,
		     true); // before it looks whether it is to hold: workers_hold looks the other way round
	while (!atomic_load_explicit(&w->all->stop, memory_order_relaxed)) {
		uint64_t now_tsc;

		if (unlikely(atomic_load(&w->all->hold))) {
			park(w);
			continue;
		}
		now_tsc = rte_rdtsc();
		idle = worker_turn(w, now_tsc) > 0 ? 0 : worker_idle(w, now_tsc, idle);
	}
	rte_rcu_qsbr_thread_offline(w->slot->rcu, w->id);
	atomic_store(&w->running, false);
	return 0;
}

const char *const worker_phase_name[WORKER_PHASES] = {
	[WORKER_RX] = "rx",   [WORKER_PARSE] = "parse", [WORKER_CLASSIFY] = "classify",
	[WORKER_ACT] = "act", [WORKER_TX] = "tx",
};
