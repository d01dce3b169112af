// SPDX-License-Identifier: Apache-2.0
// How an interval of wide numbers becomes rules over the 32-bit fields that rte_acl has. Used by cls_build only; here
// so that it can be tested by itself. Values only. Thread: any.
#pragma once
#include <stdint.h>

#include "hft/match.h"

#define CLS_DIGITS_MAX 4
#define CLS_PIECES_MAX (2 * CLS_DIGITS_MAX - 1)

// A box of digits, most significant first: digit i lies in [lo[i], hi[i]].
struct cls_piece {
	uint32_t lo[CLS_DIGITS_MAX], hi[CLS_DIGITS_MAX];
};

// Disjoint pieces that make up [lo, hi], numbers of width_bits: digits of 32 bits, the first one may be shorter (48
// bits are 16 + 32). Returns how many; a prefix is one.
uint32_t cls_split(u128 lo, u128 hi, unsigned int width_bits, struct cls_piece out[CLS_PIECES_MAX]);
