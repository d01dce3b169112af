// SPDX-License-Identifier: Apache-2.0
// Each check, asked alone, moves a start to the first one at or after it that the check lets pass; a start that none of
// them moves is the earliest. Strictness is decided instant by instant, so the times at which something else decides,
// asked for once over all of the future, are times that the interval must keep clear of. The same is true of overlap,
// but that is only known as yes or no for an interval, so the last such instant in one is found by bisection.
#include "earliest.h"

#include <errno.h>
#include <stdlib.h>

#include "metered.h"
#include "overlap.h"
#include "state.h"
#include "strict.h"

#define BUDGET_STEPS 2000000 // of all schedules together: some tens of milliseconds
#define OVERLAP_MOVES_MAX 16

struct taboo { // times at which the request would not be what it asks for
	int64_t start_ns, end_ns;
};

struct search {
	const struct state *s;
	const struct earliest_query *q;
	uint64_t budget;
	bool with_taboos; // they have been found
	struct taboo *taboos;
	uint32_t n_taboos, n_overlaps;
};

static int64_t end_of(const struct earliest_query *q, int64_t start_ns)
{
	return q->len_ns == INT64_MAX ? INT64_MAX : start_ns + q->len_ns;
}

static int timed_copy(struct match *out, const struct match *flows, int64_t start_ns, int64_t end_ns)
{
	if (match_copy(out, flows) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < out->n_boxes; i++)
		box_set_time(&out->boxes[i], start_ns, end_ns);
	return 0;
}

// The first start at which a drain fits in all shares up to the root.
static int fit_all(struct search *f, uint64_t rate_bps, bool with_min, int64_t *start_ns)
{
	const struct share *share = f->q->share, *settled = NULL;

	while (share != settled) { // settled: no share moved the start since that one
		int64_t at_ns;
		int rc = timeline_earliest(share->timeline, *start_ns, f->q->len_ns, rate_bps, with_min, &f->budget,
					   &at_ns);

		if (rc < 0)
			return rc;
		if (at_ns != *start_ns || settled == NULL)
			settled = share;
		*start_ns = at_ns;
		share = share->parent != NULL ? share->parent : f->q->share;
	}
	return 0;
}

// The lowest rate that reaches the minimum sums around start_ns, and where these may be others.
static uint64_t least_rate(const struct search *f, int64_t start_ns, int64_t *next_ns)
{
	int64_t end_ns = end_of(f->q, start_ns);
	uint64_t least = 1;

	*next_ns = INT64_MAX;
	for (const struct share *share = f->q->share; share != NULL; share = share->parent) {
		uint64_t min_bps = share->privileges.reserve_min_bps;
		struct timeline_range inside, last;

		if (min_bps == 0 || share->privileges.reserve_max_bps == TIMELINE_UNLIMITED)
			continue;
		inside = timeline_range(share->timeline, start_ns, end_ns);
		if (min_bps > inside.least_bps && min_bps - inside.least_bps > least)
			least = min_bps - inside.least_bps;
		*next_ns = inside.next_ns < *next_ns ? inside.next_ns : *next_ns;
		if (end_ns == INT64_MAX)
			continue;
		// The next step is inside as soon as the interval ends after it.
		last = timeline_range(share->timeline, end_ns - 1, end_ns);
		if (last.next_ns != INT64_MAX && last.next_ns - f->q->len_ns + 1 < *next_ns)
			*next_ns = last.next_ns - f->q->len_ns + 1;
	}
	return least;
}

// Rates that fit lie between what the minimum sums need and what maximum and tokens leave.
static int fit_schedule(struct search *f, int64_t *start_ns)
{
	int64_t next_ns = 0;

	if (!f->q->partial)
		return fit_all(f, f->q->rate_bps, true, start_ns);
	for (;; *start_ns = next_ns) {
		uint64_t rate_bps = least_rate(f, *start_ns, &next_ns);
		int64_t at_ns = *start_ns;
		int rc = rate_bps > f->q->rate_bps ? -ENOENT : fit_all(f, rate_bps, false, &at_ns);

		if (rc == -E2BIG || f->budget == 0)
			return -E2BIG;
		if (rc == 0 && (at_ns < next_ns || next_ns == INT64_MAX)) {
			*start_ns = at_ns;
			return 0;
		}
		if (next_ns == INT64_MAX)
			return rc;
		f->budget--;
	}
}

static int order_taboos(const void *a, const void *b)
{
	const struct taboo *x = a, *y = b;

	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

static int find_taboos(struct search *f)
{
	struct conflicts found;
	struct match flows;
	uint32_t n = 0;
	int rc;

	match_init(&flows);
	conflicts_init(&found);
	rc = timed_copy(&flows, f->q->flows, f->s->now_ns, INT64_MAX);
	if (rc == 0)
		rc = strict_conflicts(f->q->share, f->q->access, &flows, &found);
	for (uint32_t i = 0; i < found.n && rc == 0; i++)
		n += found.all[i].where.n_boxes;
	f->taboos = rc == 0 && n > 0 ? malloc(n * sizeof(*f->taboos)) : NULL;
	if (rc == 0 && n > 0 && f->taboos == NULL)
		rc = -ENOMEM;
	for (uint32_t i = 0; i < found.n && rc == 0; i++)
		for (uint32_t j = 0; j < found.all[i].where.n_boxes; j++) {
			const struct box *box = &found.all[i].where.boxes[j];

			f->taboos[f->n_taboos++] = (struct taboo){box_start_ns(box), box_end_ns(box)};
		}
	if (f->taboos != NULL && f->n_taboos > 1)
		qsort(f->taboos, f->n_taboos, sizeof(*f->taboos), order_taboos);
	f->with_taboos = true;
	match_fini(&flows);
	conflicts_fini(&found);
	return rc;
}

static int fit_strictness(struct search *f, int64_t *start_ns)
{
	int rc = 0;

	if (f->q->partial || f->q->access == ACCESS_NONE)
		return 0;
	if (!f->with_taboos)
		rc = find_taboos(f);
	for (uint32_t i = 0; i < f->n_taboos && rc == 0; i++) {
		if (f->taboos[i].start_ns >= end_of(f->q, *start_ns) || f->taboos[i].end_ns <= *start_ns)
			continue;
		if (f->taboos[i].end_ns == INT64_MAX ||
		    (f->q->len_ns != INT64_MAX && f->taboos[i].end_ns >= INT64_MAX - f->q->len_ns))
			return -ENOENT;
		*start_ns = f->taboos[i].end_ns;
	}
	return rc;
}

static int exceeds(const struct search *f, int64_t start_ns, int64_t end_ns)
{
	struct match flows;
	int rc;

	match_init(&flows);
	rc = timed_copy(&flows, f->q->flows, start_ns, end_ns);
	if (rc == 0)
		rc = overlap_exceeds(f->q->share->index, VERB_RESERVE, &flows);
	match_fini(&flows);
	return rc;
}

static int fit_overlap(struct search *f, int64_t *start_ns)
{
	for (;;) {
		int64_t last_ns = *start_ns, free_ns = end_of(f->q, *start_ns), end_ns = free_ns;
		int rc = exceeds(f, *start_ns, end_ns);

		if (rc <= 0)
			return rc;
		if (++f->n_overlaps > OVERLAP_MOVES_MAX)
			return -E2BIG;
		while (free_ns - last_ns > 1) {
			int64_t middle = last_ns + (free_ns - last_ns) / 2;

			rc = exceeds(f, middle, end_ns);
			if (rc < 0)
				return rc;
			*(rc > 0 ? &last_ns : &free_ns) = middle;
		}
		if (free_ns == INT64_MAX || (f->q->len_ns != INT64_MAX && free_ns >= INT64_MAX - f->q->len_ns))
			return -ENOENT;
		*start_ns = free_ns;
	}
}

int earliest_start(const struct state *s, const struct earliest_query *q, int64_t *start_ns)
{
	struct search f = {.s = s, .q = q, .budget = BUDGET_STEPS};
	int64_t before_ns;
	int rc;

	for (struct share *share = q->share; share != NULL; share = share->parent)
		timeline_advance(share->timeline, s->now_ns);
	*start_ns = s->now_ns;
	do {
		rc = fit_schedule(&f, start_ns);
		before_ns = *start_ns;
		if (rc == 0)
			rc = fit_strictness(&f, start_ns);
		if (rc == 0 && *start_ns == before_ns)
			rc = fit_overlap(&f, start_ns);
		if (rc == 0 && *start_ns == before_ns)
			rc = metered_earliest(s, q->len_ns, &f.budget, start_ns);
	} while (rc == 0 && *start_ns != before_ns);
	free(f.taboos);
	return rc;
}
