// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_random.h>

#include "nic-config/port.h"
#include "worker_priv.h"

#define FDB_ENTRIES 65536
#define TX_QUEUE_NONE UINT16_MAX
#define SPIN_PARTS 20000 // of a second: who is waited for so long has no core
#define WAIT_NS 20000

static uint16_t at_least_one(uint16_t n)
{
	return n == 0 ? 1 : n;
}

static void attach(struct workers *all, uint16_t port, const struct workers_port *conf);

static int fdb_up(struct workers *all, const struct workers_conf *conf, struct err *err)
{
	uint64_t ageing;

	while (conf->tsc_hz >> all->tick_shift > 1000)
		all->tick_shift++;
	ageing = conf->mac_ageing_s * conf->tsc_hz >> all->tick_shift;
	all->fdb = fdb_create(FDB_ENTRIES, (uint32_t)RTE_MIN(ageing, UINT32_MAX), rte_rand(), err);
	return all->fdb == NULL ? -err->code : 0;
}

static int workers_up(struct workers *all, const struct workers_conf *conf, struct err *err)
{
	for (uint16_t i = 0; i < all->n; i++) {
		all->worker[i] = worker_create(all, i, conf, err);
		if (all->worker[i] == NULL)
			return -err->code;
	}
	for (uint16_t from = 0; from < all->n; from++) {
		for (uint16_t to = 0; to < all->n; to++)
			all->worker[from]->from_me[to] = all->worker[to]->to_me[from];
	}
	return 0;
}

struct workers *workers_create(const struct workers_conf *given, struct err *err)
{
	struct workers_conf conf = *given;
	struct workers *all = NULL;

	conf.n_workers = at_least_one(conf.n_workers);
	if (conf.n_ports == 0 || conf.n_ports > WORKER_PORTS_MAX || conf.tsc_hz == 0 || conf.n_workers > WORKERS_MAX)
		err_set(err, EINVAL, "%u ports and %u workers: at most %u and %u", conf.n_ports, conf.n_workers,
			WORKER_PORTS_MAX, WORKERS_MAX);
	else if ((all = calloc(1, sizeof(*all))) == NULL)
		err_set(err, ENOMEM, "no memory for the workers");
	if (all == NULL)
		return NULL;
	all->n = conf.n_workers;
	if (fdb_up(all, &conf, err) < 0 || workers_up(all, &conf, err) < 0) {
		workers_destroy(all);
		return NULL;
	}
	for (uint16_t i = 0; i < conf.n_ports; i++) {
		if (!conf.port[i].absent)
			attach(all, i, &conf.port[i]);
	}
	return all;
}

void workers_destroy(struct workers *all)
{
	if (all == NULL)
		return;
	for (uint16_t i = 0; i < all->n; i++)
		worker_destroy(all->worker[i]);
	fdb_destroy(all->fdb);
	free(all);
}

uint16_t workers_n(const struct workers *all)
{
	return all->n;
}

struct worker *workers_at(struct workers *all, uint16_t i)
{
	return all->worker[i];
}

void workers_stop(struct workers *all)
{
	atomic_store(&all->stop, true);
	workers_wake(all);
}

void workers_wake(struct workers *all)
{
	for (uint16_t i = 0; i < all->n; i++)
		worker_wake(all->worker[i]);
}

// --- ports

void worker_give_way(const struct worker *w, uint64_t since_tsc)
{
	const struct timespec a_little = {.tv_nsec = WAIT_NS};

	if (rte_rdtsc() - since_tsc < w->tsc_hz / SPIN_PARTS)
		rte_pause();
	else
		nanosleep(&a_little, NULL);
}

void workers_hold(struct workers *all)
{
	all->held_since_tsc = rte_rdtsc();
	atomic_store(&all->hold, true);
	workers_wake(all);
	for (uint16_t i = 0; i < all->n; i++) {
		const struct worker *w = all->worker[i];

		while (atomic_load(&w->running) && !atomic_load(&w->parked))
			worker_give_way(w, all->held_since_tsc);
	}
}

static void note_hold(struct workers *all, uint64_t ticks)
{
	uint64_t n = atomic_load_explicit(&all->n_holds, memory_order_relaxed);
	uint64_t sum = atomic_load_explicit(&all->held_ticks, memory_order_relaxed);

	atomic_store_explicit(&all->n_holds, n + 1, memory_order_relaxed);
	atomic_store_explicit(&all->held_ticks, sum + ticks, memory_order_relaxed);
	if (ticks > atomic_load_explicit(&all->held_ticks_longest, memory_order_relaxed))
		atomic_store_explicit(&all->held_ticks_longest, ticks, memory_order_relaxed);
}

void workers_release(struct workers *all)
{
	uint64_t now_tsc;

	atomic_store(&all->hold, false);
	now_tsc = rte_rdtsc();
	note_hold(all, now_tsc - all->held_since_tsc);
	for (uint16_t i = 0; i < all->n; i++) {
		while (atomic_load(&all->worker[i]->parked))
			worker_give_way(all->worker[i], now_tsc);
	}
}

// Which worker receives from a queue: in turns where each has at least one, else ports go round.
static uint16_t receiver(const struct workers *all, uint16_t port, uint16_t n_queues, uint16_t queue)
{
	return (uint16_t)((n_queues >= all->n ? queue : port + queue) % at_least_one(all->n));
}

static void lay_out_queues(struct workers *all)
{
	for (uint16_t i = 0; i < all->n; i++) {
		all->worker[i]->n_rx = 0;
		all->worker[i]->n_ports = 0;
	}
	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		uint16_t n = RTE_MIN(at_least_one(all->conf[port].n_rx_queues), WORKERS_QUEUES_MAX);

		for (uint16_t q = 0; q < n && all->attached[port]; q++) {
			struct worker *w = all->worker[receiver(all, port, n, q)];

			w->rx[w->n_rx++] = (struct worker_queue){port, q};
		}
		for (uint16_t i = 0; i < all->n; i++) {
			if (all->attached[port] || all->worker[i]->port[port].sched != NULL)
				all->worker[i]->n_ports = (uint16_t)(port + 1);
		}
	}
	for (uint16_t i = 0; i < all->n; i++)
		worker_wait_lay_out(all->worker[i]);
}

static void attach(struct workers *all, uint16_t port, const struct workers_port *conf)
{
	all->conf[port] = *conf;
	all->attached[port] = true;
	all->n_attached++;
	atomic_store(&all->link[port], (((atomic_load(&all->link[port]) >> 1) + 1) << 1) | 1);
	for (uint16_t i = 0; i < all->n; i++) {
		struct worker *w = all->worker[i];
		struct worker_port *p = &w->port[port];
		bool owns = i == WORKER_OWNER, has_queue = owns || at_least_one(conf->n_tx_queues) >= all->n;

		p->class_key = all->n_attached;
		p->port_id = conf->port_id;
		p->max_frame_bytes = conf->max_frame_bytes;
		p->sched = owns ? conf->sched : NULL;
		p->tx_queue = has_queue ? i : TX_QUEUE_NONE;
		p->bypass = has_queue && !conf->shaped;
		p->spread = at_least_one(conf->n_rx_queues) < all->n;
		p->partial_checksums = conf->partial_checksums;
		p->link_seen = atomic_load(&all->link[port]);
		p->attached = true;
		p->up = true;
	}
	fdb_flush_port(all->fdb, port);
	lay_out_queues(all);
}

// Whether this is the one that must release.
static bool hold(struct workers *all)
{
	if (atomic_load(&all->hold))
		return false;
	workers_hold(all);
	return true;
}

void workers_port_attach(struct workers *all, uint16_t port, const struct workers_port *conf)
{
	bool held = hold(all);

	attach(all, port, conf);
	if (held)
		workers_release(all);
}

static void keep_device_counts(struct workers *all, uint16_t port)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(all->conf[port].port_id, &stats) != 0)
		return;
	all->past[port].missed += stats.imissed + port_missed(all->conf[port].port_id);
	all->past[port].no_mbuf += stats.rx_nombuf;
	all->past[port].tx_errors += stats.oerrors;
}

void workers_port_detach(struct workers *all, uint16_t port)
{
	bool held;

	if (!all->attached[port])
		return;
	held = hold(all);
	all->attached[port] = false;
	for (uint16_t i = 0; i < all->n; i++) {
		struct worker_port *p = &all->worker[i]->port[port];

		p->attached = false;
		p->up = false;
		worker_port_bypass(p, false);
	}
	fdb_flush_port(all->fdb, port);
	lay_out_queues(all);
	if (held)
		workers_release(all);
	keep_device_counts(all, port);
}

void workers_port_set_up(struct workers *all, uint16_t port, bool up)
{
	uint32_t link = atomic_load_explicit(&all->link[port], memory_order_relaxed);

	if ((link & 1) != up)
		atomic_store_explicit(&all->link[port], ((link >> 1) + 1) << 1 | up, memory_order_relaxed);
}

// --- figures

static void sum_counters(const struct workers *all, uint16_t port, uint64_t *value)
{
	struct rte_eth_stats stats;

	memset(value, 0, COUNTER_N * sizeof(*value));
	for (uint16_t i = 0; i < all->n; i++) {
		uint64_t one[COUNTER_N];

		counters_read(&all->worker[i]->port[port].counters, one);
		for (int c = 0; c < COUNTER_N; c++)
			value[c] += one[c];
	}
	value[COUNTER_dev_missed] = all->past[port].missed;
	value[COUNTER_dev_no_mbuf] = all->past[port].no_mbuf;
	value[COUNTER_dev_tx_errors] = all->past[port].tx_errors;
	if (all->attached[port] && rte_eth_stats_get(all->conf[port].port_id, &stats) == 0) {
		value[COUNTER_dev_missed] += stats.imissed + port_missed(all->conf[port].port_id);
		value[COUNTER_dev_no_mbuf] += stats.rx_nombuf;
		value[COUNTER_dev_tx_errors] += stats.oerrors;
	}
}

void workers_counters_get(const struct workers *all, uint16_t port, uint64_t *value)
{
	sum_counters(all, port, value);
	for (int c = 0; c < COUNTER_N; c++)
		value[c] -= all->base[port][c];
}

void workers_port_forget(struct workers *all, uint16_t port)
{
	bool held = hold(all);
	struct worker_port *p = &all->worker[WORKER_OWNER]->port[port];

	if (p->sched != NULL)
		counters_add(&p->counters, COUNTER_tx_down, sched_backlog_packets(p->sched));
	p->sched = NULL;
	lay_out_queues(all);
	if (held)
		workers_release(all);
	sum_counters(all, port, all->base[port]);
}

void workers_holds_get(const struct workers *all, struct workers_holds *out)
{
	double ns_per_tick = 1e9 / (double)all->worker[WORKER_OWNER]->tsc_hz;

	out->n = atomic_load_explicit(&all->n_holds, memory_order_relaxed);
	out->ns = (uint64_t)((double)atomic_load_explicit(&all->held_ticks, memory_order_relaxed) * ns_per_tick);
	out->longest_ns =
		(uint64_t)((double)atomic_load_explicit(&all->held_ticks_longest, memory_order_relaxed) * ns_per_tick);
}

void workers_phases_get(const struct workers *all, struct worker_phases *out)
{
	memset(out, 0, sizeof(*out));
	for (uint16_t i = 0; i < all->n; i++) {
		const struct worker_sums *sums = &all->worker[i]->phases;

		for (int k = 0; k < WORKER_PHASES; k++)
			out->ticks[k] += atomic_load_explicit(&sums->ticks[k], memory_order_relaxed);
		out->packets += atomic_load_explicit(&sums->packets, memory_order_relaxed);
	}
}

void workers_row_count(const struct workers *all, uint32_t slot, uint64_t *packets, uint64_t *bytes)
{
	*packets = 0;
	*bytes = 0;
	for (uint16_t i = 0; i < all->n; i++) {
		const struct row_count *count = &all->worker[i]->counts[slot];

		*packets += atomic_load_explicit(&count->packets, memory_order_relaxed);
		*bytes += atomic_load_explicit(&count->bytes, memory_order_relaxed);
	}
}

bool workers_next_sight(struct workers *all, struct sight *out)
{
	for (uint16_t i = 0; i < all->n; i++) {
		const struct worker *w = all->worker[all->sight_at];

		all->sight_at = (uint16_t)(all->sight_at + 1 == all->n ? 0 : all->sight_at + 1);
		if (sights_next(w->sights, out))
			return true;
	}
	return false;
}

uint32_t workers_n_addresses(const struct workers *all)
{
	return fdb_n_entries(all->fdb);
}
