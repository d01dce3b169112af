// SPDX-License-Identifier: Apache-2.0
// The table becomes the live snapshot: at every commit, and at every instant at which rows start or end. Owner and only
// thread: the link thread. Time: ns since the epoch, an argument; an instant up to a second before the last one seen is
// taken as that one, and before that the clock was set back: rows that have started stay, those that are over stay
// over.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "snapshot.h"
#include "table.h"

struct dp_filter;
struct dp_policy;
struct dp_rows_stats;
struct layers;
struct names;
struct sched_slots;
struct sched_log;

// table, slot and log are borrowed. NULL with err: -ENOMEM.
struct dp_policy *dp_policy_create(struct table *table, struct snapshot_slot *slot, struct sched_log *log,
				   uint32_t simd_max_bits, struct err *err);
// Accepts NULL; what was published stays with slot. false: a layer is being built, which may take seconds; p's
// memory, and the EAL, have to stay. wait: until it is through.
bool dp_policy_destroy(struct dp_policy *p, bool wait);
struct names *dp_policy_names(const struct dp_policy *p);
const struct sched_slots *dp_policy_slots(const struct dp_policy *p);
struct dp_filter *dp_policy_filter(const struct dp_policy *p); // what ports drop by themselves
struct layers *dp_policy_layers(const struct dp_policy *p);

// The table has changed (its commits are not settled): publishes it as it is at now_ns. Its snapshot's gen, or 0 with
// err: EAGAIN: under way; the table and the link are left alone until, after dp_policy_turn, a further call is through.
// Other errors: the live one stays, and the table is to be undone.
uint32_t dp_policy_commit(struct dp_policy *p, int64_t now_ns, struct err *err);
// Publishes what is due, forgets rows that are over, keeps house. The table is settled, or a commit is under way.
void dp_policy_turn(struct dp_policy *p, int64_t now_ns);
void dp_policy_stats(const struct dp_policy *p, struct dp_rows_stats *out);
// When dp_policy_turn must be called at the latest, INT64_MAX: never; and when this descriptor is readable.
int64_t dp_policy_next_ns(const struct dp_policy *p);
int dp_policy_fd(const struct dp_policy *p);
