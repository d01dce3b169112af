// SPDX-License-Identifier: Apache-2.0
// What a queue tells another thread of its classes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim.h"

#define IDS(...) ((const int[]){__VA_ARGS__, -1})
#define CLASSES 40U

// A reservation in a share of weight 3, a limit, best effort; more than they can send.
static struct sim *busy(void)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 77, 40 * MBIT);
	sim_plan_meter(&p, 1, 88, 20 * MBIT);
	sim_plan_node(&p, 5, 0, 3);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class_in(&p, 1, 5, false);
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot < 3; slot++)
		sim_backlog(sim, 0, slot, 1000);
	return sim;
}

// Runs with a call of sched_tell each millisecond; what came, at most max.
static uint32_t run(struct sim *sim, unsigned int ms, struct sched_told *out, uint32_t max)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < ms; i++) {
		sim_run(sim, SIM_MS);
		sched_tell(sim->queue[0], sim_tsc(sim));
		while (n < max && sched_next_told(sim->queue[0], &out[n]))
			n++;
	}
	return n;
}

static const struct sched_told *of_class(const struct sched_told *told, uint32_t n, uint32_t class)
{
	for (uint32_t i = 0; i < n; i++) {
		if (told[i].class == class)
			return &told[i];
	}
	fail_msg("class %u is not told", class);
	return NULL;
}

static void every_class_is_told_with_what_it_is_of_and_did(void **state)
{
	struct sched_told told[16] = {0};
	struct sim *sim = busy();
	const struct sched_told *t;
	uint32_t n;

	run(sim, 900, told, 16); // a round at the very beginning
	n = run(sim, 200, told, 16);
	assert_int_equal(n, 4);
	assert_int_equal(told[3].class, SCHED_TOLD_QUEUE);
	assert_int_equal(told[3].of_queue.n_classes, 3);
	assert_true(told[3].of_queue.promised_bps == 40 * MBIT);
	t = of_class(told, n, sim_class(sim, 0, 1));
	assert_int_equal(t->n_reservations, 1);
	assert_true(t->reservation[0] == 77);
	assert_int_equal(t->n_limits, 0);
	assert_true(t->share != 0 && t->of_class.backlog_packets > 0 && t->now_tsc <= sim_tsc(sim));
	assert_true(t->of_class.bytes > 4500000 && t->of_class.bytes <= sim_bytes(sim, 1)); // 40 Mbit/s and more
	t = of_class(told, n, sim_class(sim, 0, 2));
	assert_int_equal(t->n_limits, 1);
	assert_true(t->limit[0] == 88 && t->share == 0);
	t = of_class(told, n, SCHED_BEST_EFFORT);
	assert_int_equal(t->n_reservations + t->n_limits, 0);
	sim_destroy(sim);
}

static void a_round_begins_once_a_second(void **state)
{
	static struct sched_told told[64];
	struct sim *sim = busy();
	uint32_t n = run(sim, 5500, told, 64), ends = 0;

	for (uint32_t i = 0; i < n; i++)
		ends += told[i].class == SCHED_TOLD_QUEUE;
	assert_int_equal(ends, 6);
	assert_int_equal(n, 6 * 4);
	sim_destroy(sim);
}

static void delays_are_those_since_the_class_was_told_last(void **state)
{
	struct sched_told told[64];
	struct sim *sim = busy();
	uint32_t n = run(sim, 2100, told, 64);
	uint64_t half = sched_delay_us(&of_class(told + n - 4, 4, sim_class(sim, 0, 2))->of_class, 500);

	assert_true(half > 10000); // 20 Mbit/s, and a room of 100 ms
	sim_quiet(sim, 0, 1);
	sim_quiet(sim, 0, SCHED_BEST_EFFORT);
	sim_quiet(sim, 0, 2);
	run(sim, 1500, told, 64); // it is empty now, and that was told
	for (int i = 0; i < 100; i++) {
		sim_send(sim, 0, 2, 100);
		n = run(sim, 10, told, 64);
		if (n > 0 && told[n - 1].class == SCHED_TOLD_QUEUE && n == 4)
			break;
	}
	assert_true(sched_delay_us(&of_class(told, n, sim_class(sim, 0, 2))->of_class, 1000) < 1000);
	sim_destroy(sim);
}

static void nothing_is_lost_when_nobody_asks(void **state)
{
	static struct sched_told told[4096];
	struct sim *sim = busy();
	uint64_t bytes = 0;
	uint32_t n;

	for (unsigned int i = 0; i < 400; i++) { // many more than wait for who asks
		sim_run(sim, SIM_HZ / 50);
		for (int k = 0; k < 50; k++)
			sched_tell(sim->queue[0], sim_tsc(sim) + 1000 * SIM_HZ * i + (uint64_t)k);
	}
	n = run(sim, 2100, told, 4096);
	for (uint32_t i = 0; i < n; i++) {
		if (told[i].class != sim_class(sim, 0, 1))
			continue;
		assert_true(told[i].of_class.bytes >= bytes); // in the order in which it was so
		bytes = told[i].of_class.bytes;
	}
	assert_true(bytes > sim_bytes(sim, 1) * 9 / 10);
	sim_destroy(sim);
}

static void many_classes_take_turns_and_none_is_left_out(void **state)
{
	static struct sched_told told[4096];
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	uint32_t n, at = 0;
	struct sim_plan p;

	sim_plan_init(&p);
	for (uint32_t i = 0; i < CLASSES; i++) {
		sim_plan_meter(&p, i, 1000 + i, 2 * MBIT);
		sim_plan_class(&p, 1 + i, 1, IDS((int)i), NULL);
	}
	sim_adopt(sim, &p);
	for (uint32_t i = 0; i < CLASSES; i++)
		sim_backlog(sim, 0, 1 + i, 200);
	run(sim, 900, told, 4096);
	n = run(sim, 1000, told, 4096);
	while (at < n && told[at].class != SCHED_TOLD_QUEUE)
		at++;
	assert_int_equal(at, CLASSES + 1);
	for (uint32_t i = 1; i < at; i++)
		assert_true(told[i].reservation[0] == 1000 + i - 1);
	sim_destroy(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_class_is_told_with_what_it_is_of_and_did),
		cmocka_unit_test(a_round_begins_once_a_second),
		cmocka_unit_test(delays_are_those_since_the_class_was_told_last),
		cmocka_unit_test(nothing_is_lost_when_nobody_asks),
		cmocka_unit_test(many_classes_take_turns_and_none_is_left_out),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
