// SPDX-License-Identifier: Apache-2.0
// What a live queue survives: new plans, packets that come back, clocks that jump, extreme rates.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/bucket.h"
#include "sim.h"
#include "tests/rounds.h"

#define IDS(...) ((const int[]){__VA_ARGS__, -1})
#define FLOOD SCHED_BEST_EFFORT

static void assert_near(double is, double want, double tolerance)
{
	if (is < want - tolerance || is > want + tolerance)
		fail_msg("%f is not %f +- %f", is, want, tolerance);
}

static uint64_t backlog(struct sim *sim, uint32_t slot)
{
	struct sched_class_stats st;

	sim_stats(sim, 0, slot, &st);
	return st.backlog_packets;
}

static void adopting_the_same_plan_changes_nothing(void **state)
{
	uint64_t bytes[2][3];

	for (unsigned int i = 0; i < 2; i++) {
		struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
		struct sim_plan p;

		sim_plan_init(&p);
		sim_plan_meter(&p, 0, 1, 40 * MBIT);
		sim_plan_meter(&p, 1, 2, 20 * MBIT);
		sim_plan_class(&p, 1, 1, IDS(0), NULL);
		sim_plan_class(&p, 2, 1, NULL, IDS(1));
		sim_adopt(sim, &p);
		for (uint32_t slot = 0; slot < 3; slot++)
			sim_backlog(sim, 0, slot, 500 + 300 * slot);
		for (unsigned int turn = 0; turn < 2000; turn++) {
			sim_run(sim, SIM_MS / 2);
			if (i == 1)
				sim_adopt(sim, &p);
		}
		for (uint32_t slot = 0; slot < 3; slot++)
			bytes[i][slot] = sim_bytes(sim, slot);
		sim_destroy(sim);
	}
	for (uint32_t slot = 0; slot < 3; slot++)
		assert_near((double)bytes[1][slot], (double)bytes[0][slot], 2 * MTU);
}

static void class_whose_meters_go_drains_without_them_in_order(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	struct sim_plan p;
	uint32_t class;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 100 * MBIT);
	sim_plan_meter(&p, 1, 2, 0); // nothing may leave
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	for (unsigned int n = 0; n < 60; n++)
		assert_true(sim_send(sim, 0, 2, 1000));
	assert_true(sim_send(sim, 0, 1, 1000));
	sim_run(sim, 3000 * SIM_MS);
	assert_int_equal(backlog(sim, 2), 60);
	class = sim_class(sim, 0, 2);
	sim_plan_init(&p);
	sim_adopt(sim, &p);
	sched_class_stats(sim->queue[0], class, &st);
	assert_int_equal(st.backlog_packets, 60);
	sim_run(sim, 10 * SIM_MS); // checks the order
	assert_int_equal(sim_bytes(sim, 2), 60000);
	assert_int_equal(sim_bytes(sim, 1), 1000);
	sim_run(sim, 3000 * SIM_MS);
	sim_take(sim, 0);
	sim_destroy(sim);
}

static void new_owner_of_a_slot_inherits_nothing(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_class_stats st;
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 8000);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	for (unsigned int i = 0; i < 50; i++)
		sim_send(sim, 0, 1, 1000);
	sim_run(sim, SIM_MS); // the limit's tokens are used up
	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 2, 8000);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	assert_int_equal(backlog(sim, 1), 0);
	sim_stats(sim, 0, 1, &st);
	assert_int_equal(st.packets, 0);
	sim_run(sim, 100 * SIM_MS); // the old packets leave as best effort
	assert_int_equal(sched_backlog_packets(sim->queue[0]), 0);
	assert_true(sim_send(sim, 0, 1, 1000));
	assert_int_equal(sim_take(sim, 0), 1); // fresh tokens
	sim_destroy(sim);
}

static void changed_rate_counts_from_now_and_gives_no_second_burst(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	uint64_t before;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 8000);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, 1000);
	sim_run(sim, 10 * SIM_HZ + SIM_HZ / 10);
	p.meters[0].rate_bps = 40 * MBIT;
	sim_adopt(sim, &p);
	before = sim_bytes(sim, 1);
	sim_run(sim, 100 * SIM_MS);
	assert_near(sim_mbit(sim, 1, before, 100 * SIM_MS), 40, 0.8);
	for (unsigned int i = 0; i < 200; i++) { // a change back and forth makes no tokens
		p.meters[0].rate_bps = i % 2 ? 40 * MBIT : 39 * MBIT;
		sim_adopt(sim, &p);
		sim_run(sim, SIM_MS);
	}
	assert_true(sim_window_max(sim, 1, 100, 10200, 10400) <= 40 * MBIT / 8 / 1000 * 101 + 25000);
	p.meters[0].rate_bps = 8000;
	sim_adopt(sim, &p);
	before = sim_bytes(sim, 1);
	sim_run(sim, 20 * SIM_HZ);
	assert_near((double)(sim_bytes(sim, 1) - before), 20000, 2 * MTU);
	sim_destroy(sim);
}

static void changed_reservation_counts_from_now(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	uint64_t before;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 90 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 0, FLOOD, MTU);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, 1000 * SIM_MS), 95, 1);
	p.meters[0].rate_bps = 10 * MBIT;
	sim_adopt(sim, &p);
	before = sim_bytes(sim, 1);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, before, 1000 * SIM_MS), 55, 1);
	sim_destroy(sim);
}

// Plans come and go at random under load; sim_take checks order and loss, sim_destroy that no mbuf is left.
static void random_plans_lose_and_reorder_nothing(void **state)
{
	unsigned int rounds = (unsigned int)rounds_from_env(300), seed = (unsigned int)seed_from_env(4);
	struct sim *sim = sim_create(100 * MBIT, 2, SIM_HZ);

	print_message("seed %u, rounds %u\n", seed, rounds);
	srand(seed);
	for (unsigned int i = 0; i < rounds; i++) {
		struct sim_plan p;

		sim_plan_init(&p);
		for (uint32_t slot = 0; slot < 20; slot++)
			sim_plan_meter(&p, slot, slot + 1, (uint64_t)(rand() % 50) * MBIT / (rand() % 2 ? 1 : 100));
		for (uint32_t slot = 1; slot < 12; slot++) {
			if (rand() % 3 != 0)
				sim_plan_class(&p, slot, 1 + (uint32_t)rand() % 3,
					       slot % 3 ? IDS(slot % 8 == 2 ? 3 : (int)slot % 8, 2) : NULL,
					       slot % 4 ? IDS(10 + (int)slot % 5, 15) : NULL);
		}
		sim_adopt(sim, &p);
		for (unsigned int n = 0; n < 200; n++) {
			uint32_t slot = (uint32_t)rand() % 12;
			unsigned int q = (unsigned int)rand() % 2;

			if (slot == 0 || p.classes[slot].used) // else packets of one slot could be in two queues
				sim_send(sim, q, slot, 64 + (uint32_t)rand() % 1450);
		}
		// A class must be empty in best effort before its slot comes back, or the order cannot be judged by
		// slot.
		sim_run(sim, (uint64_t)(rand() % 3) * SIM_MS);
		if (rand() % 2) {
			sim_plan_init(&p);
			sim_adopt(sim, &p);
		}
		while (sched_backlog_packets(sim->queue[0]) + sched_backlog_packets(sim->queue[1]) > 0) {
			sim_plan_init(&p);
			sim_adopt(sim, &p);
			sim_run(sim, 10 * SIM_MS);
		}
	}
	sim_destroy(sim);
}

static void idle_classes_go_back_to_the_pool_and_their_names_are_old(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sched_stats stats;
	struct sim_plan p;
	uint32_t class;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 8000);
	for (uint32_t slot = 1; slot < 20; slot++)
		sim_plan_class(&p, slot, slot, NULL, slot == 1 ? IDS(0) : NULL);
	sim_adopt(sim, &p);
	for (uint32_t slot = 1; slot < 20; slot++) {
		for (unsigned int n = 0; n < 6; n++)
			sim_send(sim, 0, slot, 1000);
	}
	class = sim_class(sim, 0, 2);
	assert_true(sched_class_is_live(sim->queue[0], class));
	sched_stats(sim->queue[0], &stats);
	assert_int_equal(stats.n_classes, 20);
	for (unsigned int i = 0; i < 2500; i++) {
		sim->now += SIM_MS;
		sim_take(sim, 0);
	}
	sched_stats(sim->queue[0], &stats);
	assert_int_equal(stats.n_classes, 2); // best effort, and the one that its limit still holds
	assert_false(sched_class_is_live(sim->queue[0], class));
	assert_true(sim_class(sim, 0, 2) != class);
	sim_drain(sim);
	sim_destroy(sim);
}

static void empty_pool_polices_what_is_limited_and_counts_it(void **state)
{
	struct sched_conf conf = {.rate_bps = 1000 * MBIT, .tsc_hz = SIM_HZ, .mtu_bytes = MTU, .classes_max = 1000};
	struct sim *sim = sim_create(0, 0, SIM_HZ);
	struct sched_set set = {.n_limits = 1, .limit = {1}, .node = 0};
	struct sched_stats stats;
	struct sim_plan p;
	uint64_t sent = 0;

	conf.socket_id = SOCKET_ID_ANY;
	sim->queue[sim->n_queues++] = sched_create(&conf, sim->limits, NULL);
	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 0);
	sim_plan_meter(&p, 1, 2, 8 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	for (uint32_t i = 0;; i++) { // classes that nothing may leave
		struct sched_set held = {.n_limits = 1,
					 .limit = {0},
					 .node = i / 4000,
					 .n_reservations = 1,
					 .reservation = {2 + i % 4000}};
		struct rte_mbuf *m;

		sched_set_seal(&held);
		m = sim_packet(sim, 0, 3, 64);
		m->hash.usr = 0; // of many classes: in no order
		if (sched_class(sim->queue[0], &held, sim_tsc(sim)) == SCHED_POLICED) {
			rte_pktmbuf_free(m);
			break;
		}
		assert_true(sched_enqueue(sim->queue[0], m, sched_class(sim->queue[0], &held, sim_tsc(sim)), 0,
					  sim_tsc(sim)));
	}
	sched_set_seal(&set);
	for (unsigned int i = 0; i < 1000; i++) {
		struct rte_mbuf *m = sim_packet(sim, 0, 2, 1000);

		assert_int_equal(sched_class(sim->queue[0], &set, sim_tsc(sim)), SCHED_POLICED);
		if (sched_enqueue(sim->queue[0], m, SCHED_POLICED, 0, sim_tsc(sim))) {
			sent += 1000;
		} else {
			sim->next_seq[0][2]--;
			rte_pktmbuf_free(m);
		}
		sim->now += SIM_MS / 10;
		sim_take(sim, 0);
	}
	assert_near((double)sent, 100000 + 5000, 2 * MTU); // 8 Mb/s for 100 ms, and the burst
	sched_stats(sim->queue[0], &stats);
	assert_true(stats.pool_full >= 1001);
	assert_int_equal(stats.n_classes, stats.n_classes_max);
	p.meters[0].rate_bps = 1000 * MBIT;
	sim_adopt(sim, &p);
	sim_drain(sim);
	sim_destroy(sim);
}

static void unsent_packets_come_first_again_and_cost_once(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;
	uint64_t refused = 0;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 15 * MBIT);
	sim_plan_meter(&p, 1, 2, 50 * MBIT);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_plan_class(&p, 2, 1, IDS(1), NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, 700);
	sim_backlog(sim, 0, 2, 900);
	sim_backlog(sim, 0, FLOOD, MTU);
	srand(3);
	for (unsigned int i = 0; i < 40000; i++) { // a ring that often takes only some of them
		struct rte_mbuf *out[8];
		uint16_t n = sched_dequeue(sim->queue[0], out, 8, sim_tsc(sim)), left = (uint16_t)(rand() % (n + 1));

		sched_unsend(sim->queue[0], out + n - left, left);
		refused += left;
		for (uint16_t k = 0; k < n - left; k++) {
			uint32_t slot = out[k]->port;

			sim_judge(sim, 0, out[k]);
			rte_pktmbuf_free(out[k]);
			sim_backlog(sim, 0, slot, sim->source[0][slot].len_bytes);
		}
		sim->now += 50000;
	}
	assert_true(refused > 5000);
	assert_near(sim_mbit(sim, 1, 0, sim->now), 15, 0.2); // its limit
	assert_near(sim_mbit(sim, 2, 0, sim->now), 50 + 17.5, 0.7);
	assert_near(sim_mbit(sim, 0, 0, sim->now), 17.5, 0.3);
	sim_destroy(sim);
}

static void nothing_sent_downstream_for_long_then_all_in_order(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 60 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_adopt(sim, &p);
	sim_backlog(sim, 0, 1, MTU);
	sim_backlog(sim, 0, FLOOD, MTU);
	for (unsigned int i = 0; i < 10000; i++) {
		struct rte_mbuf *out[32];
		uint16_t n = sched_dequeue(sim->queue[0], out, 32, sim_tsc(sim));

		sched_unsend(sim->queue[0], out, n);
		sim->now += 10000;
	}
	assert_int_equal(sched_backlog_packets(sim->queue[0]), 80);
	sim_run(sim, 1000 * SIM_MS);
	assert_near(sim_mbit(sim, 1, 0, 1000 * SIM_MS), 80, 1);
	sim_destroy(sim);
}

static void unsend_after_an_adoption_still_loses_nothing(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	struct rte_mbuf *out[8];
	struct sim_plan p;
	uint16_t n;

	sim_plan_init(&p);
	sim_plan_class(&p, 1, 1, NULL, NULL);
	sim_adopt(sim, &p);
	for (unsigned int i = 0; i < 8; i++)
		sim_send(sim, 0, 1, 100);
	n = sched_dequeue(sim->queue[0], out, 8, sim_tsc(sim));
	assert_int_equal(n, 8);
	sim_plan_init(&p);
	sim_adopt(sim, &p);
	sched_unsend(sim->queue[0], out, n);
	assert_int_equal(sched_backlog_packets(sim->queue[0]), 8);
	assert_int_equal(sim_take(sim, 0), 8);
	sim_destroy(sim);
}

static void jumping_clock_neither_bursts_nor_stalls(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	const uint64_t jumps[] = {1ULL << 40, -(1ULL << 39), 1ULL << 62, -(1ULL << 61), -1000, 1ULL << 63, 5000};
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 60 * MBIT);
	sim_plan_meter(&p, 1, 2, 10 * MBIT);
	sim_plan_class(&p, 1, 1, IDS(0), NULL);
	sim_plan_class(&p, 2, 1, NULL, IDS(1));
	sim_adopt(sim, &p);
	for (uint32_t slot = 0; slot < 3; slot++)
		sim_backlog(sim, 0, slot, 1000);
	for (unsigned int i = 0; i < 70; i++) {
		uint64_t ms = sim->now / SIM_MS;

		sim_run(sim, 40 * SIM_MS);
		assert_true(sim_window_min(sim, 1, 10, (uint32_t)ms + 12, (uint32_t)ms + 40) > 70000);
		assert_true(sim_window_max(sim, 2, 20, (uint32_t)ms, (uint32_t)ms + 40) < 25000 + 6250 + 1250 + 1000);
		sim->tick_offset += jumps[i % 7];
	}
	assert_near(sim_mbit(sim, 2, 0, sim->now), 10, 1.5);
	sim_destroy(sim);
}

static void small_steps_back_do_not_make_time_run_twice(void **state)
{
	struct sim *sim = sim_create(100 * MBIT, 1, SIM_HZ);
	uint64_t start = sim->tick_offset;

	sim_backlog(sim, 0, FLOOD, 1000);
	for (unsigned int i = 0; i < 100000; i++) {
		sim->now += 10000;
		sim->tick_offset = start - (i % 2 ? 15000 : 0);
		sim_take(sim, 0);
	}
	assert_near(sim_mbit(sim, 0, 0, sim->now), 100, 1);
	sim_destroy(sim);
}

static void rates_from_8_kb_to_400_gb_are_exact(void **state)
{
	const uint64_t rates[] = {8000, 64000, 1000000000, 10000000000, 400000000000};
	const uint64_t hz[] = {1000000000, 2600000000, 5000000000};

	for (unsigned int i = 0; i < 15; i++) {
		struct sim *sim = sim_create(rates[i / 3], 1, hz[i % 3]);
		uint64_t ns = rates[i / 3] < MBIT ? 1000 * SIM_HZ : 50 * SIM_MS;
		double want = (double)rates[i / 3] / 1e6;

		sim_backlog(sim, 0, FLOOD, MTU);
		sim_run(sim, ns);
		assert_near(sim_mbit(sim, 0, 0, ns), want, want / 100 + (rates[i / 3] < MBIT ? 0.0001 : 0));
		sim_destroy(sim);
	}
}

static void bucket_arithmetic_is_exact_over_all_rates(void **state)
{
	for (uint64_t rate = 1; rate < 1000000000000; rate = rate * 3 + 1) {
		struct bucket b;
		double want = 1e6 * 1500 * 8 * 2.6e9 / (double)rate;
		uint64_t start = 1ULL << 57;

		if (want > 6e18) // a million frames at this rate take longer than the clock lasts
			continue;
		bucket_init(&b, rate, 2600000000, start);
		for (unsigned int i = 0; i < 1000000; i++)
			bucket_take(&b, 1500);
		assert_near((double)(b.full_at - start) / want, 1, 1e-5);
	}
}

static void bucket_keeps_its_bytes_when_the_rate_changes(void **state)
{
	const uint64_t start = 1ULL << 57, ms = 1000000;
	struct bucket b;

	bucket_init(&b, 8000000, 1000000000, start); // 1 byte a us
	b.burst_ticks = 5 * ms;
	bucket_take(&b, 6000); // 1000 overdrawn
	assert_int_equal(bucket_opens_at(&b) - start, ms);
	bucket_change(&b, 80000000, 1000000000, 5 * ms, start);
	assert_int_equal(bucket_opens_at(&b) - start, ms / 10);
	bucket_change(&b, 8000000, 1000000000, 5 * ms, start + ms / 10 + ms / 5); // 2000 in it
	bucket_take(&b, 2500);
	assert_int_equal(bucket_opens_at(&b) - start, ms / 10 + ms / 5 + ms / 2);
	bucket_settle(&b, start + 100 * ms);                             // full: 5000
	bucket_change(&b, 800000, 1000000000, 5 * ms, start + 100 * ms); // only 500 have room
	bucket_take(&b, 1000);
	assert_int_equal(bucket_opens_at(&b) - start, 105 * ms);
}

static void zero_limit_stops_and_zero_reservation_promises_nothing(void **state)
{
	struct sim *sim = sim_create(10 * MBIT, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 0);
	sim_plan_meter(&p, 1, 2, 0);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_plan_class(&p, 2, 1, IDS(1), NULL);
	sim_adopt(sim, &p);
	sim_send(sim, 0, 1, 100);
	sim_run(sim, SIM_HZ);
	assert_true(sched_next_tsc(sim->queue[0], sim_tsc(sim)) == UINT64_MAX);
	assert_int_equal(backlog(sim, 1), 1);
	sim_backlog(sim, 0, 2, 1000);
	sim_backlog(sim, 0, FLOOD, 1000);
	sim_run(sim, SIM_HZ);
	assert_near(sim_mbit(sim, 2, 0, SIM_HZ), 5, 0.1);
	assert_int_equal(backlog(sim, 1), 1);
	p.meters[0].rate_bps = MBIT;
	sim_adopt(sim, &p);
	sim_run(sim, SIM_HZ);
	assert_int_equal(backlog(sim, 1), 0);
	sim_destroy(sim);
}

static void jumbo_frame_passes_a_tiny_limit(void **state)
{
	struct sim *sim = sim_create(0, 1, SIM_HZ);
	struct sim_plan p;

	sim_plan_init(&p);
	sim_plan_meter(&p, 0, 1, 8000);
	sim_plan_class(&p, 1, 1, NULL, IDS(0));
	sim_adopt(sim, &p);
	while (sim_send(sim, 0, 1, 9000))
		;
	sim_run(sim, 70 * SIM_HZ);
	assert_int_equal(sim_bytes(sim, 1), 8 * 9000); // one at once; 64 KB of room: 7 frames, one in 9 s
	sim_destroy(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adopting_the_same_plan_changes_nothing),
		cmocka_unit_test(class_whose_meters_go_drains_without_them_in_order),
		cmocka_unit_test(new_owner_of_a_slot_inherits_nothing),
		cmocka_unit_test(changed_rate_counts_from_now_and_gives_no_second_burst),
		cmocka_unit_test(changed_reservation_counts_from_now),
		cmocka_unit_test(random_plans_lose_and_reorder_nothing),
		cmocka_unit_test(idle_classes_go_back_to_the_pool_and_their_names_are_old),
		cmocka_unit_test(empty_pool_polices_what_is_limited_and_counts_it),
		cmocka_unit_test(unsent_packets_come_first_again_and_cost_once),
		cmocka_unit_test(nothing_sent_downstream_for_long_then_all_in_order),
		cmocka_unit_test(unsend_after_an_adoption_still_loses_nothing),
		cmocka_unit_test(jumping_clock_neither_bursts_nor_stalls),
		cmocka_unit_test(small_steps_back_do_not_make_time_run_twice),
		cmocka_unit_test(rates_from_8_kb_to_400_gb_are_exact),
		cmocka_unit_test(bucket_arithmetic_is_exact_over_all_rates),
		cmocka_unit_test(bucket_keeps_its_bytes_when_the_rate_changes),
		cmocka_unit_test(zero_limit_stops_and_zero_reservation_promises_nothing),
		cmocka_unit_test(jumbo_frame_passes_a_tiny_limit),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
