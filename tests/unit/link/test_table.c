// SPDX-License-Identifier: Apache-2.0
#include "dataplane/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"

#define T0 1000000000LL

static struct err err;

static void stage_row(struct table *t, const struct row *row)
{
	struct proto_msg msg = {.type = PROTO_ROW_ADD, .row = *row};

	assert_int_equal(table_stage(t, &msg, &err), 0);
}

static void stage_del(struct table *t, uint64_t key)
{
	struct proto_msg msg = {.type = PROTO_ROW_DEL, .row_key = key};

	assert_int_equal(table_stage(t, &msg, &err), 0);
}

// rate 0: delete
static void stage_meter(struct table *t, uint64_t id, uint64_t rate_bps, enum proto_meter_kind kind)
{
	struct proto_msg msg = {.type = rate_bps == 0 ? PROTO_METER_DEL : PROTO_METER_SET,
				.meter = {id, rate_bps, kind}};

	assert_int_equal(table_stage(t, &msg, &err), 0);
}

static struct table_stats stats_of(const struct table *t)
{
	struct table_stats stats;

	table_stats(t, &stats);
	return stats;
}

#define assert_sizes(t, rows, meters) \
	do { \
		assert_int_equal(stats_of(t).n_rows, rows); \
		assert_int_equal(stats_of(t).n_meters, meters); \
	} while (0)

static int setup(void **state)
{
	*state = table_create(&err);
	return *state == NULL;
}

static int teardown(void **state)
{
	table_destroy(*state);
	return 0;
}

static void staged_changes_show_only_after_commit(void **state)
{
	struct table *t = *state;
	struct row row = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &row);
	stage_meter(t, 7, 100, PROTO_METER_LIMIT);
	assert_sizes(t, 0, 0);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 1, 1);
	assert_int_equal(stats_of(t).n_staged, 0);
}

static void unstaged_changes_are_forgotten(void **state)
{
	struct table *t = *state;
	struct row row = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &row);
	table_unstage(t);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 0, 0);
}

static void a_row_twice_fails_the_whole_commit(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);
	struct row b = gen_simple_row(2, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), 0);
	table_settle(t);
	stage_row(t, &b);
	stage_meter(t, 3, 5, PROTO_METER_LIMIT);
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), -EEXIST);
	assert_sizes(t, 1, 0);
	assert_int_equal(stats_of(t).n_staged, 0);
}

static void a_row_may_be_replaced_in_one_commit(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), 0);
	stage_del(t, row_key(&a));
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 1, 0);
}

static void deleting_an_unknown_row_is_counted_and_ignored(void **state)
{
	struct table *t = *state;

	stage_del(t, 12345);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_int_equal(stats_of(t).unknown_dels, 1);
}

static void a_row_that_is_over_has_no_effect(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_DENY, T0, T0 + 10);

	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0 + 10, &err), 0);
	assert_sizes(t, 0, 0);
	assert_int_equal(stats_of(t).expired, 1);
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0 + 9, &err), 0);
	assert_sizes(t, 1, 0);
}

static void an_unknown_meter_cannot_be_deleted(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &a);
	stage_meter(t, 3, 0, 0);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT);
	assert_sizes(t, 0, 0);
}

static void every_request_in_a_row_needs_its_meter(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_ALLOW, T0, INT64_MAX);

	idset_add(&a.action.limits, 4);
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // none
	stage_row(t, &a);
	stage_meter(t, 4, 100, PROTO_METER_RESERVATION);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // of the wrong kind
	assert_sizes(t, 0, 0);
	stage_row(t, &a); // order within a transaction does not matter
	stage_meter(t, 4, 100, PROTO_METER_LIMIT);
	assert_int_equal(table_commit(t, T0, &err), 0);
	table_settle(t);
	stage_meter(t, 4, 0, 0);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // still named
	assert_sizes(t, 1, 1);
	stage_meter(t, 4, 0, 0);
	stage_del(t, row_key(&a));
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 0, 0);
}

static void keep_meter(void *ctx, const struct proto_meter *meter)
{
	*(struct proto_meter *)ctx = *meter;
}

static void a_meter_changes_its_rate(void **state)
{
	struct table *t = *state;
	struct proto_meter seen;

	stage_meter(t, 4, 100, PROTO_METER_LIMIT);
	assert_int_equal(table_commit(t, T0, &err), 0);
	table_settle(t);
	stage_meter(t, 4, 200, PROTO_METER_LIMIT);
	assert_int_equal(table_commit(t, T0, &err), 0);
	table_each_meter(t, keep_meter, &seen);
	assert_int_equal(seen.rate_bps, 200);
	table_undo(t);
	table_each_meter(t, keep_meter, &seen);
	assert_int_equal(seen.rate_bps, 100);
}

static void rows_are_in_force_from_start_to_end(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_DENY, T0, T0 + 10),
		   b = gen_simple_row(2, 9, ACCESS_DENY, T0 + 5, T0 + 20);
	struct row c = gen_simple_row(3, 5, ACCESS_ALLOW, T0 + 5, INT64_MAX);
	static const struct {
		int64_t at, next;
		uint32_t n;
	} cases[] = {{T0 - 1, T0, 0},      {T0, T0 + 5, 1},       {T0 + 4, T0 + 5, 1},    {T0 + 5, T0 + 10, 3},
		     {T0 + 9, T0 + 10, 3}, {T0 + 10, T0 + 20, 2}, {T0 + 20, INT64_MAX, 1}};
	const struct row **rows;
	uint32_t n;

	stage_row(t, &a);
	stage_row(t, &b);
	stage_row(t, &c);
	assert_int_equal(table_commit(t, T0 - 1, &err), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(table_rows(t, cases[i].at, cases[i].at, &rows, &n), 0);
		assert_int_equal(n, cases[i].n);
		for (uint32_t k = 1; k < n; k++)
			assert_true(rows[k - 1]->rank > rows[k]->rank);
		free(rows);
		assert_int_equal(table_next_ns(t, cases[i].at), cases[i].next);
	}
	assert_int_equal(table_rows(t, T0, T0 + 10, &rows, &n), 0);
	assert_int_equal(n, 3);
	free(rows);
	table_settle(t);
	assert_int_equal(table_expire(t, T0 + 9), 0);
	assert_int_equal(table_expire(t, T0 + 20), 2);
	assert_sizes(t, 1, 0);
}

// --- against a plain model: arrays that are copied to undo

#define MODEL_ROWS 400
#define MODEL_METERS 40

struct model {
	bool row[MODEL_ROWS];
	uint64_t rate[MODEL_METERS + 1]; // 0: none; odd ids reserve
};

static struct row pool[MODEL_ROWS];

static bool model_is_whole(const struct model *m)
{
	for (int i = 0; i < MODEL_ROWS; i++) {
		if (!m->row[i])
			continue;
		for (int k = 0; k < pool[i].action.reservations.n; k++) {
			if (m->rate[pool[i].action.reservations.id[k]] == 0)
				return false;
		}
		for (int k = 0; k < pool[i].action.limits.n; k++) {
			if (m->rate[pool[i].action.limits.id[k]] == 0)
				return false;
		}
	}
	return true;
}

// One random transaction into both. Says whether the model took it.
static bool random_transaction(struct gen *g, struct table *t, struct model *m)
{
	struct model next = *m;
	bool ok = true;

	for (unsigned int i = gen_below(g, 30); i > 0; i--) {
		unsigned int r = gen_below(g, MODEL_ROWS), id = 1 + gen_below(g, MODEL_METERS);

		switch (gen_below(g, 12)) {
		case 0: // any row, perhaps twice
			stage_row(t, &pool[r]);
			ok = ok && !next.row[r];
			next.row[r] = true;
			break;
		case 1:
		case 2:
		case 3:
		case 4:
			if (next.row[r])
				break;
			for (int k = 0; k < pool[r].action.reservations.n; k++) {
				stage_meter(t, pool[r].action.reservations.id[k], 5, PROTO_METER_RESERVATION);
				next.rate[pool[r].action.reservations.id[k]] = 5;
			}
			for (int k = 0; k < pool[r].action.limits.n; k++) {
				stage_meter(t, pool[r].action.limits.id[k], 6, PROTO_METER_LIMIT);
				next.rate[pool[r].action.limits.id[k]] = 6;
			}
			stage_row(t, &pool[r]);
			next.row[r] = true;
			break;
		case 5:
			if (gen_below(g, 20) != 0)
				break;
			stage_meter(t, id, 0, 0);
			ok = ok && next.rate[id] != 0;
			next.rate[id] = 0;
			break;
		default:
			stage_del(t, row_key(&pool[r]));
			next.row[r] = false;
		}
	}
	ok = ok && model_is_whole(&next);
	assert_int_equal(table_commit(t, 0, &err) == 0, ok);
	if (ok)
		*m = next;
	return ok;
}

static void count_row(void *ctx, uint64_t key, const struct row *row)
{
	struct model *m = ctx;
	int i = 0;

	while (i < MODEL_ROWS && row_key(&pool[i]) != key)
		i++;
	assert_true(i < MODEL_ROWS && !m->row[i] && row_key(row) == key);
	m->row[i] = true;
}

static void count_meter(void *ctx, const struct proto_meter *meter)
{
	((struct model *)ctx)->rate[meter->id] = meter->rate_bps;
}

static void assert_same(const struct table *t, const struct model *m)
{
	struct model seen = {0};

	table_each_row(t, count_row, &seen);
	table_each_meter(t, count_meter, &seen);
	assert_memory_equal(&seen, m, sizeof(seen));
}

static void random_transactions_are_whole_or_nothing(void **state)
{
	struct gen g = gen_init(__func__);
	struct model now = {0}, settled = {0};
	struct table *t = *state;
	unsigned int n_ok = 0, n_refused = 0, n_undone = 0;

	for (int i = 0; i < MODEL_ROWS; i++) {
		pool[i] = gen_row(&g, MODEL_METERS);
		pool[i].box.f[MATCH_TIME] = (struct span){0, MATCH_TIME_MAX};
		pool[i].rank = 1 + i; // no two the same
	}
	for (unsigned int i = 0, n = gen_rounds(2000); i < n; i++) {
		if (random_transaction(&g, t, &now))
			n_ok++;
		else
			n_refused++;
		if (gen_below(&g, 4) == 0) {
			table_settle(t);
			settled = now;
		} else if (gen_below(&g, 6) == 0) {
			table_undo(t);
			now = settled;
			n_undone++;
		}
		if (i % 16 == 0)
			assert_same(t, &now);
	}
	assert_same(t, &now);
	printf("%u committed, %u refused, %u undone\n", n_ok, n_refused, n_undone);
	assert_true(n_ok > 100 && n_refused > 100 && n_undone > 20);
}

static void request_numbers_that_only_grow_take_no_memory(void **state)
{
	struct table *t = *state;
	struct row a = gen_simple_row(1, 1, ACCESS_ALLOW, T0, INT64_MAX);

	for (uint64_t id = 1; id < 200000; id++) {
		uint64_t old_key = row_key(&a);

		a.action.limits = (struct idset){0};
		idset_add(&a.action.limits, id);
		stage_del(t, old_key);
		stage_row(t, &a);
		stage_meter(t, id, 100, PROTO_METER_LIMIT);
		if (id > 1)
			stage_meter(t, id - 1, 0, 0);
		assert_int_equal(table_commit(t, T0, &err), 0);
		table_settle(t);
	}
	assert_sizes(t, 1, 1);
	assert_true(stats_of(t).n_slots <= 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(staged_changes_show_only_after_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(unstaged_changes_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_twice_fails_the_whole_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_may_be_replaced_in_one_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(deleting_an_unknown_row_is_counted_and_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_that_is_over_has_no_effect, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_meter_cannot_be_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(every_request_in_a_row_needs_its_meter, setup, teardown),
		cmocka_unit_test_setup_teardown(a_meter_changes_its_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_are_in_force_from_start_to_end, setup, teardown),
		cmocka_unit_test_setup_teardown(random_transactions_are_whole_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(request_numbers_that_only_grow_take_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
