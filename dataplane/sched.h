// SPDX-License-Identifier: Apache-2.0
// The live scheduler of one transmit queue. Owner and only thread: one lcore. Time is an argument (tsc ticks).
//
// What holds (DESIGN 4), for any traffic, on a port with a configured rate:
//   S1 a backlogged class with a reservation gets at least its rate over every 10 ms (within 1 %, and the frame that is
//      on its way), whatever others send; a class with several reservations may draw on each; a reservation shared by
//      classes guarantees their sum.
//   S2 a limit bounds the sum of all classes that name it, over all queues of the worker, by rate * t + burst.
//   S3 work conserving: no idle link while a class that no limit stops has packets. Excess is shared among the children
//      of a node by weight, its own classes counting together as one more child of weight 1, and among those equally.
//      Background nodes have what nobody else wants.
//   S4 never reorders packets of one class (best effort: of one flow); loses packets only at a full class queue or, in
//      best effort, by CoDel, counted by class and reason.
//   S5 a guaranteed class that has not used up its rate waits for a few packets, not for others' backlog.
//   S6 best effort, each node's, has a queue for each flow and CoDel: no flow waits for the backlog of another.
//   S7 a change of policy loses neither packets nor tokens of meters that stay. A class whose meter or node is gone
//   goes
//      on without it until it is empty.
//   S8 the work for a packet does not grow with the number of classes.
// Without a configured rate (0) the queue passes everything that no limit stops.
//
// Bounds behind them. S1: guarantees that sum to more than the port degrade in proportion (held_back_us counts); an
// idle class saves up nothing. S2: burst = max(2 frames, 5 ms at the rate). S3: a limit that stops 16 classes or more
// at once opens a little later (0.08 ms for 16, at most 1.25 ms for 256), so that waking them is paid by many packets;
// beyond 256 they take turns. Where busy limits cross without being nested, a class of several may get a sixth
// more or less of the excess than its weight says, never less than it reserved. A limit over parts of several shares
// goes to the share that has had least for its weight, and what its classes get beside it counts; a class that it
// leaves out has a turn each second, or after 64 frames of others. The clock may jump:
// one that goes backwards is time that does not pass, and a long gap earns no more than the bursts.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/action.h"
#include "hft/err.h"
#include "sched_log.h"
#include "sched_set.h"

#define SCHED_BURST_MAX 256
#define SCHED_CLASSES_MAX 65536
#define SCHED_DELAY_STEPS 32
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
	uint32_t classes_max;     // 0: SCHED_CLASSES_MAX, also the most there may be
	int socket_id;
};

enum sched_drop {
	SCHED_DROP_FULL,    // the class has no more room, in bytes or time
	SCHED_DROP_BUFFERS, // the queue has no more buffers for it
	SCHED_DROP_DELAY,   // CoDel
	SCHED_DROP_POLICED, // without a class, and a limit was shut
	SCHED_N_DROPS,
};

struct sched_class_stats {
	uint64_t packets, bytes; // sent
	uint64_t dropped_bytes;
	uint64_t dropped[SCHED_N_DROPS];
	uint64_t marked;                         // ECN
	uint64_t backlog_packets, backlog_bytes; // now
	uint16_t delay[SCHED_DELAY_STEPS]; // histogram of the time in the queue, since it was told: sched_delay_us
};

struct sched_stats {
	uint32_t n_classes, n_classes_max;             // in use, of the pool; best effort is one
	uint64_t pool_full;                            // sets that got no class
	uint64_t promised_bps;                         // all reservations there are
	uint64_t held_back_us;                         // time lost to promises beyond the port's rate
	uint64_t dropped_inside, dropped_inside_bytes; // by the scheduler itself: all but a false of sched_enqueue
	uint64_t bytes_per_class, bytes_per_meter;     // of memory
};

#define SCHED_TOLD_QUEUE UINT32_MAX // not a class: the queue as a whole, after all of its classes
struct sched_told {
	uint32_t class;
	uint32_t share;   // number of its node's, 0: the root, UINT32_MAX: it is no share's
	uint64_t now_tsc; // when it was so
	uint8_t n_reservations, n_limits;
	uint64_t reservation[ACTION_SET_MAX],
		limit[ACTION_SET_MAX]; // request numbers; those that are gone are left out
	struct sched_class_stats of_class;
	struct sched_stats of_queue; // SCHED_TOLD_QUEUE: instead of all but now_tsc
};

// Both allocate, at start-up only; what a queue needs comes from the kernel page by page as classes and meters are
// first used (bytes_per_class each). NULL with err on failure. mtu_bytes: the largest frame of any port. tsc_hz of the
// queues must be that of the limits.
struct sched_limits *sched_limits_create(uint64_t tsc_hz, uint32_t mtu_bytes, int socket_id, struct err *err);
void sched_limits_destroy(struct sched_limits *limits);
struct sched *sched_create(const struct sched_conf *conf, struct sched_limits *limits, struct err *err);
void sched_destroy(struct sched *s); // frees queued packets; leaves the others, if it has not yet (between turns)

// A queue that comes while the limits' worker runs is made apart (any thread): no change reaches it, but those it is
// told to catch up with, all meters and nodes there are. Between turns of the worker it joins the others. One that is
// to go leaves them between turns; then no change reaches it, and any thread may take the limits that count it as
// waiting (max at a time; how many there were), have them forget it between turns, and destroy it when there are none.
struct sched *sched_create_apart(const struct sched_conf *conf, struct sched_limits *limits, struct err *err);
void sched_catch_up(struct sched *s, const struct sched_change *changes, uint32_t n);
void sched_join(struct sched *s);
void sched_leave(struct sched *s);
uint32_t sched_take_waits(struct sched *s, uint32_t *limit, uint32_t max);
void sched_limits_forget(struct sched_limits *limits, const uint32_t *limit, uint32_t n);

// Applies changes, in order, to the limits and to every queue that was created with them. No allocation; O(1) for each
// change. Nodes and meters are those of sched_log.h; slots are below SCHED_METERS_MAX and SCHED_NODES_MAX.
void sched_apply(struct sched_limits *limits, const struct sched_change *changes, uint32_t n, uint64_t now_tsc);

// Classes are made by packets: the class of this (sealed) set, from the queue's pool if it is new. What stays empty for
// a second or two goes back to the pool. A set that names what is not there gets a class without it.
// A pool without room counts it and gives SCHED_POLICED: the packet enqueued next is best effort of the root, and
// dropped where a limit of its set is shut.
uint32_t sched_class(struct sched *s, const struct sched_set *set, uint64_t now_tsc);
// The class that such packets have now; makes none. SCHED_POLICED: none yet.
uint32_t sched_class_find(const struct sched *s, const struct sched_set *set);
// What sched_class gave still means that set: ask before using one that was kept from an earlier turn.
bool sched_class_is_live(const struct sched *s, uint32_t class);

// true: queued (the scheduler owns the mbuf); false: no room (the caller still owns it and counts it). class:
// sched_class's; one that is not live is best effort. flow_hash: equal for packets whose order matters.
bool sched_enqueue(struct sched *s, struct rte_mbuf *m, uint32_t class, uint32_t flow_hash, uint64_t now_tsc);
// Up to max packets (never more than SCHED_BURST_MAX) that may leave now, in order. The caller owns them.
uint16_t sched_dequeue(struct sched *s, struct rte_mbuf **out, uint16_t max, uint64_t now_tsc);
// The last n packets of the last sched_dequeue, when they could not be sent after all (the transmit ring was full):
// they come first at the next, in order, at no further cost. No drop.
void sched_unsend(struct sched *s, struct rte_mbuf **m, uint16_t n);
// A packet of this class may skip the scheduler now: nothing would hold it back and nothing would be overtaken.
bool sched_may_bypass(const struct sched *s, uint32_t class);
void sched_count_bypass(struct sched *s, uint32_t class, uint32_t len_bytes); // it did
uint32_t sched_backlog_packets(const struct sched *s);
// Ticks from now until something may leave; 0: now; UINT64_MAX: empty, or nothing left but classes of a zero limit.
// Some ten microseconds while only packets that came back wait: the device is tried again, but not all the time.
uint64_t sched_next_tsc(const struct sched *s, uint64_t now_tsc);
// All zero for a class that is not live.
void sched_class_stats(const struct sched *s, uint32_t class, struct sched_class_stats *out);
void sched_stats(const struct sched *s, struct sched_stats *out);
// Leaves what some of the classes have done for sched_next_told, a few at each call, so that no call takes long: once a
// millisecond is meant. All take their turn, by slot, at most once a second.
void sched_tell(struct sched *s, uint64_t now_tsc);
// One other thread. What was told, oldest first; false: no more. Nothing is lost when it is not asked for long.
bool sched_next_told(struct sched *s, struct sched_told *out);
uint64_t sched_new_drops(struct sched *s); // what dropped_inside has grown by since this was last asked
// The time in the queue, in us, that permille of the packets did not exceed; exact to a third. 0: none were sent.
uint64_t sched_delay_us(const struct sched_class_stats *stats, unsigned int permille);
// Brings what sched_enqueue of these classes needs into the cache. n: a burst.
void sched_prefetch(const struct sched *s, const uint32_t *class, uint16_t n);
