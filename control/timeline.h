// SPDX-License-Identifier: Apache-2.0
// The token schedule of one share (SPEC 4): which drains stand over time, and how many tokens that leaves. Tokens are 0
// at creation, rise at the fill rate, fall by the sum of drains, and never exceed the capacity. Plain bandwidth is a
// fill equal to the largest sum. Exact integers: tokens in bit*ns/s (one bit is 10^9 of them), rates in bit/s, times in
// ns. With n standing drains and a fill of at least the maximum (plain bandwidth) fits, max_rate, add and remove take
// O(log n): then drains never exceed the fill, so tokens never fall and cannot run out. A lower fill adds O(k), k being
// the changes inside the interval in question. What lies in the past is folded into one start value. Owner: its struct
// share. Thread: control only. Intervals are half-open; an end of INT64_MAX is for ever.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"

#define TIMELINE_UNLIMITED UINT64_MAX
#define TIMELINE_TOKENS_PER_BIT 1000000000

struct timeline; // opaque; the invariant is in timeline.c

struct timeline_conf {
	uint64_t max_bps; // sum of drains at any instant, < 2^63; TIMELINE_UNLIMITED: no check, nothing is remembered
	uint64_t min_bps; // a sum that is not zero is at least this, in the interval of every new drain
	uint64_t fill_bps;
	uint64_t capacity_bits;
};

enum timeline_reason {
	TIMELINE_OVER_MAX,
	TIMELINE_UNDER_MIN,
	TIMELINE_NO_TOKENS,
};

struct timeline_clash { // the first instant at which a drain does not fit
	enum timeline_reason reason;
	int64_t at_ns;         // no tokens: the last whole nanosecond at which they are not negative
	uint64_t free_bps;     // max - standing drains at that instant
	uint64_t standing_bps; // what others drain at that instant
};

struct timeline_point {
	int64_t at_ns;
	uint64_t free_bps;    // TIMELINE_UNLIMITED: no limit
	uint64_t tokens_bits; // whole bits; TIMELINE_UNLIMITED: no limit
};

struct timeline *timeline_create(const struct timeline_conf *conf, int64_t now_ns); // NULL: out of memory
void timeline_destroy(struct timeline *tl);

// Forgets what ended at or before now_ns. Never backwards. To be called before the functions below, with the now that
// their intervals start at or after.
void timeline_advance(struct timeline *tl, int64_t now_ns);

// true if rate_bps (> 0) more in [start_ns, end_ns) is admissible; otherwise false and the first clash (clash may be
// NULL).
bool timeline_fits(const struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps,
		   struct timeline_clash *clash);
// The highest rate up to asked_bps that neither exceeds the maximum nor runs out of tokens; 0 if none. The minimum sum
// is not looked at: timeline_fits decides.
uint64_t timeline_max_rate(const struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t asked_bps);

// The first start at or after from_ns (not before the last advance) at which rate_bps for len_ns (INT64_MAX: for ever)
// fits; with_min: minding the minimum sum. 0; -ENOENT: there is none; -E2BIG: not found before *budget steps were
// looked at. The budget is lowered by those.
int timeline_earliest(const struct timeline *tl, int64_t from_ns, int64_t len_ns, uint64_t rate_bps, bool with_min,
		      uint64_t *budget, int64_t *start_ns);
// The largest and smallest sum of drains in the interval, and when the stretch after start_ns (INT64_MAX: none) begins.
struct timeline_range {
	uint64_t most_bps, least_bps;
	int64_t next_ns;
};
struct timeline_range timeline_range(const struct timeline *tl, int64_t start_ns, int64_t end_ns);

// Makes room for one more drain, so that the next timeline_add cannot fail. 0 or -ENOMEM.
int timeline_prepare(struct timeline *tl);
// Adds a drain that fits; room has been prepared.
void timeline_add(struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps);
// Ends a drain that was added and whose end is after the last advance: from then on it counts no more. Never fails.
void timeline_remove(struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps);

// What a timeline is made of again: its tokens at the last advance in bit*ns/s (0 without limit), and, on a new one to
// which nothing was added, the instant and the tokens from which it goes on. -EINVAL: more tokens than its capacity.
u128 timeline_tokens(const struct timeline *tl);
int timeline_start(struct timeline *tl, int64_t now_ns, u128 tokens);
bool timeline_sustains(const struct timeline *tl); // what was added never runs out of tokens

// From the last advance on: that instant, then each instant at which the free bandwidth changes. fn returning non-zero
// stops, and that value is returned; otherwise 0.
int timeline_each(const struct timeline *tl, int (*fn)(void *ctx, const struct timeline_point *point), void *ctx);
