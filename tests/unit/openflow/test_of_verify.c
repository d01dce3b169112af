// SPDX-License-Identifier: Apache-2.0
// The checker of installed tables: random networks with what the planner makes for a random policy are clean; with one
// entry damaged, what random packets then show is found, and nothing is where they show nothing.
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

#define N 5
#define NOW TOPO_SETTLE_NS // monotonic
#define WALL 1000          // since the epoch

struct net {
	struct topo topo;
	struct addrs addrs;
	struct tree policy;
	struct of_policy planned;
	struct of_rules rules[N];
	const struct of_rules *tables[N];
	struct of_groups groups[N];
	const struct of_groups *group_sets[N];
	uint32_t groups_max;
	struct of_meters meters[N];
	uint8_t version, n_tables;
	uint32_t unsayable; // rows, at each switch
};

static unsigned int rounds(unsigned int usual)
{
	const char *text = getenv("PANE_ROUNDS");

	return text == NULL ? usual : (unsigned int)strtoul(text, NULL, 10);
}

static void mac_of(uint32_t i, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
}

static u128 address6(uint32_t i)
{
	return ((u128)0x20010db8 << 96) + i + 1;
}

// Port 1 has a host; port 10 + x goes to switch x.
static void random_topology(struct net *net)
{
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

		for (uint32_t k = 0; k < N; k++) {
			if (k != sure && (k == i || rnd(4) > 0))
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
	for (uint32_t i = 0; i < N; i++) {
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

static void plan(struct net *net)
{
	uint32_t tree[N];
	uint16_t dists[N][N];
	const uint16_t *dist[N];
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
	for (uint32_t i = 0; i < N; i++) {
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
}

static void random_net(struct net *net, unsigned int n_atoms)
{
	struct demands demands;
	struct of_policy_proof proof = {.effort = VERIFY_EFFORT};
	struct err err;

	memset(net, 0, sizeof(*net));
	net->version = rnd(2) == 0 ? OF_VERSION_10 : OF_VERSION_13;
	net->n_tables = rnd(3) == 0 ? 1 : 254;
	net->groups_max = rnd(4) == 0 ? rnd(2) : UINT32_MAX;
	random_topology(net);
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

static struct of_verify *verify(struct net *net, struct of_verify_result *result)
{
	struct of_verify_in in = {&net->topo, &net->addrs, net->tables, &net->policy, WALL, net->group_sets};
	struct of_verify *v = of_verify_create(&in);

	assert_non_null(v);
	while (!of_verify_step(v, 1 + rnd(5000)))
		;
	of_verify_result(v, result);
	return v;
}

static void what_is_planned_is_clean(void **state)
{
	rnd_state = 21;
	for (unsigned int i = 0; i < rounds(100); i++) {
		struct of_verify_result result;
		struct of_verify *v;
		struct net net;
		char text[300];

		random_net(&net, rnd(7));
		v = verify(&net, &result);
		if (result.n_findings > 0) {
			of_packet_format(&result.findings[0].packet, text, sizeof(text));
			fail_msg("round %u: %s of (%s) from switch %u at switch %u", i,
				 of_finding_name(result.findings[0].kind), text, result.findings[0].from.sw,
				 result.findings[0].at.sw);
		}
		assert_int_equal(result.n_pairs, 3 * N * (N - 1));
		of_verify_destroy(v);
		net_fini(&net);
	}
	(void)state;
}

// --- the same by random packets

struct shown {
	bool left, arrived, loop;
	uint32_t to;
};

static void note(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port)
{
	struct shown *s = ctx;

	s->left |= what == OF_TRACE_EDGE;
	s->arrived |= what == OF_TRACE_EDGE && sw == s->to && port == 1;
	s->loop |= what == OF_TRACE_LOOP;
}

// Does some packet between hosts show that something is wrong?
static bool is_wrong(struct net *net, unsigned int n)
{
	static const uint8_t protos[] = {1, 6, 17, 253};
	struct of_trace t;
	bool wrong = false;

	assert_int_equal(of_trace_init(&t, &net->topo, net->tables), 0);
	t.event = note;
	t.groups = net->group_sets;
	while (n-- > 0 && !wrong) {
		uint32_t a = rnd(N), b = rnd(N);
		struct of_packet p = {.eth_type = 0x0800, .ip4_src = 0x0a000001 + a, .ip4_dst = 0x0a000001 + b};
		struct match_packet m = {.src = match_ip4(p.ip4_src), .dst = match_ip4(p.ip4_dst), .kind = MATCH_IP4};
		struct shown s = {.to = b};

		if (a == b)
			continue;
		mac_of(a, p.eth_src);
		mac_of(b, p.eth_dst);
		p.ip_proto = protos[rnd(4)];
		m.f[MATCH_TIME] = WALL;
		m.f[MATCH_PROTO] = p.ip_proto;
		if (p.ip_proto == 6 || p.ip_proto == 17) {
			m.kind = MATCH_IP4PORTS;
			m.f[MATCH_DST_PORT] = p.l4_dst = (uint16_t)(60 + rnd(240));
		}
		t.ctx = &s;
		do {
			s.left = s.arrived = false;
			of_trace_run(&t, &p, a, 1);
			wrong |= s.loop || (eval_packet(&net->policy, &m).access == ACCESS_DENY ? s.left : !s.arrived);
		} while (of_trace_again(&t));
	}
	of_trace_fini(&t);
	return wrong;
}

static void damage(struct net *net)
{
	struct of_rules *rules = &net->rules[rnd(N)];
	struct of_rule *r = &rules->rules[rnd(rules->n)];
	struct of_instructions *todo = &r->instructions;
	struct of_groups *groups = &net->groups[rnd(N)];

	if (groups->n > 0 && rnd(3) == 0) {
		struct of_bucket *b = &groups->groups[rnd(groups->n)].what.buckets[rnd(10)];

		b->actions[0].port = rnd(3) == 0 ? 999 : 10 + rnd(N);
		b->watch_port = OF_PORT_ANY;
		return;
	}
	switch (rnd(3)) {
	case 0:
		todo->n_actions = 0;
		todo->goto_table = OF_TABLE_ALL;
		break;
	case 1: // sends somewhere
		todo->n_actions = 1;
		todo->goto_table = OF_TABLE_ALL;
		todo->actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = rnd(3) == 0 ? 1 : 10 + rnd(N)};
		break;
	default: // is not there
		r->match.has |= OF_HAS_IN_PORT;
		r->match.in_port = 999;
	}
}

static void what_is_damaged_is_found(void **state)
{
	unsigned int n_wrong = 0, n_found = 0;

	rnd_state = 22;
	for (unsigned int i = 0; i < rounds(150); i++) {
		struct of_verify_result result;
		struct of_verify *v;
		struct net net;
		bool wrong;

		random_net(&net, 1 + rnd(5));
		damage(&net);
		wrong = is_wrong(&net, 2000);
		v = verify(&net, &result);
		if (wrong && result.n_findings == 0)
			fail_msg("round %u: a packet goes wrong, and nothing is found", i);
		n_wrong += wrong;
		n_found += result.n_findings > 0;
		of_verify_destroy(v);
		net_fini(&net);
	}
	print_message("%u of %u wrong, %u found\n", n_wrong, rounds(150), n_found);
	assert_true(n_wrong > rounds(150) / 10);
	(void)state;
}

// Each finding's own packet shows it.
static void a_leak_is_told_with_its_packet(void **state)
{
	struct of_verify_result result;
	struct of_verify *v;
	struct net net;
	char text[300];

	rnd_state = 23;
	random_net(&net, 0);
	tree_fini(&net.policy);
	tree_init(&net.policy);
	tree_add_node(&net.policy, TREE_NO_PARENT);
	{
		struct atom a = {.id = 1, .part = ATOM_ACCESS, .access = ACCESS_DENY};
		struct box b = box_any();

		b.kinds = MATCH_IP4PORTS;
		b.src = match_ip4_prefix(0x0a000002, 32);
		b.dst = match_ip4_prefix(0x0a000004, 32);
		b.f[MATCH_PROTO] = (struct span){6, 6};
		b.f[MATCH_DST_PORT] = (struct span){7000, 7001};
		match_init(&a.match);
		assert_true(box_normalize(&b));
		match_add(&a.match, &b);
		assert_int_equal(tree_add_atom(&net.policy, &a), 0);
	}
	v = verify(&net, &result);
	assert_int_equal(result.n_findings, 1); // one of a pair
	assert_int_equal(result.findings[0].kind, OF_FINDING_LEAK);
	assert_int_equal(result.findings[0].at.sw, 3);
	assert_int_equal(result.findings[0].at.port, 1);
	of_packet_format(&result.findings[0].packet, text, sizeof(text));
	assert_string_equal(text, "srcHost=10.0.0.2, dstHost=10.0.0.4, transport=6, srcPort=0, dstPort=7000, "
				  "srcEth=02:00:00:00:00:02, dstEth=02:00:00:00:00:04");
	of_verify_destroy(v);
	net_fini(&net);
	(void)state;
}

static void broadcasts_that_go_round_and_switches_that_are_silent_are_found(void **state)
{
	struct of_verify_result result;
	struct of_verify *v;
	struct net net;

	rnd_state = 24;
	random_net(&net, 0);
	for (uint32_t i = 0; i < N; i++) { // everything everywhere, whatever the links
		struct of_rule r = {.priority = 65535};

		r.match.has = OF_HAS_ETH_DST;
		memset(r.match.eth_dst, 0xff, 6);
		memset(r.match.eth_dst_mask, 0xff, 6);
		r.instructions.goto_table = OF_TABLE_ALL;
		r.instructions.n_actions = 1;
		r.instructions.actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = OF_PORT_FLOOD};
		of_rules_add(&net.rules[i], &r);
		of_rules_sort(&net.rules[i]);
	}
	topo_port_set(&net.topo, 0, 11, true, 0, 0);
	for (uint32_t i = 0; i < 3; i++) { // a ring
		uint32_t k = (i + 1) % 3;

		topo_port_set(&net.topo, i, 10 + k, true, 0, 0);
		topo_port_set(&net.topo, k, 10 + i, true, 0, 0);
		topo_probe(&net.topo, i, 10 + k, k, 10 + i, NOW);
		topo_probe(&net.topo, k, 10 + i, i, 10 + k, NOW);
	}
	v = verify(&net, &result);
	assert_true(result.n_of[OF_FINDING_LOOP] > 0);
	of_verify_destroy(v);
	net.tables[2] = NULL;
	v = verify(&net, &result);
	assert_true(result.n_of[OF_FINDING_UNCHECKED] > 0);
	of_verify_destroy(v);
	net_fini(&net);
	(void)state;
}

// 1.0 has no IPv6: what is about both families holds for IPv4, and is counted.
static void of_both_families_1_0_gets_what_it_can_say(void **state)
{
	struct of_verify_result result;
	struct of_verify *v;
	struct net net = {.version = OF_VERSION_10, .n_tables = 254, .unsayable = 1};
	struct atom a = {.id = 1, .part = ATOM_ACCESS, .access = ACCESS_DENY};
	struct box b = box_any();
	struct demands none;
	struct err err;

	rnd_state = 25;
	random_topology(&net);
	tree_init(&net.policy);
	tree_add_node(&net.policy, TREE_NO_PARENT);
	demands_init(&none);
	b.kinds = MATCH_KINDS_PORTS;
	b.f[MATCH_DST_PORT] = (struct span){80, 80};
	match_init(&a.match);
	assert_true(box_normalize(&b) && match_add(&a.match, &b) == 0);
	assert_int_equal(tree_add_atom(&net.policy, &a), 0);
	assert_int_equal(of_policy_build(&net.planned, &net.policy, &none, WALL, NULL, &err), 0);
	plan(&net);
	v = verify(&net, &result);
	assert_int_equal(result.n_findings, N * (N - 1)); // one for each pair of IPv6 addresses
	for (uint32_t i = 0; i < result.n_findings; i++)
		assert_int_equal(result.findings[i].packet.eth_type, 0x86dd);
	of_verify_destroy(v);
	net_fini(&net);
	(void)state;
}

static uint8_t no_colour(void *ctx, uint64_t id)
{
	(void)ctx;
	(void)id;
	return OF_POLICY_UNSAID;
}

static void a_limit_of_an_ip6_address_is_kept_where_its_host_is(void **state)
{
	struct demand d = {.id = 1, .kind = DEMAND_LIMIT, .rate_bps = 5000000, .end_ns = INT64_MAX};
	struct net net = {.version = OF_VERSION_13, .n_tables = 254};
	struct box b = box_any();
	struct demands demands;
	struct err err;

	rnd_state = 26;
	random_topology(&net);
	tree_init(&net.policy);
	tree_add_node(&net.policy, TREE_NO_PARENT);
	demands_init(&demands);
	b.kinds = MATCH_KINDS_V6;
	b.src.lo = b.src.hi = address6(2);
	box_set_time(&b, 0, INT64_MAX);
	match_init(&d.flows);
	assert_int_equal(match_add(&d.flows, &b), 0);
	assert_int_equal(demands_add(&demands, &d), 0);
	assert_int_equal(of_policy_build(&net.planned, &net.policy, &demands, WALL, NULL, &err), 0);
	assert_int_equal(of_policy_colour(&net.planned, no_colour, NULL), 0);
	plan(&net);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(net.meters[i].n, i == 2);
	assert_int_equal(net.meters[2].meters[0].rate_kbps, 5000);
	net_fini(&net);
	(void)state;
}

// The port of switch 0 to a host.
static uint32_t port_to(const struct net *net, uint8_t host)
{
	for (uint32_t i = 0; i < net->rules[0].n; i++) {
		const struct of_rule *r = &net->rules[0].rules[i];

		if (r->match.has == OF_HAS_ETH_DST && r->match.eth_dst[5] == host && r->match.eth_dst[4] == 9)
			return r->instructions.actions[0].port;
	}
	return 0;
}

// 0 reaches 3 by 1, 2 and 4. Without one of the ways only those hosts move that took it.
static void hosts_are_spread_over_equal_ways_and_move_only_when_theirs_is_gone(void **state)
{
	uint32_t before[100], n_by[N] = {0};
	struct net net = {.version = OF_VERSION_13, .n_tables = 254};

	topo_init(&net.topo, 128);
	of_policy_init(&net.planned);
	for (uint32_t i = 0; i < N; i++) {
		topo_switch_up(&net.topo, topo_switch(&net.topo, i + 1), true);
		for (uint32_t port = 1; port < 10 + N; port++)
			topo_port_set(&net.topo, i, port, true, 0, 0);
	}
	for (uint32_t mid = 1; mid < N; mid++) {
		for (uint32_t end = 0; end < N && mid != 3; end += 3) {
			topo_probe(&net.topo, mid, 10 + end, end, 10 + mid, NOW);
			topo_probe(&net.topo, end, 10 + mid, mid, 10 + end, NOW);
		}
	}
	for (uint8_t i = 0; i < 100; i++)
		topo_host_seen(&net.topo, (const uint8_t[]){2, 0, 0, 0, 9, i}, 3, 1, NOW, NULL);
	for (int turn = 0; turn < 2; turn++) {
		plan(&net);
		for (uint8_t i = 0; i < 100; i++) {
			uint32_t port = port_to(&net, i);

			assert_true(port == 11 || port == 12 || port == 14);
			if (turn == 0)
				n_by[port - 10]++;
			else
				assert_true(port != 12 && (before[i] == 12 || port == before[i]));
			before[i] = port;
		}
		for (uint32_t i = 0; i < N; i++) {
			of_rules_fini(&net.rules[i]);
			assert_int_equal(net.groups[i].n, 0);
		}
		topo_port_set(&net.topo, 2, 10, false, 0, 0);
	}
	assert_true(n_by[1] > 20 && n_by[2] > 20 && n_by[4] > 20);
	topo_fini(&net.topo);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_planned_is_clean),
		cmocka_unit_test(what_is_damaged_is_found),
		cmocka_unit_test(a_leak_is_told_with_its_packet),
		cmocka_unit_test(broadcasts_that_go_round_and_switches_that_are_silent_are_found),
		cmocka_unit_test(of_both_families_1_0_gets_what_it_can_say),
		cmocka_unit_test(a_limit_of_an_ip6_address_is_kept_where_its_host_is),
		cmocka_unit_test(hosts_are_spread_over_equal_ways_and_move_only_when_theirs_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
