// SPDX-License-Identifier: Apache-2.0
#include "captures.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "engine.h"
#include "loop.h"
#include "server.h"

#define LOOK_NS INT64_C(100000000)
#define LATE_NS INT64_C(5000000000) // the dataplane has not answered by then
#define LATE_WORDS "the dataplane has not answered within 5 s"
#define NUMBERS_FROM (UINT64_C(1) << 62) // answers of traces have numbers below

enum stage {
	STAGE_ASKED,  // the dataplane has not said that it captures
	STAGE_ON,     // it does
	STAGE_ENDING, // it has not said that it does no more
};

struct captures {
	struct dp_link *link;
	struct engine *engine;
	struct server *server;
	struct event *timer;
	uint64_t number; // of the answer; 0: no capture is under way
	uint64_t last_number, session;
	struct capture_question q;
	enum stage stage;
	int64_t end_ns; // of the stage, CLOCK_MONOTONIC
	uint32_t left, n_missed;
	size_t n_bytes;
	json_t *frames;
};

static void refuse_instead(struct reply *reply, enum reply_code code, const char *why)
{
	reply_fini(reply);
	reply_init(reply);
	reply_refuse(reply, code, "%s", why);
}

static void ask_to_stop(struct captures *c)
{
	const struct proto_capture stop = {.number = (uint32_t)c->number};

	dp_link_capture(c->link, &stop);
}

// failed: not by what was asked for. With frames that have come it is told, without any it is a refusal.
static void end(struct captures *c, const char *why, bool failed)
{
	struct reply *reply = server_owed(c->server, c->number);
	uint64_t number = c->number;
	char text[120];

	if (reply != NULL && !capture_allowed(engine_state(c->engine), &c->q)) {
		refuse_instead(reply, REPLY_NO_PRIVILEGE, "who asked may no longer see the traffic of this share");
	} else if (reply != NULL && failed && json_array_size(c->frames) == 0) {
		refuse_instead(reply, REPLY_NETWORK, why);
	} else if (reply != NULL) {
		snprintf(text, sizeof(text), "frames=%zu missed=%u ended=%s", json_array_size(c->frames), c->n_missed,
			 why);
		reply_line(reply, text);
		answer_put(reply, "frames", json_incref(c->frames));
		answer_put(reply, "missed", json_integer(c->n_missed));
		answer_put(reply, "ended", json_string(why));
		answer_put(reply, "whole", json_boolean(!failed));
	}
	json_decref(c->frames);
	c->frames = NULL;
	c->number = 0;
	server_answer(c->server, number);
}

static json_t *frame_json(const struct captures *c, const struct proto_captured *frame)
{
	const struct nib_port *port = nib_port_find(engine_state(c->engine)->nib, frame->port);
	char data[PROTO_CAPTURE_BYTES / 3 * 4 + 8];
	json_t *item = json_object();

	EVP_EncodeBlock((unsigned char *)data, frame->data, frame->n);
	json_object_set_new(item, "time_ns", json_integer(frame->time_ns));
	json_object_set_new(item, "port", c->q.sees_ports && port != NULL ? json_string(port->name) : json_null());
	json_object_set_new(item, "bytes", json_integer(frame->len_bytes));
	json_object_set_new(item, "data", json_string(data));
	return item;
}

static void enter(struct captures *c, enum stage stage, int64_t for_ns)
{
	c->stage = stage;
	c->end_ns = loop_uptime_ns() + for_ns;
}

// The dataplane does now what it was asked for last.
static void on_answered(struct captures *c)
{
	if (c->stage == STAGE_ASKED)
		enter(c, STAGE_ON, c->q.for_ns);
	else if (c->stage == STAGE_ENDING)
		end(c, "time", false);
}

static void on_captured(void *ctx, const struct proto_captured *frame)
{
	struct captures *c = ctx;

	if (c->number == 0 || frame->number != (uint32_t)c->number)
		return; // of one that has ended
	c->n_missed = frame->n_missed;
	if (frame->n == 0) {
		on_answered(c);
		return;
	}
	json_array_append_new(c->frames, frame_json(c, frame));
	c->n_bytes += frame->n;
	if (--c->left == 0) {
		end(c, "count", false);
	} else if (c->n_bytes + PROTO_CAPTURE_BYTES > CAPTURES_BYTES) {
		ask_to_stop(c);
		end(c, "size", false);
	}
}

static void look_again(struct captures *c, int64_t wait_ns)
{
	struct timeval tv;

	if (wait_ns > LOOK_NS)
		wait_ns = LOOK_NS;
	tv = (struct timeval){0, wait_ns > 0 ? wait_ns / 1000 : 0};
	event_add(c->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct captures *c = ctx;
	struct dp_link_stats link;
	int64_t left_ns = c->end_ns - loop_uptime_ns();

	(void)fd;
	(void)what;
	if (c->number == 0)
		return;
	dp_link_stats(c->link, &link);
	if (!link.connected || link.sessions != c->session) {
		end(c, "the session with the dataplane is lost", true);
	} else if (server_owed(c->server, c->number) == NULL || !capture_allowed(engine_state(c->engine), &c->q)) {
		ask_to_stop(c);
		end(c, "authority", true);
	} else if (left_ns <= 0 && c->stage == STAGE_ON) {
		ask_to_stop(c);
		enter(c, STAGE_ENDING, LATE_NS);
		look_again(c, LATE_NS);
	} else if (left_ns <= 0) {
		ask_to_stop(c);
		end(c, LATE_WORDS, true);
	} else {
		look_again(c, left_ns);
	}
}

int captures_begin(struct captures *c, const struct capture_question *q, struct reply *reply)
{
	struct dp_link_stats link;
	json_t *frames = json_array();

	dp_link_stats(c->link, &link);
	if (c->number != 0 || !link.connected || frames == NULL) {
		json_decref(frames);
		return c->number != 0 ? reply_refuse(reply, REPLY_LIMIT, "another capture is under way: ask again")
				      : reply_refuse(reply, REPLY_NETWORK, "there is no session with the dataplane");
	}
	c->q = *q;
	c->number = NUMBERS_FROM + ++c->last_number;
	c->q.ask.number = (uint32_t)c->number;
	c->session = link.sessions;
	c->left = q->ask.n_frames;
	c->n_missed = 0;
	c->n_bytes = 0;
	c->frames = frames;
	enter(c, STAGE_ASKED, LATE_NS);
	dp_link_capture(c->link, &c->q.ask);
	reply->later = c->number;
	look_again(c, LATE_NS);
	return 0;
}

struct captures *captures_create(struct event_base *base, struct dp_link *link, struct engine *engine,
				 struct server *server)
{
	struct captures *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = (struct captures){.link = link, .engine = engine, .server = server};
	c->timer = evtimer_new(base, on_timer, c);
	if (c->timer == NULL) {
		free(c);
		return NULL;
	}
	dp_link_on_captured(link, on_captured, c);
	return c;
}

void captures_destroy(struct captures *c)
{
	if (c == NULL)
		return;
	dp_link_on_captured(c->link, NULL, NULL);
	event_free(c->timer);
	json_decref(c->frames);
	free(c);
}
