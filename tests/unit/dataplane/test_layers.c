// SPDX-License-Identifier: Apache-2.0
// Layers over random histories against a linear search of the rows alive; bounds.
#include "tests/unit/dataplane/layers_fixture.h"

static const uint32_t widths[] = {0, 128, 256, 512};

// --- a model: all rows in a list

#define SHARE_CATEGORY 40
static const uint8_t access_categories[] = {0, 1, 2, 17, 31};

// Meter categories hold no two rows that overlap.
static uint8_t free_meter_category(const struct fixture *f, const struct box *box, uint32_t first)
{
	for (uint32_t c = first; c < CLS_CATEGORIES_MAX; c++) {
		bool taken = c == 17 || c == 31 || c == SHARE_CATEGORY; // rows overlap there

		for (uint32_t i = 0; i < f->n && !taken; i++)
			taken = f->row[i].row.meter_category == c && box_overlaps(&f->row[i].row.box, box);
		if (!taken)
			return (uint8_t)c;
	}
	return CLS_NO_CATEGORY;
}

static struct cls_row random_row(struct fixture *f)
{
	struct cls_row row = {.box = rnd_box(&f->r, rnd_below(&f->r, 3) > 0),
			      .rank = rnd_below(&f->r, 50),
			      .access_category = CLS_NO_CATEGORY,
			      .meter_category = CLS_NO_CATEGORY};
	uint32_t what = rnd_below(&f->r, 9);

	if (what == 8) { // the deeper share hides the other
		row.meter_category = SHARE_CATEGORY;
		row.hides = true;
		row.rank = (uint64_t)rnd_below(&f->r, 4) << 32 | ~rnd_below(&f->r, 1000);
		return row;
	}
	if (what != 0)
		row.access_category = access_categories[rnd_below(&f->r, rnd_below(&f->r, 4) == 0 ? 5 : 3)];
	if (what < 2)
		row.meter_category = free_meter_category(f, &row.box, rnd_below(&f->r, 8) == 0 ? 34 : 3);
	if (row.access_category == CLS_NO_CATEGORY && row.meter_category == CLS_NO_CATEGORY)
		row.access_category = 0;
	return row;
}

static void model_add(struct fixture *f, struct layers_batch *b)
{
	struct model_row *m = &f->row[f->n];
	struct err err;

	m->row = random_row(f);
	m->slot = layers_batch_add(b, &m->row, &err);
	assert_int_not_equal(m->slot, CLS_NO_ROW);
	if (rnd_below(&f->r, 20) == 0)
		layers_batch_cancel(b, m->slot);
	else
		f->n++;
}

static void model_del(struct fixture *f, struct layers_batch *b, uint32_t committed)
{
	uint32_t i = rnd_below(&f->r, committed);
	struct err err;

	assert_int_equal(layers_batch_del(b, f->row[i].slot, &err), 0);
	f->row[i] = f->row[--f->n];
}

static void random_commit(struct fixture *f)
{
	struct layers_batch *b = layers_batch_create(f->l);
	uint32_t dels = f->n > 0 ? rnd_below(&f->r, f->n > 1200 ? 600 : 12) : 0;
	uint32_t adds = rnd_below(&f->r, 60) == 0 ? 1200 : rnd_below(&f->r, 4) == 0 ? 150 : rnd_below(&f->r, 12);

	assert_non_null(b);
	for (; dels > 0 && f->n > 0; dels--)
		model_del(f, b, f->n);
	for (; adds > 0 && f->n < MODEL_ROWS; adds--)
		model_add(f, b);
	if (rnd_below(&f->r, 3) == 0)
		poll_layers(f, 1);
	commit(f, b);
}

// The best rank by category, -1: no row.
static void model_ranks(const struct fixture *f, const struct pkt *pkt, int64_t best[CLS_CATEGORIES_MAX])
{
	struct match_packet m;

	for (uint32_t c = 0; c < CLS_CATEGORIES_MAX; c++)
		best[c] = -1;
	if (pkt->verdict != PKT_OK)
		return;
	pkt_to_match_packet(pkt, 0, &m);
	for (uint32_t i = 0; i < f->n; i++) {
		const struct cls_row *row = &f->row[i].row;
		int64_t rank = (int64_t)row->rank;

		if (!box_covers(&row->box, &m))
			continue;
		if (row->access_category != CLS_NO_CATEGORY && best[row->access_category] < rank)
			best[row->access_category] = rank;
		if (row->meter_category != CLS_NO_CATEGORY && best[row->meter_category] < rank)
			best[row->meter_category] = rank;
	}
}

static void result_is_right(const struct fixture *f, const struct layers_view *view, const struct pkt *pkt,
			    const uint32_t *result)
{
	int64_t want[CLS_CATEGORIES_MAX];

	model_ranks(f, pkt, want);
	for (uint32_t c = 0; c < CLS_CATEGORIES_MAX; c++) {
		uint32_t slot = c < view->n_categories ? result[c] : CLS_NO_ROW;
		int64_t rank = slot == CLS_NO_ROW ? -1 : (int64_t)layers_slot(f->l, slot)->rank;

		if (rank != want[c])
			fail_msg("category %u: rank %lld instead of %lld", c, (long long)rank, (long long)want[c]);
	}
}

static void random_bursts(struct fixture *f, int n_bursts)
{
	const struct layers_view *view = &atomic_load(&f->live)->view;
	static uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX];

	for (; n_bursts > 0; n_bursts--) {
		struct pkt pkt[PKT_BURST];
		uint32_t n = 1 + rnd_below(&f->r, PKT_BURST);
		bool only_ip4 = rnd_below(&f->r, 2) == 0;

		for (uint32_t i = 0; i < n; i++) {
			struct frame frame;
			bool runt = rnd_below(&f->r, 50) == 0;

			do {
				rnd_frame(&f->r, &frame);
				pkt_parse_bytes(frame.data, runt ? 10 : frame.len, runt ? 10 : frame.len, MAX_FRAME,
						&pkt[i]);
			} while (only_ip4 && !runt && pkt[i].family != PKT_IP4);
			pkt[i].family = runt ? PKT_NONIP : pkt[i].family;
		}
		memset(out, 0xee, sizeof(out));
		layers_run(view, f->reader, pkt, n, out);
		for (uint32_t i = 0; i < n; i++)
			result_is_right(f, view, &pkt[i], out + (size_t)i * view->n_categories);
	}
}

static void one_history(struct fixture *f, uint32_t width, int commits)
{
	struct layers_stats stats;

	fixture_open(f, &(struct layers_conf){.simd_max_bits = width});
	for (int i = 0; i < commits; i++) {
		random_commit(f);
		random_bursts(f, 2);
		rte_rcu_qsbr_quiescent(f->rcu, 0);
		poll_layers(f, rnd_below(&f->r, 20) == 0 ? 500 * MS : MS);
		random_bursts(f, 1);
	}
	merge_fully(f);
	random_bursts(f, 4);
	layers_stats(f->l, &stats);
	assert_int_equal(stats.n_rows, f->n);
	assert_int_equal(stats.n_dead + stats.n_array_rows, 0);
	assert_true(stats.merges > 0 && stats.n_layers <= 1 && stats.merge_failures == 0);
	fixture_close(f);
}

static void random_histories_equal_linear_search_for_every_simd_width(void **state)
{
	uint64_t seed = seed_from_env(1);
	long rounds = rounds_from_env(4);

	rte_log_set_level_pattern("*", RTE_LOG_EMERG); // sets that rte_acl gives up on are among them
	for (long i = 0; i < rounds; i++) {
		print_message("seed %llu\n", (unsigned long long)seed + (uint64_t)i);
		fx.r = rnd_seed(seed + (uint64_t)i);
		one_history(&fx, widths[(seed + (uint64_t)i) % 4], 40);
	}
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
}

// --- one rule a test

static uint32_t add_wide(struct fixture *f, uint32_t rank)
{
	struct layers_batch *b = layers_batch_create(f->l);
	struct cls_row row = wide_row(rank);
	struct err err;
	uint32_t slot = layers_batch_add(b, &row, &err);

	commit(f, b);
	return slot;
}

static void del_row(struct fixture *f, uint32_t slot)
{
	struct layers_batch *b = layers_batch_create(f->l);
	struct err err;

	assert_int_equal(layers_batch_del(b, slot, &err), 0);
	commit(f, b);
}

static uint32_t lookup(struct fixture *f)
{
	const struct layers_view *view = &atomic_load(&f->live)->view;
	uint32_t out[CLS_CATEGORIES_MAX] = {0};
	struct rnd r = rnd_seed(9);
	struct frame frame;
	struct pkt pkt;

	rnd_frame(&r, &frame);
	pkt_parse_bytes(frame.data, frame.len, frame.len, MAX_FRAME, &pkt);
	layers_run(view, f->reader, &pkt, 1, out);
	return view->n_categories == 0 ? CLS_NO_ROW : out[0];
}

static void dead_row_uncovers_what_it_hid_and_is_searched_once(void **state)
{
	uint32_t low, high;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .manual = true});
	low = add_wide(&fx, 1);
	high = add_wide(&fx, 2);
	merge_fully(&fx);
	assert_int_equal(lookup(&fx), high);
	del_row(&fx, high);
	for (int i = 0; i < 5; i++)
		assert_int_equal(lookup(&fx), low);
	assert_int_equal(layers_reader_stats(fx.reader)->dead_hits, 5);
	assert_int_equal(layers_reader_stats(fx.reader)->searches, 1);
	del_row(&fx, low);
	assert_int_equal(lookup(&fx), CLS_NO_ROW);
	assert_int_equal(layers_reader_stats(fx.reader)->searches, 2);
	merge_fully(&fx);
	assert_int_equal(lookup(&fx), CLS_NO_ROW);
	fixture_close(&fx);
}

static void uncommitted_batch_changes_nothing(void **state)
{
	struct layers_batch *b;
	struct layers_stats stats;
	struct cls_row row = wide_row(7);
	struct err err;
	uint32_t first;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .manual = true});
	first = add_wide(&fx, 1);
	b = layers_batch_create(fx.l);
	assert_int_not_equal(layers_batch_add(b, &row, &err), CLS_NO_ROW);
	assert_int_equal(layers_batch_del(b, first, &err), 0);
	assert_int_equal(layers_batch_prepare(b, &err), 0);
	assert_int_equal(lookup(&fx), first);
	layers_batch_destroy(b);
	assert_int_equal(lookup(&fx), first);
	layers_stats(fx.l, &stats);
	assert_int_equal(stats.n_rows, 1);
	fixture_close(&fx);
}

static void full_arrays_push_back_until_merged(void **state)
{
	struct layers_batch *b;
	struct layers_view view;
	struct layers_stats stats;
	struct cls_row row = wide_row(1);
	struct err err;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .manual = true});
	for (int i = 0; i < 4; i++) { // 4 times 512 rows fill 8 arrays
		b = layers_batch_create(fx.l);
		for (int n = 0; n < 512; n++)
			assert_int_not_equal(layers_batch_add(b, &row, &err), CLS_NO_ROW);
		assert_int_equal(layers_commit(fx.l, b, &view, &err), 0);
		publish(&fx, &view);
	}
	b = layers_batch_create(fx.l);
	assert_int_not_equal(layers_batch_add(b, &row, &err), CLS_NO_ROW);
	assert_int_equal(layers_commit(fx.l, b, &view, &err), -EAGAIN);
	layers_stats(fx.l, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.n_rows, 2048);
	merge_fully(&fx);
	assert_int_equal(layers_commit(fx.l, b, &view, &err), 0);
	publish(&fx, &view);
	fixture_close(&fx);
}

static void slots_are_bounded_and_come_back(void **state)
{
	struct err err;
	struct cls_row row = wide_row(1);

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .max_slots = 11});
	for (int round = 0; round < 5; round++) {
		struct layers_batch *b = layers_batch_create(fx.l);
		uint32_t slot[10];

		for (int i = 0; i < 10; i++) {
			slot[i] = layers_batch_add(b, &row, &err);
			assert_int_not_equal(slot[i], CLS_NO_ROW);
		}
		assert_int_equal(layers_batch_add(b, &row, &err), CLS_NO_ROW);
		assert_int_equal(err.code, E2BIG);
		commit(&fx, b);
		b = layers_batch_create(fx.l);
		for (int i = 0; i < 10; i++)
			assert_int_equal(layers_batch_del(b, slot[i], &err), 0);
		commit(&fx, b);
		merge_fully(&fx);
		for (int i = 0; i < 3; i++) { // a grace period
			rte_rcu_qsbr_quiescent(fx.rcu, 0);
			poll_layers(&fx, 1);
		}
	}
	fixture_close(&fx);
}

// Rows of which each is 441 rules.
static uint32_t add_costly_rows(struct fixture *f, int n)
{
	struct layers_batch *b = layers_batch_create(f->l);
	struct cls_row row = wide_row(1);
	uint32_t slot = CLS_NO_ROW;
	struct err err;

	row.box.src = row.box.dst = (struct span128){1, ~(u128)0 - 1};
	row.box.f[MATCH_SRC_ETH] = row.box.f[MATCH_DST_ETH] = (struct span){1, 0xfffffffffffe};
	row.box.kinds = MATCH_KINDS_V6;
	for (; n > 0; n--)
		slot = layers_batch_add(b, &row, &err);
	commit(f, b);
	return slot;
}

static void rows_beyond_rte_acl_are_compared_one_by_one(void **state)
{
	uint32_t slot;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .manual = true});
	add_costly_rows(&fx, 1000);
	add_costly_rows(&fx, 1000); // 300 MB of rules: more than the EAL has
	slot = add_wide(&fx, 2);
	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	merge_fully(&fx);
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
	assert_int_equal(lookup(&fx), slot);
	fixture_close(&fx);
}

static void merge_that_cannot_be_keeps_all_rows_in_force(void **state)
{
	struct layers_stats stats;
	uint32_t slot;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512, .manual = true});
	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	slot = add_wide(&fx, 2);
	for (int i = 0; i < 2; i++) {
		add_costly_rows(&fx, 1000);
		add_costly_rows(&fx, 1000);
		merge_fully(&fx);
	}
	add_costly_rows(&fx, 1000);
	layers_merge_all(fx.l);
	do {
		usleep(1000);
		poll_layers(&fx, MS);
		layers_stats(fx.l, &stats);
	} while (stats.merge_failures == 0);
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
	assert_int_equal(stats.n_rows, 5001);
	assert_int_equal(stats.n_array_rows, 1000);
	assert_non_null(strstr(stats.last_failure, "family 6"));
	assert_int_equal(lookup(&fx), slot);
	assert_int_not_equal(add_wide(&fx, 3), CLS_NO_ROW);
	fixture_close(&fx);
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
		cmocka_unit_test(random_histories_equal_linear_search_for_every_simd_width),
		cmocka_unit_test(dead_row_uncovers_what_it_hid_and_is_searched_once),
		cmocka_unit_test(uncommitted_batch_changes_nothing),
		cmocka_unit_test(full_arrays_push_back_until_merged),
		cmocka_unit_test(slots_are_bounded_and_come_back),
		cmocka_unit_test(rows_beyond_rte_acl_are_compared_one_by_one),
		cmocka_unit_test(merge_that_cannot_be_keeps_all_rows_in_force),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
