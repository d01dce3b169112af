// SPDX-License-Identifier: Apache-2.0
// The policy engine: users, shares, requests and the statements that read and change them. Everything the controller
// decides is decided here, by one writer, from (state, speaker, statement, now). No sockets, no clock, no disk.
// Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"
#include "delta.h"
#include "demand.h"
#include "event.h"
#include "hft/err.h"
#include "hft/tree.h"
#include "nib.h"
#include "reply.h"
#include "speaker.h"
#include "trace.h"

struct engine;

struct engine_conf {
	bool offline;        // check/script mode: clock starts at 0, Tick is a statement, no network
	bool drop_fragments; // what the dataplane does, for explain
};

// nib is borrowed and must outlive the engine. NULL when out of memory.
struct engine *engine_create(const struct engine_conf *conf, struct nib *nib, int64_t now_ns);
void engine_destroy(struct engine *e);

// Executes one statement (without or with its final dot) for the speaker. Fills reply (initialised by the caller with
// reply_init): accepted or refused with code and sentence, and the answer's items. A refusal changes nothing.
// reply->mutated says that state changed: the caller journals (speaker, statement, now_ns) before it answers.
// now_ns never runs backwards inside the engine: an earlier value is taken as the latest seen.
void engine_exec(struct engine *e, const struct principal *speaker, const char *statement, size_t len, int64_t now_ns,
		 struct reply *reply);

// Starts and ends what has started and ended. Called once a turn before statements.
void engine_advance(struct engine *e, int64_t now_ns);
// The next instant after now at which engine_advance has something to do; INT64_MAX: never.
int64_t engine_next_ns(const struct engine *e);
int64_t engine_now_ns(const struct engine *e); // offline mode: the clock that Tick moves

// From now on events go to the sink (copied). Not before what happened long ago has been replayed.
void engine_listen(struct engine *e, const struct event_sink *sink);
// Called inside engine_exec for each user who is dropped: the sessions of that user are to end. Nothing of the engine
// may be called from it.
void engine_on_user_dropped(struct engine *e, void (*fn)(void *ctx, const char *user), void *ctx);
// From now on a user other than root may have so many requests that are not over; 0: any number.
void engine_limit_requests(struct engine *e, uint32_t max_open);

// Changes whenever the policy tree that engine_policy would build changes other than by passing time.
uint64_t engine_policy_gen(const struct engine *e);
// The policy tree of all accepted requests not over at now_ns, users replaced by what the NIB binds to them (a request
// of an unbound user has no boxes and is left out). tree is initialised by the caller. 0, -ENOMEM or -E2BIG.
// demands (initialised by the caller, or NULL): also what the requests ask beside access.
int engine_policy_all(const struct engine *e, int64_t now_ns, struct tree *tree, struct demands *demands);
static inline int engine_policy(const struct engine *e, int64_t now_ns, struct tree *tree)
{
	return engine_policy_all(e, now_ns, tree, NULL);
}

// What has changed since the call before this one (the first time: all). *out is overwritten; delta_fini frees it.
void engine_changes(struct engine *e, struct delta *out);
bool engine_changed(const struct engine *e); // engine_changes would find something

// why: the accepted policy cannot be put in force as it is; new requests are refused (network) with that sentence until
// NULL says that it can. Cancelling and expiry go on: they are the way out.
void engine_set_network(struct engine *e, const char *why);

// Asks whether the network can keep one more request, last of all checks; 0, or -1 with the reason: it is refused
// (network). fn may call nothing of the engine.
typedef int engine_fit_fn(void *ctx, const struct demand *demand, struct err *err);
void engine_ask_network(struct engine *e, engine_fit_fn *fn, void *ctx);
// Who asks the dataplane for frames (capture.h), and what it does with a packet (trace.h); its answers are for
// trace_complete with engine_state.
void engine_ask_dataplane(struct engine *e, const struct dataplane_ask *ask);
// From now on no more reservations and limits may be active at once than one dataplane takes (metered.h). Not before
// what was accepted long ago has been replayed. 0 or -ENOMEM.
int engine_limit_metered(struct engine *e);
// The network cannot keep a request, for this reason; NULL: it can again. Its holder is told, once.
void engine_kept(struct engine *e, uint64_t id, const char *why);

// The dataplane's counters of a request stand at so many packets and bytes (traffic.h). now_ns: as engine_advance's.
// The dataplane begins to count, if it did not yet: older requests have met packets that nobody knows of.
void engine_count_begins(struct engine *e, int64_t now_ns);
void engine_count(struct engine *e, uint64_t id, uint64_t packets, uint64_t bytes, int64_t now_ns);
// The dataplane has told all queues of this port once more (nib_queues): holders hear of promises not kept.
void engine_queues_told(struct engine *e, uint16_t port);

// A number that was given out in an earlier life is not given out again: the next request gets the one after it.
void engine_skip_number(struct engine *e);

// All that the engine remembers, for another one: see checkpoint.h. Load: into one that engine_create has just made.
int engine_save(const struct engine *e, struct checkpoint *out);
int engine_load(struct engine *e, const uint8_t *bytes, size_t n, struct err *err);
// The engine's time goes back to now_ns, for a clock that was wrong: what is over stays over, token buckets are full,
// what has been counted of traffic is forgotten, all may have changed. -EAGAIN: the reservations do not all fit from
// now_ns on (those of the time before an earlier setting back may stand in the way), the time stays; -ENOMEM: the
// engine is good for nothing but being destroyed.
int engine_set_back(struct engine *e, int64_t now_ns, struct err *err);
size_t engine_n_requests(const struct engine *e); // not over

bool engine_user_exists(const struct engine *e, const char *name);
