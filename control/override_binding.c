// SPDX-License-Identifier: Apache-2.0
// Bindings change which packets a group that names users has. So groups are compared as packets have them, users
// replaced, by the rule that a packet is denied where some deny has no allow strictly below it.
#include <errno.h>
#include <stdlib.h>

#include "override_watch.h"
#include "policy.h"

#define BOUND_MAX 500 // requests compared about a binding, every two: with more nothing is told

struct bound { // a request with an access as packets have it
	const struct request *r;
	struct match group;   // within what the binding is about
	struct match denying; // of a deny: where no allow below it stands
};

struct bound_set {
	struct bound *all;
	uint32_t n;
	struct match denied;
};

static void bound_set_fini(struct bound_set *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		match_fini(&set->all[i].group);
		match_fini(&set->all[i].denying);
	}
	free(set->all);
	match_fini(&set->denied);
}

static bool strictly_below(const struct share *low, const struct share *high)
{
	for (low = low->parent; low != NULL && low != high;)
		low = low->parent;
	return low != NULL;
}

static int add_bound(const struct state *s, const struct request *r, const struct match *where, struct bound_set *set)
{
	struct match real;
	int rc;

	match_init(&real);
	rc = policy_expand(&s->users, &r->flows, &real);
	if (rc == 0 && match_overlaps(&real, where)) {
		struct bound *b = set->n == BOUND_MAX ? NULL : &set->all[set->n];

		rc = b == NULL ? -E2BIG : 0;
		if (b != NULL) {
			b->r = r;
			match_init(&b->group);
			match_init(&b->denying);
			set->n++;
			rc = match_intersect(&b->group, &real, where);
		}
	}
	match_fini(&real);
	return rc;
}

static int find_denied(struct bound_set *set, uint64_t *work)
{
	int rc = 0;

	for (uint32_t i = 0; i < set->n && rc == 0; i++) {
		struct bound *deny = &set->all[i];

		if (deny->r->access != ACCESS_DENY)
			continue;
		rc = match_copy(&deny->denying, &deny->group);
		for (uint32_t k = 0; k < set->n && rc == 0; k++)
			if (set->all[k].r->access == ACCESS_ALLOW &&
			    strictly_below(set->all[k].r->share, deny->r->share))
				rc = region_take_away(&deny->denying, &set->all[k].group, work);
		for (uint32_t b = 0; b < deny->denying.n_boxes && rc == 0; b++)
			rc = match_add(&set->denied, &deny->denying.boxes[b]);
	}
	return rc;
}

// All requests with an access that meet `where`, as users are bound now.
static int bound_set_make(const struct state *s, const struct match *where, uint64_t *work, struct bound_set *set)
{
	const struct share *root = s->shares.root;
	int rc;

	*set = (struct bound_set){.all = calloc(BOUND_MAX, sizeof(*set->all))};
	match_init(&set->denied);
	rc = set->all == NULL ? -ENOMEM : 0;
	for (const struct share *share = root; share != NULL && rc == 0; share = share_next(root, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link)
			if (rc == 0 && r->access != ACCESS_NONE && !r->suspended)
				rc = add_bound(s, r, where, set);
	}
	return rc == 0 ? find_denied(set, work) : rc;
}

static int lost_of(const struct bound_set *set, const struct bound *b, uint64_t *work, struct match *lost)
{
	int rc;

	if (b->r->access == ACCESS_ALLOW)
		return match_intersect(lost, &b->group, &set->denied);
	rc = match_copy(lost, &b->group);
	return rc == 0 ? region_take_away(lost, &set->denied, work) : rc;
}

// A request that decides some of what is lost: the lowest number.
static uint64_t decider(const struct bound_set *set, const struct bound *b, const struct match *lost)
{
	uint64_t by = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct bound *other = &set->all[i];
		bool decides = b->r->access == ACCESS_ALLOW ? match_overlaps(&other->denying, lost)
							    : other->r->access == ACCESS_ALLOW &&
								      strictly_below(other->r->share, b->r->share) &&
								      match_overlaps(&other->group, lost);

		if (decides && (by == 0 || other->r->id < by))
			by = other->r->id;
	}
	return by;
}

// The packets from and to the address, from now on.
static int add_where(const struct state *s, const struct match *address, struct match *where)
{
	int rc = 0;

	for (uint32_t i = 0; i < address->n_boxes && rc == 0; i++) {
		struct box from = address->boxes[i], to = policy_mirrored(&from);

		box_set_time(&from, s->now_ns, INT64_MAX);
		box_set_time(&to, s->now_ns, INT64_MAX);
		rc = match_add(where, &from);
		if (rc == 0)
			rc = match_add(where, &to);
	}
	return rc;
}

static int find_where(const struct state *s, const struct user *user, const struct match *address, struct match *where)
{
	int rc = 0;

	if (address != NULL)
		return add_where(s, address, where);
	for (uint32_t i = 0; i < user->n_bindings && rc == 0; i++)
		rc = add_where(s, &user->bindings[i], where);
	return rc;
}

void override_before_binding(struct state *s, const struct user *user, const struct match *address,
			     struct override_watch *w)
{
	struct bound_set set;
	int rc;

	override_watch_init(w);
	// Only what requests that name users match can change.
	if (TAILQ_EMPTY(&s->naming_users) || !override_listened(s))
		return;
	rc = find_where(s, user, address, &w->where);
	if (rc < 0) {
		override_watch_fini(w);
		return;
	}
	rc = bound_set_make(s, &w->where, &w->work, &set);
	for (uint32_t i = 0; i < set.n && rc == 0; i++) {
		struct watched *watched = event_heard(s, set.all[i].r) ? override_watch_add(w, set.all[i].r->id) : NULL;

		if (watched == NULL)
			continue;
		rc = lost_of(&set, &set.all[i], &w->work, &watched->lost);
	}
	bound_set_fini(&set);
	if (rc < 0)
		override_watch_fini(w);
	else
		w->watches = true;
}

static const struct watched *watched_find(const struct override_watch *w, uint64_t id)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (w->all[i].id == id)
			return &w->all[i];
	return NULL;
}

static int tell_bound(struct state *s, struct override_watch *w, const struct bound_set *set, const struct bound *b)
{
	static const struct match nothing;
	const struct watched *watched = watched_find(w, b->r->id);
	const struct match *before = watched == NULL ? &nothing : &watched->lost;
	struct match after, still, grown, shrunk;
	int rc;

	match_init(&after);
	match_init(&still);
	match_init(&grown);
	match_init(&shrunk);
	rc = lost_of(set, b, &w->work, &after);
	if (rc == 0)
		rc = override_difference(&after, before, &grown);
	// What it lost and no longer matches is not given back.
	if (rc == 0)
		rc = match_intersect(&still, before, &b->group);
	if (rc == 0)
		rc = override_difference(&still, &after, &shrunk);
	if (rc == 0 && !match_is_empty(&shrunk))
		event_shifted(s, b->r, "restored", 0, &shrunk);
	if (rc == 0 && !match_is_empty(&grown))
		event_shifted(s, b->r, "overridden", decider(set, b, &grown), &grown);
	match_fini(&after);
	match_fini(&still);
	match_fini(&grown);
	match_fini(&shrunk);
	return rc;
}

void override_after_binding(struct state *s, struct override_watch *w)
{
	struct bound_set set;
	int rc;

	if (!w->watches)
		return;
	rc = bound_set_make(s, &w->where, &w->work, &set);
	for (uint32_t i = 0; i < set.n && rc == 0; i++)
		if (event_heard(s, set.all[i].r))
			rc = tell_bound(s, w, &set, &set.all[i]);
	bound_set_fini(&set);
	override_watch_fini(w);
}