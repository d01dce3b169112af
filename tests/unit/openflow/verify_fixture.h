// SPDX-License-Identifier: Apache-2.0
// Random networks of switches, perhaps with a bridge among them, and what the planner makes there for a random policy.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "control/of_verify.h"
#include "hft/eval.h"
#include "hft/verify.h"
#include "of_random.h"
#include "tests/rounds.h"

#define N 5 // switches with a host each; number N may be a bridge, with one, too
#define N_MAX 6
#define NOW TOPO_SETTLE_NS // monotonic
#define WALL 1000          // since the epoch

struct net {
	struct topo topo;
	struct addrs addrs;
	struct tree policy;
	struct of_policy planned;
	struct of_rules rules[N];
	const struct of_rules *tables[N_MAX];
	struct of_groups groups[N];
	const struct of_groups *group_sets[N_MAX];
	uint32_t groups_max;
	struct of_meters meters[N];
	uint32_t n; // nodes, and hosts
	uint8_t version, n_tables;
	uint32_t unsayable; // rows, at each switch
};

static void mac_of(uint32_t i, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
}

static u128 address6(uint32_t i)
{
	return ((u128)0x20010db8 << 96) + i + 1;
}

static void random_bridge(struct net *net, const bool joined[N])
{
	struct topo *t = &net->topo;
	uint32_t bridge = topo_bridge(t);

	assert_int_equal(bridge, N);
	topo_switch_up(t, bridge, true);
	topo_port_set(t, bridge, 1, true, 0, 0);
	for (uint32_t i = 0; i < N; i++) {
		topo_port_set(t, i, 10 + N, joined[i], 0, 0);
		topo_port_set(t, bridge, 10 + i, joined[i], 0, 0);
		if (joined[i])
			topo_join(t, 10 + i, i, 10 + N, NOW);
	}
	net->n = N + 1;
}

// Port 1 has a host; port 10 + x goes to switch x.
static void random_topology(struct net *net, bool bridged)
{
	bool joined[N] = {true};

	topo_init(&net->topo, 32);
	addrs_init(&net->addrs, 32);
	for (uint32_t i = 0; i < N; i++) {
		topo_switch_up(&net->topo, topo_switch(&net->topo, i + 1), true);
		topo_port_set(&net->topo, i, 1, true, 0, 0);
		for (uint32_t k = 0; k < N; k++)
			topo_port_set(&net->topo, i, 10 + k, i != k, 0, 0);
	}
	for (uint32_t i = 1; i < N; i++) {
		uint32_t sure = rnd(i);

		joined[i] = rnd(2) == 0;
		if (bridged && joined[i] && rnd(2) == 0)
			sure = i; // by the bridge only
		for (uint32_t k = 0; k < N; k++) {
			if (k == i || (k != sure && rnd(4) > 0))
				continue;
			topo_probe(&net->topo, i, 10 + k, k, 10 + i, NOW);
			topo_probe(&net->topo, k, 10 + i, i, 10 + k, NOW);
		}
	}
	for (uint32_t i = 0; i < N; i++) { // what is without a link has nothing behind it
		for (uint32_t k = 0; k < N; k++) {
			uint32_t peer, port;

			if (i != k && !topo_link(&net->topo, i, 10 + k, &peer, &port))
				topo_port_set(&net->topo, i, 10 + k, false, 0, 0);
		}
	}
	net->n = N;
	if (bridged)
		random_bridge(net, joined);
	for (uint32_t i = 0; i < net->n; i++) {
		uint8_t mac[6];

		mac_of(i, mac);
		assert_int_equal(topo_host_seen(&net->topo, mac, i, 1, NOW, NULL), 1);
		topo_host(&net->topo, mac)->ip4 = 0x0a000001 + i;
		addrs_set(&net->addrs, match_ip4(0x0a000001 + i), false, mac, ADDR_ARP, NOW);
		addrs_set(&net->addrs, address6(i), true, mac, ADDR_ND, NOW);
	}
}

// Of one family some hosts by their addresses, of both all.
static void random_hosts(struct box *b, uint32_t kinds)
{
	uint32_t src = rnd(N), dst = rnd(N);

	b->kinds = kinds;
	if (kinds == MATCH_KINDS_V4) {
		b->src = rnd(4) > 0 ? match_ip4_prefix(0x0a000001 + src, rnd(3) == 0 ? 30 : 32) : b->src;
		b->dst = rnd(4) > 0 ? match_ip4_prefix(0x0a000001 + dst, rnd(3) == 0 ? 30 : 32) : b->dst;
	} else if (kinds == MATCH_KINDS_V6) {
		b->src = rnd(4) > 0 ? (struct span128){address6(src), address6(src)} : b->src;
		b->dst = rnd(4) > 0 ? (struct span128){address6(dst) & ~(u128)3, address6(dst) | 3} : b->dst;
	}
}

static void random_atom(struct net *net, uint32_t node)
{
	static const uint32_t kinds[] = {MATCH_KINDS_V4, MATCH_KINDS_V6, MATCH_KINDS_IP};
	static const uint8_t protos[] = {1, 6, 17};
	struct atom a = {.id = net->policy.n_atoms + 1U, .node = node, .part = ATOM_ACCESS};
	struct box b = box_any();

	a.access = rnd(2) == 0 ? ACCESS_DENY : ACCESS_ALLOW;
	// 1.0 cannot say it of IPv6
	random_hosts(&b, net->version == OF_VERSION_10 ? MATCH_KINDS_V4 : kinds[rnd(3)]);
	if (rnd(2) == 0) {
		b.kinds &= MATCH_KINDS_PORTS;
		b.f[MATCH_PROTO] = (struct span){6, 6};
		b.f[MATCH_DST_PORT] =
			net->version == OF_VERSION_10 ? (struct span){80, 80} : (struct span){80, 80 + rnd(200)};
	} else if (rnd(2) == 0) {
		b.f[MATCH_PROTO].lo = b.f[MATCH_PROTO].hi = protos[rnd(3)];
		b.kinds &= b.f[MATCH_PROTO].lo == 1 ? ~MATCH_KINDS_PORTS : MATCH_KINDS_PORTS;
	}
	match_init(&a.match);
	if (box_normalize(&b))
		match_add(&a.match, &b);
	assert_int_equal(tree_add_atom(&net->policy, &a), 0);
}

// What of_member.c does.
static void tell_bridge(struct net *net, const uint32_t *tree)
{
	struct topo *t = &net->topo;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t side = topo_side(t, tree, t->hosts[i].sw);

		t->hosts[i].told_port = side == TOPO_NONE ? TOPO_NONE : side == N ? t->hosts[i].port : 10 + side;
	}
}

static void plan(struct net *net)
{
	uint32_t tree[N_MAX];
	uint16_t dists[N_MAX][N_MAX];
	const uint16_t *dist[N_MAX];
	struct of_plan_in in = {
		.topo = &net->topo,
		.tree = tree,
		.dist = dist,
		.policy = &net->planned,
		.addrs = &net->addrs,
		.now_ns = NOW,
		.policy_ns = WALL,
		.version = net->version,
		.n_tables = net->n_tables,
		.groups_max = net->groups_max,
	};
	struct of_plan_stats stats;

	assert_int_equal(topo_tree(&net->topo, NULL, NULL, tree), 0);
	for (uint32_t i = 0; i < net->topo.n_switches; i++) {
		assert_int_equal(topo_distances(&net->topo, tree, i, dists[i]), 0);
		dist[i] = dists[i];
	}
	for (uint32_t i = 0; i < N; i++) {
		of_meters_init(&net->meters[i]);
		of_rules_init(&net->rules[i]);
		of_groups_init(&net->groups[i]);
		net->tables[i] = &net->rules[i];
		net->group_sets[i] = &net->groups[i];
		assert_int_equal(of_plan(&in, i, &net->rules[i], &net->meters[i], &net->groups[i], &stats), 0);
		assert_int_equal(stats.rows_unsayable, net->unsayable);
	}
	tell_bridge(net, tree);
}

static void random_net(struct net *net, unsigned int n_atoms, bool bridged)
{
	struct demands demands;
	struct of_policy_proof proof = {.effort = VERIFY_EFFORT};
	struct err err;

	memset(net, 0, sizeof(*net));
	net->version = rnd(2) == 0 ? OF_VERSION_10 : OF_VERSION_13;
	net->n_tables = rnd(3) == 0 ? 1 : 254;
	net->groups_max = rnd(4) == 0 ? rnd(2) : UINT32_MAX;
	random_topology(net, bridged);
	tree_init(&net->policy);
	of_policy_init(&net->planned);
	demands_init(&demands);
	tree_add_node(&net->policy, TREE_NO_PARENT);
	tree_add_node(&net->policy, 0);
	for (unsigned int i = 0; i < n_atoms; i++)
		random_atom(net, rnd(2));
	assert_int_equal(of_policy_build(&net->planned, &net->policy, &demands, WALL, &proof, &err), 0);
	assert_int_equal(proof.proven, 3); // each form is what the policy says
	plan(net);
}

static void net_fini(struct net *net)
{
	for (uint32_t i = 0; i < N; i++) {
		of_rules_fini(&net->rules[i]);
		of_groups_fini(&net->groups[i]);
		of_meters_fini(&net->meters[i]);
	}
	of_policy_fini(&net->planned);
	tree_fini(&net->policy);
	topo_fini(&net->topo);
	addrs_fini(&net->addrs);
}
