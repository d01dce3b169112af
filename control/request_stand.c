// SPDX-License-Identifier: Apache-2.0
// Accepted requests coming and going: everything that is to know of one that stands is told here.
#include <errno.h>

#include "metered.h"
#include "override.h"
#include "policy.h"
#include "request.h"
#include "route.h"
#include "state.h"

void request_count_access(const struct request *r, bool add)
{
	for (struct share *share = r->share; share != NULL; share = share->parent)
		share->n_access[r->access] += add ? 1u : -1u;
}

// Takes an accepted request out. Its drain, if it still has one, is the caller's business.
static void request_end(struct state *s, struct request *r)
{
	struct user *holder = r->holder == 0 ? NULL : s->users.all[r->holder - 1];

	event_ended(s, r);
	s->n_unkept -= r->unkept;
	hint_gone(s, r);
	request_book_remove(&s->requests, r);
	if (r->start_ns > s->now_ns)
		start_queue_gone(&s->starts, &s->requests);
	if (holder != NULL)
		holder->n_open--;
	TAILQ_REMOVE(&r->share->requests, r, link);
	policy_follow(s, r, false);
	metered_remove(s, r);
	request_count_access(r, false);
	route_count(r, false);
	flow_index_remove(r->share->index, r);
	request_destroy(r);
}

int request_prepare(struct state *s, struct request *r)
{
	if (start_queue_prepare(&s->starts) < 0 || request_book_prepare(&s->requests) < 0 ||
	    metered_prepare(s, r->verb) < 0)
		return -ENOMEM;
	r->entries = flow_index_prepare(r->share->index, r->flows.n_boxes);
	return r->entries == NULL ? -ENOMEM : 0;
}

void request_stand(struct state *s, struct request *r)
{
	request_book_add(&s->requests, r);
	if (r->start_ns > s->now_ns)
		start_queue_add(&s->starts, r->start_ns, r->id);
	if (r->holder != 0)
		s->users.all[r->holder - 1]->n_open++;
	TAILQ_INSERT_TAIL(&r->share->requests, r, link);
	policy_follow(s, r, true);
	request_count_access(r, true);
	route_count(r, true);
	s->n_suspended += r->suspended; // one that is restored
	metered_add(s, r);
	flow_index_add(r->share->index, r);
	if (r->verb == VERB_HINT)
		hint_stand(s, r);
}

static int restore_drain(struct state *s, struct request *r, int64_t start_ns, int64_t end_ns)
{
	for (struct share *share = r->share; share != NULL; share = share->parent) {
		uint64_t max_bps = share->privileges.reserve_max_bps;
		int64_t from_ns = start_ns > s->now_ns ? start_ns : s->now_ns;
		struct timeline_range range;

		if (max_bps == TIMELINE_UNLIMITED)
			continue;
		range = timeline_range(share->timeline, from_ns, end_ns);
		if (r->rate_bps > max_bps || range.most_bps > max_bps - r->rate_bps)
			return -EINVAL;
		if (timeline_prepare(share->timeline) < 0)
			return -ENOMEM;
		timeline_add(share->timeline, start_ns, end_ns, r->rate_bps);
	}
	return 0;
}

int request_restore(struct state *s, struct request *r)
{
	int64_t start_ns = r->start_ns;
	int rc = request_prepare(s, r);

	for (uint32_t i = 0; i <= r->n_renewed && r->verb == VERB_RESERVE && rc == 0; i++) {
		int64_t end_ns = i < r->n_renewed ? r->renewed_ns[i] : r->end_ns;

		if (start_ns >= end_ns)
			return -EINVAL;
		if (end_ns > s->now_ns)
			rc = restore_drain(s, r, start_ns, end_ns);
		start_ns = end_ns;
	}
	if (rc == 0)
		request_stand(s, r);
	return rc;
}

// Gives the rest of its drains back and takes it out.
static void withdraw(struct state *s, struct request *r)
{
	int64_t start_ns = r->start_ns;

	for (uint32_t i = 0; i <= r->n_renewed && r->verb == VERB_RESERVE; i++) {
		int64_t end_ns = i < r->n_renewed ? r->renewed_ns[i] : r->end_ns;

		for (struct share *share = r->share; share != NULL && end_ns > s->now_ns; share = share->parent) {
			timeline_advance(share->timeline, s->now_ns);
			timeline_remove(share->timeline, start_ns, end_ns, r->rate_bps);
		}
		start_ns = end_ns;
	}
	request_end(s, r);
}

void request_withdraw(struct state *s, struct request *r)
{
	struct override_watch watch;
	uint64_t id = r->id;

	override_before(s, r, ACCESS_NONE, r->end_ns, &watch);
	withdraw(s, r);
	override_after(s, id, &watch);
}

void request_end_below(struct state *s, struct share *top)
{
	struct override_watch watch;

	override_before_drop(s, top, &watch);
	for (const struct share *share = top; share != NULL; share = share_next(top, share, true))
		while (!TAILQ_EMPTY(&share->requests))
			withdraw(s, TAILQ_FIRST(&share->requests));
	override_after(s, 0, &watch);
	s->policy_gen++;
}

void request_expire(struct state *s, int64_t now_ns)
{
	struct request_book *book = &s->requests;

	while (book->n_by_end > 0 && book->by_end[0].end_ns <= now_ns)
		request_end(s, book->by_end[0].request);
}

int64_t request_next_end(const struct state *s)
{
	return s->requests.n_by_end == 0 ? INT64_MAX : s->requests.by_end[0].end_ns;
}
