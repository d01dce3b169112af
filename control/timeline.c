// SPDX-License-Identifier: Apache-2.0
// Invariant: steps lie after base_ns; each has at least one drain that starts or ends there; with them the tokens are
// never negative and the sum never exceeds max_bps. Nothing is in the tree when there is no limit.
#include "timeline.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "step_tree.h"

#define LOOK_COST 16 // of one look at the tree, in steps of a budget

struct timeline {
	struct timeline_conf conf;
	int64_t base_ns, base_drain;
	step_tokens base_tokens;
	struct step_tree steps;
};

struct timeline *timeline_create(const struct timeline_conf *conf, int64_t now_ns)
{
	struct timeline *tl = calloc(1, sizeof(*tl));
	int64_t fill_bps = conf->fill_bps > INT64_MAX ? INT64_MAX : (int64_t)conf->fill_bps;

	if (tl == NULL)
		return NULL;
	assert(conf->max_bps == TIMELINE_UNLIMITED || conf->max_bps <= INT64_MAX);
	tl->conf = *conf;
	tl->base_ns = now_ns;
	step_tree_init(&tl->steps, conf->fill_bps < conf->max_bps, fill_bps,
		       (step_tokens)conf->capacity_bits * TIMELINE_TOKENS_PER_BIT);
	return tl;
}

void timeline_destroy(struct timeline *tl)
{
	if (tl == NULL)
		return;
	step_tree_fini(&tl->steps);
	free(tl);
}

static bool unlimited(const struct timeline *tl)
{
	return tl->conf.max_bps == TIMELINE_UNLIMITED;
}

// A lower fill than the maximum: tokens may run out.
static bool throttled(const struct timeline *tl)
{
	return tl->steps.with_tokens;
}

static struct step_cursor at_base(const struct timeline *tl)
{
	return (struct step_cursor){tl->base_ns, tl->base_drain, tl->base_tokens, tl->base_tokens};
}

void timeline_advance(struct timeline *tl, int64_t now_ns)
{
	struct step_cursor cursor = at_base(tl);
	const struct step *first;

	if (now_ns <= tl->base_ns)
		return;
	for (; !unlimited(tl) && (first = step_tree_first(&tl->steps)) != NULL && first->at_ns <= now_ns;) {
		step_cursor_run(&tl->steps, &cursor, first->at_ns);
		cursor.drain += first->delta_bps;
		step_tree_drop_first(&tl->steps, cursor.drain);
	}
	if (!unlimited(tl))
		step_cursor_run(&tl->steps, &cursor, now_ns);
	assert(cursor.tokens >= 0 && cursor.drain >= 0);
	tl->base_ns = now_ns;
	tl->base_drain = cursor.drain;
	tl->base_tokens = cursor.tokens;
}

static void clash_at(struct timeline_clash *clash, const struct timeline *tl, enum timeline_reason reason,
		     int64_t at_ns, uint64_t standing)
{
	if (clash == NULL)
		return;
	clash->reason = reason;
	clash->at_ns = at_ns;
	clash->standing_bps = standing;
	clash->free_bps = tl->conf.max_bps - standing;
}

// A drain laid over the others.
struct overlay {
	int64_t start_ns, end_ns, rate_bps;
	int64_t until_ns; // tokens are of no interest from here on; INT64_MAX: always
};

// Runs the cursor, which lies at o's start, through o's interval; looked: steps passed. stop as in step_tree_finish.
static bool run_inside(const struct timeline *tl, const struct overlay *o, struct step_cursor *cursor, bool stop,
		       uint64_t *looked)
{
	int64_t end_ns = o->until_ns < o->end_ns ? o->until_ns : o->end_ns;
	const struct step *step;
	struct step_iter iter;

	cursor->drain += o->rate_bps;
	step_iter_seek(&iter, &tl->steps, cursor->at_ns);
	for (;;) {
		struct step_cursor next = *cursor;
		bool more;

		step = step_iter_next(&iter);
		++*looked;
		more = step != NULL && step->at_ns < end_ns;
		if (!more && end_ns == INT64_MAX)
			return true;
		step_cursor_run(&tl->steps, &next, more ? step->at_ns : end_ns);
		if (stop && next.tokens < 0)
			return false;
		*cursor = next;
		if (!more)
			return true;
		cursor->drain += step->delta_bps;
	}
}

// Runs through all of time, for ever being a stretch that only a sum over the fill fails. false: it fails there, or
// (stop) earlier, at the stretch that begins at the cursor.
static bool run_over(const struct timeline *tl, const struct overlay *o, struct step_cursor *cursor, bool stop,
		     uint64_t *looked)
{
	*cursor = at_base(tl);
	step_tree_run(&tl->steps, cursor, o->start_ns);
	cursor->lowest = cursor->tokens;
	if (!run_inside(tl, o, cursor, stop, looked))
		return false;
	if (o->until_ns <= o->end_ns && o->until_ns != INT64_MAX)
		return true;
	if (o->end_ns != INT64_MAX) {
		cursor->drain -= o->rate_bps;
		// The steps before its end, whose changes the cursor's drain holds already, are passed over.
		if (!step_tree_finish(&tl->steps, cursor, tl->base_drain, o->end_ns, stop))
			return false;
	}
	return cursor->drain <= tl->steps.fill_bps;
}

// The last whole nanosecond of the cursor's stretch at which tokens are not negative, given that they fall.
static int64_t last_with_tokens(const struct timeline *tl, const struct step_cursor *cursor)
{
	step_tokens ns = cursor->tokens / (cursor->drain - tl->steps.fill_bps);

	return ns > INT64_MAX - cursor->at_ns ? INT64_MAX : cursor->at_ns + (int64_t)ns;
}

// The sums that the interval may have before rate_bps (at most the maximum) joins them.
static void bounds(const struct timeline *tl, uint64_t rate_bps, bool with_min, int64_t *lo, int64_t *hi)
{
	*lo = with_min && tl->conf.min_bps > rate_bps ? (int64_t)(tl->conf.min_bps - rate_bps) : 0;
	*hi = (int64_t)(tl->conf.max_bps - rate_bps);
}

bool timeline_fits(const struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps,
		   struct timeline_clash *clash)
{
	struct overlay o = {start_ns, end_ns, (int64_t)rate_bps, INT64_MAX};
	struct step_clash band;
	struct step_cursor cursor;
	int64_t lo, hi, at_ns;
	uint64_t looked = 0;
	bool fits = true;

	assert(start_ns >= tl->base_ns && start_ns < end_ns);
	if (unlimited(tl))
		return true;
	if (rate_bps > tl->conf.max_bps) {
		struct step_range now = step_tree_range(&tl->steps, tl->base_drain, start_ns, start_ns);

		clash_at(clash, tl, TIMELINE_OVER_MAX, start_ns, (uint64_t)now.most);
		return false;
	}
	bounds(tl, rate_bps, true, &lo, &hi);
	if (step_tree_first_outside(&tl->steps, tl->base_drain, start_ns, end_ns, lo, hi, &band)) {
		clash_at(clash, tl, band.drain > hi ? TIMELINE_OVER_MAX : TIMELINE_UNDER_MIN, band.at_ns,
			 (uint64_t)band.drain);
		o.until_ns = band.at_ns;
		fits = false;
	}
	if (!throttled(tl) || o.until_ns == start_ns || run_over(tl, &o, &cursor, true, &looked))
		return fits;
	at_ns = last_with_tokens(tl, &cursor);
	if (start_ns <= cursor.at_ns && cursor.at_ns < end_ns)
		cursor.drain -= o.rate_bps;
	clash_at(clash, tl, TIMELINE_NO_TOKENS, at_ns, (uint64_t)cursor.drain);
	return false;
}

uint64_t timeline_max_rate(const struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t asked_bps)
{
	struct overlay o = {start_ns, end_ns, 0, INT64_MAX};
	struct step_cursor cursor;
	uint64_t fits = 0, above, looked = 0, free_bps;

	assert(start_ns >= tl->base_ns && start_ns < end_ns);
	if (unlimited(tl))
		return asked_bps;
	free_bps = tl->conf.max_bps - (uint64_t)step_tree_range(&tl->steps, tl->base_drain, start_ns, end_ns).most;
	asked_bps = asked_bps < free_bps ? asked_bps : free_bps;
	o.rate_bps = (int64_t)asked_bps;
	if (!throttled(tl) || asked_bps == 0 || run_over(tl, &o, &cursor, true, &looked))
		return asked_bps;
	// A lower rate is never worse for the tokens.
	for (above = asked_bps; above - fits > 1;) {
		o.rate_bps = (int64_t)(fits + (above - fits) / 2);
		if (run_over(tl, &o, &cursor, true, &looked))
			fits = (uint64_t)o.rate_bps;
		else
			above = (uint64_t)o.rate_bps;
	}
	return fits;
}

struct timeline_range timeline_range(const struct timeline *tl, int64_t start_ns, int64_t end_ns)
{
	const struct step *next = step_tree_after(&tl->steps, start_ns);
	struct step_range r = step_tree_range(&tl->steps, tl->base_drain, start_ns, end_ns);

	return (struct timeline_range){(uint64_t)r.most, (uint64_t)r.least, next == NULL ? INT64_MAX : next->at_ns};
}

// What one search for the earliest start is about.
struct search {
	const struct timeline *tl;
	int64_t len_ns, rate_bps, lo, hi;
	int64_t last_ns; // the last possible start
	uint64_t *budget;
};

static int64_t end_of(const struct search *q, int64_t start_ns)
{
	return q->len_ns == INT64_MAX ? INT64_MAX : start_ns + q->len_ns;
}

static bool spend(const struct search *q, uint64_t steps)
{
	if (*q->budget < steps)
		return false;
	*q->budget -= steps;
	return true;
}

// Moves the start to where the sums of its interval are within bounds. What is outside in an interval that begins
// between the start and there is the same last stretch, so none is passed over.
static int into_band(const struct search *q, int64_t *start_ns)
{
	const struct timeline *tl = q->tl;
	struct step_clash clash;

	for (;;) {
		const struct step *next;

		if (*start_ns > q->last_ns)
			return -ENOENT;
		if (!spend(q, LOOK_COST))
			return -E2BIG;
		if (!step_tree_last_outside(&tl->steps, tl->base_drain, *start_ns, end_of(q, *start_ns), q->lo, q->hi,
					    &clash))
			return 0;
		next = step_tree_after(&tl->steps, clash.at_ns);
		if (next == NULL)
			return -ENOENT;
		*start_ns = next->at_ns;
	}
}

// The lowest count of tokens with the request at start_ns (exact where negative). false: it fails for ever.
static bool lowest_at(const struct search *q, int64_t start_ns, step_tokens *lowest, uint64_t *looked)
{
	struct overlay o = {start_ns, end_of(q, start_ns), q->rate_bps, INT64_MAX};
	struct step_cursor cursor;
	bool sustained = run_over(q->tl, &o, &cursor, false, looked);

	*lowest = cursor.lowest;
	return sustained;
}

static step_tokens divide_up(step_tokens a, step_tokens b)
{
	return (a + b - 1) / b;
}

// The end of the starts around start_ns whose interval has the same steps inside.
static int64_t cell_end(const struct search *q, int64_t start_ns)
{
	const struct step *next = step_tree_after(&q->tl->steps, start_ns);
	int64_t end_ns = next == NULL ? INT64_MAX : next->at_ns;

	if (q->len_ns == INT64_MAX)
		return end_ns;
	next = step_tree_after(&q->tl->steps, start_ns + q->len_ns);
	if (next != NULL && next->at_ns - q->len_ns < end_ns)
		end_ns = next->at_ns - q->len_ns;
	return end_ns;
}

// The next start worth a look after one whose lowest count is negative; none before it can do. Within a cell the lowest
// count is a minimum of linear functions of the start, so concave: the line through two neighbours lies above it. From
// cell to cell it grows by at most the rate a nanosecond: so much less has then been drained at any one instant.
static int next_start(const struct search *q, int64_t *start_ns, step_tokens lowest)
{
	int64_t end_ns = cell_end(q, *start_ns);
	step_tokens next = *start_ns + divide_up(-lowest, q->rate_bps), after;
	uint64_t looked = LOOK_COST;

	if (next < end_ns && *start_ns < q->last_ns && lowest_at(q, *start_ns + 1, &after, &looked)) {
		step_tokens by_line = end_ns;

		if (after > lowest)
			by_line = *start_ns + divide_up(-lowest, after - lowest);
		by_line = by_line < end_ns ? by_line : end_ns;
		next = by_line > next ? by_line : next;
	}
	if (!spend(q, looked))
		return -E2BIG;
	if (next > q->last_ns)
		return -ENOENT;
	*start_ns = (int64_t)next;
	return 0;
}

int timeline_earliest(const struct timeline *tl, int64_t from_ns, int64_t len_ns, uint64_t rate_bps, bool with_min,
		      uint64_t *budget, int64_t *start_ns)
{
	struct search q = {.tl = tl, .len_ns = len_ns, .rate_bps = (int64_t)rate_bps, .budget = budget};
	int rc = 0;

	assert(from_ns >= tl->base_ns && len_ns > 0);
	q.last_ns = INT64_MAX - 1 - (len_ns == INT64_MAX ? 0 : len_ns);
	*start_ns = from_ns;
	if (unlimited(tl))
		return from_ns > q.last_ns ? -ENOENT : 0;
	if (rate_bps > tl->conf.max_bps)
		return -ENOENT;
	bounds(tl, rate_bps, with_min, &q.lo, &q.hi);
	while (rc == 0) {
		step_tokens lowest;
		uint64_t looked = LOOK_COST;

		rc = into_band(&q, start_ns);
		if (rc < 0 || !throttled(tl))
			return rc;
		if (!lowest_at(&q, *start_ns, &lowest, &looked))
			return -ENOENT;
		if (lowest >= 0)
			return 0;
		rc = spend(&q, looked) ? next_start(&q, start_ns, lowest) : -E2BIG;
	}
	return rc;
}

int timeline_prepare(struct timeline *tl)
{
	return unlimited(tl) ? 0 : step_tree_prepare(&tl->steps, 2);
}

void timeline_add(struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	if (unlimited(tl))
		return;
	if (start_ns <= tl->base_ns) {
		tl->base_drain += (int64_t)rate_bps;
		start_ns = INT64_MIN;
	}
	step_tree_add(&tl->steps, tl->base_drain, start_ns, end_ns, (int64_t)rate_bps);
}

void timeline_remove(struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	if (unlimited(tl))
		return;
	assert(end_ns > tl->base_ns);
	if (start_ns <= tl->base_ns) {
		tl->base_drain -= (int64_t)rate_bps;
		start_ns = INT64_MIN;
	}
	step_tree_undo(&tl->steps, tl->base_drain, start_ns, end_ns, (int64_t)rate_bps);
}

u128 timeline_tokens(const struct timeline *tl)
{
	return (u128)tl->base_tokens;
}

int timeline_start(struct timeline *tl, int64_t now_ns, u128 tokens)
{
	assert(tl->steps.root == NULL && tl->base_drain == 0);
	if (tokens > (u128)tl->steps.capacity)
		return -EINVAL;
	tl->base_ns = now_ns;
	tl->base_tokens = (step_tokens)tokens;
	return 0;
}

bool timeline_sustains(const struct timeline *tl)
{
	struct overlay nothing = {tl->base_ns, INT64_MAX, 0, INT64_MAX};
	struct step_cursor cursor;
	uint64_t looked = 0;

	return unlimited(tl) || !throttled(tl) || run_over(tl, &nothing, &cursor, true, &looked);
}

static struct timeline_point point_of(const struct timeline *tl, const struct step_cursor *cursor)
{
	return (struct timeline_point){cursor->at_ns, tl->conf.max_bps - (uint64_t)cursor->drain,
				       (uint64_t)(cursor->tokens / TIMELINE_TOKENS_PER_BIT)};
}

int timeline_each(const struct timeline *tl, int (*fn)(void *ctx, const struct timeline_point *point), void *ctx)
{
	struct timeline_point point = {tl->base_ns, TIMELINE_UNLIMITED, TIMELINE_UNLIMITED};
	struct step_cursor cursor = at_base(tl);
	const struct step *step;
	struct step_iter iter;
	int rc;

	if (!unlimited(tl))
		point = point_of(tl, &cursor);
	rc = fn(ctx, &point);
	step_iter_seek(&iter, &tl->steps, tl->base_ns);
	while (rc == 0 && (step = step_iter_next(&iter)) != NULL) {
		step_cursor_run(&tl->steps, &cursor, step->at_ns);
		cursor.drain += step->delta_bps;
		if (step->delta_bps == 0)
			continue;
		point = point_of(tl, &cursor);
		rc = fn(ctx, &point);
	}
	return rc;
}
