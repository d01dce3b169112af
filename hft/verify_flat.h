// SPDX-License-Identifier: Apache-2.0
// Does a flat table mean what its policy tree means, for every packet at every time? As verify.h finds it out for the
// table by parts: by dividing the space of packets and times into cells, not by the compiler's intersections. Here a
// region is left when everything asked for fills it, and every row that may decide in it has that action.
// Pure. Thread: any.
#pragma once
#include "flowtab.h"
#include "tree.h"

struct verify_flat_fault {
	struct match_packet packet; // with its time: a counterexample
	struct action want, got;    // the same: rows of one rank compete there, with other actions
};

// Compares tree and table from from_ns on; table: in any order. 1: equal. 0: they differ, *fault (may be NULL) says
// where. -E2BIG: not decided with this effort (verify.h: VERIFY_EFFORT). -ENOMEM.
int verify_flat(const struct tree *tree, const struct flowtab *ft, int64_t from_ns, uint32_t effort,
		struct verify_flat_fault *fault);
