// SPDX-License-Identifier: Apache-2.0
// The classifier against the linear search of the same rows, for every SIMD width; splitting; limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "dataplane/cls.h"
#include "dataplane/cls_acl.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/random_net.h"

#define ROWS_MAX 300
#define MAX_FRAME 1522

static uint64_t next_gen = 1;

struct table {
	struct cls_row rows[ROWS_MAX];
	uint32_t n_rows;
};

static void table_fill(struct table *t, struct rnd *r, uint32_t n_rows, uint32_t n_categories, bool wide)
{
	t->n_rows = n_rows;
	for (uint32_t i = 0; i < n_rows; i++) {
		uint32_t where = rnd_below(r, 3);

		t->rows[i] = (struct cls_row){.box = rnd_box(r, wide),
					      .rank = (uint64_t)i << 34 | 5, // no two the same
					      .access_category = CLS_NO_CATEGORY,
					      .meter_category = CLS_NO_CATEGORY};
		if (where != 0)
			t->rows[i].access_category = (uint8_t)rnd_below(r, n_categories);
		if (where != 1)
			t->rows[i].meter_category = (uint8_t)rnd_below(r, n_categories);
	}
}

static struct cls *build(const struct table *t, uint32_t simd)
{
	struct err err = {0};
	struct cls *cls = cls_build(t->rows, t->n_rows, next_gen++, simd, &err);

	if (cls == NULL)
		fail_msg("%s", err.msg);
	return cls;
}

static const uint32_t simd_widths[] = {0, 128, 256, 512};

static uint32_t find(const struct table *t, const struct match_packet *m, uint32_t category)
{
	for (uint32_t i = t->n_rows; i > 0; i--) { // the highest rank first
		const struct cls_row *row = &t->rows[i - 1];

		if ((row->access_category == category || row->meter_category == category) && box_covers(&row->box, m))
			return i;
	}
	return CLS_NO_ROW;
}

// Returns how many results were rows.
static uint32_t burst_equals_linear_search(const struct table *t, struct cls *const cls[4], struct rnd *r)
{
	struct pkt pkt[PKT_BURST];
	uint32_t n = 1 + rnd_below(r, PKT_BURST), hits = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct frame f;

		rnd_frame(r, &f);
		assert_int_equal(pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, &pkt[i]), PKT_OK);
	}
	for (int width = 0; width < 4; width++) {
		uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX], n_categories = cls_n_results(cls[width]);

		memset(out, 0xee, sizeof(out));
		cls_run(cls[width], pkt, n, out);
		for (uint32_t i = 0; i < n; i++) {
			struct match_packet m;

			pkt_to_match_packet(&pkt[i], 0, &m);
			for (uint32_t c = 0; c < n_categories; c++) {
				uint32_t expected = find(t, &m, c), got = out[i * n_categories + c];

				hits += expected != CLS_NO_ROW;
				if (got != expected)
					fail_msg("SIMD %u, category %u: row %u instead of %u", simd_widths[width], c,
						 got, expected);
			}
		}
	}
	return hits;
}

static void random_tables_equal_linear_search_for_every_simd_width(void **state)
{
	static const uint32_t categories[] = {1, 3, 16, 5, 17, 40};
	static struct table t;
	uint64_t seed = rnd_first_seed(1);
	struct rnd r = rnd_seed(seed);
	long rounds = rnd_rounds(60);
	uint64_t hits = 0;

	print_message("seed %llu, %ld rounds\n", (unsigned long long)seed, rounds);
	for (long i = 0; i < rounds; i++) {
		struct cls *cls[4];

		table_fill(&t, &r, 1 + rnd_below(&r, i % 4 == 0 ? 100 : 12), categories[i % 6], i % 2 == 0);
		for (int w = 0; w < 4; w++)
			cls[w] = build(&t, simd_widths[w]);
		for (int n = 0; n < 40; n++)
			hits += burst_equals_linear_search(&t, cls, &r);
		for (int w = 0; w < 4; w++)
			cls_destroy(cls[w]);
	}
	assert_true(hits > 100);
}

static void no_rows_means_no_results(void **state)
{
	struct err err;
	struct cls *cls = cls_build(NULL, 0, next_gen++, 512, &err);

	assert_non_null(cls);
	assert_int_equal(cls_n_results(cls), 0);
	cls_run(cls, NULL, 0, NULL);
	cls_destroy(cls);
}

static void unfit_packets_meet_nothing(void **state)
{
	struct cls_row row = {.box = box_any(), .rank = 1, .meter_category = CLS_NO_CATEGORY};
	struct rnd r = rnd_seed(3);
	uint32_t out[2] = {77, 77};
	struct pkt pkt[2];
	struct frame f;
	struct err err;
	struct cls *cls = cls_build(&row, 1, next_gen++, 512, &err);

	assert_int_equal(cls_n_results(cls), 1);
	rnd_frame(&r, &f);
	pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, &pkt[0]);
	pkt_parse_bytes(f.data, 10, 10, MAX_FRAME, &pkt[1]);
	cls_run(cls, pkt, 2, out);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[1], CLS_NO_ROW);
	assert_int_equal(cls_row(cls, 1)->rank, 1);
	cls_destroy(cls);
}

static void generation_in_use_is_refused(void **state)
{
	struct cls_row row = {.box = box_any(), .rank = 1};
	struct err err;
	struct cls *cls = cls_build(&row, 1, next_gen, 512, &err);

	assert_non_null(cls);
	assert_null(cls_build(&row, 1, next_gen++, 512, &err));
	assert_int_equal(err.code, EEXIST);
	cls_destroy(cls);
}

// The same costly row many times.
static struct cls_row *costly_rows(uint32_t n)
{
	struct cls_row *rows = calloc(n, sizeof(*rows)), row = {.box = box_any(), .rank = 1};

	row.box.kinds = MATCH_KINDS_V6;
	row.box.src = row.box.dst = (struct span128){1, ~(u128)0 - 1};
	row.box.f[MATCH_SRC_ETH] = row.box.f[MATCH_DST_ETH] = (struct span){1, 0xfffffffffffe};
	for (uint32_t i = 0; i < n; i++)
		rows[i] = row;
	return rows;
}

static void spans_that_explode_are_refused(void **state)
{
	enum { N = 40000 }; // times 441 rules
	struct cls_row *rows = costly_rows(N);
	struct err err;

	assert_null(cls_build(rows, N, next_gen++, 512, &err));
	assert_int_equal(err.code, E2BIG);
	cls_destroy(NULL);
	free(rows);
}

static void running_out_of_memory_is_refused_and_leaves_nothing(void **state)
{
	enum { N = 2000 }; // times 441 rules of 300 bytes: more than the EAL has
	struct cls_row *rows = costly_rows(N);
	struct err err;
	struct cls *cls;

	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	assert_null(cls_build(rows, N, next_gen, 512, &err));
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
	assert_int_equal(err.code, ENOMEM);
	cls = cls_build(rows, 1, next_gen++, 512, &err); // nothing of the name is left
	assert_non_null(cls);
	cls_destroy(cls);
	free(rows);
}

static bool piece_has(const struct cls_piece *p, uint64_t hi16, uint64_t lo32)
{
	return hi16 >= p->lo[0] && hi16 <= p->hi[0] && lo32 >= p->lo[1] && lo32 <= p->hi[1];
}

static void split_covers_exactly_and_without_overlap(void **state)
{
	static const uint64_t edge[] = {0, 1, 2, 0xfffffffe, 0xffffffff};
	struct cls_piece out[CLS_PIECES_MAX];
	uint64_t value[25];
	int n_values = 0;

	for (int i = 0; i < 25; i++)
		value[n_values++] = (edge[i / 5] & 0xffff) << 32 | edge[i % 5];
	for (int i = 0; i < n_values; i++) {
		for (int j = 0; j < n_values; j++) {
			uint64_t lo = value[i], hi = value[j];
			uint32_t n;

			if (lo > hi)
				continue;
			n = cls_split(lo, hi, 48, out);
			assert_in_range(n, 1, 3);
			for (int k = 0; k < n_values; k++) {
				int covered = 0;

				for (uint32_t p = 0; p < n; p++)
					covered += piece_has(&out[p], value[k] >> 32, value[k] & UINT32_MAX);
				assert_int_equal(covered, value[k] >= lo && value[k] <= hi);
			}
		}
	}
}

static void prefix_is_one_piece(void **state)
{
	struct cls_piece out[CLS_PIECES_MAX];
	u128 addr = (u128)0x20010db8000000ff << 64 | 0xdeadbeefcafef00d;

	for (unsigned int len = 0; len <= 128; len++) {
		u128 host = len == 0 ? ~(u128)0 : len == 128 ? 0 : ((u128)1 << (128 - len)) - 1;

		assert_int_equal(cls_split(addr & ~host, addr | host, 128, out), 1);
	}
	assert_int_equal(cls_split(1, ~(u128)0 - 1, 128, out), CLS_PIECES_MAX);
	assert_int_equal(cls_split(7, 99, 32, out), 1);
	assert_int_equal(out[0].lo[0] * 1000 + out[0].hi[0], 7099);
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
		cmocka_unit_test(random_tables_equal_linear_search_for_every_simd_width),
		cmocka_unit_test(no_rows_means_no_results),
		cmocka_unit_test(unfit_packets_meet_nothing),
		cmocka_unit_test(generation_in_use_is_refused),
		cmocka_unit_test(spans_that_explode_are_refused),
		cmocka_unit_test(running_out_of_memory_is_refused_and_leaves_nothing),
		cmocka_unit_test(split_covers_exactly_and_without_overlap),
		cmocka_unit_test(prefix_is_one_piece),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
