// SPDX-License-Identifier: Apache-2.0
// The rules S1 to S5 of sched.h on a simulated clock.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "sim.h"

#define IDS(...) ((const int[]){__VA_ARGS__, -1})
#define FLOOD SCHED_BEST_EFFORT

static void assert_near(double is, double want, double tolerance)
{
	if (is < want - tolerance || is > want + tolerance)
		fail_msg("%f is not %f +- %f", is, want, tolerance);
}

// Bytes that the rate makes in 10 ms less 1 %, less a frame of the class at each end of the window, and less what the
// rate makes while a frame of others is on the (100 Mb) line at each end.
static void assert_every_10ms(const struct sim *sim, uint32_t slot, uint64_t rate_mbit, uint32_t from, uint32_t to)
{
	uint32_t len_bytes = sim->source[0][slot].len_bytes;
	uint64_t want = rate_mbit * MBIT / 8 / 100 * 99 / 100 - 2 * len_bytes - 2 * MTU * rate_mbit / 100;
	uint64_t least = sim_window_min(sim, slot, 10, from, to);

	if (least < want)
		fail_msg("class %u: %lu bytes in the worst 10 ms, %lu wanted", slot, least, want);
}

static void reservation_holds_in_every_10ms_against_a_flood(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 60 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_adopt(sim, &p);
	sim->late_ns = 60000;
	sim_backlog(sim, 0, FLOOD, MTU);
	sim_run(sim, 500 * SIM_MS); // the flood is alone for a while and earns nothing by it
	sim_backlog(sim, 0, 1, 400);
	sim_run(sim, 2000 * SIM_MS);
	assert_every_10ms(sim, 1, 60, 501, 2500);
	assert_near(sim_mbit(sim, 1, 0, 2000 * SIM_MS), 80, 1); // 60 and half of the excess
	sim_destroy(sim);
}

static void low_reservation_of_short_frames_beside_high_one_of_long_frames(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 3, 1, 89 * MBIT);
	sim_plan_meter(&p, 5, 2, 10 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(3), NULL);
	sim_plan_class(&p, 2, 1, IDS(5), NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot < 3; slot++)
		sim_backlog(sim, 0, slot, slot == 2 ? 120 : MTU);
	sim_run(sim, 2000 * SIM_MS);
	assert_every_10ms(sim, 1, 89, 1, 2000);
	assert_every_10ms(sim, 2, 10, 1, 2000);
	assert_true(sim_bytes(sim, FLOOD) > 0);
	sim_destroy(sim);
}

static void many_low_reservations_at_once_do_not_hold_up_a_high_one(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	for (uint32_t slot = 1; slot <= 60; slot++) {
		sim_plan_meter(&p, slot, slot, slot == 60 ? 50 * MBIT : 700000);
		sim_plan_class(&p, slot, 1, IDS((int)slot), NULL);
	}
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 60, 1000);
	for (uint32_t slot = 0; slot < 60; slot++)
		sim_backlog(sim, 0, slot, MTU);
	sim_run(sim, 2000 * SIM_MS);
	assert_every_10ms(sim, 60, 50, 1, 2000);
	sim_destroy(sim);
}

static void idle_class_saves_up_nothing(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 50 * MBIT);
	sim_plan_meter(&p, 1, 2, 50 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, IDS(1), NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 2, MTU);
	for (unsigned int i = 0; i < 20; i++) { // class 1 comes and goes
		sim_run(sim, 40 * SIM_MS);
		sim_backlog(sim, 0, 1, MTU);
		sim_run(sim, 10 * SIM_MS);
		sim_quiet(sim, 0, 1);
	}
	assert_every_10ms(sim, 2, 50, 1, 1000);
	sim_destroy(sim);
}

static void class_draws_on_all_its_reservations(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 20 * MBIT);
	sim_plan_meter(&p, 1, 2, 30 * MBIT);
	sim_plan_meter(&p, 2, 3, 40 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0, 1), NULL);
	sim_plan_class(&p, 2, 1, IDS(2), NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot < 3; slot++)
		sim_backlog(sim, 0, slot, 1000);
	sim_run(sim, 2000 * SIM_MS);
	assert_every_10ms(sim, 1, 50, 1, 2000);
	assert_every_10ms(sim, 2, 40, 1, 2000);
	assert_near(sim_mbit(sim, FLOOD, 0, sim->now), 10.0 / 3, 0.5);
	sim_destroy(sim);
}

static void classes_of_one_reservation_have_it_together(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	const uint64_t ns = 2000 * SIM_MS;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 60 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, IDS(0), NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot < 3; slot++)
		sim_backlog(sim, 0, slot, slot == 1 ? 100 : MTU); // short frames win nothing
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, FLOOD, 0, ns), 40.0 / 3, 0.5);
	assert_near(sim_mbit(sim, 1, 0, ns), 30 + 40.0 / 3, 0.5);
	assert_near(sim_mbit(sim, 2, 0, ns), 30 + 40.0 / 3, 0.5);
	sim_quiet(sim, 0, 2);
	sim_run(sim, ns); // the other has it alone
	assert_every_10ms(sim, 1, 60, 2100, 4000);
	sim_destroy(sim);
}

static void too_much_promised_degrades_in_proportion(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	const uint64_t ns = 5000 * SIM_MS;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 90 * MBIT);
	sim_plan_meter(&p, 1, 2, 30 * MBIT);
	sim_plan_meter(&p, 2, 3, 30 * MBIT);
	for (uint32_t slot = 1; slot <= 3; slot++)
		sim_plan_class(&p, slot, 1, IDS((int)slot - 1), NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot <= 3; slot++)
		sim_backlog(sim, 0, slot, slot == 3 ? 200 : MTU);
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, 1, 0, ns), 60, 1.2);
	assert_near(sim_mbit(sim, 2, 0, ns), 20, 0.8);
	assert_near(sim_mbit(sim, 3, 0, ns), 20, 0.8);
	sim_destroy(sim);
}

static void limit_is_never_exceeded_by_more_than_its_burst(void **state)
{
	const uint64_t rates[] = {200000, 5 * MBIT, 20 * MBIT, 95 * MBIT};

	for (unsigned int i = 0; i < 4; i++) {
		struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
		uint64_t burst = rates[i] / 8 / 200 > 2 * MTU ? rates[i] / 8 / 200 : 2 * MTU;
		struct sim_plan p;

		sim_plan_init(&p);
		sim_plan_meter(&p, 7, 1, rates[i]);
		sim_plan_class(&p, 1, 1, NULL, IDS(7));
		sim_adopt(sim, &p);
		sim->late_ns = 60000;
		sim_run(sim, 1000 * SIM_MS);
		sim_backlog(sim, 0, 1, MTU);
		sim_run(sim, 9000 * SIM_MS);
		for (uint32_t n_ms = 1; n_ms <= 1000;
		     n_ms = n_ms * 3 + 1) // a window of n ms: n and what is on its edges
			assert_true(sim_window_max(sim, 1, n_ms, 1000, 10000) <=
				    rates[i] / 8 * (n_ms + 1) / 1000 + burst);
		assert_near(sim_mbit(sim, 1, 0, 9000 * SIM_MS), (double)rates[i] / 1e6, (double)rates[i] / 1e8 + 0.003);
		sim_destroy(sim);
	}
}

static void limited_class_leaves_the_rest_to_others(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 20 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 0, FLOOD, MTU);
	sim_run(sim, 2000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 20, 0.2);
	assert_near(sim_mbit(sim, FLOOD, 0, sim->now), 80, 0.8);
	sim_destroy(sim);
}

static void every_limit_of_a_class_holds_and_nested_ones_share(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ); // also without a port rate
	const uint64_t ns = 4000 * SIM_MS;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 50 * MBIT); // all
	sim_plan_meter(&p, 1, 2, 10 * MBIT); // only class 1
	sim_plan_class(&p, 1, 1, NULL, IDS(0, 1));
	sim_plan_class(&p, 2, 1, NULL, IDS(0));
	sim_plan_class(&p, 3, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot <= 3; slot++)
		sim_backlog(sim, 0, slot, slot == 3 ? 90 : MTU); // short frames win nothing
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, 1, 0, ns), 10, 0.2);
	assert_near(sim_mbit(sim, 2, 0, ns), 20, 0.4);
	assert_near(sim_mbit(sim, 3, 0, ns), 20, 0.4);
	sim_destroy(sim);
}

static void class_of_several_busy_limits_is_not_starved_by_those_of_one(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	const uint64_t ns = 4000 * SIM_MS;
	struct sim_plan p;
	uint64_t before;

	sim_plan_init(&p);
	for (uint32_t l = 0; l < 3; l++) {
		sim_plan_meter(&p, l, 1 + l, (20 + 7 * l) * MBIT);
		sim_plan_class(&p, 2 + 2 * l, 1, NULL, IDS((int)l));
		sim_plan_class(&p, 3 + 2 * l, 1, NULL, IDS((int)l));
	}
	sim_plan_class(&p, 1, 1, NULL, IDS(0, 1, 2)); // needs all three at once
	sim_plan_class(&p, 8, 1, NULL, IDS(0, 1, 2));
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot < 8; slot++)
		sim_backlog(sim, 0, slot, slot % 2 ? MTU : 300);
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, 1, 0, ns), 20 / 3.0, 20 / 18.0);
	assert_near(sim_mbit(sim, 6, 0, ns), (34 - 20 / 3.0) / 2, 0.6);
	for (unsigned int i = 0; i < 20; i++) { // nor by another of its kind that goes amid its turn
		sim_backlog(sim, 0, 8, 100);
		sim_run(sim, 20 * SIM_MS);
		sim_quiet(sim, 0, 8);
		sim_run(sim, 100 * SIM_MS);
	}
	before = sim_bytes(sim, 1);
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, 1, before, ns), 20 / 3.0, 20 / 18.0);
	sim_destroy(sim);
}

static void reservation_under_a_full_limit_is_served_first(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 50 * MBIT);
	sim_plan_meter(&p, 1, 2, 30 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(1), IDS(0));
	for (uint32_t slot = 2; slot < 6; slot++)
		sim_plan_class(&p, slot, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot < 6; slot++)
		sim_backlog(sim, 0, slot, MTU);
	sim_run(sim, 2000 * SIM_MS);
	assert_every_10ms(sim, 1, 30, 10, 2000);
	for (uint32_t slot = 2; slot < 6; slot++)
		assert_near(sim_mbit(sim, slot, 0, sim->now), 4, 0.2);
	sim_destroy(sim);
}

static void limit_bounds_the_sum_over_two_queues_and_both_get_half(void **state)
{
	struct sim *sim = sim_create(0, 2, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 40 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 1, 1, 300);
	sim_run(sim, 4000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 40, 0.4);
	assert_true(sim_window_max(sim, 1, 10, 0, 4000) <= 40 * MBIT / 8 * 11 / 1000 + 25000);
	assert_near((double)sim->sent_bytes[0][1] / (double)sim->sent_bytes[1][1], 1, 0.15);
	sim_quiet(sim, 0, 1);
	sim_run(sim, 1000 * SIM_MS);
	assert_near((double)sim_window_min(sim, 1, 100, 4200, 5000), 500000, 10000); // one queue has it all
	sim_destroy(sim);
}

static void hundreds_of_classes_behind_one_limit_share_it(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 100 * MBIT);
	for (uint32_t slot = 1; slot < SIM_SLOTS; slot++)
		sim_plan_class(&p, slot, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot < SIM_SLOTS; slot++)
		sim_backlog(sim, 0, slot, 200 + slot * 20);
	sim_run(sim, 5000 * SIM_MS);
	for (uint32_t slot = 1; slot < SIM_SLOTS; slot++)
		assert_near(sim_mbit(sim, slot, 0, sim->now), 100.0 / 63, 0.03);
	sim_destroy(sim);
}

static void excess_is_shared_by_weight(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	const uint64_t ns = 4000 * SIM_MS;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 30 * MBIT);
	sim_plan_class(&p, 1, 2, IDS(0), NULL);
	sim_plan_class(&p, 2, 4, NULL, NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, 700);
	sim_backlog(sim, 0, 2, 100);
	sim_backlog(sim, 0, FLOOD, MTU);
	sim_run(sim, ns);
	assert_near(sim_mbit(sim, 1, 0, ns), 30 + 20, 0.5);
	assert_near(sim_mbit(sim, 2, 0, ns), 40, 0.5);
	assert_near(sim_mbit(sim, FLOOD, 0, ns), 10, 0.2);
	sim_destroy(sim);
}

static void line_is_never_idle_and_never_overrun(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 60 * MBIT);
	sim_plan_meter(&p, 1, 2, 5 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	sim->late_ns = 60000;
	srand(1);
	for (unsigned int i = 0; i < 400; i++) { // who has packets changes all the time, somebody always has
		uint32_t slot = (uint32_t)rand() % 2;

		sim_backlog(sim, 0, slot, 64 + (uint32_t)rand() % 1400);
		sim_backlog(sim, 0, 2, 500);
		sim_run(sim, 5 * SIM_MS);
		sim_quiet(sim, 0, slot ^ 1);
	}
	for (uint32_t slot = 1; slot <= 2; slot++) {
		for (uint32_t ms = 0; ms < 2000; ms++)
			sim->bin[0][ms] += sim->bin[slot][ms];
	}
	assert_true(sim_window_min(sim, 0, 10, 0, 2000) >= 125000 - 4 * MTU);
	assert_true(sim_window_max(sim, 0, 10, 0, 2000) <= 125000 + 12500 + 4 * MTU);
	assert_true(sim_window_min(sim, 0, 1000, 0, 2000) >= 12500000 / 100 * 99);
	sim_destroy(sim);
}

// One packet at a time, so that most find nobody before them.
static void packets_that_skip_the_calendars_pay_their_limits_and_overtake_nobody(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 10 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	for (unsigned int i = 0; i < 8000; i++) { // 32 Mbit/s, then 8
		if (i < 4000 || i % 4 == 0)
			sim_send(sim, 0, 1, 1000);
		if (i % 3 == 0)
			sim_send(sim, 0, FLOOD, 500);
		sim_run(sim, SIM_MS / 4);
	}
	assert_true(sim_window_max(sim, 1, 1000, 0, 1000) <= 1250000 + 6250 + 2 * MTU);
	assert_true(sim_window_min(sim, 1, 500, 10, 990) >= 625000 / 100 * 99);
	sim_stats(sim, 0, 1, &st);
	assert_int_equal(st.backlog_packets, 0);
	assert_int_equal(st.packets, st.bytes / 1000);
	assert_true(sched_delay_us(&st, 1000) > 10000); // it counts those that waited, too
	assert_int_equal(sim_bytes(sim, FLOOD), 2667 * 500);
	sim_destroy(sim);
}

static void full_queue_drops_only_its_own_class_and_counts_it(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	unsigned int n = 0;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	while (sim_send(sim, 0, 1, 1000))
		n++;
	assert_int_equal(n, 66); // one may leave at once; 64 KB
	assert_false(sim_send(sim, 0, 1, 1000));
	sim_stats(sim, 0, 1, &st);
	assert_int_equal(st.dropped[SCHED_DROP_FULL], 2);
	assert_int_equal(st.dropped_bytes, 2000);
	assert_int_equal(st.backlog_packets, 65);
	assert_int_equal(st.backlog_bytes, 65000);
	assert_true(sim_send(sim, 0, FLOOD, 1000));
	sim_drain(sim);
	sim_stats(sim, 0, 1, &st);
	assert_int_equal(st.packets, 66);
	assert_int_equal(st.bytes, 66000);
	assert_int_equal(st.backlog_packets, 0);
	sim_destroy(sim);
}

static void best_effort_holds_100_ms_of_the_line_but_64_kb_at_least(void **state)
{
	struct sim *fast = sim_create(100 * MBIT, 1, SIM_HZ), *slow = sim_create(MBIT, 1, SIM_HZ);
	unsigned int n_fast = 0, n_slow = 0;

	while (sim_send(fast, 0, FLOOD, 1000))
		n_fast++;
	while (sim_send(slow, 0, FLOOD, 1000))
		n_slow++;
	assert_int_equal(n_fast, 1250 + 4); // what the line's burst takes at once, and what waits
	assert_int_equal(n_slow, 65 + 4);
	sched_destroy(fast->queue[0]); // frees what is queued
	fast->n_queues = 0;
	sim_drain(slow);
	sim_destroy(slow);
	sim_destroy(fast);
}

static void one_flooded_class_leaves_nodes_to_the_others(void **state)
{
	struct sched_conf conf = {.rate_bps = 0, .tsc_hz = SIM_HZ, .mtu_bytes = MTU, .packets_max = 1000};
	struct sim *sim = sim_create(0, 0, SIM_HZ);
	unsigned int n = 0;
	struct sim_plan p;

	conf.socket_id = SOCKET_ID_ANY;
	sim->queue[sim->n_queues++] = sched_create(&conf, sim->limits, NULL);
	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 100 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_plan_class(&p, 2, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	while (sim_send(sim, 0, 1, 64))
		n++;
	assert_int_equal(n, SCHED_BURST_MAX + 501); // at once, and what waits
	assert_true(sim_send(sim, 0, 2, 64));
	sim_drain(sim);
	sim_destroy(sim);
}

static void unshaped_port_passes_all_at_once_but_limits(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, MBIT);
	sim_plan_meter(&p, 1, 2, MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	assert_true(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 0)));
	assert_true(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 1)));
	assert_false(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 2)));
	assert_true(sched_may_bypass(sim->queue[0], 4000)); // no such class: best effort
	for (unsigned int i = 0; i < 100; i++) {
		for (uint32_t slot = 0; slot < 3; slot++)
			sim_send(sim, 0, slot, MTU);
	}
	assert_false(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 0)));
	assert_false(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 1)));
	while (sim_take(sim, 0) > 0)
		;
	assert_int_equal(sim_bytes(sim, 0), 100 * MTU);
	assert_int_equal(sim_bytes(sim, 1), 100 * MTU);
	assert_true(sim_bytes(sim, 2) <= 2 * MTU);
	assert_true(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 1)));
	sim_drain(sim);
	sim_destroy(sim);
}

static void shaped_port_is_never_bypassed(void **state)
{
	struct sim *sim = sim_create(MBIT, 1, SIM_HZ);

	assert_false(sched_may_bypass(sim->queue[0], sim_class(sim, 0, 0)));
	assert_true(sched_next_tsc(sim->queue[0], sim_tsc(sim)) == UINT64_MAX);
	assert_true(sim_send(sim, 0, 0, 100));
	assert_int_equal(sched_next_tsc(sim->queue[0], sim_tsc(sim)), 0);
	sim_drain(sim);
	sim_destroy(sim);
}

static void worker_sleeps_while_a_limit_holds_all(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 8000);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, 1000); // one a second
	sim_run(sim, 100 * SIM_HZ);
	assert_true(sim->turns < 250);
	assert_near((double)sim_bytes(sim, 1), 100e3, 2 * MTU + 1000);
	sim_destroy(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reservation_holds_in_every_10ms_against_a_flood),
		cmocka_unit_test(low_reservation_of_short_frames_beside_high_one_of_long_frames),
		cmocka_unit_test(many_low_reservations_at_once_do_not_hold_up_a_high_one),
		cmocka_unit_test(idle_class_saves_up_nothing),
		cmocka_unit_test(class_draws_on_all_its_reservations),
		cmocka_unit_test(classes_of_one_reservation_have_it_together),
		cmocka_unit_test(too_much_promised_degrades_in_proportion),
		cmocka_unit_test(limit_is_never_exceeded_by_more_than_its_burst),
		cmocka_unit_test(limited_class_leaves_the_rest_to_others),
		cmocka_unit_test(every_limit_of_a_class_holds_and_nested_ones_share),
		cmocka_unit_test(class_of_several_busy_limits_is_not_starved_by_those_of_one),
		cmocka_unit_test(reservation_under_a_full_limit_is_served_first),
		cmocka_unit_test(limit_bounds_the_sum_over_two_queues_and_both_get_half),
		cmocka_unit_test(hundreds_of_classes_behind_one_limit_share_it),
		cmocka_unit_test(excess_is_shared_by_weight),
		cmocka_unit_test(line_is_never_idle_and_never_overrun),
		cmocka_unit_test(packets_that_skip_the_calendars_pay_their_limits_and_overtake_nobody),
		cmocka_unit_test(full_queue_drops_only_its_own_class_and_counts_it),
		cmocka_unit_test(best_effort_holds_100_ms_of_the_line_but_64_kb_at_least),
		cmocka_unit_test(one_flooded_class_leaves_nodes_to_the_others),
		cmocka_unit_test(unshaped_port_passes_all_at_once_but_limits),
		cmocka_unit_test(shaped_port_is_never_bypassed),
		cmocka_unit_test(worker_sleeps_while_a_limit_holds_all),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
