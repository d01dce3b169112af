// SPDX-License-Identifier: Apache-2.0
#include "event.h"

#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "state.h"
#include "strict.h"

// The holder, if somebody wants to hear of that user's requests.
static const char *listener(const struct state *s, const struct request *r)
{
	const struct user *holder = users_at(&s->users, r->holder);

	if (s->events.fn == NULL || holder == NULL || !s->events.wants(s->events.ctx, holder->name))
		return NULL;
	return holder->name;
}

static json_t *event_make(const char *what, const struct request *r, int64_t at_ns)
{
	json_t *event = json_object();

	json_object_set_new(event, "event", json_string(what));
	json_object_set_new(event, "id", json_integer((json_int_t)r->id));
	json_object_set_new(event, "verb", json_string(cmd_table_get(r->verb)->name));
	json_object_set_new(event, "share", json_string(r->share->name));
	json_object_set_new(event, "at", answer_time_json(at_ns));
	return event;
}

static void tell(struct state *s, const char *user, json_t *event)
{
	s->events.fn(s->events.ctx, user, event);
	json_decref(event);
}

void event_started(struct state *s, const struct request *r)
{
	const char *user = listener(s, r);

	if (user != NULL)
		tell(s, user, event_make("started", r, r->start_ns));
}

void event_ended(struct state *s, const struct request *r)
{
	const char *user = listener(s, r);
	bool over = r->end_ns <= s->now_ns, gave_way = r->hint != NULL && r->hint->gave_way_to != 0;
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("ended", r, over ? r->end_ns : s->now_ns);
	json_object_set_new(event, "why", json_string(over ? "over" : gave_way ? "conflict" : "cancelled"));
	if (!over && gave_way)
		json_object_set_new(event, "by", json_integer((json_int_t)r->hint->gave_way_to));
	tell(s, user, event);
}

bool event_heard(const struct state *s, const struct request *r)
{
	return listener(s, r) != NULL;
}

void event_suspended(struct state *s, const struct request *r, uint64_t avoid)
{
	const char *user = listener(s, r);
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("suspended", r, s->now_ns);
	json_object_set_new(event, "why", json_string("it goes through what another request must avoid"));
	if (avoid != 0)
		json_object_set_new(event, "avoid", json_integer((json_int_t)avoid));
	tell(s, user, event);
}

void event_resumed(struct state *s, const struct request *r)
{
	const char *user = listener(s, r);

	if (user != NULL)
		tell(s, user, event_make("resumed", r, s->now_ns));
}

// Where within r's group `by` decides, and nobody else does against r. 0, -ENOMEM or -E2BIG.
static int lost_region(const struct request *r, const struct request *by, struct match *lost)
{
	struct conflicts c;
	struct match group;
	int rc;

	conflicts_init(&c);
	match_init(&group);
	rc = match_intersect(&group, &r->flows, &by->flows);
	if (rc == 0)
		rc = strict_conflicts(r->share, r->access, &group, &c);
	for (uint32_t i = 0; i < c.n && rc == 0; i++)
		if (c.all[i].request == by->id)
			match_move(lost, &c.all[i].where);
	for (uint32_t i = 0; i < c.n && rc == 0; i++) {
		struct match rest;

		if (c.all[i].request == by->id || !match_overlaps(lost, &c.all[i].where))
			continue;
		match_init(&rest);
		rc = match_subtract(&rest, lost, &c.all[i].where);
		match_fini(lost);
		match_move(lost, &rest);
	}
	match_fini(&group);
	conflicts_fini(&c);
	return rc;
}

static void tell_if_overridden(struct state *s, const struct request *r, const struct request *by)
{
	const char *user;
	struct match lost;
	json_t *event;

	if (!match_overlaps(&r->flows, &by->flows) || (user = listener(s, r)) == NULL)
		return;
	match_init(&lost);
	// What is too intricate to be told exactly is told without the groups.
	if (lost_region(r, by, &lost) < 0 || !match_is_empty(&lost)) {
		event = event_make("overridden", r, s->now_ns);
		json_object_set_new(event, "by", json_integer((json_int_t)by->id));
		json_object_set_new(event, "groups", answer_boxes_json(&s->users, &lost));
		tell(s, user, event);
	}
	match_fini(&lost);
}

static void scan(struct state *s, const struct share *share, enum access access, const struct request *by)
{
	const struct request *r;

	TAILQ_FOREACH (r, &share->requests, link)
		if (r->access == access && r != by)
			tell_if_overridden(s, r, by);
}

void event_overridden(struct state *s, const struct request *by)
{
	const struct share *root = s->shares.root;
	bool below;

	if (s->events.fn == NULL || by->access == ACCESS_NONE || !s->events.wants(s->events.ctx, NULL))
		return;
	// A child's allow goes before its ancestors' denials, and before nobody else's.
	if (by->access == ACCESS_ALLOW) {
		for (const struct share *share = by->share->parent; share != NULL; share = share->parent)
			scan(s, share, ACCESS_DENY, by);
		return;
	}
	// A deny goes before every allow, but for those below it.
	for (const struct share *share = root; share != NULL; share = share_next(root, share, below)) {
		below = share != by->share && share->n_access[ACCESS_ALLOW] > 0;
		if (share->n_access[ACCESS_ALLOW] > 0)
			scan(s, share, ACCESS_ALLOW, by);
	}
}
