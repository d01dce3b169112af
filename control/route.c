// SPDX-License-Identifier: Apache-2.0
#include "route.h"

#include <errno.h>

#include "region.h"

#define NESTING_MAX 1000 // of shares whose lists are compared one inside the other

struct search {
	const struct share *root;
	struct request *probe;
	const struct request *without; // NULL, or the probe: as if it did not stand
	struct route_clash *clash;
	uint64_t work;
	unsigned int nesting;
};

static int rule(struct search *s, const struct request *w, const struct share *top, struct match *region);

static void count(const struct request *r, bool add)
{
	for (struct share *share = r->share; share != NULL; share = share->parent) {
		share->n_waypoints += r->verb != VERB_WAYPOINT ? 0 : add ? 1u : -1u;
		share->n_avoids += r->verb != VERB_AVOID ? 0 : add ? 1u : -1u;
	}
}

void route_count(const struct request *r, bool add)
{
	count(r, add);
	if (!add && (r->verb == VERB_WAYPOINT || r->verb == VERB_AVOID))
		for (struct share *share = r->share; share != NULL; share = share->parent)
			share->n_paths_gone++;
}

static bool is_list(const struct search *s, const struct request *r)
{
	return r->verb == VERB_WAYPOINT && r != s->without && !r->suspended;
}

// Takes away the packets of the lists at this share, of numbers below `id`.
static int lose_at(struct search *s, const struct share *share, uint64_t id, struct match *region)
{
	const struct request *r;

	TAILQ_FOREACH (r, &share->requests, link) {
		int rc = is_list(s, r) && r->id < id ? region_take_away(region, &r->flows, &s->work) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

// Any list below goes before this share's.
static int lose_below(struct search *s, const struct share *share, struct match *region)
{
	for (const struct share *at = share_next(share, share, share->n_waypoints > 0);
	     at != NULL && !match_is_empty(region); at = share_next(share, at, at->n_waypoints > 0)) {
		const struct request *r;

		TAILQ_FOREACH (r, &at->requests, link) {
			int rc = is_list(s, r) ? region_take_away(region, &r->flows, &s->work) : 0;

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

// Takes away where the list that rules within the subtree has a number below `id`.
static int lose_to_sibling(struct search *s, const struct share *top, uint64_t id, struct match *region)
{
	for (const struct share *at = top; at != NULL; at = share_next(top, at, at->n_waypoints > 0)) {
		const struct request *r;

		TAILQ_FOREACH (r, &at->requests, link) {
			struct match ruled;
			int rc;

			if (!is_list(s, r) || r->id >= id || !match_overlaps(&r->flows, region))
				continue;
			match_init(&ruled);
			rc = match_intersect(&ruled, region, &r->flows);
			if (rc == 0)
				rc = rule(s, r, top, &ruled);
			if (rc == 0)
				rc = region_take_away(region, &ruled, &s->work);
			match_fini(&ruled);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

// Cuts the region (of packets that w matches) down to where w's list rules within the subtree of `top`.
static int rule(struct search *s, const struct request *w, const struct share *top, struct match *region)
{
	int rc = ++s->nesting > NESTING_MAX ? -E2BIG : lose_below(s, w->share, region);

	if (rc == 0)
		rc = lose_at(s, w->share, w->id, region);
	for (const struct share *at = w->share; rc == 0 && at != top && !match_is_empty(region); at = at->parent)
		for (uint32_t i = 0; i < at->parent->n_children && rc == 0; i++) {
			const struct share *sibling = at->parent->children[i];

			if (sibling != at && sibling->n_waypoints > 0)
				rc = lose_to_sibling(s, sibling, w->id, region);
		}
	s->nesting--;
	return rc;
}

// Where within the probe's group w rules and the addresses of `avoid` are to be avoided. A list that rules there
// without the probe too is not its fault: an end has exposed it.
static int check_pair(struct search *s, const struct request *w, const struct request *avoid,
		      const struct ip_addr *addr)
{
	struct match both, region, before;
	int rc;

	match_init(&both);
	match_init(&region);
	match_init(&before);
	rc = match_intersect(&both, &w->flows, &avoid->flows);
	if (rc == 0)
		rc = match_intersect(&region, &both, &s->probe->flows);
	if (rc == 0)
		rc = rule(s, w, s->root, &region);
	if (rc == 0 && w != s->probe && avoid != s->probe && !match_is_empty(&region)) {
		rc = match_copy(&before, &region);
		s->without = s->probe;
		if (rc == 0)
			rc = rule(s, w, s->root, &before);
		s->without = NULL;
		if (rc == 0)
			rc = region_take_away(&region, &before, &s->work);
	}
	if (rc == 0 && !match_is_empty(&region)) {
		*s->clash = (struct route_clash){w == s->probe ? 0 : w->id, avoid == s->probe ? 0 : avoid->id, *addr};
		rc = 1;
	}
	match_fini(&both);
	match_fini(&region);
	match_fini(&before);
	return rc;
}

static int check_list(struct search *s, const struct request *w)
{
	const struct share *root = s->root;

	if (s->probe->verb == VERB_AVOID) {
		const struct ip_addr *addr = ip_list_inside(w->addresses, s->probe->addresses);

		return addr == NULL ? 0 : check_pair(s, w, s->probe, addr);
	}
	for (const struct share *share = root; share != NULL; share = share_next(root, share, share->n_avoids > 0)) {
		const struct request *avoid;

		TAILQ_FOREACH (avoid, &share->requests, link) {
			const struct ip_addr *addr;
			int rc;

			if (avoid->verb != VERB_AVOID || !match_overlaps(&avoid->flows, &s->probe->flows))
				continue;
			addr = ip_list_inside(w->addresses, avoid->addresses);
			rc = addr == NULL ? 0 : check_pair(s, w, avoid, addr);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static int check_lists(struct search *s)
{
	const struct share *root = s->root;

	for (const struct share *share = root; share != NULL; share = share_next(root, share, share->n_waypoints > 0)) {
		const struct request *w;

		TAILQ_FOREACH (w, &share->requests, link) {
			int rc = is_list(s, w) && match_overlaps(&w->flows, &s->probe->flows) ? check_list(s, w) : 0;

			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

int route_check(const struct state *s, struct request *probe, struct route_clash *clash)
{
	struct search search = {.root = s->shares.root, .probe = probe, .clash = clash};
	int rc = 0;

	TAILQ_INSERT_TAIL(&probe->share->requests, probe, link);
	count(probe, true);
	if (search.root->n_waypoints > 0 && search.root->n_avoids > 0)
		rc = check_lists(&search);
	count(probe, false);
	TAILQ_REMOVE(&probe->share->requests, probe, link);
	return rc;
}

// --- after something came or went

// Whether the list of w rules packets of `avoid` from now on. 1, 0, -ENOMEM, -E2BIG.
static int clashes_with(struct search *s, const struct request *w, const struct request *avoid, int64_t now_ns)
{
	struct box later = box_any();
	struct match both, region;
	int rc;

	if (avoid->verb != VERB_AVOID || ip_list_inside(w->addresses, avoid->addresses) == NULL ||
	    !match_overlaps(&avoid->flows, &w->flows))
		return 0;
	box_set_time(&later, now_ns, INT64_MAX);
	match_init(&both);
	match_init(&region);
	rc = match_intersect(&both, &w->flows, &avoid->flows);
	if (rc == 0)
		rc = match_intersect_box(&region, &both, &later);
	if (rc == 0)
		rc = rule(s, w, s->root, &region);
	if (rc == 0)
		rc = !match_is_empty(&region);
	match_fini(&both);
	match_fini(&region);
	return rc;
}

// The number of a request that must avoid what w leads through, 0: none. UINT64_MAX: could not be decided.
static uint64_t clash_of(const struct state *st, const struct request *w)
{
	struct search s = {.root = st->shares.root};

	for (const struct share *share = s.root; share != NULL;
	     share = share_next(s.root, share, share->n_avoids > 0)) {
		const struct request *avoid;

		TAILQ_FOREACH (avoid, &share->requests, link) {
			int rc = clashes_with(&s, w, avoid, st->now_ns);

			if (rc != 0)
				return rc < 0 ? UINT64_MAX : avoid->id;
		}
	}
	return 0;
}

// The first list, in the order of the share tree, that clashes and meets `near` (NULL: any); NULL: none does.
static struct request *first_clash(const struct state *s, const struct request *near, uint64_t *avoid)
{
	const struct share *root = s->shares.root;

	for (const struct share *share = root; share != NULL; share = share_next(root, share, share->n_waypoints > 0)) {
		struct request *w;

		TAILQ_FOREACH (w, &share->requests, link) {
			if (w->verb != VERB_WAYPOINT || w->suspended ||
			    (near != NULL && !match_overlaps(&w->flows, &near->flows)))
				continue;
			*avoid = clash_of(s, w);
			if (*avoid != 0)
				return w;
		}
	}
	return NULL;
}

static void changed(struct state *s, const struct request *r)
{
	delta_request(&s->delta, r->id);
	s->policy_gen++;
}

static void suspend_exposed(struct state *s)
{
	struct request *r;
	uint64_t avoid;

	while ((r = first_clash(s, NULL, &avoid)) != NULL) {
		r->suspended = true;
		changed(s, r);
		event_suspended(s, r, avoid == UINT64_MAX ? 0 : avoid);
	}
}

static bool try_to_resume(struct state *s, struct request *r)
{
	uint64_t avoid;

	r->suspended = false;
	if (first_clash(s, r, &avoid) != NULL) {
		r->suspended = true;
		return false;
	}
	changed(s, r);
	event_resumed(s, r);
	return true;
}

static bool resume_some(struct state *s)
{
	const struct share *root = s->shares.root;
	bool some = false;

	s->n_suspended = 0;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, share->n_waypoints > 0)) {
		struct request *r;

		TAILQ_FOREACH (r, &share->requests, link) {
			if (r->suspended && try_to_resume(s, r))
				some = true;
			s->n_suspended += r->suspended;
		}
	}
	return some;
}

void route_review(struct state *s)
{
	const struct share *root = s->shares.root;

	s->paths_gone = root->n_paths_gone;
	if (root->n_waypoints > 0 && root->n_avoids > 0)
		suspend_exposed(s);
	while (resume_some(s) && s->n_suspended > 0)
		; // what is resumed or suspended may hide others, or expose what hides them
}

bool route_changed(const struct state *s)
{
	return s->shares.root->n_paths_gone != s->paths_gone;
}
