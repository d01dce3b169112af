// SPDX-License-Identifier: Apache-2.0
// Limits as queues of switches without meters: each port that frames of a limited row leave by has its part of the
// rate, against counting that is obvious; and many hosts take no more than their number of steps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "of_random.h"
#include "tests/rounds.h"

#define RATE 1000000
#define PORTS 8
#define NOW TOPO_SETTLE_NS

struct network {
	struct topo topo;
	struct of_policy policy;
	uint32_t port[64]; // of host i
	uint32_t ip4[64];
};

static void add_host(struct topo *t, uint32_t i, uint32_t port, uint32_t ip4)
{
	const uint8_t mac[6] = {2, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	assert_int_equal(topo_host_seen(t, mac, 0, port, NOW, NULL), 1);
	topo_host(t, mac)->ip4 = ip4;
}

static void network_init(struct network *n, uint32_t hosts_max)
{
	topo_init(&n->topo, hosts_max);
	topo_switch_up(&n->topo, topo_switch(&n->topo, 1), true);
	for (uint32_t port = 1; port <= PORTS; port++)
		topo_port_set(&n->topo, 0, port, true, 0, 0);
}

static void limit_box(struct network *n, struct box b, uint64_t rate_bps)
{
	struct atom a = {.id = 1, .part = ATOM_LIMIT, .rate_bps = rate_bps};
	struct demand d = {.id = 1, .kind = DEMAND_LIMIT, .rate_bps = rate_bps, .end_ns = INT64_MAX};
	struct demands demands;
	struct tree tree;
	struct err err;

	tree_init(&tree);
	demands_init(&demands);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	match_init(&a.match);
	match_init(&d.flows);
	assert_int_equal(match_add(&a.match, &b), 0);
	assert_int_equal(match_add(&d.flows, &b), 0);
	assert_int_equal(tree_add_atom(&tree, &a), 0);
	assert_int_equal(demands_add(&demands, &d), 0);
	assert_int_equal(of_policy_build(&n->policy, &tree, &demands, 1, NULL, &err), 0);
	tree_fini(&tree);
}

static void limit_to(struct network *n, uint32_t dst, unsigned int prefix, uint64_t rate_bps)
{
	struct box b = box_any();

	b.kinds = MATCH_KINDS_V4;
	b.dst = match_ip4_prefix(dst, prefix);
	limit_box(n, b, rate_bps);
}

static void limit(struct network *n, uint32_t dst, unsigned int prefix)
{
	limit_to(n, dst, prefix, RATE);
}

static void plan_with(struct network *n, bool queues, struct of_plan_stats *stats)
{
	static const uint16_t here[] = {0};
	const uint16_t *const dist[] = {here};
	const uint32_t tree[] = {TOPO_NONE};
	const struct of_plan_in in = {.topo = &n->topo,
				      .tree = tree,
				      .dist = dist,
				      .policy = &n->policy,
				      .now_ns = NOW,
				      .policy_ns = 1,
				      .queues = queues,
				      .version = OF_VERSION_10,
				      .n_tables = 1};
	struct of_groups groups;
	struct of_meters meters;
	struct of_rules rules;

	of_rules_init(&rules);
	of_meters_init(&meters);
	of_groups_init(&groups);
	assert_int_equal(of_plan(&in, 0, &rules, &meters, &groups, stats), 0);
	assert_int_equal(groups.n, 0);
	of_rules_fini(&rules);
	of_meters_fini(&meters);
}

static void plan(struct network *n, struct of_plan_stats *stats)
{
	plan_with(n, true, stats);
}

static void network_fini(struct network *n)
{
	of_policy_fini(&n->policy);
	topo_fini(&n->topo);
}

// Whether frames that are limited go to host i: it has one of the addresses, or, as a router's, none of the hosts has.
static bool gets(const struct network *n, uint32_t n_hosts, uint32_t i, uint32_t dst, uint32_t mask)
{
	bool somebody = false;

	for (uint32_t k = 0; k < n_hosts; k++)
		somebody |= (n->ip4[k] & mask) == dst;
	return !somebody || (n->ip4[i] & mask) == dst;
}

static void each_port_has_its_part(void **state)
{

	rnd_state = seed_from_env(31);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
	for (unsigned int round = 0; round < 300; round++) {
		uint32_t n_hosts = 1 + rnd(12), used = 0, prefix = 28 + rnd(5), mask = ~0U << (32 - prefix);
		uint32_t dst = (0x0a000000 + rnd(20)) & mask;
		struct of_plan_stats stats;
		struct network n;

		network_init(&n, 64);
		for (uint32_t i = 0; i < n_hosts; i++) {
			n.port[i] = 1 + rnd(PORTS);
			n.ip4[i] = 0x0a000000 + i;
			add_host(&n.topo, i, n.port[i], n.ip4[i]);
		}
		limit(&n, dst, prefix);
		plan(&n, &stats);
		for (uint32_t i = 0; i < n_hosts; i++)
			used |= gets(&n, n_hosts, i, dst, mask) ? 1U << n.port[i] : 0;
		assert_int_equal(stats.n_queues, __builtin_popcount(used));
		for (uint32_t i = 0; i < stats.n_queues; i++) {
			assert_true(used & 1U << stats.queues[i].port);
			assert_int_equal(stats.queues[i].max_bps, RATE / stats.n_queues);
		}
		network_fini(&n);
	}
	(void)state;
}

// Divided among the ports it would be nothing, which is no limit.
static void a_part_of_nothing_is_a_limit_and_told(void **state)
{
	struct of_plan_stats stats;
	struct network n;

	network_init(&n, 64);
	for (uint32_t i = 0; i < PORTS; i++)
		add_host(&n.topo, i, 1 + i, 0x0a000000 + i);
	limit_to(&n, 0x0a000000, 24, PORTS - 1);
	plan(&n, &stats);
	assert_int_equal(stats.n_queues, PORTS);
	for (uint32_t i = 0; i < stats.n_queues; i++)
		assert_int_equal(stats.queues[i].max_bps, 1);
	assert_int_equal(stats.rows_unsayable, 1);
	assert_non_null(strstr(stats.why, "request 1, divided among ports, is below"));
	network_fini(&n);
	(void)state;
}

// Several matches say it, of one family of two; it is to leave by many ports.
static void a_row_that_cannot_be_kept_is_counted_once(void **state)
{
	for (int queues = 0; queues < 2; queues++) {
		struct of_plan_stats stats;
		struct box b = box_any();
		struct network n;

		network_init(&n, 64);
		for (uint32_t i = 0; i < PORTS; i++)
			add_host(&n.topo, i, 1 + i, 0x0a000000 + i);
		b.kinds = MATCH_KINDS_PORTS;
		b.f[MATCH_DST_PORT] = (struct span){80, 86};
		limit_box(&n, b, PORTS - 1);
		plan_with(&n, queues != 0, &stats);
		assert_int_equal(stats.rows_unsayable, 1);
		assert_int_equal(stats.denials_unsayable, 0);
		network_fini(&n);
	}
	(void)state;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// What is quadratic takes a minute and more.
static void a_hundred_thousand_hosts_are_planned_in_seconds(void **state)
{
	static struct network n;
	struct of_plan_stats stats;
	double start, took;

	network_init(&n, 100000);
	for (uint32_t i = 0; i < 100000; i++)
		add_host(&n.topo, i, 1 + i % PORTS, 0x0b000000 + i);
	limit(&n, 0x0a000001, 32);
	start = seconds();
	plan(&n, &stats);
	took = seconds() - start;
	print_message("%.2f s of CPU\n", took);
	assert_int_equal(stats.n_queues, PORTS);
	assert_true(took < 20);
	network_fini(&n);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_port_has_its_part),
		cmocka_unit_test(a_part_of_nothing_is_a_limit_and_told),
		cmocka_unit_test(a_row_that_cannot_be_kept_is_counted_once),
		cmocka_unit_test(a_hundred_thousand_hosts_are_planned_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
