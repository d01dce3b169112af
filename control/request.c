// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "answer.h"
#include "candidate.h"
#include "hint.h"
#include "metered.h"
#include "override.h"
#include "state.h"
int request_time(const struct state *s, const struct time_spec *spec, int64_t unspecified, int64_t *out,
		 struct reply *reply)
{
	switch (spec->kind) {
	case TIME_DEFAULT:
		*out = unspecified;
		return 0;
	case TIME_NOW:
		*out = s->now_ns;
		return 0;
	case TIME_FOREVER:
		*out = INT64_MAX;
		return 0;
	case TIME_ABSOLUTE:
		*out = spec->ns;
		return 0;
	case TIME_RELATIVE:
		break;
	}
	// The largest value stands for ever.
	if (__builtin_add_overflow(s->now_ns, spec->ns, out) || *out == INT64_MAX)
		return reply_refuse(reply, REPLY_BAD_VALUE,
				    "now and %s more is a time beyond 2^63-1 ns since the epoch",
				    answer_duration(spec->ns).text);
	return 0;
}

// All checks are through. Only memory can still fail, and it is taken before anything is changed.
static int candidate_commit(struct state *s, struct candidate *c, const struct principal *speaker,
			    const struct statement *st, struct reply *reply)
{
	struct user *holder = users_find(&s->users, speaker->user);
	struct override_watch watch;
	struct request *r;
	struct share *share;
	int rc;

	if (s->max_open > 0 && holder != NULL && holder->n_open >= s->max_open && holder->number != USER_NUMBER_ROOT)
		return reply_refuse(reply, REPLY_LIMIT, "%s has %u requests that are not over, the most one may have",
				    holder->name, holder->n_open);
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return candidate_no_memory(reply);
	r->share = c->share;
	r->verb = st->verb;
	r->access = c->access;
	r->rate_bps = c->rate_bps;
	r->partial = c->partial;
	r->start_ns = c->start_ns;
	r->end_ns = c->end_ns;
	r->holder = holder == NULL ? 0 : holder->number;
	r->addresses = ip_list_ref(st->addresses);
	match_move(&r->flows, &c->flows);
	if (st->verb == VERB_HINT)
		r->hint = hint_part_create(&st->hint, c->deadline_ns);
	rc = st->verb == VERB_HINT && r->hint == NULL ? -ENOMEM : request_prepare(s, r);
	for (share = c->share; share != NULL && rc == 0 && st->verb == VERB_RESERVE; share = share->parent)
		rc = timeline_prepare(share->timeline);
	if (rc < 0) {
		request_destroy(r);
		return candidate_no_memory(reply);
	}
	for (share = c->share; share != NULL && st->verb == VERB_RESERVE; share = share->parent)
		timeline_add(share->timeline, c->start_ns, c->end_ns, c->rate_bps);
	override_before(s, r, r->access, r->end_ns, &watch);
	request_stand(s, r);
	override_after(s, r->id, &watch);
	if (r->verb == VERB_RESERVE)
		hints_give_way(s, r);
	s->policy_gen++;
	reply->mutated = true;
	answer_put(reply, "id", json_integer((json_int_t)r->id));
	answer_put(reply, "start", answer_time_json(r->start_ns));
	answer_put(reply, "end", answer_time_json(r->end_ns));
	if (st->verb == VERB_HINT)
		hint_answer(r, c->why_not, reply);
	if (c->partial) {
		if (st->verb == VERB_RESERVE)
			answer_put(reply, "granted", answer_number_json(r->rate_bps));
		answer_put(reply, "not_in_force", answer_boxes_json(&s->users, &c->not_in_force));
	}
	return 0;
}

// From and to. A hint lasts until its deadline, else as long as it says, unless `to` says how long.
static int candidate_times(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply)
{
	const struct hint *h = &st->hint;
	int64_t end_ns = INT64_MAX;

	if (request_time(s, &st->from, s->now_ns, &c->start_ns, reply) < 0)
		return -1;
	if ((h->given & 1u << HINT_DEADLINE) != 0) {
		if (st->to.kind != TIME_DEFAULT)
			return reply_refuse(reply, REPLY_BAD_TIME,
					    "a hint with a deadline lasts until then: leave \"to\" out");
		if (request_time(s, &h->deadline, 0, &end_ns, reply) < 0)
			return -1;
		c->deadline_ns = end_ns;
	} else if ((h->given & 1u << HINT_DURATION) != 0 &&
		   __builtin_add_overflow(c->start_ns, h->duration_ns, &end_ns)) {
		end_ns = INT64_MAX;
	}
	return request_time(s, &st->to, end_ns, &c->end_ns, reply);
}

// A hint is accepted in any case; what it needs is looked for last.
static void realise_hint(struct state *s, struct candidate *c, const struct statement *st)
{
	c->rate_bps = hint_rate_bps(&st->hint, c->start_ns, c->deadline_ns);
	c->why_not = c->rate_bps == 0 ? "it says nothing that the switch can act upon"
				      : hint_obstacle(s, c->share, &c->flows, c->start_ns, c->end_ns, c->rate_bps);
	if (c->why_not != NULL)
		c->rate_bps = 0;
}

int request_admit(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct candidate c;
	int rc = -1;

	candidate_init(&c, share_find(&s->shares, st->share), UINT64_MAX, st->rate_bps);
	c.partial = st->strictness == STRICT_PARTIAL;
	if (c.share == NULL)
		reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->share);
	else if (!share_speaks(c.share, speaker, state_registered(s, speaker)))
		reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s", speaker->user,
			     c.share->name);
	else if (!match_subset(&st->flows, &c.share->flows))
		answer_not_contained(reply, &s->users, &st->flows, &c.share->flows, c.share->name);
	else if ((st->verb == VERB_RESERVE || st->verb == VERB_RATELIMIT) && st->rate_bps == 0)
		reply_refuse(reply, REPLY_BAD_VALUE, "a rate must be over zero");
	else if (candidate_times(s, &c, st, reply) == 0 && candidate_check(s, &c, st, reply) == 0) {
		if (st->verb == VERB_HINT)
			realise_hint(s, &c, st);
		if (st->verb == VERB_HINT || candidate_check_network(s, &c, st, reply) == 0)
			rc = candidate_commit(s, &c, speaker, st, reply);
	}
	candidate_fini(&c);
	return rc;
}

// The request of that number, if the speaker may end or prolong it.
static struct request *standing(const struct state *s, const struct principal *speaker, uint64_t id,
				struct reply *reply)
{
	struct request *r = request_find(&s->requests, id);

	if (r == NULL)
		reply_refuse(reply, REPLY_NO_REQUEST, "there is no request %" PRIu64 ", or it is over", id);
	else if (share_speaks_above(r->share, speaker, state_registered(s, speaker)) == NULL)
		reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s nor of one above",
			     speaker->user, r->share->name);
	else
		return r;
	return NULL;
}

// Nothing is changed yet, and nothing can fail any more.
static int renew_prepare(const struct state *s, struct request *r)
{
	int64_t *renewed_ns;

	if (metered_prepare(s, r->verb) < 0)
		return -ENOMEM;
	if (r->verb != VERB_RESERVE)
		return 0;
	for (struct share *share = r->share; share != NULL; share = share->parent)
		if (timeline_prepare(share->timeline) < 0)
			return -ENOMEM;
	renewed_ns = realloc(r->renewed_ns, (r->n_renewed + 1) * sizeof(*renewed_ns));
	if (renewed_ns == NULL)
		return -ENOMEM;
	r->renewed_ns = renewed_ns;
	return 0;
}

static void renew_commit(struct state *s, struct request *r, const struct candidate *c)
{
	struct override_watch watch;

	override_before(s, r, c->access, c->end_ns, &watch);
	if (r->verb == VERB_RESERVE) {
		for (struct share *share = r->share; share != NULL; share = share->parent)
			timeline_add(share->timeline, c->start_ns, c->end_ns, r->rate_bps);
		r->renewed_ns[r->n_renewed++] = r->end_ns;
	}
	request_count_access(r, false);
	r->access = c->access;
	request_count_access(r, true);
	for (uint32_t i = 0; i < r->flows.n_boxes; i++)
		box_set_time(&r->flows.boxes[i], r->start_ns, c->end_ns);
	metered_remove(s, r);
	request_book_move_end(&s->requests, r, c->end_ns);
	metered_add(s, r);
	override_after(s, r->id, &watch);
	if (r->verb == VERB_RESERVE)
		hints_give_way(s, r);
	delta_request(&s->delta, r->id);
	s->policy_gen++;
}

// The checks of a request, for the time that is added; privilege and access for the whole of it.
static int renew_check(const struct state *s, const struct request *r, struct candidate *c, struct reply *reply)
{
	struct statement as = {.verb = r->verb, .rate_bps = r->rate_bps, .addresses = r->addresses};

	as.flows = r->flows;
	if (candidate_check_privilege(c, &as, reply) < 0)
		return -1;
	if (c->end_ns <= r->end_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "request %" PRIu64 " lasts until %s already", r->id,
				    answer_instant(r->end_ns).text);
	c->access = candidate_access(c, r->verb);
	c->start_ns = r->end_ns;
	c->partial = false; // the rate stays
	if (r->verb == VERB_RESERVE && candidate_check_schedule(s, c, reply) < 0)
		return -1;
	c->partial = r->partial;
	return candidate_check_group(s, c, &as, reply) < 0 ? -1 : candidate_check_network(s, c, &as, reply);
}

int request_renew(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct request *r = standing(s, speaker, st->number, reply);
	struct candidate c;
	int rc = -1;

	if (r == NULL)
		return -1;
	if (r->verb == VERB_HINT)
		return reply_refuse(reply, REPLY_BAD_VALUE,
				    "request %" PRIu64 " is a hint, which lasts as long as it said", r->id);
	candidate_init(&c, r->share, r->id, r->rate_bps);
	c.start_ns = r->start_ns;
	if (request_time(s, &st->to, INT64_MAX, &c.end_ns, reply) == 0 && renew_check(s, r, &c, reply) == 0)
		rc = renew_prepare(s, r) < 0 ? candidate_no_memory(reply) : 0;
	if (rc == 0) {
		renew_commit(s, r, &c);
		reply->mutated = true;
		answer_put(reply, "id", json_integer((json_int_t)r->id));
		answer_put(reply, "start", answer_time_json(r->start_ns));
		answer_put(reply, "end", answer_time_json(r->end_ns));
		if (r->partial)
			answer_put(reply, "not_in_force", answer_boxes_json(&s->users, &c.not_in_force));
	}
	candidate_fini(&c);
	return rc;
}

int request_cancel(struct state *s, const struct principal *speaker, uint64_t id, struct reply *reply)
{
	struct request *r = standing(s, speaker, id, reply);

	if (r == NULL)
		return -1;
	request_withdraw(s, r);
	s->policy_gen++;
	reply->mutated = true;
	return 0;
}
