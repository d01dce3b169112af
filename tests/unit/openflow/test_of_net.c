// SPDX-License-Identifier: Apache-2.0
// Boxes as matches, sets of entries, topologies and probes, each against something slower and simpler.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/lldp.h"
#include "control/of_lower.h"
#include "control/of_rules.h"
#include "control/topo.h"
#include "of_random.h"
#include "tests/rounds.h"

static void seed(void)
{
	rnd_state = seed_from_env(11);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
}

// --- boxes as matches

static bool match_covers_packet(const struct of_match *m, const struct match_packet *p)
{
	uint16_t eth_type = p->kind & MATCH_KINDS_V4 ? 0x0800 : p->kind & MATCH_KINDS_V6 ? 0x86dd : 0x1234;
	uint16_t vlan = p->f[MATCH_VLAN] == 0 ? OF_VLAN_NONE : (uint16_t)p->f[MATCH_VLAN];

	if ((m->has & OF_HAS_ETH_TYPE) && m->eth_type != eth_type)
		return false;
	if ((m->has & OF_HAS_VLAN) && m->vlan != vlan)
		return false;
	if ((m->has & OF_HAS_IP_PROTO) && m->ip_proto != p->f[MATCH_PROTO])
		return false;
	if ((m->has & OF_HAS_IP4_SRC) && (((uint32_t)(p->src >> 96) ^ m->ip4_src) & m->ip4_src_mask) != 0)
		return false;
	if ((m->has & OF_HAS_IP4_DST) && (((uint32_t)(p->dst >> 96) ^ m->ip4_dst) & m->ip4_dst_mask) != 0)
		return false;
	if ((m->has & OF_HAS_L4_SRC) && ((p->f[MATCH_SRC_PORT] ^ m->l4_src) & m->l4_src_mask) != 0)
		return false;
	return !(m->has & OF_HAS_L4_DST) || ((p->f[MATCH_DST_PORT] ^ m->l4_dst) & m->l4_dst_mask) == 0;
}

static struct span random_span(uint32_t below)
{
	uint32_t a = rnd(below), b = rnd(below);

	return (struct span){a < b ? a : b, a < b ? b : a};
}

static struct box random_box(void)
{
	static const uint32_t kinds[] = {MATCH_KINDS_ALL, MATCH_KINDS_V4, MATCH_IP4PORTS, MATCH_KINDS_PORTS};
	struct box b = box_any();

	b.kinds = kinds[rnd(4)];
	if (b.kinds == MATCH_KINDS_V4 || b.kinds == MATCH_IP4PORTS) {
		b.src = match_ip4_prefix(0x0a000000 | rnd(16), 28 + rnd(5));
		if (rnd(2) == 0)
			b.dst = (struct span128){match_ip4(0x0a000001), match_ip4_prefix(0x0a000001 + rnd(14), 32).hi};
	}
	if (b.kinds & ~MATCH_KINDS_PORTS)
		return b;
	if (rnd(2) == 0)
		b.f[MATCH_PROTO] = (struct span){6, rnd(2) == 0 ? 6 : 17};
	if (rnd(2) == 0)
		b.f[MATCH_DST_PORT] = random_span(64);
	if (rnd(4) == 0)
		b.f[MATCH_SRC_PORT] = random_span(16);
	if (rnd(4) == 0)
		b.f[MATCH_VLAN] = (struct span){0, rnd(3)};
	return b;
}

static struct match_packet random_packet(void)
{
	static const uint32_t kinds[] = {MATCH_NONIP, MATCH_IP4, MATCH_IP4PORTS, MATCH_IP4PORTS, MATCH_IP6PORTS};
	static const uint8_t protos[] = {6, 17, 132};
	struct match_packet p = {.kind = kinds[rnd(5)]};

	p.f[MATCH_PROTO] = p.kind & MATCH_KINDS_PORTS ? protos[rnd(3)] : 1;
	if (p.kind & MATCH_KINDS_V4) {
		p.src = match_ip4(0x0a000000 | rnd(20));
		p.dst = match_ip4(0x0a000000 | rnd(20));
	}
	if (p.kind & MATCH_KINDS_PORTS) {
		p.f[MATCH_SRC_PORT] = rnd(20);
		p.f[MATCH_DST_PORT] = rnd(70);
	}
	p.f[MATCH_VLAN] = rnd(4);
	return p;
}

static void the_matches_of_a_box_hold_its_packets_and_no_others(void **state)
{
	static struct of_match matches[2048];
	unsigned int checked = 0;
	struct err err;

	seed();
	for (unsigned int i = 0; i < rounds_from_env(3000); i++) {
		struct box b = random_box();
		int n;

		if (!box_normalize(&b))
			continue;
		n = of_lower_box(&b, rnd(3) == 0 ? OF_VERSION_10 : OF_VERSION_13, matches, 2048, &err);
		if (n < 0) // 1.0 has no IPv6 and no ranges
			continue;
		for (int k = 0; k < 40; k++) {
			struct match_packet p = random_packet();
			bool covered = false;

			for (int m = 0; m < n; m++)
				covered |= match_covers_packet(&matches[m], &p);
			if (covered != box_covers(&b, &p))
				fail_msg("round %u: the box says %d, its %d matches %d", i, !covered, n, covered);
			checked++;
		}
	}
	assert_true(checked > 1000);
}

static void what_no_match_can_say_is_refused(void **state)
{
	struct of_match matches[8];
	struct box b = box_any();
	struct err err;

	b.kinds = MATCH_NONIP;
	assert_int_equal(of_lower_box(&b, OF_VERSION_13, matches, 8, &err), -ENOTSUP);
	b = box_any();
	b.kinds = MATCH_IP4PORTS;
	b.f[MATCH_DST_PORT] = (struct span){1, 65534};
	assert_true(box_normalize(&b));
	assert_int_equal(of_lower_box(&b, OF_VERSION_13, matches, 8, &err), -E2BIG);
	assert_int_equal(of_lower_box(&b, OF_VERSION_10, matches, 8, &err), -E2BIG);
}

// --- differences of sets of entries

struct applied {
	struct of_rules rules;
	bool deleting;
};

static void apply(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct applied *a = ctx;

	if (change == OF_RULE_DELETE) {
		uint32_t i = 0;

		a->deleting = true;
		while (memcmp(&a->rules.rules[i].match, &rule->match, sizeof(rule->match)) != 0 ||
		       a->rules.rules[i].priority != rule->priority)
			i++;
		a->rules.rules[i] = a->rules.rules[--a->rules.n];
		return;
	}
	assert_false(a->deleting); // new ones come first
	for (uint32_t i = 0; i < a->rules.n; i++) {
		if (memcmp(&a->rules.rules[i].match, &rule->match, sizeof(rule->match)) == 0 &&
		    a->rules.rules[i].priority == rule->priority) {
			assert_int_equal(change, OF_RULE_MODIFY);
			a->rules.rules[i] = *rule;
			return;
		}
	}
	assert_int_equal(change, OF_RULE_ADD);
	assert_int_equal(of_rules_add(&a->rules, rule), 0);
}

static void random_rules(struct of_rules *r)
{
	of_rules_init(r);
	for (unsigned int i = rnd(30); i > 0; i--) {
		struct of_rule rule;

		memset(&rule, 0, sizeof(rule));
		rule.priority = (uint16_t)rnd(4);
		rule.match.has = OF_HAS_IN_PORT;
		rule.match.in_port = rnd(8);
		rule.instructions.goto_table = OF_TABLE_ALL;
		rule.instructions.n_actions = 1;
		rule.instructions.actions[0].port = rnd(3);
		assert_int_equal(of_rules_add(r, &rule), 0);
	}
	assert_int_equal(of_rules_sort(r), 0);
}

// Of the room for actions only what is used is said.
static void assert_same(const struct of_rule *x, const struct of_rule *y)
{
	const struct of_instructions *i = &x->instructions, *k = &y->instructions;

	assert_memory_equal(&x->match, &y->match, sizeof(x->match));
	assert_true(x->cookie == y->cookie && x->priority == y->priority && x->table == y->table);
	assert_true(i->meter == k->meter && i->goto_table == k->goto_table && i->write == k->write);
	assert_int_equal(i->n_actions, k->n_actions);
	assert_memory_equal(i->actions, k->actions, i->n_actions * sizeof(i->actions[0]));
	assert_true(x->ends_ns == y->ends_ns && x->leave_ns == y->leave_ns && x->hops == y->hops &&
		    x->flood == y->flood);
}

static void a_difference_applied_gives_what_is_wanted(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(2000); i++) {
		struct of_rules have, want;
		struct applied a = {0};

		random_rules(&have);
		random_rules(&want);
		for (uint32_t k = 0; k < have.n; k++)
			of_rules_add(&a.rules, &have.rules[k]);
		of_rules_diff(&have, &want, apply, &a);
		assert_int_equal(of_rules_sort(&a.rules), 0);
		assert_int_equal(a.rules.n, want.n);
		for (uint32_t k = 0; k < want.n; k++)
			assert_same(&a.rules.rules[k], &want.rules[k]);
		of_rules_fini(&have);
		of_rules_fini(&want);
		of_rules_fini(&a.rules);
	}
}

// --- topologies

#define N 9

static void random_topology(struct topo *t, bool linked[N][N])
{
	topo_init(t, 16);
	memset(linked, 0, sizeof(bool[N][N]));
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(topo_switch(t, 100 - i), i);
	for (uint32_t i = 0; i < N; i++) {
		topo_switch_up(t, i, true);
		for (uint32_t port = 1; port <= N; port++)
			topo_port_set(t, i, port, true, 0, 0);
	}
	for (uint32_t a = 0; a < N; a++) {
		for (uint32_t b = a + 1; b < N; b++) {
			uint32_t both = rnd(8);

			if (both > 3)
				continue;
			topo_probe(t, a, b + 1, b, a + 1, 0);
			if (both == 3)
				continue; // seen one way only: no link
			topo_probe(t, b, a + 1, a, b + 1, 0);
			linked[a][b] = linked[b][a] = true;
		}
	}
}

// Floyd and Warshall.
static void distances(bool linked[N][N], unsigned int d[N][N])
{
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++)
			d[i][k] = i == k ? 0 : linked[i][k] ? 1 : 1000;
	}
	for (int m = 0; m < N; m++) {
		for (int i = 0; i < N; i++) {
			for (int k = 0; k < N; k++)
				d[i][k] = d[i][m] + d[m][k] < d[i][k] ? d[i][m] + d[m][k] : d[i][k];
		}
	}
}

struct kept {
	bool ports[N][N + 1];
};

static bool is_kept(void *ctx, uint32_t sw, uint32_t port)
{
	const struct kept *k = ctx;

	return k->ports[sw][port];
}

static unsigned int n_parts_of(unsigned int d[N][N])
{
	unsigned int n = 0;

	for (uint32_t to = 0; to < N; to++) {
		bool first = true;

		for (uint32_t sw = 0; sw < to; sw++)
			first &= d[sw][to] >= 1000;
		n += first;
	}
	return n;
}

static void distances_are_shortest(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(500); i++) {
		unsigned int d[N][N];
		uint16_t dist[N];
		uint32_t tree[N];
		bool linked[N][N];
		struct topo t;

		random_topology(&t, linked);
		assert_int_equal(topo_tree(&t, NULL, NULL, tree), 0);
		distances(linked, d);
		for (uint32_t to = 0; to < N; to++) {
			assert_int_equal(topo_distances(&t, tree, to, dist), 0);
			for (uint32_t sw = 0; sw < N; sw++)
				assert_int_equal(dist[sw], d[sw][to] >= 1000 ? TOPO_FAR : d[sw][to]);
		}
		topo_fini(&t);
	}
}

// With as many links as a forest has, and all ends of them agreeing: no loop. The links of a tree that was there stay.
static void trees_reach_all_without_a_loop_and_keep_what_they_can(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(500); i++) {
		unsigned int d[N][N], n_edges = 0;
		struct kept kept = {0};
		uint32_t tree[N], peer, peer_port;
		bool linked[N][N];
		struct topo t;

		random_topology(&t, linked);
		for (int turn = 0; turn < 2; turn++) { // the second time some links of the tree are gone
			struct kept now = {0};

			distances(linked, d);
			n_edges = 0;
			assert_int_equal(topo_tree(&t, turn == 0 ? NULL : is_kept, &kept, tree), 0);
			for (uint32_t sw = 0; sw < N; sw++) {
				for (uint32_t port = 1; port <= N; port++) {
					bool on = topo_on_tree(&t, tree, sw, port);

					n_edges += on;
					now.ports[sw][port] = on;
					if (!topo_link(&t, sw, port, &peer, &peer_port))
						continue;
					assert_int_equal(topo_on_tree(&t, tree, peer, peer_port), on);
					assert_true(on || !kept.ports[sw][port] || !kept.ports[peer][peer_port]);
				}
			}
			assert_int_equal(n_edges / 2, N - n_parts_of(d));
			kept = now;
			for (uint32_t a = 0; a < N; a++) {
				for (uint32_t b = a + 1; b < N; b++) {
					if (linked[a][b] && rnd(4) == 0) {
						topo_port_set(&t, a, b + 1, false, 0, 0);
						linked[a][b] = linked[b][a] = false;
					}
				}
			}
		}
		topo_fini(&t);
	}
}

static void a_host_is_learnt_at_the_edge_and_forgotten_with_its_port(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct topo_host was;
	struct topo t;

	topo_init(&t, 1);
	topo_switch(&t, 1);
	topo_switch(&t, 2);
	for (uint32_t sw = 0; sw < 2; sw++) {
		topo_switch_up(&t, sw, true);
		topo_port_set(&t, sw, 1, true, 0, 0);
		topo_port_set(&t, sw, 2, true, 0, 0);
	}
	topo_probe(&t, 0, 2, 1, 2, 0);
	assert_int_equal(topo_host_seen(&t, mac, 0, 2, 1, NULL), -EINVAL);
	assert_int_equal(topo_host_seen(&t, mac, 0, 1, 1, &was), 1);
	assert_int_equal(was.sw, TOPO_NONE);
	assert_int_equal(topo_host_seen(&t, mac, 0, 1, 1, NULL), 0);
	assert_int_equal(topo_host_seen(&t, mac, 1, 1, 1, &was), 1);
	assert_int_equal(was.sw, 0);
	assert_int_equal(topo_host_seen(&t, (const uint8_t[6]){2, 0, 0, 0, 0, 2}, 1, 1, 1, NULL), -ENOSPC);
	topo_port_set(&t, 1, 1, false, 0, 2);
	assert_null(topo_host(&t, mac));
	topo_fini(&t);
}

// Against an array by number that says where each is.
static void hosts_are_found_where_they_were_seen_last(void **state)
{
	enum { HOSTS = 150, PORTS = 6 };
	uint32_t at[HOSTS] = {0}; // port, 0: nowhere
	struct topo t;

	seed();
	topo_init(&t, HOSTS);
	topo_switch(&t, 1);
	topo_switch_up(&t, 0, true);
	for (uint32_t port = 1; port <= PORTS; port++)
		topo_port_set(&t, 0, port, true, 0, 0);
	for (unsigned int i = 0; i < rounds_from_env(20000); i++) {
		uint32_t h = rnd(HOSTS), port = 1 + rnd(PORTS), n = 0;
		uint8_t mac[6] = {2, 0, 0, 0, (uint8_t)(h * 7), (uint8_t)h};

		if (rnd(500) == 0) {
			topo_port_set(&t, 0, port, false, 0, 0);
			topo_port_set(&t, 0, port, true, 0, 0);
			for (h = 0; h < HOSTS; h++)
				at[h] = at[h] == port ? 0 : at[h];
		} else {
			assert_int_equal(topo_host_seen(&t, mac, 0, port, i, NULL), at[h] != port);
			at[h] = port;
		}
		for (h = 0; h < HOSTS; h++) {
			const uint8_t each[6] = {2, 0, 0, 0, (uint8_t)(h * 7), (uint8_t)h};
			const struct topo_host *found = topo_host(&t, each);

			assert_int_equal(found == NULL ? 0 : found->port, at[h]);
			n += at[h] != 0;
		}
		assert_int_equal(t.n_hosts, n);
	}
	topo_fini(&t);
}

static void a_port_is_an_edge_only_after_it_has_settled(void **state)
{
	struct topo t;

	topo_init(&t, 1);
	topo_switch(&t, 1);
	topo_switch_up(&t, 0, true);
	topo_port_set(&t, 0, 1, true, 0, 5);
	assert_false(topo_is_edge(topo_port(&t, 0, 1), 5 + TOPO_SETTLE_NS - 1));
	assert_true(topo_is_edge(topo_port(&t, 0, 1), 5 + TOPO_SETTLE_NS));
	topo_fini(&t);
}

static void links_not_heard_of_go(void **state)
{
	struct topo t;
	uint32_t peer, port;

	topo_init(&t, 1);
	for (uint32_t sw = 0; sw < 2; sw++) {
		topo_switch(&t, sw + 1);
		topo_switch_up(&t, sw, true);
		topo_port_set(&t, sw, 1, true, 0, 0);
	}
	topo_probe(&t, 0, 1, 1, 1, 0);
	assert_false(topo_link(&t, 0, 1, &peer, &port));
	topo_probe(&t, 1, 1, 0, 1, 10);
	assert_true(topo_link(&t, 0, 1, &peer, &port));
	assert_false(topo_age(&t, TOPO_LINK_AGE_NS - 1));
	assert_true(topo_age(&t, TOPO_LINK_AGE_NS));
	assert_false(topo_link(&t, 0, 1, &peer, &port));
	topo_fini(&t);
}

// --- probes

static void a_probe_is_read_back_and_a_forged_one_is_not(void **state)
{
	static const uint8_t key[LLDP_KEY_BYTES] = {1, 2, 3}, other[LLDP_KEY_BYTES] = {1, 2, 4};
	const struct lldp_probe probe = {.dpid = 0x1122334455667788ULL, .port = 7, .round = 99};
	uint8_t frame[LLDP_FRAME_MAX];
	struct lldp_probe back;
	size_t n = lldp_make(&probe, (const uint8_t[6]){2, 0, 0, 0, 0, 9}, key,
			     rnd(2) == 0 ? LLDP_ETH_TYPE : LLDP_THROUGH_TYPE, frame);

	assert_int_equal(lldp_read(frame, n, key, &back), 0);
	assert_int_equal(back.dpid, probe.dpid);
	assert_int_equal(back.port, 7);
	assert_int_equal(back.round, 99);
	assert_int_equal(lldp_read(frame, n, other, &back), -EBADMSG);
	for (size_t cut = 0; cut < n - 2; cut++)
		assert_true(lldp_read(frame, cut, key, &back) < 0);
	for (size_t at = 42; at < n - 2; at++) { // of our TLV
		frame[at] ^= 1;
		assert_true(lldp_read(frame, n, key, &back) < 0);
		frame[at] ^= 1;
	}
}

static uint32_t longest_chain(const struct topo *t)
{
	uint32_t longest = 0;

	for (uint32_t slot = 0; slot < t->cap_hosts; slot++) {
		uint32_t n = 0;

		for (uint32_t i = t->slots[slot]; i != 0; i = t->hosts[i - 1].next)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

// They are of one slot by a number that anybody can read here, and not by another.
static void addresses_that_were_chosen_are_found_as_soon_as_others(void **state)
{
	struct topo known, salted;
	uint32_t n = 0;

	topo_init(&known, 1024);
	topo_init(&salted, 1024);
	salted.salt = UINT64_C(0x2545f4914f6cdd1d);
	for (int i = 0; i < 2; i++) {
		struct topo *t = i == 0 ? &known : &salted;

		topo_switch_up(t, topo_switch(t, 1), true);
		topo_port_set(t, 0, 1, true, 0, 0);
	}
	for (uint64_t mac = UINT64_C(0x020000000000); n < 1000; mac++) {
		uint8_t bytes[6];

		if ((mac * known.salt >> 32 & 1023) != 0)
			continue;
		for (int i = 0; i < 6; i++)
			bytes[i] = (uint8_t)(mac >> (40 - 8 * i));
		assert_int_equal(topo_host_seen(&known, bytes, 0, 1, 1, NULL), 1);
		assert_int_equal(topo_host_seen(&salted, bytes, 0, 1, 1, NULL), 1);
		n++;
	}
	assert_int_equal(longest_chain(&known), 1000);
	assert_true(longest_chain(&salted) < 30);
	topo_fini(&known);
	topo_fini(&salted);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_that_were_chosen_are_found_as_soon_as_others),
		cmocka_unit_test(the_matches_of_a_box_hold_its_packets_and_no_others),
		cmocka_unit_test(what_no_match_can_say_is_refused),
		cmocka_unit_test(a_difference_applied_gives_what_is_wanted),
		cmocka_unit_test(distances_are_shortest),
		cmocka_unit_test(trees_reach_all_without_a_loop_and_keep_what_they_can),
		cmocka_unit_test(a_host_is_learnt_at_the_edge_and_forgotten_with_its_port),
		cmocka_unit_test(hosts_are_found_where_they_were_seen_last),
		cmocka_unit_test(a_port_is_an_edge_only_after_it_has_settled),
		cmocka_unit_test(links_not_heard_of_go),
		cmocka_unit_test(a_probe_is_read_back_and_a_forged_one_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
