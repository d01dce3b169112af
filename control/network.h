// SPDX-License-Identifier: Apache-2.0
// What the network of switches can keep of accepted requests, and of those asked for. Thread: control only.
#pragma once
#include "demand.h"
#include "reply.h"
#include "statement.h"

struct state;

// Whether switches have the paths and the capacity for one more; asked has all but its kind, its flows may name users
// and stay the caller's. 0 (with a `note` where a limit or a rate is not kept everywhere), or -1 refused.
int network_check(const struct state *s, enum verb verb, const struct demand *asked, struct reply *reply);
// why: nothing more can be put in force; NULL: it can.
void network_set(struct state *s, const char *why);
// The network cannot keep a request, for this reason; NULL: it can again. Its holder is told, once.
void network_kept(struct state *s, uint64_t id, const char *why);
// What was said so of all requests, for the state that takes the place of this one, which then has it, too (nobody is
// told, what is not there any more is left out, and saved is freed). NULL: out of memory.
struct network_saved;
struct network_saved *network_save(const struct state *s);
void network_load(struct state *s, struct network_saved *saved);
// Holders of requests that are about this very address are told.
struct addr_contest;
void network_contested(const struct state *s, const struct addr_contest *c);
