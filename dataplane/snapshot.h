// SPDX-License-Identifier: Apache-2.0
// Everything that decides about packets, in one immutable value behind one pointer.
// Writer: the link thread. Readers: workers, between two quiescent reports (QSBR).
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cls.h"
#include "hft/err.h"
#include "hft/flowtab.h"
#include "sched_set.h"
#include "sched_slots.h"

struct rte_rcu_qsbr;

#define SNAPSHOT_BEST_EFFORT 0 // index of the empty set

struct snapshot {
	uint32_t gen, n_sets;
	struct cls *cls;
	struct sched_set *sets; // the distinct ones of the rows, sealed; verdicts name them by index
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
	const struct row *const *rows; // in force at one instant, rank descending
	uint32_t n_rows;
	uint32_t gen; // new in this process
	uint32_t simd_max_bits;
};

// NULL with err: out of memory, more than the classifier can hold, or a row that names a request without a meter.
struct snapshot *snapshot_build(const struct snapshot_input *in, const struct sched_slots *slots, struct err *err);
void snapshot_destroy(struct snapshot *s); // accepts NULL and half-built
// Makes next the live one; the old one retires.
void snapshot_publish(struct snapshot_slot *slot, struct snapshot *next);
// Frees retired snapshots that no worker can see any more; returns how many are still waiting.
unsigned int snapshot_reap(struct snapshot_slot *slot);
// The oldest snapshot that a worker may still look at; 0: there was none.
uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot);
// The gen of the oldest snapshot that a worker may still look at; 0: there is none.
uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot);
// Frees all of them. No worker runs any more.
void snapshot_slot_fini(struct snapshot_slot *slot);
