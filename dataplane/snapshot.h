// SPDX-License-Identifier: Apache-2.0
// Everything that decides about packets, in one immutable value behind one pointer.
// Writer: the link thread. Readers: workers, between two quiescent reports (QSBR).
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cls.h"
#include "hft/err.h"
#include "hft/parts.h"
#include "names.h"
#include "sched_slots.h"

struct rte_rcu_qsbr;

struct snapshot {
	uint32_t gen; // also the epoch of cls's slots; not 0
	struct cls *cls;
	uint64_t retire_token;
	STAILQ_ENTRY(snapshot) link;
};

// The one published pointer and what was replaced but may still be in use.
struct snapshot_slot {
	_Atomic(struct snapshot *) live; // link thread writes, workers read
	_Atomic uint32_t adopted_gen;    // a worker writes after adopting (single worker for now)
	struct rte_rcu_qsbr *rcu;
	STAILQ_HEAD(, snapshot) retired; // link thread only
};

// What a snapshot is built from; all borrowed for the call.
struct snapshot_input {
	const struct part_row *const *rows; // in force at one instant
	uint32_t n_rows;
	uint32_t gen; // new in this process, not 0
	uint32_t simd_max_bits;
	const struct sched_slots *slots; // they have what the rows name
	const struct names *names;
};

// NULL with err: out of memory, more than the classifier can hold, or a row that names what is not there.
struct snapshot *snapshot_build(const struct snapshot_input *in, struct err *err);
void snapshot_destroy(struct snapshot *s); // accepts NULL and half-built
// Makes next the live one; the old one retires.
void snapshot_publish(struct snapshot_slot *slot, struct snapshot *next);
// Frees retired snapshots that no worker can see any more; returns how many are still waiting.
unsigned int snapshot_reap(struct snapshot_slot *slot);
// The oldest snapshot that a worker may still look at; 0: there was none.
uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot);
// Frees all of them. No worker runs any more.
void snapshot_slot_fini(struct snapshot_slot *slot);
