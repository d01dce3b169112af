// SPDX-License-Identifier: Apache-2.0
// A scheduler on a simulated clock: hand-made plans, sources that keep classes backlogged, what was sent by class and
// millisecond. A plan names its classes by slots of its own; the one that the scheduler gives is asked for at each
// packet. One per test; thread: the test's.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/sched.h"

#define SIM_HZ 1000000000ULL // a tick is a nanosecond
#define SIM_MS (SIM_HZ / 1000)
#define SIM_SLOTS 64   // classes and meters a plan of the simulation may use
#define SIM_BINS 20000 // milliseconds that are recorded
#define SIM_QUEUES 2
#define MBIT 1000000ULL
#define MTU 1514U

struct sim_meter {
	uint64_t uid, rate_bps;
};

struct sim_class {
	bool used;
	struct sched_set set;
};

struct sim_node {
	bool used;
	uint32_t parent, weight;
};

struct sim_plan {
	struct sim_class classes[SIM_SLOTS];
	struct sim_meter meters[SIM_SLOTS]; // uid 0: none
	struct sim_node nodes[SIM_SLOTS];   // not the root, 0
};

struct sim_source { // keeps one class of one queue backlogged
	bool on;
	uint32_t len_bytes, keep; // keep: packets in the queue at any time
};

struct sim {
	struct sched_limits *limits;
	struct sched *queue[SIM_QUEUES];
	unsigned int n_queues;
	uint64_t now;             // ns since the start
	uint64_t tick_offset, hz; // what the scheduler is told: tick_offset + now * hz / SIM_HZ
	uint64_t late_ns;         // the worker is so much late each time it sleeps
	struct sim_source source[SIM_QUEUES][SIM_SLOTS];
	uint64_t sent_bytes[SIM_QUEUES][SIM_SLOTS];
	uint32_t bin[SIM_SLOTS][SIM_BINS]; // bytes sent by class and ms, all queues
	uint32_t next_seq[SIM_QUEUES][SIM_SLOTS], seen_seq[SIM_QUEUES][SIM_SLOTS];
	uint64_t lost[SIM_QUEUES]; // of the numbers that are missing
	uint64_t turns;
	struct sim_plan plan;               // adopted
	struct sim_meter meters[SIM_SLOTS]; // as the scheduler knows them
	bool is_limit[SIM_SLOTS];
	struct sim_node nodes[SIM_SLOTS];
	uint32_t mbufs_before; // a failed test must not fail the next
};

int sim_group_setup(void **state); // EAL and the mempool, once
int sim_group_teardown(void **state);
uint32_t sim_mbufs_in_use(void);

struct sim *sim_create(uint64_t rate_bps, unsigned int n_queues, uint64_t hz);
void sim_destroy(struct sim *sim); // asserts that no mbuf is lost
uint64_t sim_tsc(const struct sim *sim);

void sim_plan_init(struct sim_plan *p);
void sim_plan_meter(struct sim_plan *p, uint32_t slot, uint64_t uid, uint64_t rate_bps);
// parent: below node, or 0.
void sim_plan_node(struct sim_plan *p, uint32_t node, uint32_t parent, uint32_t weight);
// reservations and limits: meter slots, ended by -1; NULL: none. No meter may be both. weight: 1: directly in the root;
// else in a node of its own.
struct sim_class *sim_plan_class(struct sim_plan *p, uint32_t slot, uint32_t weight, const int *reservations,
				 const int *limits);
// Into that node instead; its packets are then best effort of the node, if it has no meters and plain is true.
void sim_plan_class_in(struct sim_plan *p, uint32_t slot, uint32_t node, bool plain);
// The changes from the plan before.
void sim_adopt(struct sim *sim, const struct sim_plan *p);
uint32_t sim_class(struct sim *sim, unsigned int queue, uint32_t slot); // the scheduler's; best effort if not planned
void sim_stats(struct sim *sim, unsigned int queue, uint32_t slot, struct sched_class_stats *out);

struct rte_mbuf *sim_packet(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes);
bool sim_send(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes); // false: dropped (and freed)
void sim_backlog(struct sim *sim, unsigned int queue, uint32_t slot, uint32_t len_bytes);
void sim_quiet(struct sim *sim, unsigned int queue, uint32_t slot);
// Counts a packet as sent and fails if it overtook one of its class, or one is missing that was not dropped by CoDel.
// Not if its number (m->hash.usr) is 0.
void sim_judge(struct sim *sim, unsigned int queue, const struct rte_mbuf *m);
// Takes what may leave now, checks the order in each class, records it. Number of packets.
unsigned int sim_take(struct sim *sim, unsigned int queue);
void sim_run(struct sim *sim, uint64_t ns); // on to now + ns as the worker would: take, sleep until something may leave
void sim_drain(struct sim *sim);            // sources off, everything that can leave leaves

uint64_t sim_bytes(const struct sim *sim, uint32_t slot); // sent so far, all queues
double sim_mbit(const struct sim *sim, uint32_t slot, uint64_t from_bytes, uint64_t ns);
// Least and most bytes in any window of n_ms whole milliseconds within [from_ms, to_ms).
uint64_t sim_window_min(const struct sim *sim, uint32_t slot, uint32_t n_ms, uint32_t from_ms, uint32_t to_ms);
uint64_t sim_window_max(const struct sim *sim, uint32_t slot, uint32_t n_ms, uint32_t from_ms, uint32_t to_ms);
