// SPDX-License-Identifier: Apache-2.0
// The live scheduler of one transmit queue. Owner and only thread: one lcore. Time is an argument (tsc ticks).
//
// What holds (DESIGN 4), for any traffic, on a port with a configured rate:
//   S1 a backlogged class with a reservation gets at least its rate over every 10 ms (within 1 %, and the frame that is
//      on its way), whatever others send; a class with several reservations may draw on each; a reservation shared by
//      classes guarantees their sum.
//   S2 a limit bounds the sum of all classes that name it, over all queues of the worker, by rate * t + burst.
//   S3 work conserving: no idle link while a class that no limit stops has packets; excess is shared by weight.
//   S4 never reorders packets of one class; loses packets only at a full class queue, counted by the caller.
//   S5 a change of policy loses neither packets nor tokens of meters that stay. A class whose meter or node is gone
//   goes
//      on without it until it is empty.
// Without a configured rate (0) the queue passes everything that no limit stops.
//
// Bounds behind them. S1: guarantees that sum to more than the port degrade in proportion; an idle class saves up
// nothing. S2: burst = max(2 frames, 5 ms at the rate). S3: a limit that stops 16 classes or more at once opens a
// little later (0.08 ms for 16, at most 1.25 ms for 256), so that waking them is paid by many packets. Where busy
// limits cross without being nested, a class of several may get a few percent less excess than its weight says, and
// what it reserved up to 2.5 ms late. The clock may jump: one that goes backwards is time that does not pass, and a
// long gap earns no more than the bursts.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "sched_log.h"
#include "sched_set.h"

#define SCHED_BURST_MAX 256
#define SCHED_CLASSES_MAX 4096
#define SCHED_BEST_EFFORT 0        // the class of the root without reservations and limits: always there
#define SCHED_POLICED (UINT32_MAX) // not a class: sched_class

struct rte_mbuf;
struct sched;
struct sched_limits; // the limit buckets, shared by all queues of one worker

struct sched_conf {
	uint64_t rate_bps; // of the port, 0: no shaping
	uint64_t tsc_hz;
	uint32_t mtu_bytes;       // largest frame
	uint32_t queue_bytes_min; // room of a class however low its limit; 0: 64 KB
	uint32_t packets_max;     // that this queue may hold over all classes (mbufs are finite); 0: 65536
	int socket_id;
};

struct sched_class_stats {
	uint64_t packets, bytes;                 // sent
	uint64_t dropped_packets, dropped_bytes; // at the full queue
	uint64_t backlog_packets, backlog_bytes; // now
};

struct sched_stats {
	uint32_t n_classes, n_classes_max; // in use, of the pool; best effort is one
	uint64_t pool_full;                // sets that got no class
};

// Both allocate (start-up only, about 0.2 and 1.5 MB + 16 B a packet, from the EAL's heap). NULL with err on failure.
// mtu_bytes: the largest frame of any port. tsc_hz of the queues must be that of the limits.
struct sched_limits *sched_limits_create(uint64_t tsc_hz, uint32_t mtu_bytes, int socket_id, struct err *err);
void sched_limits_destroy(struct sched_limits *limits);
struct sched *sched_create(const struct sched_conf *conf, struct sched_limits *limits, struct err *err);
void sched_destroy(struct sched *s); // frees queued packets

// Applies changes, in order, to the limits and to every queue that was created with them. No allocation; O(1) for each
// change. Nodes and meters are those of sched_log.h; slots are below SCHED_METERS_MAX and SCHED_NODES_MAX.
void sched_apply(struct sched_limits *limits, const struct sched_change *changes, uint32_t n, uint64_t now_tsc);

// Classes are made by packets: the class of this (sealed) set, from the queue's pool if it is new. What stays empty for
// a second or two goes back to the pool. A set that names what is not there gets a class without it.
// A pool without room counts it and gives SCHED_POLICED: the packet enqueued next is best effort of the root, and
// dropped where a limit of its set is shut.
uint32_t sched_class(struct sched *s, const struct sched_set *set, uint64_t now_tsc);
// What sched_class gave still means that set: ask before using one that was kept from an earlier turn.
bool sched_class_is_live(const struct sched *s, uint32_t class);

// true: queued (the scheduler owns the mbuf); false: no room (the caller still owns it and counts it). class:
// sched_class's; one that is not live is best effort. flow_hash: equal for packets whose order matters.
bool sched_enqueue(struct sched *s, struct rte_mbuf *m, uint32_t class, uint32_t flow_hash, uint64_t now_tsc);
// Up to max packets (never more than SCHED_BURST_MAX) that may leave now, in order. The caller owns them.
uint16_t sched_dequeue(struct sched *s, struct rte_mbuf **out, uint16_t max, uint64_t now_tsc);
// The last n packets of the last sched_dequeue, when they could not be sent after all (the transmit ring was full):
// back to the front, in order, what they cost is given back. No drop.
void sched_unsend(struct sched *s, struct rte_mbuf **m, uint16_t n);
// A packet of this class may skip the scheduler now: nothing would hold it back and nothing would be overtaken.
bool sched_may_bypass(const struct sched *s, uint32_t class);
uint32_t sched_backlog_packets(const struct sched *s);
// Ticks from now until something may leave; 0: now; UINT64_MAX: empty, or nothing left but classes of a zero limit.
uint64_t sched_next_tsc(const struct sched *s, uint64_t now_tsc);
// All zero for a class that is not live.
void sched_class_stats(const struct sched *s, uint32_t class, struct sched_class_stats *out);
void sched_stats(const struct sched *s, struct sched_stats *out);
