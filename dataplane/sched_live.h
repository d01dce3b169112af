// SPDX-License-Identifier: Apache-2.0
// Inside of the live scheduler; only sched*.c and their tests include it.
//
// A backlogged class is active or asleep. Active: it is in the ring of the excess, and in the ring of each of its
// reservations. Asleep: a limit stops it, and it waits in that limit's list. Whether a limit stops an active class is
// looked at when its turn comes, so a packet costs nothing for classes whose turn it is not.
// Limits keep a frame for one class that they stop: it claims it.
// A reservation with active classes is in one of two heaps: future, by the instant its bucket opens, or ready, by the
// deadline of its next packet (eligible earliest deadline first: each gets its rate if the sum fits the port).
// Reservations live in virtual time: real time, but held back when the earliest deadline is missed by more than
// SCHED_LAG: more is promised than the port can carry, all lag alike, so each gets its proportion.
// Both kinds of ring are served by surplus round robin: the head sends until its deficit is used up, gets its quantum
// (at least one frame, so once is always enough) and goes to the tail. At the excess each turn has a number; a class
// that slept keeps its number and waits in the heap of those due, so that neither limits nor lengths shift the shares.
// Limits keep a frame for urgent classes: one that a reservation pays, or that missed its turn. Without it a class of
// several busy limits would find them all open at once too rarely.
// A reservation with active classes is in one of two heaps: future, by the instant its bucket opens, or ready, by the
// deadline of its next packet (eligible earliest deadline first: each gets its rate if the sum fits the port).
// Reservations live in virtual time: real time, but held back when the earliest deadline is missed by more than
// SCHED_LAG: more is promised than the port can carry, all lag alike, so each gets its proportion.
// Both rings are served by surplus round robin: the head sends until its deficit is used up, gets its quantum (at least
// one frame, so once is always enough) and goes to the tail. Each turn belongs to a round; a class that slept while its
// turn was due comes back at the head, so that limits and frame lengths do not shift the shares.
#pragma once
#include <rte_mbuf.h>

#include "bucket.h"
#include "sched.h"
#include "sched_heap.h"
#include "sched_slots.h"

#define SCHED_NO_NODE UINT32_MAX
#define SCHED_CHAINS (2 * SCHED_CLASSES_MAX)
#define SCHED_SLOT_BITS 16           // of a class's name; above: the life of the slot
#define SCHED_HERD 16                // classes stopped by one limit from which it opens late
#define SCHED_START_TSC (1ULL << 57) // of the inner clock: bursts reach back from now, and must not pass 0

struct sched_limit {
	struct bucket bucket;
	uint64_t kept_ticks;       // tokens that only a class that claimed the limit may use
	uint64_t id;               // 0: no such limit
	const struct sched *owner; // queue that sent last
	int32_t turn_bytes;        // that are left of its turn
	uint16_t n_waiting;        // queues with classes that wait for this limit
};

struct sched_limits {
	uint64_t tsc_hz, last_tsc, now; // now: the inner clock of all queues, never goes back
	uint64_t grace_ticks;           // tokens that a queue after its turn leaves to the others
	uint32_t mtu_bytes;
	bool started;
	struct sched *queues; // created with these limits, linked by next_queue
	struct sched_limit limit[SCHED_METERS_MAX];
};

struct sched_res {
	struct bucket bucket; // virtual time
	uint64_t id;          // 0: no such reservation
	uint32_t round;
	uint16_t ring;         // head: class * ACTION_SET_MAX + index of this reservation in the class
	uint16_t n_backlogged; // classes, active or asleep
	bool ready;            // if in a heap: in which
};

enum sched_state {
	SCHED_QUEUE_IDLE,
	SCHED_QUEUE_ACTIVE,
	SCHED_QUEUE_ASLEEP,
};

struct sched_queue {         // one class
	uint32_t head, tail; // nodes
	uint64_t n_bytes;
	uint32_t n_packets, max_bytes, min_packets; // min_packets: room for so many whatever their length
	int32_t deficit, quantum;
	uint64_t turn; // number of its next turn at the excess
	uint16_t reservation[ACTION_SET_MAX], limit[ACTION_SET_MAX];
	uint16_t asleep_on;
	uint8_t n_reservations, n_limits;
	uint8_t state; // enum sched_state
	bool used;     // else the slot is free
	bool touched;  // since the last look for idle ones
	uint16_t life; // of the slot: tells a class from an earlier one
	uint16_t next; // in its chain, or among the free
	uint16_t node;
	uint32_t hash;
	uint64_t sent_packets, sent_bytes, dropped_packets, dropped_bytes;
};

struct sched_share { // of a class in one of its reservations
	int32_t deficit;
	uint32_t round; // of its next turn; may wrap: a turn too early or late does no harm
};

struct sched_claim { // of a class on the frame that a limit keeps
	uint16_t by; // SCHED_NONE: nobody
	bool paid;   // by a reservation
};

struct sched_share_node { // of the share tree
	uint32_t parent;
	uint32_t weight; // 0: no such node
};

struct sched_node { // a queued packet
	struct rte_mbuf *m;
	uint32_t next;
	uint32_t len_bytes;
};

struct sched_sent { // of the last dequeue, for sched_unsend
	struct rte_mbuf *m;
	uint32_t len_bytes;
	uint16_t slot, res; // res: SCHED_NONE: as excess
};

struct sched {
	struct sched_limits *limits;
	struct sched *next_queue;
	struct sched_set policed; // of the packet that comes next as SCHED_POLICED
	uint64_t sweep_at, pool_full;
	uint16_t sweep_slot, free_class;
	uint32_t n_classes;
	uint16_t chain[SCHED_CHAINS];       // by hash of the set
	uint16_t n_users[SCHED_METERS_MAX]; // classes that name the meter
	struct sched_share_node tree[SCHED_NODES_MAX];
	uint64_t tsc_hz;
	uint64_t virtual_now, last_now, lag_ticks;
	struct bucket line; // rate 0: none
	uint32_t mtu_bytes, packets_max, queue_bytes_min;
	uint32_t n_packets, n_free, free_node;
	uint16_t ring;    // head of the excess ring
	uint64_t round;   // of the excess: highest that was served
	uint16_t n_turns; // given out; wraps
	uint32_t n_sent;
	struct heap ready, future, opening, due; // reservations; reservations; limits; classes
	struct sched_queue queue[SCHED_CLASSES_MAX];
	struct link link[SCHED_CLASSES_MAX]; // in the excess ring or in a limit's list
	struct link res_link[SCHED_CLASSES_MAX * ACTION_SET_MAX];
	struct sched_share res_share[SCHED_CLASSES_MAX * ACTION_SET_MAX];
	struct sched_res res[SCHED_METERS_MAX];
	uint16_t waiting[SCHED_METERS_MAX]; // head of the classes that a limit stops
	uint16_t n_asleep[SCHED_METERS_MAX];
	bool urgent[SCHED_METERS_MAX]; // one of them is
	struct sched_claim claim[SCHED_METERS_MAX];
	uint16_t res_pos[SCHED_METERS_MAX], limit_pos[SCHED_METERS_MAX], due_pos[SCHED_CLASSES_MAX];
	struct heap_entry ready_entry[SCHED_METERS_MAX], future_entry[SCHED_METERS_MAX],
		opening_entry[SCHED_METERS_MAX], due_entry[SCHED_CLASSES_MAX];
	struct sched_sent sent[SCHED_BURST_MAX];
	struct sched_node node[]; // packets_max, and a burst that may come back
};

// sched_limits.c: the clock and what limits allow
uint64_t sched_clock(struct sched_limits *limits, uint64_t now_tsc); // the inner time
uint64_t sched_limit_opens_at(const struct sched *s, uint16_t limit, bool urgent);
// The limit that stops the class longest, SCHED_NONE: none does.
uint16_t sched_blocked_by(const struct sched *s, uint16_t slot, uint64_t now);
void sched_limits_take(struct sched *s, const struct sched_queue *q, uint32_t bytes, uint64_t now);
void sched_limits_give(struct sched *s, const struct sched_queue *q, uint32_t bytes);

// sched_turn.c: whose turn it is
void sched_activate(struct sched *s, uint16_t slot);   // a class that has become backlogged
void sched_deactivate(struct sched *s, uint16_t slot); // active -> idle
void sched_wake(struct sched *s, uint64_t now);        // classes whose limits have opened
void sched_wake_all(struct sched *s);
void sched_res_place(struct sched *s, uint16_t r); // after any change of its bucket or ring
void sched_virtual_clock(struct sched *s, uint64_t now);
// The class that may send now and the reservation that pays (SCHED_NONE: excess). false: nobody.
bool sched_pick(struct sched *s, uint64_t now, uint16_t *slot, uint16_t *res);
// The class has just sent bytes (its queue is already one shorter).
void sched_charge(struct sched *s, uint16_t slot, uint16_t res, uint32_t bytes);
// The opposite (its queue is already one longer).
void sched_refund(struct sched *s, uint16_t slot, uint16_t res, uint32_t bytes);

void sched_limit_opens_anew(struct sched *s, uint16_t limit); // after a change of its bucket

// sched_class.c
void sched_class_init(struct sched *s);
void sched_class_refresh(struct sched *s, uint16_t slot); // room and quantum as the policy is now
void sched_class_sweep(struct sched *s, uint64_t now);    // idle ones go back to the pool
// Classes that name this meter slot, which another request is about to get, become best effort.
void sched_class_disown(struct sched *s, uint16_t meter, bool is_limit);

// sched_apply.c
uint32_t sched_queue_bytes(const struct sched *s, const struct sched_queue *q); // room of a class with its limits
void sched_limit_set(struct sched_limits *limits, const struct sched_change *c, uint64_t now);
void sched_limit_del(struct sched_limits *limits, uint32_t slot, uint64_t now);
