// SPDX-License-Identifier: Apache-2.0
// Queues on Open vSwitch by its database (OVSDB management protocol, RFC 7047; tables of ovs-vswitchd.conf.db(5)).
// A client without sockets: text comes in and goes out by functions. It follows the tables that it needs, and as
// long as they differ from what is wanted it sends one transaction at a time. Rows of ours carry the mark
// external_ids:owner=pane; those that are not wanted are deleted, also what an earlier life has left. What others have
// made is never changed: a port that has somebody's QoS keeps it, and is noted.
// Owner: the caller. Thread: control only. now_ns: monotonic.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"

struct ovsdb;

struct ovsdb_queue {
	uint64_t dpid, request, min_bps, port_bps; // port_bps 0: not known
	uint32_t port, queue;                      // OpenFlow's numbers; queue is not 0
	uint64_t max_bps;                          // of a limit, which promises nothing (min_bps 0); 0: none
};

struct ovsdb_stats {
	uint64_t transactions, failures;
	uint32_t n_queues; // of ours there are, by the last that was heard
	uint64_t n_updates;
};

struct ovsdb_ops {
	void (*send)(void *ctx, const char *text, size_t len); // copied by the callee
	void (*note)(void *ctx, const char *text);             // may be NULL
	void *ctx;
};

struct ovsdb *ovsdb_create(const struct ovsdb_ops *ops); // NULL: out of memory
void ovsdb_destroy(struct ovsdb *o);                     // accepts NULL
// A connection is there, or gone: everything that was known of the database is forgotten, what is wanted is not.
void ovsdb_connected(struct ovsdb *o);
void ovsdb_gone(struct ovsdb *o);
#define OVSDB_IDLE_NS 5000000000LL  // silence before it is asked whether it is there
#define OVSDB_DEAD_NS 15000000000LL // silence that ends the connection
#define OVSDB_OWED_NS 60000000000LL // an answer that is owed for so long does, too
#define OVSDB_ROWS_MAX (1 << 18)    // of all tables that are followed

// Keeps alive; to be called every second or so. 0, or -ETIMEDOUT with err: close the connection.
int ovsdb_alive(struct ovsdb *o, int64_t now_ns, struct err *err);
// Text as it comes, cut anywhere. 0, or -EPROTO, -ENOMEM, -E2BIG with err: close the connection.
int ovsdb_input(struct ovsdb *o, const char *text, size_t len, int64_t now_ns, struct err *err);

// All queues that should be, also on switches of other databases. A switch whose session is down goes on by the entries
// that it has, and so by their queues: the rows of a bridge are changed only where what it needs is known.
struct ovsdb_wish {
	const struct ovsdb_queue *queues;
	uint32_t n_queues;
	bool known; // of all switches but these, or (false) of none but these
	const uint64_t *but;
	uint32_t n_but;
};

// Copied. Until the first call nothing is changed. 0 or -ENOMEM (what was wanted stays).
int ovsdb_want(struct ovsdb *o, const struct ovsdb_wish *wish, int64_t now_ns);
// Tries again what was refused, when it is time.
void ovsdb_turn(struct ovsdb *o, int64_t now_ns);
// Calls fn for each bridge. Open vSwitch's datapath in user space does not look at what queue a frame is to wait in.
void ovsdb_bridges(const struct ovsdb *o, void (*fn)(void *ctx, uint64_t dpid, bool ignores_queues), void *ctx);
void ovsdb_stats(const struct ovsdb *o, struct ovsdb_stats *out);
