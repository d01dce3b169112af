// SPDX-License-Identifier: Apache-2.0
// Waypoint lists and avoid sets that cannot both be kept (SPEC 5): in no packet may an address of the list that rules
// it be one of those to avoid. Which list rules a packet is SPEC 5's: a child's before its parent's, else the one of
// the lowest number, a suspended one counting as absent. Thread: control only. There is no topology here: apart from
// that a path is taken to exist.
#pragma once
#include "request.h"
#include "state.h"

struct route_clash {
	uint64_t waypoint, avoid; // 0: the one that is checked
	struct ip_addr addr;
};

// Whether something would become unrealizable with `probe`, a waypoint or avoid request that is not in its share yet
// (share, verb, id, addresses and flows are set; id UINT64_MAX: a new one). 0; 1 and the clash; -ENOMEM; -E2BIG.
// Nothing is changed, but the probe stands in its share for the time of the call.
int route_check(const struct state *s, struct request *probe, struct route_clash *clash);
// Suspends the lists that some packet, now or later, would have to follow into what it must avoid (an end has exposed
// them), and resumes those that can be kept again for all the rest of their time. Their holders are told. What
// is too intricate to decide is suspended. To be called when a waypoint or avoid request went, and while state has any
// suspended also when one came.
void route_review(struct state *s);
bool route_changed(const struct state *s); // one went since the last review
// Counts a request in or out at its share and above.
void route_count(const struct request *r, bool add);
