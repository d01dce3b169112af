// SPDX-License-Identifier: Apache-2.0
#include "gen.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct gen gen_init(const char *test)
{
	const char *seed = getenv("PANE_SEED");
	struct gen g = {.state = seed != NULL ? strtoull(seed, NULL, 0) : 20261121};

	printf("%s: PANE_SEED=%llu\n", test, (unsigned long long)g.state);
	return g;
}

unsigned int gen_rounds(unsigned int usual)
{
	const char *rounds = getenv("PANE_ROUNDS");

	return rounds != NULL ? (unsigned int)strtoul(rounds, NULL, 0) : usual;
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

static void gen_ids(struct gen *g, struct idset *set, unsigned int n_meters, unsigned int parity)
{
	for (uint64_t n = gen_below(g, ACTION_SET_MAX + 1); n > 0 && n_meters >= 2; n--) {
		uint64_t id = 1 + gen_below(g, n_meters);

		if (id % 2 != parity)
			continue;
		idset_add(set, id);
	}
}

struct row gen_row(struct gen *g, unsigned int n_meters)
{
	struct row row;

	do {
		row = (struct row){.box = box_any(), .rank = 1 + (uint32_t)gen_below(g, 100)};
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
	row.action.access = (enum access)gen_below(g, 3);
	gen_ids(g, &row.action.reservations, n_meters, 1);
	gen_ids(g, &row.action.limits, n_meters, 0);
	return row;
}

struct row gen_simple_row(uint32_t src_ip, uint32_t rank, enum access access, int64_t start_ns, int64_t end_ns)
{
	struct row row = {.box = box_any(), .rank = rank, .action = {.access = access}};
	bool ok;

	row.box.kinds = MATCH_KINDS_V4;
	row.box.src = match_ip4_prefix(src_ip, 32);
	ok = box_set_time(&row.box, start_ns, end_ns) && box_normalize(&row.box);
	assert(ok);
	(void)ok;
	return row;
}
