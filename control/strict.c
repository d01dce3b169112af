// SPDX-License-Identifier: Apache-2.0
// With the new atom its node, and so every ancestor, decides something for each packet of the group. An accepted atom
// at node w decides wherever nothing below w does (a child's access goes before its parent's), unless w lies above the
// new atom's node. Among deciding atoms deny wins, inside a node as among siblings, at every level. Hence the final
// decision is deny exactly where some deny decides, and no region of a whole subtree need be built: only, for each atom
// of the other access that meets the group, what is left of it.
#include "strict.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"
#include "request.h"

#define DISJOINT_MAX 1000 // making regions disjoint is quadratic in them

// The shares whose atoms can decide: the subtree of the new atom's share, and of each sibling on the way to the root.
// One call a share, in order; subtrees without an atom of that access are passed over.
struct walk {
	const struct share *path;     // the share of the path whose siblings come next
	const struct share *top, *at; // current subtree, current share
	uint32_t sibling;             // next child of path's parent
	enum access access;
};

void conflicts_init(struct conflicts *c)
{
	memset(c, 0, sizeof(*c));
}

void conflicts_fini(struct conflicts *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		match_fini(&c->all[i].where);
	free(c->all);
	conflicts_init(c);
}

static struct walk walk_begin(const struct share *share, enum access access)
{
	assert(share != NULL);
	return (struct walk){.path = share, .top = share, .access = access};
}

static bool next_subtree(struct walk *w)
{
	const struct share *parent;

	for (; (parent = w->path->parent) != NULL; w->path = parent, w->sibling = 0) {
		while (w->sibling < parent->n_children) {
			const struct share *top = parent->children[w->sibling++];

			if (top != w->path && top->n_access[w->access] > 0) {
				w->top = top;
				return true;
			}
		}
	}
	return false;
}

static const struct share *walk_next(struct walk *w)
{
	bool first = w->at == NULL;

	for (;;) {
		w->at = first ? w->top : share_next(w->top, w->at, w->at->n_access[w->access] > 0);
		if (w->at != NULL && w->at->n_access[w->access] > 0)
			return w->at;
		first = false;
		if (w->at == NULL) {
			if (!next_subtree(w))
				return NULL;
			first = true;
		}
	}
}

// Takes away what any atom strictly below the share decides.
static int take_away_below(struct match *region, const struct share *share, uint64_t *work)
{
	const struct share *below = share;

	for (;;) {
		bool any = below->n_access[ACCESS_ALLOW] + below->n_access[ACCESS_DENY] > 0;
		const struct request *r;

		below = share_next(share, below, any);
		if (below == NULL || region->n_boxes == 0)
			return 0;
		TAILQ_FOREACH (r, &below->requests, link) {
			int rc = r->access == ACCESS_NONE ? 0 : region_take_away(region, &r->flows, work);

			if (rc < 0)
				return rc;
		}
	}
}

// Where within `group` the accepted request decides.
static int deciding_region(const struct request *r, const struct match *group, struct match *out, uint64_t *work)
{
	int rc = match_intersect(out, &r->flows, group);

	return rc < 0 ? rc : take_away_below(out, r->share, work);
}

// Takes away where an accepted deny decides: there an allow below the new deny is overruled.
static int take_away_denials(struct match *region, const struct share *share, uint64_t *work)
{
	struct walk walk = walk_begin(share, ACCESS_DENY);
	const struct share *at;
	const struct request *r;

	while (region->n_boxes > 0 && (at = walk_next(&walk)) != NULL)
		TAILQ_FOREACH (r, &at->requests, link) {
			struct match denied;
			int rc;

			if (r->access != ACCESS_DENY)
				continue;
			rc = region_meets(&r->flows, region, work);
			if (rc < 0)
				return rc;
			if (rc == 0)
				continue;
			match_init(&denied);
			rc = deciding_region(r, region, &denied, work);
			if (rc == 0)
				rc = region_take_away(region, &denied, work);
			match_fini(&denied);
			if (rc < 0)
				return rc;
		}
	return 0;
}

static int conflicts_add(struct conflicts *c, const struct request *r, struct match *where)
{
	if (c->n == c->cap) {
		uint32_t cap = c->cap == 0 ? 8 : c->cap * 2;
		struct conflict *all = realloc(c->all, cap * sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		c->all = all;
		c->cap = cap;
	}
	c->all[c->n].request = r->id;
	c->all[c->n].share = r->share->name;
	match_move(&c->all[c->n++].where, where);
	return 0;
}

static int check_request(const struct share *share, const struct request *r, const struct match *group,
			 struct conflicts *c)
{
	struct match where;
	int rc = region_meets(&r->flows, group, &c->work);

	if (rc <= 0)
		return rc;
	match_init(&where);
	rc = deciding_region(r, group, &where, &c->work);
	if (rc == 0 && r->access == ACCESS_ALLOW)
		rc = take_away_denials(&where, share, &c->work);
	if (rc == 0 && !match_is_empty(&where))
		rc = conflicts_add(c, r, &where);
	match_fini(&where);
	return rc;
}

static bool is_above(const struct share *above, const struct share *share)
{
	while (share != NULL && share != above)
		share = share->parent;
	return share != NULL;
}

struct lookup {
	const struct share *share;
	const struct match *group;
	enum access other;
	uint64_t mark;
	struct conflicts *c;
};

// The same requests as the walk: a deny is met by what lies below it, an allow by all but what lies above it.
static int look_at(void *ctx, struct request *r, uint32_t idx)
{
	struct lookup *l = ctx;

	if (r->access != l->other || r->mark == l->mark)
		return 0;
	r->mark = l->mark;
	if (l->other == ACCESS_ALLOW ? r->share == l->share || !is_above(l->share, r->share)
				     : r->share != l->share && is_above(r->share, l->share))
		return 0;
	return check_request(l->share, r, l->group, l->c);
}

static bool is_indexed(const struct match *group)
{
	for (uint32_t i = 0; i < group->n_boxes; i++)
		if (!flow_index_covers(&group->boxes[i]))
			return false;
	return true;
}

static int indexed_conflicts(const struct share *share, enum access other, const struct match *group,
			     struct conflicts *c)
{
	struct lookup l = {share, group, other, flow_index_mark(share->index), c};
	int rc = 0;

	for (uint32_t i = 0; i < group->n_boxes && rc == 0; i++)
		rc = flow_index_each(share->index, &group->boxes[i], &c->work, look_at, &l);
	return rc;
}

int strict_conflicts(const struct share *share, enum access decision, const struct match *group, struct conflicts *c)
{
	enum access other = decision == ACCESS_DENY ? ACCESS_ALLOW : ACCESS_DENY;
	struct walk walk = walk_begin(share, other);
	const struct share *at;
	const struct request *r;

	if (decision == ACCESS_NONE)
		return 0;
	if (is_indexed(group))
		return indexed_conflicts(share, other, group, c);
	while ((at = walk_next(&walk)) != NULL) {
		// The new deny itself decides against an allow of its own node or of a sibling's subtree.
		if (other == ACCESS_ALLOW && at == share)
			continue;
		if (other == ACCESS_ALLOW && walk.top != share)
			break;
		TAILQ_FOREACH (r, &at->requests, link) {
			int rc = r->access == other ? check_request(share, r, group, c) : 0;

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int add_disjoint(const struct box *box, struct match *out)
{
	struct match fresh;
	uint64_t work = 0;
	int rc;

	match_init(&fresh);
	rc = match_add(&fresh, box);
	if (rc == 0)
		rc = region_take_away(&fresh, out, &work);
	for (uint32_t i = 0; i < fresh.n_boxes && rc == 0; i++)
		rc = match_add(out, &fresh.boxes[i]);
	match_fini(&fresh);
	return rc;
}

int conflicts_union(const struct conflicts *c, struct match *out)
{
	uint32_t total = 0;
	int rc = 0;

	for (uint32_t i = 0; i < c->n; i++)
		total += c->all[i].where.n_boxes;
	for (uint32_t i = 0; i < c->n && rc == 0; i++)
		for (uint32_t b = 0; b < c->all[i].where.n_boxes && rc == 0; b++) {
			const struct box *box = &c->all[i].where.boxes[b];

			rc = total <= DISJOINT_MAX ? add_disjoint(box, out) : match_add(out, box);
		}
	return rc;
}
