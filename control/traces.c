// SPDX-License-Identifier: Apache-2.0
#include "traces.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "captures.h"
#include "engine.h"
#include "loop.h"
#include "server.h"

#define MS 1000000
#define POLL_US 5000

struct open_question {
	struct trace_question *q;
	uint64_t number; // ascending
	uint64_t mark;   // of the link, when it was asked
	int64_t at_ns;   // CLOCK_MONOTONIC
	bool marked, sent, settled;
};

struct traces {
	struct dp_link *link;
	struct engine *engine;
	struct server *server;
	struct captures *captures;
	struct event *timer; // while questions are open
	struct open_question open[TRACES_MAX];
	uint32_t n_open;
	uint64_t last_number, sessions;
};

static void take_out(struct traces *t, uint32_t i)
{
	free(t->open[i].q);
	t->n_open--;
	memmove(&t->open[i], &t->open[i + 1], (t->n_open - i) * sizeof(t->open[0]));
}

static void on_traced(void *ctx, const struct proto_traced *traced)
{
	struct traces *t = ctx;
	struct reply *reply;

	for (uint32_t i = 0; i < t->n_open; i++) {
		struct open_question *o = &t->open[i];

		if (!o->sent || (uint32_t)o->number != traced->number)
			continue;
		reply = server_owed(t->server, o->number);
		if (reply != NULL)
			trace_complete(engine_state(t->engine), o->q, traced, o->settled, reply);
		server_answer(t->server, o->number);
		take_out(t, i);
		return;
	}
}

static void fail(struct traces *t, uint32_t i, const char *why)
{
	struct reply *reply = server_owed(t->server, t->open[i].number);

	if (reply != NULL) {
		reply_fini(reply);
		reply_init(reply);
		reply_refuse(reply, REPLY_NETWORK, "%s", why);
	}
	server_answer(t->server, t->open[i].number);
	take_out(t, i);
}

// The policy is marked in the turn of the question, when its changes are on their way.
static void try_to_send(struct traces *t, struct open_question *o, int64_t now_ns)
{
	if (!o->marked) {
		o->mark = dp_link_mark(t->link);
		o->marked = true;
	}
	o->settled = dp_link_reached(t->link, o->mark);
	if (!o->settled && now_ns < o->at_ns + TRACES_UNSETTLED_MS * (int64_t)MS)
		return;
	o->q->ask.number = (uint32_t)o->number;
	o->sent = dp_link_trace(t->link, &o->q->ask);
}

static void look(struct traces *t)
{
	int64_t now_ns = loop_uptime_ns();
	struct dp_link_stats link;

	dp_link_stats(t->link, &link);
	for (uint32_t i = 0; i < t->n_open;) {
		struct open_question *o = &t->open[i];

		if (!link.connected || link.sessions != t->sessions)
			fail(t, i, "the session with the dataplane is lost");
		else if (now_ns >= o->at_ns + TRACES_LATE_MS * (int64_t)MS)
			fail(t, i, "the dataplane has not answered within 2 s");
		else
			i++;
	}
	for (uint32_t i = 0; i < t->n_open; i++)
		if (!t->open[i].sent)
			try_to_send(t, &t->open[i], now_ns);
}

// A turn comes after it, so that answers go out and questions are sent behind the policy.
static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval again = {0, POLL_US};
	struct traces *t = ctx;

	(void)fd;
	(void)what;
	look(t);
	if (t->n_open > 0)
		event_add(t->timer, &again);
}

static int ask(void *ctx, struct trace_question *q, struct reply *reply)
{
	static const struct timeval soon = {0, POLL_US};
	struct traces *t = ctx;
	struct dp_link_stats link;

	dp_link_stats(t->link, &link);
	if (!link.connected || t->n_open == TRACES_MAX) {
		free(q);
		return link.connected
			       ? reply_refuse(reply, REPLY_LIMIT, "%d packets are being traced: ask again", TRACES_MAX)
			       : reply_refuse(reply, REPLY_NETWORK,
					      "there is no session with the dataplane; explain works without one");
	}
	t->sessions = link.sessions;
	reply->later = ++t->last_number;
	t->open[t->n_open++] = (struct open_question){.q = q, .number = t->last_number, .at_ns = loop_uptime_ns()};
	event_add(t->timer, &soon);
	return 0;
}

static int capture(void *ctx, const struct capture_question *q, struct reply *reply)
{
	struct traces *t = ctx;

	return captures_begin(t->captures, q, reply);
}

struct traces *traces_create(struct event_base *base, struct dp_link *link, struct engine *engine,
			     struct server *server)
{
	struct traces *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	*t = (struct traces){.link = link, .engine = engine, .server = server};
	t->timer = evtimer_new(base, on_timer, t);
	t->captures = captures_create(base, link, engine, server);
	if (t->timer == NULL || t->captures == NULL) {
		if (t->timer != NULL)
			event_free(t->timer);
		captures_destroy(t->captures);
		free(t);
		return NULL;
	}
	dp_link_on_traced(link, on_traced, t);
	engine_ask_dataplane(engine, &(struct dataplane_ask){ask, capture, t});
	return t;
}

void traces_destroy(struct traces *t)
{
	if (t == NULL)
		return;
	engine_ask_dataplane(t->engine, &(struct dataplane_ask){0});
	captures_destroy(t->captures);
	dp_link_on_traced(t->link, NULL, NULL);
	event_free(t->timer);
	while (t->n_open > 0)
		take_out(t, 0);
	free(t);
}

void traces_turn(struct traces *t)
{
	if (t->n_open > 0)
		look(t);
}
