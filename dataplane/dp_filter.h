// SPDX-License-Identifier: Apache-2.0
// What the policy denies whatever else it says is dropped by XDP programs or NICs, too (decision 0016).
// The worker denies the same, so whatever finds no room there is only not saved.
// Owner and only thread: the link thread. Time: ns since the epoch, an argument.
#pragma once
#include <stdint.h>

#include "nic-config/drop_filter.h"
#include "table.h"

struct dp_filter;

struct dp_filter *dp_filter_create(void);    // NULL: out of memory
void dp_filter_destroy(struct dp_filter *f); // accepts NULL; closes the ports' filters
// From now on; filter is f's. Rows that are there go into it. 0; -ENOSPC: too many ports.
int dp_filter_port_add(struct dp_filter *f, uint16_t port, struct drop_filter *filter);
// Nothing if it is not there. A rule that the device did not give back goes with it.
void dp_filter_port_del(struct dp_filter *f, uint16_t port);

// The table's commits that are not settled. Before they are published: what goes is no longer dropped.
void dp_filter_leave(struct dp_filter *f, const struct table *table);
// After they are published: what has come is.
void dp_filter_enter(struct dp_filter *f, const struct table *table, int64_t now_ns);
// The row is over: for table_expire.
void dp_filter_expired(struct dp_filter *f, uint64_t key);
// Rows whose start has come; and rules that a device did not give back when it was told to: it is told again.
void dp_filter_turn(struct dp_filter *f, int64_t now_ns);

// Tells fn what was dropped for which request since the last time, a bounded number of rows a call, in turns.
void dp_filter_counts(struct dp_filter *f, void (*fn)(void *ctx, uint64_t id, const struct xdp_count *more), void *ctx);
// Packets that a port has dropped by itself since it has this number, whatever devices it had.
struct dp_dropped {
	uint64_t denied;   // by rules
	uint64_t unserved; // they came by receive queues that nobody serves
};
void dp_filter_dropped(const struct dp_filter *f, uint16_t port, struct dp_dropped *out);
void dp_filter_port_forget(struct dp_filter *f, uint16_t port); // another port may have this number
