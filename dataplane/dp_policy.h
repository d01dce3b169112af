// SPDX-License-Identifier: Apache-2.0
// The table at an instant becomes the live snapshot: at every commit for now, and at every instant at which a row
// starts or ends, prepared ahead so that the instant itself is one pointer store. Owner and only thread: the link
// thread. Time: ns since the epoch, an argument; an earlier instant than the last one seen is taken as that one.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "snapshot.h"
#include "table.h"

struct dp_filter;
struct dp_policy;

// table, slot and log are borrowed; slot->rcu is set. NULL with err: -ENOMEM. Warms rte_acl up.
struct dp_policy *dp_policy_create(struct table *table, struct snapshot_slot *slot, struct sched_log *log,
				   uint32_t simd_max_bits, struct err *err);
void dp_policy_destroy(struct dp_policy *p); // accepts NULL; what was published stays with slot
struct names *dp_policy_names(const struct dp_policy *p);
struct dp_filter *dp_policy_filter(const struct dp_policy *p); // what ports drop by themselves

// The table has changed (its commits are not settled): builds it for now_ns and publishes. Its snapshot's gen, or 0
// with err: the live one stays, and the table is to be undone.
uint32_t dp_policy_commit(struct dp_policy *p, int64_t now_ns, struct err *err);
// Publishes what is due, forgets rows that are over, prepares the next boundary when it is near and no commits come.
// The table is settled. A failure is logged and tried again.
void dp_policy_turn(struct dp_policy *p, int64_t now_ns);
// When dp_policy_turn must be called at the latest; INT64_MAX: never.
int64_t dp_policy_next_ns(const struct dp_policy *p);
