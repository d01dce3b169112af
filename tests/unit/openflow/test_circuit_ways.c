// SPDX-License-Identifier: Apache-2.0
// Circuits as entries: on random networks, with a bridge among the switches, packets of random reservations, waypoint
// lists and avoids are followed through what the planner makes. Each goes the way of its circuit, by the middleboxes in
// their order, and arrives once, without a tag; and no bridge meets a sender on another side than its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "control/of_trace.h"
#include "demand_fixture.h"
#include "of_random.h"
#include "tests/rounds.h"

#define N 6 // switches; number N is the bridge
#define NODES (N + 1)
#define HOST_PORT 1
#define TOWARDS(k) (10 + (k))
#define NOW TOPO_SETTLE_NS
#define WALL 1000
#define DEMANDS 6

struct net {
	struct topo topo;
	struct of_policy policy;
	struct circuits circuits;
	uint32_t tree[NODES];
	struct of_rules rules[N];
	const struct of_rules *tables[NODES];
	struct of_groups groups[N];
	const struct of_groups *group_sets[NODES];
	uint8_t version;
	// of the packet that is followed
	struct of_trace trace;
	const struct circuit *circuit; // NULL: none
	uint32_t at_hop, at;           // of the circuit; the node where it arrived last
	struct of_packet arrived;
	unsigned int n_arrived;
	bool wrong;
};

static void mac_of(uint32_t i, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
}

static void link_up(struct topo *t, uint32_t a, uint32_t b)
{
	topo_port_set(t, a, TOWARDS(b), true, 10, 0);
	topo_port_set(t, b, TOWARDS(a), true, 10, 0);
	if (b == N) {
		topo_join(t, TOWARDS(a), a, TOWARDS(b), NOW);
		return;
	}
	topo_probe(t, a, TOWARDS(b), b, TOWARDS(a), NOW);
	topo_probe(t, b, TOWARDS(a), a, TOWARDS(b), NOW);
}

static void make_topology(struct net *n)
{
	topo_init(&n->topo, 32);
	for (uint32_t i = 0; i < N; i++)
		topo_switch_up(&n->topo, topo_switch(&n->topo, i + 1), true);
	topo_switch_up(&n->topo, topo_bridge(&n->topo), true);
	link_up(&n->topo, 0, N);
	for (uint32_t i = 1; i < N; i++) {
		bool beside = rnd(2) == 0;

		if (beside)
			link_up(&n->topo, i, N);
		if (!beside || rnd(2) == 0)
			link_up(&n->topo, i, rnd(i));
	}
	for (uint32_t i = 0; i < NODES; i++) {
		uint8_t mac[6];

		mac_of(i, mac);
		topo_port_set(&n->topo, i, HOST_PORT, true, 0, 0);
		assert_int_equal(topo_host_seen(&n->topo, mac, i, HOST_PORT, NOW, NULL), 1);
		topo_host(&n->topo, mac)->ip4 = 0x0a000001 + i;
	}
}

static void random_demand(struct demand *d, uint64_t id)
{
	uint32_t src = rnd(NODES), dst = (src + 1 + rnd(NODES - 1)) % NODES;
	struct box box = box_any();

	*d = (struct demand){.id = id, .kind = DEMAND_RESERVE, .end_ns = INT64_MAX};
	if (rnd(2) == 0)
		d->kind = rnd(3) > 0 ? DEMAND_WAYPOINT : DEMAND_AVOID;
	d->rate_bps = d->kind == DEMAND_RESERVE ? 1 + rnd(5) : 0;
	for (uint32_t i = d->kind == DEMAND_RESERVE ? 0 : 1 + rnd(2), at = rnd(NODES); i > 0; at = (at + 1) % NODES) {
		const struct ip_addr via = {.addr = match_ip4(0x0a000001 + at)};

		if (at == src || at == dst)
			continue;
		i--;
		assert_int_equal(ip_list_add(&d->addresses, &via), 0);
	}
	box.kinds = MATCH_KINDS_V4;
	box.src = match_ip4_prefix(0x0a000001 + src, 32);
	box.dst = match_ip4_prefix(0x0a000001 + dst, 32);
	if (rnd(3) == 0) {
		box.kinds = MATCH_IP4PORTS;
		box.f[MATCH_PROTO] = (struct span){6, 6};
		box.f[MATCH_DST_PORT] = (struct span){80, 80};
	}
	match_init(&d->flows);
	assert_int_equal(match_add(&d->flows, &box), 0);
}

static void plan(struct net *n)
{
	struct circuit_in placing = {.topo = &n->topo, .tree = n->tree, .policy = &n->policy, .now_ns = WALL};
	uint16_t dists[NODES][NODES];
	const uint16_t *dist[NODES];
	struct of_plan_in in = {.topo = &n->topo,
				.tree = n->tree,
				.dist = dist,
				.policy = &n->policy,
				.circuits = &n->circuits,
				.now_ns = NOW,
				.policy_ns = WALL,
				.version = n->version,
				.n_tables = 254};

	assert_int_equal(topo_tree(&n->topo, NULL, NULL, n->tree), 0);
	circuits_init(&n->circuits);
	assert_int_equal(circuits_place(&n->circuits, &placing), 0);
	circuits_live(&n->circuits, &n->policy, WALL);
	for (uint32_t i = 0; i < NODES; i++) {
		assert_int_equal(topo_distances(&n->topo, n->tree, i, dists[i]), 0);
		dist[i] = dists[i];
	}
	for (uint32_t i = 0; i < N; i++) {
		struct of_plan_stats stats;
		struct of_meters meters;

		of_meters_init(&meters);
		of_rules_init(&n->rules[i]);
		n->tables[i] = &n->rules[i];
		of_groups_init(&n->groups[i]);
		n->group_sets[i] = &n->groups[i];
		assert_int_equal(of_plan(&in, i, &n->rules[i], &meters, &n->groups[i], &stats), 0);
		of_meters_fini(&meters);
		assert_int_equal(stats.rows_unsayable, 0);
	}
}

// --- packets

static void on_event(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port)
{
	struct net *n = ctx;
	const struct of_packet *p = n->trace.packet;
	uint8_t mac[6];

	n->wrong |= what == OF_TRACE_LOOP || what == OF_TRACE_MOVED || what == OF_TRACE_UNCHECKED;
	if (what != OF_TRACE_EDGE || port != HOST_PORT)
		return;
	mac_of(sw, mac);
	n->wrong |= p->vlan != 0;
	if (memcmp(p->eth_dst, mac, 6) != 0)
		return; // flooded by
	n->n_arrived++;
	n->arrived = *p;
	n->at = sw;
	for (uint32_t i = 0; n->circuit != NULL && i < n->trace.depth; i++, n->at_hop++) {
		n->wrong |= n->at_hop >= n->circuit->n_hops;
		n->wrong |= n->circuit->hops[n->at_hop].sw != n->trace.path[i].sw;
	}
}

// A middlebox sends to whom the packet was for at first, as from itself or as from its sender. Its number of legs.
static unsigned int follow(struct net *n, const struct of_packet *sent, uint32_t from, uint32_t to)
{
	struct of_packet p = *sent;
	unsigned int n_legs = 0;

	n->at_hop = 0;
	n->at = from;
	do {
		n->n_arrived = 0;
		n->wrong = false;
		of_trace_run(&n->trace, &p, n->at, HOST_PORT);
		assert_int_equal(n->n_arrived, 1);
		assert_false(n->wrong);
		p = n->arrived;
		memcpy(p.eth_dst, sent->eth_dst, 6);
		if (rnd(2) == 0)
			mac_of(n->at, p.eth_src);
		else
			memcpy(p.eth_src, sent->eth_src, 6);
		assert_true(++n_legs < 20);
	} while (n->at != to);
	return n_legs;
}

static const struct circuit *find(const struct circuits *all, const struct idset *ids, const struct of_packet *p)
{
	for (uint32_t i = 0; i < all->n; i++) {
		const struct circuit *c = &all->all[i];

		if (!c->ip6 && c->ids.n == ids->n && memcmp(c->ids.id, ids->id, ids->n * sizeof(ids->id[0])) == 0 &&
		    memcmp(c->src, p->eth_src, 6) == 0 && memcmp(c->dst, p->eth_dst, 6) == 0)
			return c;
	}
	return NULL;
}

static const struct circuit *circuit_of(const struct net *n, const struct of_packet *p)
{
	struct match_packet m = {.src = match_ip4(p->ip4_src), .dst = match_ip4(p->ip4_dst), .kind = MATCH_IP4PORTS};

	m.f[MATCH_TIME] = WALL;
	m.f[MATCH_PROTO] = p->ip_proto;
	m.f[MATCH_SRC_PORT] = p->l4_src;
	m.f[MATCH_DST_PORT] = p->l4_dst;
	for (uint32_t i = 0; i < n->policy.paths.n_rows; i++) { // the highest rank comes first
		const struct row *row = &n->policy.paths.rows[i];

		const struct idset *ids = &row->action.reservations;
		const struct circuit *c;

		if (ids->n == 0 || !box_covers(&row->box, &m))
			continue;
		c = find(&n->circuits, ids, p);
		if (c != NULL || (n->version == OF_VERSION_10 && p->ip4_src != 0x0a000001 + N))
			return c; // behind the bridge, and with tables, the next row's is taken where none was placed
	}
	return NULL;
}

static void follow_all(struct net *n, unsigned int *n_circuits, unsigned int *n_over, unsigned int *n_via)
{
	for (uint32_t k = 0; k < 2 * NODES * NODES; k++) {
		uint32_t from = k % NODES, to = k / NODES % NODES;
		struct of_packet p = {.eth_type = 0x0800,
				      .ip_proto = 6,
				      .l4_src = 1000,
				      .l4_dst = k < NODES * NODES ? 80 : 81,
				      .ip4_src = 0x0a000001 + from,
				      .ip4_dst = 0x0a000001 + to};
		unsigned int n_legs;

		if (from == to)
			continue;
		mac_of(from, p.eth_src);
		mac_of(to, p.eth_dst);
		n->circuit = circuit_of(n, &p);
		n_legs = follow(n, &p, from, to);
		assert_int_equal(n_legs, n->circuit == NULL ? 1 : n->circuit->n_via + 1);
		*n_circuits += n->circuit != NULL;
		*n_via += n->circuit != NULL && n->circuit->n_via > 0;
		for (uint32_t i = 0; n->circuit != NULL && i < n->circuit->n_hops; i++)
			*n_over += n->circuit->hops[i].sw == N;
	}
}

static void check(struct net *n, unsigned int *n_circuits, unsigned int *n_over, unsigned int *n_via)
{
	struct of_bridge bridge;

	assert_int_equal(of_bridge_init(&bridge, NODES), 0);
	for (uint32_t i = 0; i < n->topo.n_hosts; i++) { // as it is told (of_member.h)
		uint32_t side = topo_side(&n->topo, n->tree, n->topo.hosts[i].sw);

		of_bridge_learn(&bridge, n->topo.hosts[i].mac, side == N ? HOST_PORT : TOWARDS(side));
	}
	assert_int_equal(of_trace_init(&n->trace, &n->topo, n->tables), 0);
	n->trace.groups = n->group_sets;
	n->trace.bridge = &bridge;
	n->trace.forgetful = true;
	n->trace.event = on_event;
	n->trace.ctx = n;
	follow_all(n, n_circuits, n_over, n_via);
	of_trace_fini(&n->trace);
	of_bridge_fini(&bridge);
}

static void packets_go_the_way_of_their_circuit_and_arrive_without_a_tag(void **state)
{
	unsigned long n_rounds = rounds_from_env(200);
	unsigned int n_circuits = 0, n_over = 0, n_via = 0;

	rnd_state = seed_from_env(41);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
	for (unsigned int i = 0; i < n_rounds; i++) {
		static struct net n;

		memset(&n, 0, sizeof(n));
		n.version = rnd(3) == 0 ? OF_VERSION_10 : OF_VERSION_13;
		make_topology(&n);
		policy_of_demands(&n.policy, DEMANDS, random_demand);
		plan(&n);
		check(&n, &n_circuits, &n_over, &n_via);
		for (uint32_t k = 0; k < N; k++) {
			of_rules_fini(&n.rules[k]);
			of_groups_fini(&n.groups[k]);
		}
		circuits_fini(&n.circuits);
		of_policy_fini(&n.policy);
		topo_fini(&n.topo);
	}
	print_message("%u circuits, %u over the bridge, %u by middleboxes\n", n_circuits, n_over, n_via);
	assert_true(n_circuits > 2 * n_rounds && n_over > n_rounds && n_via > n_rounds / 2);
	(void)state;
}

// --- hosts of many IPv6 addresses

#define IP6(low) (((u128)0xfd00 << 112) + (low))
#define OLD 0x1000 // the address that was claimed first, and is the highest

// Entries that put frames on circuits: all, and (*n_of) those of one source.
static uint32_t n_starts(const struct of_rules *rules, uint32_t low, uint32_t *n_of)
{
	uint32_t n = 0;

	*n_of = 0;
	for (uint32_t i = 0; i < rules->n; i++) {
		const struct of_match *m = &rules->rules[i].match;

		if (rules->rules[i].table != OF_PLAN_PATH || !(m->has & OF_HAS_IP6_SRC) || !(m->has & OF_HAS_IP6_DST))
			continue;
		n++;
		*n_of += (uint32_t)(m->ip6_src[14] << 8 | m->ip6_src[15]) == low;
	}
	return n;
}

// Three switches in a line: what host 0 sends to host 2 goes by the middlebox, host 1. How many entries that makes at
// the source, and how many of its oldest address.
static uint32_t plan_many(uint32_t n_addresses, const struct box *box, uint32_t *n_of, struct of_plan_stats *stats)
{
	static struct net n;
	struct demands demands;
	struct tree tree;
	struct addrs addrs;
	struct err err;
	struct demand d = {.id = 7, .kind = DEMAND_WAYPOINT, .end_ns = INT64_MAX};
	const struct ip_addr via = {.addr = match_ip4(0x0a000002)};
	uint16_t dists[3][NODES];
	const uint16_t *dist[3] = {dists[0], dists[1], dists[2]};
	struct circuit_in placing = {.topo = &n.topo, .addrs = &addrs, .tree = n.tree, .policy = &n.policy};
	struct of_plan_in in = {.topo = &n.topo,
				.tree = n.tree,
				.dist = dist,
				.policy = &n.policy,
				.circuits = &n.circuits,
				.addrs = &addrs,
				.now_ns = NOW,
				.policy_ns = WALL,
				.version = OF_VERSION_13,
				.n_tables = 254};
	struct of_meters meters;
	uint32_t n_all;

	memset(&n, 0, sizeof(n));
	topo_init(&n.topo, 32);
	addrs_init(&addrs, 256);
	for (uint32_t i = 0; i < 3; i++) {
		uint8_t mac[6];

		mac_of(i, mac);
		topo_switch_up(&n.topo, topo_switch(&n.topo, i + 1), true);
		topo_port_set(&n.topo, i, HOST_PORT, true, 0, 0);
		assert_int_equal(topo_host_seen(&n.topo, mac, i, HOST_PORT, NOW, NULL), 1);
		topo_host(&n.topo, mac)->ip4 = 0x0a000001 + i;
		for (uint32_t k = 0; i == 0 && k < n_addresses; k++)
			addrs_set(&addrs, IP6(k == 0 ? OLD : k), true, mac, ADDR_ND, k);
		if (i == 2)
			addrs_set(&addrs, IP6(0xdd00), true, mac, ADDR_ND, 0);
	}
	link_up(&n.topo, 0, 1);
	link_up(&n.topo, 1, 2);
	demands_init(&demands);
	tree_init(&tree);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	match_init(&d.flows);
	assert_int_equal(ip_list_add(&d.addresses, &via), 0);
	assert_int_equal(match_add(&d.flows, box), 0);
	assert_int_equal(demands_add(&demands, &d), 0);
	ip_list_unref(d.addresses);
	assert_int_equal(of_policy_build(&n.policy, &tree, &demands, 0, NULL, &err), 0);
	tree_fini(&tree);
	assert_int_equal(topo_tree(&n.topo, NULL, NULL, n.tree), 0);
	circuits_init(&n.circuits);
	assert_int_equal(circuits_place(&n.circuits, &placing), 0);
	assert_int_equal(n.circuits.n_failures, 0);
	circuits_live(&n.circuits, &n.policy, WALL);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(topo_distances(&n.topo, n.tree, i, dists[i]), 0);
	of_meters_init(&meters);
	of_rules_init(&n.rules[0]);
	of_groups_init(&n.groups[0]);
	assert_int_equal(of_plan(&in, 0, &n.rules[0], &meters, &n.groups[0], stats), 0);
	n_all = n_starts(&n.rules[0], OLD, n_of);
	of_meters_fini(&meters);
	of_rules_fini(&n.rules[0]);
	of_groups_fini(&n.groups[0]);
	circuits_fini(&n.circuits);
	of_policy_fini(&n.policy);
	topo_fini(&n.topo);
	addrs_fini(&addrs);
	return n_all;
}

static void what_a_row_names_has_a_circuit_however_many_addresses_its_host_claims(void **state)
{
	struct of_plan_stats stats;
	struct box box = box_any();
	uint32_t n_of;

	box.kinds = MATCH_KINDS_V6;
	box.dst = (struct span128){IP6(0xdd00), IP6(0xdd00)};
	box.src = (struct span128){IP6(OLD), IP6(OLD)};
	assert_int_equal(plan_many(100, &box, &n_of, &stats), 1);
	assert_int_equal(n_of, 1);
	assert_int_equal(stats.rows_unsayable, 0);
	(void)state;
}

static void addresses_that_have_no_entries_are_told_of_and_are_the_oldest(void **state)
{
	struct of_plan_stats stats;
	struct box box = box_any();
	uint32_t n_of;

	box.kinds = MATCH_KINDS_V6;
	box.dst = (struct span128){IP6(0xdd00), IP6(0xdd00)};
	assert_int_equal(plan_many(16, &box, &n_of, &stats), 16);
	assert_int_equal(n_of, 1);
	assert_int_equal(stats.rows_unsayable, 0);
	for (uint32_t n = 17; n < 100; n += 41) {
		assert_int_equal(plan_many(n, &box, &n_of, &stats), 16);
		assert_int_equal(n_of, 0);
		assert_int_equal(stats.rows_unsayable, 1);
		assert_string_equal(stats.why, "host 02:00:00:00:00:01 has more than 16 IPv6 addresses: request 7 "
					       "holds for the latest only");
	}
	box.src = (struct span128){IP6(OLD), IP6(OLD + 1)};
	assert_int_equal(plan_many(31, &box, &n_of, &stats), 1);
	assert_int_equal(stats.rows_unsayable, 0);
	assert_int_equal(plan_many(32, &box, &n_of, &stats), 1); // as many as are heard: there may be others
	assert_int_equal(stats.rows_unsayable, 1);
	(void)state;
}

static void what_needs_too_many_entries_has_those_that_there_is_room_for(void **state)
{
	struct of_plan_stats stats;
	struct box box = box_any();
	uint32_t n_of, n;

	box.kinds = MATCH_IP6PORTS;
	box.dst = (struct span128){IP6(0xdd00), IP6(0xdd00)};
	box.f[MATCH_PROTO] = (struct span){6, 6};
	box.f[MATCH_SRC_PORT] = box.f[MATCH_DST_PORT] = (struct span){1, 1022}; // 18 x 18 prefixes
	n = plan_many(16, &box, &n_of, &stats);
	assert_int_equal(n, 18 * 18);
	assert_int_equal(stats.rows_unsayable, 1);
	assert_non_null(strstr(stats.why, "request 7 needs more than 512"));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_the_way_of_their_circuit_and_arrive_without_a_tag),
		cmocka_unit_test(what_a_row_names_has_a_circuit_however_many_addresses_its_host_claims),
		cmocka_unit_test(addresses_that_have_no_entries_are_told_of_and_are_the_oldest),
		cmocka_unit_test(what_needs_too_many_entries_has_those_that_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
