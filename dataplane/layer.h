// SPDX-License-Identifier: Apache-2.0
// A layer that is built and not changed any more: rows in rte_acl, one context for each family and plane of 16
// categories. Beside it the rows that hide others lie in columns, for the packets whose top row is dead.
// rte_acl gives up on some sets of rows, however few (more than 8 tries). Then up to LAYER_LINES_MAX rows of a family
// are compared one by one, as in an array.
// Made and destroyed by builder threads (EAL's locks, memory); read by workers.
#pragma once
#include <stdint.h>

#include "cls_row.h"
#include "hft/err.h"
#include "pkt.h"
#include "row_kernel.h"

struct rte_acl_ctx;

// Rows of one family that hide others, rank descending.
struct layer_slow {
	struct row_columns cols;
	uint32_t *slot, *flags; // [cols.n]
};

#define LAYER_LINES_MAX 4096

// All rows of one family, as in an array.
struct layer_lines {
	void *rows; // NULL: rte_acl has them
	uint32_t n;
};

struct layer {
	uint64_t uid; // of this process; names the contexts
	uint32_t n_rows, n_categories;
	uint32_t *slot;                                          // rank descending
	uint32_t plane_categories[CLS_PLANES_MAX];               // of one lookup: 0, 1, 4, 8, 12 or 16
	struct rte_acl_ctx *ctx[CLS_PLANES_MAX][PKT_N_FAMILIES]; // NULL: no row
	struct layer_slow slow[PKT_N_FAMILIES];
	struct layer_lines lines[PKT_N_FAMILIES];
};

struct layer_conf {
	const struct cls_slots *slots;
	uint64_t uid; // new in this process
	uint32_t simd_max_bits;
};

// Categories to ask for so that rte_acl takes it: 0, 1 or a multiple of four.
uint32_t layer_round_categories(uint32_t n);

// Takes over slot[0..n) (malloc'ed, sorted here), also when it fails. NULL with err: -ENOMEM, -E2BIG.
struct layer *layer_build(const struct layer_conf *conf, uint32_t *slot, uint32_t n, struct err *err);
void layer_destroy(struct layer *layer); // accepts NULL

// The row of the category that covers the packet, is alive under gen and has the highest rank, of those of at most
// from_rank; CLS_NO_ROW if none. Exact and linear.
uint32_t layer_find(const struct layer *layer, const struct cls_slots *slots, const struct row_kernel *kernel,
		    const struct pkt *pkt, uint32_t category, uint64_t from_rank, uint64_t gen);
