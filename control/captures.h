// SPDX-License-Identifier: Apache-2.0
// The capture that is under way: one at a time. It ends, and is answered, with the number of frames asked for, the time
// asked for (since the dataplane has said that it captures), or CAPTURES_BYTES of frames; one that the dataplane does
// not answer, or leaves, is refused, or told as what came until then ("whole": false). Owner: traces. Thread: control
// only (libevent).
#pragma once
#include "capture.h"
#include "dp_link.h"

struct captures;
struct engine;
struct event_base;
struct server;

#define CAPTURES_BYTES (512 * 1024)

// All borrowed; answers go to the server's sessions. The link's captured hook is taken. NULL: out of memory.
struct captures *captures_create(struct event_base *base, struct dp_link *link, struct engine *engine,
				 struct server *server);
void captures_destroy(struct captures *c); // accepts NULL
// As capture_ask_fn.
int captures_begin(struct captures *c, const struct capture_question *q, struct reply *reply);
