// SPDX-License-Identifier: Apache-2.0
#include "candidate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "earliest.h"
#include "network.h"
#include "overlap.h"
#include "request.h"
#include "route.h"
#include "state.h"

void candidate_init(struct candidate *c, struct share *share, uint64_t id, uint64_t rate_bps)
{
	*c = (struct candidate){.share = share, .id = id, .rate_bps = rate_bps};
	match_init(&c->flows);
	match_init(&c->not_in_force);
	conflicts_init(&c->conflicts);
}

void candidate_fini(struct candidate *c)
{
	match_fini(&c->flows);
	match_fini(&c->not_in_force);
	conflicts_fini(&c->conflicts);
}

int candidate_no_memory(struct reply *reply)
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

int candidate_check_privilege(const struct candidate *c, const struct statement *st, struct reply *reply)
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
		return reply_refuse(reply, REPLY_BAD_TIME, "the start %s is before now, %s",
				    answer_instant(c->start_ns).text, answer_instant(s->now_ns).text);
	if (c->start_ns >= c->end_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "the start %s is not before the end %s",
				    answer_instant(c->start_ns).text, answer_instant(c->end_ns).text);
	return 0;
}

// Share and instant are what a refusal owes (SPEC 4); how much is free, only a view with the schedule shows.
static int refuse_full(const struct candidate *c, const struct share *share, uint64_t rate_bps,
		       const struct timeline_clash *clash, struct reply *reply)
{
	struct quantity asked = answer_rate(rate_bps), at = answer_instant(clash->at_ns);

	if ((c->share->privileges.view & VIEW_SCHEDULE) == 0 || !c->share->privileges.query)
		reply_refuse(reply, REPLY_SCHEDULE_FULL, "share %s: %s asked, full at %s", share->name, asked.text,
			     at.text);
	else if (clash->reason == TIMELINE_OVER_MAX)
		reply_refuse(reply, REPLY_SCHEDULE_FULL, "share %s: %s asked, %s free at %s", share->name, asked.text,
			     answer_rate(clash->free_bps).text, at.text);
	else if (clash->reason == TIMELINE_UNDER_MIN)
		reply_refuse(reply, REPLY_SCHEDULE_FULL,
			     "share %s: %s asked beside %s at %s, together under the minimum %s", share->name,
			     asked.text, answer_rate(clash->standing_bps).text, at.text,
			     answer_rate(share->privileges.reserve_min_bps).text);
	else
		reply_refuse(reply, REPLY_SCHEDULE_FULL,
			     "share %s: %s asked, its tokens (filled at %s/s) run out at %s", share->name, asked.text,
			     answer_rate(share->privileges.tb_fill_bps).text, at.text);
	answer_put(reply, "share", json_string(share->name));
	answer_put(reply, "at", answer_time_json(clash->at_ns));
	return -1;
}

// Grants the highest admissible rate of a partial reserve; the rate of a strict one stays as asked.
int candidate_check_schedule(const struct state *s, struct candidate *c, struct reply *reply)
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

static int compared(int rc, struct reply *reply)
{
	if (rc == -E2BIG)
		return reply_refuse(reply, REPLY_LIMIT, "too many overlapping requests to compare this one with");
	return rc < 0 ? candidate_no_memory(reply) : 0;
}

static int check_strictness(const struct state *s, struct candidate *c, struct reply *reply)
{
	int rc = strict_conflicts(c->share, c->access, &c->flows, &c->conflicts);

	// One conflict is enough to refuse, whether or not all could be told.
	if (!c->partial && c->conflicts.n > 0)
		return refuse_conflict(s, &c->conflicts, reply);
	if (rc == 0 && c->conflicts.n > 0)
		rc = conflicts_union(&c->conflicts, &c->not_in_force);
	return compared(rc, reply);
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
	return compared(rc, reply);
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
	if (rc <= 0)
		return compared(rc, reply);
	reply_refuse(reply, REPLY_UNREALIZABLE, "some packets would have to go through %s and around it",
		     ip_addr_text(&clash.addr).text);
	if (clash.waypoint != 0)
		answer_put(reply, "waypoint", json_integer((json_int_t)clash.waypoint));
	if (clash.avoid != 0)
		answer_put(reply, "avoid", json_integer((json_int_t)clash.avoid));
	return -1;
}

enum access candidate_access(const struct candidate *c, enum verb verb)
{
	if (verb == VERB_DENY)
		return ACCESS_DENY;
	// All others ask for allow where their share could admit one.
	return within_limit(c, c->share->privileges.allow_ns) ? ACCESS_ALLOW : ACCESS_NONE;
}

static int set_group(struct candidate *c, const struct statement *st, struct reply *reply)
{
	if (match_copy(&c->flows, &st->flows) < 0)
		return candidate_no_memory(reply);
	for (uint32_t i = 0; i < c->flows.n_boxes; i++)
		box_set_time(&c->flows.boxes[i], c->start_ns, c->end_ns);
	return 0;
}

// The checks that need the group with its time, which is set here.
int candidate_check_group(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply)
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
		     rc == 0 ? "it fits from " : "it never fits", rc == 0 ? answer_instant(start_ns).text : "") < 0)
		return -1;
	answer_put(reply, "why", json_string(why));
	free(why);
	return -1;
}

// What follows the choice of share and the interval; sets the access the atom will carry and the group with its time.
int candidate_check(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply)
{
	if (candidate_check_privilege(c, st, reply) < 0 || check_times(s, c, reply) < 0)
		return -1;
	if (st->verb == VERB_HINT)
		return set_group(c, st, reply);
	c->access = candidate_access(c, st->verb);
	if (st->verb == VERB_RESERVE && candidate_check_schedule(s, c, reply) < 0)
		return tell_earliest(s, c, st, reply);
	return candidate_check_group(s, c, st, reply);
}

// Last of all checks (SPEC 4): rather a clear no than an acceptance that cannot be put in force.
int candidate_check_network(const struct state *s, const struct candidate *c, const struct statement *st,
			    struct reply *reply)
{
	struct demand d = {c->id, 0, 0, c->rate_bps, c->start_ns, c->end_ns, st->addresses, c->flows};

	return network_check(s, st->verb, &d, reply);
}
