// SPDX-License-Identifier: Apache-2.0
// Answers that are kept against what the rows say one by one: denied or not, and what is counted for whom.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "dataplane/combine.h"
#include "dataplane/layers.h"
#include "hft/parts.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/random_net.h"

#define ROWS 24000 // more than answers are kept
#define VECTORS 12000

static const uint32_t n_categories_of[] = {1, 4, 8, 12, 24, 28, 128};

static struct fixture {
	struct layers *l;
	struct layers_batch *batch;
	struct combine *c;
	uint32_t slot[ROWS];
	struct row_count count[ROWS];
	uint64_t packets[ROWS]; // that met the row
	struct rnd r;
} fx;

// Row i is counted by counter i. Batches are not committed: the slots are all that is asked for.
static void open_rows(uint32_t deny_every)
{
	static const struct names_node root[1];
	struct layers_conf conf = {.manual = true, .max_slots = ROWS + 1};
	struct err err;

	memset(&fx, 0, sizeof(fx));
	fx.r = rnd_seed(seed_from_env(11));
	fx.l = layers_create(&conf, &err);
	assert_non_null(fx.l);
	fx.batch = layers_batch_create(fx.l);
	fx.c = combine_create(root, fx.l, fx.count, &err);
	assert_true(fx.batch != NULL && fx.c != NULL);
	for (uint32_t i = 0; i < ROWS; i++) {
		struct cls_row row = {
			.box = box_any(),
			.access_category = 0,
			.meter_category = CLS_NO_CATEGORY,
			.payload = {.node = NAMES_ROOT,
				    .counter = i,
				    .part = PART_ACCESS,
				    .access = i % deny_every == 0 ? ACCESS_DENY : ACCESS_ALLOW},
		};

		fx.slot[i] = layers_batch_add(fx.batch, &row, &err);
		assert_int_not_equal(fx.slot[i], CLS_NO_ROW);
	}
}

static void close_rows(void)
{
	combine_destroy(fx.c);
	layers_batch_destroy(fx.batch);
	layers_destroy(fx.l);
}

// As a worker asks.
static struct combined *ask(uint64_t epoch, const uint32_t *met, uint32_t n_categories)
{
	struct combined *answer = NULL;

	if (n_categories > 1)
		answer = combine_of_many(fx.c, epoch, met, n_categories, combine_place(met, n_categories));
	if (n_categories == 1)
		answer = combine_of_one(fx.c, epoch, met[0]);
	return answer != NULL ? answer : combine_get(fx.c, epoch, met, n_categories);
}

// rows: indices and one, by category; 0: none. first: that each counts for the row that stands in its slot now.
static void ask_and_compare(uint64_t epoch, const uint32_t *rows, uint32_t n_categories, uint32_t shift,
			    uint32_t deny_every)
{
	uint32_t met[CLS_CATEGORIES_MAX], n = 0;
	struct combined *answer;
	bool drop = false;

	for (uint32_t c = 0; c < n_categories; c++) {
		uint32_t row = (rows[c] + shift - 1) % ROWS;

		met[c] = rows[c] == 0 ? CLS_NO_ROW : fx.slot[rows[c] - 1];
		if (rows[c] == 0)
			continue;
		drop = drop || row % deny_every == 0;
		fx.packets[row] += n++ < COMBINE_WORDS_MAX; // so many counters has an answer
	}
	answer = ask(epoch, met, n_categories);
	assert_int_equal(answer->drop, drop);
	combine_count(answer, 1, 64);
}

static void counters_are_right(void)
{
	for (int i = 0; i < COMBINE_FLUSHES; i++)
		combine_flush(fx.c);
	for (uint32_t i = 0; i < ROWS; i++) {
		assert_int_equal(atomic_load(&fx.count[i].packets), fx.packets[i]);
		assert_int_equal(atomic_load(&fx.count[i].bytes), 64 * fx.packets[i]);
	}
}

// Distinct rows, in some categories.
static void random_rows(uint32_t *rows, uint32_t n_categories)
{
	uint32_t at = rnd_below(&fx.r, ROWS), fill = rnd_below(&fx.r, 4);

	for (uint32_t c = 0; c < n_categories; c++) {
		at = (at + 1 + rnd_below(&fx.r, 8)) % ROWS;
		rows[c] = rnd_below(&fx.r, 4) <= fill && (fill > 0 || rnd_below(&fx.r, 3) == 0) ? at + 1 : 0;
	}
}

static void kept_answers_equal_what_the_rows_say(void **state)
{
	static uint32_t rows[VECTORS][CLS_CATEGORIES_MAX];

	open_rows(5);
	for (uint32_t v = 0; v < VECTORS; v++)
		random_rows(rows[v], CLS_CATEGORIES_MAX);
	for (uint32_t i = 0; i < 60000; i++) {
		uint32_t v = rnd_below(&fx.r, rnd_below(&fx.r, 2) == 0 ? 100 : VECTORS);
		uint32_t n_categories = n_categories_of[rnd_below(&fx.r, 7)];

		ask_and_compare(1, rows[v], n_categories, 0, 5);
		if (i % 1000 == 0)
			combine_flush(fx.c);
	}
	counters_are_right();
	close_rows();
}

// A row that, at that category, leaves the answer in the place it has, and denies where the one there allows, or the
// other way round; ROWS: there is none.
static uint32_t row_of_same_place(const uint32_t *rows, uint32_t n_categories, uint32_t at)
{
	uint32_t met[CLS_CATEGORIES_MAX], place, row;

	for (uint32_t c = 0; c < n_categories; c++)
		met[c] = fx.slot[rows[c] - 1];
	place = combine_place(met, n_categories);
	for (row = 0; row < ROWS; row++) {
		met[at] = fx.slot[row];
		if (combine_place(met, n_categories) == place && row % 2 != (rows[at] - 1) % 2)
			break;
	}
	return row;
}

static void answers_of_one_place_that_differ_in_one_word_are_told_apart(void **state)
{
	uint32_t rows[CLS_CATEGORIES_MAX], found = 0;

	open_rows(2); // one of each pair is denied, nothing else is
	for (uint64_t k = 1; k < 6; k++) {
		uint32_t n_categories = n_categories_of[k];

		for (uint32_t at = 0; at < n_categories && n_categories <= COMBINE_WORDS_MAX; at++) {
			uint32_t row;

			for (uint32_t c = 0; c < n_categories; c++)
				rows[c] = 2 * (c + 1); // an allow
			row = row_of_same_place(rows, n_categories, at);
			found += row < ROWS;
			for (int i = 0; i < 4 && row < ROWS; i++) {
				rows[at] = i % 2 == 0 ? 2 * (at + 1) : row + 1;
				ask_and_compare(k, rows, n_categories, 0, 2);
			}
		}
	}
	assert_true(found > 20);
	counters_are_right();
	close_rows();
}

// Whose answer lies in the places where a row's would: it is worked out again, never taken for it.
static void rows_that_share_a_place_keep_their_answers(void **state)
{
	open_rows(2);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t row = 7 + i % 3 * COMBINE_ENTRIES % ROWS;

		if (i % 3 == 2)
			row = 8 + COMBINE_ENTRIES; // the other place's own
		ask_and_compare(1, &(uint32_t){row + 1}, 1, 0, 2);
	}
	counters_are_right();
	close_rows();
}

static void slots_of_another_epoch_are_other_rows(void **state)
{
	uint32_t rows[CLS_CATEGORIES_MAX];
	uint64_t first = seed_from_env(11);

	open_rows(3);
	for (uint64_t epoch = 1; epoch <= 20; epoch++) {
		for (uint32_t i = 0; i < ROWS; i++) { // slot i now is row i + epoch
			struct cls_slot *slot = (struct cls_slot *)(uintptr_t)layers_slot(fx.l, fx.slot[i]);
			uint32_t row = (i + (uint32_t)epoch) % ROWS;

			slot->payload.counter = row;
			slot->payload.access = row % 3 == 0 ? ACCESS_DENY : ACCESS_ALLOW;
		}
		fx.r = rnd_seed(first); // the same slots again
		for (uint32_t i = 0; i < 300; i++) {
			random_rows(rows, CLS_CATEGORIES_MAX);
			ask_and_compare(epoch, rows, n_categories_of[i % 7], (uint32_t)epoch, 3);
		}
	}
	counters_are_right();
	close_rows();
}

static int setup(void **state)
{
	test_eal_init();
	print_message("seed %llu\n", (unsigned long long)seed_from_env(11));
	return 0;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_answers_equal_what_the_rows_say),
		cmocka_unit_test(answers_of_one_place_that_differ_in_one_word_are_told_apart),
		cmocka_unit_test(rows_that_share_a_place_keep_their_answers),
		cmocka_unit_test(slots_of_another_epoch_are_other_rows),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
