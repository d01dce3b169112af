// SPDX-License-Identifier: Apache-2.0
// The dataplane's committed policy: rows named by content, nodes by share number, meters by request number; past the
// session that sent them. Changes are staged, then committed as a whole or not at all (dataplane/proto.h, L1-L6). A
// commit can still be undone until it is settled, because what it asks for may turn out not to be buildable.
// Owner: the link thread. Time: ns since the epoch, an argument.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto.h"

#define TABLE_ROWS_MAX (1U << 18)
#define TABLE_NODES_MAX (1U << 17)
#define TABLE_METERS_MAX TABLE_ROWS_MAX // those that start later included
#define TABLE_STAGED_MAX (1U << 20)

struct table;

struct table_stats {
	uint32_t n_rows, n_nodes, n_meters, n_staged;
	uint32_t n_slots;      // of both hash tables
	uint64_t unknown_dels; // ROW_DEL of a row that was not there
	uint64_t expired;      // rows that ended by themselves, those that came too late included
};

struct table *table_create(struct err *err);
void table_destroy(struct table *t); // accepts NULL

// Notes one change: ROW_ADD, ROW_DEL, NODE_SET, NODE_DEL, METER_SET or METER_DEL. 0, -ENOMEM, -E2BIG; nothing else is
// lost then.
int table_stage(struct table *t, const struct proto_msg *change, struct err *err);
void table_unstage(struct table *t); // forgets what is staged
// Applies what is staged, in order, and empties the stage. 0; on error nothing has changed: -EEXIST a row twice,
// -ENOENT an unknown node or meter deleted or named, -EINVAL a node moved or not as deep as its parent asks, or a row
// not as its node, -E2BIG, -ENOMEM.
int table_commit(struct table *t, int64_t now_ns, struct err *err);
void table_settle(struct table *t); // commits so far are final
void table_undo(struct table *t);   // back to the last table_settle; the stage is kept

enum table_change_kind {
	TABLE_ROW_ADDED,
	TABLE_ROW_DELETED,
	TABLE_NODE,  // set or deleted: what it is now says table_node
	TABLE_METER, // likewise table_meter
};

struct table_change {
	enum table_change_kind kind;
	uint64_t key;               // of the row; share or request number
	const struct part_row *row; // valid until table_settle or table_undo
};

// What commits since the last table_settle changed, in order: a row may come and go again.
void table_each_change(const struct table *t, void (*fn)(void *ctx, const struct table_change *change), void *ctx);

// NULL: not there. Valid until the next change.
const struct part_row *table_row(const struct table *t, uint64_t key);
const struct proto_node *table_node(const struct table *t, uint32_t number);
const struct proto_meter *table_meter(const struct table *t, uint64_t id);

// Takes out a row that is over, if it is there. Only without unsettled commits.
void table_drop(struct table *t, uint64_t key);
// Drops rows whose end is at or before now_ns. Only without unsettled commits. Returns how many. fn (may be NULL) is
// told each before.
uint32_t table_expire(struct table *t, int64_t now_ns, void (*fn)(void *ctx, uint64_t key, const struct part_row *row),
		      void *ctx);

// Calls fn for each row, node and meter, in no order; fn must not change the table.
void table_each_row(const struct table *t, void (*fn)(void *ctx, uint64_t key, const struct part_row *row), void *ctx);
void table_each_node(const struct table *t, void (*fn)(void *ctx, const struct proto_node *node), void *ctx);
void table_each_meter(const struct table *t, void (*fn)(void *ctx, const struct proto_meter *meter), void *ctx);
void table_stats(const struct table *t, struct table_stats *out);
