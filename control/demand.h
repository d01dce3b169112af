// SPDX-License-Identifier: Apache-2.0
// What accepted requests ask of the network beside access, one by one: bandwidth, limits, waypoints, what to avoid.
// Made from the share tree together with the policy tree (policy.h). Values. Owner: the caller. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/match.h"
#include "ip_list.h"

enum demand_kind { DEMAND_RESERVE, DEMAND_LIMIT, DEMAND_WAYPOINT, DEMAND_AVOID };

struct demand {
	uint64_t id;   // request number
	uint32_t node; // of the policy tree
	uint8_t kind;  // enum demand_kind
	uint64_t rate_bps;
	int64_t start_ns, end_ns;
	struct ip_list *addresses; // of a waypoint, in order, or of an avoid; a reference
	struct match flows;        // with time, users replaced
};

struct demands {
	struct demand *all; // by number, ascending
	uint32_t n, cap;
};

void demands_init(struct demands *d);
void demands_fini(struct demands *d);
// Moves demand->flows in and takes a reference to its addresses. 0, or -ENOMEM (demand is as it was).
int demands_add(struct demands *d, struct demand *demand);
void demands_sort(struct demands *d);
const struct demand *demands_find(const struct demands *d, uint64_t id); // NULL: none
