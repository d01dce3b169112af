// SPDX-License-Identifier: Apache-2.0
// Ports that come, go, or take nothing any more, while others carry traffic: those lose nothing, all is counted, and
// what comes back works as before. One worker and four.
#include <rte_ethdev.h>

#include "tests/unit/dataplane/net_fixture.h"

#define PORTS 4
#define IP(n) (0x0a000000u + (n))

static struct net net;

// What the device of port 3 says it has lost: this takes the place of rte_ethdev's.
static struct rte_eth_stats device_lost;

int rte_eth_stats_get(uint16_t port_id, struct rte_eth_stats *stats)
{
	*stats = (struct rte_eth_stats){0};
	if (port_id == net.port_id[3])
		*stats = device_lost;
	return 0;
}

static uint64_t mac_of(uint16_t port)
{
	return 0x020000000001u + port;
}

static struct frame udp(uint16_t from, uint16_t to, uint32_t payload)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, mac_of(to), mac_of(from));
	at = frame_ip4(&f, IP(from), IP(to), 17, 0, 0);
	frame_ports(&f, 1000, 2000);
	frame_put32(&f, 0);
	frame_pad(&f, payload, 0x5a);
	frame_ip4_end(&f, at);
	return f;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++) {
		net.now_tsc += NET_HZ / 10000;
		net_turn(&net);
	}
}

static void speak(uint16_t port)
{
	struct frame f;

	frame_start(&f, 0xffffffffffff, mac_of(port));
	frame_put16(&f, 0x88b5);
	frame_pad(&f, 46, 1);
	net_inject(&net, port, &f);
	turns(6);
}

static void drain_all(void)
{
	for (uint16_t i = 0; i < PORTS; i++)
		net_drain(net.tx[i]);
}

static void open_net(uint16_t n_workers, uint64_t rate_bps)
{
	net_open_many(&net, n_workers, PORTS, NULL, NET_HZ, rate_bps, 1023);
	for (uint16_t i = 0; i < PORTS; i++)
		speak(i);
	drain_all();
}

static struct workers_port port_conf(uint16_t port, uint64_t rate_bps)
{
	return (struct workers_port){.port_id = net.port_id[port],
				     .max_frame_bytes = NET_MAX_FRAME,
				     .sched = net.sched[port],
				     .shaped = rate_bps != 0};
}

// A frame each way between 0 and 1, and one from 0 to 3.
static void one_round(unsigned int *n_others, unsigned int *n_port)
{
	struct frame there = udp(0, 1, 100), back = udp(1, 0, 100), to_port = udp(0, 3, 100);
	struct rte_mbuf *m;

	net_inject(&net, 0, &there);
	net_inject(&net, 1, &back);
	net_inject(&net, 0, &to_port);
	turns(6);
	for (uint16_t i = 0; i < 2; i++) {
		while ((m = net_out(&net, i)) != NULL) {
			*n_others +=
				rte_pktmbuf_data_len(m) == there.len &&
				memcmp(rte_pktmbuf_mtod(m, void *), i == 0 ? back.data : there.data, there.len) == 0;
			rte_pktmbuf_free(m);
		}
	}
	net_drain(net.tx[2]);
	while ((m = net_out(&net, 3)) != NULL) {
		(*n_port)++;
		rte_pktmbuf_free(m);
	}
}

static void go_and_come(uint16_t n_workers, uint64_t rate_bps)
{
	unsigned int n_others = 0, n_port = 0;
	struct workers_port conf;

	open_net(n_workers, rate_bps);
	for (int i = 0; i < 20; i++)
		one_round(&n_others, &n_port);
	assert_int_equal(n_port, 20);
	workers_port_detach(net.all, 3);
	for (int i = 0; i < 20; i++)
		one_round(&n_others, &n_port);
	assert_int_equal(n_port, 20);
	conf = port_conf(3, rate_bps);
	workers_port_attach(net.all, 3, &conf);
	speak(3); // as a host does whose link comes up
	drain_all();
	for (int i = 0; i < 20; i++)
		one_round(&n_others, &n_port);
	assert_int_equal(n_port, 40);
	assert_int_equal(n_others, 2 * 60);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static void a_port_that_goes_and_comes_takes_nothing_from_others(void **state)
{
	go_and_come(1, 0);
	go_and_come(4, 0);
	go_and_come(4, UINT64_C(10000000000));
}

// What waits in its scheduler ends in a counter, and the next port with the number counts from 0.
static void a_port_that_is_removed_leaves_nothing(void **state)
{
	struct frame f = udp(0, 3, 900);

	open_net(2, 1000000); // 1 Mb/s: most of it waits
	for (int i = 0; i < 200; i++)
		net_inject(&net, 0, &f);
	turns(20);
	assert_true(sched_backlog_packets(net.sched[3]) > 30);
	workers_hold(net.all);
	workers_port_detach(net.all, 3);
	net_expect_all_accounted_for(&net);
	workers_port_forget(net.all, 3);
	sched_leave(net.sched[3]);
	workers_release(net.all);
	for (int c = 0; c < COUNTER_N; c++)
		assert_int_equal(net_counter(&net, 3, (enum counter_id)c), 0);
	for (int i = 0; i < 10; i++)
		net_inject(&net, 0, &f);
	turns(20);
	assert_int_equal(net_counter(&net, 3, COUNTER_tx_packets), 0);
	drain_all();
	net_close(&net);
}

static void a_transmit_ring_that_never_drains_takes_nothing_from_others(void **state)
{
	unsigned int n_others = 0, n_stuck = 0;
	struct frame there = udp(0, 1, 100), stuck = udp(0, 3, 100);
	struct rte_mbuf *m;

	open_net(2, 0);
	for (int i = 0; i < 4000; i++) {
		net_inject(&net, 0, &there);
		net_inject(&net, 0, &stuck);
		turns(2);
		for (; (m = net_out(&net, 1)) != NULL; n_others++)
			rte_pktmbuf_free(m);
	}
	turns(6);
	for (; (m = net_out(&net, 1)) != NULL; n_others++)
		rte_pktmbuf_free(m);
	assert_int_equal(n_others, 4000);
	net_expect_all_accounted_for(&net);
	drain_all();
	turns(400); // what waited leaves
	while ((m = net_out(&net, 3)) != NULL)
		rte_pktmbuf_free(m);
	for (int i = 0; i < 50; i++) {
		net_inject(&net, 0, &stuck);
		turns(6);
		for (; (m = net_out(&net, 3)) != NULL; n_stuck++)
			rte_pktmbuf_free(m);
	}
	assert_int_equal(n_stuck, 50); // as before
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static void no_buffers_for_a_flood_are_counted_and_got_over(void **state)
{
	struct rte_mbuf *held[1023];
	struct frame known = udp(0, 1, 100), all = udp(0, 1, 100);
	unsigned int n = 0;
	struct rte_mbuf *m;

	memset(all.data, 0xff, 6);
	open_net(2, 0);
	assert_int_equal(rte_pktmbuf_alloc_bulk(net.copies, held, 1023), 0);
	for (int i = 0; i < 100; i++) {
		net_inject(&net, 0, &known);
		net_inject(&net, 0, &all);
		turns(6);
		net_drain(net.tx[2]);
		net_drain(net.tx[3]);
		for (; (m = net_out(&net, 1)) != NULL; n++)
			rte_pktmbuf_free(m);
	}
	assert_true(n >= 100); // unicast needs no copy
	assert_int_equal(net_counter(&net, 1, COUNTER_no_mbuf) + net_counter(&net, 2, COUNTER_no_mbuf) +
				 net_counter(&net, 3, COUNTER_no_mbuf),
			 200);
	net_expect_all_accounted_for(&net);
	rte_pktmbuf_free_bulk(held, 1023);
	net_inject(&net, 0, &all);
	turns(6);
	for (uint16_t i = 1; i < PORTS; i++)
		net_expect_out(&net, i, &all);
	net_close(&net);
}

static void no_buffers_to_receive_into_are_waited_for(void **state)
{
	static const char *const devices[] = {"null:size=64", "null:"};
	static struct rte_mbuf *held[8192];
	unsigned int n = 0;
	uint64_t seen;

	net_open_many(&net, 1, 2, devices, NET_HZ, 0, 63);
	turns(5);
	seen = net_counter(&net, 0, COUNTER_rx_packets);
	assert_true(seen > 0);
	while (n < 8192 && (held[n] = rte_pktmbuf_alloc(net.pool)) != NULL)
		n++;
	assert_true(n > 4000 && n < 8192);
	turns(50);
	assert_int_equal(net_counter(&net, 0, COUNTER_rx_packets), seen);
	rte_pktmbuf_free_bulk(held, n);
	turns(5);
	assert_true(net_counter(&net, 0, COUNTER_rx_packets) > seen);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static void catch_up(void *sched, const struct sched_change *change_seen)
{
	sched_catch_up(sched, change_seen, 1);
}

// A queue that came later knows the meters and nodes of one that was there, and obeys changes from then on.
static void a_scheduler_that_comes_later_knows_what_others_know(void **state)
{
	struct sched_conf conf = {.rate_bps = 1000000000, .tsc_hz = NET_HZ, .mtu_bytes = NET_MAX_FRAME};
	struct sched_stats early, late;
	struct sched *s;
	struct sched_change change;
	struct err err;

	net_open(&net, 2, NET_HZ, 1000000000, 63);
	for (uint64_t id = 1; id <= 40; id++) {
		assert_true(sched_slots_meter_set(net.slots, id, id % 2 == 0, id * 1000000, &err) >= 0);
		if (id % 10 == 0)
			assert_true(sched_slots_meter_del(net.slots, id - 3, &err) >= 0);
		assert_true(sched_slots_node_set(net.slots, id, id / 3, 1 + (uint32_t)id, &err) >= 0);
	}
	net_turn(&net);
	s = sched_create_apart(&conf, net.limits, &err);
	net_check(s != NULL, err.msg);
	sched_slots_each(net.slots, catch_up, s);
	sched_join(s);
	sched_stats(net.sched[0], &early);
	sched_stats(s, &late);
	assert_true(early.promised_bps > 0);
	assert_int_equal(late.promised_bps, early.promised_bps);
	change = (struct sched_change){
		.kind = SCHED_METER_SET, .id = 1, .slot = sched_slots_meter(net.slots, 1), .rate_bps = 77000000};
	sched_apply(net.limits, &change, 1, net.now_tsc);
	sched_stats(net.sched[0], &early);
	sched_stats(s, &late);
	assert_int_equal(late.promised_bps, early.promised_bps);
	sched_leave(s);
	sched_destroy(s);
	net_close(&net);
}

static void expect_lost(uint64_t missed, uint64_t no_mbuf, uint64_t errors)
{
	assert_int_equal(net_counter(&net, 3, COUNTER_dev_missed), missed);
	assert_int_equal(net_counter(&net, 3, COUNTER_dev_no_mbuf), no_mbuf);
	assert_int_equal(net_counter(&net, 3, COUNTER_dev_tx_errors), errors);
}

static void what_a_device_lost_is_counted_also_of_one_that_went(void **state)
{
	struct workers_port conf;

	open_net(2, 0);
	conf = port_conf(3, 0);
	expect_lost(0, 0, 0);
	device_lost = (struct rte_eth_stats){.imissed = 5, .rx_nombuf = 7, .oerrors = 9};
	expect_lost(5, 7, 9);
	workers_port_detach(net.all, 3);
	device_lost = (struct rte_eth_stats){0};
	expect_lost(5, 7, 9);
	workers_port_attach(net.all, 3, &conf); // the device is new, the port is not
	expect_lost(5, 7, 9);
	device_lost.imissed = 1;
	expect_lost(6, 7, 9);
	workers_port_detach(net.all, 3);
	workers_port_forget(net.all, 3);
	expect_lost(0, 0, 0); // for the next port
	device_lost.imissed = 0;
	drain_all();
	net_close(&net);
}

static void frames_too_long_for_the_port_they_leave_by_are_counted_there(void **state)
{
	struct frame fits = udp(0, 3, 558), longer = udp(0, 3, 559), both = udp(0, 3, 559);
	struct workers_port conf;

	assert_int_equal(fits.len, 600);
	memset(both.data, 0xff, 6);
	open_net(2, 0);
	conf = port_conf(3, 0);
	conf.max_frame_bytes = 600;
	workers_port_detach(net.all, 3);
	workers_port_attach(net.all, 3, &conf);
	speak(3);
	drain_all();
	net_inject(&net, 0, &fits);
	net_inject(&net, 0, &longer);
	net_inject(&net, 0, &both); // to all ports that can
	turns(6);
	net_expect_out(&net, 3, &fits);
	net_expect_silence(&net, 3);
	net_expect_out(&net, 1, &both);
	net_expect_out(&net, 2, &both);
	assert_int_equal(net_counter(&net, 3, COUNTER_tx_oversize), 2);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

// Eight times the rate of the port, of two flows: what waits too long, or makes room, is dropped inside its queue.
static void best_effort_beyond_a_ports_rate_is_dropped_in_its_queue_and_counted(void **state)
{
	struct frame f[2] = {udp(0, 3, 1000), udp(1, 3, 1000)};
	uint64_t out;

	open_net(1, 1000000);
	for (int ms = 0; ms < 3000; ms++) {
		net_inject(&net, (uint16_t)(ms % 2), &f[ms % 2]);
		turns(10);
		net_drain(net.tx[3]);
	}
	out = net_counter(&net, 3, COUNTER_tx_packets);
	assert_in_range(out, 300, 400); // of 360 in three seconds
	assert_true(net_counter(&net, 3, COUNTER_queue_dropped) > 100);
	net_expect_all_accounted_for(&net);
	drain_all();
	net_close(&net);
}

// More senders than the table has places for: those that it knows are found, the others flooded, all are forwarded.
static void senders_beyond_the_address_table_are_counted_and_forwarded(void **state)
{
	struct frame f = udp(0, 1, 20), back = udp(1, 0, 20);
	const uint32_t n = 80000;
	uint64_t learned, known;

	open_net(1, 0);
	known = net_counter(&net, 1, COUNTER_tx_packets);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(f.data + 8, &i, sizeof(i)); // of the source address
		net_inject(&net, 0, &f);
		if (i % 32 == 31) {
			net_turn(&net);
			drain_all();
		}
	}
	learned = net_counter(&net, 0, COUNTER_learned) - 1;
	assert_in_range(learned, 30000, 65536);
	assert_int_equal(net_counter(&net, 0, COUNTER_not_learned), n - learned);
	assert_int_equal(net_counter(&net, 1, COUNTER_tx_packets) - known, n);
	net_inject(&net, 1, &back); // a host that was known before
	turns(2);
	net_expect_out(&net, 0, &back);
	net_expect_silence(&net, 2);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static struct frame of_host(uint32_t host)
{
	struct frame f = udp(0, 3, 900);

	f.data[29] = (uint8_t)host; // of the source address; nobody looks at the checksum
	return f;
}

static void replace_sched(uint16_t port)
{
	struct sched_conf conf = {.tsc_hz = NET_HZ, .mtu_bytes = NET_MAX_FRAME, .socket_id = SOCKET_ID_ANY};
	struct workers_port wp;
	struct err err;

	workers_port_detach(net.all, port);
	workers_hold(net.all);
	workers_port_forget(net.all, port);
	sched_leave(net.sched[port]);
	workers_release(net.all);
	sched_destroy(net.sched[port]);
	net.sched[port] = sched_create_apart(&conf, net.limits, &err);
	net_check(net.sched[port] != NULL, err.msg);
	sched_slots_each(net.slots, catch_up, net.sched[port]);
	sched_join(net.sched[port]);
	wp = port_conf(port, 0);
	workers_port_attach(net.all, port, &wp);
	speak(port);
}

// A class that an answer is kept with is not taken for one of the queue that comes after.
static void classes_of_a_port_that_went_are_not_taken_for_those_of_the_next(void **state)
{
	struct box of[2] = {box_any(), box_any()};
	struct part_row rows[2];
	struct net_meter meters[2] = {{7, 1000000000, true}, {8, 80000, true}};
	struct frame fast = of_host(7), slow = of_host(8);

	for (int i = 0; i < 2; i++) {
		of[i].kinds = MATCH_KINDS_V4;
		of[i].src = match_ip4_prefix(IP(7 + i), 32);
		rows[i] = net_meter_row(&of[i], 7 + (uint64_t)i, PART_LIMIT);
	}
	open_net(1, 0);
	net_publish(&net, rows, 2, meters, 2);
	net_inject(&net, 0, &fast); // the first class, and the answer kept with it
	turns(2);
	net_inject(&net, 0, &slow);
	turns(2);
	replace_sched(3);
	drain_all();
	for (int i = 0; i < 20; i++) // the first class, which is shut soon
		net_inject(&net, 0, &slow);
	turns(2);
	drain_all();
	for (int i = 0; i < 20; i++)
		net_inject(&net, 0, &fast);
	turns(20);
	assert_int_equal(rte_ring_count(net.tx[3]), 20);
	drain_all();
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_that_goes_and_comes_takes_nothing_from_others),
		cmocka_unit_test(a_port_that_is_removed_leaves_nothing),
		cmocka_unit_test(a_transmit_ring_that_never_drains_takes_nothing_from_others),
		cmocka_unit_test(no_buffers_for_a_flood_are_counted_and_got_over),
		cmocka_unit_test(no_buffers_to_receive_into_are_waited_for),
		cmocka_unit_test(what_a_device_lost_is_counted_also_of_one_that_went),
		cmocka_unit_test(frames_too_long_for_the_port_they_leave_by_are_counted_there),
		cmocka_unit_test(best_effort_beyond_a_ports_rate_is_dropped_in_its_queue_and_counted),
		cmocka_unit_test(senders_beyond_the_address_table_are_counted_and_forwarded),
		cmocka_unit_test(a_scheduler_that_comes_later_knows_what_others_know),
		cmocka_unit_test(classes_of_a_port_that_went_are_not_taken_for_those_of_the_next),
	};

	test_eal_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
