// SPDX-License-Identifier: Apache-2.0
// What the controller makes of what hosts say: which address one has, also after its port was down and after a restart.
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

static void up(int n_switches)
{
	const struct of_net_conf conf = {.hosts_max = 64};

	played_net_init(&net, n_switches, OF_VERSION_13, &conf);
	played_net_start(&net);
	played_net_run(&net, 5 * SECOND);
	for (int i = 0; i < n_switches; i++)
		played_net_say(&net, i);
	played_net_run(&net, SECOND);
	assert_int_equal(played_net_stats(&net).n_hosts, n_switches);
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
	const uint8_t f[60] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, HOST + 1, 8, 0, 0x45};
	uint8_t packet[60];

	memcpy(packet, f, sizeof(f));
	memcpy(packet + 26, (const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 9}, 8);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_several_addresses_a_host_keeps_the_one_it_has_while_it_says_so),
		cmocka_unit_test(a_host_whose_port_was_down_has_its_address_with_its_first_packet),
		cmocka_unit_test(a_restart_changes_nothing_though_a_host_says_its_other_address_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
