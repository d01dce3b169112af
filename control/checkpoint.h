// SPDX-License-Identifier: Apache-2.0
// All that an engine remembers as bytes, and back: what a replay of its whole history would lead to, in time
// proportional to what stands. Not in it: who listens, limits, what the network says.
// Thread: control only.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"

struct state;

struct checkpoint { // bytes are the caller's to free
	uint8_t *bytes;
	size_t n;
};

// 0 or -ENOMEM (out is then empty). Advances the timelines to now, changes nothing else.
int checkpoint_save(const struct state *s, struct checkpoint *out);
// Into a state as engine_create leaves it. 0; -EINVAL: these are no such bytes, or those of another version; -ENOMEM.
// On failure the state is good for nothing but being destroyed.
// back_to_ns: INT64_MAX, or an earlier time than that of the save, which the state then has: what is over stays over,
// and token buckets are full, so that all that was accepted still fits.
int checkpoint_load(struct state *s, const uint8_t *bytes, size_t n, int64_t back_to_ns, struct err *err);
