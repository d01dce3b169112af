// SPDX-License-Identifier: Apache-2.0
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#define N_MBUFS 32768
#define TAKE 32

static struct rte_mempool *pool;

int sim_group_setup(void **state)
{
	char *argv[] = {"test", "--no-huge", "--no-shconf", "--no-pci", "-m", "64", "--log-level=error"};

	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("sim", N_MBUFS, 0, 0, 128, SOCKET_ID_ANY);
	return pool == NULL ? -1 : 0;
}

int sim_group_teardown(void **state)
{
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

uint32_t sim_mbufs_in_use(void)
{
	return rte_mempool_in_use_count(pool);
}

struct sim *sim_create(uint64_t rate_bps, unsigned int n_queues, uint64_t hz)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct sched_conf conf = {.rate_bps = rate_bps, .tsc_hz = hz, .mtu_bytes = MTU, .socket_id = SOCKET_ID_ANY};

	assert_non_null(sim);
	sim->mbufs_before = sim_mbufs_in_use();
	sim->hz = hz;
	sim->tick_offset = 123456789;
	sim->n_queues = n_queues;
	sim->limits = sched_limits_create(hz, MTU, SOCKET_ID_ANY, NULL);
	assert_non_null(sim->limits);
	for (unsigned int i = 0; i < n_queues; i++) {
		sim->queue[i] = sched_create(&conf, sim->limits, NULL);
		assert_non_null(sim->queue[i]);
	}
	return sim;
}

void sim_destroy(struct sim *sim)
{
	for (unsigned int i = 0; i < sim->n_queues; i++)
		sched_destroy(sim->queue[i]);
	sched_limits_destroy(sim->limits);
	assert_int_equal(sim_mbufs_in_use(), sim->mbufs_before);
	free(sim);
}

uint64_t sim_tsc(const struct sim *sim)
{
	return sim->tick_offset + (uint64_t)((unsigned __int128)sim->now * sim->hz / SIM_HZ);
}

void sim_plan_init(struct sim_plan *p)
{
	*p = (struct sim_plan){0};
}

void sim_plan_meter(struct sim_plan *p, uint32_t slot, uint64_t uid, uint64_t rate_bps)
{
	p->meters[slot] = (struct sim_meter){.uid = uid, .rate_bps = rate_bps};
}

void sim_plan_node(struct sim_plan *p, uint32_t node, uint32_t parent, uint32_t weight)
{
	p->nodes[node] = (struct sim_node){.used = true, .parent = parent, .weight = weight};
}

struct sim_class *sim_plan_class(struct sim_plan *p, uint32_t slot, uint32_t weight, const int *reservations,
				 const int *limits)
{
	struct sim_class *c = &p->classes[slot];

	*c = (struct sim_class){.used = true};
	if (weight != 1) {
		sim_plan_node(p, slot, SCHED_NODE_ROOT, weight);
		c->set.node = slot;
	}
	for (; reservations != NULL && *reservations >= 0; reservations++)
		c->set.reservation[c->set.n_reservations++] = (uint32_t)*reservations;
	for (; limits != NULL && *limits >= 0; limits++)
		c->set.limit[c->set.n_limits++] = (uint32_t)*limits;
	if (c->set.n_reservations < ACTION_SET_MAX) // one that is not there: equal sets would be one class
		c->set.reservation[c->set.n_reservations++] = 1000 + slot;
	sched_set_seal(&c->set);
	return c;
}

void sim_plan_class_in(struct sim_plan *p, uint32_t slot, uint32_t node, bool plain)
{
	struct sched_set *set = &p->classes[slot].set;

	set->node = node;
	if (plain && set->reservation[set->n_reservations - 1] == 1000 + slot)
		set->n_reservations--;
	sched_set_seal(set);
}

static bool plan_limits(const struct sim_plan *p, uint32_t meter)
{
	for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
		for (unsigned int i = 0; i < p->classes[slot].set.n_limits; i++) {
			if (p->classes[slot].set.limit[i] == meter)
				return true;
		}
	}
	return false;
}

static void apply(struct sim *sim, struct sched_change c)
{
	sched_apply(sim->limits, &c, 1, sim_tsc(sim));
}

static void adopt_meter(struct sim *sim, const struct sim_plan *p, uint32_t slot)
{
	struct sim_meter *is = &sim->meters[slot];
	const struct sim_meter *want = &p->meters[slot];
	bool is_limit = plan_limits(p, slot);

	if (is->uid != 0 && (is->uid != want->uid || sim->is_limit[slot] != is_limit))
		apply(sim,
		      (struct sched_change){
			      .kind = SCHED_METER_DEL, .slot = slot, .id = is->uid, .is_limit = sim->is_limit[slot]});
	if (want->uid != 0 &&
	    (is->uid != want->uid || sim->is_limit[slot] != is_limit || is->rate_bps != want->rate_bps))
		apply(sim, (struct sched_change){.kind = SCHED_METER_SET,
						 .slot = slot,
						 .id = want->uid,
						 .is_limit = is_limit,
						 .rate_bps = want->rate_bps});
	*is = *want;
	sim->is_limit[slot] = is_limit;
}

static void adopt_node(struct sim *sim, const struct sim_plan *p, uint32_t node)
{
	const struct sim_node *want = &p->nodes[node], *is = &sim->nodes[node];

	if (!want->used || (is->used && is->weight == want->weight && is->parent == want->parent))
		return;
	apply(sim, (struct sched_change){.kind = SCHED_NODE_SET,
					 .slot = node,
					 .id = node,
					 .parent_slot = want->parent,
					 .weight = want->weight});
}

void sim_adopt(struct sim *sim, const struct sim_plan *p)
{
	for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
		adopt_meter(sim, p, slot);
		adopt_node(sim, p, slot);
	}
	for (uint32_t node = SIM_SLOTS; node-- > 0;) { // children first
		if (sim->nodes[node].used && !p->nodes[node].used)
			apply(sim, (struct sched_change){.kind = SCHED_NODE_DEL, .slot = node, .id = node});
		sim->nodes[node] = p->nodes[node];
	}
	sim->plan = *p;
}

uint32_t sim_class(struct sim *sim, unsigned int queue, uint32_t slot)
{
	const struct sim_class *c = &sim->plan.classes[slot];

	return c->used ? sched_class(sim->queue[queue], &c->set, sim_tsc(sim)) : SCHED_BEST_EFFORT;
}

void sim_stats(struct sim *sim, unsigned int queue, uint32_t slot, struct sched_class_stats *out)
{
	sched_class_stats(sim->queue[queue], sim_class(sim, queue, slot), out);
}

struct rte_mbuf *sim_packet(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	m->pkt_len = len_bytes;
	m->port = (uint16_t)slot;
	m->hash.usr = ++sim->next_seq[queue][slot];
	return m;
}

bool sim_send(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes)
{
	struct rte_mbuf *m = sim_packet(sim, queue, slot, len_bytes);

	if (sched_enqueue(sim->queue[queue], m, sim_class(sim, queue, slot), slot, sim_tsc(sim)))
		return true;
	sim->next_seq[queue][slot]--;
	rte_pktmbuf_free(m);
	return false;
}

static void refill(struct sim *sim, unsigned int queue, uint32_t slot)
{
	const struct sim_source *src = &sim->source[queue][slot];
	struct sched_class_stats st;

	if (!src->on)
		return;
	sim_stats(sim, queue, slot, &st);
	for (uint64_t n = st.backlog_packets; n < src->keep; n++)
		assert_true(sim_send(sim, queue, slot, src->len_bytes));
}

void sim_backlog(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes)
{
	sim->source[queue][slot] = (struct sim_source){.on = true, .len_bytes = len_bytes, .keep = 40};
	refill(sim, queue, slot);
}

void sim_quiet(struct sim *sim, unsigned int queue, uint32_t slot)
{
	sim->source[queue][slot].on = false;
}

// In order; none lost but what the scheduler says it dropped.
void sim_judge(struct sim *sim, unsigned int queue, const struct rte_mbuf *m)
{
	uint32_t slot = m->port, gap;
	struct sched_stats st;

	sim->sent_bytes[queue][slot] += m->pkt_len;
	if (m->hash.usr == 0)
		return;
	gap = m->hash.usr - ++sim->seen_seq[queue][slot];
	if (gap == 0)
		return;
	sched_stats(sim->queue[queue], &st);
	sim->lost[queue] += gap; // less than 0 would be a huge number
	assert_true(sim->lost[queue] <= st.dropped_inside);
	sim->seen_seq[queue][slot] += gap;
}

unsigned int sim_take(struct sim *sim, unsigned int queue)
{
	struct rte_mbuf *out[TAKE];
	uint16_t n = sched_dequeue(sim->queue[queue], out, TAKE, sim_tsc(sim));
	uint64_t ms = sim->now / SIM_MS;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t slot = out[i]->port;

		sim_judge(sim, queue, out[i]);
		if (ms < SIM_BINS)
			sim->bin[slot][ms] += out[i]->pkt_len;
		rte_pktmbuf_free(out[i]);
	}
	for (uint32_t slot = 0; slot < SIM_SLOTS && n > 0; slot++)
		refill(sim, queue, slot);
	return n;
}

// What a worker does: until nothing more may leave now, then sleep.
void sim_run(struct sim *sim, uint64_t ns)
{
	uint64_t end = sim->now + ns;

	while (sim->now < end) {
		uint64_t wait = UINT64_MAX;

		for (unsigned int q = 0; q < sim->n_queues; q++) {
			uint64_t w;

			while (sim_take(sim, q) > 0)
				;
			w = sched_next_tsc(sim->queue[q], sim_tsc(sim));
			wait = w < wait ? w : wait;
		}
		sim->turns++;
		if (wait != UINT64_MAX)
			wait = (uint64_t)((unsigned __int128)wait * SIM_HZ / sim->hz) + 1 + sim->late_ns;
		sim->now = wait < end - sim->now ? sim->now + wait : end;
	}
}

void sim_drain(struct sim *sim)
{
	for (unsigned int q = 0; q < sim->n_queues; q++) {
		for (uint32_t slot = 0; slot < SIM_SLOTS; slot++)
			sim_quiet(sim, q, slot);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t left = 0;

		sim_run(sim, SIM_HZ);
		for (unsigned int q = 0; q < sim->n_queues; q++)
			left += sched_backlog_packets(sim->queue[q]);
		if (left == 0)
			return;
	}
	fail_msg("packets stay in the scheduler");
}

uint64_t sim_bytes(const struct sim *sim, uint32_t slot)
{
	uint64_t sum = 0;

	for (unsigned int q = 0; q < sim->n_queues; q++)
		sum += sim->sent_bytes[q][slot];
	return sum;
}

double sim_mbit(const struct sim *sim, uint32_t slot, uint64_t from_bytes, uint64_t ns)
{
	return (double)(sim_bytes(sim, slot) - from_bytes) * 8e3 / (double)ns;
}

static uint64_t window(const struct sim *sim, uint32_t slot, uint32_t from_ms, uint32_t n_ms)
{
	uint64_t sum = 0;

	for (uint32_t i = from_ms; i < from_ms + n_ms; i++)
		sum += sim->bin[slot][i];
	return sum;
}

uint64_t sim_window_min(const struct sim *sim, uint32_t slot, uint32_t n_ms, uint32_t from_ms, uint32_t to_ms)
{
	uint64_t min = UINT64_MAX;

	for (uint32_t ms = from_ms; ms + n_ms <= to_ms; ms++) {
		uint64_t sum = window(sim, slot, ms, n_ms);

		min = sum < min ? sum : min;
	}
	return min;
}

uint64_t sim_window_max(const struct sim *sim, uint32_t slot, uint32_t n_ms, uint32_t from_ms, uint32_t to_ms)
{
	uint64_t max = 0;

	for (uint32_t ms = from_ms; ms + n_ms <= to_ms; ms++) {
		uint64_t sum = window(sim, slot, ms, n_ms);

		max = sum > max ? sum : max;
	}
	return max;
}
