// SPDX-License-Identifier: Apache-2.0
// What a dataplane should hold, what it holds, and the difference as messages. No sockets, no clock.
// Owner: dp_link. Thread: control only. Time: ns since the epoch, an argument.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/proto.h"
#include "hft/flowtab.h"

struct link_row { // of either side
	uint64_t key;
	int64_t end_ns;   // INT64_MAX: forever, or not known
	uint32_t row_idx; // wanted: of want_rows
};

struct link_state {
	struct flowtab want_rows;
	struct link_row *want, *have; // ascending by key, distinct once sorted
	uint32_t n_want, n_have, cap_have;
	struct proto_meter *want_meters, *have_meters; // ascending by id, distinct
	uint32_t n_want_meters, n_have_meters, cap_have_meters;
};

struct link_diff_stats {
	uint64_t rows_added, rows_deleted, meters_set, meters_deleted;
};

void link_state_init(struct link_state *s);
void link_state_fini(struct link_state *s);

// Replaces what is wanted (copied). -EINVAL: a meter without a rate; -ENOMEM. Nothing has changed then.
int link_state_want(struct link_state *s, const struct flowtab *table, const struct proto_meter *meters,
		    uint32_t n_meters, struct err *err);

// What the dataplane says it holds: forget, add each, then sort. 0 or -ENOMEM.
void link_state_forget(struct link_state *s);
int link_state_have_row(struct link_state *s, uint64_t key);
int link_state_have_meter(struct link_state *s, const struct proto_meter *meter);
void link_state_have_end(struct link_state *s);

// Calls send for every change that makes have into want, in an order in which they can be applied, and takes them as
// done. Rows over at now_ns are neither wanted nor there. -ENOMEM: nothing was sent.
int link_state_diff(struct link_state *s, int64_t now_ns, void (*send)(void *ctx, const struct proto_msg *msg),
		    void *ctx, struct link_diff_stats *stats);
