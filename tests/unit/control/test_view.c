// SPDX-License-Identifier: Apache-2.0
// What a share's view leaves out is not told, in any answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

// alice: all views in hers; bob: only traffic in his; carol: query = False; dave speaks for nothing.
static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));
	const struct nib_port port = {.port = 3, .up = true, .name = "p1", .device = "null", .rate_bps = 1000000};
	struct nib_seen seen = {.mac = 0x020000000001, .port = 3, .has_ip = true, .ip = match_ip4(0x0a000001)};

	talk_init(t, true);
	nib_port_set(t->nib, &port);
	nib_host_add(t->nib, "h1", "10.0.0.1", NULL);
	nib_host_add(t->nib, "h2", "10.0.0.2", NULL);
	nib_seen_set(t->nib, &seen);
	say(t, "root", "AddUser alice.");
	say(t, "root", "AddUser bob.");
	say(t, "root", "AddUser carol.");
	say(t, "root", "AddUser dave.");
	say(t, "root", "NewShare hers for (dstPort=1-99) [reserve <= 10] on rootShare.");
	say(t, "root", "NewShare his for (dstPort=1-99) [reserve <= 10 view = {traffic}] on rootShare.");
	say(t, "root", "NewShare mute for (dstPort=1-99) [reserve <= 10 query = False] on rootShare.");
	say(t, "root", "Grant hers to alice.");
	say(t, "root", "Grant his to bob.");
	say(t, "root", "Grant mute to carol.");
	say(t, "root", "reserve(dstPort=1) = 4 on hers.");
	say(t, "root", "reserve(dstPort=2) = 4 on his.");
	say(t, "root", "reserve(dstPort=3) = 4 on mute.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static void each_query_needs_its_view(void **state)
{
	static const struct {
		const char *statement;
		enum reply_code alice, bob, carol, dave;
	} cases[] = {
		{"ports.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"links.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"hosts.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"hosts behind p1.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"hosts behind p9.", REPLY_BAD_VALUE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"where 10.0.0.1.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"queues.", REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"TrafficBetween 10.0.0.1 h2.", REPLY_OK, REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"explain(dstPort=1).", REPLY_OK, REPLY_OK, REPLY_NO_PRIVILEGE, REPLY_NO_PRIVILEGE},
		{"GetSchedule hers.", REPLY_OK, REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL},
		{"GetSchedule his.", REPLY_NOT_PRINCIPAL, REPLY_NO_PRIVILEGE, REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL},
		{"GetSchedule mute.", REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL, REPLY_NO_PRIVILEGE,
		 REPLY_NOT_PRINCIPAL},
		{"traffic(*) on his.", REPLY_NOT_PRINCIPAL, REPLY_OK, REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL},
		{"traffic(*) on mute.", REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL, REPLY_NO_PRIVILEGE,
		 REPLY_NOT_PRINCIPAL},
		{"ListRequests mute.", REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL, REPLY_NO_PRIVILEGE,
		 REPLY_NOT_PRINCIPAL},
		{"traffic(dstPort=100) on hers.", REPLY_NOT_CONTAINED, REPLY_NOT_PRINCIPAL, REPLY_NOT_PRINCIPAL,
		 REPLY_NOT_PRINCIPAL},
	};
	struct talk *t = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].statement;
		enum reply_code got[] = {say(t, "alice", text), say(t, "bob", text), say(t, "carol", text),
					 say(t, "dave", text)};

		if (got[0] != cases[i].alice || got[1] != cases[i].bob || got[2] != cases[i].carol ||
		    got[3] != cases[i].dave)
			fail_msg("%s: %s, %s, %s, %s", text, reply_code_name(got[0]), reply_code_name(got[1]),
				 reply_code_name(got[2]), reply_code_name(got[3]));
		assert_int_not_equal(say(t, "root", text), REPLY_NO_PRIVILEGE);
	}
}

static void nobody_sees_requests_of_shares_beside_the_own(void **state)
{
	struct talk *t = *state;

	say(t, "alice", "ListRequests.");
	assert_string_equal(t->classic, "1; 1");
	say(t, "bob", "ListRequests.");
	assert_string_equal(t->classic, "1; 2");
	say(t, "carol", "ListRequests.");
	assert_string_equal(t->classic, "0");
	say(t, "root", "ListRequests.");
	assert_string_equal(t->classic, "3; 1; 2; 3");
	say(t, "alice", "queues.");
	assert_string_equal(t->classic, "3; p1 1000000 0 0 0 0; 1 reserve hers 4000000 0 0 0; share hers 1 4000000 0");
}

static void what_is_reserved_is_schedule(void **state)
{
	struct talk *t = *state;
	const json_t *details;

	say(t, "bob", "ListShares.");
	details = json_array_get(json_object_get(t->reply.body, "shares"), 0);
	assert_true(json_is_null(json_object_get(details, "reserved")));
	say(t, "alice", "ListShares.");
	details = json_array_get(json_object_get(t->reply.body, "shares"), 0);
	assert_int_equal(json_integer_value(json_object_get(details, "reserved")), 4000000);
	assert_int_equal(say(t, "bob", "reserve(dstPort=2) = 7 on his."), REPLY_SCHEDULE_FULL);
	assert_null(strstr(talk_why(t), "6 Mb"));
	assert_string_equal(talk_text(t, "share"), "his");
	assert_int_equal(say(t, "alice", "reserve(dstPort=2) = 7 on hers."), REPLY_SCHEDULE_FULL);
	assert_non_null(strstr(talk_why(t), "6 Mb"));
}

static void a_wider_view_above_shows_what_the_own_share_hides(void **state)
{
	struct talk *t = *state;

	say(t, "root", "Grant rootShare to bob.");
	assert_int_equal(say(t, "bob", "GetSchedule his."), REPLY_OK);
	assert_int_equal(say(t, "bob", "ListRequests mute."), REPLY_OK);
}

static void hosts_are_those_seen_and_those_named(void **state)
{
	struct talk *t = *state;

	say(t, "root", "Bind alice to 10.0.0.1.");
	assert_int_equal(say(t, "root", "where h1."), REPLY_OK);
	assert_string_equal(t->classic, "1; 10.0.0.1 h1 p1 02:00:00:00:00:01 alice");
	say(t, "root", "hosts behind p1.");
	assert_string_equal(t->classic, "1; 10.0.0.1 h1 p1 02:00:00:00:00:01 alice");
	say(t, "root", "hosts.");
	assert_string_equal(t->classic, "2; 10.0.0.1 h1 p1 02:00:00:00:00:01 alice; 10.0.0.2 h2 - - -");
	assert_int_equal(say(t, "root", "where 10.0.0.9."), REPLY_OK);
	assert_string_equal(t->classic, "0");
	nib_seen_forget(t->nib, 0x020000000001, 0);
	say(t, "root", "hosts behind p1.");
	assert_string_equal(t->classic, "0");
	assert_int_equal(say(t, "root", "where h7."), REPLY_UNKNOWN_HOST);
	assert_int_equal(say(t, "root", "TrafficBetween 10.0.0.1 2001:db8::1."), REPLY_FAMILY_MIX);
}

// Two switches with a link seen both ways, one more seen one way; three hosts, two of which claim one address.
static void the_network_of_switches_is_told(void **state)
{
	static const uint8_t mac[3][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}};
	struct talk *t = *state;
	struct addrs addrs;
	struct topo topo;
	struct nib_net net = {&topo, &addrs, 100};

	topo_init(&topo, 10);
	addrs_init(&addrs, 10);
	for (uint32_t sw = 0; sw < 2; sw++) {
		topo_switch_up(&topo, topo_switch(&topo, sw + 1), true);
		for (uint32_t port = 1; port < 5; port++) {
			char name[] = {'s', (char)('1' + sw), '-', (char)('0' + port), '\0'};

			topo_port_set(&topo, sw, port, true, 10000000000, 0);
			topo_port_name(&topo, sw, port, name);
		}
	}
	topo_probe(&topo, 0, 1, 1, 2, 5);
	topo_probe(&topo, 1, 2, 0, 1, 5);
	topo_probe(&topo, 1, 1, 0, 2, 5);
	topo_host_seen(&topo, mac[0], 0, 3, 5, NULL);
	topo_host_seen(&topo, mac[1], 1, 3, 5, NULL);
	topo_host_seen(&topo, mac[2], 1, 3, 5, NULL);
	addrs_set(&addrs, match_ip4(0x0a000002), false, mac[0], ADDR_ARP, 6)->contest_ns = 7;
	addrs_set(&addrs, match_ip4(0x0a000002), false, mac[1], ADDR_DHCP, 6)->contest_ns = 7;
	addrs_set(&addrs, match_ip4(0x0a000005), false, (const uint8_t[6]){2}, ADDR_ARP, 6); // of one that is gone
	nib_net_set(t->nib, &net);

	say(t, "root", "links.");
	assert_string_equal(t->classic, "2; 0000000000000001 s1-1 0000000000000002 s2-2 10000000000 both-ways; "
					"0000000000000002 s2-1 0000000000000001 s1-2 10000000000 one-way");
	say(t, "root", "where h2.");
	assert_string_equal(t->classic, "2; 10.0.0.2 h2 0000000000000002/s2-3 02:00:00:00:00:02 - contested; "
					"10.0.0.2 h2 0000000000000001/s1-3 02:00:00:00:00:01 - contested");
	say(t, "root", "hosts behind s2-3.");
	assert_string_equal(t->classic, "2; 10.0.0.2 h2 0000000000000002/s2-3 02:00:00:00:00:02 - contested; "
					"- - 0000000000000002/s2-3 02:00:00:00:00:03 -");
	say(t, "root", "hosts behind 0000000000000001.");
	assert_string_equal(t->classic, "1; 10.0.0.2 h2 0000000000000001/s1-3 02:00:00:00:00:01 - contested");
	assert_int_equal(say(t, "root", "hosts behind s9."), REPLY_BAD_VALUE);
	say(t, "root", "where 10.0.0.5.");
	assert_string_equal(t->classic, "0");
	say(t, "root", "ports.");
	assert_non_null(strstr(t->classic, "9; p1 null up"));
	assert_non_null(strstr(t->classic, "; 0000000000000001/s1-1 openflow:1 up 10000000000 behind=switch;"));
	assert_non_null(strstr(t->classic, "; 0000000000000001/s1-2 openflow:2 up 10000000000 behind=unverified;"));
	assert_non_null(strstr(t->classic, "; 0000000000000002/s2-4 openflow:4 up 10000000000 behind=hosts"));
	{ // the dataplane's first port leads to a switch, as the second one does not; a host of a switch passes
		struct nib_seen passing = {.mac = 0x020000000001, .port = nib_port_at(t->nib, 0)->port, .last_ns = 9};
		uint32_t bridge = topo_bridge(&topo);

		topo_switch_up(&topo, bridge, true);
		topo_port_set(&topo, bridge, passing.port, true, 0, 0);
		topo_join(&topo, passing.port, 0, 4, 5);
		nib_seen_set(t->nib, &passing);
	}
	say(t, "root", "links.");
	assert_non_null(strstr(t->classic, "3; - p1 0000000000000001 s1-4 1000000 both-ways; 0000000000000001 s1-1"));
	say(t, "root", "hosts.");
	assert_null(strstr(t->classic, " p1 02:00:00:00:00:01"));
	nib_net_set(t->nib, NULL);
	say(t, "root", "hosts.");
	assert_non_null(strstr(t->classic, " p1 02:00:00:00:00:01"));
	say(t, "root", "links.");
	assert_string_equal(t->classic, "0");
	topo_fini(&topo);
	addrs_fini(&addrs);
}

static void sights_are_kept_by_address_and_bounded(void **state)
{
	struct talk *t = *state;
	struct nib_seen seen = {.port = 3, .has_ip = true};

	for (uint64_t i = 0; i < NIB_SEEN_MAX + 100; i++) {
		seen.mac = 0x020000000000 + i % (NIB_SEEN_MAX + 50);
		seen.ip = match_ip4((uint32_t)(0x0a000000 + i % (NIB_SEEN_MAX + 50)));
		seen.last_ns = (int64_t)i;
		nib_seen_set(t->nib, &seen);
	}
	assert_int_equal(nib_n_seen(t->nib), NIB_SEEN_MAX);
	nib_seen_forget(t->nib, 0x020000000005, 0);
	assert_int_equal(nib_n_seen(t->nib), NIB_SEEN_MAX - 1);
	seen.port = 4; // moved
	seen.mac = 0x020000000007;
	seen.ip = match_ip4(0x0a000007);
	nib_seen_set(t->nib, &seen);
	assert_int_equal(nib_n_seen(t->nib), NIB_SEEN_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_query_needs_its_view, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_sees_requests_of_shares_beside_the_own, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_reserved_is_schedule, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wider_view_above_shows_what_the_own_share_hides, setup, teardown),
		cmocka_unit_test_setup_teardown(the_network_of_switches_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(hosts_are_those_seen_and_those_named, setup, teardown),
		cmocka_unit_test_setup_teardown(sights_are_kept_by_address_and_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
