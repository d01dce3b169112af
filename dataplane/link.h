// SPDX-License-Identifier: Apache-2.0
// The dataplane's end of the link: listens for the controller, applies its changes to the table, answers commits,
// reports ports and counters (dataplane/proto.h). A session is one connection; a new one replaces the old. Owner and
// only thread: the link thread. Never blocks. Sessions come and go by themselves and are logged.
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto.h"
#include "table.h"

#define LINK_POLLFDS 2
#define LINK_PORTS_MAX 64

struct link;

struct link_conf {
	const char *path; // Unix socket; a stale one is replaced
	uint32_t uid;     // the OS user that may connect (besides root); 0: who we are
	uint64_t boot_id;
	struct table *table; // borrowed
};

// NULL with err: -EADDRINUSE when somebody listens there, -EEXIST when path is something else, or why bind failed.
struct link *link_create(const struct link_conf *conf, struct err *err);
void link_destroy(struct link *link); // accepts NULL; removes the socket

// What to wait for; pass the same array to link_turn after ppoll.
void link_poll(const struct link *link, struct pollfd fds[LINK_POLLFDS]);
// Reads what has come, up to a bound, and applies whole transactions to the table. Returns the number of commits
// applied. If it is not 0, the table's commits are not settled: the caller builds, then calls link_built and
// table_settle, or link_failed and table_undo, before the next link_turn.
unsigned int link_turn(struct link *link, const struct pollfd fds[LINK_POLLFDS], int64_t now_ns);
// Sends what waits to be sent, and reads nothing: in the place of link_turn while what it has applied is built.
void link_send(struct link *link);
// The commits applied last are part of snapshot gen (not 0).
void link_built(struct link *link, uint32_t gen);
// They are not: answered with COMMIT_FAILED.
void link_failed(struct link *link, const char *why);
// The workers have snapshot gen: answers IN_FORCE for all commits it holds.
void link_adopted(struct link *link, uint32_t gen, int64_t now_ns);
// The last snapshot a commit waits for, 0: none waits.
uint32_t link_awaits_gen(const struct link *link);

// Remembered for later sessions (not if its name is empty: it is forgotten), sent now when something changed.
void link_port(struct link *link, const struct proto_port *port);
// The number of the session that is up, its HELLO answered; 0: there is none.
uint64_t link_session(const struct link *link);
bool link_is_connected(const struct link *link); // greeted or not
// COUNTERS, ROW_COUNTS, QUEUES, HOST, TRACED or CAPTURED, to the session that is up, if any: at the next link_turn, or
// when it is much.
void link_tell(struct link *link, const struct proto_msg *msg);
// The next question that came and has not been handed out; false: none. The caller answers it with TRACED.
bool link_next_trace(struct link *link, struct proto_trace *out);
// What is to be captured from now on, if that has changed; n_frames 0 when the session that asked is over.
bool link_next_capture(struct link *link, struct proto_capture *out);
