// SPDX-License-Identifier: Apache-2.0
// Rows of boxes -> one rte_acl context for a packet family, with up to 16 categories in one lookup.
// Used by whatever builds classifiers. Thread: any; takes EAL's locks and memory, so never in a packet's path.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/match.h"
#include "pkt.h"

#define CLS_ACL_CATEGORIES_MAX 16
#define CLS_ACL_PRIORITY_MAX ((1u << 29) - 1) // rte_acl's; the least is 1

struct rte_acl_ctx;

struct cls_acl_row {
	const struct box *box; // time is ignored; a box that needs a user is about no packet
	uint32_t priority;     // the highest that matches wins, category by category
	uint32_t result;       // what a lookup answers; 0 is "no row"
	uint16_t categories;   // a bit for each; 0: the row is left out
};

struct cls_acl_rows {
	const struct cls_acl_row *rows;
	uint32_t n;
	enum pkt_family family;
	uint32_t n_categories;  // 1, 4, 8, 12 or 16
	uint64_t gen;           // with plane and family it names the context: new in this process
	uint32_t plane;         // which 16 of more categories
	uint32_t simd_max_bits; // 512, 256, 128 or 0 (scalar): the widest rte_acl algorithm to use if the CPU has it
};

// Is any packet of the family in the box?
bool cls_acl_is_about(const struct box *box, enum pkt_family family);
// *ctx: NULL when no row is about the family; the caller's to rte_acl_free. 0, -ENOMEM, -E2BIG (rte_acl refused),
// -EEXIST (gen is in use), with err; nothing is left behind then.
int cls_acl_build(const struct cls_acl_rows *in, struct rte_acl_ctx **ctx, struct err *err);

// How an interval of wide numbers becomes rules over the 32-bit fields that rte_acl has. Values only.
#define CLS_DIGITS_MAX 4
#define CLS_PIECES_MAX (2 * CLS_DIGITS_MAX - 1)

// A box of digits, most significant first: digit i lies in [lo[i], hi[i]].
struct cls_piece {
	uint32_t lo[CLS_DIGITS_MAX], hi[CLS_DIGITS_MAX];
};

// Disjoint pieces that make up [lo, hi], numbers of width_bits: digits of 32 bits, the first one may be shorter (48
// bits are 16 + 32). Returns how many; a prefix is one.
uint32_t cls_split(u128 lo, u128 hi, unsigned int width_bits, struct cls_piece out[CLS_PIECES_MAX]);
