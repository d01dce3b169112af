// SPDX-License-Identifier: Apache-2.0
#include "event.h"

#include <stdio.h>
#include <string.h>

#include "addrs.h"
#include "answer.h"
#include "cmd_table.h"
#include "state.h"

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

static void tell(const struct state *s, const char *user, json_t *event)
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
	json_object_set_new(event, "why", json_string(request_suspended(r)));
	if (avoid != 0)
		json_object_set_new(event, "avoid", json_integer((json_int_t)avoid));
	tell(s, user, event);
}

void event_unkept(struct state *s, const struct request *r, const char *why)
{
	const char *user = listener(s, r);
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("suspended", r, s->now_ns);
	json_object_set_new(event, "why", json_string(why));
	tell(s, user, event);
}

void event_degraded(struct state *s, const struct request *r, const char *port, uint64_t received_bps)
{
	const char *user = listener(s, r);
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("degraded", r, s->now_ns);
	json_object_set_new(event, "port", json_string(port));
	json_object_set_new(event, "rate", answer_number_json(r->rate_bps));
	json_object_set_new(event, "received", answer_number_json(received_bps));
	json_object_set_new(event, "why", json_string("more is promised at the port than it can carry"));
	tell(s, user, event);
}

void event_recovered(struct state *s, const struct request *r, const char *port)
{
	const char *user = listener(s, r);
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("recovered", r, s->now_ns);
	json_object_set_new(event, "port", json_string(port));
	tell(s, user, event);
}

static json_t *eth_json(const uint8_t eth[6])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", eth[0], eth[1], eth[2], eth[3], eth[4], eth[5]);
	return json_string(text);
}

void event_contested(const struct state *s, const struct request *r, const struct addr_contest *c)
{
	const struct ip_addr address = {.addr = c->ip, .ip6 = c->ip6};
	const char *user = listener(s, r);
	json_t *event;

	if (user == NULL)
		return;
	event = event_make("contested", r, s->now_ns);
	json_object_set_new(event, "address", json_string(ip_addr_text(&address).text));
	if (r->share->privileges.query && (r->share->privileges.view & VIEW_HOSTS) != 0) {
		json_object_set_new(event, "holder", eth_json(c->holder));
		json_object_set_new(event, "by", eth_json(c->claims));
	}
	tell(s, user, event);
}

void event_resumed(struct state *s, const struct request *r)
{
	const char *user = listener(s, r);

	if (user != NULL)
		tell(s, user, event_make("resumed", r, s->now_ns));
}

void event_shifted(struct state *s, const struct request *r, const char *what, uint64_t by, const struct match *groups)
{
	const char *user = listener(s, r);
	json_t *event, *told;

	if (user == NULL)
		return;
	told = answer_boxes_json(&s->users, groups);
	if (json_array_size(told) == 0 && groups->n_boxes > 0) {
		json_decref(told); // only packets that nobody can send yet
		return;
	}
	event = event_make(what, r, s->now_ns);
	if (by != 0)
		json_object_set_new(event, "by", json_integer((json_int_t)by));
	json_object_set_new(event, "groups", told);
	tell(s, user, event);
}
