// SPDX-License-Identifier: Apache-2.0
// What happens to accepted requests without their holder asking (SPEC 7): told as JSON objects,
// {"event":"started","id":17,"verb":"deny","share":"net0","at":"160",...}. Members beside those:
//   started     of requests that began later than they were accepted
//   ended       "why": "over", "cancelled", or "conflict": a hint that gave way to the request "by"
//   overridden  "by": the number of a request that now decides, "groups": where and when; no groups: somewhere
//   restored    the request decides again, "groups": where and when; "by": the number of the one request that came or
//   went
// What time alone brings is in "groups" when it becomes known: the natural end of a request restores nothing more.
//   suspended   "why", "avoid": the number of the request that must avoid what this one goes through (SPEC 5)
//               or only "why": the network cannot keep it now
//   resumed
//   degraded    a reservation: "port": more is promised there than it can carry, "rate", "received": what it got
//   recovered   that is over at this "port"
//   contested   an "address" of its flow group: "holder" had it, "by" says so, too (Ethernet addresses of hosts)
// Thread: control only.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct addr_contest;
struct match;
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
void event_suspended(struct state *s, const struct request *r, uint64_t avoid);
void event_unkept(struct state *s, const struct request *r, const char *why); // suspended by the network
void event_resumed(struct state *s, const struct request *r);
void event_degraded(struct state *s, const struct request *r, const char *port, uint64_t received_bps);
void event_recovered(struct state *s, const struct request *r, const char *port);
// Two hosts claim an address that r is about.
void event_contested(const struct state *s, const struct request *r, const struct addr_contest *c);
bool event_heard(const struct state *s, const struct request *r); // somebody hears of it
// Packets of r have another decider than was known: "overridden" or "restored". by: 0 when no request did it.
void event_shifted(struct state *s, const struct request *r, const char *what, uint64_t by, const struct match *groups);
