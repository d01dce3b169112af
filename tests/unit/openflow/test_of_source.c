// SPDX-License-Identifier: Apache-2.0
// Where denials of one source lie: at the switch that the source comes in by, and nowhere else; wherever else it might
// come in a watch holds what comes from it until the controller knows. After every entry that a switch takes over each
// has one or the other.
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
#define SWITCHES 4 // in a line, with a host each
#define ALL ((1U << SWITCHES) - 1)
#define NOBODY 9 // an address that no host has
#define DENY(id, verb, from) \
	{ \
		id, from, -1, verb, 0, INT64_MAX \
	}

struct kind {
	bool ip6;
	int verb;
};

static const struct kind kinds[] = {{false, PLAYED_DENY}, {true, PLAYED_DENY_FROM6}};
static struct played_net net;

static const char *guarded; // the rule that is tested; NULL: denials may not be in place yet
static bool guarded_ip6;
static int guarded_host;

// --- frames and entries

static void ip6_of(int host, uint8_t *out)
{
	memset(out, 0, 16);
	out[0] = 0xfd;
	out[15] = (uint8_t)(host + 1);
}

// A packet from the address of host `as`, from host `host`, which is at the switch `peer`.
static void send_ip(bool ip6, int as, int host, int peer)
{
	uint8_t f[64] = {2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, (uint8_t)(host + 1), 8, 0, 0x45};

	f[23] = 17;
	memcpy(f + 26, (const uint8_t[]){10, 0, 0, (uint8_t)(as + 1), 10, 0, 0, 99}, 8);
	if (ip6) {
		memset(f + 12, 0, sizeof(f) - 12);
		memcpy(f + 12, (const uint8_t[]){0x86, 0xdd, 0x60}, 3);
		f[20] = 17;
		f[21] = 64;
		ip6_of(as, f + 22);
		ip6_of(98, f + 38);
	}
	played_packet_in(&net.peers[peer].played, PLAYED_NET_HOST_PORT, f, sizeof(f));
	played_net_turn(&net);
}

// Host `host`, at the switch `peer`, says that it has the address of host `as`.
static void say(bool ip6, int as, int host, int peer)
{
	uint8_t f[14 + 64] = {
		[0] = 0x33, [1] = 0x33, [6] = 2, [11] = (uint8_t)(host + 1), [12] = 0x86, [13] = 0xdd, [14] = 0x60};
	uint8_t arp[60] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, (uint8_t)(host + 1), 8,  6, 0, 1,
		8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, (uint8_t)(host + 1), 10, 0, 0, (uint8_t)(as + 1)};

	f[20] = 58;
	f[21] = 255;
	f[54] = 136;
	ip6_of(as, f + 62);
	played_packet_in(&net.peers[peer].played, PLAYED_NET_HOST_PORT, ip6 ? f : arp, ip6 ? sizeof(f) : sizeof(arp));
	played_net_turn(&net);
}

static bool is_about(const struct of_match *m, bool ip6, int host)
{
	uint8_t ip[16];

	ip6_of(host, ip);
	if (ip6)
		return (m->has & OF_HAS_IP6_SRC) != 0 && memcmp(m->ip6_src, ip, 16) == 0;
	return m->eth_type == 0x0800 && (m->has & OF_HAS_IP4_SRC) != 0 && m->ip4_src == 0x0a000001 + (uint32_t)host;
}

// The switches that drop what comes from the address of the host, or hand it to the controller: a bit each.
static unsigned int at(bool ip6, int host, bool watches)
{
	unsigned int all = 0;

	for (int i = 0; i < net.n; i++) {
		for (uint32_t k = 0; k < net.peers[i].rules.n; k++) {
			const struct of_rule *r = &net.peers[i].rules.rules[k];

			if (r->table != OF_PLAN_POLICY || !is_about(&r->match, ip6, host))
				continue;
			assert_int_equal(r->instructions.goto_table, OF_TABLE_ALL);
			if (r->instructions.n_actions == (watches ? 1 : 0))
				all |= 1U << i;
			if (watches && r->instructions.n_actions == 1)
				assert_int_equal(r->instructions.actions[0].port, OF_PORT_CONTROLLER);
		}
	}
	return all;
}

static void check_at(bool ip6, int host, unsigned int denied, unsigned int watched)
{
	assert_int_equal(at(ip6, host, false), denied);
	assert_int_equal(at(ip6, host, true), watched);
}

static void on_mod(struct played_net *n, int peer, const struct of_flow_mod *mod)
{
	if (guarded != NULL && (at(guarded_ip6, guarded_host, false) | at(guarded_ip6, guarded_host, true)) != ALL)
		fail_msg("%s: switch %d lets a denied source pass for a moment", guarded, peer);
	(void)n;
	(void)mod;
}

static void guard(const char *what, bool ip6, int host)
{
	guarded = what;
	guarded_ip6 = ip6;
	guarded_host = host;
}

// --- the network

static void say_all(bool with_ip6)
{
	for (int i = 0; i < net.n; i++) {
		say(false, i, i, i);
		if (with_ip6)
			say(true, i, i, i);
	}
}

static void up_with(uint32_t hosts_max, bool with_ip6)
{
	const struct of_net_conf conf = {.hosts_max = hosts_max};

	guarded = NULL;
	played_net_init(&net, SWITCHES, OF_VERSION_13, &conf);
	net.on_mod = on_mod;
	played_net_start(&net);
	played_net_run(&net, 3 * SECOND);
	say_all(with_ip6);
	played_net_run(&net, SECOND);
}

static void down(void)
{
	guarded = NULL;
	played_net_fini(&net);
}

static uint64_t mods_of_a_restart(const struct played_want *wants, int n_wants)
{
	uint64_t n = 0;

	played_net_kill(&net);
	for (int i = 0; i < net.n; i++)
		net.peers[i].played.n_flow_mods = 0;
	played_net_start(&net);
	played_net_policy(&net, wants, n_wants);
	played_net_run(&net, 6 * SECOND);
	for (int i = 0; i < net.n; i++)
		n += net.peers[i].played.n_flow_mods;
	return n;
}

// --- tests

static void a_denial_lies_at_its_sources_edge_only_and_follows_the_host(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, 0)};

		up_with(64, true);
		played_net_policy(&net, deny, 1);
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1, ALL & ~1U);
		guard("a host that moves", ip6, 0);
		say(ip6, 0, 0, 2); // says so
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 4, ALL & ~4U);
		send_ip(ip6, 0, 0, 3); // or just sends
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 8, ALL & ~8U);
		guarded = NULL;
		played_net_policy(&net, NULL, 0);
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 0, 0);
		down();
	}
	(void)state;
}

static void denials_of_two_hosts_lie_at_each_ones_edge(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, 0), DENY(2, kinds[k].verb, 2)};

		up_with(64, true);
		played_net_policy(&net, deny, 2);
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1, ALL & ~1U);
		check_at(ip6, 2, 4, ALL & ~4U);
		guard("two hosts", ip6, 2);
		say(ip6, 2, 2, 0); // to where the other one is
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1, ALL & ~1U);
		check_at(ip6, 2, 1, ALL & ~1U);
		down();
	}
	(void)state;
}

static void a_denial_of_an_address_nobody_has_lies_everywhere_until_somebody_has_it(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, NOBODY)};

		up_with(64, true);
		played_net_policy(&net, deny, 1);
		played_net_run(&net, SECOND);
		check_at(ip6, NOBODY, ALL, 0);
		guard("an address that is heard of", ip6, NOBODY);
		say(ip6, NOBODY, 1, 1);
		played_net_run(&net, SECOND);
		check_at(ip6, NOBODY, 2, ALL & ~2U);
		played_port_status(&net.peers[1].played, 2, PLAYED_NET_HOST_PORT, OF_PORT_LINK_DOWN);
		played_net_run(&net, SECOND);
		check_at(ip6, NOBODY, ALL, 0);
		down();
	}
	(void)state;
}

static void who_sends_from_anothers_address_is_held_and_then_denied_what_that_is(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, 0)};

		up_with(64, true);
		played_net_policy(&net, deny, 1);
		played_net_run(&net, SECOND);
		guard("a forged source", ip6, 0);
		send_ip(ip6, 0, 2, 2); // the watch hands it over
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1 | 4, ALL & ~5U);
		send_ip(ip6, 0, 2, 3); // goes elsewhere with it
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1 | 8, ALL & ~9U);
		send_ip(ip6, NOBODY, 2, 3); // what nobody denies is not looked at
		played_net_run(&net, SECOND);
		check_at(ip6, NOBODY, 0, 0);
		guarded = NULL;
		played_net_policy(&net, NULL, 0);
		played_net_run(&net, SECOND);
		played_net_policy(&net, deny, 1); // it is forgotten with the denial
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1, ALL & ~1U);
		down();
	}
	(void)state;
}

static void an_address_that_another_host_takes_over_is_denied_there(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, 0)};

		up_with(64, true);
		played_net_policy(&net, deny, 1);
		played_net_run(&net, SECOND);
		guard("an address that changes hands", ip6, 0);
		say(ip6, 0, 3, 3); // who is right is not known
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1 | 8, ALL & ~9U);
		played_net_run(&net, ADDRS_FRESH_NS);
		say(ip6, 0, 3, 3); // the first one has not said so since
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 8, ALL & ~8U);
		send_ip(ip6, 0, 0, 0); // but still has it
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1 | 8, ALL & ~9U);
		down();
	}
	(void)state;
}

static void a_restart_finds_where_denials_lie_and_says_nothing(void **state)
{
	for (int k = 0; k < 2; k++) {
		bool ip6 = kinds[k].ip6;
		const struct played_want deny[] = {DENY(1, kinds[k].verb, 0), DENY(2, kinds[k].verb, 1)};

		up_with(64, true);
		say(false, 50, 1, 1); // not its last IPv4 address
		played_net_policy(&net, deny, 2);
		played_net_run(&net, SECOND);
		send_ip(ip6, 0, 2, 2);
		played_net_run(&net, SECOND);
		check_at(ip6, 0, 1 | 4, ALL & ~5U);
		check_at(ip6, 1, 2, ALL & ~2U);
		guard("a restart", ip6, 0);
		assert_int_equal(mods_of_a_restart(deny, 2), 0);
		check_at(ip6, 0, 1 | 4, ALL & ~5U);
		check_at(ip6, 1, 2, ALL & ~2U);
		down();
	}
	(void)state;
}

static uint32_t n_policy(int peer) // entries of rows and watches
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < net.peers[peer].rules.n; k++) {
		const struct of_rule *r = &net.peers[peer].rules.rules[k];

		n += r->table == OF_PLAN_POLICY && (r->match.has & (OF_HAS_IP4_SRC | OF_HAS_IP6_SRC)) != 0;
	}
	return n;
}

static void an_address_costs_one_entry_elsewhere_however_many_rows_are_about_it(void **state)
{
	struct played_want deny[20];

	for (int i = 0; i < 20; i++)
		deny[i] = (struct played_want)DENY((uint64_t)i + 1, PLAYED_DENY, i % 2);
	for (int i = 0; i < 20; i++)
		deny[i].to = 100 + i;
	up_with(64, false);
	played_net_policy(&net, deny, 20);
	played_net_run(&net, SECOND);
	assert_int_equal(n_policy(0), 10 + 1);
	assert_int_equal(n_policy(1), 10 + 1);
	assert_int_equal(n_policy(2), 2);
	assert_int_equal(n_policy(3), 2);
	down();
	(void)state;
}

static void where_there_is_no_room_for_one_more_it_stays_held(void **state)
{
	struct played_want deny[8];

	for (int i = 0; i < 8; i++)
		deny[i] = (struct played_want)DENY((uint64_t)i + 1, PLAYED_DENY, 0);
	for (int i = 1; i < 8; i++)
		deny[i].from = 20 + i;
	up_with(SWITCHES, false);
	played_net_policy(&net, deny, 8);
	played_net_run(&net, SECOND);
	guard("no room", false, 27);
	for (int i = 1; i < 8; i++)
		send_ip(false, 20 + i, 1, 1); // seen at switch 1
	played_net_run(&net, SECOND);
	for (int i = 1; i < 8; i++) {
		if (i <= SWITCHES)
			check_at(false, 20 + i, 2, ALL & ~2U);
		else
			check_at(false, 20 + i, ALL, 0);
	}
	guard("no room", false, 0);
	send_ip(false, 0, 1, 1);
	played_net_run(&net, SECOND);
	check_at(false, 0, 1, ALL & ~1U);
	down();
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_denial_lies_at_its_sources_edge_only_and_follows_the_host),
		cmocka_unit_test(denials_of_two_hosts_lie_at_each_ones_edge),
		cmocka_unit_test(a_denial_of_an_address_nobody_has_lies_everywhere_until_somebody_has_it),
		cmocka_unit_test(who_sends_from_anothers_address_is_held_and_then_denied_what_that_is),
		cmocka_unit_test(an_address_that_another_host_takes_over_is_denied_there),
		cmocka_unit_test(a_restart_finds_where_denials_lie_and_says_nothing),
		cmocka_unit_test(an_address_costs_one_entry_elsewhere_however_many_rows_are_about_it),
		cmocka_unit_test(where_there_is_no_room_for_one_more_it_stays_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
