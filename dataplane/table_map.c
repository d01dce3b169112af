// SPDX-License-Identifier: Apache-2.0
// Two hash tables with open addressing (linear probing, deletion by shifting back, so there are no tombstones): rows by
// key; nodes and meters, together, by number.
//
// An entry also counts the rows (and child nodes) that name it; it stays, without a node or meter, while they do. A
// table is whole when no entry is bad, so the check at the end of a commit costs nothing.
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "table_priv.h"

static uint32_t hash(uint64_t key)
{
	key = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(key >> 32);
}

// --- rows by key

// The slot of key, or the free one where it would go.
uint32_t table_row_slot(const struct table *t, uint64_t key)
{
	uint32_t i = hash(key) & (t->rows_cap - 1);

	while (t->rows[i].row != NULL && t->rows[i].key != key)
		i = (i + 1) & (t->rows_cap - 1);
	return i;
}

// Room for one more at half load, undo included: taken out rows may come back only to slots that were there.
int table_rows_reserve(struct table *t)
{
	struct row_slot *old = t->rows;
	uint32_t old_cap = t->rows_cap;

	if ((t->n_rows + t->n_undo + 1) * 2 <= old_cap)
		return 0;
	t->rows = calloc((size_t)old_cap * 2, sizeof(*t->rows));
	if (t->rows == NULL) {
		t->rows = old;
		return -ENOMEM;
	}
	t->rows_cap = old_cap * 2;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].row != NULL)
			t->rows[table_row_slot(t, old[i].key)] = old[i];
	}
	free(old);
	return 0;
}

struct part_row *table_rows_take(struct table *t, uint32_t slot)
{
	uint32_t mask = t->rows_cap - 1, hole = slot;
	struct part_row *row = t->rows[slot].row;

	for (uint32_t i = (slot + 1) & mask; t->rows[i].row != NULL; i = (i + 1) & mask) {
		uint32_t home = hash(t->rows[i].key) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) { // the hole lies on its way from home
			t->rows[hole] = t->rows[i];
			hole = i;
		}
	}
	t->rows[hole].row = NULL;
	t->n_rows--;
	return row;
}

void table_rows_put(struct table *t, uint64_t key, struct part_row *row)
{
	uint32_t slot = table_row_slot(t, key);

	assert(t->rows[slot].row == NULL);
	t->rows[slot] = (struct row_slot){key, row};
	t->n_rows++;
}

// --- nodes and meters by number

static uint32_t entry_home(const struct table *t, enum entry_kind kind, uint64_t id)
{
	return hash(id * 2 + (kind == ENTRY_NODE)) & (t->entries_cap - 1);
}

struct entry *table_entry_slot(const struct table *t, enum entry_kind kind, uint64_t id)
{
	uint32_t i = entry_home(t, kind, id);

	while (t->entries[i].kind != ENTRY_FREE && (t->entries[i].kind != kind || t->entries[i].value.id != id))
		i = (i + 1) & (t->entries_cap - 1);
	return &t->entries[i];
}

// Room for n more entries at half load. Undoing goes back through states that all had room, so it needs no more.
int table_entries_reserve(struct table *t, uint32_t n)
{
	struct entry *old = t->entries;
	uint32_t old_cap = t->entries_cap;

	if ((t->n_entries + n) * 2 <= old_cap)
		return 0;
	t->entries = calloc((size_t)old_cap * 2, sizeof(*t->entries));
	if (t->entries == NULL) {
		t->entries = old;
		return -ENOMEM;
	}
	t->entries_cap = old_cap * 2;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].kind != ENTRY_FREE)
			*table_entry_slot(t, old[i].kind, old[i].value.id) = old[i];
	}
	free(old);
	return 0;
}

static bool entry_is_bad(const struct entry *e)
{
	if (e->kind == ENTRY_NODE)
		return e->n_named > 0 && e->value.kind == ENTRY_FREE;
	return (e->n_reserving > 0 || e->n_limiting > 0) &&
	       (e->value.kind == ENTRY_FREE || (e->n_reserving > 0 && e->value.meter.kind != PROTO_METER_RESERVATION) ||
		(e->n_limiting > 0 && e->value.meter.kind != PROTO_METER_LIMIT));
}

// The entry of id, made if need be (entries_reserve has made room), out of the count of bad ones.
static struct entry *entry_begin(struct table *t, enum entry_kind kind, uint64_t id)
{
	struct entry *e = table_entry_slot(t, kind, id);

	if (e->kind == ENTRY_FREE) {
		*e = (struct entry){.kind = kind, .value = {.id = id}};
		t->n_entries++;
	}
	t->n_bad -= entry_is_bad(e);
	return e;
}

// Counts it again, or gives the slot back when it holds nothing and nobody names it.
static void entry_end(struct table *t, struct entry *e)
{
	uint32_t mask = t->entries_cap - 1, hole = (uint32_t)(e - t->entries);

	t->n_bad += entry_is_bad(e);
	if (e->value.kind != ENTRY_FREE || e->n_named > 0 || e->n_reserving > 0 || e->n_limiting > 0)
		return;
	for (uint32_t i = (hole + 1) & mask; t->entries[i].kind != ENTRY_FREE; i = (i + 1) & mask) {
		uint32_t home = entry_home(t, t->entries[i].kind, t->entries[i].value.id);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->entries[hole] = t->entries[i];
			hole = i;
		}
	}
	t->entries[hole].kind = ENTRY_FREE;
	t->n_entries--;
}

static void name_node(struct table *t, uint32_t number, int by)
{
	struct entry *e;

	if (number == PARTS_ROOT)
		return;
	e = entry_begin(t, ENTRY_NODE, number);
	e->n_named += (uint32_t)by;
	entry_end(t, e);
}

static void name_meter(struct table *t, const struct part_row *row, int by)
{
	struct entry *e;

	if (row->part != PART_RESERVE && row->part != PART_LIMIT)
		return;
	e = entry_begin(t, ENTRY_METER, row->id);
	*(row->part == PART_RESERVE ? &e->n_reserving : &e->n_limiting) += (uint32_t)by;
	entry_end(t, e);
}

void table_value_assign(struct table *t, enum entry_kind kind, const struct value *value)
{
	struct entry *e = entry_begin(t, kind, value->id);
	struct value before = e->value;
	uint32_t *n = kind == ENTRY_NODE ? &t->n_nodes : &t->n_meters;

	*n += (uint32_t)(value->kind != ENTRY_FREE) - (uint32_t)(before.kind != ENTRY_FREE);
	e->value = *value;
	entry_end(t, e);
	if (value->kind == ENTRY_NODE)
		name_node(t, value->node.parent, 1);
	if (before.kind == ENTRY_NODE)
		name_node(t, before.node.parent, -1);
}

void table_name(struct table *t, const struct part_row *row, int by)
{
	name_node(t, row->node, by);
	name_meter(t, row, by);
}
