// SPDX-License-Identifier: Apache-2.0
// The checker of installed tables: random networks with what the planner makes for a random policy are clean; with one
// entry damaged, what random packets then show is found, and nothing is where they show nothing.
#include "verify_fixture.h"

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
	for (unsigned int i = 0; i < rounds_from_env(100); i++) {
		struct of_verify_result result;
		struct of_verify *v;
		struct net net;
		char text[300];

		random_net(&net, rnd(7), i % 2 == 1);
		v = verify(&net, &result);
		if (result.n_findings > 0) {
			of_packet_format(&result.findings[0].packet, text, sizeof(text));
			fail_msg("round %u: %s of (%s) from switch %u at switch %u", i,
				 of_finding_name(result.findings[0].kind), text, result.findings[0].from.sw,
				 result.findings[0].at.sw);
		}
		assert_int_equal(result.n_pairs, 3 * net.n * (net.n - 1));
		of_verify_destroy(v);
		net_fini(&net);
	}
	(void)state;
}

// --- the same by random packets

struct shown {
	bool denied;
	bool left, arrived, loop, moved;
	uint32_t to;
};

static bool bridge_lets_in(void *ctx, const struct of_packet *packet)
{
	(void)packet;
	return !((struct shown *)ctx)->denied;
}

static void note(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port)
{
	struct shown *s = ctx;

	s->left |= what == OF_TRACE_EDGE;
	s->arrived |= what == OF_TRACE_EDGE && sw == s->to && port == 1;
	s->loop |= what == OF_TRACE_LOOP;
	s->moved |= what == OF_TRACE_MOVED;
}

// Does some packet between hosts show that something is wrong?
static bool is_wrong(struct net *net, unsigned int n)
{
	static const uint8_t protos[] = {1, 6, 17, 253};
	struct of_bridge bridge;
	struct of_trace t;
	bool wrong = false;

	assert_int_equal(of_trace_init(&t, &net->topo, net->tables), 0);
	assert_int_equal(of_bridge_init(&bridge, N_MAX), 0);
	for (uint32_t i = 0; i < net->topo.n_hosts; i++) {
		if (net->topo.hosts[i].told_port != TOPO_NONE)
			of_bridge_learn(&bridge, net->topo.hosts[i].mac, net->topo.hosts[i].told_port);
	}
	t.event = note;
	t.groups = net->group_sets;
	t.bridge = &bridge;
	t.forgetful = true;
	t.lets_in = bridge_lets_in;
	while (n-- > 0 && !wrong) {
		uint32_t a = rnd(net->n), b = rnd(net->n);
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
		s.denied = eval_packet(&net->policy, &m).access == ACCESS_DENY;
		do {
			s.left = s.arrived = false;
			of_trace_run(&t, &p, a, 1);
			wrong |= s.loop || s.moved || (s.denied ? s.left : !s.arrived);
		} while (of_trace_again(&t));
	}
	of_bridge_fini(&bridge);
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
	for (unsigned int i = 0; i < rounds_from_env(150); i++) {
		struct of_verify_result result;
		struct of_verify *v;
		struct net net;
		bool wrong;

		random_net(&net, 1 + rnd(5), i % 3 == 2);
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
	print_message("%u of %lu wrong, %u found\n", n_wrong, rounds_from_env(150), n_found);
	assert_true(n_wrong > rounds_from_env(150) / 10);
	(void)state;
}

// Of host 1 to host 3.
static void deny_ports(struct net *net)
{
	struct atom a = {.id = 1, .part = ATOM_ACCESS, .access = ACCESS_DENY};
	struct box b = box_any();

	tree_fini(&net->policy);
	tree_init(&net->policy);
	tree_add_node(&net->policy, TREE_NO_PARENT);
	b.kinds = MATCH_IP4PORTS;
	b.src = match_ip4_prefix(0x0a000002, 32);
	b.dst = match_ip4_prefix(0x0a000004, 32);
	b.f[MATCH_PROTO] = (struct span){6, 6};
	b.f[MATCH_DST_PORT] = (struct span){7000, 7001};
	match_init(&a.match);
	assert_true(box_normalize(&b));
	match_add(&a.match, &b);
	assert_int_equal(tree_add_atom(&net->policy, &a), 0);
}

// Each finding's own packet shows it.
static void a_leak_is_told_with_its_packet(void **state)
{
	struct of_verify_result result;
	struct of_verify *v;
	struct net net;
	char text[300];

	rnd_state = 23;
	random_net(&net, 0, false);
	deny_ports(&net);
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

static void plan_anew(struct net *net)
{
	struct demands demands;
	struct err err;

	for (uint32_t i = 0; i < N; i++) {
		of_rules_fini(&net->rules[i]);
		of_groups_fini(&net->groups[i]);
		of_meters_fini(&net->meters[i]);
	}
	of_policy_fini(&net->planned);
	demands_init(&demands);
	assert_int_equal(of_policy_build(&net->planned, &net->policy, &demands, WALL, NULL, &err), 0);
	plan(net);
}

// The slow way: as long as some link leads on.
static void find_reached(const struct topo *t, uint32_t from, bool reached[N_MAX])
{
	memset(reached, 0, N_MAX * sizeof(reached[0]));
	reached[from] = true;
	for (uint32_t round = 0; round < t->n_switches; round++) {
		for (uint32_t sw = 0; sw < t->n_switches; sw++) {
			for (uint32_t i = 0; i < t->switches[sw].n_ports; i++) {
				uint32_t peer, port;

				if (reached[sw] && topo_link(t, sw, t->switches[sw].ports[i].no, &peer, &port))
					reached[peer] = true;
			}
		}
	}
}

static void parts_without_a_link_between_them_are_no_black_holes(void **state)
{
	rnd_state = 25;
	for (unsigned int i = 0; i < rounds_from_env(50); i++) {
		uint32_t part[N_MAX], n_apart = 0, alone = rnd(N);
		struct of_verify_result result;
		struct of_verify *v;
		struct net net;

		random_net(&net, 0, i % 2 == 1);
		for (uint32_t k = 0; k <= N; k++)
			topo_port_set(&net.topo, alone, 10 + k, false, 0, 0);
		plan_anew(&net);
		topo_parts(&net.topo, part);
		for (uint32_t a = 0; a < net.n; a++) {
			bool reached[N_MAX];

			find_reached(&net.topo, a, reached);
			for (uint32_t b = 0; b < net.n; b++) {
				n_apart += !reached[b];
				assert_int_equal(part[a] == part[b], reached[b]);
				assert_true(part[b] <= b);
			}
		}
		v = verify(&net, &result);
		assert_int_equal(result.n_findings, 0);
		assert_int_equal(result.n_unconnected, 3 * n_apart);
		assert_true(n_apart > 0);
		of_verify_destroy(v);
		net_fini(&net);
	}
	(void)state;
}

static uint32_t cut_watches(struct net *net)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < N; i++) {
		for (uint32_t k = 0; k < net->rules[i].n; k++) {
			struct of_rule *r = &net->rules[i].rules[k];

			if (r->match.has != (OF_HAS_ETH_TYPE | OF_HAS_IP4_SRC) || r->instructions.n_actions != 1)
				continue;
			r->match.has |= OF_HAS_IN_PORT;
			r->match.in_port = 999;
			n++;
		}
	}
	return n;
}

static void what_passes_with_a_forged_source_is_found(void **state)
{
	struct of_verify_result result;
	struct of_verify *v;
	struct net net;

	rnd_state = 29;
	random_net(&net, 0, false);
	net.version = OF_VERSION_13;
	net.n_tables = 254;
	deny_ports(&net);
	plan_anew(&net);
	v = verify(&net, &result);
	assert_int_equal(result.n_findings, 0);
	of_verify_destroy(v);
	assert_int_equal(cut_watches(&net), N - 1);
	v = verify(&net, &result);
	assert_int_equal(result.n_findings, 1);
	assert_int_equal(result.findings[0].kind, OF_FINDING_LEAK);
	assert_int_not_equal(result.findings[0].from.sw, 1);
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
	random_net(&net, 0, false);
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

// Whatever comes to switch 0, by each combination of three times ten buckets.
static void many_ways(struct net *net)
{
	struct of_rule r = {.priority = 65535, .instructions = {.n_actions = 3, .goto_table = OF_TABLE_ALL}};
	struct of_group_mod g = {.type = OF_GROUP_SELECT, .n_buckets = 10};

	for (uint32_t i = 0; i < g.n_buckets; i++) {
		g.buckets[i] = (struct of_bucket){.weight = 1, .watch_port = OF_PORT_ANY, .n_actions = 1};
		g.buckets[i].actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = 900 + i};
	}
	for (uint32_t i = 0; i < r.instructions.n_actions; i++) {
		g.group = 500 + i;
		assert_int_equal(of_groups_set(&net->groups[0], &g), 0);
		r.instructions.actions[i] = (struct of_action){.type = OF_ACT_GROUP, .group = g.group};
	}
	assert_int_equal(of_rules_add(&net->rules[0], &r), 0);
	of_rules_sort(&net->rules[0]);
}

static uint64_t n_evals;

struct action __real_eval_packet(const struct tree *tree, const struct match_packet *packet);
struct action __wrap_eval_packet(const struct tree *tree, const struct match_packet *packet);
struct action __wrap_eval_packet(const struct tree *tree, const struct match_packet *packet)
{
	n_evals++;
	return __real_eval_packet(tree, packet);
}

// A large policy is what takes the time.
static void a_step_judges_no_more_packets_than_it_has_time_for(void **state)
{
	uint64_t cost, most = 0, all = 0;
	struct of_verify *v;
	struct net net;
	bool done = false;

	rnd_state = 28;
	random_net(&net, 3, false);
	many_ways(&net);
	for (int i = 0; i < 60; i++)
		assert_true(tree_add_node(&net.policy, 0) > 0);
	cost = (uint64_t)net.policy.n_nodes * (net.policy.n_nodes + net.policy.n_atoms);
	v = of_verify_create(
		&(struct of_verify_in){&net.topo, &net.addrs, net.tables, &net.policy, WALL, net.group_sets});
	assert_non_null(v);
	while (!done) {
		n_evals = 0;
		done = of_verify_step(v, 2 * cost);
		most = n_evals > most ? n_evals : most;
		all += n_evals;
	}
	assert_true(all > 100);
	assert_true(most <= 3);
	of_verify_destroy(v);
	net_fini(&net);
	(void)state;
}

// So that the controller's loop goes on meanwhile. Nothing depends on where steps end.
static void a_step_follows_no_more_packets_than_it_was_given(void **state)
{
	uint64_t steps[] = {UINT32_MAX, 1, 7};
	struct of_verify_result all, result;
	struct net net;

	rnd_state = 27;
	random_net(&net, 3, false);
	many_ways(&net);
	for (unsigned int i = 0; i < 3; i++) {
		struct of_verify_in in = {&net.topo, &net.addrs, net.tables, &net.policy, WALL, net.group_sets};
		struct of_verify *v = of_verify_create(&in);
		uint64_t n = 0;
		bool done = false;

		assert_non_null(v);
		while (!done) {
			done = of_verify_step(v, steps[i]);
			of_verify_result(v, &result);
			assert_true(result.n_packets - n <= steps[i]);
			n = result.n_packets;
		}
		if (i == 0)
			all = result;
		assert_int_equal(result.n_packets, all.n_packets);
		assert_int_equal(result.n_pairs, all.n_pairs);
		assert_int_equal(result.n_sampled, all.n_sampled);
		assert_int_equal(result.n_sampled_others, all.n_sampled_others);
		assert_memory_equal(result.n_of, all.n_of, sizeof(all.n_of));
		of_verify_destroy(v);
	}
	assert_true(all.n_sampled >= 3 * (N - 1)); // all from host 0
	assert_true(all.n_sampled_others > 1);     // that entry, and broadcasts
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

	rnd_state = 25;
	random_topology(&net, false);
	tree_init(&net.policy);
	tree_add_node(&net.policy, TREE_NO_PARENT);
	b.kinds = MATCH_KINDS_PORTS;
	b.f[MATCH_DST_PORT] = (struct span){80, 80};
	match_init(&a.match);
	assert_true(box_normalize(&b) && match_add(&a.match, &b) == 0);
	assert_int_equal(tree_add_atom(&net.policy, &a), 0);
	plan_anew(&net);
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
	random_topology(&net, false);
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
		cmocka_unit_test(parts_without_a_link_between_them_are_no_black_holes),
		cmocka_unit_test(what_passes_with_a_forged_source_is_found),
		cmocka_unit_test(broadcasts_that_go_round_and_switches_that_are_silent_are_found),
		cmocka_unit_test(a_step_judges_no_more_packets_than_it_has_time_for),
		cmocka_unit_test(a_step_follows_no_more_packets_than_it_was_given),
		cmocka_unit_test(of_both_families_1_0_gets_what_it_can_say),
		cmocka_unit_test(a_limit_of_an_ip6_address_is_kept_where_its_host_is),
		cmocka_unit_test(hosts_are_spread_over_equal_ways_and_move_only_when_theirs_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
