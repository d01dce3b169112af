// SPDX-License-Identifier: Apache-2.0
// Updates under way: random networks of played switches that keep what they are told, each following in its own time.
// After every single entry that some switch has taken over, packets between all hosts are followed through all tables:
// none circles, none gets through a denial, and none is lost as long as the links carry it. In some of the networks the
// dataplane is a node, too: a bridge, which learns from all that passes, and has a host.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/rounds.h"
#include "update_fixture.h"

static bool is_connected_without(const struct net *n, uint32_t a, uint32_t b)
{
	uint32_t reached = 1, before = 0;

	while (reached != before) {
		before = reached;
		for (uint32_t i = 0; i < n->n_nodes; i++) {
			for (uint32_t k = 0; k < n->n_nodes; k++) {
				if ((reached & 1U << i) && n->linked[i][k] && !(i == a && k == b) &&
				    !(i == b && k == a))
					reached |= 1U << k;
			}
		}
	}
	return reached == (1U << n->n_nodes) - 1;
}

// A link that probes do not pass any more, while frames do; later they pass again.
static void lose_and_find_a_link(struct net *n)
{
	for (int tries = 0; tries < 20; tries++) {
		uint32_t a = rnd(N), b = rnd(N);

		if (!n->linked[a][b] || !is_connected_without(n, a, b))
			continue;
		n->linked[a][b] = n->linked[b][a] = false;
		n->lossless = false; // floods stop for the blink between two steps
		n->what = "a link being lost";
		turns(n, 20 * SECOND);
		n->lossless = true;
		n->what = "a link being found";
		check(n);
		n->linked[a][b] = n->linked[b][a] = true;
		turns(n, 6 * SECOND);
		return;
	}
}

// A cable to the bridge is pulled, and put back; each side notices it for itself, or the bridge does not.
static void lose_and_find_a_cable_to_the_bridge(struct net *n)
{
	bool both = rnd(2) == 0;
	uint32_t a = rnd(N);

	if (!n->linked[a][N] || !is_connected_without(n, a, N))
		return;
	n->linked[a][N] = n->linked[N][a] = false;
	n->lossless = false;
	n->what = "a cable being pulled";
	topo_port_set(&n->real, a, TOWARDS(N), false, 0, n->now_ns);
	topo_port_set(&n->real, N, TOWARDS(a), !both, 0, n->now_ns);
	played_port_status(&n->peers[a].played, 2, TOWARDS(N), OF_PORT_LINK_DOWN);
	turns(n, 20 * SECOND);
	n->lossless = true;
	n->what = "without the cable";
	check(n);
	n->linked[a][N] = n->linked[N][a] = true;
	topo_port_set(&n->real, a, TOWARDS(N), true, 0, n->now_ns);
	topo_port_set(&n->real, N, TOWARDS(a), true, 0, n->now_ns);
	wire(n, a, N);
	n->lossless = false;
	n->what = "a cable being put back";
	played_port_status(&n->peers[a].played, 2, TOWARDS(N), 0);
	turns(n, 6 * SECOND);
	n->lossless = true;
	check(n);
}

static void move_a_host(struct net *n)
{
	uint32_t host = rnd(3) == 0 ? rnd(N) : 0;

	n->what = "a host moving";
	n->lossless = false;
	n->at[host] = (n->at[host] + 1 + rnd(n->n_nodes - 1)) % n->n_nodes;
	check(n);
	say(n, host);
	turns(n, SECOND);
	n->lossless = true;
	check(n);
}

// Others go on to send to it.
static void lose_and_find_a_host(struct net *n)
{
	uint32_t host = rnd(N);
	struct played *at = &n->peers[n->at[host]].played;

	n->what = "a host going";
	n->known[host] = false;
	played_port_status(at, 2, n->port[host], OF_PORT_LINK_DOWN);
	turns(n, SECOND);
	n->what = "a host coming";
	played_port_status(at, 2, n->port[host], 0);
	turns(n, 2 * SECOND);
	say(n, host);
	turns(n, SECOND);
	n->known[host] = true;
	check(n);
}

// It is told again and again, and what hosts send confirms it.
static void what_the_bridge_has_forgotten_it_is_told_of_hosts_that_are_silent(void **state)
{
	static struct net n;
	uint32_t port;

	rnd_state = 6;
	for (unsigned int i = 0; i < rounds_from_env(5); i++) {
		net_up(&n, false, true, true);
		played_bridge_forget(&n.bridge);
		turns(&n, 65 * SECOND);
		for (uint8_t host = 0; host < N; host++)
			assert_true(
				of_bridge_find(&n.bridge.learnt, (const uint8_t[]){2, 0, 0, 0, 0, host + 1}, &port));
		n.n_moved = 0;
		check(&n);
		assert_int_equal(n.n_moved, 0);
		net_down(&n);
	}
	(void)state;
}

static void updates(bool mixed, bool with_groups, bool bridged, unsigned int n_rounds)
{
	static struct net n;
	unsigned int n_checks = 0, n_spread = 0;

	rnd_state = seed_from_env(5);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
	for (unsigned int i = 0; i < n_rounds; i++) {
		net_up(&n, mixed, with_groups, bridged);
		if (rnd(2) == 0) {
			n.lossless = false;
			deny(&n);
			turns(&n, SECOND / 10);
			n.lossless = n.denies = true;
			check(&n);
		}
		for (int k = 0; k < 3; k++) {
			uint32_t event = rnd(n.denies ? 3 : 4); // it is moves that a denial has to follow

			if (event == 0)
				lose_and_find_a_host(&n);
			else if (event == 1)
				move_a_host(&n);
			else if (bridged && rnd(2) == 0)
				lose_and_find_a_cable_to_the_bridge(&n);
			else
				lose_and_find_a_link(&n);
		}
		n_checks += n.n_checks;
		n_spread += n.n_spread;
		assert_true(with_groups || n.n_groups == 0);
		net_down(&n);
	}
	print_message("%u packets, %u with several ways\n", n_checks, n_spread);
	assert_true(n_checks > 1000 * n_rounds);
	assert_true((n_spread > 20 * n_rounds) == with_groups);
}

static void no_packet_circles_is_lost_or_passes_a_denial_in_an_update(void **state)
{
	updates(false, false, false, rounds_from_env(8));
	(void)state;
}

static void nor_where_groups_spread_flows(void **state)
{
	updates(false, true, false, rounds_from_env(10));
	(void)state;
}

static void nor_with_switches_of_one_table_among_them(void **state)
{
	updates(true, true, false, rounds_from_env(20));
	(void)state;
}

static void nor_with_a_bridge_that_learns_among_them(void **state)
{
	updates(false, true, true, rounds_from_env(10));
	updates(true, true, true, rounds_from_env(6));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_packet_circles_is_lost_or_passes_a_denial_in_an_update),
		cmocka_unit_test(nor_where_groups_spread_flows),
		cmocka_unit_test(nor_with_switches_of_one_table_among_them),
		cmocka_unit_test(nor_with_a_bridge_that_learns_among_them),
		cmocka_unit_test(what_the_bridge_has_forgotten_it_is_told_of_hosts_that_are_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
