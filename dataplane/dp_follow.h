// SPDX-License-Identifier: Apache-2.0
// What rows name (shares, reservations, limits, counters), as slots that workers have: set before rows that name them
// are published, taken back when no worker can meet those rows any more.
// Owner and only thread: the link thread. gen: of the last snapshot published, or built; now_ns: as dp_policy.h has it.
#pragma once
#include <stdint.h>

#include "names.h"
#include "sched_slots.h"
#include "table.h"

struct dp_follow;

// table and log are borrowed. NULL with err: out of memory.
struct dp_follow *dp_follow_create(const struct table *table, struct sched_log *log, struct err *err);
void dp_follow_destroy(struct dp_follow *f); // accepts NULL
struct names *dp_follow_names(const struct dp_follow *f);
const struct sched_slots *dp_follow_slots(const struct dp_follow *f);

// The table's commits that are not settled. 0; or -errno with err (no slot is free; -EAGAIN: the workers have not taken
// older changes yet), and then it is as if dp_follow_undo had been called.
int dp_follow_commit(struct dp_follow *f, uint32_t gen, int64_t now_ns, struct err *err);
// They will be undone after all: called before table_undo.
void dp_follow_undo(struct dp_follow *f, uint32_t gen, int64_t now_ns);
// A row is over: for table_expire.
void dp_follow_expired(struct dp_follow *f, const struct part_row *row, uint32_t gen, int64_t now_ns);
// Takes back what no worker can meet any more. The table is settled.
void dp_follow_turn(struct dp_follow *f, uint32_t oldest_gen, int64_t now_ns);
