// SPDX-License-Identifier: Apache-2.0
// Reservations that get less than they were promised, because more is promised at a port than it can carry (its rate
// was lowered, or it was never asked): holders hear of it, and when it is over. Owner: struct state. Thread: control
// only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

struct promises {
	struct promise {
		uint64_t id; // request
		uint16_t port;
		uint8_t good_rounds; // since it was behind last
		bool told;
	} * behind;
	size_t n, cap;
};

void promises_fini(struct promises *p);
// The port's round of queues (queue_book.h) is complete: tells "degraded" and "recovered".
void promises_round(struct state *s, uint16_t port);
