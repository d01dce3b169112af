// SPDX-License-Identifier: Apache-2.0
// Random rows for the tests of the link, from a seed. Thread: one.
#pragma once
#include <stdint.h>

#include "dataplane/proto.h"
#include "tests/rounds.h"

struct gen {
	uint64_t state;
};

// Seed: PANE_SEED, else a fixed one; printed with the test's name.
struct gen gen_init(const char *test);
uint64_t gen_u64(struct gen *g);
uint64_t gen_below(struct gen *g, uint64_t n);
// Normalised, not empty. Requests are 1..n_meters, odd ones reservations, even ones limits, or greater for access only;
// nodes 0..n_nodes.
struct part_row gen_row(struct gen *g, unsigned int n_meters, unsigned int n_nodes);
// Node n of a heap: its parent is n / 2.
struct proto_node gen_node(uint32_t number);
// A row of request id at the root for one IPv4 source address, [start_ns, end_ns), with one access decision.
struct part_row gen_simple_row(uint32_t src_ip, uint64_t id, enum access access, int64_t start_ns, int64_t end_ns);
// The same of a limit that also allows.
struct part_row gen_limit_row(uint32_t src_ip, uint64_t id, int64_t start_ns, int64_t end_ns);
