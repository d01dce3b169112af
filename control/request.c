// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "earliest.h"
#include "hint.h"
#include "metered.h"
#include "network.h"
#include "overlap.h"
#include "override.h"
#include "policy.h"
#include "route.h"
#include "state.h"
#include "strict.h"

// A request on its way in: what the checks found so far.
struct candidate {
	struct share *share;
	enum access access;
	uint64_t rate_bps;
	int64_t start_ns, end_ns;
	bool partial;
	uint64_t id;                // UINT64_MAX: a new one
	struct match flows;         // with its interval
	struct conflicts conflicts; // of a partial one
	struct match not_in_force;  // their union
	int64_t deadline_ns;        // of a hint
	const char *why_not;        // a hint is not realised
};

static int out_of_memory(struct reply *reply)
{
	return reply_refuse(reply, REPLY_LIMIT, "out of memory");
}

// The length of an interval, INT64_MAX for ever.
static int64_t length_of(const struct candidate *c)
{
	return c->end_ns == INT64_MAX ? INT64_MAX : c->end_ns - c->start_ns;
}

static bool within_limit(const struct candidate *c, int64_t limit_ns)
{
	return limit_ns == DURATION_UNLIMITED || (limit_ns > 0 && length_of(c) <= limit_ns);
}

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

static int check_access_privilege(const struct candidate *c, const char *name, int64_t limit_ns, struct reply *reply)
{
	if (limit_ns == 0)
		return reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s has %s = False", c->share->name, name);
	if (!within_limit(c, limit_ns))
		return reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s has %s <= %s, asked for %s", c->share->name,
				    name, answer_duration(limit_ns).text, answer_duration(length_of(c)).text);
	return 0;
}

static int check_addresses(const struct candidate *c, const struct statement *st, struct reply *reply)
{
	const struct privileges *p = &c->share->privileges;
	bool through = st->verb == VERB_WAYPOINT;
	const struct ip_list *set = through ? p->waypoint : p->avoid;
	const struct ip_addr *outside = ip_list_outside(st->addresses, set);

	if (outside == NULL)
		return 0;
	return reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s may not route %s %s", c->share->name,
			    through ? "through" : "around", ip_addr_text(outside).text);
}

static int check_privilege(const struct candidate *c, const struct statement *st, struct reply *reply)
{
	const struct privileges *p = &c->share->privileges;

	switch (st->verb) {
	case VERB_ALLOW:
		return check_access_privilege(c, "allow", p->allow_ns, reply);
	case VERB_DENY:
		return check_access_privilege(c, "deny", p->deny_ns, reply);
	case VERB_RESERVE:
		return p->reserve_max_bps > 0 ? 0
					      : reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s may reserve nothing",
							     c->share->name);
	case VERB_WAYPOINT:
	case VERB_AVOID:
		return check_addresses(c, st, reply);
	case VERB_HINT:
		return p->hint ? 0
			       : reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s has hint = False", c->share->name);
	default:
		break;
	}
	if (p->ratelimit_min_bps == RATE_UNLIMITED)
		return reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s may set no rate limits", c->share->name);
	if (st->rate_bps < p->ratelimit_min_bps)
		return reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s has ratelimit >= %s, asked for %s",
				    c->share->name, answer_rate(p->ratelimit_min_bps).text,
				    answer_rate(st->rate_bps).text);
	return 0;
}

static int check_times(const struct state *s, const struct candidate *c, struct reply *reply)
{
	if (c->start_ns < s->now_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "the start t=%s is before now, t=%s",
				    answer_time(c->start_ns).text, answer_time(s->now_ns).text);
	if (c->start_ns >= c->end_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "the start t=%s is not before the end t=%s",
				    answer_time(c->start_ns).text, answer_time(c->end_ns).text);
	return 0;
}

// Share and instant are what a refusal owes (SPEC 4); how much is free, only a view with the schedule shows.
static int refuse_full(const struct candidate *c, const struct share *share, uint64_t rate_bps,
		       const struct timeline_clash *clash, struct reply *reply)
{
	struct quantity asked = answer_rate(rate_bps), at = answer_time(clash->at_ns);

	if ((c->share->privileges.view & VIEW_SCHEDULE) == 0 || !c->share->privileges.query)
		reply_refuse(reply, REPLY_SCHEDULE_FULL, "share %s: %s asked, full at t=%s", share->name, asked.text,
			     at.text);
	else if (clash->reason == TIMELINE_OVER_MAX)
		reply_refuse(reply, REPLY_SCHEDULE_FULL, "share %s: %s asked, %s free at t=%s", share->name, asked.text,
			     answer_rate(clash->free_bps).text, at.text);
	else if (clash->reason == TIMELINE_UNDER_MIN)
		reply_refuse(reply, REPLY_SCHEDULE_FULL,
			     "share %s: %s asked beside %s at t=%s, together under the minimum %s", share->name,
			     asked.text, answer_rate(clash->standing_bps).text, at.text,
			     answer_rate(share->privileges.reserve_min_bps).text);
	else
		reply_refuse(reply, REPLY_SCHEDULE_FULL,
			     "share %s: %s asked, its tokens (filled at %s/s) run out at t=%s", share->name, asked.text,
			     answer_rate(share->privileges.tb_fill_bps).text, at.text);
	answer_put(reply, "share", json_string(share->name));
	answer_put(reply, "at", answer_time_json(clash->at_ns));
	return -1;
}

// Grants the highest admissible rate of a partial reserve; the rate of a strict one stays as asked.
static int check_schedule(const struct state *s, struct candidate *c, struct reply *reply)
{
	uint64_t asked = c->rate_bps;
	struct timeline_clash clash;
	struct share *share;

	for (share = c->share; share != NULL; share = share->parent) {
		timeline_advance(share->timeline, s->now_ns);
		if (c->partial)
			c->rate_bps = timeline_max_rate(share->timeline, c->start_ns, c->end_ns, c->rate_bps);
		if (c->rate_bps == 0) {
			timeline_fits(share->timeline, c->start_ns, c->end_ns, 1, &clash);
			return refuse_full(c, share, asked, &clash, reply);
		}
	}
	for (share = c->share; share != NULL; share = share->parent)
		if (!timeline_fits(share->timeline, c->start_ns, c->end_ns, c->rate_bps, &clash))
			return refuse_full(c, share, c->rate_bps, &clash, reply);
	return 0;
}

static int order_conflicts(const void *a, const void *b)
{
	const struct conflict *x = a, *y = b;

	return x->request < y->request ? -1 : x->request > y->request;
}

#define CONFLICTS_TOLD_MAX 100

static int refuse_conflict(const struct state *s, struct conflicts *found, struct reply *reply)
{
	json_t *all = json_array();
	char *group;

	qsort(found->all, found->n, sizeof(*found->all), order_conflicts);
	group = answer_group(&s->users, &found->all[0].where.boxes[0]);
	reply_refuse(reply, REPLY_STRICT_CONFLICT, "request %" PRIu64 " of share %s decides otherwise for %s%s",
		     found->all[0].request, found->all[0].share, group == NULL ? "part of the group" : group,
		     found->n > 1 || found->all[0].where.n_boxes > 1 ? ", and there is more" : "");
	free(group);
	for (uint32_t i = 0; i < found->n && i < CONFLICTS_TOLD_MAX; i++) {
		json_t *item = json_object();

		json_object_set_new(item, "request", json_integer((json_int_t)found->all[i].request));
		json_object_set_new(item, "share", json_string(found->all[i].share));
		json_object_set_new(item, "groups", answer_boxes_json(&s->users, &found->all[i].where));
		json_array_append_new(all, item);
	}
	answer_put(reply, "conflicts", all);
	if (found->n > CONFLICTS_TOLD_MAX)
		answer_put(reply, "more", json_integer(found->n - CONFLICTS_TOLD_MAX));
	return -1;
}

static int check_strictness(const struct state *s, struct candidate *c, struct reply *reply)
{
	int rc = strict_conflicts(c->share, c->access, &c->flows, &c->conflicts);

	// One conflict is enough to refuse, whether or not all could be told.
	if (!c->partial && c->conflicts.n > 0)
		return refuse_conflict(s, &c->conflicts, reply);
	if (rc == 0 && c->conflicts.n > 0)
		rc = conflicts_union(&c->conflicts, &c->not_in_force);
	if (rc == -E2BIG)
		return reply_refuse(reply, REPLY_LIMIT, "too many overlapping requests to compare this one with");
	return rc < 0 ? out_of_memory(reply) : 0;
}

static int check_overlap(const struct state *s, const struct candidate *c, const struct statement *st,
			 struct reply *reply)
{
	bool reserve = st->verb == VERB_RESERVE;
	int rc = 0;

	if (reserve || st->verb == VERB_RATELIMIT)
		rc = overlap_exceeds(c->share->index, st->verb, &c->flows);
	if (rc > 0)
		return reply_refuse(reply, REPLY_OVERLAP, "more than %d %s would meet in one packet", ACTION_SET_MAX,
				    reserve ? "reservations" : "rate limits");
	return rc < 0 ? out_of_memory(reply) : 0;
}

// There is no topology, so a path is taken to exist unless the requests themselves exclude it.
static int check_route(const struct state *s, const struct candidate *c, const struct statement *st,
		       struct reply *reply)
{
	struct request probe = {.id = c->id, .share = c->share, .verb = st->verb, .addresses = st->addresses};
	struct route_clash clash = {0};
	int rc;

	if (st->verb != VERB_WAYPOINT && st->verb != VERB_AVOID)
		return 0;
	probe.flows = c->flows;
	rc = route_check(s, &probe, &clash);
	if (rc == -E2BIG)
		return reply_refuse(reply, REPLY_LIMIT, "too many overlapping requests to compare this one with");
	if (rc < 0)
		return out_of_memory(reply);
	if (rc == 0)
		return 0;
	reply_refuse(reply, REPLY_UNREALIZABLE, "some packets would have to go through %s and around it",
		     ip_addr_text(&clash.addr).text);
	if (clash.waypoint != 0)
		answer_put(reply, "waypoint", json_integer((json_int_t)clash.waypoint));
	if (clash.avoid != 0)
		answer_put(reply, "avoid", json_integer((json_int_t)clash.avoid));
	return -1;
}

static enum access access_of(const struct candidate *c, enum verb verb)
{
	if (verb == VERB_DENY)
		return ACCESS_DENY;
	// All others ask for allow where their share could admit one.
	return within_limit(c, c->share->privileges.allow_ns) ? ACCESS_ALLOW : ACCESS_NONE;
}

static int set_group(struct candidate *c, const struct statement *st, struct reply *reply)
{
	if (match_copy(&c->flows, &st->flows) < 0)
		return out_of_memory(reply);
	for (uint32_t i = 0; i < c->flows.n_boxes; i++)
		box_set_time(&c->flows.boxes[i], c->start_ns, c->end_ns);
	return 0;
}

// The checks that need the group with its time, which is set here.
static int check_group(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply)
{
	if (set_group(c, st, reply) < 0)
		return -1;
	if (check_strictness(s, c, reply) < 0 || check_overlap(s, c, st, reply) < 0)
		return -1;
	return check_route(s, c, st, reply);
}

// Adds the earliest start to a refusal by the schedule. Where it could not be found in bounded time nothing is said.
static int tell_earliest(const struct state *s, const struct candidate *c, const struct statement *st,
			 struct reply *reply)
{
	struct earliest_query q = {c->share, c->access, &st->flows, st->rate_bps, length_of(c), c->partial};
	int64_t start_ns;
	int rc = earliest_start(s, &q, &start_ns);
	char *why;

	if (rc < 0 && rc != -ENOENT)
		return -1;
	answer_put(reply, "earliest", rc == 0 ? answer_time_json(start_ns) : json_null());
	if (asprintf(&why, "%s; %s%s", json_string_value(json_object_get(reply->body, "why")),
		     rc == 0 ? "it fits from t=" : "it never fits", rc == 0 ? answer_time(start_ns).text : "") < 0)
		return -1;
	answer_put(reply, "why", json_string(why));
	free(why);
	return -1;
}

// What follows the choice of share and the interval; sets the access the atom will carry and the group with its time.
static int candidate_check(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply)
{
	if (check_privilege(c, st, reply) < 0 || check_times(s, c, reply) < 0)
		return -1;
	if (st->verb == VERB_HINT)
		return set_group(c, st, reply);
	c->access = access_of(c, st->verb);
	if (st->verb == VERB_RESERVE && check_schedule(s, c, reply) < 0)
		return tell_earliest(s, c, st, reply);
	return check_group(s, c, st, reply);
}

// Last of all checks (SPEC 4): rather a clear no than an acceptance that cannot be put in force.
static int check_network(const struct state *s, const struct candidate *c, const struct statement *st,
			 struct reply *reply)
{
	struct demand d = {c->id, 0, 0, c->rate_bps, c->start_ns, c->end_ns, st->addresses, c->flows};

	return network_check(s, st->verb, &d, reply);
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
		return out_of_memory(reply);
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
		return out_of_memory(reply);
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
	struct candidate c = {.share = share_find(&s->shares, st->share), .rate_bps = st->rate_bps};
	int rc = -1;

	c.id = UINT64_MAX;
	c.partial = st->strictness == STRICT_PARTIAL;
	match_init(&c.flows);
	match_init(&c.not_in_force);
	conflicts_init(&c.conflicts);
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
		if (st->verb == VERB_HINT || check_network(s, &c, st, reply) == 0)
			rc = candidate_commit(s, &c, speaker, st, reply);
	}
	match_fini(&c.flows);
	match_fini(&c.not_in_force);
	conflicts_fini(&c.conflicts);
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
	if (check_privilege(c, &as, reply) < 0)
		return -1;
	if (c->end_ns <= r->end_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "request %" PRIu64 " lasts until t=%s already", r->id,
				    answer_time(r->end_ns).text);
	c->access = access_of(c, r->verb);
	c->start_ns = r->end_ns;
	c->partial = false; // the rate stays
	if (r->verb == VERB_RESERVE && check_schedule(s, c, reply) < 0)
		return -1;
	c->partial = r->partial;
	return check_group(s, c, &as, reply) < 0 ? -1 : check_network(s, c, &as, reply);
}

int request_renew(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct request *r = standing(s, speaker, st->number, reply);
	struct candidate c = {.id = st->number};
	int rc = -1;

	if (r == NULL)
		return -1;
	if (r->verb == VERB_HINT)
		return reply_refuse(reply, REPLY_BAD_VALUE,
				    "request %" PRIu64 " is a hint, which lasts as long as it said", r->id);
	c.share = r->share;
	c.rate_bps = r->rate_bps;
	c.start_ns = r->start_ns;
	match_init(&c.flows);
	match_init(&c.not_in_force);
	conflicts_init(&c.conflicts);
	if (request_time(s, &st->to, INT64_MAX, &c.end_ns, reply) == 0 && renew_check(s, r, &c, reply) == 0)
		rc = renew_prepare(s, r) < 0 ? out_of_memory(reply) : 0;
	if (rc == 0) {
		renew_commit(s, r, &c);
		reply->mutated = true;
		answer_put(reply, "id", json_integer((json_int_t)r->id));
		answer_put(reply, "start", answer_time_json(r->start_ns));
		answer_put(reply, "end", answer_time_json(r->end_ns));
		if (r->partial)
			answer_put(reply, "not_in_force", answer_boxes_json(&s->users, &c.not_in_force));
	}
	match_fini(&c.flows);
	match_fini(&c.not_in_force);
	conflicts_fini(&c.conflicts);
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
