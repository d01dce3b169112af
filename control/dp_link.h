// SPDX-License-Identifier: Apache-2.0
// The controller's session with a dataplane: connects (and reconnects with back-off), learns what is in force there,
// sends only differences, and reports what came into force. Implements the controller side of dataplane/proto.h.
// Thread: control only (libevent).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "nib.h"

struct dp_link;
struct event_base;
struct link_state;
struct proto_msg;
struct proto_capture;
struct proto_captured;
struct proto_trace;
struct proto_traced;

#define DP_LINK_BUSY_NS 5000000000LL // that a change may be under way before new requests are refused

struct dp_link_stats {
	bool connected; // and compared: the dataplane's table is known
	uint64_t sessions, commits, failed_commits, rows_added, rows_deleted;
	uint64_t nodes_set, nodes_deleted, meters_set, meters_deleted;
	uint64_t txn_sent, txn_in_force; // transaction numbers
	int64_t waits_ns;                // how long the one under way is; 0: none is
	int64_t in_force_ns;             // when the workers had the last one, ns since the epoch
};

// path: the dataplane's Unix socket; "": there is no dataplane, and none is looked for. Learnt ports, counters and
// hosts go to nib (borrowed). Connects from the loop; what goes wrong later is logged and tried again. NULL with err:
// -ENOMEM, -ENAMETOOLONG.
struct dp_link *dp_link_create(struct event_base *base, const char *path, struct nib *nib, struct err *err);
void dp_link_destroy(struct dp_link *link); // accepts NULL

// Called from the loop.
struct dp_link_hooks {
	// A session is up and what the dataplane holds is known (link_state): before the difference is sent.
	void (*compared)(void *ctx);
	void (*told)(void *ctx, const struct proto_msg *msg); // ROW_COUNTS or the end of a round of QUEUES came
	void *ctx;
};
void dp_link_hook(struct dp_link *link, const struct dp_link_hooks *hooks); // copied; a NULL hook is left out

// What is wanted of the dataplane: changed by the caller, sent by dp_link_push in one transaction, now or when the
// session is up and the transaction before is answered. Before the first push nothing is wanted, not even nothing.
struct link_state *dp_link_state(struct dp_link *link);
void dp_link_push(struct dp_link *link);
// Of the rate of a meter (link_state_part_meter); sent by the next dp_link_push_parts, which sends nothing else that
// would not be sent anyway.
void dp_link_part_meter(struct dp_link *link, uint64_t id, uint32_t parts);
void dp_link_push_parts(struct dp_link *link);
void dp_link_hold(struct dp_link *link); // what is wanted is not known at present: nothing is sent until the next push
// What is wanted now is in force when the link has reached this mark; never, when it fails.
uint64_t dp_link_mark(const struct dp_link *link);
bool dp_link_reached(const struct dp_link *link, uint64_t mark);
// Asks the dataplane; the answer comes to fn, from the loop. false: there is no session.
bool dp_link_trace(struct dp_link *link, const struct proto_trace *trace);
bool dp_link_capture(struct dp_link *link, const struct proto_capture *capture);
void dp_link_on_captured(struct dp_link *link, void (*fn)(void *ctx, const struct proto_captured *captured), void *ctx);
void dp_link_on_traced(struct dp_link *link, void (*fn)(void *ctx, const struct proto_traced *traced), void *ctx);
void dp_link_stats(const struct dp_link *link, struct dp_link_stats *out);
