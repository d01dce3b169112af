// SPDX-License-Identifier: Apache-2.0
// What has changed since somebody last looked: numbers of requests and shares, not what they became. Who looks compares
// the present with what it made of the past, so changes that cancel out cost nothing.
// Owner: struct state; realize takes it. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delta {
	uint64_t *requests; // accepted, over, prolonged, or of users whose bindings changed; may repeat
	uint32_t *shares;   // whose own or whose siblings' weights came, went or changed hands; may repeat
	size_t n_requests, cap_requests, n_shares, cap_shares;
	bool on;  // somebody looks: else nothing is noted
	bool all; // memory ran out: everything may have changed
};

void delta_request(struct delta *d, uint64_t id);
void delta_share(struct delta *d, uint32_t number);
// What was noted moves to *out (overwritten); d is then empty and on. The first time: all.
void delta_take(struct delta *d, struct delta *out);
// Something was noted, or nobody has looked yet.
static inline bool delta_any(const struct delta *d)
{
	return !d->on || d->all || d->n_requests > 0 || d->n_shares > 0;
}
void delta_fini(struct delta *d);
