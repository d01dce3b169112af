// SPDX-License-Identifier: Apache-2.0
// What rows by parts do to real mbufs between ring ports: who is dropped, and what is counted for whom.
#include <errno.h>

#include "tests/unit/dataplane/worker_net.h"

static void denied_frame_is_dropped_but_its_sender_is_learned(void **state)
{
	struct box box = box_between(IP(1), IP(2));
	struct part_row deny = net_row(&box, 1, ACCESS_DENY);
	struct frame f = udp(H2, H1, IP(1), IP(2), 10), back = udp(H1, H2, IP(2), IP(1), 10),
		     other = udp(H2, H1, IP(1), IP(3), 10);

	net_publish(&net, &deny, 1, NULL, 0);
	send_from(0, &f);
	for (uint16_t i = 0; i < 3; i++)
		net_expect_silence(&net, i);
	assert_int_equal(net_counter(&net, 0, COUNTER_denied), 1);
	send_from(1, &back); // known: not flooded
	net_expect_out(&net, 0, &back);
	net_expect_silence(&net, 2);
	send_from(0, &other);
	net_expect_out(&net, 1, &other);
}

// Node 2 below node 1 below the root, node 3 beside node 1.
static void make_nodes(void)
{
	struct err err;

	assert_true(names_node_set(net.names, 1, 0, &err) >= 0);
	assert_true(names_node_set(net.names, 2, 1, &err) >= 0);
	assert_true(names_node_set(net.names, 3, 0, &err) >= 0);
	assert_int_equal(names_node_set(net.names, 5, 4, &err), -ENOENT);
}

static void a_deny_holds_unless_an_allow_stands_below_it(void **state)
{
	static const struct {
		uint32_t deny, allow; // nodes
		bool passes;
	} cases[] = {{0, 1, true},  {0, 2, true},  {1, 2, true}, {1, 1, false},
		     {2, 1, false}, {1, 3, false}, {1, 0, false}};
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);
	struct box box = box_between(IP(1), IP(2));
	static const uint16_t depth[] = {0, 1, 2, 1};

	make_nodes();
	learn_all();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct part_row rows[] = {net_row(&box, 1, ACCESS_DENY), net_row(&box, 2, ACCESS_ALLOW)};

		rows[0].node = cases[i].deny;
		rows[0].depth = depth[cases[i].deny];
		rows[1].node = cases[i].allow;
		rows[1].depth = depth[cases[i].allow];
		rows[1].access_category = i % 2 == 0 ? 1 : 20; // also where a second lookup answers
		net_publish(&net, rows, 2, NULL, 0);
		send_from(0, &f);
		if (cases[i].passes)
			net_expect_out(&net, 1, &f);
		else
			net_expect_silence(&net, 1);
	}
}

static void packets_count_once_for_each_request_they_meet(void **state)
{
	struct box narrow = box_between(IP(1), IP(2)), wide = narrow;
	struct frame f = udp(H2, H1, IP(1), IP(2), 10), other = udp(H2, H1, IP(1), IP(3), 10);
	struct part_row rows[4];
	struct net_meter meter = {.id = 17, .rate_bps = 8000000, .is_limit = true};
	struct row_count count;

	wide.dst = match_ip4_prefix(IP(0), 24);
	rows[0] = net_row(&narrow, 5, ACCESS_DENY);
	rows[1] = net_row(&wide, 6, ACCESS_ALLOW);
	rows[1].access_category = 1;
	rows[2] = net_meter_row(&narrow, 17, PART_LIMIT);
	rows[2].meter_category = 2;
	rows[3] = net_meter_row(&wide, 17, PART_LIMIT); // two rows of one request meet
	rows[3].meter_category = 3;
	learn_all();
	net_publish(&net, rows, 4, &meter, 1);
	for (int i = 0; i < 3; i++)
		send_from(0, &f);
	send_from(0, &other);
	count = net_row_count(&net, 5);
	assert_int_equal(count.packets, 3); // denied ones, too
	assert_int_equal(count.bytes, 3 * f.len);
	assert_int_equal(net_row_count(&net, 6).packets, 4);
	assert_int_equal(net_row_count(&net, 17).packets, 4);
	net_publish(&net, rows, 1, NULL, 0); // numbers outlive a snapshot
	send_from(0, &f);
	assert_int_equal(net_row_count(&net, 5).packets, 4);
	assert_int_equal(net_row_count(&net, 6).packets, 4);
	net_turn(&net);
	net_forget_meters(&net, &meter, 1);
	net_drain(net.tx[1]);
}

static void new_snapshot_counts_from_its_turn_on(void **state)
{
	struct box box = box_between(IP(1), IP(2));
	struct part_row row = net_row(&box, 1, ACCESS_DENY);
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);

	learn_all();
	net_publish(&net, &row, 1, NULL, 0);
	assert_int_not_equal(snapshot_adopted_gen(&net.slot), atomic_load(&net.slot.live)->gen);
	send_from(0, &f);
	assert_int_equal(snapshot_adopted_gen(&net.slot), atomic_load(&net.slot.live)->gen);
	net_expect_silence(&net, 1);
	row.access = ACCESS_ALLOW;
	net_publish(&net, &row, 1, NULL, 0);
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
}

// Frames of either source, to either host, in one burst, by turns. Where a packet meets more rows than a kept answer
// has, all answers are one.
static void frames_of_a_burst_have_the_classes_of_their_own_rows(void **state)
{
	static const uint32_t n_wide[] = {0, COMBINE_WORDS_MAX + 1};
	struct net_meter meters[] = {{17, 800000000, true}, {18, 800000000, true}};
	struct part_row rows[COMBINE_WORDS_MAX + 3];
	struct box all = box_any();

	for (uint32_t i = 0; i < 2; i++) {
		struct box box = box_any();

		box.kinds = MATCH_KINDS_V4;
		box.src = match_ip4_prefix(IP(1 + i), 32);
		rows[i] = net_meter_row(&box, meters[i].id, PART_LIMIT);
		rows[i].meter_category = COMBINE_WORDS_MAX + 1;
	}
	for (uint32_t i = 0; i <= COMBINE_WORDS_MAX; i++) {
		rows[2 + i] = net_row(&all, 20 + i, ACCESS_ALLOW);
		rows[2 + i].access_category = (uint8_t)i;
	}
	learn_all();
	for (uint32_t k = 0; k < 2; k++) {
		net_publish(&net, rows, 2 + n_wide[k], meters, 2);
		for (uint32_t i = 0; i < PKT_BURST; i++) {
			struct frame f = udp(i / 2 % 2 == 0 ? H2 : H3, H1, IP(1 + i % 2), IP(7), 10);

			net_inject(&net, 0, &f);
		}
		net_turn(&net);
		for (uint32_t i = 0; i < 4; i++) {
			struct sched_set set = {.n_limits = 1};
			struct sched_class_stats stats;
			struct sched *sched = net.sched[1 + i / 2];

			set.limit[0] = sched_slots_meter(net.slots, meters[i % 2].id);
			sched_set_seal(&set);
			sched_class_stats(sched, sched_class_find(sched, &set), &stats);
			assert_int_equal(stats.packets + stats.backlog_packets, (k + 1) * PKT_BURST / 4);
		}
		net.now_tsc += NET_HZ / 10; // all leave
		net_turn(&net);
		net_drain(net.tx[1]);
		net_drain(net.tx[2]);
	}
	net_publish(&net, NULL, 0, NULL, 0);
	net_turn(&net);
	net_forget_meters(&net, meters, 2);
}

static int open_slow_net(void **state)
{
	net_open(&net, 3, NET_HZ, 8000000, 1023);
	return 0;
}

// Offers a millisecond's worth of the port (8 Mb/s) of each of the frames given, for `ms` milliseconds. What came out,
// by the last byte of the source address.
static void offer(const struct frame *const *frames, uint32_t n, int ms, uint32_t out[10])
{
	struct rte_mbuf *m;

	memset(out, 0, 10 * sizeof(*out));
	for (int t = 0; t < ms; t++) {
		for (uint32_t i = 0; i < n; i++)
			net_inject(&net, 0, frames[i]);
		for (int i = 0; i < 10; i++) {
			net.now_tsc += NET_HZ / 10000;
			net_turn(&net);
		}
		while ((m = net_out(&net, 1)) != NULL) {
			out[rte_pktmbuf_mtod(m, uint8_t *)[29]]++;
			rte_pktmbuf_free(m);
		}
	}
}

static void background_gets_only_what_nobody_else_wants(void **state)
{
	struct frame hinted = udp(H2, H1, IP(1), IP(2), 958), other = udp(H2, H1, IP(9), IP(2), 958); // 1000 bytes
	const struct frame *both[] = {&hinted, &other}, *alone[] = {&hinted};
	struct box box = box_between(IP(1), IP(2));
	struct part_row rows[] = {net_meter_row(&box, 17, PART_BACKGROUND), net_meter_row(&box, 0, PART_SHARE),
				  net_meter_row(&box, 18, PART_RESERVE)};
	struct net_meter reservation = {.id = 18, .rate_bps = 2000000};
	uint32_t out[10];
	struct err err;

	assert_true(sched_slots_node_set(net.slots, SCHED_BACKGROUND_SHARE, 0, SCHED_WEIGHT_BACKGROUND, &err) >= 0);
	assert_true(names_node_set(net.names, 1, 0, &err) >= 0);
	assert_true(sched_slots_node_set(net.slots, 1, 0, 1000, &err) >= 0);
	rows[1].node = 1; // a share of a thousandfold weight holds it, too
	rows[1].depth = 1;
	rows[1].meter_category = 1;
	rows[2].meter_category = 2;
	learn_all();
	net_publish(&net, NULL, 0, NULL, 0);
	offer(both, 2, 200, out);
	assert_in_range(out[1], 90, 110); // without the hint they share
	net_publish(&net, rows, 2, NULL, 0);
	offer(alone, 1, 500, out); // and queues run empty
	assert_in_range(out[1], 400, 500);
	offer(both, 2, 500, out);
	assert_true(out[1] <= 2);
	assert_in_range(out[9], 498, 501);
	net_publish(&net, rows, 3, &reservation, 1); // what is promised is kept
	offer(both, 2, 500, out);
	assert_in_range(out[1], 122, 130);
	assert_in_range(out[9], 370, 380);
	net_publish(&net, NULL, 0, NULL, 0); // the hint is over
	offer(both, 2, 500, out);
	assert_in_range(out[1], 200, 330); // with what still waited
	net_forget_meters(&net, &reservation, 1);
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

#define net_test(fn) cmocka_unit_test_setup_teardown(fn, open_net, close_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		net_test(denied_frame_is_dropped_but_its_sender_is_learned),
		net_test(a_deny_holds_unless_an_allow_stands_below_it),
		net_test(packets_count_once_for_each_request_they_meet),
		net_test(frames_of_a_burst_have_the_classes_of_their_own_rows),
		net_test(new_snapshot_counts_from_its_turn_on),
		cmocka_unit_test_setup_teardown(background_gets_only_what_nobody_else_wants, open_slow_net, close_net),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
