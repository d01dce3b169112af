// SPDX-License-Identifier: Apache-2.0
// Limits that switches and the dataplane keep together: what all of them let in is never more than the limit, against
// sources counted one by one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_plan.h"

#define N 3      // switches in a line with a host each, all but the last one beside the bridge; number N is the bridge
#define NOBODY 7 // a host that is not there
#define NOW TOPO_SETTLE_NS
#define RATE 9000000

struct net {
	struct topo topo;
	struct addrs addrs;
	struct of_policy policy;
};

static u128 address(uint32_t host, bool ip6)
{
	return ip6 ? ((u128)0xfd00 << 112) + host + 1 : match_ip4(0x0a000001 + host);
}

static void join(struct topo *t, uint32_t a, uint32_t b)
{
	topo_port_set(t, a, 10 + b, true, 0, 0);
	topo_port_set(t, b, 10 + a, true, 0, 0);
	if (b == N) {
		topo_join(t, 10 + a, a, 10 + b, NOW);
		return;
	}
	topo_probe(t, a, 10 + b, b, 10 + a, NOW);
	topo_probe(t, b, 10 + a, a, 10 + b, NOW);
}

static void net_init(struct net *n)
{
	memset(n, 0, sizeof(*n));
	topo_init(&n->topo, 32);
	addrs_init(&n->addrs, 32);
	for (uint32_t i = 0; i < N; i++)
		topo_switch_up(&n->topo, topo_switch(&n->topo, i + 1), true);
	topo_switch_up(&n->topo, topo_bridge(&n->topo), true);
	for (uint32_t i = 0; i <= N; i++) {
		uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(i + 1)};

		topo_port_set(&n->topo, i, 1, true, 0, 0);
		assert_int_equal(topo_host_seen(&n->topo, mac, i, 1, NOW, NULL), 1);
		for (int ip6 = 0; ip6 < 2; ip6++) // the bridge tells of sources only
			addrs_set(&n->addrs, address(i, ip6), ip6, mac,
				  i == N ? ADDR_IP
				  : ip6  ? ADDR_ND
					 : ADDR_ARP,
				  NOW);
	}
	for (uint32_t i = 1; i < N; i++)
		join(&n->topo, i - 1, i);
	for (uint32_t i = 0; i + 1 < N; i++)
		join(&n->topo, i, N);
}

static void net_fini(struct net *n)
{
	of_policy_fini(&n->policy);
	addrs_fini(&n->addrs);
	topo_fini(&n->topo);
}

static uint8_t no_colour(void *ctx, uint64_t id)
{
	(void)ctx;
	(void)id;
	return OF_POLICY_UNSAID;
}

// host -1: any
static void limit(struct net *n, int src, int dst, bool ip6)
{
	struct atom a = {.id = 1, .part = ATOM_LIMIT, .rate_bps = RATE};
	struct demand d = {.id = 1, .kind = DEMAND_LIMIT, .rate_bps = RATE, .end_ns = INT64_MAX};
	u128 rest = ip6 ? 0 : ((u128)1 << 96) - 1; // what an IPv4 address leaves open
	struct box b = box_any();
	struct demands demands;
	struct tree tree;
	struct err err;

	b.kinds = ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	if (src >= 0)
		b.src = (struct span128){address((uint32_t)src, ip6), address((uint32_t)src, ip6) | rest};
	if (dst >= 0)
		b.dst = (struct span128){address((uint32_t)dst, ip6), address((uint32_t)dst, ip6) | rest};
	tree_init(&tree);
	demands_init(&demands);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	match_init(&a.match);
	match_init(&d.flows);
	assert_true(box_normalize(&b) && match_add(&a.match, &b) == 0 && match_add(&d.flows, &b) == 0);
	assert_int_equal(tree_add_atom(&tree, &a), 0);
	assert_int_equal(demands_add(&demands, &d), 0);
	assert_int_equal(of_policy_build(&n->policy, &tree, &demands, NOW, NULL, &err), 0);
	of_policy_colour(&n->policy, no_colour, NULL);
	tree_fini(&tree);
}

// What the meters of all switches let in; *parts: the bridge's.
static uint64_t plan(const struct net *n, uint32_t *n_meters, uint32_t *parts)
{
	uint32_t tree[N + 1];
	uint16_t dists[N + 1][N + 1];
	const uint16_t *dist[N + 1];
	const struct of_plan_in in = {.topo = &n->topo,
				      .tree = tree,
				      .dist = dist,
				      .policy = &n->policy,
				      .addrs = &n->addrs,
				      .now_ns = NOW,
				      .policy_ns = NOW,
				      .version = OF_VERSION_13,
				      .n_tables = 254};
	uint64_t bps = 0;

	assert_int_equal(topo_tree(&n->topo, NULL, NULL, tree), 0);
	for (uint32_t i = 0; i <= N; i++) {
		assert_int_equal(topo_distances(&n->topo, tree, i, dists[i]), 0);
		dist[i] = dists[i];
	}
	*n_meters = 0;
	for (uint32_t i = 0; i < N; i++) {
		struct of_plan_stats stats;
		struct of_groups groups;
		struct of_meters meters;
		struct of_rules rules;

		of_rules_init(&rules);
		of_meters_init(&meters);
		of_groups_init(&groups);
		assert_int_equal(of_plan(&in, i, &rules, &meters, &groups, &stats), 0);
		assert_true(meters.n <= 1);
		*n_meters += meters.n;
		bps += meters.n == 0 ? 0 : meters.meters[0].rate_kbps * UINT64_C(1000);
		of_rules_fini(&rules);
		of_meters_fini(&meters);
		of_groups_fini(&groups);
	}
	*parts = of_plan_parts(&in, &n->policy.demands.all[0].flows);
	return bps;
}

static void check(int src, int dst, bool ip6)
{
	bool anyone = src < 0 || src == NOBODY, own = anyone || src == N;
	uint32_t n_switches = anyone ? N : src == N ? 0 : 1, n_meters, parts;
	struct net n;
	uint64_t bps;

	net_init(&n);
	limit(&n, src, dst, ip6);
	bps = plan(&n, &n_meters, &parts);
	assert_int_equal(n_meters, n_switches);
	// what ends at its own ports it limits, wherever it comes from
	assert_int_equal(parts, own && dst != N && n_switches > 0 ? n_switches + 1 : 1);
	if (dst == N || !own)
		assert_int_equal(bps, RATE / 1000 / (n_switches == 0 ? 1 : n_switches) * n_switches * 1000);
	else
		assert_true(bps + RATE / parts <= RATE && bps + RATE / parts > RATE - 1000 * (N + 1));
	net_fini(&n);
}

static void switches_and_dataplane_together_let_in_no_more_than_a_limit(void **state)
{
	static const int sources[] = {-1, 0, 2, N, NOBODY}, destinations[] = {-1, 1, N, NOBODY};

	for (size_t s = 0; s < sizeof(sources) / sizeof(*sources); s++) {
		for (size_t d = 0; d < sizeof(destinations) / sizeof(*destinations); d++) {
			check(sources[s], destinations[d], false);
			check(sources[s], destinations[d], true);
		}
	}
	(void)state;
}

static void a_bridge_without_hosts_keeps_all_of_a_limit(void **state)
{
	uint32_t n_meters, parts;
	struct net n;

	net_init(&n);
	limit(&n, -1, 1, false);
	topo_port_set(&n.topo, N, 1, false, 0, NOW);
	assert_int_equal(plan(&n, &n_meters, &parts), RATE);
	assert_int_equal(parts, 1);
	topo_switch_up(&n.topo, N, false);
	assert_int_equal(plan(&n, &n_meters, &parts), RATE);
	assert_int_equal(parts, 1);
	net_fini(&n);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switches_and_dataplane_together_let_in_no_more_than_a_limit),
		cmocka_unit_test(a_bridge_without_hosts_keeps_all_of_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
