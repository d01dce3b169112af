// SPDX-License-Identifier: Apache-2.0
// What rows name (shares, reservations, limits, counters), as slots that workers have: set before rows that name them
// are published, taken back when no worker can meet those rows any more. A reservation or limit has a slot only while
// rows of it are in the classifier, or about to be: those that start later need none.
// Owner and only thread: the link thread. gen: of the last snapshot published, or built; now_ns: as dp_policy.h has it.
#pragma once
#include <stdbool.h>
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
// A row that names this reservation or limit is about to be given to the classifier: it has a slot from now on. 0; or
// -errno with err: -ENOENT the table (settled or not) has no such meter, -ENOSPC no slot is free, -EAGAIN the workers
// have not taken older changes yet, -ENOMEM.
int dp_follow_meter_take(struct dp_follow *f, uint64_t id, struct err *err);
void dp_follow_meter_give(struct dp_follow *f, uint64_t id, uint32_t last_gen); // the row is in none after last_gen
// Takes back what no worker can meet any more. settled: the table is; else only reservations and limits are looked at.
void dp_follow_turn(struct dp_follow *f, uint32_t oldest_gen, int64_t now_ns, bool settled);
