// SPDX-License-Identifier: Apache-2.0
// A set of numbers as sorted, disjoint, closed intervals: what one field of a flow group may be.
// Owner: the caller (zeroed, or span_set_any() ... span_set_fini). Thread: any, values only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"

struct span_set {
	struct span128 *spans;
	uint32_t n, cap;
	bool any; // everything; nothing allocated
};

struct span_set span_set_any(void);
void span_set_fini(struct span_set *set);
// Appends; span_set_normalize() must follow the last one. 0 or -ENOMEM.
int span_set_add(struct span_set *set, u128 lo, u128 hi);
// Sorts and joins what overlaps or touches.
void span_set_normalize(struct span_set *set);
// All: normalized sets in, normalized set out; 0 or -ENOMEM (set is then unchanged).
int span_set_complement(struct span_set *set, u128 max); // within [0, max]
int span_set_intersect(struct span_set *set, const struct span_set *with);
int span_set_copy(struct span_set *out, const struct span_set *in);
bool span_set_is_empty(const struct span_set *set);
bool span_set_has(const struct span_set *set, u128 value);
bool span_set_equal(const struct span_set *a, const struct span_set *b);
// The number of intervals, and interval i; everything is the one interval [0, max].
uint32_t span_set_n(const struct span_set *set);
struct span128 span_set_at(const struct span_set *set, uint32_t i, u128 max);
