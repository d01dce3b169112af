// SPDX-License-Identifier: Apache-2.0
// What the schedulers must know of a change of policy: which meters and which nodes exist. One writer (the link
// thread), one reader a worker, a ring of changes between them; no change is lost and none is seen twice.
// A writer appends what rows need before it publishes the rows, and takes away what rows needed after the grace period
// of the last snapshot that had them. A reader reads up to the end at the start of each turn, after it has loaded the
// snapshot pointer: so whatever its rows name is there.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

#define SCHED_LOG_CHANGES 65536
#define SCHED_LOG_READERS 8

enum sched_change_kind {
	SCHED_METER_SET, // a new meter, or another rate of one that is there (same slot and id)
	SCHED_METER_DEL,
	SCHED_NODE_SET, // a new node, or another weight or parent
	SCHED_NODE_DEL, // it has no children
};

struct sched_change {
	uint64_t id;       // request or share number
	uint64_t rate_bps; // of a meter
	uint32_t slot;
	uint32_t parent_slot, weight; // of a node: SCHED_NODE_ROOT or a node that is there; 1..1000
	uint8_t kind;                 // enum sched_change_kind
	bool is_limit;                // the meter is a limit, else a reservation
};

struct sched_log;

// n_readers: 1..SCHED_LOG_READERS; numbered from 0. NULL with err on failure.
struct sched_log *sched_log_create(uint32_t n_readers, struct err *err);
void sched_log_destroy(struct sched_log *log); // accepts NULL

// Writer. How many more the ring takes now: as many as the slowest reader leaves.
uint32_t sched_log_room(struct sched_log *log);
// Writer. 0; -EAGAIN: the ring is full, nothing happened. Readers see it at once.
int sched_log_append(struct sched_log *log, const struct sched_change *change);
// Reader. Takes up to max changes, oldest first; 0: has seen all.
uint32_t sched_log_read(struct sched_log *log, uint32_t reader, struct sched_change *out, uint32_t max);
// Any thread: the reader has taken all that was appended so far.
bool sched_log_is_read(const struct sched_log *log, uint32_t reader);
