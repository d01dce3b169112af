// SPDX-License-Identifier: Apache-2.0
// Random rows for the tests of the link, from a seed. Thread: one.
#pragma once
#include <stdint.h>

#include "hft/flowtab.h"

struct gen {
	uint64_t state;
};

// Seed: PANE_SEED, else a fixed one; printed with the test's name.
struct gen gen_init(const char *test);
unsigned int gen_rounds(unsigned int usual); // PANE_ROUNDS, else usual
uint64_t gen_u64(struct gen *g);
uint64_t gen_below(struct gen *g, uint64_t n);
// Normalised, not empty. Numbers in its sets are 1..n_meters: odd ones reservations, even ones limits.
struct row gen_row(struct gen *g, unsigned int n_meters);
// A row for one IPv4 source address, [start_ns, end_ns), with one access decision.
struct row gen_simple_row(uint32_t src_ip, uint32_t rank, enum access access, int64_t start_ns, int64_t end_ns);
