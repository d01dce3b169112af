// SPDX-License-Identifier: Apache-2.0
// What a dataplane should hold, what it holds, and the difference as messages: costs as much as there are changes, but
// for the comparison at the start of a session. No sockets, no clock.
// Owner: dp_link; realize says what is wanted. Thread: control only. Time: ns since the epoch, an argument.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dataplane/proto.h"
#include "hft/id_map.h"

struct link_item;
STAILQ_HEAD(link_items, link_item);

struct link_state {
	struct id_map rows, nodes, meters; // of struct link_item, wanted or there
	struct link_items changed;         // those in which wanted and there may differ
	uint32_t n_rows_there, n_meters_there;
};

struct link_diff_stats {
	uint64_t rows_added, rows_deleted, nodes_set, nodes_deleted, meters_set, meters_deleted;
};

void link_state_init(struct link_state *s);
void link_state_fini(struct link_state *s);

// Wanted from now on (copied; with other values than before: they change). 0 or -ENOMEM: nothing has changed then.
int link_state_want_row(struct link_state *s, const struct part_row *row);
int link_state_want_node(struct link_state *s, const struct proto_node *node);
int link_state_want_meter(struct link_state *s, const struct proto_meter *meter);
// A meter that is wanted gets so large a part of its rate from now on; 1: all of it. true: it had another.
bool link_state_part_meter(struct link_state *s, uint64_t id, uint32_t parts);
void link_state_drop_row(struct link_state *s, uint64_t key); // no longer wanted, if it was
void link_state_drop_node(struct link_state *s, uint32_t number);
void link_state_drop_meter(struct link_state *s, uint64_t id);
void link_state_drop_all(struct link_state *s);

// What the dataplane says it holds: forget, then add each. 0 or -ENOMEM.
void link_state_forget(struct link_state *s);
int link_state_have_row(struct link_state *s, const struct proto_have_row *row);
int link_state_have_node(struct link_state *s, const struct proto_node *node);
int link_state_have_meter(struct link_state *s, const struct proto_meter *meter);
// The categories that a row has at the dataplane; false: it is not there.
bool link_state_categories(const struct link_state *s, uint64_t key, uint8_t *access_category, uint8_t *meter_category);

// Calls send for every change that makes what is there what is wanted, in an order in which they can be applied, and
// takes them as done. Rows over at now_ns are neither sent nor there.
void link_state_diff(struct link_state *s, int64_t now_ns, void (*send)(void *ctx, const struct proto_msg *msg),
		     void *ctx, struct link_diff_stats *stats);
