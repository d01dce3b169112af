// SPDX-License-Identifier: Apache-2.0
// How long one packet takes through the scheduler: ns per enqueue + dequeue, bursts of 32, and per adoption. Not a
// test: prints figures. The clock of the scheduler is simulated so that the line is always exactly busy.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/sched.h"
#include "dataplane/sched_slots.h"
#include "sim.h"

#define BURST 32
#define ROUNDS 60000
#define HZ 1000000000ULL

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

enum kind {
	PLAIN,
	RESERVED,
	LIMITED,
	MIXED,
	N_KINDS,
};

static const char *const kind_name[] = {"excess only", "reserved", "limited", "reserved, one limit for all"};

struct plan {
	struct sched_set *sets; // of class 1 + i
	struct sched_change *changes;
	uint32_t n_changes;
};

static void build(struct plan *plan, uint32_t n, enum kind kind)
{
	plan->sets = calloc(n, sizeof(*plan->sets));
	plan->changes = calloc(n + 1, sizeof(*plan->changes));
	for (uint32_t i = 0; i < n; i++) {
		struct sched_set *c = &plan->sets[i];

		if (kind == RESERVED || kind == MIXED)
			c->reservation[c->n_reservations++] = i;
		if (kind == LIMITED || kind == PLAIN)
			c->limit[c->n_limits++] = i;
		if (kind == MIXED)
			c->limit[c->n_limits++] = 4095;
		sched_set_seal(c);
		// all together: 90 % of the line reserved; limits a little above the fair share
		plan->changes[plan->n_changes++] =
			(struct sched_change){.kind = SCHED_METER_SET,
					      .id = i + 1,
					      .slot = i,
					      .is_limit = kind == LIMITED || kind == PLAIN,
					      .rate_bps = kind == PLAIN     ? 400000000000
							  : kind == LIMITED ? 11000000000 / n
									    : 9000000000 / n};
	}
	if (kind == MIXED)
		plan->changes[plan->n_changes++] = (struct sched_change){
			.kind = SCHED_METER_SET, .id = n + 1, .slot = 4095, .is_limit = true, .rate_bps = 9500000000};
}

static void measure(uint32_t n, enum kind kind, uint32_t backlog)
{
	struct sched_conf conf = {.rate_bps = 10000000000, .tsc_hz = HZ, .mtu_bytes = 1514, .socket_id = SOCKET_ID_ANY};
	struct sched_limits *limits = sched_limits_create(HZ, 1514, SOCKET_ID_ANY, NULL);
	struct sched *s = sched_create(&conf, limits, NULL);
	struct rte_mbuf *m = calloc((size_t)n * backlog + BURST, sizeof(*m)), *out[BURST];
	uint64_t now = 1, start, adopt_ns, best = UINT64_MAX;
	struct plan plan = {0};
	uint32_t lcg = 1;

	build(&plan, n, kind);
	sched_apply(limits, plan.changes, plan.n_changes, now);
	for (uint32_t i = 0; i < n * backlog + BURST; i++) {
		m[i].pkt_len = 64;
		m[i].port = (uint16_t)(1 + i % n);
		if (i < n * backlog)
			sched_enqueue(s, &m[i], sched_class(s, &plan.sets[m[i].port - 1], now), i, now);
		else
			out[i - n * backlog] = &m[i];
	}
	for (unsigned int run = 0; run < 5; run++) {
		uint64_t packets = 0, ns;
		uint16_t got = BURST;

		start = clock_ns();
		for (uint32_t round = 0; round < ROUNDS; round++) {
			for (uint16_t i = 0; i < got; i++) {
				uint32_t slot = out[i]->port;

				if (backlog == 0) { // another class each time
					lcg = lcg * 1664525 + 1013904223;
					slot = 1 + (lcg >> 8) % n;
				}
				sched_enqueue(s, out[i], sched_class(s, &plan.sets[slot - 1], now), i, now);
			}
			now += 64 * 8 / 10 * BURST + 8; // what the line needs for a burst
			got = sched_dequeue(s, out, BURST, now);
			packets += got;
		}
		ns = (clock_ns() - start) * 100 / packets;
		best = ns < best ? ns : best;
	}
	start = clock_ns();
	sched_apply(limits, plan.changes, plan.n_changes, now);
	adopt_ns = clock_ns() - start;
	printf("%5u classes, %-28s backlog %2u: %3lu.%02lu ns a packet, %5.1f Mpps; adoption %lu us\n", n,
	       kind_name[kind], backlog, best / 100, best % 100, 1e5 / (double)best, adopt_ns / 1000);
	while (sched_backlog_packets(s) > 0) // the mbufs belong to no pool
		sched_dequeue(s, out, BURST, now += HZ);
	sched_destroy(s);
	sched_limits_destroy(limits);
	free(plan.sets);
	free(plan.changes);
	free(m);
}

int main(void)
{
	if (sim_group_setup(NULL) < 0)
		return 1;
	for (enum kind kind = PLAIN; kind < N_KINDS; kind++) {
		measure(15, kind, 0);
		measure(15, kind, 8);
		measure(4095, kind, 0);
		measure(4095, kind, 8);
	}
	return sim_group_teardown(NULL);
}
