// SPDX-License-Identifier: Apache-2.0
// Looks for ACTION_SET_MAX accepted requests with a common point inside the new group. Sweeping along one dimension,
// every common point is in the set of boxes open where the last of them opens; the dimension with the smallest such
// sets is taken, and each set is searched in the same way, cut down to the box that opened. Most groups are told apart
// by one dimension (time, a port, an address), and then one sweep answers.
#include "overlap.h"

#include <errno.h>
#include <stdlib.h>

#include "hft/action.h"
#include "request.h"

#define INTERSECTIONS_MAX 2000000
#define COLOURED_MAX 1000 // colouring is quadratic
#define N_DIMS (MATCH_N_FIELDS + 2)

struct piece {
	struct box box;
	uint64_t request; // pieces of one request count once
};

struct search {
	uint32_t budget;
	int rc; // -ENOMEM
};

struct event { // a piece opens (at its lo) or has closed (after its hi)
	u128 at;
	uint32_t piece;
	bool opens;
};

static struct span128 extent(const struct box *box, unsigned int dim)
{
	if (dim < MATCH_N_FIELDS)
		return (struct span128){box->f[dim].lo, box->f[dim].hi};
	return dim == MATCH_N_FIELDS ? box->src : box->dst;
}

// Spans are closed: what opens at a value meets what closes there.
static int event_order(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (int)y->opens - (int)x->opens;
}

static void sweep_events(const struct piece *pieces, uint32_t n, unsigned int dim, struct event *events)
{
	for (uint32_t i = 0; i < n; i++) {
		struct span128 span = extent(&pieces[i].box, dim);

		events[2 * i] = (struct event){span.lo, i, true};
		events[2 * i + 1] = (struct event){span.hi, i, false};
	}
	qsort(events, 2 * (size_t)n, sizeof(*events), event_order);
}

static uint32_t largest_open(const struct event *events, uint32_t n)
{
	uint32_t open = 0, most = 0;

	for (uint32_t i = 0; i < 2 * n; i++) {
		open = events[i].opens ? open + 1 : open - 1;
		most = open > most ? open : most;
	}
	return most;
}

// The dimension in which the fewest pieces are open at once; how many in *most.
static unsigned int best_dim(const struct piece *pieces, uint32_t n, struct event *events, uint32_t need,
			     uint32_t *most)
{
	unsigned int best = 0;

	*most = UINT32_MAX;
	for (unsigned int dim = 0; dim < N_DIMS && *most >= need; dim++) {
		uint32_t open;

		sweep_events(pieces, n, dim, events);
		open = largest_open(events, n);
		if (open < *most) {
			*most = open;
			best = dim;
		}
	}
	return best;
}

static bool meets(struct search *search, const struct piece *pieces, uint32_t n, uint32_t need);

// Whether `need - 1` of the open pieces meet inside the one that opens.
static bool meets_inside(struct search *search, const struct piece *pieces, const uint32_t *open, uint32_t n_open,
			 const struct piece *opening, uint32_t need)
{
	struct piece *cut;
	uint32_t n = 0;
	bool found;

	if (n_open + 1 < need)
		return false;
	cut = malloc((n_open + 1) * sizeof(*cut));
	if (cut == NULL) {
		search->rc = -ENOMEM;
		return true;
	}
	for (uint32_t i = 0; i < n_open; i++) {
		const struct piece *other = &pieces[open[i]];

		if (search->budget > 0)
			search->budget--;
		if (other->request == opening->request || !box_intersect(&other->box, &opening->box, &cut[n].box))
			continue;
		cut[n++].request = other->request;
	}
	found = search->budget == 0 || meets(search, cut, n, need - 1);
	free(cut);
	return found;
}

static bool disjoint(const struct piece *a, const struct piece *b)
{
	return a->request == b->request || !box_overlaps(&a->box, &b->box);
}

// Whether fewer than `need` colours (at most ACTION_SET_MAX) do for the pieces, first fit.
static bool colours_below(const struct piece *pieces, uint32_t n, uint32_t need)
{
	uint32_t head[ACTION_SET_MAX], next[COLOURED_MAX], n_colours = 0;

	if (n > COLOURED_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t colour = 0;

		for (; colour < n_colours; colour++) {
			uint32_t other = head[colour];

			while (other != UINT32_MAX && disjoint(&pieces[i], &pieces[other]))
				other = next[other];
			if (other == UINT32_MAX)
				break;
		}
		if (colour == n_colours) {
			if (++n_colours == need)
				return false;
			head[colour] = UINT32_MAX;
		}
		next[i] = head[colour];
		head[colour] = i;
	}
	return true;
}

static bool sweep(struct search *search, const struct piece *pieces, uint32_t n, uint32_t need, struct event *events,
		  uint32_t *open)
{
	uint32_t most, n_open = 0;
	unsigned int dim = best_dim(pieces, n, events, need, &most);

	if (most < need || colours_below(pieces, n, need))
		return false;
	sweep_events(pieces, n, dim, events);
	for (uint32_t e = 0; e < 2 * n; e++) {
		if (events[e].opens) {
			if (meets_inside(search, pieces, open, n_open, &pieces[events[e].piece], need))
				return true;
			open[n_open++] = events[e].piece;
			continue;
		}
		for (uint32_t i = 0; i < n_open; i++)
			if (open[i] == events[e].piece) {
				open[i] = open[--n_open];
				break;
			}
	}
	return false;
}

// Whether `need` pieces of different requests have a common point.
static bool meets(struct search *search, const struct piece *pieces, uint32_t n, uint32_t need)
{
	struct event *events;
	uint32_t *open;
	bool found = true;

	if (need == 0)
		return true;
	if (n < need)
		return false;
	if (need == 1)
		return true;
	events = malloc(2 * (size_t)n * sizeof(*events));
	open = malloc(n * sizeof(*open));
	if (events == NULL || open == NULL)
		search->rc = -ENOMEM;
	else
		found = sweep(search, pieces, n, need, events, open);
	free(events);
	free(open);
	return found;
}

struct collection {
	enum verb verb;
	const struct box *group;
	struct piece *pieces;
	uint32_t n, cap;
};

static int collect(void *ctx, struct request *r, uint32_t idx)
{
	struct collection *c = ctx;

	if (r->verb != c->verb)
		return 0;
	if (c->n == c->cap) {
		struct piece *more = realloc(c->pieces, (c->cap * 2 + 16) * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		c->pieces = more;
		c->cap = c->cap * 2 + 16;
	}
	if (box_intersect(&r->flows.boxes[idx], c->group, &c->pieces[c->n].box))
		c->pieces[c->n++].request = r->id;
	return 0;
}

int overlap_exceeds(struct flow_index *index, enum verb verb, const struct match *group)
{
	struct search search = {.budget = INTERSECTIONS_MAX};
	struct collection c = {.verb = verb};
	uint64_t work = 0;
	bool found = false;
	int rc = 0;

	for (uint32_t g = 0; g < group->n_boxes && !found && rc == 0; g++) {
		c.group = &group->boxes[g];
		c.n = 0;
		rc = flow_index_each(index, c.group, &work, collect, &c);
		found = rc == 0 && c.n > 0 && meets(&search, c.pieces, c.n, ACTION_SET_MAX);
	}
	free(c.pieces);
	if (rc < 0 || search.rc < 0)
		return rc < 0 ? rc : search.rc;
	return found;
}
