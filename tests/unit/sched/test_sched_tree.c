// SPDX-License-Identifier: Apache-2.0
// Rules S3, S5 and S6 of sched.h in the share tree and in best effort: weights, background, a limit around a share,
// flow queues, CoDel, ECN; rates over 10 ms; what is asked that cannot be.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "sim.h"

#define IDS(...) ((const int[]){__VA_ARGS__, -1})

static void assert_near(double is, double want, double tolerance)
{
	if (is < want - tolerance || is > want + tolerance)
		fail_msg("%f is not %f +- %f", is, want, tolerance);
}

static void plain_class(struct sim_plan *p, uint32_t slot, uint32_t node, const int *limits)
{
	sim_plan_class(p, slot, 1, NULL, limits);
	sim_plan_class_in(p, slot, node, false);
}

static void shares_divide_by_weight_at_each_level(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	const double want[] = {0, 15, 45, 20, 20}; // 60 of node 1: 1 to 3; 40 of node 2: two classes alike
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_node(&p, 1, 0, 600);
	sim_plan_node(&p, 2, 0, 400);
	sim_plan_node(&p, 3, 1, 1);
	sim_plan_node(&p, 4, 1, 3);
	plain_class(&p, 1, 3, NULL);
	plain_class(&p, 2, 4, NULL);
	plain_class(&p, 3, 2, NULL);
	plain_class(&p, 4, 2, NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot <= 4; slot++)
		sim_backlog(sim, 0, slot, slot == 2 ? 90 : MTU); // short frames win nothing
	sim_run(sim, 4000 * SIM_MS);
	for (uint32_t slot = 1; slot <= 4; slot++)
		assert_near(sim_mbit(sim, slot, 0, sim->now), want[slot], want[slot] / 100);
	sim_destroy(sim);
}

static void share_that_is_silent_lends_to_its_siblings_and_gets_it_back_at_once(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	for (uint32_t n = 1; n <= 3; n++) {
		sim_plan_node(&p, n, 0, n == 3 ? 50 : 25);
		plain_class(&p, n, n, NULL);
	}
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, 1000);
	sim_backlog(sim, 0, 2, 1000);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 50, 0.5);
	sim_backlog(sim, 0, 3, 1000);
	sim_run(sim, 1000 * SIM_MS);
	assert_true(sim_window_min(sim, 3, 10, 1000, 2000) >= 62500 - 3 * MTU); // half of the line from the first ms
	assert_true(sim_window_max(sim, 3, 10, 1000, 2000) <= 62500 + 3 * MTU); // and no more for having been silent
	sim_destroy(sim);
}

static void limit_around_a_share_bounds_all_inside_and_keeps_their_weights(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 40 * MBIT); // of the whole share 1
	sim_plan_meter(&p, 1, 2, 4 * MBIT);  // of class 3, in it
	sim_plan_node(&p, 1, 0, 5);
	sim_plan_node(&p, 2, 1, 1);
	sim_plan_node(&p, 3, 1, 2);
	plain_class(&p, 1, 2, IDS(0));
	plain_class(&p, 2, 3, IDS(0));
	plain_class(&p, 3, 3, IDS(0, 1));
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot <= 3; slot++)
		sim_backlog(sim, 0, slot, 200 + 400 * slot);
	sim_run(sim, 4000 * SIM_MS);
	assert_near(sim_mbit(sim, 0, 0, sim->now), 60, 0.6);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 40.0 / 3, 0.2);
	assert_near(sim_mbit(sim, 2, 0, sim->now), 80.0 / 3 - 4, 0.3);
	assert_near(sim_mbit(sim, 3, 0, sim->now), 4, 0.1);
	sim_destroy(sim);
}

static void background_has_only_what_nobody_else_wants(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	uint64_t before;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 30 * MBIT);
	sim_plan_node(&p, 1, 0, 0);
	plain_class(&p, 1, 1, NULL);
	plain_class(&p, 2, 0, IDS(0));
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 0, 2, 500);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 70, 1);
	assert_near(sim_mbit(sim, 2, 0, sim->now), 30, 0.5);
	before = sim_bytes(sim, 1);
	sim_backlog(sim, 0, 0, MTU);
	sim_run(sim, 1000 * SIM_MS);
	assert_true(sim_bytes(sim, 1) - before <= 4 * MTU);
	sim_quiet(sim, 0, 0);
	sim_run(sim, 1000 * SIM_MS);
	assert_true(sim_bytes(sim, 1) - before > 8000000);
	sim_destroy(sim);
}

// 10 Gb/s, so that a frame is little in 10 ms.
static void every_10_ms_is_as_the_fluid_model_has_it(void **state)
{
	const double want[] = {1000, 3500, 1500, 4000}; // 2000 reserved by class 1, the rest 1 : 1.5 : 1.5 : 4
	struct sim *sim = sim_create(10000 * MBIT, 1, 2600000000);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 2000 * MBIT);
	sim_plan_node(&p, 1, 0, 3);
	sim_plan_node(&p, 2, 0, 4);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class_in(&p, 1, 1, false);
	plain_class(&p, 2, 1, NULL);
	plain_class(&p, 3, 2, NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot <= 3; slot++)
		sim_backlog(sim, 0, slot, MTU - 100 * slot);
	sim_run(sim, 120 * SIM_MS);
	for (uint32_t slot = 0; slot <= 3; slot++) {
		double bytes = want[slot] * 1e6 / 8 / 100; // of 10 ms

		assert_near((double)sim_window_min(sim, slot, 10, 10, 120), bytes, bytes / 50 + 2 * MTU);
		assert_near((double)sim_window_max(sim, slot, 10, 10, 120), bytes, bytes / 50 + 2 * MTU);
	}
	sim_destroy(sim);
}

static void guaranteed_packet_waits_for_few_others(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 5 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 2; slot < 30; slot++) {
		sim_backlog(sim, 0, 0, MTU);
		sim_run(sim, SIM_MS);
	}
	for (unsigned int i = 0; i < 500; i++) {
		assert_true(sim_send(sim, 0, 1, 200));
		sim_run(sim, 2 * SIM_MS);
	}
	sim_stats(sim, 0, 1, &st);
	assert_int_equal(st.packets, 500);
	assert_true(sched_delay_us(&st, 999) <= 512); // 4 frames of 121 us, in the steps of the histogram
	sim_destroy(sim);
}

// A packet with an IPv4 header and this ECN field, as a flow of best effort.
static bool send_ip(struct sim *sim, uint32_t slot, uint32_t flow, uint8_t ecn, uint32_t len_bytes)
{
	struct rte_mbuf *m = sim_packet(sim, 0, slot, len_bytes);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);

	memset(data, 0, 64);
	data[12] = 8; // IPv4
	data[14] = 0x45;
	data[15] = ecn;
	m->data_len = 64;
	m->hash.usr = 0; // order is judged by flow elsewhere
	if (sched_enqueue(sim->queue[0], m, SCHED_BEST_EFFORT, flow, sim_tsc(sim)))
		return true;
	rte_pktmbuf_free(m);
	return false;
}

// One flow sends more than the line for a second, ECN as given; a thin one beside it.
static void overload(struct sim *sim, uint8_t ecn)
{
	for (unsigned int i = 0; i < 20000; i++) {
		send_ip(sim, 1, 11, ecn, 700); // 112 Mb/s
		if (i % 200 == 0)
			assert_true(send_ip(sim, 2, 22, 0, 100));
		sim->now += 50000;
		sim_take(sim, 0);
	}
}

static void best_effort_that_stays_too_long_is_dropped_and_thin_flows_wait_for_none(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	struct sched_stats all;

	overload(sim, 0);
	sched_class_stats(sim->queue[0], SCHED_BEST_EFFORT, &st);
	sched_stats(sim->queue[0], &all);
	assert_true(st.dropped[SCHED_DROP_DELAY] > 20);
	assert_int_equal(st.marked, 0);
	assert_true(all.dropped_inside >=
		    st.dropped[SCHED_DROP_DELAY]); // and what made room; what had none is not inside
	assert_true(all.dropped_inside <= st.dropped[SCHED_DROP_DELAY] + st.dropped[SCHED_DROP_FULL]);
	assert_int_equal(sched_new_drops(sim->queue[0]), all.dropped_inside);
	assert_int_equal(sched_new_drops(sim->queue[0]), 0);
	assert_int_equal(sim_bytes(sim, 2), 100 * 100); // none lost
	sim_drain(sim);
	sim_destroy(sim);
}

static void packets_that_can_carry_it_are_marked_instead(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;

	overload(sim, 2); // ECN-capable
	sched_class_stats(sim->queue[0], SCHED_BEST_EFFORT, &st);
	assert_true(st.marked > 20);
	assert_int_equal(st.dropped[SCHED_DROP_DELAY], 0);
	sim_drain(sim);
	sim_destroy(sim);
}

static void fattest_flow_makes_room_for_the_others(void **state)
{
	struct sim *sim = sim_create(10 * MBIT, 1, SIM_HZ);
	unsigned int n = 0;

	while (send_ip(sim, 1, 11, 0, 1000))
		n++;
	assert_true(n > 60);
	for (uint32_t flow = 0; flow < 20; flow++)
		assert_true(send_ip(sim, 2, 100 + flow, 0, 1000));
	sim_run(sim, 20 * SIM_MS); // 25 frames: each new flow's before those of the fat one
	assert_true(sim_bytes(sim, 2) >= 18000);
	sim_drain(sim);
	sim_destroy(sim);
}

static void node_taken_away_under_load_loses_nothing(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p, less;
	uint64_t before;

	sim_plan_init(&p);
	less = p;
	sim_plan_node(&p, 1, 0, 9);
	sim_plan_node(&p, 2, 1, 3);
	plain_class(&p, 1, 2, NULL);
	plain_class(&p, 2, 0, NULL);
	sim_adopt(sim, &p);
	less.classes[1] = p.classes[1];
	less.classes[2] = p.classes[2];
	for (unsigned int i = 0; i < 200; i++) { // sim_take checks order and loss
		sim_backlog(sim, 0, 1, 900);
		sim_backlog(sim, 0, 2, 300);
		sim_run(sim, 3 * SIM_MS);
		sim_adopt(sim, i % 2 ? &p : &less);
	}
	sim_adopt(sim, &less); // both are the root's: alike
	before = sim_bytes(sim, 1);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, before, 1000 * SIM_MS), 50, 1);
	sim_drain(sim);
	sim_destroy(sim);
}

static void promises_beyond_the_port_are_counted(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_stats st;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 100 * MBIT);
	sim_plan_meter(&p, 1, 2, 100 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, IDS(1), NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 0, 2, 100);
	sim_run(sim, 1000 * SIM_MS);
	sched_stats(sim->queue[0], &st);
	assert_int_equal(st.promised_bps, 200 * MBIT);
	assert_near((double)st.held_back_us, 500000, 20000); // each second is worth half of one
	assert_near(sim_mbit(sim, 1, 0, sim->now), 50, 1);
	sim_destroy(sim);
}

// Two shares of one weight, and a limit over a class of each. One share has 90 Mbit/s beside the limit, so the other
// has the limit; but its class at the limit is not left out for ever.
static void a_class_behind_a_limit_across_shares_is_served_now_and_then(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	double poor;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 10 * MBIT);
	sim_plan_meter(&p, 1, 2, 95 * MBIT);
	sim_plan_node(&p, 1, 0, 1);
	sim_plan_node(&p, 2, 0, 1);
	sim_plan_class(&p, 1, 1, NULL, IDS(0)); // rich share, at the limit
	sim_plan_class(&p, 2, 1, NULL, IDS(0)); // poor share
	sim_plan_class(&p, 3, 1, NULL, IDS(1)); // rich share, beside it
	sim_plan_class_in(&p, 1, 1, false);
	sim_plan_class_in(&p, 2, 2, false);
	sim_plan_class_in(&p, 3, 1, false);
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot <= 3; slot++)
		sim_backlog(sim, 0, slot, MTU);
	sim_run(sim, 10 * SIM_HZ);
	poor = sim_mbit(sim, 2, 0, 10 * SIM_HZ);
	assert_near(poor + sim_mbit(sim, 1, 0, 10 * SIM_HZ), 10, 0.1);
	assert_true(poor > 9.5); // by the weights of shares
	assert_true(sim_window_min(sim, 1, 1500, 500, 10000) >= MTU);
	sim_destroy(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_class_behind_a_limit_across_shares_is_served_now_and_then),
		cmocka_unit_test(shares_divide_by_weight_at_each_level),
		cmocka_unit_test(share_that_is_silent_lends_to_its_siblings_and_gets_it_back_at_once),
		cmocka_unit_test(limit_around_a_share_bounds_all_inside_and_keeps_their_weights),
		cmocka_unit_test(background_has_only_what_nobody_else_wants),
		cmocka_unit_test(every_10_ms_is_as_the_fluid_model_has_it),
		cmocka_unit_test(guaranteed_packet_waits_for_few_others),
		cmocka_unit_test(best_effort_that_stays_too_long_is_dropped_and_thin_flows_wait_for_none),
		cmocka_unit_test(packets_that_can_carry_it_are_marked_instead),
		cmocka_unit_test(fattest_flow_makes_room_for_the_others),
		cmocka_unit_test(node_taken_away_under_load_loses_nothing),
		cmocka_unit_test(promises_beyond_the_port_are_counted),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
