// SPDX-License-Identifier: Apache-2.0
// Random histories of commits and instants: what workers find in the live snapshot is, at every moment, exactly the
// rows of the committed table whose time it is; while a commit is under way, of the table before it.
#include "dataplane/dp_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/dp_rows.h"
#include "dataplane/layers.h"
#include "dataplane/names.h"
#include "dataplane/sched_log.h"
#include "dataplane/sched_slots.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/random_net.h"

#define MS INT64_C(1000000)
#define ROWS_MAX 8000
#define MAX_FRAME 1522
#define PACKETS 40

struct rows {
	struct part_row row[ROWS_MAX];
	uint32_t n;
};

static struct fixture {
	struct rnd r;
	struct table *table;
	struct snapshot_slot slot;
	struct sched_log *log;
	struct dp_policy *policy;
	struct layers_reader *reader;
	struct parts_nodes *nodes;
	struct parts *parts; // chooses categories
	struct rows wanted, settled;
	int64_t now_ns;
	uint64_t next_id;
	bool pending;
	unsigned int n_waited, n_late;
	struct { // as a worker knows them
		uint64_t id, rate_bps;
	} meter[SCHED_METERS_MAX];
	uint32_t n_meters, n_meters_most;
} fx;

static struct err err;

static int open_fixture(void **state)
{
	memset(&fx, 0, sizeof(fx));
	fx.now_ns = 1000 * MS;
	fx.table = table_create(&err);
	fx.log = sched_log_create(1, &err);
	snapshot_slot_init(&fx.slot, rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE), 1);
	rte_rcu_qsbr_init(fx.slot.rcu, 1);
	rte_rcu_qsbr_thread_register(fx.slot.rcu, 0);
	rte_rcu_qsbr_thread_online(fx.slot.rcu, 0);
	fx.policy = dp_policy_create(fx.table, &fx.slot, fx.log, 512, &err);
	assert_non_null(fx.policy);
	fx.reader = layers_reader_create(dp_policy_layers(fx.policy));
	fx.nodes = parts_nodes_create();
	fx.parts = parts_create(fx.nodes);
	return 0;
}

static int close_fixture(void **state)
{
	snapshot_slot_fini(&fx.slot);
	layers_reader_destroy(fx.reader);
	assert_true(dp_policy_destroy(fx.policy, true));
	sched_log_destroy(fx.log);
	table_destroy(fx.table);
	parts_destroy(fx.parts);
	parts_nodes_destroy(fx.nodes);
	rte_free(fx.slot.rcu);
	return 0;
}

// --- what is asked of the table

static void stage(enum proto_type type, const struct part_row *row)
{
	struct proto_msg msg = {.type = type};

	if (type == PROTO_ROW_ADD)
		msg.row = *row;
	else
		msg.row_key = part_row_key(row);
	assert_int_equal(table_stage(fx.table, &msg, &err), 0);
}

static void stage_meter(enum proto_type type, uint64_t id, uint64_t rate_bps)
{
	struct proto_msg msg = {.type = type, .meter = {.id = id, .rate_bps = rate_bps, .kind = PROTO_METER_LIMIT}};

	assert_int_equal(table_stage(fx.table, &msg, &err), 0);
}

static void wanted_del(uint64_t key)
{
	for (uint32_t i = 0; i < fx.wanted.n; i++) {
		if (part_row_key(&fx.wanted.row[i]) == key) {
			if (fx.wanted.row[i].part == PART_LIMIT)
				stage_meter(PROTO_METER_DEL, fx.wanted.row[i].id, 0);
			fx.wanted.row[i] = fx.wanted.row[--fx.wanted.n];
			return;
		}
	}
}

static void row_moved(void *ctx, const struct part_row *row)
{
	uint64_t key = part_row_key(row);

	for (uint32_t i = 0; i < fx.wanted.n; i++) {
		if (part_row_key(&fx.wanted.row[i]) != key)
			continue;
		stage(PROTO_ROW_DEL, row);
		stage(PROTO_ROW_ADD, row);
		fx.wanted.row[i] = *row;
	}
}

static void add_row(const struct box *box, int64_t start_ns, int64_t end_ns)
{
	struct part_row row = {.box = *box, .id = ++fx.next_id, .part = PART_ACCESS};

	if (rnd_below(&fx.r, 4) == 0)
		row.part = PART_LIMIT;
	else
		row.access = rnd_below(&fx.r, 2) ? ACCESS_DENY : ACCESS_ALLOW;
	box_set_time(&row.box, start_ns, end_ns);
	if (fx.wanted.n == ROWS_MAX || parts_add(fx.parts, &row, &row, &err) < 0)
		return;
	fx.wanted.row[fx.wanted.n++] = row;
	if (row.part == PART_LIMIT)
		stage_meter(PROTO_METER_SET, row.id, row.id);
	stage(PROTO_ROW_ADD, &row);
}

static int64_t some_ns(void)
{
	static const uint32_t ms[] = {1, 3, 10, 50, 1000};

	return fx.now_ns / MS * MS + (1 + (int64_t)rnd_below(&fx.r, ms[rnd_below(&fx.r, 5)])) * MS;
}

static void add_random(void)
{
	struct box box = rnd_box(&fx.r, true);
	int64_t start = rnd_below(&fx.r, 3) == 0 ? some_ns() : 0, end = some_ns();

	if (end > start)
		add_row(&box, start, rnd_below(&fx.r, 4) == 0 ? INT64_MAX : end);
}

// Rows of one host each.
static void add_many(uint32_t n)
{
	int64_t start = rnd_below(&fx.r, 2) ? some_ns() : 0, end = start + some_ns();
	uint32_t first = rnd_below(&fx.r, 1u << 20);

	for (uint32_t i = 0; i < n; i++) {
		struct box box = box_any();

		box.kinds = MATCH_KINDS_V4;
		box.src = match_ip4_prefix(0x0b000000 + first + i, 32);
		add_row(&box, start, end);
	}
}

static void del_random(void)
{
	struct part_row row;

	if (fx.wanted.n == 0)
		return;
	row = fx.wanted.row[rnd_below(&fx.r, fx.wanted.n)];
	parts_del(fx.parts, part_row_key(&row));
	stage(PROTO_ROW_DEL, &row);
	wanted_del(part_row_key(&row));
}

// The limits of wanted rows go with the next commit.
static void forget_over(struct rows *rows)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rows->n; i++) {
		if (box_end_ns(&rows->row[i].box) > fx.now_ns)
			rows->row[n++] = rows->row[i];
		else if (rows == &fx.wanted && rows->row[i].part == PART_LIMIT) {
			stage(PROTO_ROW_DEL, &rows->row[i]); // the table may not have dropped it yet
			stage_meter(PROTO_METER_DEL, rows->row[i].id, 0);
		}
	}
	rows->n = n;
}

// --- what workers find

static struct cls_payload const *found(const uint32_t *out, uint32_t c)
{
	return out[c] == CLS_NO_ROW ? NULL : &layers_slot(dp_policy_layers(fx.policy), out[c])->payload;
}

static void packet_finds(const struct layers_view *view, const struct pkt *pkt)
{
	uint32_t out[CLS_CATEGORIES_MAX] = {0};
	struct match_packet packet;
	struct parts_visible want;

	layers_run(view, fx.reader, pkt, 1, out);
	pkt_to_match_packet(pkt, (uint64_t)fx.now_ns, &packet);
	parts_find_among(fx.settled.row, fx.settled.n, &packet, &want);
	for (uint32_t c = 0; c < PARTS_CATEGORIES_MAX; c++) {
		const struct part_row *row = c < want.n ? want.row[c] : NULL;
		const struct cls_payload *got = c < view->n_categories ? found(out, c) : NULL;

		if ((row == NULL) != (got == NULL))
			fail_msg("category %u: %s at %lld", c, row == NULL ? "a row too many" : "a row is missing",
				 (long long)fx.now_ns);
		if (row != NULL && got->key != part_row_key(row))
			assert_int_equal(got->access, row->access); // of equal rank
		if (row != NULL && row->part == PART_LIMIT)
			assert_int_equal(fx.meter[got->meter].id, row->id);
	}
}

static void read_log(void)
{
	struct sched_change c;

	while (sched_log_read(fx.log, 0, &c, 1) == 1) {
		if (c.kind != SCHED_METER_SET && c.kind != SCHED_METER_DEL)
			continue;
		assert_true(fx.meter[c.slot].id == 0 || fx.meter[c.slot].id == c.id);
		fx.n_meters += (c.kind == SCHED_METER_SET) - (fx.meter[c.slot].id != 0);
		fx.meter[c.slot].id = c.kind == SCHED_METER_SET ? c.id : 0;
		fx.meter[c.slot].rate_bps = c.rate_bps;
		fx.n_meters_most = fx.n_meters > fx.n_meters_most ? fx.n_meters : fx.n_meters_most;
	}
}

static void workers_find_what_they_should(void)
{
	const struct snapshot *s = atomic_load(&fx.slot.live);
	struct dp_rows_stats stats;

	read_log();

	dp_policy_stats(fx.policy, &stats);
	fx.n_late += stats.n_late > 0;
	if (s == NULL || stats.n_late > 0)
		return;
	for (int i = 0; i < PACKETS; i++) {
		struct frame f;
		struct pkt pkt;

		rnd_frame(&fx.r, &f);
		assert_int_equal(pkt_parse_bytes(f.data, f.len, f.len, MAX_FRAME, &pkt), PKT_OK);
		if (i % 2 == 0 && pkt.family == PKT_IP4) // one of the many hosts
			pkt.ip4.src_be = htobe32(0x0b000000 + rnd_below(&fx.r, 1u << 20));
		if (i % 4 == 0 && fx.settled.n > 0 && pkt.family == PKT_IP4)
			pkt.ip4.src_be =
				htobe32((uint32_t)(fx.settled.row[rnd_below(&fx.r, fx.settled.n)].box.src.lo >> 96));
		packet_finds(&s->view, &pkt);
	}
	rte_rcu_qsbr_quiescent(fx.slot.rcu, 0);
	snapshot_reap(&fx.slot);
}

// --- the link thread

static void try_commit(void)
{
	uint32_t gen = dp_policy_commit(fx.policy, fx.now_ns, &err);

	if (gen == 0 && err.code != EAGAIN)
		fail_msg("%s", err.msg);
	fx.n_waited += !fx.pending && gen == 0;
	fx.pending = gen == 0;
	if (fx.pending)
		return;
	table_settle(fx.table);
	memcpy(&fx.settled, &fx.wanted, sizeof(fx.settled));
}

// The time of the test runs faster than the builders': they get theirs.
static void await_builders(int64_t until_ns)
{
	struct dp_rows_stats stats;

	for (dp_policy_stats(fx.policy, &stats); stats.building_ns <= until_ns; dp_policy_stats(fx.policy, &stats)) {
		usleep(50);
		dp_policy_turn(fx.policy, fx.now_ns);
		read_log();
		rte_rcu_qsbr_quiescent(fx.slot.rcu, 0);
	}
}

static void turn(int64_t ns)
{
	await_builders(fx.now_ns + ns);
	fx.now_ns += ns;
	forget_over(&fx.wanted);
	forget_over(&fx.settled);
	parts_expire(fx.parts, fx.now_ns, NULL, NULL);
	dp_policy_turn(fx.policy, fx.now_ns);
	if (fx.pending)
		try_commit();
	workers_find_what_they_should();
}

static void change(void)
{
	uint32_t what = rnd_below(&fx.r, 40);

	if (what == 0)
		add_many(200 + rnd_below(&fx.r, 200));
	else if (what == 1)
		add_many(1100 + rnd_below(&fx.r, 400));
	for (uint32_t n = rnd_below(&fx.r, 4); n > 0; n--)
		add_random();
	for (uint32_t n = rnd_below(&fx.r, fx.wanted.n > 100 ? 6 : 3); n > 0; n--)
		del_random();
	assert_int_equal(table_commit(fx.table, fx.now_ns, &err), 0);
	try_commit();
	workers_find_what_they_should();
}

static void snapshots_are_what_the_table_says(void **state)
{
	uint64_t seed = seed_from_env(5);
	long rounds = rounds_from_env(1500);

	print_message("seed %llu, %ld rounds\n", (unsigned long long)seed, rounds);
	fx.r = rnd_seed(seed);
	parts_on_moved(fx.parts, row_moved, NULL);
	for (long i = 0; i < rounds; i++) {
		if (!fx.pending)
			change();
		turn((int64_t)rnd_below(&fx.r, 4) * MS / 2);
		if (rnd_below(&fx.r, 8) == 0)
			usleep(100); // builders
	}
	print_message("%u commits waited, rows were late %u times, %u rows at the end\n", fx.n_waited, fx.n_late,
		      fx.settled.n);
	assert_true(fx.n_waited > 0);
	for (int i = 0; i < 5000 && fx.pending; i++) {
		usleep(1000);
		turn(1);
	}
	assert_false(fx.pending);
	assert_true(fx.n_meters_most > 100);
}

// Commits what is staged, and lets workers take it.
static void settle(void)
{
	assert_int_equal(table_commit(fx.table, fx.now_ns, &err), 0);
	do {
		try_commit();
		dp_policy_turn(fx.policy, fx.now_ns);
		usleep(20);
	} while (fx.pending);
	workers_find_what_they_should();
}

static void pass(int64_t ns)
{
	turn(ns);
	turn(0);
	turn(0);
}

static struct part_row limit_row(uint32_t host, int64_t start_ns, int64_t end_ns)
{
	struct part_row row = {.box = box_any(), .id = ++fx.next_id, .part = PART_LIMIT};

	row.box.kinds = MATCH_KINDS_V4;
	row.box.src = match_ip4_prefix(0x0b000000 + host, 32);
	box_set_time(&row.box, start_ns, end_ns);
	assert_int_equal(parts_add(fx.parts, &row, &row, &err), 0);
	fx.wanted.row[fx.wanted.n++] = row;
	stage_meter(PROTO_METER_SET, row.id, row.id);
	stage(PROTO_ROW_ADD, &row);
	return row;
}

static void limits_have_slots_only_while_their_rows_are_looked_up(void **state)
{
	int64_t t0 = fx.now_ns;
	struct part_row now, row;

	fx.r = rnd_seed(1);
	limit_row(1, t0 + 5000 * MS, t0 + 6000 * MS);
	row = limit_row(2, t0 + 5000 * MS, t0 + 5500 * MS);
	now = limit_row(3, 0, INT64_MAX);
	settle();
	assert_int_equal(fx.n_meters, 1);
	stage_meter(PROTO_METER_SET, row.id, 77); // another rate before it starts
	stage_meter(PROTO_METER_SET, now.id, 78); // and of one that is there
	settle();
	assert_int_equal(fx.n_meters, 1);
	for (uint32_t i = 0; i < SCHED_METERS_MAX; i++)
		assert_true(fx.meter[i].id != now.id || fx.meter[i].rate_bps == 78);
	pass(4999 * MS);
	assert_int_equal(fx.n_meters, 1);
	pass(MS);
	assert_int_equal(fx.n_meters, 3);
	for (uint32_t i = 0; i < SCHED_METERS_MAX; i++)
		assert_true(fx.meter[i].id != row.id || fx.meter[i].rate_bps == 77);
	pass(500 * MS);
	assert_int_equal(fx.n_meters, 2);
	pass(500 * MS);
	assert_int_equal(fx.n_meters, 1);
	parts_del(fx.parts, part_row_key(&now));
	stage(PROTO_ROW_DEL, &now);
	wanted_del(part_row_key(&now));
	settle();
	pass(0);
	assert_int_equal(fx.n_meters, 0);
	// many that start together get theirs some seconds before
	t0 = fx.now_ns;
	for (uint32_t i = 0; i < 400; i++)
		limit_row(i, t0 + 60000 * MS, t0 + 61000 * MS);
	settle();
	pass(49000 * MS);
	assert_int_equal(fx.n_meters, 0);
	pass(2000 * MS);
	assert_int_equal(fx.n_meters, 400);
	row = fx.wanted.row[7];
	parts_del(fx.parts, part_row_key(&row)); // one of them will not start
	stage(PROTO_ROW_DEL, &row);
	wanted_del(part_row_key(&row));
	settle();
	pass(9000 * MS);
	assert_int_equal(fx.n_meters, 399);
	pass(1000 * MS);
	pass(0);
	assert_int_equal(fx.n_meters, 0);
}

// By far: what comes then has the controller's times, which go back with the clock.
static void a_clock_that_was_set_back_is_followed(void **state)
{
	int64_t t0 = fx.now_ns;
	uint64_t id;

	fx.r = rnd_seed(1);
	limit_row(1, t0 + 1000 * MS, t0 + 2000 * MS);
	limit_row(2, t0 + 1200 * MS, INT64_MAX);
	settle();
	id = limit_row(3, 0, INT64_MAX).id;
	settle();
	pass(7200000 * MS); // 2 h
	assert_int_equal(fx.n_meters, 2);
	parts_del(fx.parts, part_row_key(&fx.wanted.row[fx.wanted.n - 1]));
	stage(PROTO_ROW_DEL, &fx.wanted.row[fx.wanted.n - 1]);
	wanted_del(part_row_key(&fx.wanted.row[fx.wanted.n - 1]));
	settle();
	assert_int_not_equal(names_counter(dp_policy_names(fx.policy), id), NAMES_NO_SLOT); // it rests

	fx.now_ns = t0 + 1500 * MS;
	dp_policy_turn(fx.policy, fx.now_ns);
	pass(0);
	assert_int_equal(fx.n_meters, 1); // what has started stays, what is over stays over
	limit_row(4, fx.now_ns, fx.now_ns + 10000 * MS);
	limit_row(5, fx.now_ns + 5000 * MS, fx.now_ns + 20000 * MS);
	settle();
	assert_int_equal(fx.n_meters, 2);
	pass(4999 * MS);
	assert_int_equal(fx.n_meters, 2);
	assert_int_equal(names_counter(dp_policy_names(fx.policy), id), NAMES_NO_SLOT); // it has rested long enough
	pass(MS);
	assert_int_equal(fx.n_meters, 3);
	pass(5000 * MS);
	assert_int_equal(fx.n_meters, 2);
	pass(10000 * MS);
	assert_int_equal(fx.n_meters, 1);
}

static void a_clock_a_little_behind_is_waited_for(void **state)
{
	fx.r = rnd_seed(1);
	limit_row(1, fx.now_ns + 1000 * MS, fx.now_ns + 2000 * MS);
	settle();
	pass(1000 * MS);
	assert_int_equal(fx.n_meters, 1);
	dp_policy_turn(fx.policy, fx.now_ns - 900 * MS);
	dp_policy_turn(fx.policy, fx.now_ns + 999 * MS);
	dp_policy_turn(fx.policy, fx.now_ns);
	pass(999 * MS);
	assert_int_equal(fx.n_meters, 1);
	pass(MS);
	pass(0);
	assert_int_equal(fx.n_meters, 0);
}

static void a_commit_that_fails_leaves_all_as_it_was(void **state)
{
	struct proto_msg node = {.type = PROTO_NODE_SET, .node = {.weight = 2}};

	fx.r = rnd_seed(1);
	add_many(100);
	table_commit(fx.table, fx.now_ns, &err);
	try_commit();
	for (uint32_t i = 1; i <= SCHED_NODE_DEPTH_MAX + 1; i++) { // deeper than the scheduler goes
		node.node.number = i;
		node.node.parent = i - 1;
		node.node.depth = (uint16_t)i;
		assert_int_equal(table_stage(fx.table, &node, &err), 0);
	}
	del_random();
	assert_int_equal(table_commit(fx.table, fx.now_ns, &err), 0);
	assert_int_equal(dp_policy_commit(fx.policy, fx.now_ns, &err), 0);
	assert_int_not_equal(err.code, EAGAIN);
	table_undo(fx.table);
	for (int i = 0; i < 20; i++)
		turn(3 * MS);
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
		cmocka_unit_test_setup_teardown(snapshots_are_what_the_table_says, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(limits_have_slots_only_while_their_rows_are_looked_up, open_fixture,
						close_fixture),
		cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_is_followed, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(a_clock_a_little_behind_is_waited_for, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(a_commit_that_fails_leaves_all_as_it_was, open_fixture, close_fixture),
	};

	return cmocka_run_group_tests_name("dp_policy", tests, setup, teardown);
}
