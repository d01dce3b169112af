// SPDX-License-Identifier: Apache-2.0
// What several workers divide among them: queues of ports, flows of ports that have one queue, and the link thread's
// attention. Devices with a queue a worker are rings, so that the test says which queue a frame comes by.
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "dataplane/sights.h"
#include "dataplane/worker_priv.h"
#include "tests/unit/dataplane/net_fixture.h"
#include "tests/unit/dataplane/random_net.h"

#define WORKERS 4
#define FLOWS 3000
#define HOST(queue, i) (0x020000000000u + ((uint64_t)(queue) << 24) + (i))
#define OUT 0x02ff00000001u // behind port 1

static struct net net;

struct wide { // a device of several queues
	uint16_t port_id;
	struct rte_ring *rx[WORKERS], *tx[WORKERS];
};

static struct wide wide[2];

static void wide_open(struct wide *d, uint16_t port)
{
	struct rte_eth_conf eth = {0};
	struct workers_port conf = {.max_frame_bytes = NET_MAX_FRAME,
				    .n_rx_queues = WORKERS,
				    .n_tx_queues = WORKERS,
				    .sched = net.sched[port]};
	char name[16];
	int id;

	for (uint16_t q = 0; q < WORKERS; q++) {
		snprintf(name, sizeof(name), "wide%u.rx%u", port, q);
		d->rx[q] = rte_ring_create(name, 8192, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "wide%u.tx%u", port, q);
		d->tx[q] = rte_ring_create(name, 8192, SOCKET_ID_ANY, 0);
		assert_true(d->rx[q] != NULL && d->tx[q] != NULL);
	}
	snprintf(name, sizeof(name), "wide%u", port);
	id = rte_eth_from_rings(name, d->rx, WORKERS, d->tx, WORKERS, 0);
	assert_true(id >= 0);
	d->port_id = (uint16_t)id;
	assert_int_equal(rte_eth_dev_configure(d->port_id, WORKERS, WORKERS, &eth), 0);
	for (uint16_t q = 0; q < WORKERS; q++) {
		assert_int_equal(rte_eth_rx_queue_setup(d->port_id, q, 64, 0, NULL, net.pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup(d->port_id, q, 64, 0, NULL), 0);
	}
	assert_int_equal(rte_eth_dev_start(d->port_id), 0);
	conf.port_id = d->port_id;
	workers_port_detach(net.all, port);
	workers_port_attach(net.all, port, &conf);
}

static void wide_close(struct wide *d)
{
	port_close(d->port_id);
	for (uint16_t q = 0; q < WORKERS; q++) {
		net_drain(d->rx[q]);
		net_drain(d->tx[q]);
		rte_ring_free(d->rx[q]);
		rte_ring_free(d->tx[q]);
	}
}

static void inject(uint16_t queue, const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net.pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->data, f->len);
	assert_int_equal(rte_ring_enqueue(wide[0].rx[queue], m), 0);
}

static struct frame from_host(uint64_t mac, uint32_t src_ip, uint16_t dport)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, OUT, mac);
	at = frame_ip4(&f, src_ip, 0x0a00ffff, 17, 0, 0);
	frame_ports(&f, 1000, dport);
	frame_pad(&f, 30, 0x5a);
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

// Ports 0 and 1 with a queue for each worker; the host behind port 1 has spoken.
static int open_wide(void **state)
{
	struct frame hello;

	net_open_many(&net, WORKERS, 2, NULL, NET_HZ, 0, 1023);
	for (uint16_t i = 0; i < 2; i++)
		wide_open(&wide[i], i);
	frame_start(&hello, 0xffffffffffff, OUT);
	frame_put16(&hello, 0x88b5);
	frame_pad(&hello, 46, 1);
	for (uint16_t q = 0; q < WORKERS; q++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(net.pool);

		memcpy(rte_pktmbuf_append(m, (uint16_t)hello.len), hello.data, hello.len);
		assert_int_equal(rte_ring_enqueue(wide[1].rx[q], m), 0);
	}
	turns(4);
	for (uint16_t q = 0; q < WORKERS; q++)
		net_drain(wide[0].tx[q]);
	return 0;
}

static int close_wide(void **state)
{
	turns(10);
	net_expect_all_accounted_for(&net);
	for (uint16_t i = 0; i < 2; i++) {
		workers_port_detach(net.all, i);
		wide_close(&wide[i]);
	}
	net_close(&net);
	return 0;
}

// --- queues

// Best effort by the worker's own queue, in the same turn; what has a limit by the owner's.
static void each_worker_sends_by_its_own_queue_what_nothing_schedules(void **state)
{
	struct net_meter meter = {7, 100000000, true};
	struct box box = box_any();
	struct part_row row = net_meter_row(&box, 7, PART_LIMIT);

	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_DST_PORT] = (struct span){80, 80};
	assert_true(box_normalize(&box));
	row.box = box;
	net_publish(&net, &row, 1, &meter, 1);
	for (uint16_t q = 0; q < WORKERS; q++) {
		struct frame plain = from_host(HOST(q, 1), 0x0a000001, 90),
			     limited = from_host(HOST(q, 1), 0x0a000001, 80);

		inject(q, &plain);
		turns(1);
		assert_int_equal(rte_ring_count(wide[1].tx[q]), 1);
		net_drain(wide[1].tx[q]);
		inject(q, &limited);
		turns(4);
		assert_int_equal(rte_ring_count(wide[1].tx[WORKER_OWNER]), 1);
		net_drain(wide[1].tx[WORKER_OWNER]);
		for (uint16_t k = 0; k < WORKERS; k++)
			assert_int_equal(rte_ring_count(wide[1].tx[k]), 0);
	}
	net_publish(&net, NULL, 0, NULL, 0);
	net_forget_meters(&net, &meter, 1);
}

// Turns do not come by the last port any more once it has gone: it must be left as none that may be sent to.
static void no_worker_may_send_past_the_scheduler_to_a_port_that_went(void **state)
{
	turns(1);
	for (uint16_t i = 0; i < WORKERS; i++)
		assert_true(workers_at(net.all, i)->port[1].plain_bytes > 0);
	workers_port_detach(net.all, 1);
	turns(1);
	for (uint16_t i = 0; i < WORKERS; i++) {
		const struct worker_port *p = &workers_at(net.all, i)->port[1];

		assert_true(!p->up && p->plain_bytes == 0);
	}
}

// --- flows of ports that have one queue

static uint16_t worker_that_denied(uint64_t before[WORKERS_MAX], uint16_t port)
{
	uint16_t who = WORKERS_MAX;

	for (uint16_t i = 0; i < workers_n(net.all); i++) {
		uint64_t n[COUNTER_N];

		counters_read(&workers_at(net.all, i)->port[port].counters, n);
		if (n[COUNTER_denied] == before[i])
			continue;
		assert_int_equal(n[COUNTER_denied], before[i] + 1);
		assert_int_equal(who, WORKERS_MAX); // one alone
		before[i] = n[COUNTER_denied];
		who = i;
	}
	assert_true(who < WORKERS_MAX);
	return who;
}

struct flow {
	bool v6;
	uint8_t proto;
	uint32_t host[2]; // the last 32 bits of the addresses
	uint8_t net[2][12];
	uint16_t port[2];
};

// kind 0: anybody with anybody; 1: neighbours with one server; 2: one pair of hosts, ports of one after the other.
static struct flow any_flow(struct rnd *r, unsigned int kind, uint32_t i)
{
	struct flow f = {.v6 = i % 2, .proto = i / 2 % 2 ? 6 : 17, .host = {0x0a000001, 0x0a000002}};

	for (int side = 0; side < 2; side++) {
		memcpy(f.net[side], (uint8_t[12]){0x20, 1, 0xd, 0xb8}, 12);
		f.port[side] = side == 1 ? 443 : (uint16_t)(32768 + (kind == 2 ? i : rnd_below(r, 28000)));
		for (int k = 0; k < 12 && kind == 0; k++)
			f.net[side][k] = (uint8_t)rnd_below(r, 256);
		if (kind == 0)
			f.host[side] = 0x0a000000 + rnd_below(r, 1u << 24);
	}
	if (kind == 1)
		f.host[0] = 0x0a010000 + i;
	return f;
}

static struct frame way_frame(const struct flow *flow, uint16_t from)
{
	uint16_t to = 1 - from;
	struct frame f;
	uint32_t at;

	frame_start(&f, HOST(9, to), HOST(9, from));
	if (flow->v6) {
		uint8_t addr[2][16];

		for (int side = 0; side < 2; side++) {
			uint32_t be = rte_cpu_to_be_32(flow->host[side]);

			memcpy(addr[side], flow->net[side], 12);
			memcpy(addr[side] + 12, &be, 4);
		}
		at = frame_ip6(&f, addr[from], addr[to], flow->proto);
	} else {
		at = frame_ip4(&f, flow->host[from], flow->host[to], flow->proto, 0, 0);
	}
	frame_ports(&f, flow->port[from], flow->port[to]);
	frame_pad(&f, 20, 0x5a);
	if (flow->v6)
		frame_ip6_end(&f, at);
	else
		frame_ip4_end(&f, at);
	return f;
}

static void send_way(const struct flow *flow, uint16_t from)
{
	struct frame f = way_frame(flow, from);

	net_inject(&net, from, &f);
	net_turn(&net);
	net_turn(&net);
}

static void expect_shares(uint16_t n_workers, unsigned int kind, uint64_t seed)
{
	struct rnd r = rnd_seed(seed);
	uint64_t denied[2][WORKERS_MAX] = {0};
	uint32_t n_of[WORKERS_MAX] = {0}, share = FLOWS / n_workers;

	for (uint32_t i = 0; i < FLOWS; i++) {
		struct flow flow = any_flow(&r, kind, i);
		uint16_t who[2];

		for (uint16_t from = 0; from < 2; from++) {
			send_way(&flow, from);
			who[from] = worker_that_denied(denied[from], from);
		}
		assert_int_equal(who[0], who[1]);
		n_of[who[0]]++;
	}
	for (uint16_t w = 0; w < n_workers; w++)
		assert_in_range(n_of[w], share / 2, share + share / 2);
}

static void both_directions_are_one_workers_and_each_gets_its_share(void **state)
{
	uint64_t seed = seed_from_env(3);
	struct box box = box_any();
	struct part_row row = net_row(&box, 1, ACCESS_DENY);

	print_message("seed %llu\n", (unsigned long long)seed);
	for (uint16_t n = 2; n <= WORKERS_MAX; n += n < 4 ? 1 : 4) {
		for (unsigned int kind = 0; kind < 3; kind++) {
			net_open_many(&net, n, 2, NULL, NET_HZ, 0, 1023);
			net_publish(&net, &row, 1, NULL, 0);
			expect_shares(n, kind, seed);
			net_close(&net);
		}
	}
}

// --- a worker that has no core for a while

static uint64_t sum_of(enum counter_id id)
{
	return net_counter(&net, 0, id) + net_counter(&net, 1, id);
}

static void turn_one(uint16_t worker)
{
	net.now_tsc += NET_HZ / 100000;
	worker_turn(workers_at(net.all, worker), net.now_tsc);
}

static void inject_way(const struct flow *flow, uint16_t from)
{
	struct frame f = way_frame(flow, from);

	net_inject(&net, from, &f);
}

// Frames of many flows come in at port from, and only one of two workers turns. What the other one should have dealt
// with waits in the ring until that is full, then it is counted; what is the first one's own goes on. Then both turn.
static void one_is_behind(uint16_t worker, uint16_t from, enum counter_id full)
{
	struct rnd r = rnd_seed(5);
	uint64_t sent, lost;

	net_open_many(&net, 2, 2, NULL, NET_HZ, 0, 1023);
	for (uint16_t p = 0; p < 2; p++) {
		struct flow hello = any_flow(&r, 2, 0);

		send_way(&hello, p);
	}
	for (uint32_t i = 0; i < 2 * FLOWS; i++) {
		struct flow flow = any_flow(&r, 1, i);

		inject_way(&flow, from);
		turn_one(worker);
		net_drain(net.tx[0]);
		net_drain(net.tx[1]);
	}
	lost = sum_of(full);
	assert_in_range(lost, 1, 2 * FLOWS - WORKER_RING);
	turns(200);
	net_drain(net.tx[0]);
	net_drain(net.tx[1]);
	net_expect_all_accounted_for(&net);
	sent = sum_of(COUNTER_tx_packets);
	for (uint32_t i = 0; i < 200; i++) {
		struct flow flow = any_flow(&r, 1, i);

		inject_way(&flow, from);
		turns(4);
	}
	assert_int_equal(sum_of(full), lost); // it is over
	assert_int_equal(sum_of(COUNTER_tx_packets) - sent, 200);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static void frames_for_a_worker_that_is_behind_are_counted_and_it_catches_up(void **state)
{
	one_is_behind(0, 0, COUNTER_worker_full);
}

static void frames_for_an_owner_that_is_behind_are_counted_and_it_catches_up(void **state)
{
	one_is_behind(1, 1, COUNTER_owner_full);
}

// --- the link thread's attention: one worker meets far more than it can be told of, the others a little

#define FLOOD 200 // frames a round by the first queue
#define FEW 4     // by each other one
#define TAKEN 40  // a round, by the link thread
#define ROUNDS 200

static void send_flood(uint32_t round)
{
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct frame f = from_host(HOST(0, round * FLOOD + i), 0x0a000000 + round * FLOOD + i, 90);

		inject(0, &f);
	}
	for (uint16_t q = 1; q < WORKERS; q++) {
		for (uint32_t i = 0; i < FEW; i++) {
			struct frame f = from_host(HOST(q, round * FEW + i), 0x0b000000 + round * FEW + i, 90);

			inject(q, &f);
		}
	}
	turns(FLOOD / PKT_BURST + 2);
	for (uint16_t q = 0; q < WORKERS; q++)
		net_drain(wide[1].tx[q]);
}

static void a_worker_that_meets_many_hosts_does_not_hide_those_of_others(void **state)
{
	uint32_t n[WORKERS] = {0};
	struct sight sight;

	while (workers_next_sight(net.all, &sight))
		;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t first = n[0];

		send_flood(round);
		for (int i = 0; i < TAKEN && workers_next_sight(net.all, &sight); i++) {
			if (sight.port == 0)
				n[sight.mac >> 24 & 0xff]++;
		}
		for (uint16_t q = 1; q < WORKERS; q++)
			assert_true(n[q] >= FEW * (round + 1)); // nothing of theirs waits
		assert_true(n[0] - first >= TAKEN / WORKERS);   // nor does it get less than its share
	}
}

// A known host that sends once a second is in full bursts only, of others who keep the queue busy.
static void a_host_that_hardly_sends_beside_busy_ones_is_told_again_in_time(void **state)
{
	struct frame busy = from_host(HOST(0, 1), 0x0a000001, 90), rare = from_host(HOST(0, 2), 0x0a000002, 90);
	uint32_t told_s = 0, n = 0;
	struct sight sight;

	for (uint32_t s = 0; s < 2 * NET_AGEING_S; s++) {
		for (uint32_t i = 0; i < PKT_BURST; i++)
			inject(0, i == s % PKT_BURST ? &rare : &busy);
		turns(2);
		net.now_tsc += NET_HZ;
		for (uint16_t q = 0; q < WORKERS; q++)
			net_drain(wide[1].tx[q]);
		while (workers_next_sight(net.all, &sight)) {
			if (sight.mac != HOST(0, 2))
				continue;
			told_s = s;
			n++;
		}
		assert_true(s - told_s <= NET_AGEING_S / 3);
	}
	assert_in_range(n, 6, 8);
}

static void a_worker_that_captures_many_frames_does_not_hide_those_of_others(void **state)
{
	uint32_t n[WORKERS] = {0};
	struct box box = box_any();
	static struct workers_captured copy;

	assert_int_equal(workers_capture(net.all, &box, 1), 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		send_flood(round);
		for (int i = 0; i < TAKEN && workers_next_captured(net.all, &copy); i++)
			n[copy.data[8]]++; // a byte of the source address
		for (uint16_t q = 1; q < WORKERS; q++)
			assert_int_equal(n[q], FEW * (round + 1));
	}
	assert_int_equal(n[0], ROUNDS * (TAKEN - FEW * (WORKERS - 1)));
	while (workers_next_captured(net.all, &copy))
		n[copy.data[8]]++;
	assert_int_equal(n[0] + workers_capture_missed(net.all), ROUNDS * FLOOD);
	assert_int_equal(workers_capture(net.all, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_worker_sends_by_its_own_queue_what_nothing_schedules, open_wide,
						close_wide),
		cmocka_unit_test_setup_teardown(no_worker_may_send_past_the_scheduler_to_a_port_that_went, open_wide,
						close_wide),
		cmocka_unit_test(both_directions_are_one_workers_and_each_gets_its_share),
		cmocka_unit_test(frames_for_a_worker_that_is_behind_are_counted_and_it_catches_up),
		cmocka_unit_test(frames_for_an_owner_that_is_behind_are_counted_and_it_catches_up),
		cmocka_unit_test_setup_teardown(a_worker_that_meets_many_hosts_does_not_hide_those_of_others, open_wide,
						close_wide),
		cmocka_unit_test_setup_teardown(a_host_that_hardly_sends_beside_busy_ones_is_told_again_in_time,
						open_wide, close_wide),
		cmocka_unit_test_setup_teardown(a_worker_that_captures_many_frames_does_not_hide_those_of_others,
						open_wide, close_wide),
	};

	test_eal_init();
	return cmocka_run_group_tests_name("worker_queues", tests, NULL, NULL);
}
