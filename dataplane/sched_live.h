// SPDX-License-Identifier: Apache-2.0
// Inside of the live scheduler; only sched*.c and their tests include it.
//
// A backlogged class is active or asleep. Active: it is in the calendar of its node, for the excess, and in the ring of
// each of its reservations. Asleep: a limit stops it, and it waits in that limit's list. Whether a limit stops an
// active class is looked at when its turn comes, so a packet costs nothing for classes whose turn it is not.
//
// Guarantees (sched_res.c). A reservation with active classes is in one of two wheels: future, by the instant its
// bucket opens, or ready, by the deadline of its next packet (eligible earliest deadline first: each gets its rate if
// the sum fits the port). Reservations live in virtual time: real time, but held back when the earliest deadline is
// missed by more than SCHED_LAG: more is promised than the port can carry, all lag alike, so each gets its proportion.
//
// Excess (sched_excess.c). A tree of calendars: each node has one for its classes and one for each power of two of its
// children's weights. A turn goes down from the root to the class that has had least, lasts for a frame's worth of
// bytes and is booked on the way up, for each child by its weight. What a node's own classes send counts as one more
// child of weight 1. Background nodes hang from a second root that is asked when the first has nobody.
//
// While no class is active, a packet that no limit stops skips all of that: it would be the next to leave anyway.
//
// Limits (sched_limits.c). A class that a limit stops sleeps until it opens. Limits keep a frame for one class that
// they stop: it claims it. Without that a class of several busy limits would find them all open at once too rarely.
#pragma once
#include <stdatomic.h>

#include <rte_mbuf.h>

#include "bucket.h"
#include "sched.h"
#include "sched_calendar.h"
#include "sched_slots.h"
#include "sched_wheel.h"

#define SCHED_NONE 0 // class, member, wide set: best effort, class 0, is in no list. So zeroed memory is empty
#define SCHED_NO_PACKET UINT32_MAX
#define SCHED_SLOT_BITS 17           // of a class's name; above: the life of the slot
#define SCHED_HERD 16                // classes stopped by one limit from which it opens late
#define SCHED_START_TSC (1ULL << 57) // of the inner clock: bursts reach back from now, and must not pass 0
#define SCHED_SERVED_SHIFT 24        // ticks -> the 16 bits that a class keeps of when it was served last
#define SCHED_TIME_SHIFT 8           // ticks -> the 32 bits that a packet keeps of its arrival
#define SCHED_WEIGHT_GROUPS 10
#define SCHED_WEIGHT_BITS 20 // fraction of a tag
#define SCHED_DEPTH_MAX (SCHED_NODE_DEPTH_MAX + 2)
#define SCHED_BACKGROUND SCHED_NODES_MAX // slot of the second root
#define SCHED_MEMBER_WIDE (1U << 31)     // of a member: wide set * ACTION_SET_MAX + reservation; else the class
#define SCHED_TREE_NODES (SCHED_NODES_MAX + 1)
#define SCHED_HISTOGRAM 32
#define SCHED_CODEL_LAW 256
#define SCHED_FLOWS 8192 // of best effort that may be backlogged at once

struct sched_limit { // of all queues
	struct bucket bucket;
	uint64_t kept_ticks; // tokens that only a class that claimed the limit may use
	uint64_t id;         // 0: no such limit
	uint16_t owner;      // number of the queue that sent last
	uint16_t n_waiting;  // queues with classes that wait for this limit
	int32_t turn_bytes;  // that are left of the owner's turn
};

static_assert(sizeof(struct sched_limit) == 64, "one cache line");

struct sched_limits {
	uint64_t tsc_hz, last_tsc, now; // now: the inner clock of all queues, never goes back
	uint64_t grace_ticks;           // tokens that a queue after its turn leaves to the others
	uint32_t mtu_bytes;
	bool started;
	uint16_t last_number; // of a queue
	struct sched *queues; // created with these limits, linked by next_queue
	_Alignas(64) struct sched_limit limit[SCHED_METERS_MAX];
};

struct sched_gate {             // a limit as one queue sees it
	struct wheel_item item; // by the instant it opens, if classes wait
	uint32_t waiting;       // last of the circular list of classes, SCHED_NONE: none
	uint32_t n_asleep;
	uint32_t claimed_by; // class that may use the frame that it keeps
	bool claim_paid;     // by a reservation
	bool urgent;         // a class that may use it sleeps here
	bool listed;         // in the wheel
};

struct sched_res { // one cache line: what a packet needs
	struct wheel_item item;
	struct bucket bucket; // virtual time
	uint32_t ring;        // member whose turn it is, SCHED_NONE: none is active
	uint16_t head_bytes;  // of its first packet, when it was placed
	uint8_t in;           // enum sched_res_wheel
	bool there;           // there is such a reservation
};

enum sched_res_wheel {
	SCHED_RES_NONE,
	SCHED_RES_FUTURE,
	SCHED_RES_READY,
};

static_assert(sizeof(struct sched_res) == 64, "one cache line");

struct sched_res_more {
	uint64_t id;           // 0: no such reservation
	uint32_t n_backlogged; // classes, active or asleep
	uint32_t round;        // of the last turn
};

struct sched_member { // of a class in the ring of one of its reservations
	uint32_t next, prev;
	uint32_t round; // of its next turn
};

enum sched_state {
	SCHED_QUEUE_IDLE,
	SCHED_QUEUE_ACTIVE,
	SCHED_QUEUE_ASLEEP,
};

#define SCHED_ROOM_SHIFT 6 // room is counted in 64 bytes

struct sched_queue {               // one class: in the first cache line what each packet needs
	struct calendar_item item; // asleep: next in the limit's list. Its deficit is that of the first reservation
	uint32_t head, tail;       // packets; of a class with flows its lists are in sched_flows
	uint32_t n_bytes;
	uint16_t n_packets, room;
	uint16_t node; // as long as it is active: where it is
	uint8_t n_reservations : 4, n_limits : 4;
	uint8_t state : 2; // enum sched_state
	bool touched : 1;  // since the last look for idle ones
	bool used : 1;     // else the slot is free
	bool has_flows : 1;
	bool is_wide : 1; // its meters are in wide[reservation]
	uint32_t reservation, limit;
	uint16_t life, set_node;           // set_node: as the set says
	uint32_t hash;                     // of its set
	uint64_t sent_packets, sent_bytes; // in the second: figures of each packet
	struct sched_member member;
	uint16_t delay[SCHED_HISTOGRAM]; // its most usual steps
	uint64_t dropped_bytes;          // in the third: what is rare
	uint32_t dropped[SCHED_N_DROPS];
	uint32_t marked;
	uint32_t next; // in its chain, or among the free
};

static_assert(sizeof(struct sched_queue) == 192, "three cache lines");
static_assert(offsetof(struct sched_queue, sent_packets) == 64, "the second cache line");

struct sched_wide {     // meters of a class that has more than one reservation or limit
	uint32_t class; // free: the next free one
	uint32_t reservation[ACTION_SET_MAX], limit[ACTION_SET_MAX];
	struct sched_member member[ACTION_SET_MAX];
	int32_t deficit[ACTION_SET_MAX];
};

struct sched_herd { // those that one limit lets go at once: the first of them, by its tag
	uint64_t first;
	uint32_t number;
	uint8_t group; // of the heaviest
};

struct sched_tree_node {                // of the share tree, or a root
	uint64_t classes_now, kids_now; // virtual time among each
	struct sched_herd classes_herd, kids_herd;
	uint32_t parent;
	uint32_t share;                // number
	uint32_t per_byte;             // of a tag, for its weight
	uint32_t n_kids;               // nodes below
	uint16_t kid_map;              // weight groups with active kids
	uint8_t group;                 // of its weight
	bool used, active, own_active; // in the parent's calendar; its classes in its own kids' calendar
	struct calendar classes;
};

struct sched_packet { // that is queued
	uint64_t m : 48, len_bytes : 16;
	uint32_t next;
	uint32_t time; // of arrival, ticks >> SCHED_TIME_SHIFT
};

struct sched_flow { // of a class with flows
	uint32_t head, tail, n_bytes;
	uint32_t class, hash;
	uint32_t next; // in the list of new or old flows
	int32_t deficit;
	uint8_t state; // 0: idle, 1: new, 2: old
	bool dropping; // CoDel's state, with the names of RFC 8289
	uint32_t count, lastcount;
	uint32_t first_above_time, drop_next;
};

struct sched_flow_list {
	uint32_t head, tail; // SCHED_NO_PACKET: empty
};

struct sched_flow_lists { // of one class
	struct sched_flow_list fresh, old;
	uint32_t fattest;
};

#define SCHED_TOLD_MAX 1024 // waiting to be asked for

struct sched_telling {
	uint64_t next_at;                   // the next round, in inner time
	uint32_t slot;                      // whose turn it is
	_Alignas(64) _Atomic uint32_t head; // the owner writes
	_Alignas(64) _Atomic uint32_t tail; // who asks writes
	struct sched_told told[SCHED_TOLD_MAX];
};

struct sched_turn {     // at the excess
	uint32_t class; // SCHED_NO_SLOT: nobody's
	uint32_t n_path;
	uint64_t used_bytes;
	uint32_t path[SCHED_DEPTH_MAX]; // kids, from the root down
};

struct sched {
	struct sched_limits *limits;
	struct sched *next_queue;
	uint64_t tsc_hz;
	uint64_t virtual_now, last_now, lag_ticks;
	struct bucket line; // rate 0: none
	uint32_t mtu_bytes, packets_max, queue_bytes_min, classes_max;
	uint32_t n_packets, n_free, free_packet, n_fresh; // n_fresh: packets used at least once
	uint32_t n_active;                                // classes
	uint32_t n_direct, first_direct;                  // packets that nothing holds back: they leave next, in order
	uint16_t number;                                  // of the queue, from 1
	uint32_t herd_number;
	uint32_t n_gates_taken; // by sched_take_waits, after it left
	unsigned int shift;     // of a calendar of weight 1
	struct sched_turn turn;
	struct calendar_items class_items, kid_items;
	struct wheel ready, future, opening;
	// classes
	uint32_t free_class, n_classes, n_fresh_classes, chain_mask, sweep_slot, free_wide, n_fresh_wide, n_wide_max;
	uint64_t sweep_at, sweep_ticks;
	struct sched_set policed; // of the packet that comes next as SCHED_POLICED
	struct sched_stats stats;
	uint64_t drops_told;
	uint64_t held_back_ticks; // virtual time
	// what came back from the device
	uint32_t n_returned, first_returned;
	uint64_t retry_at;
	struct rte_mbuf *returned[SCHED_BURST_MAX];
	struct rte_mbuf *direct[SCHED_BURST_MAX];
	// flows
	uint32_t codel_target, codel_interval; // ticks >> SCHED_TIME_SHIFT, as all that follows
	uint32_t codel_law[SCHED_CODEL_LAW];   // interval / sqrt(count)
	uint64_t us_per_time;                  // 2^-32
	// all in one mapping, this struct first
	void *base;
	size_t n_bytes_mapped;
	struct sched_queue *queue;
	struct sched_wide *wide;
	uint32_t *chain;
	uint32_t *n_users; // of meters
	struct sched_res *res;
	struct sched_res_more *res_more;
	struct sched_gate *gate;
	struct sched_tree_node *tree;
	struct calendar_item *kid; // node slot * 2: the node among its parent's; + 1: its classes among its kids
	struct calendar *calendar; // of kids: node slot * SCHED_WEIGHT_GROUPS + group
	struct sched_flow *flow;
	struct sched_flow_lists *flow_lists; // of best effort by node
	struct sched_packet *packet;
	struct sched_telling *telling;
};

static inline const uint32_t *sched_reservations(const struct sched *s, const struct sched_queue *q)
{
	return q->is_wide ? s->wide[q->reservation].reservation : &q->reservation;
}

static inline const uint32_t *sched_limit_slots(const struct sched *s, const struct sched_queue *q)
{
	return q->is_wide ? s->wide[q->reservation].limit : &q->limit;
}

// sched_limits.c: the clock and what limits allow
uint64_t sched_clock(struct sched_limits *limits, uint64_t now_tsc); // the inner time
void sched_limit_set(struct sched_limits *limits, const struct sched_change *c, uint64_t now);
void sched_limit_del(struct sched_limits *limits, uint32_t slot, uint64_t now);
uint64_t sched_limit_opens_at(const struct sched *s, uint32_t limit, bool urgent);
void sched_limit_opens_anew(struct sched *s, uint32_t limit); // after a change of its bucket
void sched_limit_take(struct sched *s, uint32_t limit, uint32_t bytes, uint64_t now);
// The limit that stops the class longest after it has claimed what it may, SCHED_NONE: none does.
uint32_t sched_stopped_by(struct sched *s, uint32_t slot, uint64_t now, bool paid);
void sched_served(struct sched_queue *q, uint64_t now); // it sends, or begins to wait
void sched_release_limits(struct sched *s, uint32_t slot);
void sched_sleep_on(struct sched *s, uint32_t slot, uint32_t limit);
void sched_wake(struct sched *s, uint64_t now); // classes whose limits have opened
void sched_wake_all(struct sched *s);

// sched_res.c: guarantees
void sched_res_join(struct sched *s, uint32_t slot);  // a class that has become backlogged
void sched_res_enter(struct sched *s, uint32_t slot); // or has woken
void sched_res_leave(struct sched *s, uint32_t slot); // falls asleep, or is empty
void sched_res_part(struct sched *s, uint32_t slot);  // is empty
void sched_res_place(struct sched *s, uint32_t r);    // after any change of its bucket or ring
void sched_res_charge(struct sched *s, uint32_t r, uint32_t bytes);
void sched_virtual_clock(struct sched *s, uint64_t now);
bool sched_res_pick(struct sched *s, uint64_t now, uint32_t *slot, uint32_t *res);

// sched_excess.c: the rest by weight
void sched_excess_init(struct sched *s);
void sched_excess_note(struct sched *s, uint32_t slot); // is about to be woken, one of a herd
void sched_excess_enter(struct sched *s, uint32_t slot, bool woken);
void sched_excess_leave(struct sched *s, uint32_t slot);
bool sched_excess_pick(struct sched *s, uint64_t now, uint32_t *slot);
void sched_excess_charge(struct sched *s, uint32_t slot, uint32_t bytes);
// a has had less than b, where their ways from the root part.
bool sched_excess_before(const struct sched *s, uint32_t a, uint32_t b);
void sched_node_set(struct sched *s, const struct sched_change *c);
void sched_node_del(struct sched *s, const struct sched_change *c);

// sched_class.c: the pool
uint32_t sched_class_name(const struct sched *s, uint32_t slot);
void sched_class_init(struct sched *s);
void sched_class_refresh(struct sched *s, uint32_t slot); // room as the policy is now
void sched_class_sweep(struct sched *s, uint64_t now);    // idle ones go back to the pool
// Classes that name this meter slot, which another request is about to get, go on without it.
void sched_class_disown(struct sched *s, uint32_t meter);
void sched_activate(struct sched *s, uint32_t slot);   // a class that has become backlogged
void sched_deactivate(struct sched *s, uint32_t slot); // active -> idle

// sched_flow.c: the packets of best effort
void sched_flow_init(struct sched *s);
void sched_flow_begin(struct sched *s, uint32_t slot); // a class that is to have flows
// false: no room for it; the packet is still the caller's.
bool sched_flow_enqueue(struct sched *s, uint32_t slot, uint32_t packet, uint32_t flow_hash);
// The next packet, after CoDel has dropped and marked what it must. SCHED_NO_PACKET: the class is empty.
uint32_t sched_flow_dequeue(struct sched *s, uint32_t slot, uint32_t time);
void sched_flow_forget(struct sched *s, uint32_t slot); // the class is empty

// sched.c
uint32_t sched_packet_free(struct sched *s, uint32_t packet); // gives what was next
void sched_drop(struct sched *s, struct sched_queue *q, uint32_t packet, enum sched_drop why);
static inline struct rte_mbuf *sched_mbuf(const struct sched_packet *p)
{
	return (struct rte_mbuf *)(uintptr_t)p->m;
}

// sched_ecn.c
bool sched_ecn_mark(struct rte_mbuf *m); // Congestion Experienced; false: this packet cannot carry it
