// SPDX-License-Identifier: Apache-2.0
// The dataplane as a node of the network: which links and hosts are made of what it tells, and of what hosts forge.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/member_tell.h"
#include "control/nib.h"
#include "control/of_member.h"
#include "played_net.h"

#define SECOND PLAYED_NET_SECOND
#define PORTS 4

static struct played_net net;
static struct of_member_sight sights[512];
static uint8_t said[2][16][2][6]; // the last two addresses that a port of a switch was asked to send frames from
static uint32_t n_sights;
static uint32_t behind[2][16]; // the bridge's port behind a port of a switch; 0: none
static bool port_is_up[PORTS + 1];

static uint64_t n_sorts;

void __real_qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *));
void __wrap_qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *));

void __wrap_qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	n_sorts++;
	__real_qsort(base, n, size, cmp);
}

static void see(const uint8_t mac[6], uint32_t port)
{
	uint32_t i = 0;

	while (i < n_sights && memcmp(sights[i].mac, mac, 6) != 0)
		i++;
	n_sights += i == n_sights;
	sights[i] = (struct of_member_sight){.port = port, .at_ns = net.now_ns};
	memcpy(sights[i].mac, mac, 6);
}

static void pass(void *ctx, const struct of_packet_out *out)
{
	const struct played_peer *p = ctx;
	uint32_t at = (uint32_t)(p - net.peers), port = out->actions[0].port;

	if (at >= 2 || port >= 16)
		return;
	memcpy(said[at][port][0], said[at][port][1], 6);
	memcpy(said[at][port][1], out->data + 6, 6);
	if (behind[at][port] != 0)
		see(out->data + 6, behind[at][port]);
}

static void see_both(uint8_t macs[2][6], uint32_t port)
{
	see(macs[0], port);
	see(macs[1], port);
}

static void tell(void)
{
	struct of_member_port ports[PORTS];
	const struct of_member m = {ports, PORTS, sights, n_sights};

	for (uint32_t i = 0; i < PORTS; i++)
		ports[i] = (struct of_member_port){i + 1, "p", port_is_up[i + 1], 0};
	of_member_set(net.of, &m, net.now_ns);
}

static void run(int seconds)
{
	for (int i = 0; i < 2 * seconds; i++) {
		tell();
		played_net_run(&net, SECOND / 2);
	}
}

// Two switches that are linked, and the bridge, which nothing leads to yet.
static int setup(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64, .key = {1, 2, 3}};

	n_sights = 0;
	memset(said, 0, sizeof(said));
	memset(behind, 0, sizeof(behind));
	memset(port_is_up, true, sizeof(port_is_up));
	played_net_init(&net, 2, OF_VERSION_13, &conf);
	for (int i = 0; i < 2; i++) {
		net.peers[i].played.n_ports = 8;
		net.peers[i].played.packet_out = pass;
	}
	played_net_start(&net);
	run(5);
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	played_net_fini(&net);
	(void)state;
	return 0;
}

// The switch's port that the bridge's one leads to, and the switch; 0: none.
static uint32_t leads_to(uint32_t port, uint32_t *sw)
{
	const struct topo *t = of_net_topo(net.of);
	uint32_t sw_port = 0;

	return topo_link(t, t->bridge, port, sw, &sw_port) ? sw_port : 0;
}

static void a_link_is_what_the_dataplane_has_seen_a_frame_of_ours_come_in_by(void **state)
{
	uint32_t sw = TOPO_NONE;

	behind[1][5] = 2;
	run(5);
	assert_int_equal(leads_to(2, &sw), 5);
	assert_int_equal(of_net_topo(net.of)->switches[sw].dpid, 2);
	assert_int_equal(leads_to(1, &sw), 0);
	(void)state;
}

static void a_host_that_takes_the_address_of_a_switchs_port_makes_no_link(void **state)
{
	const struct topo *t = of_net_topo(net.of);
	uint8_t forged[6] = {0x06, 0x50, 1, 2, 3, 4};
	uint32_t sw;

	see(t->switches[0].ports[3].mac, 1);
	see(forged, 1); // as our frames look, but for the key
	run(10);
	assert_int_equal(leads_to(1, &sw), 0);
	assert_null(topo_host(t, forged)); // nor is it a host
	(void)state;
}

static void addresses_like_ours_are_compared_at_once_and_only_while_they_are_new(void **state)
{
	uint8_t forged[6] = {0x06, 0x50, 9, 9};

	behind[1][5] = 2;
	run(10);
	for (uint32_t i = 0; i < 400; i++) {
		forged[4] = (uint8_t)(i >> 8);
		forged[5] = (uint8_t)i;
		see(forged, i < 200 ? 1 : 2); // without a link, and with one
	}
	n_sorts = 0;
	tell();
	assert_int_equal(n_sorts, 1); // of what may be seen now
	net.now_ns += 4 * SECOND;
	tell();
	net.now_ns += SECOND;
	n_sorts = 0;
	for (int i = 0; i < 10; i++)
		tell();
	assert_int_equal(n_sorts, 0);
	for (uint32_t i = 0; i < n_sights; i++)
		sights[i].at_ns = sights[i].port == 2 ? net.now_ns : sights[i].at_ns;
	tell();
	assert_int_equal(n_sorts, 0); // there is a link already
	(void)state;
}

// Whoever meets 32 bits has not met them twice.
static void half_of_what_was_sent_makes_no_link(void **state)
{
	uint32_t sw;

	for (int i = 0; i < 20; i++) {
		see(said[1][5][i % 2], 3);
		see(said[1][5][1 - i % 2], i % 3 == 0 ? 4 : 3);
		if (i % 3 != 0)
			n_sights--; // only the first one
		run(2);
		assert_int_equal(leads_to(3, &sw), 0);
		assert_int_equal(leads_to(4, &sw), 0);
		n_sights = 0;
	}
	see_both(said[1][5], 3);
	tell();
	assert_int_equal(leads_to(3, &sw), 5);
	(void)state;
}

// What a host that was at this port has seen there, long ago or lately.
static void an_address_of_ours_that_is_replayed_makes_no_link(void **state)
{
	uint8_t kept[2][6];
	uint32_t sw;

	memcpy(kept, said[1][5], sizeof(kept));
	assert_int_equal(kept[0][0], 0x06);
	run(10);
	assert_memory_not_equal(kept, said[1][5], sizeof(kept));
	for (int i = 0; i < 10; i++) {
		see_both(kept, 1);
		run(1);
		assert_int_equal(leads_to(1, &sw), 0);
	}
	assert_false(topo_port(of_net_topo(net.of), topo_find_switch(of_net_topo(net.of), 2), 5)->inner);
	(void)state;
}

static void who_was_at_a_port_before_it_went_down_makes_no_link(void **state)
{
	struct played *p = &net.peers[1].played;
	uint8_t kept[2][6];
	uint32_t sw;

	run(1);
	memcpy(kept, said[1][5], sizeof(kept));
	played_port_status(p, 2, 5, OF_PORT_LINK_DOWN);
	run(1);
	played_port_status(p, 2, 5, 0);
	run(1);
	see_both(kept, 1);
	run(1);
	assert_int_equal(leads_to(1, &sw), 0);
	(void)state;
}

// Frames are lost, or too many others are seen: the link is asked for by the same one for as long as it is there.
static void a_link_stays_though_frames_of_ours_are_lost(void **state)
{
	const struct topo *t = of_net_topo(net.of);
	uint64_t gen;
	uint32_t sw;

	behind[1][5] = 2;
	run(5);
	assert_int_equal(leads_to(2, &sw), 5);
	run(5); // settled
	gen = t->gen;
	behind[1][5] = 0;
	for (int i = 0; i < 60; i++) {
		run(1);
		assert_int_equal(leads_to(2, &sw), 5);
	}
	behind[1][5] = 2;
	run(60);
	assert_int_equal(t->gen, gen);
	(void)state;
}

static void a_link_ends_when_the_dataplane_forgets_it_and_begins_by_a_new_frame_only(void **state)
{
	uint8_t kept[2][6];
	uint32_t sw;

	behind[1][5] = 2;
	run(20);
	assert_int_equal(leads_to(2, &sw), 5);
	memcpy(kept, said[1][5], sizeof(kept));
	behind[1][5] = 0;
	n_sights = 0;
	run(59);
	assert_int_equal(leads_to(2, &sw), 5);
	run(2);
	assert_int_equal(leads_to(2, &sw), 0);
	see_both(kept, 3);
	run(5);
	assert_int_equal(leads_to(3, &sw), 0);
	behind[1][5] = 3;
	run(5);
	assert_int_equal(leads_to(3, &sw), 5);
	(void)state;
}

static void a_second_link_to_a_switch_stays_closed_until_the_first_one_goes(void **state)
{
	const struct topo *t = of_net_topo(net.of);
	uint32_t sw = TOPO_NONE;

	behind[0][5] = 1;
	run(5);
	behind[0][6] = 3;
	run(5);
	assert_int_equal(leads_to(1, &sw), 5);
	assert_int_equal(leads_to(3, &sw), 0);
	assert_true(topo_port(t, sw == TOPO_NONE ? 0 : sw, 6)->inner);
	behind[0][5] = 0;
	port_is_up[1] = false;
	run(5);
	assert_int_equal(leads_to(3, &sw), 6);
	assert_true(topo_port(t, sw, 5)->inner); // it may come back, and flood
	(void)state;
}

static void what_it_sees_elsewhere_are_its_hosts_and_what_passes_is_not(void **state)
{
	const struct topo *t = of_net_topo(net.of);
	const uint8_t own[6] = {2, 0, 0, 0, 1, 1}, passing[6] = {2, 0, 0, 0, 1, 2};
	uint32_t sw = TOPO_NONE;

	behind[0][5] = 1;
	run(5);
	see(own, 4);
	see(passing, 1);
	run(2);
	assert_int_equal(topo_host(t, own)->sw, t->bridge);
	assert_int_equal(topo_host(t, own)->port, 4);
	assert_null(topo_host(t, passing));
	n_sights = 0; // long silent
	run(1);
	assert_null(topo_host(t, own));
	run(5); // nor was the link known, until it was asked for again
	assert_int_equal(leads_to(1, &sw), 5);
	(void)state;
}

static void a_host_is_where_it_was_seen_last(void **state)
{
	const struct topo *t = of_net_topo(net.of);
	const uint8_t host[6] = {2, 0, 0, 0, 0, 1}; // of played_net_say
	uint32_t sw = TOPO_NONE;

	behind[0][5] = 1;
	run(6);
	played_net_say(&net, 0);
	run(1);
	leads_to(1, &sw);
	assert_int_equal(topo_host(t, host)->sw, sw);
	see(host, 3); // it has moved to the dataplane
	run(1);
	assert_int_equal(topo_host(t, host)->sw, t->bridge);
	played_net_say(&net, 0); // and back: what the dataplane saw before is old
	run(2);
	assert_int_equal(topo_host(t, host)->sw, sw);
	(void)state;
}

static void a_clock_that_is_set_back_draws_no_host_back(void **state)
{
	const uint8_t host[6] = {2, 0, 0, 0, 0, 1}; // of played_net_say
	struct nib_port port = {.port = 3, .up = true, .name = "p3"};
	struct nib_seen seen = {.mac = 0x020000000001, .port = 3};
	const struct topo *t = of_net_topo(net.of);
	struct member_tell m = {0};
	struct nib *nib = nib_create();

	seen.last_ns = net.now_ns + 3600 * SECOND; // stamped an hour ahead of what the clock says since
	seen.at_ns = net.now_ns;
	nib_port_set(nib, &port);
	nib_seen_set(nib, &seen);
	member_tell(&m, nib, net.of, net.now_ns);
	assert_int_equal(topo_host(t, host)->sw, t->bridge);
	for (int i = 0; i < 4; i++) {
		played_net_run(&net, 2 * SECOND);
		played_net_say(&net, 0); // it has moved
		member_tell(&m, nib, net.of, net.now_ns);
		assert_int_not_equal(topo_host(t, host)->sw, t->bridge);
	}
	nib_destroy(nib);
	(void)state;
}

static void while_its_session_is_gone_it_is_taken_to_be_as_it_was(void **state)
{
	struct member_tell m = {0};
	struct nib_port port = {.port = 1, .up = true, .name = "p1"};
	struct nib *nib = nib_create();
	const struct topo *t = of_net_topo(net.of);
	int64_t start_ns;

	nib_port_set(nib, &port);
	member_tell(&m, nib, net.of, net.now_ns);
	assert_true(topo_port(t, t->bridge, 1)->up);
	nib_ports_down(nib);
	start_ns = net.now_ns;
	while (topo_port(t, t->bridge, 1)->up) {
		assert_true(net.now_ns - start_ns <= MEMBER_AWAY_NS + 2 * SECOND);
		net.now_ns += SECOND / 4;
		member_tell(&m, nib, net.of, net.now_ns);
	}
	assert_true(net.now_ns - start_ns >= MEMBER_AWAY_NS);
	nib_destroy(nib);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_link_is_what_the_dataplane_has_seen_a_frame_of_ours_come_in_by, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_host_that_takes_the_address_of_a_switchs_port_makes_no_link, setup,
						teardown),
		cmocka_unit_test_setup_teardown(addresses_like_ours_are_compared_at_once_and_only_while_they_are_new,
						setup, teardown),
		cmocka_unit_test_setup_teardown(half_of_what_was_sent_makes_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_of_ours_that_is_replayed_makes_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(who_was_at_a_port_before_it_went_down_makes_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_stays_though_frames_of_ours_are_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_link_ends_when_the_dataplane_forgets_it_and_begins_by_a_new_frame_only, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_link_to_a_switch_stays_closed_until_the_first_one_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_it_sees_elsewhere_are_its_hosts_and_what_passes_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_host_is_where_it_was_seen_last, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_is_set_back_draws_no_host_back, setup, teardown),
		cmocka_unit_test_setup_teardown(while_its_session_is_gone_it_is_taken_to_be_as_it_was, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
