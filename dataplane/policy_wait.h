// SPDX-License-Identifier: Apache-2.0
// How long a dataplane that has started forwards nothing: until it has a policy, or nobody is there to tell it one. A
// controller that is there may be at work on a large policy for minutes, before it connects and after. Owner and
// thread: the main lcore's loop. Time: CLOCK_MONOTONIC in ns, passed in.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define POLICY_WAIT_MOST_MS 600000 // a controller that is there and never comes out with a policy

enum policy_wait_verdict {
	POLICY_WAIT_ON,
	POLICY_WAIT_LATE, // goes on longer than nobody would be waited for: said once
	POLICY_WAIT_OVER,
};

struct policy_wait {
	int64_t alone_most_ns;
	int64_t start_ns;
	int64_t seen_ns; // when a controller was there last, or the start
	bool late;       // said
	// Is there a controller that may not have connected yet? NULL: nobody knows. Asked at most each alone_most_ns.
	bool (*is_there)(void *ctx);
	void *ctx;
};

// alone_most_ms: how long without a controller; 0: nothing is waited for.
void policy_wait_start(struct policy_wait *w, uint32_t alone_most_ms, int64_t now_ns);
enum policy_wait_verdict policy_wait_turn(struct policy_wait *w, bool connected, int64_t now_ns);
int64_t policy_wait_next_ns(const struct policy_wait *w); // when it may be over
