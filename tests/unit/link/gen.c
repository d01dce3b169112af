// SPDX-License-Identifier: Apache-2.0
#include "gen.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct gen gen_init(const char *test)
{
	struct gen g = {.state = seed_from_env(20261121)};

	printf("%s: PANE_SEED=%llu\n", test, (unsigned long long)g.state);
	return g;
}

uint64_t gen_u64(struct gen *g) // splitmix64
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t gen_below(struct gen *g, uint64_t n)
{
	return gen_u64(g) % n;
}

static struct span gen_span(struct gen *g, uint64_t max)
{
	uint64_t a = gen_u64(g) & max, b = gen_u64(g) & max;

	if (a > max)
		a = max;
	return a < b ? (struct span){a, b} : (struct span){b, a};
}

static struct span128 gen_address(struct gen *g, uint32_t kinds)
{
	uint8_t ip6[16];

	if ((kinds & MATCH_KINDS_V6) == 0)
		return match_ip4_prefix((uint32_t)gen_u64(g), 1 + gen_below(g, 32));
	for (int i = 0; i < 16; i++)
		ip6[i] = (uint8_t)gen_u64(g);
	return match_ip6_prefix(ip6, 1 + gen_below(g, 128));
}

struct proto_node gen_node(uint32_t number)
{
	struct proto_node node = {.number = number, .parent = number / 2, .weight = (uint16_t)(number % 5)};

	for (uint32_t n = number; n > 0; n /= 2)
		node.depth++;
	return node;
}

static void gen_request(struct gen *g, struct part_row *row, unsigned int n_meters)
{
	row->id = 1 + gen_below(g, n_meters + 3);
	if (row->id > n_meters) {
		row->part = gen_below(g, 2) == 0 ? PART_ACCESS : PART_PATH;
		row->access = 1 + (uint8_t)gen_below(g, 2);
	} else {
		row->part = row->id % 2 == 1 ? PART_RESERVE : PART_LIMIT;
		row->access = (uint8_t)gen_below(g, 2);
	}
	if (gen_below(g, 20) == 0) {
		row->part = PART_SHARE;
		row->id = 0;
		row->access = ACCESS_NONE;
	} else if (gen_below(g, 20) == 0) {
		row->part = PART_BACKGROUND;
		row->access = ACCESS_NONE;
	}
	row->access_category = row->access == ACCESS_NONE ? PARTS_NO_CATEGORY : (uint8_t)gen_below(g, 5);
	row->meter_category = PARTS_NO_CATEGORY;
	if (row->part != PART_ACCESS && row->part != PART_PATH)
		row->meter_category = (uint8_t)gen_below(g, PARTS_CATEGORIES_MAX);
}

struct part_row gen_row(struct gen *g, unsigned int n_meters, unsigned int n_nodes)
{
	struct part_row row;

	do {
		row = (struct part_row){.box = box_any(), .node = (uint32_t)gen_below(g, n_nodes + 1)};
		row.box.kinds = gen_below(g, 4) == 0   ? MATCH_KINDS_ALL
				: gen_below(g, 2) == 0 ? MATCH_KINDS_V4
						       : MATCH_KINDS_V6;
		if (row.box.kinds != MATCH_KINDS_ALL && gen_below(g, 2) == 0)
			row.box.src = gen_address(g, row.box.kinds);
		if (row.box.kinds != MATCH_KINDS_ALL && gen_below(g, 2) == 0)
			row.box.dst = gen_address(g, row.box.kinds);
		for (int i = 0; i < MATCH_N_FIELDS; i++) {
			if (gen_below(g, 3) == 0)
				row.box.f[i] = gen_span(g, match_field_max(i));
		}
	} while (!box_normalize(&row.box));
	row.depth = gen_node(row.node).depth;
	gen_request(g, &row, n_meters);
	return row;
}

struct part_row gen_simple_row(uint32_t src_ip, uint64_t id, enum access access, int64_t start_ns, int64_t end_ns)
{
	struct part_row row = {.box = box_any(),
			       .id = id,
			       .part = PART_ACCESS,
			       .access = (uint8_t)access,
			       .meter_category = PARTS_NO_CATEGORY};
	bool ok;

	row.box.kinds = MATCH_KINDS_V4;
	row.box.src = match_ip4_prefix(src_ip, 32);
	ok = box_set_time(&row.box, start_ns, end_ns) && box_normalize(&row.box);
	assert(ok);
	(void)ok;
	return row;
}

struct part_row gen_limit_row(uint32_t src_ip, uint64_t id, int64_t start_ns, int64_t end_ns)
{
	struct part_row row = gen_simple_row(src_ip, id, ACCESS_ALLOW, start_ns, end_ns);

	row.part = PART_LIMIT;
	row.meter_category = 1;
	return row;
}
