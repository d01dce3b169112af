// SPDX-License-Identifier: Apache-2.0
// Sets of flow entries and of meters, and the difference between two of them. An entry is named by table, priority and
// match (OpenFlow 1.3.5, section 5.2); matches are made in zeroed memory, so that bytes tell them apart. Values, no
// I/O. Owner: the caller. Thread: control only.
#pragma once
#include "of_wire.h"

struct of_rule {
	struct of_match match;
	struct of_instructions instructions;
	uint64_t cookie;
	uint16_t priority;
	uint8_t table;
	int64_t ends_ns;  // since the epoch: the switch takes it out by itself, within some seconds; INT64_MAX or 0:
			  // never
	int64_t leave_ns; // of one that is no longer wanted: when it may go; 0: not said
	uint16_t hops;    // to the host that it sends to, and one; 0: it leads to no host
	bool flood;       // it sends along the tree
};

#define OF_RULE_ENDS_TOLERANCE_NS 3000000000LL // switches count in seconds

struct of_rules {
	struct of_rule *rules; // sorted by name once of_rules_sort was called
	uint32_t n, cap;
};

bool of_action_same(const struct of_action *x, const struct of_action *y);

void of_rules_init(struct of_rules *r);
void of_rules_fini(struct of_rules *r);
int of_rules_reserve(struct of_rules *r, uint32_t n);             // room for n without copying them; 0 or -ENOMEM
int of_rules_add(struct of_rules *r, const struct of_rule *rule); // copied; 0 or -ENOMEM
// Sorts by name; of several of one name the first that was added stays. 0; -ENOMEM: as it was.
int of_rules_sort(struct of_rules *r);
const struct of_rule *of_rules_find(const struct of_rules *r, const struct of_rule *name); // in sorted ones; NULL: none
void of_rules_del(struct of_rules *r, const struct of_rule *name);                         // if it is there

enum of_rules_change { OF_RULE_ADD, OF_RULE_MODIFY, OF_RULE_DELETE };
// Calls fn for what makes `have` into `want`, both sorted: additions by falling priority, then modifications, then
// deletions by rising priority, table by table. In this order every packet meets in each table the entry that it met
// before or the one that it will meet: an addition is reached only where none of those still missing is above it; what
// lies under an entry to be deleted and is to be deleted too goes first.
void of_rules_diff(const struct of_rules *have, const struct of_rules *want,
		   void (*fn)(void *ctx, enum of_rules_change change, const struct of_rule *rule), void *ctx);
// The flow mod of a change. now_ns: since the epoch, to say how long the entry lasts.
void of_rule_message(enum of_rules_change change, const struct of_rule *rule, int64_t now_ns, struct of_msg *m);

struct of_meter {
	uint32_t id, rate_kbps, burst_kb; // kilobits
};

struct of_meters {
	struct of_meter *meters; // by id, each once, unless of_meters_sort is yet to be called
	uint32_t n, cap;
};

void of_meters_init(struct of_meters *m);
void of_meters_fini(struct of_meters *m);
int of_meters_add(struct of_meters *m, const struct of_meter *meter); // one of its id stays; 0 or -ENOMEM
// Appended; of_meters_sort is to follow. 0 or -ENOMEM.
int of_meters_append(struct of_meters *m, const struct of_meter *meter);
// Sorts by id; of several of one id the first that was added stays. 0; -ENOMEM: as it was.
int of_meters_sort(struct of_meters *m);
// As of_rules_diff; meters are changed in place.
void of_meters_diff(const struct of_meters *have, const struct of_meters *want,
		    void (*fn)(void *ctx, enum of_rules_change change, const struct of_meter *meter), void *ctx);
void of_meter_message(enum of_rules_change change, const struct of_meter *meter, struct of_msg *m);
