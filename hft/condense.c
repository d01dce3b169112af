// SPDX-License-Identifier: Apache-2.0
// Each drop keeps the action of every packet, given the drops before it. All effort is bounded: a row that is not shown
// to be needless in time stays, which is always right. After a drop, rows of equal rank may overlap where no higher row
// decides, but only if their actions are equal there.
#include "condense.h"

#include <errno.h>
#include <stdlib.h>

#include "boxtree.h"

#define NO_ROW UINT32_MAX
#define COVER_MAX 64        // rows tried together as a cover of one
#define COVER_EFFORT 64     // cuts
#define VISITS_MAX 20000000 // overlapping pairs looked at in each pass, well under a second

struct sieve {
	struct flowtab *ft;
	struct boxtree all;  // box i is row i; only to find a box
	struct boxtree kept; // rows not dropped, those of low rank first: box i is row kept_rows[i]
	uint32_t *kept_rows;
	bool *dropped;
	uint32_t visits;
	// The row in question and the kept rows that overlap it.
	uint32_t row;
	uint32_t *near, n_near;
	bool covered;
};

static void sieve_fini(struct sieve *s)
{
	boxtree_fini(&s->all);
	boxtree_fini(&s->kept);
	free(s->kept_rows);
	free(s->dropped);
	free(s->near);
}

static int sieve_init(struct sieve *s)
{
	uint32_t n = s->ft->n_rows;

	boxtree_init(&s->all);
	boxtree_init(&s->kept);
	s->kept_rows = calloc((size_t)n + 1, sizeof(*s->kept_rows));
	s->dropped = calloc((size_t)n + 1, sizeof(*s->dropped));
	s->near = calloc((size_t)n + 1, sizeof(*s->near));
	if (s->kept_rows == NULL || s->dropped == NULL || s->near == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (boxtree_add(&s->all, &s->ft->rows[i].box, BOXTREE_NONE) < 0)
			return -ENOMEM;
	}
	return 0;
}

static enum boxtree_step note_near(void *ctx, uint32_t idx)
{
	struct sieve *s = ctx;

	s->near[s->n_near++] = s->kept_rows[idx];
	return BOXTREE_BELOW;
}

// Whether rows above the one in question decide all that it shares with row i: their intersection is a row. None of
// those is dropped yet, for drop_redundant goes from low rank to high.
static bool settled_above(const struct sieve *s, uint32_t i)
{
	const struct row *rows = s->ft->rows;
	struct box common;
	uint32_t above;

	if (!box_intersect(&rows[s->row].box, &rows[i].box, &common))
		return true;
	above = boxtree_find(&s->all, &common);
	return above != BOXTREE_NONE && rows[above].rank > rows[s->row].rank;
}

// Whether every packet that the row decides gets an equal action without it. What comes next anywhere is at latest the
// highest row that contains it, `holder` (NO_ROW: the default action); everything down to that rank must agree or be
// settled above.
static bool is_redundant(const struct sieve *s, uint32_t holder)
{
	const struct row *rows = s->ft->rows, *row = &rows[s->row];
	const struct action none = action_none();

	if (!action_equal(holder == NO_ROW ? &none : &rows[holder].action, &row->action))
		return false;
	for (uint32_t i = 0; i < s->n_near; i++) {
		const struct row *next = &rows[s->near[i]];

		if ((holder == NO_ROW || next->rank >= rows[holder].rank) &&
		    !action_equal(&next->action, &row->action) && !settled_above(s, s->near[i]))
			return false;
	}
	return true;
}

// Drops rows that change nothing and puts the others into the tree. 0: done, 1: out of effort, -ENOMEM.
static int drop_redundant(struct sieve *s)
{
	const struct row *rows = s->ft->rows;

	for (s->row = s->ft->n_rows; s->row-- > 0;) {
		uint32_t holder = NO_ROW, holder_idx = BOXTREE_NONE;

		s->n_near = 0;
		boxtree_walk(&s->kept, &rows[s->row].box, note_near, s);
		s->visits += s->n_near;
		if (s->visits > VISITS_MAX)
			return 1;
		for (uint32_t i = 0; i < s->n_near; i++) {
			if (s->near[i] < holder && box_contains(&rows[s->near[i]].box, &rows[s->row].box))
				holder = s->near[i];
		}
		s->dropped[s->row] = is_redundant(s, holder);
		if (s->dropped[s->row])
			continue;
		if (holder != NO_ROW)
			holder_idx = boxtree_find(&s->kept, &rows[holder].box);
		s->kept_rows[s->kept.n] = s->row;
		if (boxtree_add(&s->kept, &rows[s->row].box, holder_idx) < 0)
			return -ENOMEM;
	}
	return 0;
}

static enum boxtree_step note_higher(void *ctx, uint32_t idx)
{
	struct sieve *s = ctx;
	const struct row *rows = s->ft->rows;
	uint32_t i = s->kept_rows[idx];

	s->visits++;
	if (rows[i].rank <= rows[s->row].rank)
		return BOXTREE_BELOW;
	s->covered = box_contains(&rows[i].box, &rows[s->row].box);
	s->near[s->n_near++] = i;
	return s->covered || s->n_near == COVER_MAX ? BOXTREE_STOP : BOXTREE_BELOW;
}

// Drops rows that higher rows cover wholly: they never decide. Goes from low rank to high, so no row of a cover is
// dropped yet, and one that is dropped later is itself covered by still higher ones.
static int drop_shadowed(struct sieve *s)
{
	const struct box *cover[COVER_MAX];
	int within;

	s->visits = 0;
	for (uint32_t idx = 0; idx < s->kept.n && s->visits < VISITS_MAX; idx++) {
		s->row = s->kept_rows[idx];
		s->n_near = 0;
		s->covered = false;
		boxtree_walk(&s->kept, &s->kept.boxes[idx], note_higher, s);
		for (uint32_t i = 0; i < s->n_near; i++)
			cover[i] = &s->ft->rows[s->near[i]].box;
		within = s->covered ? 1 : box_within(&s->kept.boxes[idx], cover, s->n_near, COVER_EFFORT);
		if (within < 0)
			return within;
		s->dropped[s->row] = within == 1;
	}
	return 0;
}

// Returns how many.
static int remove_dropped(struct sieve *s)
{
	struct flowtab *ft = s->ft;
	uint32_t n = 0, before = ft->n_rows;

	for (uint32_t i = 0; i < before; i++) {
		if (!s->dropped[i])
			ft->rows[n++] = ft->rows[i];
	}
	ft->n_rows = n;
	return (int)(before - n);
}

int condense(struct flowtab *ft)
{
	struct sieve s = {.ft = ft};
	int ret = sieve_init(&s);

	if (ret == 0)
		ret = drop_redundant(&s);
	if (ret == 0)
		ret = drop_shadowed(&s);
	if (ret >= 0)
		ret = remove_dropped(&s);
	sieve_fini(&s);
	return ret;
}
