// SPDX-License-Identifier: Apache-2.0
// Request and share numbers -> slots of meters and nodes. A number keeps its slot from set to del, whatever else comes
// and goes; a slot that is given back is the last to be given out again. What changes goes to the log.
// Owner and only thread: the link thread.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "sched_log.h"

#define SCHED_METERS_MAX 131072 // twice as many as may be active: slots rest for a while
#define SCHED_NODES_MAX 4096    // SCHED_NODE_ROOT is one of them
#define SCHED_NO_SLOT UINT32_MAX
#define SCHED_WEIGHT_MAX 1000
#define SCHED_WEIGHT_BACKGROUND 0                  // only what nobody else wants
#define SCHED_NODE_DEPTH_MAX 32                    // nodes above one another
#define SCHED_BACKGROUND_SHARE (UINT64_C(1) << 32) // no share's number: the node of what hints call background

struct sched_slots;

// log is borrowed. NULL with err on failure.
struct sched_slots *sched_slots_create(struct sched_log *log, struct err *err);
void sched_slots_destroy(struct sched_slots *slots); // accepts NULL

// All set and del functions append at most one change and give the slot, or -errno with err, and then nothing has
// happened: -ENOSPC no slot is free, -EAGAIN the workers have not taken older changes yet, -ENOMEM.

// A meter by request number: new, or with this rate from now on; nothing is appended if it is so already. -EINVAL: it
// is there as the other kind.
int64_t sched_slots_meter_set(struct sched_slots *slots, uint64_t id, bool is_limit, uint64_t rate_bps,
			      struct err *err);
// -ENOENT: no such meter.
int64_t sched_slots_meter_del(struct sched_slots *slots, uint64_t id, struct err *err);
uint32_t sched_slots_meter(const struct sched_slots *slots, uint64_t id); // SCHED_NO_SLOT: no such meter

// A node by share number. parent: share number, 0: the root, which is always there as slot SCHED_NODE_ROOT and cannot
// be set or deleted (-EINVAL). weight: 1..SCHED_WEIGHT_MAX, or SCHED_WEIGHT_BACKGROUND, then the parent must be the
// root. -ENOENT: no such parent; -ELOOP: the parent is below it; -E2BIG: more than SCHED_NODE_DEPTH_MAX above one
// another.
int64_t sched_slots_node_set(struct sched_slots *slots, uint64_t share, uint64_t parent, uint32_t weight,
			     struct err *err);
// -ENOENT: no such node; -EBUSY: it has children.
int64_t sched_slots_node_del(struct sched_slots *slots, uint64_t share, struct err *err);
uint32_t sched_slots_node(const struct sched_slots *slots, uint64_t share); // SCHED_NO_SLOT: no such node

// All there is, as the changes that make it out of nothing: for a queue that comes later.
void sched_slots_each(const struct sched_slots *slots, void (*see)(void *ctx, const struct sched_change *change),
		      void *ctx);

uint32_t sched_slots_n_meters(const struct sched_slots *slots);
uint32_t sched_slots_n_nodes(const struct sched_slots *slots); // the root is not counted
