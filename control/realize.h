// SPDX-License-Identifier: Apache-2.0
// Policy -> dataplane: follows the engine's changes and sends what they come to. Costs as much as has changed; all of
// the policy is gone through once, at the first run (and after memory ran out). Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dp_link.h"
#include "engine.h"
#include "prove.h"

struct realize;

struct realize_stats {
	uint32_t n_rows, n_categories;
	uint32_t n_waiting; // accepted requests, and shares, that are not in force for want of room
	uint64_t failures;  // requests and shares that had to wait, each time
	uint64_t rebuilds;  // times that all was gone through
	struct prove_stats proof;
};

// engine and link are borrowed; link's hooks are taken. From now on the engine accepts no more reservations and limits
// at once than one dataplane takes. NULL with err: out of memory.
struct realize *realize_create(struct engine *engine, struct dp_link *link, struct err *err);
// Before the first run: how much is proven before it is sent; otherwise nothing is.
void realize_prove(struct realize *r, enum prove_mode mode);
void realize_destroy(struct realize *r); // accepts NULL; before the link

// Takes the engine's changes since the last run over, and sends them. 0: all that is accepted is on its way into force;
// -errno with err: something has to wait (over 128 categories, too many addresses, memory) and has no rows meanwhile;
// it is tried again when room was made, and at the first run after some seconds. -EPROTO: what would be sent is not
// what the policy says; the dataplane keeps what it has, and after some seconds all is made anew.
int realize_run(struct realize *r, int64_t now_ns, struct err *err);
void realize_stats(const struct realize *r, struct realize_stats *out);
