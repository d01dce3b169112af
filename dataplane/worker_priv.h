// SPDX-License-Identifier: Apache-2.0
// Inside of workers; only worker*.c include it.
#pragma once
#include <poll.h>
#include <stdatomic.h>

#include <rte_cycles.h>

#include "combine.h"
#include "fdb_near.h"
#include "hand_ring.h"
#include "hft/match.h"
#include "layers.h"
#include "pkt.h"
#include "sched.h"
#include "sched_log.h"
#include "sights.h"
#include "snapshot.h"
#include "workers.h"

#define WORKER_OWNER 0 // of all schedulers
#define WORKER_DIRECT_MAX (2 * PKT_BURST)

// What the owner needs to send a frame for another worker.
struct worker_handed {
	struct rte_mbuf *m;
	uint32_t flow_hash;
	uint16_t port;
	struct sched_set set;
};

// Frames of a burst that wait for their classes' memory.
struct worker_waiting {
	struct worker_port *port; // of all
	uint16_t n;
	struct rte_mbuf *m[PKT_BURST];
	struct combined *answer[PKT_BURST];
	uint32_t hash[PKT_BURST], class[PKT_BURST];
};

struct worker_port { // a port as one worker has it
	struct counters counters;
	uint32_t link_seen;
	uint32_t
		class_key; // no other port has had it: what answers keep of those that went is not taken for this one's
	uint16_t port_id, tx_queue;
	uint16_t n_direct;
	bool attached, up;
	bool bypass;  // what is best effort may leave at once; the owner asks once a turn, until something is queued
	bool spread;  // frames received may be another worker's
	bool classed; // some frame of the last burst received had a class
	bool partial_checksums;
	uint32_t max_frame_bytes;
	uint32_t plain_bytes; // a frame of best effort of at most so many may leave at once; 0: none
	struct sched *sched;  // the owner's; others: NULL
	struct rte_mbuf *direct[WORKER_DIRECT_MAX]; // of this turn, past the scheduler; a burst goes at once
};

struct worker_queue {
	uint16_t port, queue;
};

struct worker_sums { // writer: worker
	_Atomic uint64_t ticks[WORKER_PHASES];
	_Atomic uint64_t packets;
};

struct worker {
	struct worker_port port[WORKER_PORTS_MAX];
	struct workers *all;
	uint16_t id, n_ports; // no port from n_ports on is attached
	uint16_t n_rx;
	struct worker_queue rx[WORKER_PORTS_MAX * WORKERS_QUEUES_MAX]; // that it receives from
	bool poll_always, drop_fragments, adopted;
	uint32_t gen;              // adopted
	uint32_t tick_shift, tick; // tick = now_tsc >> tick_shift, about a millisecond
	uint64_t tsc_hz;
	struct fdb *fdb;       // everybody's
	struct fdb_near *near; // what this worker has asked it
	struct sights *sights;
	struct rte_mempool *pool;
	struct sched_limits *limits; // the owner's
	struct sched_log *log;       // the owner's
	struct layers_reader *reader;
	struct combine *combine;
	struct row_count *counts; // by counter slot; written through combine
	struct class_ask *ask;
	struct snapshot_slot *slot;
	struct hand_ring *handed;               // to the owner, of struct worker_handed; the owner's is NULL
	struct hand_ring *to_me[WORKERS_MAX];   // frames that others received for it, by giver; NULL: itself
	struct hand_ring *from_me[WORKERS_MAX]; // the other way round
	struct worker_waiting waiting;
	uint16_t n_staged;
	struct worker_handed staged[PKT_BURST]; // not yet handed over, of this turn
	struct {
		bool on; // this turn
		uint32_t n_turns, n_packets;
		uint64_t end_tsc;              // of the last phase
		uint64_t ticks[WORKER_PHASES]; // of this turn
	} timing;
	struct worker_sums phases;
	struct hand_ring *captured;   // of struct workers_captured; NULL: nothing ever was
	_Atomic uint32_t n_missed;    // that found it full
	_Atomic bool running, parked; // writer: worker
	_Atomic bool waits;           // worker_wake must wake it; writer: worker
	struct {
		bool readable;                                               // some queue was, by the last wait
		uint16_t n;                                                  // 0: some port has nothing to wait for
		struct pollfd fd[1 + WORKER_PORTS_MAX * WORKERS_QUEUES_MAX]; // an eventfd, and its queues'
	} wait; // n and fd are changed while workers are held
};

struct capture { // changed while workers are held
	uint16_t n_boxes;
	struct box box[WORKERS_CAPTURE_BOXES];
};

struct workers {
	uint16_t n;
	struct capture capture; // n_boxes 0: nothing is
	struct worker *worker[WORKERS_MAX];
	uint32_t tick_shift;
	struct fdb *fdb;
	_Atomic uint32_t link[WORKER_PORTS_MAX]; // writer: workers_port_set_up. Bit 0: up; above: changes so far
	_Atomic bool stop;                       // writer: workers_stop
	_Atomic bool hold;                       // writer: workers_hold
	_Atomic uint64_t n_holds, held_ticks, held_ticks_longest; // writer: main thread
	// main thread's
	uint32_t n_attached; // so far
	uint64_t held_since_tsc;
	struct workers_port conf[WORKER_PORTS_MAX]; // of attached ports
	bool attached[WORKER_PORTS_MAX];
	struct {
		uint64_t missed, no_mbuf, tx_errors;
	} past[WORKER_PORTS_MAX];                   // of devices that went
	uint64_t base[WORKER_PORTS_MAX][COUNTER_N]; // what ports before had counted
	uint16_t sight_at, captured_at;             // worker to be asked next
};

static inline void worker_port_bypass(struct worker_port *p, bool bypass)
{
	p->bypass = bypass;
	p->plain_bytes = p->up && bypass ? p->max_frame_bytes : 0;
}

static inline void worker_phase_end(struct worker *w, enum worker_phase phase)
{
	uint64_t now_tsc;

	if (likely(!w->timing.on))
		return;
	now_tsc = rte_rdtsc();
	w->timing.ticks[phase] += now_tsc - w->timing.end_tsc;
	w->timing.end_tsc = now_tsc;
}

// workers.c. One step of waiting for another thread, since since_tsc: at first it turns, then it sleeps, so that the
// other one may have this core.
void worker_give_way(const struct worker *w, uint64_t since_tsc);
// worker.c. Memory aside, a worker is what workers_create makes of conf.
struct worker *worker_create(struct workers *all, uint16_t id, const struct workers_conf *conf, struct err *err);
void worker_destroy(struct worker *w); // accepts NULL

// worker_wait.c
int worker_wait_up(struct worker *w, struct err *err);
void worker_wait_down(struct worker *w);
void worker_wait_lay_out(struct worker *w); // its queues have changed
// A turn was empty, after so many (at most some hundred count) that were: may sleep. What to say next time.
unsigned int worker_idle(struct worker *w, uint64_t now_tsc, unsigned int idle);
// Any thread: there is something for it, since before the call.
void worker_wake(struct worker *w);

// worker_path.c. A burst of the queue, from the device to the schedulers and the outputs of this turn; how many.
unsigned int worker_receive(struct worker *w, struct worker_queue from, const struct snapshot *s, uint64_t now_tsc);
// What other workers received for this one, at most a burst of each; how many.
unsigned int worker_receive_given(struct worker *w, const struct snapshot *s, uint64_t now_tsc);
// capture.c. Copies of those frames of a burst that are asked for.
void worker_capture(struct worker *w, const struct worker_port *in, struct rte_mbuf *const *m, const struct pkt *pkt,
		    uint16_t n);
// What the turn staged for the owner is handed over.
void worker_hand_over(struct worker *w);
// The owner: the first n[i] that worker i has handed over go their way; how many.
unsigned int worker_take_over(struct worker *w, const uint32_t n[WORKERS_MAX], uint64_t now_tsc);
// What waits in port->direct: it is sent, or dropped and counted.
void worker_flush_direct(struct worker_port *port);
// What the port's scheduler lets go now; how many.
unsigned int worker_send_scheduled(struct worker_port *port, uint64_t now_tsc);
