// SPDX-License-Identifier: Apache-2.0
// Inside of struct table, shared by table.c (changes) and table_map.c (the two hash tables) only.
#pragma once
#include "table.h"

struct row_slot {
	uint64_t key;
	struct part_row *row; // NULL: free
};

enum entry_kind {
	ENTRY_FREE,
	ENTRY_NODE,
	ENTRY_METER,
};

// A node, or a meter; kind FREE (of value): there is none.
struct value {
	enum entry_kind kind;
	uint64_t id;
	union {
		struct proto_node node;
		struct proto_meter meter;
	};
};

struct entry {
	enum entry_kind kind; // of the slot
	struct value value;
	uint32_t n_named;                 // node: by rows and children
	uint32_t n_reserving, n_limiting; // meter: by rows as reservation, as limit
};

enum undo_kind {
	UNDO_ROW_ADD, // row was added: take it out
	UNDO_ROW_DEL, // row was taken out: put it back
	UNDO_VALUE,   // the node or meter had this value
};

struct undo {
	enum undo_kind kind;
	uint64_t key;
	struct part_row *row; // UNDO_ROW_DEL: owned by the entry
	struct value before, now;
};

struct staged {
	enum proto_type type;
	uint64_t key;
	struct part_row *row; // ROW_ADD: owned
	struct value value;
};

struct table {
	struct row_slot *rows;
	struct entry *entries;
	uint32_t rows_cap, entries_cap; // powers of two
	uint32_t n_rows, n_nodes, n_meters;
	uint32_t n_entries, n_bad; // in use; named without being there (as such)
	struct undo *undo;
	uint32_t n_undo, cap_undo;
	struct staged *staged;
	uint32_t n_staged, cap_staged;
	uint64_t unknown_dels, expired;
};

// Free slot or that of key.
uint32_t table_row_slot(const struct table *t, uint64_t key);
int table_rows_reserve(struct table *t);                                  // for one more; 0 or -ENOMEM
struct part_row *table_rows_take(struct table *t, uint32_t slot);         // out of its slot
void table_rows_put(struct table *t, uint64_t key, struct part_row *row); // key is not there; there is room

struct entry *table_entry_slot(const struct table *t, enum entry_kind kind, uint64_t id); // kind FREE: not there
int table_entries_reserve(struct table *t, uint32_t n);                                   // for n more; 0 or -ENOMEM
// Gives a node or meter its value, and counts it among the bad if it is.
void table_value_assign(struct table *t, enum entry_kind kind, const struct value *value);
// The row comes (1) or goes (-1): counted at what it names.
void table_name(struct table *t, const struct part_row *row, int by);
