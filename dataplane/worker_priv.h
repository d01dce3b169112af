// SPDX-License-Identifier: Apache-2.0
// Inside of a worker; only worker*.c include it.
#pragma once
#include "combine.h"
#include "fdb.h"
#include "layers.h"
#include "pkt.h"
#include "sched.h"
#include "sched_log.h"
#include "sights.h"
#include "snapshot.h"
#include "worker.h"

#include <rte_cycles.h>

struct worker_port {
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

struct worker_sums { // writer: worker
	_Atomic uint64_t ticks[WORKER_PHASES];
	_Atomic uint64_t packets;
};

struct worker {
	struct worker_port port[WORKER_PORTS_MAX];
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
	struct class_ask *ask;
	struct snapshot_slot *slot;
	unsigned int qsbr_id;
	struct {
		bool on; // this turn
		uint32_t n_turns, n_packets;
		uint64_t end_tsc;              // of the last phase
		uint64_t ticks[WORKER_PHASES]; // of this turn
	} timing;
	struct worker_sums phases;
	_Atomic uint32_t n_addresses; // writer: worker
	_Atomic bool stop;            // writer: worker_stop
};

static inline void worker_phase_end(struct worker *w, enum worker_phase phase)
{
	uint64_t now_tsc;

	if (likely(!w->timing.on))
		return;
	now_tsc = rte_rdtsc();
	w->timing.ticks[phase] += now_tsc - w->timing.end_tsc;
	w->timing.end_tsc = now_tsc;
}

// worker_path.c. A burst of the port, from the device to the schedulers and the outputs of this turn; how many.
uint16_t worker_receive(struct worker *w, struct worker_port *in, const struct snapshot *s, uint64_t now_tsc);
// What waits in port->direct: it is sent, or dropped and counted.
void worker_flush_direct(struct worker_port *port);
// What the port's scheduler lets go now; how many.
unsigned int worker_send_scheduled(struct worker_port *port, uint64_t now_tsc);
