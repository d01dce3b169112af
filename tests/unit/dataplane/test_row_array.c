// SPDX-License-Identifier: Apache-2.0
// The array of rows and the linear search, for every SIMD width, against box_covers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dataplane/cls_acl.h"
#include "dataplane/layer.h"
#include "dataplane/row_array.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/random_net.h"

#define MAX_FRAME 1522

static const uint32_t widths[] = {0, 128, 256, 512};

struct burst {
	struct pkt pkt[PKT_BURST];
	const struct pkt *of[PKT_N_FAMILIES][PKT_BURST];
	uint32_t n_of[PKT_N_FAMILIES];
};

static void burst_fill(struct burst *b, struct rnd *r)
{
	memset(b->n_of, 0, sizeof(b->n_of));
	for (uint32_t i = 0, n = 1 + rnd_below(r, PKT_BURST); i < n; i++) {
		struct pkt *pkt = &b->pkt[i];
		struct frame f;

		rnd_frame(r, &f);
		assert_int_equal(pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, pkt), PKT_OK);
		b->of[pkt->family][b->n_of[pkt->family]++] = pkt;
	}
}

// Does the row's hit name exactly the packets that its box covers?
static void hit_is_right(const struct row_array *a, const struct box *boxes, const struct burst *b, uint32_t family,
			 uint32_t idx, uint32_t packets)
{
	const struct row_line *row = row_array_row(a, (enum pkt_family)family, idx);

	for (uint32_t i = 0; i < PKT_BURST; i++) {
		bool covers = i < b->n_of[family] && row_box_covers(&boxes[row->slot], b->of[family][i]);
		bool hit = (packets >> i & 1) != 0;

		if (covers != hit && !(hit && (row->flags & ROW_COARSE) != 0 && i < b->n_of[family]))
			fail_msg("family %u row %u packet %u: hit %d, covers %d", family, idx, i, hit, covers);
	}
}

static uint32_t array_is_right(const struct row_array *a, const struct box *boxes, const struct burst *b,
			       const struct row_kernel *k)
{
	static struct row_packets p;
	struct row_hit hit[ROW_ARRAY_MAX];
	uint32_t hits = 0;

	for (uint32_t f = 0; f < PKT_N_FAMILIES; f++) {
		uint32_t n, at = 0;

		if (b->n_of[f] == 0)
			continue;
		row_packets_set(&p, (enum pkt_family)f, b->of[f], b->n_of[f]);
		n = k->match[f](row_array_rows(a, (enum pkt_family)f), a->n_of[f], &p, hit);
		hits += n;
		for (uint32_t idx = 0; idx < a->n_of[f]; idx++) {
			bool there = at < n && hit[at].idx == idx;

			hit_is_right(a, boxes, b, f, idx, there ? hit[at].packets : 0);
			at += there;
		}
		assert_int_equal(at, n);
	}
	return hits;
}

static void every_row_finds_exactly_its_packets(void **state)
{
	uint64_t seed = seed_from_env(5);
	struct rnd r = rnd_seed(seed);
	static struct box boxes[ROW_ARRAY_MAX];
	static struct burst b;
	uint64_t hits = 0;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (long i = 0, rounds = rounds_from_env(150); i < rounds; i++) {
		struct row_array *a = row_array_create();
		uint32_t n = rnd_below(&r, ROW_ARRAY_MAX + 1);

		assert_non_null(a);
		for (uint32_t row = 0; row < n; row++) {
			boxes[row] = rnd_box(&r, i % 2 == 0);
			row_array_add(a, row, &boxes[row]);
		}
		burst_fill(&b, &r);
		for (int w = 0; w < 4; w++)
			hits += array_is_right(a, boxes, &b, row_kernel_choose(widths[w]));
		row_array_destroy(a);
	}
	assert_true(hits > 1000);
}

static void prefixes_need_no_second_look(void **state)
{
	struct row_span col[ROW_COLS_MAX];
	struct box box = box_any();
	uint8_t addr[16] = {0x20, 0x01, 0x0d, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

	box.kinds = MATCH_KINDS_V6;
	for (unsigned int len = 0; len <= 128; len++) {
		box.src = box.dst = match_ip6_prefix(addr, len);
		assert_int_equal(row_encode(&box, PKT_IP6, col), 0);
	}
	box.src.lo += 1;
	box.src.hi += (u128)1 << 64;
	assert_int_equal(row_encode(&box, PKT_IP6, col), ROW_COARSE);
	box = box_any();
	assert_int_equal(row_encode(&box, PKT_IP4, col), 0);
	box.f[MATCH_SRC_ETH].lo = 1;
	assert_int_equal(row_encode(&box, PKT_IP4, col), ROW_COARSE);
	assert_int_equal(row_encode(&box, PKT_NONIP, col), ROW_COARSE); // 1 to all ones: no prefix
}

static void widest_kernel_is_as_asked(void **state)
{
	assert_string_equal(row_kernel_choose(0)->name, "scalar");
	for (int w = 0; w < 4; w++)
		assert_true(row_kernel_choose(widths[w])->bits <= widths[w]);
}

// A layer of access rows of one category.
static struct layer *layer_of(struct cls_slots *slots, uint32_t n, struct rnd *r, uint64_t uid, uint32_t width)
{
	struct layer_conf conf = {.slots = slots, .uid = uid, .simd_max_bits = width};
	uint32_t *slot = malloc(n * sizeof(*slot));
	struct err err;
	struct layer *layer;

	for (uint32_t i = 1; i <= n; i++) {
		slot[i - 1] = i;
		slots->box[i] = rnd_box(r, true);
		slots->slot[i].rank = rnd_below(r, 20);
		slots->slot[i].access_category = (uint8_t)rnd_below(r, 2);
		slots->slot[i].meter_category = CLS_NO_CATEGORY;
		atomic_store(&slots->slot[i].dies_gen, rnd_below(r, 2) ? 5 : CLS_FOREVER);
	}
	layer = layer_build(&conf, slot, n, &err);
	if (layer == NULL)
		fail_msg("%s", err.msg);
	return layer;
}

static int best_rank(const struct cls_slots *slots, uint32_t n, const struct pkt *pkt, uint32_t category,
		     uint32_t from_rank, uint64_t gen)
{
	int best = -1;

	for (uint32_t i = 1; i <= n; i++) {
		if (slots->slot[i].access_category == category && slots->slot[i].rank <= from_rank &&
		    cls_is_alive(&slots->slot[i], gen) && row_box_covers(&slots->box[i], pkt) &&
		    (int)slots->slot[i].rank > best)
			best = (int)slots->slot[i].rank;
	}
	return best;
}

static void linear_search_of_a_layer_finds_the_best_that_lives(void **state)
{
	static struct cls_slot slot[200];
	static struct box box[200];
	struct cls_slots slots = {.slot = slot, .box = box, .cap = 200};
	struct rnd r = rnd_seed(seed_from_env(6));
	uint32_t found = 0;

	for (uint64_t i = 0; i < 60; i++) {
		const struct row_kernel *k = row_kernel_choose(widths[i % 4]);
		uint32_t n = 1 + rnd_below(&r, 150);
		struct layer *layer = layer_of(&slots, n, &r, i + 1, widths[i % 4]);
		struct burst b;

		burst_fill(&b, &r);
		for (uint32_t at = 0; at < 8 * PKT_BURST; at++) {
			uint32_t f = at % PKT_N_FAMILIES, from = rnd_below(&r, 20), category = rnd_below(&r, 2), got;
			uint64_t gen = 4 + rnd_below(&r, 2);

			if (b.n_of[f] == 0)
				continue;
			got = layer_find(layer, &slots, k, b.of[f][at % b.n_of[f]], category, from, gen);
			found += got != CLS_NO_ROW;
			assert_int_equal(best_rank(&slots, n, b.of[f][at % b.n_of[f]], category, from, gen),
					 got == CLS_NO_ROW ? -1 : (int)slot[got].rank);
			if (got != CLS_NO_ROW)
				assert_true(row_box_covers(&box[got], b.of[f][at % b.n_of[f]]));
		}
		layer_destroy(layer);
	}
	assert_true(found > 100);
}

static int setup(void **state)
{
	test_eal_init();
	return 0;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_finds_exactly_its_packets),
		cmocka_unit_test(prefixes_need_no_second_look),
		cmocka_unit_test(widest_kernel_is_as_asked),
		cmocka_unit_test(linear_search_of_a_layer_finds_the_best_that_lives),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
