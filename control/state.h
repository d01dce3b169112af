// SPDX-License-Identifier: Apache-2.0
// All that the engine remembers. Only engine.c owns one; request, query and policy work on it.
// Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "delta.h"
#include "demand.h"
#include "event.h"
#include "hint.h"
#include "nib.h"
#include "promise.h"
#include "request.h"
#include "share.h"
#include "start_queue.h"
#include "traffic.h"
#include "user.h"

struct network_ask {
	int (*fn)(void *ctx, const struct demand *demand, struct err *err); // NULL: everything fits
	void *ctx;
};

struct capture_question;
struct trace_question;

struct dataplane_ask {                                                                    // trace.h
	int (*fn)(void *ctx, struct trace_question *q, struct reply *reply);              // NULL: nobody can be asked
	int (*capture)(void *ctx, const struct capture_question *q, struct reply *reply); // capture.h; likewise
	void *ctx;
};

struct state {
	struct nib *nib; // borrowed
	bool offline;
	bool drop_fragments; // by the dataplane, whatever the policy
	int64_t now_ns;      // never backwards
	uint64_t policy_gen;
	char network_why[160]; // why nothing more can be put in force now; empty: it can
	struct users users;
	struct share_tree shares;
	struct request_book requests;
	struct start_queue starts;
	struct timeline *metered; // metered.h; NULL: any number of reservations and limits may be active at once
	bool limits_metered;      // there is to be one
	struct hint_list hints;   // realised
	struct traffic traffic;
	struct promises promises;
	struct request_list naming_users; // requests whose groups test users: what they match depends on bindings
	struct delta delta;
	uint64_t paths_gone;      // root share's n_paths_gone at the last route_review
	uint32_t n_suspended;     // at its end
	uint32_t n_unkept;        // requests that the network of switches cannot keep now
	struct event_sink events; // fn NULL: nobody listens
	struct {
		void (*fn)(void *ctx, const char *user); // NULL: nobody asks
		void *ctx;
	} user_dropped;
	struct network_ask ask_network;
	struct dataplane_ask ask_dataplane;
	uint32_t max_open; // requests of one user that are not over; 0: any number
};

static inline bool state_registered(const struct state *s, const struct principal *speaker)
{
	return users_find(&s->users, speaker->user) != NULL;
}

// Into zeros, or into one after state_fini: the root share and the root user at now_ns, nothing else. What was set up
// (nib, offline, listeners, limits, what the network says) is kept. 0 or -ENOMEM.
int state_init(struct state *s, int64_t now_ns);
void state_fini(struct state *s); // also half-built

struct engine;
// A look inside, for tests. Valid until the next call of the engine.
const struct state *engine_state(const struct engine *e);
