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

static void stage_row(struct table *t, const struct part_row *row)
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

// weight UINT16_MAX: delete
static void stage_node(struct table *t, uint32_t number, uint32_t parent, uint16_t depth, uint16_t weight)
{
	struct proto_msg msg = {.type = weight == UINT16_MAX ? PROTO_NODE_DEL : PROTO_NODE_SET,
				.node = {number, parent, depth, weight}};

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
	struct part_row row = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

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
	struct part_row row = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &row);
	table_unstage(t);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 0, 0);
}

static void a_row_twice_fails_the_whole_commit(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);
	struct part_row b = gen_simple_row(2, 1, ACCESS_DENY, T0, INT64_MAX);

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
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), 0);
	stage_del(t, part_row_key(&a));
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
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, T0 + 10);

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
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_row(t, &a);
	stage_meter(t, 3, 0, 0);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT);
	assert_sizes(t, 0, 0);
}

static void a_row_needs_the_meter_of_its_request(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_limit_row(1, 4, T0, INT64_MAX);

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
	stage_del(t, part_row_key(&a));
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_sizes(t, 0, 0);
}

static void a_row_needs_its_node_and_a_node_its_parent(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	a.node = 9;
	a.depth = 2;
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT);
	stage_row(t, &a);
	stage_node(t, 9, 4, 2, 0);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // no node 4
	stage_row(t, &a);
	stage_node(t, 9, 4, 2, 0);
	stage_node(t, 4, 0, 1, 7);
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_int_equal(stats_of(t).n_nodes, 2);
	assert_int_equal(table_node(t, 4)->weight, 7);
	stage_node(t, 4, 0, 0, UINT16_MAX);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // has a child
	stage_node(t, 9, 0, 0, UINT16_MAX);
	stage_node(t, 4, 0, 0, UINT16_MAX);
	assert_int_equal(table_commit(t, T0, &err), -ENOENT); // is named by a row
	stage_node(t, 9, 0, 0, UINT16_MAX);
	stage_node(t, 4, 0, 0, UINT16_MAX);
	stage_del(t, part_row_key(&a));
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_int_equal(stats_of(t).n_nodes, 0);
	assert_null(table_node(t, 9));
}

static void nodes_and_rows_stand_as_deep_as_they_say(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, INT64_MAX);

	stage_node(t, 4, 0, 1, 0);
	stage_node(t, 9, 4, 3, 0);
	assert_int_equal(table_commit(t, T0, &err), -EINVAL);
	stage_node(t, 4, 0, 1, 0);
	stage_node(t, 9, 4, 2, 0);
	assert_int_equal(table_commit(t, T0, &err), 0);
	a.node = 9;
	a.depth = 3;
	stage_row(t, &a);
	assert_int_equal(table_commit(t, T0, &err), -EINVAL);
	stage_node(t, 9, 0, 1, 0); // elsewhere
	assert_int_equal(table_commit(t, T0, &err), -EINVAL);
	stage_node(t, 9, 4, 2, 50); // another weight
	assert_int_equal(table_commit(t, T0, &err), 0);
	assert_int_equal(table_node(t, 9)->weight, 50);
	table_undo(t);
	assert_int_equal(stats_of(t).n_nodes, 0);
}

static void note_change(void *ctx, const struct table_change *change)
{
	char *text = ctx;
	static const char letter[] = {
		[TABLE_ROW_ADDED] = '+', [TABLE_ROW_DELETED] = '-', [TABLE_NODE] = 'n', [TABLE_METER] = 'm'};
	uint64_t id = change->row != NULL ? change->row->id : change->key;

	sprintf(text + strlen(text), "%c%u ", letter[change->kind], (unsigned int)id);
}

static void commits_that_are_not_settled_say_what_they_changed(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_limit_row(1, 4, T0, INT64_MAX), b = gen_simple_row(2, 5, ACCESS_DENY, T0, INT64_MAX);
	char text[128] = "";

	stage_meter(t, 4, 100, PROTO_METER_LIMIT);
	stage_node(t, 3, 0, 1, 0);
	stage_row(t, &a);
	stage_row(t, &b);
	assert_int_equal(table_commit(t, T0, &err), 0);
	stage_del(t, part_row_key(&b));
	assert_int_equal(table_commit(t, T0, &err), 0);
	table_each_change(t, note_change, text);
	assert_string_equal(text, "m4 n3 +4 +5 -5 ");
	table_settle(t);
	text[0] = '\0';
	table_each_change(t, note_change, text);
	assert_string_equal(text, "");
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

static void rows_are_dropped_at_their_end(void **state)
{
	struct table *t = *state;
	struct part_row a = gen_simple_row(1, 1, ACCESS_DENY, T0, T0 + 10);
	struct part_row b = gen_simple_row(2, 9, ACCESS_DENY, T0 + 5, T0 + 20);
	struct part_row c = gen_simple_row(3, 5, ACCESS_ALLOW, T0 + 5, INT64_MAX);

	stage_row(t, &a);
	stage_row(t, &b);
	stage_row(t, &c);
	assert_int_equal(table_commit(t, T0 - 1, &err), 0);
	table_settle(t);
	assert_int_equal(table_expire(t, T0 + 9, NULL, NULL), 0);
	assert_int_equal(table_expire(t, T0 + 20, NULL, NULL), 2);
	assert_sizes(t, 1, 0);
}

// --- against a plain model: arrays that are copied to undo

#define MODEL_ROWS 400
#define MODEL_METERS 40

#define MODEL_NODES 30

struct model {
	bool row[MODEL_ROWS], node[MODEL_NODES + 1];
	uint64_t rate[MODEL_METERS + 1]; // 0: none; odd ids reserve
};

static struct part_row pool[MODEL_ROWS];

static bool has_meter(const struct part_row *row)
{
	return row->part == PART_RESERVE || row->part == PART_LIMIT;
}

static bool model_is_whole(const struct model *m)
{
	for (int i = 0; i < MODEL_ROWS; i++) {
		if (m->row[i] && ((has_meter(&pool[i]) && m->rate[pool[i].id] == 0) ||
				  (pool[i].node != 0 && !m->node[pool[i].node])))
			return false;
	}
	for (uint32_t n = 2; n <= MODEL_NODES; n++) {
		if (m->node[n] && !m->node[n / 2])
			return false;
	}
	return true;
}

static void stage_heap_node(struct table *t, uint32_t number)
{
	struct proto_msg msg = {.type = PROTO_NODE_SET, .node = gen_node(number)};

	assert_int_equal(table_stage(t, &msg, &err), 0);
}

static void stage_row_with_needs(struct table *t, struct model *m, int r)
{
	if (has_meter(&pool[r])) {
		bool reserves = pool[r].part == PART_RESERVE;

		m->rate[pool[r].id] = reserves ? 5 : 6;
		stage_meter(t, pool[r].id, m->rate[pool[r].id], reserves ? PROTO_METER_RESERVATION : PROTO_METER_LIMIT);
	}
	for (uint32_t n = pool[r].node; n > 0; n /= 2) {
		stage_heap_node(t, n);
		m->node[n] = true;
	}
	stage_row(t, &pool[r]);
	m->row[r] = true;
}

// One random transaction into both. Says whether the model took it.
static bool random_transaction(struct gen *g, struct table *t, struct model *m)
{
	struct model next = *m;
	bool ok = true;

	for (unsigned int i = gen_below(g, 30); i > 0; i--) {
		unsigned int r = gen_below(g, MODEL_ROWS), id = 1 + gen_below(g, MODEL_METERS);
		unsigned int n = 1 + gen_below(g, MODEL_NODES);

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
			if (!next.row[r])
				stage_row_with_needs(t, &next, (int)r);
			break;
		case 5:
			if (gen_below(g, 20) != 0)
				break;
			stage_meter(t, id, 0, 0);
			ok = ok && next.rate[id] != 0;
			next.rate[id] = 0;
			break;
		case 6:
			if (gen_below(g, 20) != 0)
				break;
			stage_node(t, n, 0, 0, UINT16_MAX);
			ok = ok && next.node[n];
			next.node[n] = false;
			break;
		default:
			stage_del(t, part_row_key(&pool[r]));
			next.row[r] = false;
		}
	}
	ok = ok && model_is_whole(&next);
	assert_int_equal(table_commit(t, 0, &err) == 0, ok);
	if (ok)
		*m = next;
	return ok;
}

static void count_row(void *ctx, uint64_t key, const struct part_row *row)
{
	struct model *m = ctx;
	int i = 0;

	while (i < MODEL_ROWS && part_row_key(&pool[i]) != key)
		i++;
	assert_true(i < MODEL_ROWS && !m->row[i] && part_row_key(row) == key);
	m->row[i] = true;
}

static void count_meter(void *ctx, const struct proto_meter *meter)
{
	((struct model *)ctx)->rate[meter->id] = meter->rate_bps;
}

static void count_node(void *ctx, const struct proto_node *node)
{
	((struct model *)ctx)->node[node->number] = true;
}

static void assert_same(const struct table *t, const struct model *m)
{
	struct model seen = {0};

	table_each_row(t, count_row, &seen);
	table_each_node(t, count_node, &seen);
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
		pool[i] = gen_row(&g, MODEL_METERS, MODEL_NODES);
		pool[i].box.f[MATCH_TIME] = (struct span){0, MATCH_TIME_MAX};
		pool[i].box.f[MATCH_SRC_ETH] = (struct span){(uint64_t)i, (uint64_t)i}; // no two the same
	}
	for (unsigned int i = 0, n = rounds_from_env(2000); i < n; i++) {
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
	struct part_row a = gen_limit_row(1, 1, T0, INT64_MAX);

	for (uint64_t id = 1; id < 200000; id++) {
		uint64_t old_key = part_row_key(&a);

		a.id = id;
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
		cmocka_unit_test_setup_teardown(a_row_needs_the_meter_of_its_request, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_needs_its_node_and_a_node_its_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_and_rows_stand_as_deep_as_they_say, setup, teardown),
		cmocka_unit_test_setup_teardown(commits_that_are_not_settled_say_what_they_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_meter_changes_its_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_are_dropped_at_their_end, setup, teardown),
		cmocka_unit_test_setup_teardown(random_transactions_are_whole_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(request_numbers_that_only_grow_take_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
