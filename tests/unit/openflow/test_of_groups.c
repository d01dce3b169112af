// SPDX-License-Identifier: Apache-2.0
// Groups of equal ways: which are planned, against shortest paths by Floyd and Warshall.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "of_random.h"
#include "tests/rounds.h"

#define N 7
#define HOSTS 2 // of each switch, at ports 1 and 2
#define NOW TOPO_SETTLE_NS
#define PORT_TO(k, twin) (10 + 2 * (k) + (twin))

static void seed(void)
{
	rnd_state = seed_from_env(31);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
}

struct net {
	unsigned int links[N][N]; // 0, 1 or 2 between two switches; by number, as the ports
	uint32_t idx[N];          // of switch number i, in the topology
	struct topo topo;
	struct of_policy policy;
	struct of_rules rules[N]; // by number
	struct of_groups groups[N];
	uint8_t version, n_tables;
	uint32_t groups_max;
};

static void mac_of(uint32_t sw, uint32_t host, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){2, 0, 0, 0, (uint8_t)sw, (uint8_t)(host + 1)}, 6);
}

static void random_links(struct net *net)
{
	memset(net->links, 0, sizeof(net->links));
	for (uint32_t a = 0; a < N; a++) {
		for (uint32_t b = 0; b < a; b++)
			net->links[a][b] = net->links[b][a] = rnd(5) < 3 ? 0 : 1 + rnd(5) / 4;
	}
}

// Switches, ports and links in the order that they happen to be found in.
static void find(struct net *net)
{
	uint32_t order[N];

	topo_init(&net->topo, N * HOSTS);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t at = rnd(i + 1);

		order[i] = order[at];
		order[at] = i;
	}
	for (uint32_t i = 0; i < N; i++) {
		uint32_t n_ports = PORT_TO(N, 0), first = rnd(n_ports), sw = order[i];

		net->idx[sw] = topo_switch(&net->topo, 100 + sw);
		topo_switch_up(&net->topo, net->idx[sw], true);
		for (uint32_t k = 0; k < n_ports; k++)
			topo_port_set(&net->topo, net->idx[sw], 1 + (first + k) % n_ports, true, 0, 0);
	}
	for (uint32_t a = 0; a < N; a++) {
		for (uint32_t b = 0; b < N; b++) {
			for (uint32_t k = 0; k < net->links[a][b]; k++)
				topo_probe(&net->topo, net->idx[a], PORT_TO(b, k), net->idx[b], PORT_TO(a, k), NOW);
		}
	}
	for (uint32_t i = 0; i < N * HOSTS; i++) {
		uint8_t mac[6];

		mac_of(order[i % N], i / N, mac);
		assert_int_equal(topo_host_seen(&net->topo, mac, net->idx[order[i % N]], 1 + i / N, NOW, NULL), 1);
	}
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
		.policy = &net->policy,
		.now_ns = NOW,
		.policy_ns = NOW,
		.version = net->version,
		.n_tables = net->n_tables,
		.groups_max = net->groups_max,
	};

	assert_int_equal(topo_tree(&net->topo, NULL, NULL, tree), 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(topo_distances(&net->topo, tree, i, dists[i]), 0);
		dist[i] = dists[i];
	}
	for (uint32_t i = 0; i < N; i++) {
		struct of_plan_stats stats;
		struct of_meters meters;

		of_meters_init(&meters);
		of_rules_init(&net->rules[i]);
		of_groups_init(&net->groups[i]);
		assert_int_equal(of_plan(&in, net->idx[i], &net->rules[i], &meters, &net->groups[i], &stats), 0);
		of_meters_fini(&meters);
	}
}

static void net_init(struct net *net)
{
	*net = (struct net){.version = OF_VERSION_13, .n_tables = 254, .groups_max = UINT32_MAX};
	of_policy_init(&net->policy);
}

static void net_fini(struct net *net)
{
	for (uint32_t i = 0; i < N; i++) {
		of_rules_fini(&net->rules[i]);
		of_groups_fini(&net->groups[i]);
	}
	topo_fini(&net->topo);
}

// What the switch does with frames to a host; NULL: no entry.
static const struct of_action *action_to(const struct net *net, uint32_t sw, uint32_t at, uint32_t host)
{
	uint8_t mac[6];

	mac_of(at, host, mac);
	for (uint32_t i = 0; i < net->rules[sw].n; i++) {
		const struct of_rule *r = &net->rules[sw].rules[i];

		if (r->match.has == OF_HAS_ETH_DST && memcmp(r->match.eth_dst, mac, 6) == 0) {
			assert_int_equal(r->instructions.n_actions, 1);
			return &r->instructions.actions[0];
		}
	}
	return NULL;
}

static void distances(const struct net *net, unsigned int d[N][N])
{
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++)
			d[i][k] = i == k ? 0 : net->links[i][k] > 0 ? 1 : 1000;
	}
	for (int m = 0; m < N; m++) {
		for (int i = 0; i < N; i++) {
			for (int k = 0; k < N; k++)
				d[i][k] = d[i][m] + d[m][k] < d[i][k] ? d[i][m] + d[m][k] : d[i][k];
		}
	}
}

// The bit of each port of the switch that is on a shortest way.
static uint32_t nearest_ports(const struct net *net, unsigned int d[N][N], uint32_t sw, uint32_t to)
{
	uint32_t ports = 0;

	for (uint32_t k = 0; k < N && sw != to; k++) {
		for (uint32_t twin = 0; twin < net->links[sw][k] && d[k][to] + 1 == d[sw][to]; twin++)
			ports |= 1U << PORT_TO(k, twin);
	}
	return ports;
}

// Of the buckets; each port has as many.
static uint32_t bucket_ports(const struct of_group_mod *g)
{
	unsigned int n_of[32] = {0}, most = 0;
	uint32_t ports = 0;

	assert_int_equal(g->type, OF_GROUP_SELECT);
	for (int i = 0; i < g->n_buckets; i++) {
		const struct of_bucket *b = &g->buckets[i];

		assert_int_equal(b->n_actions, 1);
		assert_int_equal(b->actions[0].type, OF_ACT_OUTPUT);
		assert_int_equal(b->actions[0].port, b->watch_port);
		assert_true(b->watch_port < 32);
		ports |= 1U << b->watch_port;
		n_of[b->watch_port]++;
		most = n_of[b->watch_port] > most ? n_of[b->watch_port] : most;
	}
	for (int i = 0; i < 32; i++)
		assert_true(n_of[i] == 0 || n_of[i] == most);
	return ports;
}

static void equal_ports_are_a_group_that_destinations_share(void **state)
{
	unsigned int n_groups = 0;

	seed();
	for (unsigned int i = 0; i < rounds_from_env(200); i++) {
		unsigned int d[N][N];
		struct net net;

		net_init(&net);
		random_links(&net);
		find(&net);
		plan(&net);
		distances(&net, d);
		for (uint32_t sw = 0; sw < N; sw++) {
			uint32_t sets[N], n_sets = 0;

			for (uint32_t to = 0; to < N; to++) {
				uint32_t ports = nearest_ports(&net, d, sw, to), k = 0;

				for (uint32_t host = 0; host < HOSTS && sw != to; host++) {
					const struct of_action *a = action_to(&net, sw, to, host);
					const struct of_group *g;

					assert_true((a != NULL) == (ports != 0));
					if (a == NULL)
						continue;
					if ((ports & (ports - 1)) == 0) {
						assert_int_equal(a->type, OF_ACT_OUTPUT);
						assert_int_equal(1U << a->port, ports);
						continue;
					}
					assert_int_equal(a->type, OF_ACT_GROUP);
					assert_true(of_plan_is_group(a->group));
					g = of_groups_find(&net.groups[sw], a->group);
					assert_non_null(g);
					assert_int_equal(bucket_ports(&g->what), ports);
				}
				while (k < n_sets && sets[k] != ports)
					k++;
				if (k == n_sets && (ports & (ports - 1)) != 0)
					sets[n_sets++] = ports;
			}
			assert_int_equal(net.groups[sw].n, n_sets);
			n_groups += n_sets;
		}
		net_fini(&net);
	}
	assert_true(n_groups > 2 * rounds_from_env(200));
}

static void assert_same_plan(const struct net *a, const struct net *b)
{
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(a->groups[i].n, b->groups[i].n);
		for (uint32_t k = 0; k < a->groups[i].n; k++) {
			assert_int_equal(a->groups[i].groups[k].what.group, b->groups[i].groups[k].what.group);
			assert_true(of_group_same(&a->groups[i].groups[k].what, &b->groups[i].groups[k].what));
		}
		for (uint32_t to = 0; to < N; to++) {
			for (uint32_t host = 0; host < HOSTS; host++) {
				const struct of_action *x = action_to(a, i, to, host), *y = action_to(b, i, to, host);

				assert_true((x == NULL) == (y == NULL));
				assert_true(x == NULL || of_action_same(x, y));
			}
		}
	}
}

// As in the next life of the controller.
static void groups_are_the_same_in_whichever_order_all_is_found(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(100); i++) {
		struct net a, b;

		net_init(&a);
		a.groups_max = rnd(3) == 0 ? rnd(4) : UINT32_MAX;
		random_links(&a);
		b = a;
		find(&a);
		find(&b);
		plan(&a);
		plan(&b);
		assert_same_plan(&a, &b);
		net_fini(&a);
		net_fini(&b);
	}
	(void)state;
}

static void more_groups_than_a_switch_can_have_are_not_asked_of_it(void **state)
{
	unsigned int n_single = 0;

	seed();
	for (unsigned int i = 0; i < rounds_from_env(100); i++) {
		unsigned int d[N][N];
		struct net net;

		net_init(&net);
		switch (rnd(3)) {
		case 0:
			net.groups_max = rnd(2);
			break;
		case 1:
			net.version = OF_VERSION_10;
			break;
		default:
			net.n_tables = 1;
		}
		random_links(&net);
		find(&net);
		plan(&net);
		distances(&net, d);
		for (uint32_t sw = 0; sw < N; sw++) {
			assert_true(net.groups[sw].n <= (net.n_tables == 1 ? 0 : net.groups_max));
			for (uint32_t to = 0; to < N; to++) {
				const struct of_action *a = sw == to ? NULL : action_to(&net, sw, to, 0);
				uint32_t ports = nearest_ports(&net, d, sw, to);

				if (a == NULL || a->type != OF_ACT_OUTPUT)
					continue;
				assert_true(ports & 1U << a->port);
				n_single += (ports & (ports - 1)) != 0;
			}
		}
		net_fini(&net);
	}
	assert_true(n_single > rounds_from_env(100));
	(void)state;
}

// Two ways from 0 to 3, by 1 and 2; a bridge is in one of their links.
static void a_link_through_a_bridge_takes_no_part(void **state)
{
	for (unsigned int bridge = 0; bridge < 3; bridge++) {
		struct net net;

		net_init(&net);
		for (uint32_t mid = 1; mid < 3; mid++)
			net.links[0][mid] = net.links[mid][0] = net.links[3][mid] = net.links[mid][3] = 1;
		find(&net);
		if (bridge > 0)
			topo_port_share(&net.topo, net.idx[0], PORT_TO(bridge, 0), NOW);
		plan(&net);
		assert_int_equal(net.groups[0].n, bridge == 0);
		assert_int_equal(action_to(&net, 0, 3, 0)->type, bridge == 0 ? OF_ACT_GROUP : OF_ACT_OUTPUT);
		net_fini(&net);
	}
	(void)state;
}

static void groups_added_in_any_order_are_sorted_once_and_have_an_end(void **state)
{
	struct of_groups added, set;
	struct of_group_mod g;
	uint32_t id = 1;

	memset(&g, 0, sizeof(g));
	of_groups_init(&added);
	of_groups_init(&set);
	for (uint32_t i = 0; i < OF_GROUPS_MAX; i++) {
		id = id * 1664525 + 1013904223;
		g.group = id >> 22; // some twice
		g.type = (uint8_t)(i % 4);
		assert_int_equal(of_groups_add(&added, &g), 0);
		assert_int_equal(of_groups_set(&set, &g), 0);
	}
	assert_int_equal(of_groups_add(&added, &g), -E2BIG);
	assert_int_equal(of_groups_sort(&added), 0);
	assert_int_equal(added.n, set.n);
	for (uint32_t i = 0; i < set.n; i++) {
		assert_int_equal(added.groups[i].what.group, set.groups[i].what.group);
		assert_int_equal(added.groups[i].what.type, set.groups[i].what.type);
	}
	assert_int_equal(of_groups_add(&added, &g), 0);
	of_groups_fini(&added);
	of_groups_fini(&set);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_ports_are_a_group_that_destinations_share),
		cmocka_unit_test(groups_are_the_same_in_whichever_order_all_is_found),
		cmocka_unit_test(more_groups_than_a_switch_can_have_are_not_asked_of_it),
		cmocka_unit_test(groups_added_in_any_order_are_sorted_once_and_have_an_end),
		cmocka_unit_test(a_link_through_a_bridge_takes_no_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
