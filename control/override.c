// SPDX-License-Identifier: Apache-2.0
// Groups are compared as admission sees them, with symbolic users (strict.h), before and after the change.
#include "override.h"

#include <errno.h>
#include <stdlib.h>

#include "flow_index.h"
#include "override_watch.h"
#include "region.h"
#include "strict.h"

// Pairs of boxes compared to find who may be told about one statement, then what each of them lost.
#define LOOKED_AT_MAX 2000000

bool override_listened(const struct state *s)
{
	return s->events.fn != NULL && s->events.wants(s->events.ctx, NULL);
}

void override_watch_init(struct override_watch *w)
{
	*w = (struct override_watch){0};
	match_init(&w->where);
}

void override_watch_fini(struct override_watch *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		match_fini(&w->all[i].lost);
	free(w->all);
	match_fini(&w->where);
	override_watch_init(w);
}

struct watched *override_watch_add(struct override_watch *w, uint64_t id)
{
	if (w->n == w->cap) {
		uint32_t cap = w->cap == 0 ? 16 : w->cap * 2;
		struct watched *all = reallocarray(w->all, cap, sizeof(*all));

		if (all == NULL)
			return NULL;
		w->all = all;
		w->cap = cap;
	}
	w->all[w->n] = (struct watched){.id = id};
	match_init(&w->all[w->n].lost);
	return &w->all[w->n++];
}

// Which conflict to name: the changed request if it is one, else that of lowest number that decides some of `grown`.
static uint64_t pick_decider(const struct conflicts *c, uint64_t changed, const struct match *grown)
{
	uint64_t by = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t id = c->all[i].request;

		if (!match_overlaps(&c->all[i].where, grown))
			continue;
		if (id == changed)
			return id;
		by = by == 0 || id < by ? id : by;
	}
	return by;
}

// Where within what the change is about others decide of r.
static int find_lost(const struct request *r, const struct match *where, struct conflicts *c, struct match *lost)
{
	struct match group;
	int rc;

	match_init(&group);
	rc = match_intersect(&group, &r->flows, where);
	if (rc == 0)
		rc = strict_conflicts(r->share, r->access, &group, c);
	if (rc == 0)
		rc = conflicts_union(c, lost);
	match_fini(&group);
	return rc;
}

struct search {
	const struct state *s;
	const struct share *leaving;
	uint64_t self, mark;
	struct override_watch *w;
	int rc;
};

static bool is_within(const struct share *share, const struct share *top)
{
	while (share != NULL && share != top)
		share = share->parent;
	return share != NULL;
}

static int collect(void *ctx, struct request *r, uint32_t idx)
{
	struct search *f = ctx;

	if (r->mark == f->mark)
		return 0;
	r->mark = f->mark;
	if (r->access == ACCESS_NONE || r->id == f->self || !event_heard(f->s, r) ||
	    (f->leaving != NULL && is_within(r->share, f->leaving)))
		return 0;
	return override_watch_add(f->w, r->id) == NULL ? -ENOMEM : 0;
}

// Adds r's group from now until then, and who is met there.
static int add_change(struct search *f, const struct request *r, int64_t end_ns)
{
	int64_t start_ns = r->start_ns > f->s->now_ns ? r->start_ns : f->s->now_ns;
	int rc = 0;

	for (uint32_t i = 0; i < r->flows.n_boxes && rc == 0; i++) {
		struct box box = r->flows.boxes[i];

		if (!box_set_time(&box, start_ns, end_ns))
			continue;
		rc = match_add(&f->w->where, &box);
		if (rc == 0)
			rc = flow_index_each(r->share->index, &box, &f->w->work, collect, f);
	}
	return rc;
}

// All are known who may be told: what have they lost so far?
static void look(struct state *s, struct override_watch *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		w->work += (uint64_t)request_find(&s->requests, w->all[i].id)->flows.n_boxes * w->where.n_boxes;
	if (w->work > REGION_WORK_MAX) {
		override_watch_fini(w);
		return;
	}
	w->watches = w->n > 0;
	for (uint32_t i = 0; i < w->n; i++) {
		struct conflicts c;

		conflicts_init(&c);
		c.work = w->work;
		w->all[i].failed =
			find_lost(request_find(&s->requests, w->all[i].id), &w->where, &c, &w->all[i].lost) < 0;
		w->work = c.work;
		conflicts_fini(&c);
	}
}

void override_before(struct state *s, const struct request *r, enum access then, int64_t end_ns,
		     struct override_watch *w)
{
	struct search search = {.s = s, .self = r->id, .w = w};

	override_watch_init(w);
	w->work = REGION_WORK_MAX - LOOKED_AT_MAX;
	if ((r->access == ACCESS_NONE && then == ACCESS_NONE) || !override_listened(s))
		return;
	search.mark = flow_index_mark(r->share->index);
	if (add_change(&search, r, end_ns) < 0)
		override_watch_fini(w);
	else
		look(s, w);
}

void override_before_drop(struct state *s, const struct share *leaving, struct override_watch *w)
{
	struct search search = {.s = s, .leaving = leaving, .w = w};
	int rc = 0;

	override_watch_init(w);
	w->work = REGION_WORK_MAX - LOOKED_AT_MAX;
	if (!override_listened(s))
		return;
	search.mark = flow_index_mark(leaving->index);
	for (const struct share *share = leaving; share != NULL; share = share_next(leaving, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link)
			if (rc == 0 && r->access != ACCESS_NONE)
				rc = add_change(&search, r, r->end_ns);
	}
	if (rc < 0)
		override_watch_fini(w);
	else
		look(s, w);
}

int override_difference(const struct match *more, const struct match *less, struct match *out)
{
	uint64_t work = 0;
	int rc = match_copy(out, more);

	return rc == 0 ? region_take_away(out, less, &work) : rc;
}

static void tell_changes(struct state *s, const struct request *r, uint64_t changed, const struct match *before,
			 const struct match *after, const struct conflicts *c)
{
	struct match grown, shrunk;

	match_init(&grown);
	match_init(&shrunk);
	if (override_difference(before, after, &shrunk) == 0 && !match_is_empty(&shrunk))
		event_shifted(s, r, "restored", changed, &shrunk);
	if (override_difference(after, before, &grown) == 0 && !match_is_empty(&grown))
		event_shifted(s, r, "overridden", pick_decider(c, changed, &grown), &grown);
	match_fini(&grown);
	match_fini(&shrunk);
}

static void look_again(struct state *s, const struct request *r, uint64_t changed, struct override_watch *w,
		       const struct watched *watched)
{
	const struct request *by = request_find(&s->requests, changed);
	static const struct match unknown;
	struct conflicts c;
	struct match after;

	conflicts_init(&c);
	c.work = w->work;
	match_init(&after);
	if (!watched->failed && find_lost(r, &w->where, &c, &after) == 0)
		tell_changes(s, r, changed, &watched->lost, &after, &c);
	else if (by != NULL && by->access != ACCESS_NONE && by->access != r->access)
		event_shifted(s, r, "overridden", changed, &unknown);
	match_fini(&after);
	w->work = c.work;
	conflicts_fini(&c);
}

void override_after(struct state *s, uint64_t changed, struct override_watch *w)
{
	for (uint32_t i = 0; i < w->n && w->watches; i++) {
		const struct request *r = request_find(&s->requests, w->all[i].id);

		if (r != NULL)
			look_again(s, r, changed, w, &w->all[i]);
	}
	override_watch_fini(w);
}
