// SPDX-License-Identifier: Apache-2.0
// A turn is: take over a new snapshot; for each port receive, parse all, classify all, act; for each port transmit.
// Outputs are batched per port and never outlive the turn, so a packet is always either in a scheduler or accounted
// for.
#include "worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>

#include "combine.h"
#include "fdb.h"
#include "layers.h"
#include "pkt.h"
#include "sched.h"
#include "sched_log.h"
#include "sights.h"
#include "snapshot.h"

#define PREFETCH_AHEAD 3
#define TX_RETRIES 3 // for packets that no scheduler can take back
#define TX_BURSTS 8  // of scheduled packets in one turn of a port: receiving may not starve
#define FDB_ENTRIES 65536
#define FDB_SWEEP_TICKS 512 // the whole table is swept in so many ticks
#define IDLE_TURNS 200      // empty turns before the first sleep
#define SLEEP_NS 50000
#define TIMED_TURN_PARTS 20000 // of a second: a turn that is timed takes at most so much
#define CHANGES 64             // of policy, taken from the log at once
#define WAKE_NS 20000          // a sleep may take so much longer than asked for; also the shortest worth taking

struct port {
	struct counters counters;
	_Atomic uint32_t link; // writer: worker_port_set_up. Bit 0: up; above: changes so far, so that none goes unseen
	uint32_t link_seen;
	uint16_t port_id;
	uint16_t n_direct;
	uint32_t max_frame_bytes;
	bool up;
	bool bypass; // what is best effort may skip the scheduler; asked once a turn, until something is queued
	struct sched *sched;
	struct rte_mbuf *direct[PKT_BURST]; // of this turn, past the scheduler
};

struct phases { // writer: worker
	_Atomic uint64_t ticks[WORKER_PHASES];
	_Atomic uint64_t packets;
};

struct worker {
	struct port port[WORKER_PORTS_MAX];
	uint16_t n_ports;
	bool poll_always, drop_fragments, adopted;
	uint32_t gen;              // adopted
	uint32_t tick_shift, tick; // tick = now_tsc >> tick_shift, about a millisecond
	uint64_t tsc_hz;
	struct fdb *fdb;
	struct sights *sights;
	struct rte_mempool *pool;
	struct sched_limits *limits;
	struct sched_log *log;
	struct layers_reader *reader;
	struct combine *combine;
	struct row_count *counts; // by counter slot; written through combine
	struct snapshot_slot *slot;
	unsigned int qsbr_id;
	struct {
		bool on; // this turn
		uint32_t n_turns, n_packets;
		uint64_t end_tsc;              // of the last phase
		uint64_t ticks[WORKER_PHASES]; // of this turn
	} timing;
	struct phases phases;
	_Atomic uint32_t n_addresses; // writer: worker
	_Atomic bool stop;            // writer: worker_stop
};

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
	w->slot = conf->slot;
	w->qsbr_id = conf->qsbr_id;
	for (uint16_t i = 0; i < conf->n_ports; i++) {
		struct port *p = &w->port[i];

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

static void phase_end(struct worker *w, enum worker_phase phase)
{
	uint64_t now_tsc;

	if (likely(!w->timing.on))
		return;
	now_tsc = rte_rdtsc();
	w->timing.ticks[phase] += now_tsc - w->timing.end_tsc;
	w->timing.end_tsc = now_tsc;
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

static void drop(struct port *p, enum counter_id why, struct rte_mbuf *m)
{
	counters_add(&p->counters, why, 1);
	rte_pktmbuf_free(m);
}

static uint64_t bytes_of(struct rte_mbuf *const *m, uint16_t n)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++)
		bytes += rte_pktmbuf_pkt_len(m[i]);
	return bytes;
}

// The device takes the first of them; how many. They are counted as sent.
static uint16_t transmit(struct port *p, struct rte_mbuf **m, uint16_t n)
{
	uint64_t bytes = bytes_of(m, n); // afterwards they are no longer ours to look at
	uint16_t sent = rte_eth_tx_burst(p->port_id, 0, m, n);

	if (unlikely(sent < n))
		bytes -= bytes_of(m + sent, n - sent);
	counters_add(&p->counters, COUNTER_tx_packets, sent);
	counters_add(&p->counters, COUNTER_tx_bytes, bytes);
	return sent;
}

static void flush_direct(struct port *p)
{
	uint16_t done = 0;

	for (int i = 0; i <= TX_RETRIES && done < p->n_direct; i++)
		done += transmit(p, p->direct + done, p->n_direct - done);
	for (; unlikely(done < p->n_direct); done++)
		drop(p, COUNTER_tx_full, p->direct[done]);
	p->n_direct = 0;
}

// Addresses, protocol and ports; MAC addresses where there is no IP.
static uint32_t flow_hash(const struct pkt *pkt)
{
	if (pkt->family == PKT_IP4)
		return rte_hash_crc(&pkt->ip4, offsetof(struct pkt_key_ip4, vlan_be), 0);
	if (pkt->family == PKT_IP6)
		return rte_hash_crc(&pkt->ip6, offsetof(struct pkt_key_ip6, vlan_be), 0);
	return rte_hash_crc_8byte(pkt->src_mac, rte_hash_crc_8byte(pkt->dst_mac, 0));
}

// The class that packets of this answer have at a port: kept with the answer.
static uint32_t class_at(struct port *p, struct combined *answer, uint64_t now_tsc)
{
	uint32_t i = p->port_id % COMBINE_PORTS;

	if (unlikely(answer->class_at[i].port != p->port_id ||
		     !sched_class_is_live(p->sched, answer->class_at[i].class))) {
		answer->class_at[i].port = p->port_id;
		answer->class_at[i].class = sched_class(p->sched, &answer->set, now_tsc);
	}
	return answer->class_at[i].class;
}

static void output(struct port *p, struct rte_mbuf *m, const struct pkt *pkt, struct combined *answer, uint64_t now_tsc)
{
	uint32_t class = answer->best_effort ? SCHED_BEST_EFFORT : class_at(p, answer, now_tsc);

	if (unlikely(!p->up)) {
		drop(p, COUNTER_tx_down, m);
	} else if (unlikely(rte_pktmbuf_pkt_len(m) > p->max_frame_bytes)) {
		drop(p, COUNTER_tx_oversize, m);
	} else if (answer->best_effort ? p->bypass : sched_may_bypass(p->sched, class)) {
		if (!answer->best_effort) // that is what is left of the port's figures
			sched_count_bypass(p->sched, class, rte_pktmbuf_pkt_len(m));
		p->direct[p->n_direct++] = m;
		if (p->n_direct == PKT_BURST)
			flush_direct(p);
	} else if (unlikely(!sched_enqueue(p->sched, m, class, flow_hash(pkt), now_tsc))) {
		drop(p, COUNTER_queue_full, m);
	} else {
		p->bypass = sched_may_bypass(p->sched, SCHED_BEST_EFFORT);
	}
}

// Every other port that is up gets the frame: the last one itself, the others deep copies (AF_XDP cannot send indirect
// buffers, and a device may still read the frame after another has rewritten its own).
static void flood(struct worker *w, struct port *in, struct rte_mbuf *m, const struct pkt *pkt, struct combined *answer,
		  uint64_t now_tsc)
{
	struct port *out[WORKER_PORTS_MAX];
	unsigned int n = 0;

	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (&w->port[i] != in && w->port[i].up)
			out[n++] = &w->port[i];
	}
	if (n == 0) {
		drop(in, COUNTER_no_output, m);
		return;
	}
	counters_add(&in->counters, COUNTER_flooded, 1);
	counters_add(&in->counters, COUNTER_copies, n - 1);
	for (unsigned int i = 0; i + 1 < n; i++) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);

		if (likely(copy != NULL))
			output(out[i], copy, pkt, answer, now_tsc);
		else
			counters_add(&out[i]->counters, COUNTER_no_mbuf, 1);
	}
	output(out[n - 1], m, pkt, answer, now_tsc);
}

static void learn(struct worker *w, struct port *in, const struct pkt *pkt)
{
	static const enum counter_id counter[] = {
		[FDB_NEW] = COUNTER_learned,
		[FDB_MOVED] = COUNTER_moved,
		[FDB_FULL] = COUNTER_not_learned,
	};
	enum fdb_learned how = fdb_learn(w->fdb, pkt->vlan, pkt->src_mac, (uint16_t)(in - w->port), w->tick);

	if (likely(how == FDB_KNOWN))
		return;
	counters_add(&in->counters, counter[how], 1);
	sights_note(w->sights, pkt, (uint16_t)(in - w->port), w->tick);
}

static void forward(struct worker *w, struct port *in, struct rte_mbuf *m, const struct pkt *pkt,
		    struct combined *answer, uint64_t now_tsc)
{
	static const enum counter_id unfit[] = {
		[PKT_RUNT] = COUNTER_runt,
		[PKT_OVERSIZE] = COUNTER_oversize,
		[PKT_BAD_SOURCE] = COUNTER_bad_source,
		[PKT_FRAGMENT] = COUNTER_fragment,
		[PKT_LINK_LOCAL] = COUNTER_link_local,
	};
	uint16_t dst = FDB_PORT_NONE;

	if (unlikely(pkt->verdict != PKT_OK)) {
		drop(in, unfit[pkt->verdict], m);
		return;
	}
	learn(w, in, pkt); // a denied frame still says where its sender is
	combine_count(answer, 1, rte_pktmbuf_pkt_len(m));
	if (answer->drop) {
		drop(in, COUNTER_denied, m);
		return;
	}
	if ((pkt->dst_mac >> 40 & 1) == 0)
		dst = fdb_find(w->fdb, pkt->vlan, pkt->dst_mac, w->tick);
	if (dst == FDB_PORT_NONE)
		flood(w, in, m, pkt, answer, now_tsc);
	else if (&w->port[dst] == in)
		drop(in, COUNTER_same_port, m);
	else
		output(&w->port[dst], m, pkt, answer, now_tsc);
}

static uint16_t receive(struct worker *w, struct port *in, const struct snapshot *s, uint64_t now_tsc)
{
	struct rte_mbuf *m[PKT_BURST];
	struct pkt pkt[PKT_BURST];
	uint32_t met[PKT_BURST * CLS_CATEGORIES_MAX], n_categories = s->view.n_categories;
	uint16_t n = rte_eth_rx_burst(in->port_id, 0, m, PKT_BURST);

	if (n == 0)
		return 0;
	counters_add(&in->counters, COUNTER_rx_packets, n);
	counters_add(&in->counters, COUNTER_rx_bytes, bytes_of(m, n));
	phase_end(w, WORKER_RX);
	if (unlikely(!in->up)) {
		counters_add(&in->counters, COUNTER_rx_down, n);
		rte_pktmbuf_free_bulk(m, n);
		return n;
	}
	for (uint16_t i = 0; i < n && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + PREFETCH_AHEAD], void *));
		if (likely(pkt_parse(m[i], in->max_frame_bytes, &pkt[i]) == PKT_OK)) {
			fdb_prefetch(w->fdb, pkt[i].vlan, pkt[i].src_mac);
			fdb_prefetch(w->fdb, pkt[i].vlan, pkt[i].dst_mac);
			if (unlikely(w->drop_fragments))
				pkt_refuse_fragment(m[i], &pkt[i]);
		}
	}
	sights_note_burst(w->sights, pkt, n, (uint16_t)(in - w->port), w->tick);
	phase_end(w, WORKER_PARSE);
	layers_run(&s->view, w->reader, pkt, n, met);
	for (uint16_t i = 0; i < n && n_categories > 0; i++)
		combine_prefetch(w->combine, &met[i * n_categories], n_categories);
	phase_end(w, WORKER_CLASSIFY);
	for (uint16_t i = 0; i < n; i++)
		forward(w, in, m[i], &pkt[i],
			combine_get(w->combine, s->view.epoch, &met[i * n_categories], n_categories), now_tsc);
	phase_end(w, WORKER_ACT);
	w->timing.n_packets += n;
	return n;
}

static unsigned int send_scheduled(struct port *p, uint64_t now_tsc)
{
	struct rte_mbuf *m[PKT_BURST];
	unsigned int total = 0;

	for (int i = 0; i < TX_BURSTS; i++) {
		uint16_t n = sched_dequeue(p->sched, m, PKT_BURST, now_tsc), sent = n;

		if (n == 0)
			break;
		if (likely(p->up)) {
			sent = transmit(p, m, n);
		} else {
			counters_add(&p->counters, COUNTER_tx_down, n);
			rte_pktmbuf_free_bulk(m, n);
		}
		total += sent;
		if (sent < n) {
			sched_unsend(p->sched, m + sent, n - sent);
			break;
		}
	}
	return total;
}

static void follow_link(struct worker *w, struct port *p)
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
			n += receive(w, &w->port[i], s, now_tsc);
	}
	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (w->port[i].n_direct > 0)
			flush_direct(&w->port[i]);
		if (sched_backlog_packets(w->port[i].sched) > 0)
			n += send_scheduled(&w->port[i], now_tsc);
		counters_add(&w->port[i].counters, COUNTER_queue_dropped, sched_new_drops(w->port[i].sched));
	}
	phase_end(w, WORKER_TX);
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
	const struct port *p = &w->port[port];
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
