// SPDX-License-Identifier: Apache-2.0
// Invariant: steps ascend strictly in time and lie after base_ns; each has at least one drain that starts or ends
// there; with them the tokens are never negative and the sum never exceeds max_bps.
#include "timeline_naive.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 i128;

#define TOKENS_PER_BIT 1000000000

struct step {
	int64_t at_ns;
	uint32_t n_drains; // that start or end here; the step stays while there is one, even when they cancel out
	i128 delta_bps;
};

struct timeline_naive {
	struct timeline_conf conf;
	int64_t base_ns;
	i128 base_tokens, base_drain;
	struct step *steps;
	size_t n, cap;
};

// One stretch of constant drain: what the walks below agree on.
struct stretch {
	int64_t start_ns, end_ns; // INT64_MAX: for ever
	i128 drain, tokens;       // tokens at the start
};

static i128 capacity_of(const struct timeline_naive *tl)
{
	return (i128)tl->conf.capacity_bits * TOKENS_PER_BIT;
}

// Tokens at the end of a stretch that has one. Negative when they run out.
static i128 tokens_after(const struct timeline_naive *tl, const struct stretch *s)
{
	i128 after = s->tokens + ((i128)tl->conf.fill_bps - s->drain) * (s->end_ns - s->start_ns);

	return after > capacity_of(tl) ? capacity_of(tl) : after;
}

struct timeline_naive *timeline_naive_create(const struct timeline_conf *conf, int64_t now_ns)
{
	struct timeline_naive *tl = calloc(1, sizeof(*tl));

	if (tl == NULL)
		return NULL;
	tl->conf = *conf;
	tl->base_ns = now_ns;
	return tl;
}

void timeline_naive_destroy(struct timeline_naive *tl)
{
	if (tl == NULL)
		return;
	free(tl->steps);
	free(tl);
}

static bool unlimited(const struct timeline_naive *tl)
{
	return tl->conf.max_bps == TIMELINE_UNLIMITED;
}

void timeline_naive_advance(struct timeline_naive *tl, int64_t now_ns)
{
	size_t past = 0;

	if (now_ns <= tl->base_ns)
		return;
	while (!unlimited(tl) && tl->base_ns < now_ns) {
		bool to_step = past < tl->n && tl->steps[past].at_ns <= now_ns;
		struct stretch s = {tl->base_ns, to_step ? tl->steps[past].at_ns : now_ns, tl->base_drain,
				    tl->base_tokens};

		tl->base_tokens = tokens_after(tl, &s);
		tl->base_ns = s.end_ns;
		if (to_step)
			tl->base_drain += tl->steps[past++].delta_bps;
	}
	tl->base_ns = now_ns;
	assert(tl->base_tokens >= 0 && tl->base_drain >= 0);
	if (past > 0)
		memmove(tl->steps, tl->steps + past, (tl->n - past) * sizeof(*tl->steps));
	tl->n -= past;
}

static bool clash_at(struct timeline_clash *clash, const struct timeline_naive *tl, enum timeline_reason reason,
		     int64_t at_ns, i128 standing)
{
	if (clash != NULL) {
		clash->reason = reason;
		clash->at_ns = at_ns;
		clash->standing_bps = (uint64_t)standing;
		clash->free_bps = tl->conf.max_bps - (uint64_t)standing;
	}
	return false;
}

// The last whole nanosecond of the stretch at which tokens are not negative, given that they fall.
static int64_t last_with_tokens(const struct timeline_naive *tl, const struct stretch *s)
{
	i128 ns = s->tokens / (s->drain - (i128)tl->conf.fill_bps);

	return ns > INT64_MAX - s->start_ns ? INT64_MAX : s->start_ns + (int64_t)ns;
}

// One walk from base_ns over every stretch with the new drain laid over it.
static bool walk(const struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps, bool with_min,
		 struct timeline_clash *clash)
{
	struct stretch s = {.start_ns = tl->base_ns, .tokens = tl->base_tokens};
	i128 standing = tl->base_drain;
	size_t i = 0;

	for (;; s.start_ns = s.end_ns) {
		bool inside = start_ns <= s.start_ns && s.start_ns < end_ns;

		s.drain = standing + (inside ? rate_bps : 0);
		s.end_ns = i < tl->n ? tl->steps[i].at_ns : INT64_MAX;
		if (s.start_ns < start_ns && start_ns < s.end_ns)
			s.end_ns = start_ns;
		else if (s.start_ns < end_ns && end_ns < s.end_ns)
			s.end_ns = end_ns;
		if (inside && s.drain > tl->conf.max_bps)
			return clash_at(clash, tl, TIMELINE_OVER_MAX, s.start_ns, standing);
		if (inside && with_min && s.drain < tl->conf.min_bps)
			return clash_at(clash, tl, TIMELINE_UNDER_MIN, s.start_ns, standing);
		if (s.end_ns == INT64_MAX) // for ever: the fill must sustain it
			return s.drain <= tl->conf.fill_bps ||
			       clash_at(clash, tl, TIMELINE_NO_TOKENS, last_with_tokens(tl, &s), standing);
		i128 after = tokens_after(tl, &s);
		if (after < 0)
			return clash_at(clash, tl, TIMELINE_NO_TOKENS, last_with_tokens(tl, &s), standing);
		s.tokens = after;
		if (i < tl->n && tl->steps[i].at_ns == s.end_ns)
			standing += tl->steps[i++].delta_bps;
	}
}

bool timeline_naive_fits(const struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps,
			 struct timeline_clash *clash)
{
	assert(start_ns >= tl->base_ns && start_ns < end_ns);
	return unlimited(tl) || walk(tl, start_ns, end_ns, rate_bps, true, clash);
}

uint64_t timeline_naive_max_rate(const struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t asked_bps)
{
	uint64_t fits = 0, above;

	assert(start_ns >= tl->base_ns && start_ns < end_ns);
	if (unlimited(tl) || walk(tl, start_ns, end_ns, asked_bps, false, NULL))
		return asked_bps;
	// A lower rate is never worse for the maximum or the tokens.
	for (above = asked_bps; above - fits > 1;) {
		uint64_t middle = fits + (above - fits) / 2;

		if (walk(tl, start_ns, end_ns, middle, false, NULL))
			fits = middle;
		else
			above = middle;
	}
	return fits;
}

int timeline_naive_prepare(struct timeline_naive *tl)
{
	if (!unlimited(tl) && tl->n + 2 > tl->cap) {
		size_t cap = tl->cap == 0 ? 8 : tl->cap * 2;
		struct step *steps = realloc(tl->steps, cap * sizeof(*steps));

		if (steps == NULL)
			return -ENOMEM;
		tl->steps = steps;
		tl->cap = cap;
	}
	return 0;
}

// First step at or after at_ns.
static size_t step_find(const struct timeline_naive *tl, int64_t at_ns)
{
	size_t lo = 0, hi = tl->n;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (tl->steps[middle].at_ns < at_ns)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

static void step_add(struct timeline_naive *tl, int64_t at_ns, i128 delta_bps)
{
	size_t i = step_find(tl, at_ns);

	if (i == tl->n || tl->steps[i].at_ns != at_ns) {
		assert(tl->n < tl->cap);
		memmove(&tl->steps[i + 1], &tl->steps[i], (tl->n - i) * sizeof(*tl->steps));
		tl->steps[i] = (struct step){.at_ns = at_ns};
		tl->n++;
	}
	tl->steps[i].delta_bps += delta_bps;
	tl->steps[i].n_drains++;
}

static void step_undo(struct timeline_naive *tl, int64_t at_ns, i128 delta_bps)
{
	size_t i = step_find(tl, at_ns);

	assert(i < tl->n && tl->steps[i].at_ns == at_ns);
	tl->steps[i].delta_bps -= delta_bps;
	if (--tl->steps[i].n_drains == 0) {
		tl->n--;
		memmove(&tl->steps[i], &tl->steps[i + 1], (tl->n - i) * sizeof(*tl->steps));
	}
}

void timeline_naive_add(struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	if (unlimited(tl))
		return;
	if (start_ns <= tl->base_ns)
		tl->base_drain += rate_bps;
	else
		step_add(tl, start_ns, rate_bps);
	if (end_ns != INT64_MAX)
		step_add(tl, end_ns, -(i128)rate_bps);
}

void timeline_naive_remove(struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	if (unlimited(tl))
		return;
	assert(end_ns > tl->base_ns);
	if (start_ns <= tl->base_ns)
		tl->base_drain -= rate_bps;
	else
		step_undo(tl, start_ns, rate_bps);
	if (end_ns != INT64_MAX)
		step_undo(tl, end_ns, -(i128)rate_bps);
}

static struct timeline_point point_of(const struct timeline_naive *tl, const struct stretch *s)
{
	return (struct timeline_point){s->start_ns, tl->conf.max_bps - (uint64_t)s->drain,
				       (uint64_t)(s->tokens / TOKENS_PER_BIT)};
}

int timeline_naive_each(const struct timeline_naive *tl, int (*fn)(void *ctx, const struct timeline_point *point),
			void *ctx)
{
	struct stretch s = {tl->base_ns, tl->base_ns, tl->base_drain, tl->base_tokens};
	struct timeline_point point = {tl->base_ns, TIMELINE_UNLIMITED, TIMELINE_UNLIMITED};
	int rc;

	if (!unlimited(tl))
		point = point_of(tl, &s);
	rc = fn(ctx, &point);
	for (size_t i = 0; i < tl->n && rc == 0; i++) {
		s.end_ns = tl->steps[i].at_ns;
		s.tokens = tokens_after(tl, &s);
		s.start_ns = s.end_ns;
		s.drain += tl->steps[i].delta_bps;
		if (tl->steps[i].delta_bps == 0)
			continue;
		point = point_of(tl, &s);
		rc = fn(ctx, &point);
	}
	return rc;
}
