// SPDX-License-Identifier: Apache-2.0
// Where accepted requests would give packets of a request another access decision than it asks for (SPEC 4 and 5).
// Exact: regions of packets and times. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/action.h"
#include "hft/match.h"
#include "share.h"

struct conflict {
	uint64_t request;   // the accepted request that decides
	const char *share;  // its share's name
	struct match where; // exactly where it does, within the group asked about
};

struct conflicts {
	struct conflict *all; // ascending request numbers not guaranteed; regions may meet
	uint32_t n, cap;
	uint64_t work; // pairs of boxes subtracted so far: bounded
};

void conflicts_init(struct conflicts *c);
void conflicts_fini(struct conflicts *c);

// All conflicts of a new atom at `share` that asks for `decision` on `group` (boxes with their interval). c is
// initialised by the caller. 0; -ENOMEM; -E2BIG when the regions are too intricate.
int strict_conflicts(const struct share *share, enum access decision, const struct match *group, struct conflicts *c);
// The union of all regions, as disjoint boxes unless there are very many. 0, -ENOMEM, -E2BIG. out is initialised by the
// caller.
int conflicts_union(const struct conflicts *c, struct match *out);
