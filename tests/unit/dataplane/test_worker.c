// SPDX-License-Identifier: Apache-2.0
// The bridge and the policy on real mbufs between ring ports: where each frame goes, and which counter it ends in.
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "tests/unit/dataplane/random_net.h"
#include "tests/unit/dataplane/worker_net.h"

static void unknown_and_group_destinations_reach_all_other_ports(void **state)
{
	struct frame unknown = udp(H2, H1, IP(1), IP(2), 10), broadcast = arp(BROADCAST, H1),
		     multicast = arp(0x01005e000001, H1);

	for (int i = 0; i < 3; i++) {
		const struct frame *f = i == 0 ? &unknown : i == 1 ? &broadcast : &multicast;

		send_from(0, f);
		net_expect_out(&net, 1, f);
		net_expect_out(&net, 2, f);
		net_expect_silence(&net, 0);
	}
	assert_int_equal(net_counter(&net, 0, COUNTER_flooded), 3);
	assert_int_equal(net_counter(&net, 0, COUNTER_copies), 3);
	assert_int_equal(net_counter(&net, 0, COUNTER_learned), 1);
}

static void copies_of_a_flood_share_no_bytes(void **state)
{
	struct frame f = arp(BROADCAST, H1);
	struct rte_mbuf *a, *b;

	send_from(0, &f);
	a = net_out(&net, 1);
	b = net_out(&net, 2);
	assert_true(RTE_MBUF_DIRECT(a) && RTE_MBUF_DIRECT(b));
	assert_true(rte_mbuf_refcnt_read(a) == 1 && rte_mbuf_refcnt_read(b) == 1);
	assert_ptr_not_equal(rte_pktmbuf_mtod(a, void *), rte_pktmbuf_mtod(b, void *));
	rte_pktmbuf_free(a);
	rte_pktmbuf_free(b);
}

static void learned_destination_gets_it_alone(void **state)
{
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);

	learn_all();
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
	net_expect_silence(&net, 0);
	net_expect_silence(&net, 2);
	assert_int_equal(net_counter(&net, 1, COUNTER_tx_packets), 3);
	assert_int_equal(net_counter(&net, 0, COUNTER_rx_bytes), 42 + f.len);
}

static void destination_behind_the_ingress_port_is_dropped(void **state)
{
	struct frame f = udp(H1, H3 + 9, IP(1), IP(2), 10);

	learn_all();
	send_from(0, &f);
	for (uint16_t i = 0; i < 3; i++)
		net_expect_silence(&net, i);
	assert_int_equal(net_counter(&net, 0, COUNTER_same_port), 1);
}

static void moved_host_is_reached_at_its_new_port(void **state)
{
	struct frame hello = arp(BROADCAST, H2), f = udp(H2, H1, IP(1), IP(2), 10);

	learn_all();
	send_from(2, &hello);
	net_drain(net.tx[0]);
	net_drain(net.tx[1]);
	assert_int_equal(net_counter(&net, 2, COUNTER_moved), 1);
	send_from(0, &f);
	net_expect_out(&net, 2, &f);
	net_expect_silence(&net, 1);
}

static void silent_host_is_forgotten_after_the_ageing_time(void **state)
{
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);

	learn_all();
	net.now_tsc += (NET_AGEING_S - 1) * NET_HZ;
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
	net_expect_silence(&net, 2);
	net.now_tsc += 2 * NET_HZ;
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
	net_expect_out(&net, 2, &f);
	for (int i = 0; i < 1000; i++) { // the sweep removes H2 and H3; H1 spoke
		net.now_tsc += NET_HZ / 500;
		net_turn(&net);
	}
	assert_int_equal(workers_n_addresses(net.all), 1);
}

static void vlans_are_separate_and_tags_stay(void **state)
{
	struct frame hello, f;

	for (int tagged_first = 0; tagged_first < 2; tagged_first++) {
		uint16_t tpid = tagged_first ? 0x88a8 : 0x8100;

		frame_start(&hello, BROADCAST, H2);
		frame_tag(&hello, tpid, 0xa000 | 7);
		frame_put16(&hello, 0x0806);
		frame_pad(&hello, 28, 0);
		send_from(1, &hello);
		net_expect_out(&net, 0, &hello);
		net_expect_out(&net, 2, &hello);

		frame_start(&f, H2, H1);
		frame_tag(&f, tpid, 7);
		frame_tag(&f, 0x8100, 9);
		frame_put16(&f, 0x0800);
		frame_pad(&f, 40, 3);
		send_from(0, &f);
		net_expect_out(&net, 1, &f);
		net_expect_silence(&net, 2);
	}
	f = udp(H2, H1, IP(1), IP(2), 10); // untagged: H2 is unknown there
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
	net_expect_out(&net, 2, &f);
}

static void unfit_frames_are_dropped_each_in_its_counter(void **state)
{
	struct frame runt = arp(BROADCAST, H1), oversize = udp(H2, H1, IP(1), IP(2), 1500),
		     group = arp(BROADCAST, 0x010000000001), zero = arp(BROADCAST, 0), lldp = arp(0x0180c200000e, H1),
		     deep = arp(H2, H1), max = udp(H2, H1, IP(1), IP(2), 1500 - 28);

	runt.len = 13;
	send_from(0, &runt);
	send_from(0, &oversize);
	send_from(0, &group);
	send_from(0, &zero);
	send_from(0, &lldp);
	deep.len = 12;
	for (int i = 0; i < 130; i++)
		frame_tag(&deep, 0x8100, 0);
	frame_put16(&deep, 0x0800);
	send_from(0, &deep);
	for (uint16_t i = 0; i < 3; i++)
		net_expect_silence(&net, i);
	assert_int_equal(net_counter(&net, 0, COUNTER_runt), 1);
	assert_int_equal(net_counter(&net, 0, COUNTER_oversize), 1);
	assert_int_equal(net_counter(&net, 0, COUNTER_bad_source), 2);
	assert_int_equal(net_counter(&net, 0, COUNTER_link_local), 1);
	assert_int_equal(net_counter(&net, 0, COUNTER_deep), 1);
	assert_int_equal(net_counter(&net, 0, COUNTER_learned), 0);
	assert_int_equal(max.len, 1514);
	send_from(0, &max);
	net_expect_out(&net, 1, &max);
}

static void nothing_is_received_without_a_snapshot(void **state)
{
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);
	struct snapshot *s = atomic_load(&net.slot.live);

	atomic_store(&net.slot.live, NULL);
	send_from(0, &f);
	assert_int_equal(net_counter(&net, 0, COUNTER_rx_packets), 0);
	assert_int_equal(rte_ring_count(net.rx[0]), 1);
	atomic_store(&net.slot.live, s);
	net_turn(&net);
	net_expect_out(&net, 1, &f);
	net_expect_out(&net, 2, &f);
}

static void down_port_is_left_out_and_its_hosts_forgotten(void **state)
{
	struct frame to_h2 = udp(H2, H1, IP(1), IP(2), 10), from_h2 = udp(H1, H2, IP(2), IP(1), 10);

	learn_all();
	workers_port_set_up(net.all, 1, false);
	send_from(0, &to_h2); // unknown now: floods to what is up
	net_expect_silence(&net, 1);
	net_expect_out(&net, 2, &to_h2);
	send_from(1, &from_h2);
	net_expect_silence(&net, 0);
	assert_int_equal(net_counter(&net, 1, COUNTER_rx_down), 1);
	workers_port_set_up(net.all, 2, false);
	send_from(0, &to_h2);
	assert_int_equal(net_counter(&net, 0, COUNTER_no_output), 1);
	workers_port_set_up(net.all, 1, true);
	send_from(1, &from_h2);
	net_expect_out(&net, 0, &from_h2);
	send_from(0, &to_h2);
	net_expect_out(&net, 1, &to_h2);
}

static void link_that_flaps_between_turns_still_forgets(void **state)
{
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);

	learn_all();
	workers_port_set_up(net.all, 1, false);
	workers_port_set_up(net.all, 1, true);
	send_from(0, &f);
	net_expect_out(&net, 1, &f);
	net_expect_out(&net, 2, &f);
}

static void copy_without_a_buffer_is_counted_at_its_output(void **state)
{
	struct rte_mbuf *m[1023];
	struct frame f = arp(BROADCAST, H1);

	assert_int_equal(rte_pktmbuf_alloc_bulk(net.copies, m, 1023), 0);
	send_from(0, &f);
	net_expect_silence(&net, 1);
	net_expect_out(&net, 2, &f); // the original
	assert_int_equal(net_counter(&net, 1, COUNTER_no_mbuf), 1);
	rte_pktmbuf_free_bulk(m, 1023);
}

static void full_transmit_ring_drops_and_counts_what_no_scheduler_holds(void **state)
{
	struct frame f = udp(H2, H1, IP(1), IP(2), 10);
	unsigned int room = rte_ring_get_capacity(net.tx[1]);

	learn_all();
	for (unsigned int i = 0; i < room + 5; i++)
		send_from(0, &f);
	assert_int_equal(rte_ring_count(net.tx[1]), room);
	assert_int_equal(net_counter(&net, 1, COUNTER_tx_full), 5);
	assert_int_equal(net_counter(&net, 1, COUNTER_tx_bytes), 2 * 42 + room * f.len); // and what learn_all made
}

// A limit of 8 Mb/s on H1 -> H2.
static void publish_limit(void)
{
	struct box box = box_between(IP(1), IP(2));
	struct part_row row = net_meter_row(&box, 17, PART_LIMIT);
	struct net_meter meter = {.id = 17, .rate_bps = 8000000, .is_limit = true};

	net_publish(&net, &row, 1, &meter, 1);
}

static void limited_flow_is_held_back_and_others_are_not(void **state)
{
	struct frame limited = udp(H2, H1, IP(1), IP(2), 958), other = udp(H2, H1, IP(9), IP(2), 958); // 1000 bytes
	uint64_t bytes = 0, others = 0;

	assert_int_equal(limited.len, 1000);
	learn_all();
	publish_limit();
	for (int ms = 0; ms < 1000; ms++) { // three times the limit
		struct rte_mbuf *m;

		for (int i = 0; i < 3; i++)
			net_inject(&net, 0, &limited);
		net_inject(&net, 0, &other);
		for (int i = 0; i < 10; i++) {
			net.now_tsc += NET_HZ / 10000;
			net_turn(&net);
		}
		while ((m = net_out(&net, 1)) != NULL) {
			bool is_other = rte_pktmbuf_mtod(m, uint8_t *)[29] == 9;

			bytes += is_other ? 0 : rte_pktmbuf_pkt_len(m);
			others += is_other;
			rte_pktmbuf_free(m);
		}
	}
	assert_int_equal(others, 1000);
	assert_in_range(bytes, 980000, 1000000 + 30000); // a second at the rate, and the burst
	assert_true(net_counter(&net, 1, COUNTER_queue_full) > 0);
}

static void scheduled_packet_waits_while_the_transmit_ring_is_full(void **state)
{
	struct frame limited = udp(H2, H1, IP(1), IP(2), 58), other = udp(H2, H1, IP(9), IP(2), 58);
	unsigned int room = rte_ring_get_capacity(net.tx[1]);

	learn_all();
	publish_limit();
	for (unsigned int i = 0; i < room; i++)
		send_from(0, &other);
	for (int i = 0; i < 10; i++)
		send_from(0, &limited);
	assert_int_equal(sched_backlog_packets(net.sched[1]), 10);
	assert_int_equal(net_counter(&net, 1, COUNTER_tx_full), 0);
	net_drain(net.tx[1]);
	for (int i = 0; i < 50; i++) {
		net.now_tsc += NET_HZ / 1000;
		net_turn(&net);
	}
	for (int i = 0; i < 10; i++)
		net_expect_out(&net, 1, &limited);
}

static void backlog_of_a_port_that_went_down_is_dropped_and_counted(void **state)
{
	struct frame limited = udp(H2, H1, IP(1), IP(2), 958);

	learn_all();
	publish_limit();
	for (int i = 0; i < 30; i++)
		send_from(0, &limited);
	assert_true(sched_backlog_packets(net.sched[1]) > 10);
	net_drain(net.tx[1]);
	workers_port_set_up(net.all, 1, false);
	for (int i = 0; i < 200; i++) {
		net.now_tsc += NET_HZ / 1000;
		net_turn(&net);
	}
	assert_int_equal(sched_backlog_packets(net.sched[1]), 0);
	assert_true(net_counter(&net, 1, COUNTER_tx_down) > 10);
	net_expect_silence(&net, 1);
}

// Noise, good frames with flipped bytes, and good frames, from all ports, under a random table.
static void random_frames_crash_nothing(void **state)
{
	uint64_t seed = seed_from_env(7);
	struct rnd r = rnd_seed(seed);
	long rounds = rounds_from_env(10000);
	struct part_row rows[20];

	print_message("seed %llu, %ld rounds\n", (unsigned long long)seed, rounds);
	for (uint32_t i = 0; i < 20; i++) {
		struct box box = rnd_box(&r, true);

		rows[i] = net_row(&box, 1 + i, i % 2 ? ACCESS_DENY : ACCESS_ALLOW);
		rows[i].access_category = (uint8_t)(i % 3);
	}
	net_publish(&net, rows, 20, NULL, 0);
	for (long i = 0; i < rounds; i++) {
		struct frame f;

		rnd_frame(&r, &f);
		for (uint32_t n = rnd_below(&r, 3) * rnd_below(&r, 4); n > 0; n--)
			f.data[rnd_below(&r, f.len)] = (uint8_t)rnd_below(&r, 256);
		if (rnd_below(&r, 4) == 0)
			f.len = rnd_below(&r, f.len + 1);
		net_inject(&net, (uint16_t)rnd_below(&r, 3), &f);
		if (rnd_below(&r, 10) == 0) {
			net.now_tsc += rnd_below(&r, NET_HZ);
			net_turn(&net);
			for (uint16_t p = 0; p < 3; p++)
				net_drain(net.tx[p]);
		}
		if (rnd_below(&r, 500) == 0)
			workers_port_set_up(net.all, (uint16_t)rnd_below(&r, 3), rnd_below(&r, 2));
	}
	for (int i = 0; i < 100; i++)
		net_turn(&net);
	for (uint16_t p = 0; p < 3; p++)
		assert_int_equal(rte_ring_count(net.rx[p]), 0);
	assert_true(net_counter(&net, 0, COUNTER_denied) > 0);
}

static void senseless_configurations_are_refused(void **state)
{
	struct workers_conf conf = {
		.n_ports = 0, .tsc_hz = NET_HZ, .mac_ageing_s = 1, .slot = &net.slot, .layers = net.layers};
	struct err err;

	assert_null(workers_create(&conf, &err));
	assert_int_equal(err.code, EINVAL);
	conf.n_ports = WORKER_PORTS_MAX + 1;
	assert_null(workers_create(&conf, &err));
	conf.n_ports = 1;
	conf.mac_ageing_s = 0;
	assert_null(workers_create(&conf, &err));
	conf.mac_ageing_s = 1;
	conf.n_workers = WORKERS_MAX + 1;
	assert_null(workers_create(&conf, &err));
}

static void *run_worker(void *w)
{
	worker_main(w);
	return NULL;
}

static void running_worker_forwards_sleeps_and_stops(void **state)
{
	struct frame f = arp(BROADCAST, H1);
	struct timespec cpu_before, cpu_after;
	uint64_t begin;
	struct net live;
	pthread_t thread;
	clockid_t clock;
	uint64_t token;

	net_open(&live, 2, rte_get_tsc_hz(), 0, 1023);
	assert_int_equal(pthread_create(&thread, NULL, run_worker, live.w), 0);
	for (int i = 0; i < 20; i++) {
		struct rte_mbuf *m = NULL;

		net_inject(&live, 0, &f);
		for (int wait = 0; wait < 600000 && m == NULL; wait++) {
			usleep(100);
			m = net_out(&live, 1);
		}
		assert_non_null(m);
		rte_pktmbuf_free(m);
	}
	usleep(20000);
	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	clock_gettime(clock, &cpu_before);
	begin = rte_get_tsc_cycles();
	usleep(200000);
	clock_gettime(clock, &cpu_after);
	assert_in_range((cpu_after.tv_sec - cpu_before.tv_sec) * 1000000000 + cpu_after.tv_nsec - cpu_before.tv_nsec, 0,
			(rte_get_tsc_cycles() - begin) * 750 / (rte_get_tsc_hz() / 1000000)); // idle: it sleeps
	token = rte_rcu_qsbr_start(live.slot.rcu);
	for (int wait = 0; wait < 600000 && rte_rcu_qsbr_check(live.slot.rcu, token, false) == 0; wait++)
		usleep(100);
	assert_int_equal(rte_rcu_qsbr_check(live.slot.rcu, token, false), 1);
	workers_stop(live.all);
	pthread_join(thread, NULL);
	net_close(&live);
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
		net_test(unknown_and_group_destinations_reach_all_other_ports),
		net_test(copies_of_a_flood_share_no_bytes),
		net_test(learned_destination_gets_it_alone),
		net_test(destination_behind_the_ingress_port_is_dropped),
		net_test(moved_host_is_reached_at_its_new_port),
		net_test(silent_host_is_forgotten_after_the_ageing_time),
		net_test(vlans_are_separate_and_tags_stay),
		net_test(unfit_frames_are_dropped_each_in_its_counter),
		net_test(nothing_is_received_without_a_snapshot),
		net_test(down_port_is_left_out_and_its_hosts_forgotten),
		net_test(link_that_flaps_between_turns_still_forgets),
		net_test(copy_without_a_buffer_is_counted_at_its_output),
		net_test(full_transmit_ring_drops_and_counts_what_no_scheduler_holds),
		net_test(limited_flow_is_held_back_and_others_are_not),
		net_test(scheduled_packet_waits_while_the_transmit_ring_is_full),
		net_test(backlog_of_a_port_that_went_down_is_dropped_and_counted),
		net_test(random_frames_crash_nothing),
		net_test(senseless_configurations_are_refused),
		cmocka_unit_test(running_worker_forwards_sleeps_and_stops),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
