// SPDX-License-Identifier: Apache-2.0
// What a packet costs beside many classes: processor time of this thread, with bounds that caches and other programs
// on the machine do not reach, but work for each class would, by far.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/sched.h"
#include "dataplane/sched_live.h"
#include "dataplane/sched_slots.h"

#define HZ 1000000000ULL
#define LINE_BPS 10000000000ULL
#define FEW 64U
#define MANY 32768U
#define BURST 32U
#define ROUNDS 4000U
#define FRAME_BYTES 64U
#define TIMES_MAX 20
#define CHANGES 10U
#define ADOPTION_MAX_NS 100000

struct queue {
	struct sched_limits *limits;
	struct sched *sched;
	struct rte_mbuf *mbufs; // of no pool; which class is in hash.usr
	uint32_t *class;
	uint32_t n;
	uint64_t now;
};

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * HZ + (uint64_t)ts.tv_nsec;
}

static void set_meter(struct queue *q, uint32_t i, uint64_t rate_bps)
{
	struct sched_change c = {
		.kind = SCHED_METER_SET, .slot = i, .id = i + 1, .is_limit = i % 2 != 0, .rate_bps = rate_bps};

	sched_apply(q->limits, &c, 1, q->now);
}

// Half of the classes have a reservation, the others a limit; each has two packets waiting.
static void setup(struct queue *q, uint32_t n)
{
	struct sched_conf conf = {
		.rate_bps = LINE_BPS, .tsc_hz = HZ, .mtu_bytes = 1514, .packets_max = 4 * n + 1000, .socket_id = -1};

	*q = (struct queue){.n = n, .now = 1};
	q->limits = sched_limits_create(HZ, conf.mtu_bytes, -1, NULL);
	q->sched = sched_create(&conf, q->limits, NULL);
	q->mbufs = calloc(2 * n, sizeof(*q->mbufs));
	q->class = calloc(n, sizeof(*q->class));
	assert_true(q->sched != NULL && q->mbufs != NULL && q->class != NULL);
	for (uint32_t i = 0; i < n; i++) {
		struct sched_set set = {.n_reservations = i % 2 == 0, .n_limits = i % 2 != 0};

		set.reservation[0] = set.limit[0] = i;
		sched_set_seal(&set);
		set_meter(q, i, LINE_BPS / n);
		q->class[i] = sched_class(q->sched, &set, q->now);
	}
	for (uint32_t i = 0; i < 2 * n; i++) {
		struct rte_mbuf *m = &q->mbufs[i];

		m->pkt_len = m->data_len = FRAME_BYTES;
		m->hash.usr = i % n;
		assert_true(sched_enqueue(q->sched, m, q->class[i % n], i, q -> now));
	}
}

static void teardown(struct queue *q)
{
	struct rte_mbuf *m[BURST];

	while (sched_backlog_packets(q->sched) > 0)
		sched_dequeue(q->sched, m, BURST, q->now += HZ / 1000);
	sched_destroy(q->sched);
	sched_limits_destroy(q->limits);
	free(q->mbufs);
	free(q->class);
}

// What leaves comes back at once. ns for a packet.
static double cost(struct queue *q, unsigned int rounds)
{
	uint64_t begin = thread_ns(), packets = 0;
	struct rte_mbuf *m[BURST];

	for (unsigned int i = 0; i < rounds; i++) {
		uint16_t n = sched_dequeue(q->sched, m, BURST, q->now += FRAME_BYTES * 8 * HZ / LINE_BPS * BURST + 8);

		for (uint16_t k = 0; k < n; k++)
			sched_enqueue(q->sched, m[k], q->class[m[k]->hash.usr], k, q -> now);
		packets += n;
	}
	assert_true(packets > rounds * BURST / 2);
	return (double)(thread_ns() - begin) / (double)packets;
}

static void a_packet_costs_the_same_work_beside_five_hundred_times_as_many_classes(void **state)
{
	struct queue few, many;
	double least[2] = {1e9, 1e9};

	setup(&few, FEW);
	setup(&many, MANY);
	for (int i = 0; i < 5; i++) { // the least of some: others may have had the core
		double a = cost(&few, ROUNDS), b = cost(&many, ROUNDS);

		least[0] = a < least[0] ? a : least[0];
		least[1] = b < least[1] ? b : least[1];
	}
	print_message("%.0f ns beside %u classes, %.0f beside %u\n", least[0], FEW, least[1], MANY);
	assert_true(least[1] < TIMES_MAX * least[0]);
	teardown(&few);
	teardown(&many);
}

static void ten_changes_among_many_classes_keep_packets_waiting_for_less_than_100_us(void **state)
{
	uint64_t least = UINT64_MAX;
	struct queue q;

	setup(&q, MANY);
	for (uint32_t i = 0; i < 50; i++) {
		uint64_t begin = thread_ns(), took;

		for (uint32_t k = 0; k < CHANGES; k++)
			set_meter(&q, i * CHANGES + k, LINE_BPS / MANY / 100 * (i % 2 ? 100 : 90));
		took = thread_ns() - begin;
		least = took < least ? took : least;
		cost(&q, 10);
	}
	print_message("%.2f us\n", (double)least / 1e3);
	assert_true(least < ADOPTION_MAX_NS);
	teardown(&q);
}

static uint32_t n_limits_waited_for(const struct queue *q)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SCHED_METERS_MAX; i++)
		n += q->limits->limit[i].n_waiting;
	return n;
}

// What is done between turns: the rest is done beside them, and no limit counts the queue as waiting in the end.
static void a_queue_that_leaves_keeps_packets_waiting_for_less_than_100_us(void **state)
{
	uint32_t limit[SCHED_METERS_MAX], n = 0, got;
	struct queue q;
	uint64_t ns;

	setup(&q, MANY);
	for (uint32_t i = 0; i < 2 * MANY; i++) { // for sched_destroy: they are somebody else's, too
		q.mbufs[i].nb_segs = 1;
		rte_mbuf_refcnt_set(&q.mbufs[i], 2);
	}
	for (uint32_t i = 1; i < MANY; i += 2)
		set_meter(&q, i, 0);
	cost(&q, ROUNDS);
	got = n_limits_waited_for(&q);
	assert_true(got > MANY / 4);
	ns = thread_ns();
	sched_leave(q.sched);
	ns = thread_ns() - ns;
	print_message("%.2f us\n", (double)ns / 1e3);
	assert_true(ns < ADOPTION_MAX_NS);
	for (uint32_t k; (k = sched_take_waits(q.sched, limit, BURST)) > 0; n += k)
		sched_limits_forget(q.limits, limit, k);
	assert_int_equal(n, got);
	assert_int_equal(n_limits_waited_for(&q), 0);
	sched_destroy(q.sched);
	assert_int_equal(n_limits_waited_for(&q), 0);
	sched_limits_destroy(q.limits);
	free(q.mbufs);
	free(q.class);
}

static void an_idle_class_needs_256_bytes_at_most(void **state)
{
	struct sched_stats stats;
	struct queue q;

	setup(&q, FEW);
	sched_stats(q.sched, &stats);
	assert_true(stats.bytes_per_class > 0 && stats.bytes_per_class <= 256);
	teardown(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_costs_the_same_work_beside_five_hundred_times_as_many_classes),
		cmocka_unit_test(ten_changes_among_many_classes_keep_packets_waiting_for_less_than_100_us),
		cmocka_unit_test(a_queue_that_leaves_keeps_packets_waiting_for_less_than_100_us),
		cmocka_unit_test(an_idle_class_needs_256_bytes_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
