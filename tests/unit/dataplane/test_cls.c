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
	struct flowtab ft; // in decision order
	const struct row *rows[ROWS_MAX];
	struct cls_verdict verdict[ROWS_MAX];
};

static void table_fill(struct table *t, struct rnd *r, uint32_t n_rows, bool wide)
{
	flowtab_init(&t->ft);
	for (uint32_t i = 0; i < n_rows; i++) {
		struct row row = {.box = rnd_box(r, wide), .rank = n_rows - i};

		assert_int_equal(flowtab_add(&t->ft, &row), 0);
	}
	for (uint32_t i = 0; i < n_rows; i++) {
		t->rows[i] = &t->ft.rows[i];
		t->verdict[i] = (struct cls_verdict){.class_slot = i + 1, .drop = i & 1, .has_row = 1};
	}
}

static struct cls *build(const struct table *t, uint32_t simd)
{
	struct err err = {0};
	struct cls *cls = cls_build(t->rows, t->verdict, t->ft.n_rows, next_gen++, simd, &err);

	if (cls == NULL)
		fail_msg("%s", err.msg);
	return cls;
}

static const uint32_t simd_widths[] = {0, 128, 256, 512};

// Returns how many packets met a row.
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
		struct cls_verdict verdict[PKT_BURST];

		memset(verdict, 0xee, sizeof(verdict));
		cls_run(cls[width], pkt, n, verdict);
		for (uint32_t i = 0; i < n; i++) {
			struct match_packet m;
			const struct row *row;
			uint32_t expected;

			pkt_to_match_packet(&pkt[i], 0, &m);
			row = flowtab_find(&t->ft, &m);
			expected = row == NULL ? 0 : (uint32_t)(row - t->ft.rows) + 1;
			hits += row != NULL;
			if (verdict[i].class_slot != expected || verdict[i].has_row != (expected != 0))
				fail_msg("SIMD %u: row %u instead of %u", simd_widths[width], verdict[i].class_slot,
					 expected);
		}
	}
	return hits;
}

static void random_tables_equal_linear_search_for_every_simd_width(void **state)
{
	uint64_t seed = rnd_first_seed(1);
	struct rnd r = rnd_seed(seed);
	long rounds = rnd_rounds(60);
	uint64_t hits = 0;

	print_message("seed %llu, %ld rounds\n", (unsigned long long)seed, rounds);
	for (long i = 0; i < rounds; i++) {
		struct table t;
		struct cls *cls[4];

		table_fill(&t, &r, 1 + rnd_below(&r, i % 4 == 0 ? 100 : 12), i % 2 == 0);
		for (int w = 0; w < 4; w++)
			cls[w] = build(&t, simd_widths[w]);
		for (int n = 0; n < 60; n++)
			hits += burst_equals_linear_search(&t, cls, &r);
		for (int w = 0; w < 4; w++)
			cls_destroy(cls[w]);
		flowtab_fini(&t.ft);
	}
	assert_true(hits > 100);
}

static void no_rows_means_no_verdict(void **state)
{
	struct err err;
	struct cls *cls = cls_build(NULL, NULL, 0, next_gen++, 512, &err);
	struct cls_verdict verdict[PKT_BURST];
	struct pkt pkt[PKT_BURST];
	struct rnd r = rnd_seed(2);

	assert_non_null(cls);
	for (int i = 0; i < PKT_BURST; i++) {
		struct frame f;

		rnd_frame(&r, &f);
		pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, &pkt[i]);
	}
	memset(verdict, 0xee, sizeof(verdict));
	cls_run(cls, pkt, PKT_BURST, verdict);
	for (int i = 0; i < PKT_BURST; i++)
		assert_int_equal(verdict[i].has_row + verdict[i].drop + verdict[i].class_slot, 0);
	cls_destroy(cls);
}

static void unfit_packets_are_skipped(void **state)
{
	struct table t;
	struct rnd r = rnd_seed(3);
	struct cls_verdict verdict[2] = {{77, 7, 7}, {77, 7, 7}};
	struct pkt pkt[2];
	struct frame f;
	struct cls *cls;

	flowtab_init(&t.ft);
	assert_int_equal(flowtab_add(&t.ft, &(struct row){.box = box_any(), .rank = 1}), 0);
	t.rows[0] = &t.ft.rows[0];
	t.verdict[0] = (struct cls_verdict){5, 0, 1};
	cls = build(&t, 512);
	rnd_frame(&r, &f);
	pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, &pkt[0]);
	pkt_parse_bytes(f.data, 10, 10, MAX_FRAME, &pkt[1]);
	cls_run(cls, pkt, 2, verdict);
	assert_int_equal(verdict[0].class_slot, 5);
	assert_int_equal(verdict[1].class_slot, 77);
	cls_destroy(cls);
	flowtab_fini(&t.ft);
}

static void generation_in_use_is_refused(void **state)
{
	struct box any = box_any();
	struct row row = {.box = any, .rank = 1};
	const struct row *rows[] = {&row};
	struct cls_verdict verdict = {0};
	struct err err;
	struct cls *cls = cls_build(rows, &verdict, 1, next_gen, 512, &err);

	assert_non_null(cls);
	assert_null(cls_build(rows, &verdict, 1, next_gen++, 512, &err));
	assert_int_equal(err.code, EEXIST);
	cls_destroy(cls);
}

// The same costly row many times.
static void fill_with_costly_row(const struct row **rows, uint32_t n, struct row *row)
{
	*row = (struct row){.box = box_any(), .rank = 1};
	row->box.kinds = MATCH_KINDS_V6;
	row->box.src = row->box.dst = (struct span128){1, ~(u128)0 - 1};
	row->box.f[MATCH_SRC_ETH] = row->box.f[MATCH_DST_ETH] = (struct span){1, 0xfffffffffffe};
	for (uint32_t i = 0; i < n; i++)
		rows[i] = row;
}

static void spans_that_explode_are_refused(void **state)
{
	enum { N = 40000 }; // times 441 rules
	const struct row **rows = calloc(N, sizeof(*rows));
	struct cls_verdict *verdict = calloc(N, sizeof(*verdict));
	struct row row;
	struct err err;

	fill_with_costly_row(rows, N, &row);
	assert_null(cls_build(rows, verdict, N, next_gen++, 512, &err));
	assert_int_equal(err.code, E2BIG);
	cls_destroy(NULL);
	free(rows);
	free(verdict);
}

static void running_out_of_memory_is_refused_and_leaves_nothing(void **state)
{
	enum { N = 2000 }; // times 441 rules of 300 bytes: more than the EAL has
	static const struct row *rows[N];
	static struct cls_verdict verdict[N];
	struct row row;
	struct err err;
	struct cls *cls;

	fill_with_costly_row(rows, N, &row);
	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	assert_null(cls_build(rows, verdict, N, next_gen, 512, &err));
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
	assert_int_equal(err.code, ENOMEM);
	cls = cls_build(rows, verdict, 1, next_gen++, 512, &err); // nothing of the name is left
	assert_non_null(cls);
	cls_destroy(cls);
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
		cmocka_unit_test(no_rows_means_no_verdict),
		cmocka_unit_test(unfit_packets_are_skipped),
		cmocka_unit_test(generation_in_use_is_refused),
		cmocka_unit_test(spans_that_explode_are_refused),
		cmocka_unit_test(running_out_of_memory_is_refused_and_leaves_nothing),
		cmocka_unit_test(split_covers_exactly_and_without_overlap),
		cmocka_unit_test(prefix_is_one_piece),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
