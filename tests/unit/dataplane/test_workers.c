// SPDX-License-Identifier: Apache-2.0
// Several workers forward what one forwards: the same frames to the same ports, each flow in order. Frames carry their
// number. What one worker does is held against other oracles elsewhere.
#include <pthread.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include "tests/unit/dataplane/net_fixture.h"
#include "tests/unit/dataplane/random_net.h"

#define PORTS 4
#define HOSTS 12 // three behind each port
#define FLOWS 96
#define FRAMES 6000
#define ROWS 12
#define NOWHERE 0xff
#define NUMBER_AT 42 // after the UDP header
#define BURST 20
#define FAST UINT64_C(400000000000)

static struct net net;

struct flow {
	uint32_t from, to; // hosts
	uint16_t sport, dport;
};

// What becomes of frames, and whether a flow was out of order.
struct outcome {
	uint8_t port[FRAMES]; // NOWHERE: dropped
	uint32_t last[FLOWS], n_out;
	uint32_t n_reordered, n_twice;
};

static struct flow flow[FLOWS];
static uint32_t flow_of[FRAMES];
static struct outcome one, many;
static struct part_row rows[ROWS];
static struct net_meter meters[ROWS];
static uint32_t n_meters;

static uint64_t mac_of(uint32_t host)
{
	return 0x020000000000u + host + 1;
}

static uint16_t port_of(uint32_t host)
{
	return (uint16_t)(host % PORTS);
}

static void make_frame(uint32_t number, struct frame *f)
{
	const struct flow *of = &flow[flow_of[number]];
	uint32_t at;

	frame_start(f, mac_of(of->to), mac_of(of->from));
	at = frame_ip4(f, 0x0a000000 + of->from, 0x0a000000 + of->to, 17, 0, 0);
	frame_ports(f, of->sport, of->dport);
	frame_put32(f, 0);
	frame_put32(f, number);
	frame_pad(f, number % 400, 0x5a);
	frame_ip4_end(f, at);
}

// A third denied, a third in a limit or a guarantee, both of which are far above the traffic.
static void make_rows(struct rnd *r)
{
	n_meters = 0;
	for (uint32_t i = 0; i < ROWS; i++) {
		struct box box = box_any();

		box.kinds = MATCH_KINDS_V4;
		box.src = match_ip4_prefix(0x0a000000 + rnd_below(r, HOSTS), 32);
		box.dst = match_ip4_prefix(0x0a000000 + rnd_below(r, HOSTS) / 4 * 4, 30);
		if (i % 2 == 0) {
			rows[i] = net_row(&box, 1 + i, ACCESS_DENY);
			continue;
		}
		rows[i] = net_meter_row(&box, 1 + i, i % 4 == 1 ? PART_LIMIT : PART_RESERVE);
		rows[i].meter_category = (uint8_t)i;
		meters[n_meters++] = (struct net_meter){1 + i, FAST, i % 4 == 1};
	}
}

static void make_traffic(uint64_t seed)
{
	struct rnd r = rnd_seed(seed);

	for (uint32_t i = 0; i < FLOWS; i++) {
		flow[i].from = rnd_below(&r, HOSTS);
		do
			flow[i].to = rnd_below(&r, HOSTS);
		while (port_of(flow[i].to) == port_of(flow[i].from));
		flow[i].sport = (uint16_t)(1000 + rnd_below(&r, 4));
		flow[i].dport = (uint16_t)(2000 + i); // no two flows alike
	}
	for (uint32_t i = 0; i < FRAMES; i++)
		flow_of[i] = rnd_below(&r, FLOWS);
	make_rows(&r);
}

static void collect(struct outcome *out)
{
	for (uint16_t port = 0; port < PORTS; port++) {
		struct rte_mbuf *m;

		while ((m = net_out(&net, port)) != NULL) {
			uint32_t number_be, number;

			memcpy(&number_be, rte_pktmbuf_mtod_offset(m, void *, NUMBER_AT), sizeof(number_be));
			number = rte_be_to_cpu_32(number_be);
			rte_pktmbuf_free(m);
			assert_true(number < FRAMES);
			out->n_twice += out->port[number] != NOWHERE;
			out->port[number] = (uint8_t)port;
			out->n_reordered += out->n_out > 0 && number < out->last[flow_of[number]];
			out->last[flow_of[number]] = number;
			out->n_out++;
		}
	}
}

static void learn_hosts(void)
{
	for (uint32_t host = 0; host < HOSTS; host++) {
		struct frame f;

		frame_start(&f, 0xffffffffffff, mac_of(host));
		frame_put16(&f, 0x88b5);
		frame_pad(&f, 46, 1);
		net_inject(&net, port_of(host), &f);
	}
	for (int i = 0; i < 8; i++)
		net_turn(&net);
	for (uint16_t port = 0; port < PORTS; port++)
		net_drain(net.tx[port]);
	assert_int_equal(workers_n_addresses(net.all), HOSTS);
}

static void begin(struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	memset(out->port, NOWHERE, sizeof(out->port));
}

static void forward_all(uint16_t n_workers, uint64_t rate_bps, struct outcome *out)
{
	struct rnd r = rnd_seed(5);

	net_open_many(&net, n_workers, PORTS, NULL, NET_HZ, rate_bps, 1023);
	net_publish(&net, rows, ROWS, meters, n_meters);
	learn_hosts();
	begin(out);
	for (uint32_t i = 0; i < FRAMES;) {
		for (uint32_t end = RTE_MIN(i + 1 + rnd_below(&r, BURST), (uint32_t)FRAMES); i < end; i++) {
			struct frame f;

			make_frame(i, &f);
			net_inject(&net, port_of(flow[flow_of[i]].from), &f);
		}
		net.now_tsc += NET_HZ / 10000;
		net_turn(&net);
		collect(out);
	}
	for (int i = 0; i < 200; i++) {
		net.now_tsc += NET_HZ / 10000;
		net_turn(&net);
		collect(out);
	}
	net_expect_all_accounted_for(&net);
	for (uint16_t port = 0; port < PORTS; port++) {
		assert_int_equal(net_counter(&net, port, COUNTER_worker_full), 0);
		assert_int_equal(net_counter(&net, port, COUNTER_owner_full), 0);
	}
	net_close(&net);
	assert_int_equal(out->n_reordered, 0);
	assert_int_equal(out->n_twice, 0);
}

static void expect_same(uint16_t n_workers, uint64_t rate_bps)
{
	forward_all(n_workers, rate_bps, &many);
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (one.port[i] != many.port[i])
			fail_msg("%u workers: frame %u of flow %u came out of port %u, with one worker of port %u",
				 n_workers, i, flow_of[i], many.port[i], one.port[i]);
	}
}

static void many_workers_forward_what_one_does(void **state)
{
	uint64_t seed = seed_from_env(11);
	long rounds = rounds_from_env(2);

	print_message("seed %llu, %ld rounds\n", (unsigned long long)seed, rounds);
	for (long i = 0; i < rounds; i++) {
		uint64_t rate_bps = i % 2 == 0 ? 0 : UINT64_C(10000000000);

		make_traffic(seed + (uint64_t)i);
		forward_all(1, rate_bps, &one);
		assert_true(one.n_out > FRAMES / 4 && one.n_out < FRAMES);
		expect_same(2, rate_bps);
		expect_same(4, rate_bps);
		expect_same(8, rate_bps);
	}
}

// 160 Mb/s offered from all ports to all ports, 8 Mb/s allowed.
static void a_limit_over_ports_holds_for_all_workers_together(void **state)
{
	struct net_meter meter = {7, 8000000, true};
	struct box box = box_any();
	struct part_row row = net_meter_row(&box, 7, PART_LIMIT);
	uint64_t bytes = 0;

	make_traffic(3);
	net_open_many(&net, 4, PORTS, NULL, NET_HZ, 0, 1023);
	learn_hosts();
	net_publish(&net, &row, 1, &meter, 1);
	for (uint32_t ms = 0; ms < 1000; ms++) {
		for (uint32_t i = 0; i < BURST; i++) {
			struct frame f;

			make_frame((ms * BURST + i) % FRAMES, &f);
			frame_pad(&f, 1000 - f.len, 0);
			net_inject(&net, port_of(flow[flow_of[(ms * BURST + i) % FRAMES]].from), &f);
		}
		net.now_tsc += NET_HZ / 1000;
		net_turn(&net);
		for (uint16_t port = 0; port < PORTS; port++) {
			struct rte_mbuf *m;

			while ((m = net_out(&net, port)) != NULL) {
				bytes += rte_pktmbuf_pkt_len(m);
				rte_pktmbuf_free(m);
			}
		}
	}
	for (int i = 0; i < 8; i++) // what is between workers
		net_turn(&net);
	net_expect_all_accounted_for(&net);
	net_close(&net);
	assert_in_range(bytes, 960000, 1020000);
}

// What requests met is the sum over workers.
static void requests_count_what_all_workers_met(void **state)
{
	struct box box = box_any();
	struct part_row row = net_row(&box, 9, ACCESS_ALLOW);
	struct row_count count;

	make_traffic(4);
	net_open_many(&net, 4, PORTS, NULL, NET_HZ, 0, 1023);
	learn_hosts();
	net_publish(&net, &row, 1, NULL, 0);
	begin(&many);
	for (uint32_t i = 0; i < 1000; i++) {
		struct frame f;

		make_frame(i, &f);
		net_inject(&net, port_of(flow[flow_of[i]].from), &f);
		if (i % BURST == 0)
			net_turn(&net);
	}
	for (int i = 0; i < 40; i++)
		net_turn(&net);
	collect(&many);
	count = net_row_count(&net, 9);
	assert_int_equal(atomic_load(&count.packets), 1000);
	net_close(&net);
}

// Those of the boxes, by whichever worker, denied or not; nothing before and nothing after.
static void frames_asked_for_are_copied_whatever_becomes_of_them(void **state)
{
	struct box box = box_any(), any = box_any();
	struct part_row row = net_row(&any, 9, ACCESS_DENY);
	struct workers_captured copy;
	uint32_t n_asked = 0, n = 0;

	box.kinds = MATCH_IP4PORTS;
	box.f[MATCH_SRC_PORT] = (struct span){1000, 1001};
	assert_true(box_normalize(&box));
	make_traffic(6);
	net_open_many(&net, 4, PORTS, NULL, NET_HZ, 0, 1023);
	learn_hosts();
	net_publish(&net, &row, 1, NULL, 0);
	assert_false(workers_next_captured(net.all, &copy));
	for (uint32_t i = 0; i < 300; i++) {
		struct frame f;

		if (i == 100)
			assert_int_equal(workers_capture(net.all, &box, 1), 0);
		if (i == 200)
			assert_int_equal(workers_capture(net.all, NULL, 0), 0);
		make_frame(i, &f);
		net_inject(&net, port_of(flow[flow_of[i]].from), &f);
		for (int k = 0; k < 4; k++)
			net_turn(&net);
		n_asked += i >= 100 && i < 200 && flow[flow_of[i]].sport <= 1001;
		while (workers_next_captured(net.all, &copy)) {
			assert_int_equal(copy.len_bytes, f.len);
			assert_int_equal(copy.n, f.len);
			assert_int_equal(copy.port, port_of(flow[flow_of[i]].from));
			assert_memory_equal(copy.data, f.data, f.len);
			n++;
		}
	}
	assert_true(n_asked > 20);
	assert_int_equal(n, n_asked);
	assert_int_equal(workers_capture_missed(net.all), 0);
	net_close(&net);
}

// --- in threads. Under ThreadSanitizer, which does not see into DPDK's rings, callbacks of the ports say that what was
// put into a ring before is seen after. No buffer is used twice, since it does not see into the pool either.

static uint16_t rx_seen(uint16_t port, uint16_t queue, struct rte_mbuf *m[], uint16_t n, uint16_t max, void *ctx)
{
#ifdef __SANITIZE_THREAD__
	__tsan_acquire(ctx);
#endif
	return n;
}

static uint16_t tx_told(uint16_t port, uint16_t queue, struct rte_mbuf *m[], uint16_t n, void *ctx)
{
#ifdef __SANITIZE_THREAD__
	__tsan_release(ctx);
#endif
	return n;
}

static char sync_in, sync_out;

static void told_inject(uint16_t port, const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net.pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->data, f->len);
#ifdef __SANITIZE_THREAD__
	__tsan_release(&sync_in);
#endif
	assert_int_equal(rte_ring_enqueue(net.rx[port], m), 0);
}

static void seen_collect(struct outcome *out)
{
#ifdef __SANITIZE_THREAD__
	__tsan_acquire(&sync_out);
#endif
	collect(out);
}

static void *run_worker(void *worker)
{
	worker_main(worker);
	return NULL;
}

static uint64_t n_ended(void)
{
	uint64_t n = 0;

	for (uint16_t i = 0; i < PORTS; i++) {
		uint64_t value[COUNTER_N];

		workers_counters_get(net.all, i, value);
		n += value[COUNTER_tx_packets];
		for (int c = 0; c < COUNTER_N; c++)
			n += counter_desc[c].kind == COUNTER_KIND_DROP ? value[c] : 0;
	}
	return n;
}

static void workers_in_threads_forward_what_one_does(void **state)
{
	enum { N = 4 };
	pthread_t thread[N];
	uint64_t before;

	make_traffic(21);
	forward_all(1, 0, &one);
	net_open_many(&net, N, PORTS, NULL, rte_get_tsc_hz(), 0, 1023);
	net_publish(&net, rows, ROWS, meters, n_meters);
	net.now_tsc = rte_rdtsc();
	learn_hosts();
	begin(&many);
	before = n_ended();
	for (uint16_t i = 0; i < PORTS; i++) {
		assert_non_null(rte_eth_add_rx_callback(net.port_id[i], 0, rx_seen, &sync_in));
		assert_non_null(rte_eth_add_tx_callback(net.port_id[i], 0, tx_told, &sync_out));
	}
	for (uint16_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_worker, workers_at(net.all, i)), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		struct frame f;

		make_frame(i, &f);
		told_inject(port_of(flow[flow_of[i]].from), &f);
		if (i % 64 == 63)
			usleep(200); // nothing may be lost
		if (i % 1000 == 999) {
			workers_hold(net.all);
			workers_release(net.all);
		}
		seen_collect(&many);
	}
	for (int ms = 0; ms < 5000 && n_ended() - before < FRAMES; ms++)
		usleep(1000);
	workers_stop(net.all);
	for (uint16_t i = 0; i < N; i++)
		pthread_join(thread[i], NULL);
	seen_collect(&many);
	assert_int_equal(many.n_reordered, 0);
	assert_memory_equal(one.port, many.port, sizeof(one.port));
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_workers_forward_what_one_does),
		cmocka_unit_test(a_limit_over_ports_holds_for_all_workers_together),
		cmocka_unit_test(requests_count_what_all_workers_met),
		cmocka_unit_test(frames_asked_for_are_copied_whatever_becomes_of_them),
		cmocka_unit_test(workers_in_threads_forward_what_one_does),
	};

	test_eal_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
