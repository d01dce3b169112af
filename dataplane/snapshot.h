// SPDX-License-Identifier: Apache-2.0
// Everything that decides about packets, in one immutable value behind one pointer.
// Writer: the link thread. Readers: workers, between two quiescent reports (QSBR).
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cls.h"
#include "sched_plan.h"

struct rte_rcu_qsbr;

struct snapshot {
	uint32_t gen;
	struct cls *cls;
	struct sched_plan *plan;
	uint64_t retire_token;
	STAILQ_ENTRY(snapshot) link;
};

// The one published pointer and what was replaced but may still be in use.
struct snapshot_slot {
	_Atomic(struct snapshot *) live; // link thread writes, workers read
	_Atomic uint32_t adopted_gen; // a worker writes after adopting (single worker for now)
	struct rte_rcu_qsbr *rcu;
	STAILQ_HEAD(, snapshot) retired; // link thread only
};

void snapshot_destroy(struct snapshot *s); // accepts NULL and half-built
// Makes next the live one; the old one retires.
void snapshot_publish(struct snapshot_slot *slot, struct snapshot *next);
// Frees retired snapshots that no worker can see any more; returns how many are still waiting.
unsigned int snapshot_reap(struct snapshot_slot *slot);
