// SPDX-License-Identifier: Apache-2.0
// Boxes as spans of 32-bit words, and the two loops that compare them with packets, for each SIMD width.
// A packet is one word a column; a row is one span a column. Most rows are wholly described so; the others (MAC tests
// of IP packets, address spans that are no prefixes) match a little more here, carry ROW_COARSE, and the caller looks
// at the box.
// Thread: any, values only. Nothing is allocated.
#pragma once
#include <stdint.h>

#include "pkt.h"

#define ROW_COLS_IP4 7   // source, destination, ports, protocol, VLAN, has ports
#define ROW_COLS_IP6 13  // the same, addresses in four words each
#define ROW_COLS_NONIP 5 // MAC addresses in two words each, VLAN
#define ROW_COLS_MAX ROW_COLS_IP6

#define ROW_COARSE 1u

// value - lo <= span, modulo 2^32
struct row_span {
	uint32_t lo, span;
};

// One row of an array. IPv4 and non-IP rows take one cache line, IPv6 rows two.
#define ROW_STRIDE_64 64
#define ROW_STRIDE_128 128
struct row_line {
	uint32_t slot, flags;
	struct row_span col[]; // by column of the family
};

// A burst of one family, transposed.
struct row_packets {
	_Alignas(64) uint32_t col[ROW_COLS_MAX][PKT_BURST];
	uint32_t n;
};

// Packets that row idx of an array matches: bit i for packet i.
struct row_hit {
	uint32_t idx, packets;
};

// Rows column by column, for one packet against many rows: lo[c] and span[c] are padded to ROW_BLOCK entries.
#define ROW_BLOCK 16
struct row_columns {
	uint32_t *lo[ROW_COLS_MAX], *span[ROW_COLS_MAX];
	uint32_t n, n_cols;
};

struct row_kernel {
	const char *name;
	uint32_t bits; // SIMD width
	// Compares rows[0..n) of an array with the burst; hits in row order, at most n of them. Returns how many.
	uint32_t (*match[PKT_N_FAMILIES])(const void *rows, uint32_t n, const struct row_packets *p,
					  struct row_hit *hits);
	// First row at or after `from` that covers the packet (one word a column); rows->n if none.
	uint32_t (*find)(const struct row_columns *rows, const uint32_t *packet, uint32_t from);
};

extern const struct row_kernel row_kernel_scalar;
#ifdef __x86_64__
extern const struct row_kernel row_kernel_sse, row_kernel_avx2, row_kernel_avx512;
#endif

// The widest that the CPU has, at most max_bits (512, 256, 128; 0: scalar).
const struct row_kernel *row_kernel_choose(uint32_t max_bits);
