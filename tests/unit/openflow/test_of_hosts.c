// SPDX-License-Identifier: Apache-2.0
// What the controller makes of what hosts say: which address one has, also after its port was down and after a restart;
// and that it has an end, however many there are, or say so, and however often ports come and go.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "played_net.h"

#define SECOND PLAYED_NET_SECOND
#define HOST 0 // at switch 0

static struct played_net net;

static void up_with(int n_switches, uint32_t port_hosts_max)
{
	const struct of_net_conf conf = {.hosts_max = 4096, .port_hosts_max = port_hosts_max};

	played_net_init(&net, n_switches, OF_VERSION_13, &conf);
	played_net_start(&net);
	played_net_run(&net, 5 * SECOND);
	for (int i = 0; i < n_switches; i++)
		played_net_say(&net, i);
	played_net_run(&net, SECOND);
	assert_int_equal(played_net_stats(&net).n_hosts, n_switches);
}

static void up(int n_switches)
{
	up_with(n_switches, 0);
}

static void says(uint8_t ip) // HOST by ARP, that it has 10.0.0.ip
{
	const uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, HOST + 1, 8,  6, 0, 1,
			       8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, HOST + 1, 10, 0, 0, ip};

	played_packet_in(&net.peers[HOST].played, PLAYED_NET_HOST_PORT, f, sizeof(f));
	played_net_turn(&net);
}

static const struct topo_host *host(void)
{
	return topo_host(of_net_topo(net.of), (const uint8_t[]){2, 0, 0, 0, 0, HOST + 1});
}

// --- which address a host has

static void of_several_addresses_a_host_keeps_the_one_it_has_while_it_says_so(void **state)
{
	uint64_t mods;

	up(2);
	says(5);
	mods = played_net_stats(&net).flow_mods;
	for (int i = 0; i < 5; i++) {
		says(1);
		says(5);
		assert_int_equal(host()->ip4, 0x0a000001);
		played_net_run(&net, 30 * SECOND);
	}
	assert_int_equal(played_net_stats(&net).flow_mods, mods);
	played_net_run(&net, 31 * SECOND); // it did not say the first one for a minute
	says(5);
	assert_int_equal(host()->ip4, 0x0a000005);
	played_net_fini(&net);
	(void)state;
}

static void a_host_whose_port_was_down_has_its_address_with_its_first_packet(void **state)
{
	uint8_t packet[64] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, HOST + 1, 8, 0, 0x45};

	memcpy(packet + 26, (const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 9}, 8);
	for (int ip6 = 0; ip6 < 2; ip6++) {
		if (ip6) {
			memset(packet + 12, 0, sizeof(packet) - 12);
			memcpy(packet + 12, (const uint8_t[]){0x86, 0xdd, 0x60}, 3);
			memcpy(packet + 22, (const uint8_t[]){0xfd, [15] = 1}, 16);
		}
		up(2);
		played_port_status(&net.peers[HOST].played, 2, PLAYED_NET_HOST_PORT, OF_PORT_LINK_DOWN);
		played_net_run(&net, SECOND);
		assert_null(host());
		played_port_status(&net.peers[HOST].played, 2, PLAYED_NET_HOST_PORT, 0);
		played_net_run(&net, 3 * SECOND);
		played_packet_in(&net.peers[HOST].played, PLAYED_NET_HOST_PORT, packet, sizeof(packet));
		played_net_turn(&net);
		assert_non_null(host());
		assert_int_equal(host()->ip4, 0x0a000001);
		played_net_fini(&net);
	}
	(void)state;
}

static int n_mods;

static void count_mod(struct played_net *n, int peer, const struct of_flow_mod *mod)
{
	n_mods++;
	(void)n;
	(void)peer;
	(void)mod;
}

static void a_restart_changes_nothing_though_a_host_says_its_other_address_first(void **state)
{
	up(2);
	says(5);
	played_net_run(&net, SECOND);
	played_net_kill(&net);
	n_mods = 0;
	net.on_mod = count_mod;
	played_net_start(&net);
	played_net_run(&net, 2 * SECOND);
	says(5); // before entries are looked at
	played_net_run(&net, 5 * SECOND);
	assert_int_equal(host()->ip4, 0x0a000001);
	assert_int_equal(n_mods, 0);
	played_net_fini(&net);
	(void)state;
}

static void a_host_that_says_it_has_all_addresses_is_heard_of_some(void **state)
{
	const struct played_want deny = {1, 199, -1, PLAYED_DENY, 0, INT64_MAX};
	uint32_t n = 0;

	up(2);
	played_net_policy(&net, &deny, 1);
	for (int i = 2; i < 255; i++)
		says((uint8_t)i);
	for (uint32_t i = 0; i < 256; i++)
		n += addrs_first(of_net_addrs(net.of), match_ip4(0x0a000000 + i), false) != NULL;
	assert_int_equal(n, 32 + 1); // and the one that a request is about: 10.0.0.200
	assert_non_null(addrs_first(of_net_addrs(net.of), match_ip4(0x0a0000c8), false));
	played_net_fini(&net);
	(void)state;
}

// --- hosts without end

// Host number i of many: 02:00:00:01:xx:xx, 10.1.x.x, at switch `peer`. It says what it says before a turn is made.
static void another_says(int i, int peer)
{
	uint8_t hi = (uint8_t)(i >> 8), lo = (uint8_t)i;
	const uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 1, hi, lo, 8,  6, 0,  1,
			       8,    0,    6,    4,    0,    1,    2, 0, 0, 1, hi, lo, 10, 1, hi, lo};

	played_packet_in(&net.peers[peer].played, PLAYED_NET_HOST_PORT, f, sizeof(f));
}

static bool is_known(int i)
{
	return topo_host(of_net_topo(net.of), (const uint8_t[]){2, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i}) != NULL;
}

static uint32_t n_at(int peer)
{
	uint32_t sw = topo_find_switch(of_net_topo(net.of), (uint64_t)peer + 1);

	return topo_port(of_net_topo(net.of), sw, PLAYED_NET_HOST_PORT)->n_hosts;
}

static void a_port_has_so_many_hosts_and_others_are_not_concerned(void **state)
{
	struct of_net_stats before;

	up_with(3, 100);
	says(1); // again
	before = played_net_stats(&net);
	for (int i = 0; i < 3000; i++) {
		another_says(i, 0);
		if (i % 100 == 99) {
			net.now_ns += SECOND / 10;
			played_net_turn(&net);
		}
	}
	assert_int_equal(n_at(0), 100);
	assert_int_equal(played_net_stats(&net).hosts_refused - before.hosts_refused, 3000 - 99);
	assert_non_null(host());
	another_says(3001, 1);
	played_net_turn(&net);
	assert_true(is_known(3001) && !is_known(2999));
	assert_int_equal(n_at(1), 2);
	played_net_fini(&net);
	(void)state;
}

static void a_full_port_is_told_once_and_takes_new_hosts_for_silent_ones(void **state)
{
	up_with(2, 100);
	net.counted = "no more are learnt there";
	played_net_run(&net, SECOND);
	says(1);
	for (int i = 0; i < 500; i++) {
		another_says(i, 0);
		played_net_turn(&net);
	}
	assert_int_equal(net.n_counted, 1);
	played_net_run(&net, 30 * SECOND);
	for (int i = 0; i < 50; i++)
		another_says(i, 0); // again
	played_net_run(&net, 30 * SECOND);
	another_says(700, 0);
	played_net_turn(&net);
	assert_true(is_known(700) && is_known(49) && !is_known(50));
	assert_non_null(host()); // heard of again when it came up
	assert_int_equal(n_at(0), 52);
	played_net_fini(&net);
	(void)state;
}

static void a_host_that_moves_to_a_full_port_is_known_nowhere(void **state)
{
	up_with(2, 100);
	played_net_run(&net, SECOND);
	another_says(700, 1);
	played_net_turn(&net);
	assert_true(is_known(700));
	for (int i = 0; i < 100; i++) {
		another_says(i, 0);
		played_net_turn(&net);
	}
	assert_int_equal(n_at(0), 100);
	another_says(700, 0);
	played_net_turn(&net);
	assert_false(is_known(700));
	assert_int_equal(n_at(0), 100);
	another_says(700, 1); // back again
	played_net_turn(&net);
	assert_true(is_known(700));
	played_net_fini(&net);
	(void)state;
}

static void who_is_heard_of_once_is_forgotten_and_nobody_else(void **state)
{
	const struct played_want reserve = {7, 0, 1, PLAYED_RESERVE, 1000000, INT64_MAX};

	up(3); // each said it once
	played_net_policy(&net, &reserve, 1);
	another_says(1, 2);
	played_net_run(&net, 2 * SECOND);
	another_says(1, 2);
	another_says(2, 2);
	played_net_run(&net, 320 * SECOND);
	assert_true(is_known(1) && !is_known(2));
	assert_int_equal(played_net_stats(&net).n_hosts, 3); // two of them end a circuit
	played_net_fini(&net);
	(void)state;
}

static int64_t took_ns;

static void note_took(struct played_net *n)
{
	of_net_took(n->of, took_ns);
}

// Hosts that are new every 5 ms, for 3 s.
static uint64_t plans_of_a_flood(int64_t each_ns)
{
	uint64_t before;

	up_with(3, 0);
	net.between = note_took;
	took_ns = each_ns;
	played_net_run(&net, 10 * SECOND);
	before = played_net_stats(&net).plans;
	for (int i = 0; i < 600; i++) {
		another_says(i, 0);
		played_net_turn(&net);
		net.now_ns += SECOND / 200;
	}
	before = played_net_stats(&net).plans - before;
	played_net_run(&net, SECOND);
	assert_true(is_known(599));
	assert_int_equal(played_net_stats(&net).n_synced, 3);
	for (int i = 0; i < 3; i++) { // each has the way to the last one
		bool found = false;

		for (uint32_t k = 0; k < net.peers[i].rules.n; k++)
			found |= net.peers[i].rules.rules[k].table == OF_PLAN_FORWARD &&
				 memcmp(net.peers[i].rules.rules[k].match.eth_dst,
					(const uint8_t[]){2, 0, 0, 1, 599 >> 8, 599 & 255}, 6) == 0;
		assert_true(found);
	}
	played_net_fini(&net);
	return before;
}

static void hosts_without_end_are_planned_for_now_and_then(void **state)
{
	uint64_t n = plans_of_a_flood(0);

	assert_in_range(n, 100, 32 + 150 + 20); // once in 20 ms after the first 32; some are for other things
	n = plans_of_a_flood(10 * SECOND / 1000);
	assert_in_range(n, 32, 32 + 34 + 20); // 10 ms each, so once in 90 ms
	(void)state;
}

static void the_policy_does_not_wait_for_a_flood(void **state)
{
	const struct played_want deny = {1, 1, -1, PLAYED_DENY, 0, INT64_MAX};

	up_with(2, 0);
	for (int i = 0; i < 200; i++) { // at one instant
		another_says(i, 0);
		played_net_turn(&net);
	}
	assert_true(played_net_stats(&net).plans < 100);
	played_net_policy(&net, &deny, 1);
	played_net_turn(&net);
	assert_int_equal(played_net_stats(&net).n_synced, 2);
	for (uint32_t k = 0; k <= net.peers[1].rules.n; k++) {
		const struct of_rule *r = &net.peers[1].rules.rules[k];

		assert_true(k < net.peers[1].rules.n);
		if (r->table == OF_PLAN_POLICY && r->match.ip4_src == 0x0a000002 && r->instructions.n_actions == 0 &&
		    r->instructions.goto_table == OF_TABLE_ALL)
			break;
	}
	played_net_fini(&net);
	(void)state;
}

// --- ports that come and go without end

static void ports_that_flap_are_followed_now_and_then_and_others_at_once(void **state)
{
	struct of_net_stats before;
	uint64_t probes;

	up(4); // a line
	net.counted = "its ports change";
	played_net_run(&net, 10 * SECOND);
	before = played_net_stats(&net);
	probes = net.peers[3].played.n_probes;
	for (int i = 0; i < 5000; i++) { // 500 a second
		played_port_status(&net.peers[0].played, 2, PLAYED_NET_HOST_PORT, i % 2 == 0 ? OF_PORT_LINK_DOWN : 0);
		played_net_turn(&net);
		net.now_ns += SECOND / 500;
		if (i == 4000) { // a link elsewhere is cut
			played_port_status(&net.peers[2].played, 2, played_net_port(3), OF_PORT_LINK_DOWN);
			played_net_turn(&net);
			assert_int_equal(played_net_stats(&net).n_links, 4);
			assert_int_equal(played_net_stats(&net).n_synced, 4);
		}
	}
	assert_true(played_net_stats(&net).flaps - before.flaps > 4000);
	assert_true(played_net_stats(&net).plans - before.plans < 1000); // of 5,000
	assert_int_equal(net.n_counted, 1);
	assert_true(net.peers[3].played.n_probes - probes < 200); // of its port that no link is at
	played_port_status(&net.peers[0].played, 2, PLAYED_NET_HOST_PORT, 0);
	played_net_run(&net, 3 * SECOND);
	played_net_say(&net, HOST);
	played_net_run(&net, SECOND);
	assert_non_null(host());
	assert_int_equal(played_net_stats(&net).n_synced, 4);
	played_net_fini(&net);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_several_addresses_a_host_keeps_the_one_it_has_while_it_says_so),
		cmocka_unit_test(a_host_whose_port_was_down_has_its_address_with_its_first_packet),
		cmocka_unit_test(a_restart_changes_nothing_though_a_host_says_its_other_address_first),
		cmocka_unit_test(a_host_that_says_it_has_all_addresses_is_heard_of_some),
		cmocka_unit_test(a_port_has_so_many_hosts_and_others_are_not_concerned),
		cmocka_unit_test(a_full_port_is_told_once_and_takes_new_hosts_for_silent_ones),
		cmocka_unit_test(a_host_that_moves_to_a_full_port_is_known_nowhere),
		cmocka_unit_test(who_is_heard_of_once_is_forgotten_and_nobody_else),
		cmocka_unit_test(hosts_without_end_are_planned_for_now_and_then),
		cmocka_unit_test(the_policy_does_not_wait_for_a_flood),
		cmocka_unit_test(ports_that_flap_are_followed_now_and_then_and_others_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
