// SPDX-License-Identifier: Apache-2.0
// Every change leaves an undo entry, whose memory is taken before the change: undoing cannot fail.
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table_priv.h"

// --- one change, with its undo entry

static int undo_reserve(struct table *t)
{
	uint32_t cap = t->cap_undo == 0 ? 64 : t->cap_undo * 2;
	struct undo *undo;

	if (t->n_undo < t->cap_undo)
		return 0;
	undo = reallocarray(t->undo, cap, sizeof(*undo));
	if (undo == NULL)
		return -ENOMEM;
	t->undo = undo;
	t->cap_undo = cap;
	return 0;
}

static void row_in(struct table *t, uint64_t key, struct part_row *row)
{
	table_rows_put(t, key, row);
	table_name(t, row, 1);
}

static struct part_row *row_out(struct table *t, uint64_t key)
{
	struct part_row *row = table_rows_take(t, table_row_slot(t, key));

	table_name(t, row, -1);
	return row;
}

static int row_add(struct table *t, struct staged *change, int64_t now_ns, struct err *err)
{
	if (box_end_ns(&change->row->box) <= now_ns) {
		t->expired++;
		return 0;
	}
	if (t->rows[table_row_slot(t, change->key)].row != NULL)
		return err_set(err, EEXIST, "row %016llx is there already", (unsigned long long)change->key);
	if (t->n_rows >= TABLE_ROWS_MAX)
		return err_set(err, E2BIG, "more than %u rows", TABLE_ROWS_MAX);
	row_in(t, change->key, change->row);
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_ROW_ADD, .key = change->key, .row = change->row};
	change->row = NULL;
	return 0;
}

static int row_del(struct table *t, uint64_t key)
{
	if (t->rows[table_row_slot(t, key)].row == NULL) {
		t->unknown_dels++;
		return 0;
	}
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_ROW_DEL, .key = key, .row = row_out(t, key)};
	return 0;
}

static int value_change(struct table *t, enum entry_kind kind, const struct value *value, struct err *err)
{
	const struct entry *e = table_entry_slot(t, kind, value->id);
	struct value before = e->kind != ENTRY_FREE ? e->value : (struct value){.id = value->id};
	const char *what = kind == ENTRY_NODE ? "node" : "meter";
	uint32_t n = kind == ENTRY_NODE ? t->n_nodes : t->n_meters;
	uint32_t n_max = kind == ENTRY_NODE ? TABLE_NODES_MAX : TABLE_METERS_MAX;

	if (value->kind == ENTRY_FREE && before.kind == ENTRY_FREE)
		return err_set(err, ENOENT, "%s %llu is not there", what, (unsigned long long)value->id);
	if (value->kind != ENTRY_FREE && before.kind == ENTRY_FREE && n >= n_max)
		return err_set(err, E2BIG, "more than %u %ss", n_max, what);
	if (value->kind == ENTRY_NODE && before.kind == ENTRY_NODE &&
	    (value->node.parent != before.node.parent || value->node.depth != before.node.depth))
		return err_set(err, EINVAL, "node %llu stands elsewhere already", (unsigned long long)value->id);
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_VALUE, .key = kind, .before = before, .now = *value};
	table_value_assign(t, kind, value);
	return 0;
}

static int apply(struct table *t, struct staged *change, int64_t now_ns, struct err *err)
{
	if (undo_reserve(t) < 0 || table_rows_reserve(t) < 0 || table_entries_reserve(t, 4) < 0)
		return err_set(err, ENOMEM, "no memory for the table");
	switch (change->type) {
	case PROTO_ROW_ADD:
		return row_add(t, change, now_ns, err);
	case PROTO_ROW_DEL:
		return row_del(t, change->key);
	case PROTO_NODE_SET:
	case PROTO_NODE_DEL:
		return value_change(t, ENTRY_NODE, &change->value, err);
	default:
		return value_change(t, ENTRY_METER, &change->value, err);
	}
}

static void undo_to(struct table *t, uint32_t n_undo)
{
	while (t->n_undo > n_undo) {
		struct undo *u = &t->undo[--t->n_undo];

		switch (u->kind) {
		case UNDO_ROW_ADD:
			free(row_out(t, u->key));
			break;
		case UNDO_ROW_DEL:
			row_in(t, u->key, u->row);
			break;
		case UNDO_VALUE:
			table_value_assign(t, (enum entry_kind)u->key, &u->before);
			break;
		}
	}
}

// What came since undo entry `mark` stands where it says: a row as deep as its node, a node one deeper than its parent.
// All that is named is there.
static int check_depths(const struct table *t, uint32_t mark, struct err *err)
{
	for (uint32_t i = mark; i < t->n_undo; i++) {
		const struct undo *u = &t->undo[i];
		const struct proto_node *node;

		if (u->kind == UNDO_ROW_ADD && u->row->node != PARTS_ROOT) {
			node = table_node(t, u->row->node);
			if (node != NULL && node->depth != u->row->depth)
				return err_set(err, EINVAL, "a row at depth %u names node %u, which is at depth %u",
					       u->row->depth, node->number, node->depth);
		} else if (u->kind == UNDO_VALUE && u->now.kind == ENTRY_NODE && u->now.node.parent != PARTS_ROOT) {
			node = table_node(t, u->now.node.parent);
			if (node != NULL && node->depth + 1 != u->now.node.depth)
				return err_set(err, EINVAL, "node %u at depth %u has a parent at depth %u",
					       u->now.node.number, u->now.node.depth, node->depth);
		}
	}
	return 0;
}

// --- the contract

struct table *table_create(struct err *err)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		t->rows_cap = 256;
		t->entries_cap = 256;
		t->rows = calloc(t->rows_cap, sizeof(*t->rows));
		t->entries = calloc(t->entries_cap, sizeof(*t->entries));
	}
	if (t == NULL || t->rows == NULL || t->entries == NULL) {
		err_set(err, ENOMEM, "no memory for the table");
		table_destroy(t);
		t = NULL;
	}
	return t;
}

void table_destroy(struct table *t)
{
	if (t == NULL)
		return;
	table_unstage(t);
	table_settle(t);
	for (uint32_t i = 0; t->rows != NULL && i < t->rows_cap; i++)
		free(t->rows[i].row);
	free(t->rows);
	free(t->entries);
	free(t->undo);
	free(t->staged);
	free(t);
}

static int staged_reserve(struct table *t)
{
	uint32_t cap = t->cap_staged == 0 ? 64 : t->cap_staged * 2;
	struct staged *staged;

	if (t->n_staged < t->cap_staged)
		return 0;
	staged = reallocarray(t->staged, cap, sizeof(*staged));
	if (staged == NULL)
		return -ENOMEM;
	t->staged = staged;
	t->cap_staged = cap;
	return 0;
}

int table_stage(struct table *t, const struct proto_msg *change, struct err *err)
{
	struct staged *s;

	if (t->n_staged >= TABLE_STAGED_MAX)
		return err_set(err, E2BIG, "more than %u changes without a commit", TABLE_STAGED_MAX);
	if (staged_reserve(t) < 0)
		return err_set(err, ENOMEM, "no memory for a change");
	s = &t->staged[t->n_staged];
	*s = (struct staged){.type = change->type};
	switch (change->type) {
	case PROTO_ROW_ADD:
		s->row = malloc(sizeof(*s->row));
		if (s->row == NULL)
			return err_set(err, ENOMEM, "no memory for a row");
		*s->row = change->row;
		s->key = part_row_key(s->row);
		break;
	case PROTO_ROW_DEL:
		s->key = change->row_key;
		break;
	case PROTO_NODE_SET:
		s->value = (struct value){.kind = ENTRY_NODE, .id = change->node.number, .node = change->node};
		break;
	case PROTO_NODE_DEL:
		s->value.id = change->node.number;
		break;
	case PROTO_METER_SET:
		s->value = (struct value){.kind = ENTRY_METER, .id = change->meter.id, .meter = change->meter};
		break;
	case PROTO_METER_DEL:
		s->value.id = change->meter.id;
		break;
	default:
		return err_set(err, EINVAL, "message type %d is no change", change->type);
	}
	t->n_staged++;
	return 0;
}

void table_unstage(struct table *t)
{
	for (uint32_t i = 0; i < t->n_staged; i++)
		free(t->staged[i].row);
	t->n_staged = 0;
}

int table_commit(struct table *t, int64_t now_ns, struct err *err)
{
	uint32_t mark = t->n_undo;
	uint64_t unknown_dels = t->unknown_dels, expired = t->expired;
	int ret = 0;

	for (uint32_t i = 0; i < t->n_staged && ret == 0; i++)
		ret = apply(t, &t->staged[i], now_ns, err);
	if (ret == 0 && t->n_bad > 0)
		ret = err_set(err, ENOENT, "%u nodes or meters (of that kind) are named and not there", t->n_bad);
	if (ret == 0)
		ret = check_depths(t, mark, err);
	if (ret < 0) {
		undo_to(t, mark);
		t->unknown_dels = unknown_dels;
		t->expired = expired;
	}
	table_unstage(t);
	return ret;
}

void table_settle(struct table *t)
{
	for (uint32_t i = 0; i < t->n_undo; i++) {
		if (t->undo[i].kind == UNDO_ROW_DEL)
			free(t->undo[i].row);
	}
	t->n_undo = 0;
}

void table_undo(struct table *t)
{
	undo_to(t, 0);
}

void table_each_change(const struct table *t, void (*fn)(void *ctx, const struct table_change *change), void *ctx)
{
	for (uint32_t i = 0; i < t->n_undo; i++) {
		const struct undo *u = &t->undo[i];
		struct table_change change = {.key = u->key, .row = u->row};

		switch (u->kind) {
		case UNDO_ROW_ADD:
			change.kind = TABLE_ROW_ADDED;
			break;
		case UNDO_ROW_DEL:
			change.kind = TABLE_ROW_DELETED;
			break;
		case UNDO_VALUE:
			change.kind = u->key == ENTRY_NODE ? TABLE_NODE : TABLE_METER;
			change.key = u->now.id;
			break;
		}
		fn(ctx, &change);
	}
}

const struct part_row *table_row(const struct table *t, uint64_t key)
{
	return t->rows[table_row_slot(t, key)].row;
}

const struct proto_node *table_node(const struct table *t, uint32_t number)
{
	const struct entry *e = table_entry_slot(t, ENTRY_NODE, number);

	return e->kind != ENTRY_FREE && e->value.kind != ENTRY_FREE ? &e->value.node : NULL;
}

const struct proto_meter *table_meter(const struct table *t, uint64_t id)
{
	const struct entry *e = table_entry_slot(t, ENTRY_METER, id);

	return e->kind != ENTRY_FREE && e->value.kind != ENTRY_FREE ? &e->value.meter : NULL;
}

void table_drop(struct table *t, uint64_t key)
{
	assert(t->n_undo == 0);
	if (table_row(t, key) == NULL)
		return;
	free(row_out(t, key));
	t->expired++;
}

uint32_t table_expire(struct table *t, int64_t now_ns, void (*fn)(void *ctx, uint64_t key, const struct part_row *row),
		      void *ctx)
{
	uint32_t n = 0;

	assert(t->n_undo == 0);
	for (uint32_t i = 0; i < t->rows_cap;) {
		const struct row_slot *s = &t->rows[i];

		// Taking one out may move another one here.
		if (s->row != NULL && box_end_ns(&s->row->box) <= now_ns) {
			if (fn != NULL)
				fn(ctx, s->key, s->row);
			free(row_out(t, s->key));
			n++;
		} else
			i++;
	}
	t->expired += n;
	return n;
}

void table_each_row(const struct table *t, void (*fn)(void *ctx, uint64_t key, const struct part_row *row), void *ctx)
{
	for (uint32_t i = 0; i < t->rows_cap; i++) {
		if (t->rows[i].row != NULL)
			fn(ctx, t->rows[i].key, t->rows[i].row);
	}
}

void table_each_node(const struct table *t, void (*fn)(void *ctx, const struct proto_node *node), void *ctx)
{
	for (uint32_t i = 0; i < t->entries_cap; i++) {
		if (t->entries[i].kind == ENTRY_NODE && t->entries[i].value.kind != ENTRY_FREE)
			fn(ctx, &t->entries[i].value.node);
	}
}

void table_each_meter(const struct table *t, void (*fn)(void *ctx, const struct proto_meter *meter), void *ctx)
{
	for (uint32_t i = 0; i < t->entries_cap; i++) {
		if (t->entries[i].kind == ENTRY_METER && t->entries[i].value.kind != ENTRY_FREE)
			fn(ctx, &t->entries[i].value.meter);
	}
}

void table_stats(const struct table *t, struct table_stats *out)
{
	*out = (struct table_stats){
		.n_rows = t->n_rows,
		.n_nodes = t->n_nodes,
		.n_meters = t->n_meters,
		.n_staged = t->n_staged,
		.n_slots = t->rows_cap + t->entries_cap,
		.unknown_dels = t->unknown_dels,
		.expired = t->expired,
	};
}
