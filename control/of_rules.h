// SPDX-License-Identifier: Apache-2.0
// Sets of flow entries, and the difference between two of them. An entry is named by table, priority and match
// (OpenFlow 1.3.5, section 5.2); matches are made in zeroed memory, so that bytes tell them apart. Values, no I/O.
// Owner: the caller. Thread: control only.
#pragma once
#include "of_wire.h"

struct of_rule {
	struct of_match match;
	struct of_instructions instructions;
	uint64_t cookie;
	uint16_t priority, hard_s;
	uint8_t table;
};

struct of_rules {
	struct of_rule *rules; // sorted by name once of_rules_sort was called
	uint32_t n, cap;
};

void of_rules_init(struct of_rules *r);
void of_rules_fini(struct of_rules *r);
int of_rules_add(struct of_rules *r, const struct of_rule *rule); // copied; 0 or -ENOMEM
// Sorts by name; of several of one name the first that was added stays. 0; -ENOMEM: as it was.
int of_rules_sort(struct of_rules *r);

enum of_rules_change { OF_RULE_ADD, OF_RULE_MODIFY, OF_RULE_DELETE };
// Calls fn for what makes `have` into `want`, both sorted: additions and modifications first, then deletions.
void of_rules_diff(const struct of_rules *have, const struct of_rules *want,
		   void (*fn)(void *ctx, enum of_rules_change change, const struct of_rule *rule), void *ctx);
// The flow mod of a change.
void of_rule_message(enum of_rules_change change, const struct of_rule *rule, struct of_msg *m);
