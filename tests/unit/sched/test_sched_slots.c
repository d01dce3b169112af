// SPDX-License-Identifier: Apache-2.0
// Slots and the log: numbers keep their slots, and what a reader has read is what the link thread set.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/sched_set.h"
#include "dataplane/sched_slots.h"

struct fixture {
	struct sched_log *log;
	struct sched_slots *slots;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->log = sched_log_create(1, &f->err);
	assert_non_null(f->log);
	f->slots = sched_slots_create(f->log, &f->err);
	assert_non_null(f->slots);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sched_slots_destroy(f->slots);
	sched_log_destroy(f->log);
	free(f);
	return 0;
}

static struct sched_change next_change(struct fixture *f)
{
	struct sched_change c;

	assert_int_equal(sched_log_read(f->log, 0, &c, 1), 1);
	return c;
}

static void number_keeps_its_slot_until_it_is_deleted(void **state)
{
	struct fixture *f = *state;
	int64_t a = sched_slots_meter_set(f->slots, 17, false, 1000, &f->err);
	int64_t b = sched_slots_meter_set(f->slots, 18, true, 2000, &f->err);

	assert_true(a >= 0 && b >= 0 && a != b);
	assert_int_equal(sched_slots_meter_set(f->slots, 17, false, 3000, &f->err), a);
	assert_int_equal(sched_slots_meter(f->slots, 17), a);
	assert_int_equal(sched_slots_meter(f->slots, 19), SCHED_NO_SLOT);
	assert_int_equal(sched_slots_meter_del(f->slots, 17, &f->err), a);
	assert_int_equal(sched_slots_meter(f->slots, 17), SCHED_NO_SLOT);
	assert_int_equal(sched_slots_meter_del(f->slots, 17, &f->err), -ENOENT);
	assert_int_equal(sched_slots_n_meters(f->slots), 1);
}

static void what_changes_is_in_the_log_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct sched_change c;

	sched_slots_meter_set(f->slots, 17, true, 1000, &f->err);
	sched_slots_meter_set(f->slots, 17, true, 1000, &f->err);
	sched_slots_meter_set(f->slots, 17, true, 2000, &f->err);
	assert_int_equal(sched_slots_meter_set(f->slots, 17, false, 5, &f->err), -EINVAL);
	c = next_change(f);
	assert_int_equal(c.kind, SCHED_METER_SET);
	assert_int_equal(c.id, 17);
	assert_true(c.is_limit && c.rate_bps == 1000);
	assert_false(sched_log_is_read(f->log, 0));
	c = next_change(f);
	assert_int_equal(c.rate_bps, 2000);
	assert_true(sched_log_is_read(f->log, 0));
	assert_int_equal(sched_log_read(f->log, 0, &c, 1), 0);
	sched_slots_meter_del(f->slots, 17, &f->err);
	c = next_change(f);
	assert_true(c.kind == SCHED_METER_DEL && c.id == 17 && c.is_limit);
}

static void slot_given_back_is_the_last_to_be_given_again(void **state)
{
	struct fixture *f = *state;
	int64_t first = sched_slots_meter_set(f->slots, 1, true, 1, &f->err);

	sched_slots_meter_del(f->slots, 1, &f->err);
	for (uint64_t id = 2; id <= SCHED_METERS_MAX; id++) {
		assert_true(sched_slots_meter_set(f->slots, id, true, 1, &f->err) != first);
		next_change(f); // the ring has no room for all
	}
	next_change(f);
	next_change(f);
	assert_int_equal(sched_slots_meter_set(f->slots, 1, true, 1, &f->err), first);
	assert_int_equal(sched_slots_meter_set(f->slots, 9999999, true, 1, &f->err), -ENOSPC);
	assert_int_equal(sched_slots_n_meters(f->slots), SCHED_METERS_MAX);
}

static void ring_that_is_full_refuses_and_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct sched_change c;

	for (uint32_t i = 0; i < SCHED_LOG_CHANGES; i++)
		assert_true(sched_slots_meter_set(f->slots, 1, true, i + 1, &f->err) >= 0);
	assert_int_equal(sched_log_room(f->log), 0);
	assert_int_equal(sched_slots_meter_set(f->slots, 1, true, 5, &f->err), -EAGAIN);
	assert_int_equal(sched_slots_meter_set(f->slots, 2, true, 5, &f->err), -EAGAIN);
	assert_int_equal(sched_slots_meter_del(f->slots, 1, &f->err), -EAGAIN);
	assert_int_equal(sched_slots_node_set(f->slots, 3, 0, 5, &f->err), -EAGAIN);
	assert_int_equal(sched_slots_meter(f->slots, 2), SCHED_NO_SLOT);
	assert_int_equal(sched_slots_n_nodes(f->slots), 0);
	c = next_change(f);
	assert_int_equal(c.rate_bps, 1);
	assert_true(sched_slots_meter_set(f->slots, 2, true, 5, &f->err) >= 0);
}

static void nodes_form_a_tree(void **state)
{
	struct fixture *f = *state;
	int64_t a = sched_slots_node_set(f->slots, 5, 0, 2, &f->err), b;

	assert_true(a > SCHED_NODE_ROOT);
	b = sched_slots_node_set(f->slots, 6, 5, 1000, &f->err);
	assert_true(b > SCHED_NODE_ROOT && b != a);
	assert_int_equal(sched_slots_node(f->slots, 0), SCHED_NODE_ROOT);
	assert_int_equal(sched_slots_node(f->slots, 6), b);
	assert_int_equal(sched_slots_node_set(f->slots, 0, 0, 1, &f->err), -EINVAL);
	assert_int_equal(sched_slots_node_set(f->slots, 7, 5, SCHED_WEIGHT_BACKGROUND, &f->err), -EINVAL);
	assert_int_equal(sched_slots_node_set(f->slots, 7, 0, 1001, &f->err), -EINVAL);
	assert_int_equal(sched_slots_node_set(f->slots, 7, 99, 1, &f->err), -ENOENT);
	assert_int_equal(sched_slots_node_set(f->slots, 5, 6, 1, &f->err), -ELOOP);
	assert_int_equal(sched_slots_node_set(f->slots, 5, 5, 1, &f->err), -ELOOP);
	assert_int_equal(sched_slots_node_del(f->slots, 5, &f->err), -EBUSY);
	assert_int_equal(sched_slots_node_set(f->slots, 6, 0, 3, &f->err), b); // moved up
	assert_int_equal(sched_slots_node_del(f->slots, 5, &f->err), a);
	assert_int_equal(sched_slots_node_del(f->slots, 0, &f->err), -ENOENT);
	next_change(f);
	assert_int_equal(next_change(f).parent_slot, a);
	assert_int_equal(next_change(f).parent_slot, SCHED_NODE_ROOT);
	assert_int_equal(next_change(f).kind, SCHED_NODE_DEL);
}

static void nodes_too_deep_are_refused(void **state)
{
	struct fixture *f = *state;

	for (uint64_t share = 1; share <= SCHED_NODE_DEPTH_MAX; share++)
		assert_true(sched_slots_node_set(f->slots, share, share - 1, 2, &f->err) > 0);
	assert_int_equal(sched_slots_node_set(f->slots, 100, SCHED_NODE_DEPTH_MAX, 2, &f->err), -E2BIG);
	assert_true(sched_slots_node_set(f->slots, 100, 0, 2, &f->err) > 0);
	assert_int_equal(sched_slots_node_set(f->slots, 1, 100, 2, &f->err), -E2BIG); // with all below it
	assert_true(sched_slots_node_set(f->slots, 2, 100, 2, &f->err) > 0);
	assert_int_equal(sched_slots_n_nodes(f->slots), SCHED_NODE_DEPTH_MAX + 1);
}

static void random_changes_leave_both_sides_equal(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = getenv("PANE_SEED") != NULL ? (unsigned int)atoi(getenv("PANE_SEED")) : 5;
	static uint64_t rate[200], read_rate[SCHED_METERS_MAX], read_id[SCHED_METERS_MAX];
	struct sched_change c;

	print_message("seed %u\n", seed);
	srand(seed);
	memset(rate, 0, sizeof(rate));
	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t id = 1 + (uint64_t)rand() % 199;

		if (rand() % 3 != 0) {
			rate[id] = 1 + (uint64_t)rand() % 5;
			assert_true(sched_slots_meter_set(f->slots, id, id % 2, rate[id], &f->err) >= 0);
		} else if (rate[id] != 0) {
			rate[id] = 0;
			assert_true(sched_slots_meter_del(f->slots, id, &f->err) >= 0);
		}
		while (i % 1000 == 999 && sched_log_read(f->log, 0, &c, 1) == 1) {
			assert_true(c.kind == SCHED_METER_SET || read_id[c.slot] == c.id);
			read_id[c.slot] = c.kind == SCHED_METER_SET ? c.id : 0;
			read_rate[c.slot] = c.rate_bps;
		}
	}
	for (uint64_t id = 1; id < 200; id++) {
		uint32_t slot = sched_slots_meter(f->slots, id);

		assert_true((slot == SCHED_NO_SLOT) == (rate[id] == 0));
		if (slot != SCHED_NO_SLOT)
			assert_true(read_id[slot] == id && read_rate[slot] == rate[id]);
	}
}

#define N_PASSED 2000000

static void *write_numbers(void *log)
{
	for (uint32_t i = 0; i < N_PASSED;)
		i += sched_log_append(log, &(struct sched_change){.id = i, .rate_bps = ~(uint64_t)i}) == 0;
	return NULL;
}

static void reader_in_another_thread_sees_all_in_order(void **state)
{
	struct fixture *f = *state;
	struct sched_change c[16];
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_numbers, f->log), 0);
	for (uint64_t next = 0; next < N_PASSED;) {
		uint32_t n = sched_log_read(f->log, 0, c, 16);

		for (uint32_t i = 0; i < n; i++, next++)
			assert_true(c[i].id == next && c[i].rate_bps == ~next);
	}
	pthread_join(writer, NULL);
}

static void equal_sets_in_another_order_are_one(void **state)
{
	struct sched_set a = {.node = 3, .n_limits = 3, .limit = {7, 5, 6}}, b = {.node = 3, .n_limits = 3};
	struct sched_set c = {.node = 3, .n_reservations = 3, .reservation = {5, 6, 7}};

	memcpy(b.limit, (uint32_t[]){5, 6, 7}, 12);
	sched_set_seal(&a);
	sched_set_seal(&b);
	sched_set_seal(&c);
	assert_true(sched_set_equal(&a, &b) && a.hash == b.hash);
	assert_true(!sched_set_equal(&a, &c) && a.hash != c.hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(number_keeps_its_slot_until_it_is_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_changes_is_in_the_log_and_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(slot_given_back_is_the_last_to_be_given_again, setup, teardown),
		cmocka_unit_test_setup_teardown(ring_that_is_full_refuses_and_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_form_a_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_too_deep_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(random_changes_leave_both_sides_equal, setup, teardown),
		cmocka_unit_test_setup_teardown(reader_in_another_thread_sees_all_in_order, setup, teardown),
		cmocka_unit_test(equal_sets_in_another_order_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
