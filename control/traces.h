// SPDX-License-Identifier: Apache-2.0
// Questions to the dataplane that are under way: each is sent when what was accepted before it is in force, or after
// some time anyway, and answered when the dataplane does, at the latest after TRACES_LATE_MS.
// Captures (captures.h) are its, too. Owner: the controller. Thread: control only (libevent).
#pragma once
#include "dp_link.h"

struct engine;
struct event_base;
struct server;
struct traces;

#define TRACES_MAX 32           // under way; more are refused
#define TRACES_UNSETTLED_MS 300 // how long a question waits for the policy
#define TRACES_LATE_MS 2000     // and for its answer, from the beginning

// All borrowed; answers go to the server's sessions. The link's traced hook and the engine's questions are taken. NULL:
// out of memory.
struct traces *traces_create(struct event_base *base, struct dp_link *link, struct engine *engine,
			     struct server *server);
void traces_destroy(struct traces *t); // accepts NULL; before what it was created with
// Once a turn, behind the changes of policy: sends what may be sent.
void traces_turn(struct traces *t);
