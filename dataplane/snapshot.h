// SPDX-License-Identifier: Apache-2.0
// Everything that decides about packets, in one immutable value behind one pointer.
// Writer: the link thread. Readers: workers, between two quiescent reports (QSBR).
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "layers.h"

struct rte_rcu_qsbr;

struct snapshot {
	uint32_t gen; // not 0; of the policy: views that only differ in how rows are laid out may share one
	struct layers_view view;
	uint64_t retire_token;
	STAILQ_ENTRY(snapshot) link;
};

STAILQ_HEAD(snapshot_list, snapshot);

// The one published pointer and what was replaced but may still be in use.
struct snapshot_slot {
	_Atomic(struct snapshot *) live; // link thread writes, workers read
	_Atomic uint32_t adopted_gen;    // a worker writes after adopting (single worker for now)
	struct rte_rcu_qsbr *rcu;
	struct snapshot_list retired, spare; // link thread only
};

void snapshot_slot_init(struct snapshot_slot *slot, struct rte_rcu_qsbr *rcu); // rcu is borrowed
// Frees all of them. No worker runs any more.
void snapshot_slot_fini(struct snapshot_slot *slot);
// Takes the memory that the next snapshot_publish needs. 0 or -ENOMEM.
int snapshot_reserve(struct snapshot_slot *slot);
// Makes the view the live one; the old one retires.
void snapshot_publish(struct snapshot_slot *slot, uint32_t gen, const struct layers_view *view);
// Takes back retired snapshots that no worker can see any more; returns how many are still waiting.
unsigned int snapshot_reap(struct snapshot_slot *slot);
// The oldest snapshot that a worker may still look at; 0: there was none.
uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot);
