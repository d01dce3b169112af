// SPDX-License-Identifier: Apache-2.0
// Random boxes, groups and packets over a small universe: every interval starts and ends on a coarse grid, so that
// overlaps are many and the first and last values of all grid cells together hold every corner of every box.
// The default seed is fixed; PANE_SEED and PANE_ROUNDS in the environment override seed and rounds.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "hft/match.h"
#include "tests/rounds.h"

#define GRID_MAX 12
#define N_DIMS (MATCH_N_FIELDS + 2)
#define DIM_SRC MATCH_N_FIELDS
#define DIM_DST (MATCH_N_FIELDS + 1)

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (uint32_t)(rng_next(rng) >> 32) % n;
}

// First values of the grid cells of a field.
static const struct grid {
	uint32_t n;
	uint64_t at[GRID_MAX];
} field_grid[MATCH_N_FIELDS] = {
	[MATCH_TIME] = {4, {0, 10, 20, 30}},
	[MATCH_SRC_ETH] = {3, {0, 5, 6}},
	[MATCH_DST_ETH] = {3, {0, 5, 6}},
	[MATCH_VLAN] = {3, {0, 1, 7}},
	[MATCH_PROTO] = {11, {0, 1, 2, 6, 7, 17, 18, 58, 59, 132, 133}},
	[MATCH_SRC_PORT] = {4, {0, 80, 81, 1000}},
	[MATCH_DST_PORT] = {4, {0, 80, 81, 1000}},
	[MATCH_SRC_USER] = {4, {0, 1, 2, 3}},
	[MATCH_DST_USER] = {4, {0, 1, 2, 3}},
};
static const struct grid ip4_grid = {5, {0, 0x0a000000, 0x0a000001, 0x0a000002, 0x0a000100}};
static const struct grid ip6_grid = {4, {0, 0x0a00000100000000, 0x0a00000100000001, 0x8000000000000000}}; // high halves

static inline struct span grid_span(const struct grid *grid, uint32_t first, uint32_t last, uint64_t max)
{
	return (struct span){grid->at[first], last + 1 < grid->n ? grid->at[last + 1] - 1 : max};
}

static inline struct span random_span(struct rng *rng, const struct grid *grid, uint64_t max)
{
	uint32_t first = rng_below(rng, grid->n);
	uint32_t last = rng_below(rng, 2) == 0 ? first : first + rng_below(rng, grid->n - first);

	return grid_span(grid, first, last, max);
}

static inline struct span128 widen_span(struct span span, bool v4)
{
	unsigned int shift = v4 ? 96 : 64;

	return (struct span128){(u128)span.lo << shift, (u128)span.hi << shift | (((u128)1 << shift) - 1)};
}

static inline struct span128 random_address_span(struct rng *rng, bool v4)
{
	return widen_span(random_span(rng, v4 ? &ip4_grid : &ip6_grid, v4 ? UINT32_MAX : UINT64_MAX), v4);
}

// A random set of n dimensions (bits) in which boxes and packets differ.
static inline uint32_t random_dims(struct rng *rng, unsigned int n)
{
	uint32_t dims = rng_below(rng, 3) == 0 ? 1u << MATCH_PROTO : 0; // the field with the most cases of its own

	while ((unsigned int)__builtin_popcount(dims) < n)
		dims |= 1u << rng_below(rng, N_DIMS);
	return dims;
}

// Never empty.
static inline struct box random_box(struct rng *rng, uint32_t dims)
{
	struct box box;

	do {
		bool v4 = rng_below(rng, 2) == 0;

		box = box_any();
		if (rng_below(rng, 3) == 0)
			box.kinds = 1 + rng_below(rng, MATCH_KINDS_ALL);
		else if (rng_below(rng, 5) == 0)
			box.kinds = MATCH_KINDS_PORTS;
		for (int i = 0; i < MATCH_N_FIELDS; i++) {
			if ((dims & 1u << i) != 0 && rng_below(rng, 3) > 0)
				box.f[i] = random_span(rng, &field_grid[i], match_field_max(i));
		}
		if ((dims & 1u << DIM_SRC) != 0 && rng_below(rng, 3) > 0) {
			box.kinds &= v4 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
			box.src = random_address_span(rng, v4);
		}
		if ((dims & 1u << DIM_DST) != 0 && rng_below(rng, 3) > 0) {
			box.kinds &= v4 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
			box.dst = random_address_span(rng, v4);
		}
	} while (!box_normalize(&box));
	return box;
}

static inline void random_match(struct rng *rng, uint32_t dims, uint32_t max_boxes, struct match *m)
{
	uint32_t n = rng_below(rng, max_boxes + 1);

	match_fini(m);
	for (uint32_t i = 0; i < n; i++) {
		struct box box = random_box(rng, dims);

		if (match_add(m, &box) < 0)
			abort();
	}
}

// The first or last value of a cell; odd: last.
static inline uint64_t grid_value(const struct grid *grid, uint32_t choice, uint64_t max)
{
	struct span cell = grid_span(grid, choice / 2, choice / 2, max);

	return choice % 2 == 0 ? cell.lo : cell.hi;
}

static inline u128 grid_address(uint32_t choice, bool v4)
{
	if (v4)
		return match_ip4((uint32_t)grid_value(&ip4_grid, choice, UINT32_MAX));
	struct span cell = grid_span(&ip6_grid, choice / 2, choice / 2, UINT64_MAX);
	struct span128 wide = widen_span(cell, false);

	return choice % 2 == 0 ? wide.lo : wide.hi;
}

// How many values grid_packet knows in a dimension for packets of that kind: what a packet lacks has one.
static inline uint32_t grid_choices(uint32_t dim, uint32_t kind)
{
	bool v4 = (kind & MATCH_KINDS_V4) != 0;

	if (dim == DIM_SRC || dim == DIM_DST)
		return kind == MATCH_NONIP ? 1 : 2 * (v4 ? ip4_grid.n : ip6_grid.n);
	if (dim == MATCH_PROTO)
		return kind == MATCH_NONIP ? 1 : (kind & MATCH_KINDS_PORTS) != 0 ? 3 : 2 * field_grid[dim].n;
	if (dim == MATCH_SRC_PORT || dim == MATCH_DST_PORT)
		return (kind & MATCH_KINDS_PORTS) != 0 ? 2 * field_grid[dim].n : 1;
	return 2 * field_grid[dim].n;
}

// Sets one dimension of a packet to the given choice.
static inline void grid_set(struct match_packet *packet, uint32_t dim, uint32_t choice)
{
	static const uint64_t port_protos[] = {6, 17, 132};
	bool v4 = (packet->kind & MATCH_KINDS_V4) != 0;

	if (grid_choices(dim, packet->kind) == 1)
		return;
	if (dim == DIM_SRC)
		packet->src = grid_address(choice, v4);
	else if (dim == DIM_DST)
		packet->dst = grid_address(choice, v4);
	else if (dim == MATCH_PROTO && (packet->kind & MATCH_KINDS_PORTS) != 0)
		packet->f[dim] = port_protos[choice];
	else
		packet->f[dim] = grid_value(&field_grid[dim], choice, match_field_max(dim));
}

static inline struct match_packet plain_packet(uint32_t kind)
{
	struct match_packet packet = {.kind = kind};

	if ((kind & MATCH_KINDS_PORTS) != 0)
		packet.f[MATCH_PROTO] = 6;
	return packet;
}

static inline struct match_packet random_packet(struct rng *rng, uint32_t dims)
{
	struct match_packet packet = plain_packet(1u << rng_below(rng, 5));

	for (uint32_t dim = 0; dim < N_DIMS; dim++) {
		uint32_t n = grid_choices(dim, packet.kind);

		if ((dims & 1u << dim) != 0)
			grid_set(&packet, dim, rng_below(rng, n));
	}
	return packet;
}

// Of this kind, plain but for these dimensions, which are choices at[] of the grid.
static inline struct match_packet grid_packet(const uint32_t at[N_DIMS], uint32_t dims, uint32_t kind)
{
	struct match_packet packet = plain_packet(kind);

	for (uint32_t dim = 0; dim < N_DIMS; dim++) {
		if ((dims & 1u << dim) != 0)
			grid_set(&packet, dim, at[dim]);
	}
	return packet;
}

// From one such packet to the next; false after the last.
static inline bool grid_next(uint32_t at[N_DIMS], uint32_t dims, uint32_t kind)
{
	for (uint32_t dim = 0; dim < N_DIMS; dim++) {
		if ((dims & 1u << dim) == 0)
			continue;
		if (++at[dim] < grid_choices(dim, kind))
			return true;
		at[dim] = 0;
	}
	return false;
}

static inline void print_packet(const struct match_packet *p)
{
	fprintf(stderr, "packet kind=%#x src=%#llx:%#llx dst=%#llx:%#llx fields", p->kind,
		(unsigned long long)(p->src >> 64), (unsigned long long)p->src, (unsigned long long)(p->dst >> 64),
		(unsigned long long)p->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		fprintf(stderr, " %llu", (unsigned long long)p->f[i]);
	fprintf(stderr, "\n");
}

static inline void print_match(const char *name, const struct match *m)
{
	char text[1024];

	for (uint32_t i = 0; i < m->n_boxes; i++) {
		const struct span *time = &m->boxes[i].f[MATCH_TIME];

		box_format(&m->boxes[i], NULL, NULL, text, sizeof(text));
		fprintf(stderr, "%s[%u] %s kinds=%#x time=%llu-%llu\n", name, i, text, m->boxes[i].kinds,
			(unsigned long long)time->lo, (unsigned long long)time->hi);
	}
}
