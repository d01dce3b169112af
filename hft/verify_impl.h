// SPDX-License-Identifier: Apache-2.0
// What the files of verify share. Inside hft/verify*.c only.
#pragma once
#include "parts_impl.h"
#include "verify.h"
#include "verify_cells.h"

#define VERIFY_PAIRS 96  // entries up to which a look compares them pair by pair; more are divided first
#define VERIFY_CROWD 768 // entries up to which it looks for those that do not matter

// One box of what was asked for, or one row.
struct verify_item {
	struct cell_box box; // first: cells know an item by it
	bool is_row;
	uint8_t part, access, access_category, meter_category; // categories of rows
	uint16_t depth;                                        // the row's, or the node's
	uint32_t node, slot;                                   // share number, its place in parts_nodes
	uint64_t id, rank, key;
	struct verify_item *next; // of one hash bucket
	uint32_t shelf, at;       // where its thumb is
};

struct verify_look {
	const struct parts_nodes *nodes;
	struct verify_fault *fault;
};

// ctx: struct verify_look
cell_look verify_look_access, verify_look_meters, verify_look_share, verify_look_background;
