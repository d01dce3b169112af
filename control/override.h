// SPDX-License-Identifier: Apache-2.0
// Tells holders when a change gives packets of theirs to somebody else's decision, or gives them back (SPEC 1, 4): look
// before the change and again after it; the difference is told as "overridden" or "restored" (event.h). What time alone
// brings was told when it became known. What is too intricate to compare is not told. Costs nothing while nobody
// listens. Owner: the caller's stack. Thread: control only.
#pragma once
#include "hft/match.h"
#include "request.h"
#include "state.h"

struct override_watch {
	struct watched *all;
	uint32_t n, cap;
	struct match where; // which packets, and when, the change is about
	uint64_t work;      // that looking has cost (region.h): what takes too much is not told
	bool watches;
};

// Before r comes, goes, or is prolonged: the access it will have then, and the later of the ends it had or will have.
void override_before(struct state *s, const struct request *r, enum access then, int64_t end_ns,
		     struct override_watch *w);
// Before all requests at or below the share go, who are not told.
void override_before_drop(struct state *s, const struct share *leaving, struct override_watch *w);
// After it. changed: the number of the request; 0: several.
void override_after(struct state *s, uint64_t changed, struct override_watch *w);

// Before and after an address, as a flow group on the source side, comes to a user or is taken (NULL: all of the
// user's).
void override_before_binding(struct state *s, const struct user *user, const struct match *address,
			     struct override_watch *w);
void override_after_binding(struct state *s, struct override_watch *w);
