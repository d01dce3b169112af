// SPDX-License-Identifier: Apache-2.0
// What the live scheduler of a transmit queue has to do: classes and meters as numbers. Holds no packets.
// Immutable once built; part of a snapshot. Slots are stable: a class (a set of reservations and limits) keeps its slot
// as long as some row uses it, so the live state of a queue is an array and adopting a plan moves nothing.
// Built by: link thread. Read by: workers.
#pragma once
#include <stdint.h>

#include "hft/action.h"
#include "hft/err.h"

#define SCHED_CLASSES_MAX 4096 // slots of one tx queue; slot 0 is best effort
#define SCHED_METERS_MAX 4096
#define SCHED_BEST_EFFORT 0

struct sched_meter {  // one reservation or limit
	uint64_t id;  // request number
	uint64_t uid; // changes when the slot gets another owner
	uint64_t rate_bps;
	uint32_t slot;
};

struct sched_class {
	uint64_t uid; // changes when the slot gets another owner
	uint32_t slot;
	uint32_t weight;                      // share of the excess, 1..1000
	uint16_t reservation[ACTION_SET_MAX]; // meter slots, none twice
	uint16_t limit[ACTION_SET_MAX];
	uint8_t n_reservations, n_limits;
};

struct sched_plan {
	uint32_t gen;
	uint32_t n_classes, n_meters;
	struct sched_class *classes; // best effort is not listed: it is always there
	struct sched_meter *meters;
};

// Gives slots to (reservations, limits) sets and to meters, and keeps them stable from plan to plan.
// Owner: link thread.
struct sched_slots;

struct sched_slots *sched_slots_create(struct err *err);
void sched_slots_destroy(struct sched_slots *slots);

// One plan from the distinct actions in use and the rates of the meters they name. class_slot[i] receives the slot of
// actions[i] (best effort for one without sets). n_actions may be large and have repeats. Slots not used by this plan
// are freed, but not given to others by the next two plans (a set that comes back meanwhile finds its slot and uid
// again). NULL with err on failure, slots then unchanged. ENOSPC: more classes or meters than slots (resting ones
// count); ENOENT: an action names a meter that is not given; E2BIG: an action with more meters than ACTION_SET_MAX;
// ENOMEM.
struct sched_plan *sched_plan_build(struct sched_slots *slots, uint32_t gen, const struct action *actions,
				    uint32_t n_actions, const struct sched_meter *meters, uint32_t n_meters,
				    uint32_t *class_slot, struct err *err);
void sched_plan_destroy(struct sched_plan *plan);
