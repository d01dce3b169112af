// SPDX-License-Identifier: Apache-2.0
// Sets of groups of one switch (OpenFlow 1.3.5, section 5.6), and the difference between two of them. Values, no I/O.
// Owner: the caller. Thread: control only.
#pragma once
#include "of_rules.h"

struct of_group {
	struct of_group_mod what; // command is not looked at
	int64_t leave_ns;         // of one that is no longer wanted: when it may go; 0: not said
};

struct of_groups {
	struct of_group *groups; // by id, each once, unless of_groups_sort is yet to be called
	uint32_t n, cap;
};

// Of one switch: as what it describes is kept, two kilobytes for eight bytes, there must be an end of it. More than
// twice as many as there may be switches to lead to.
#define OF_GROUPS_MAX 2048

void of_groups_init(struct of_groups *g);
void of_groups_fini(struct of_groups *g);
// Copied; takes the place of the one of its id. 0 or -ENOMEM.
int of_groups_set(struct of_groups *g, const struct of_group_mod *what);
// Appended; of_groups_sort is to follow. 0, -ENOMEM, or -E2BIG: there are OF_GROUPS_MAX.
int of_groups_add(struct of_groups *g, const struct of_group_mod *what);
// Sorts by id; of several of one id the last that was added stays. 0; -ENOMEM: as it was.
int of_groups_sort(struct of_groups *g);
void of_groups_del(struct of_groups *g, uint32_t id);                           // if it is there
struct of_group *of_groups_find(const struct of_groups *g, uint32_t id);        // NULL: none
bool of_group_same(const struct of_group_mod *a, const struct of_group_mod *b); // type and buckets, in their order
// ADD what only `want` has, MODIFY what differs; what only `have` has is for the caller to take out, in its time.
void of_groups_diff(const struct of_groups *have, const struct of_groups *want,
		    void (*fn)(void *ctx, enum of_rules_change change, const struct of_group_mod *what), void *ctx);
bool of_rules_use_group(const struct of_rules *rules, uint32_t group); // one of them names it
void of_group_message(enum of_rules_change change, const struct of_group_mod *what, struct of_msg *m);
