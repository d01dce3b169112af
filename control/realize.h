// SPDX-License-Identifier: Apache-2.0
// Policy -> dataplane: compile and send. The only caller of both. Thread: control only.
// Owner: the caller; engine and link are borrowed, the rest starts as zeros.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dp_link.h"
#include "engine.h"

struct realize {
	const struct engine *engine;
	struct dp_link *link;
	uint64_t policy_gen; // last one realised, or tried
	uint64_t failures;
	int64_t retry_ns; // after a failure: when to try the same policy again
	bool done;        // something was realised
};

// If the engine's policy changed since the last call: compiles the tree (hft_compile, condense) and hands table and
// meters to the link. On failure (too large, out of memory) the last good table stays, err says why, and the same
// policy is tried again at the first call after some seconds. 0: nothing to do or done.
int realize_run(struct realize *r, int64_t now_ns, struct err *err);
