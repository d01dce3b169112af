// SPDX-License-Identifier: Apache-2.0
// The live scheduler of one transmit queue. Owner and only thread: one lcore. Time is an argument (tsc ticks).
//
// What holds (DESIGN 4), for any traffic, on a port with a configured rate:
//   S1 a backlogged class with a reservation gets at least its rate over every 10 ms (within 1 %), whatever others send;
//      a class with several reservations may draw on each; a reservation shared by classes guarantees their sum.
//   S2 a limit bounds the sum of all classes that name it, over all queues of the worker, by rate * t + burst.
//   S3 work conserving: no idle link while a class that no limit stops has packets; excess is shared by weight.
//   S4 never reorders packets of one class; loses packets only at a full class queue, counted by the caller.
//   S5 a plan change loses neither packets nor tokens of classes and meters that stay.
// Without a configured rate (0) the queue passes everything that no limit stops.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "sched_plan.h"

struct rte_mbuf;
struct sched;
struct sched_limits; // the limit buckets, shared by all queues of one worker

struct sched_conf {
	uint64_t rate_bps; // of the port, 0: no shaping
	uint64_t tsc_hz;
	uint32_t mtu_bytes; // largest frame
	int socket_id;
};

struct sched_class_stats {
	uint64_t packets, bytes; // sent
	uint64_t dropped_packets, dropped_bytes; // at the full queue
	uint64_t backlog_packets, backlog_bytes; // now
};

// Both allocate (start-up only). NULL with err on failure.
struct sched_limits *sched_limits_create(uint64_t tsc_hz, int socket_id, struct err *err);
void sched_limits_destroy(struct sched_limits *limits);
struct sched *sched_create(const struct sched_conf *conf, struct sched_limits *limits, struct err *err);
void sched_destroy(struct sched *s); // frees queued packets

// Takes a new plan: every queue of a worker adopts the same plan in the same turn. No allocation. The plan must live
// until the next adoption. Packets of classes that vanish are kept in order and sent as best effort.
void sched_limits_adopt(struct sched_limits *limits, const struct sched_plan *plan, uint64_t now_tsc);
void sched_adopt(struct sched *s, const struct sched_plan *plan, uint64_t now_tsc);

// true: queued (the scheduler owns the mbuf); false: the class queue is full (the caller still owns it and counts it).
bool sched_enqueue(struct sched *s, struct rte_mbuf *m, uint32_t class_slot, uint64_t now_tsc);
// Up to max packets that may leave now, in order. The caller owns them.
uint16_t sched_dequeue(struct sched *s, struct rte_mbuf **out, uint16_t max, uint64_t now_tsc);
// Packets that could not be sent after all go back to the front, in order (the transmit ring was full). No drop.
void sched_unsend(struct sched *s, struct rte_mbuf **m, uint16_t n);
// A packet of this class may skip the scheduler now: nothing would hold it back and nothing would be overtaken.
bool sched_may_bypass(const struct sched *s, uint32_t class_slot);
uint32_t sched_backlog_packets(const struct sched *s);
// Ticks from now until something may leave; 0: now; UINT64_MAX: empty.
uint64_t sched_next_tsc(const struct sched *s, uint64_t now_tsc);
void sched_class_stats(const struct sched *s, uint32_t class_slot, struct sched_class_stats *out);
