// SPDX-License-Identifier: Apache-2.0
// Everything that decides about packets, in one immutable value behind one pointer.
// Writer: the link thread. Readers: workers, between two quiescent reports (QSBR).
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "layers.h"

struct rte_rcu_qsbr;

#define SNAPSHOT_READERS_MAX 8

struct snapshot {
	uint32_t gen; // not 0; of the policy: views that only differ in how rows are laid out may share one
	struct layers_view view;
	uint64_t retire_token;
	STAILQ_ENTRY(snapshot) link;
};

STAILQ_HEAD(snapshot_list, snapshot);

// The one published pointer and what was replaced but may still be in use.
struct snapshot_slot {
	_Atomic(struct snapshot *) live;                    // link thread writes, workers read
	_Atomic uint32_t adopted_gen[SNAPSHOT_READERS_MAX]; // each written by a worker after adopting
	uint32_t n_readers;
	struct rte_rcu_qsbr *rcu;
	struct snapshot_list retired, spare; // link thread only
};

// For n_readers workers, of which the first is number 0. rcu is borrowed, and has room for as many.
void snapshot_slot_init(struct snapshot_slot *slot, struct rte_rcu_qsbr *rcu, uint32_t n_readers);
// Frees all of them. No worker runs any more.
void snapshot_slot_fini(struct snapshot_slot *slot);
// Takes the memory that the next snapshot_publish needs. 0 or -ENOMEM.
int snapshot_reserve(struct snapshot_slot *slot);
// Makes the view the live one; the old one retires.
void snapshot_publish(struct snapshot_slot *slot, uint32_t gen, const struct layers_view *view);
// Takes back retired snapshots that no worker can see any more; returns how many are still waiting.
unsigned int snapshot_reap(struct snapshot_slot *slot);
// The generation that all workers have adopted, or a later one; 0: some have none. Any thread.
uint32_t snapshot_adopted_gen(const struct snapshot_slot *slot);
// The oldest snapshot that a worker may still look at; 0: there was none.
uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot);
