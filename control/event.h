// SPDX-License-Identifier: Apache-2.0
// What happens to accepted requests without their holder asking (SPEC 7): told as JSON objects,
// {"event":"started"|"ended"|"overridden","id":17,"verb":"deny","share":"net0","at":"160",...}. Started is for requests
// that began later than they were accepted; ended has "why": "over", "cancelled", or "conflict" (a hint that gave way
// to the request "by"); overridden has "by" (the number of the request that now decides) and "groups" (where). Thread:
// control only.
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct request;
struct state;

// Told in the order in which things happen, and while they do: keep what you need, call nothing of the engine.
struct event_sink {
	bool (*wants)(void *ctx, const char *user); // events of this user's requests; NULL: anybody's
	void (*fn)(void *ctx, const char *user, const json_t *event);
	void *ctx;
};

void event_started(struct state *s, const struct request *r);
void event_ended(struct state *s, const struct request *r); // about to be taken out
// A request has been accepted: tells the holders of those that lose packets to it which they had until now.
void event_overridden(struct state *s, const struct request *by);
