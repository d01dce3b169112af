// SPDX-License-Identifier: Apache-2.0
// Hostile peers, played: what one of them says never harms the sessions of others, makes a link, or moves an address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/of_net.h"
#include "of_random.h"
#include "played_switch.h"
#include "tests/rounds.h"

#define SECOND 1000000000LL

struct peer {
	struct played played;
	struct of_switch *sw;
	struct net *net;
	uint8_t out[1 << 17]; // what it has sent and the controller has not read
	size_t n_out;
	bool closed;
	uint8_t said[1 << 17]; // all of it
	size_t n_said;
};

struct net {
	struct of_net *of;
	struct peer peers[3];
	int64_t now_ns;
	unsigned int n_notes;
	char note[256];
	void *noted; // a test's own
};

static void to_controller(void *ctx, const uint8_t *bytes, size_t len)
{
	struct peer *p = ctx;

	assert_true(p->n_out + len <= sizeof(p->out));
	memcpy(p->out + p->n_out, bytes, len);
	p->n_out += len;
	if (p->n_said + len <= sizeof(p->said)) {
		memcpy(p->said + p->n_said, bytes, len);
		p->n_said += len;
	}
}

static void to_peer(void *session, const uint8_t *bytes, size_t len)
{
	struct peer *p = session;

	if (!p->closed)
		assert_true(played_input(&p->played, bytes, len));
}

static void close_peer(void *session)
{
	struct peer *p = session;

	p->closed = true;
}

static void note(void *ctx, const char *text)
{
	struct net *n = ctx;

	n->n_notes++;
	strncpy(n->note, text, sizeof(n->note) - 1);
}

static void hang_up(struct peer *p)
{
	if (p->sw != NULL)
		of_net_detach(p->net->of, p->sw, p->net->now_ns);
	p->sw = NULL;
}

// Hands over what was sent, until nobody says anything more.
static void settle(struct net *n)
{
	static uint8_t bytes[1 << 17];
	bool some = true;
	struct err err;

	while (some) {
		some = false;
		for (int i = 0; i < 3; i++) {
			struct peer *p = &n->peers[i];
			size_t len = p->n_out;

			if (p->closed)
				hang_up(p);
			if (p->sw == NULL || len == 0)
				continue;
			memcpy(bytes, p->out, len);
			p->n_out = 0;
			some = true;
			if (of_net_input(n->of, p->sw, bytes, len, n->now_ns, &err) < 0)
				p->closed = true;
		}
	}
}

static void turns(struct net *n, int64_t for_ns)
{
	for (int64_t end = n->now_ns + for_ns; n->now_ns < end; n->now_ns += SECOND / 10) {
		of_net_turn(n->of, n->now_ns, n->now_ns);
		settle(n);
	}
}

static void join_as(struct net *n, int i, uint64_t dpid, uint8_t version)
{
	struct peer *p = &n->peers[i];

	played_init(&p->played, version, dpid, 4);
	p->played.send = to_controller;
	p->played.ctx = p;
	p->net = n;
	p->closed = false;
	p->n_out = p->n_said = 0;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	assert_non_null(p->sw);
	played_hello(&p->played);
	settle(n);
}

// Two switches up; 2 of the first goes to 1 of the second.
static int setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));
	const struct of_net_ops ops = {.send = to_peer, .close = close_peer, .note = note, .ctx = n};
	struct of_net_conf conf = {.hosts_max = 64, .lease_ns = 100 * SECOND};

	n->now_ns = SECOND;
	n->of = of_net_create(&ops, &conf);
	assert_non_null(n->of);
	join_as(n, 0, 1, OF_VERSION_13);
	join_as(n, 1, 2, OF_VERSION_10);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct net *n = *state;

	for (int i = 0; i < 3; i++) {
		hang_up(&n->peers[i]);
		played_fini(&n->peers[i].played);
	}
	of_net_destroy(n->of);
	free(n);
	return 0;
}

static void carry(struct net *n, int from, uint32_t port, int to, uint32_t to_port)
{
	const struct played_probe *probe = played_probe(&n->peers[from].played, port);

	assert_non_null(probe);
	played_packet_in(&n->peers[to].played, to_port, probe->frame, probe->len);
	settle(n);
}

static struct of_net_stats stats(struct net *n)
{
	struct of_net_stats s;

	of_net_stats(n->of, &s);
	return s;
}

static void make_link(struct net *n)
{
	turns(n, SECOND);
	carry(n, 0, 2, 1, 1);
	carry(n, 1, 1, 0, 2);
	assert_int_equal(stats(n).n_links, 2); // one for each direction
}

static void sessions_of_both_versions_come_up_and_are_brought_up_to_date(void **state)
{
	struct net *n = *state;

	make_link(n);
	turns(n, 5 * SECOND);
	assert_int_equal(stats(n).n_switches, 2);
	assert_int_equal(stats(n).n_synced, 2);
	assert_true(n->peers[0].played.n_flow_mods > 0 && n->peers[1].played.n_flow_mods > 0);
	assert_true(n->peers[0].played.n_barriers > 0 && n->peers[1].played.n_barriers > 0);
}

// --- links

static void a_probe_made_up_by_a_host_makes_no_link(void **state)
{
	struct net *n = *state;
	struct played_probe probe;

	turns(n, SECOND);
	for (size_t at = 42; at < 42 + 20 + 16; at++) { // what it says, and its tag
		probe = *played_probe(&n->peers[0].played, 2);
		probe.frame[at] ^= 0x10;
		played_packet_in(&n->peers[1].played, 3, probe.frame, probe.len);
		settle(n);
	}
	carry(n, 1, 3, 0, 2); // the other direction alone is no link
	assert_int_equal(stats(n).n_links, 0);
	assert_int_equal(stats(n).bad_probes, 36);
	assert_int_equal(stats(n).n_switches, 2);
}

static void a_probe_kept_for_later_makes_no_link(void **state)
{
	struct net *n = *state;
	struct played_probe old[2];

	turns(n, SECOND);
	old[0] = *played_probe(&n->peers[0].played, 3);
	old[1] = *played_probe(&n->peers[1].played, 3);
	turns(n, 60 * SECOND);
	played_packet_in(&n->peers[1].played, 3, old[0].frame, old[0].len);
	played_packet_in(&n->peers[0].played, 3, old[1].frame, old[1].len);
	settle(n);
	assert_int_equal(stats(n).n_links, 0);
	assert_int_equal(stats(n).bad_probes, 2);
}

// Of another controller, or of this one before it was started again.
static void a_probe_of_another_controller_makes_no_link(void **state)
{
	struct net *n = *state;
	const struct lldp_probe probe = {.dpid = 1, .port = 2, .round = 1};
	static const uint8_t key[LLDP_KEY_BYTES] = {9};
	uint8_t frame[LLDP_FRAME_MAX];
	size_t len = lldp_make(&probe, (const uint8_t[6]){2}, key, LLDP_ETH_TYPE, frame);

	turns(n, SECOND);
	played_packet_in(&n->peers[1].played, 1, frame, len);
	settle(n);
	assert_int_equal(stats(n).bad_probes, 1);
	assert_int_equal(stats(n).n_links, 0);
}

// 2 of the first, 1 of the second and 4 of the second are on one bridge.
static void a_link_through_a_bridge_keeps_its_first_end(void **state)
{
	static const uint8_t key[LLDP_KEY_BYTES];
	struct net *n = *state;
	uint8_t frame[LLDP_FRAME_MAX];
	uint32_t peer, port;

	turns(n, SECOND);
	for (int i = 0; i < 3; i++) {
		uint64_t round = (uint64_t)stats(n).rounds;
		const struct lldp_probe a = {.dpid = 1, .port = 2, .round = round},
					b = {.dpid = 2, .port = 1, .round = round};
		size_t len = lldp_make(&a, (const uint8_t[6]){2}, key, LLDP_THROUGH_TYPE, frame);

		played_packet_in(&n->peers[1].played, 1, frame, len);
		played_packet_in(&n->peers[1].played, 4, frame, len);
		len = lldp_make(&b, (const uint8_t[6]){2}, key, LLDP_THROUGH_TYPE, frame);
		played_packet_in(&n->peers[0].played, 2, frame, len);
		played_packet_in(&n->peers[1].played, 4, frame, len);
		settle(n);
		turns(n, SECOND);
	}
	assert_int_equal(stats(n).n_links, 2);
	assert_true(topo_link(of_net_topo(n->of), 0, 2, &peer, &port));
	assert_int_equal(port, 1);
}

static void a_link_that_is_no_more_heard_of_goes(void **state)
{
	struct net *n = *state;

	make_link(n);
	turns(n, 20 * SECOND);
	assert_int_equal(stats(n).n_links, 0);
}

// --- ports

static void ports_that_do_not_exist_are_not_believed(void **state)
{
	static const uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
	struct net *n = *state;
	struct peer *p = &n->peers[0];
	uint32_t no;

	turns(n, 3 * SECOND);
	played_packet_in(&p->played, 77, frame, sizeof(frame));
	played_packet_in(&p->played, OF_PORT_CONTROLLER, frame, sizeof(frame));
	carry(n, 1, 3, 0, 78);
	assert_int_equal(stats(n).n_hosts, 0);
	for (no = 0; no < 3; no++) { // reserved numbers, twice, and gone without having been there
		played_port_status(&p->played, 0, OF_PORT_LOCAL, 0);
		played_port_status(&p->played, 0, 0, 0);
		played_port_status(&p->played, 0, 3, 0);
		played_port_status(&p->played, 1, 99, 0);
		played_port_status(&p->played, 2, 98, OF_PORT_DOWN);
	}
	settle(n);
	assert_int_equal(of_net_topo(n->of)->switches[0].n_ports, 5); // its four, and 98, which it says it has
	assert_false(topo_port(of_net_topo(n->of), 0, 98)->up);
	played_packet_in(&p->played, 98, frame, sizeof(frame)); // from a port that is down
	settle(n);
	assert_int_equal(stats(n).n_hosts, 0);
	assert_int_equal(stats(n).n_switches, 2);
}

static void a_switch_with_endless_ports_is_shown_out(void **state)
{
	struct net *n = *state;

	for (uint32_t no = 5; no < 6000 && n->peers[0].sw != NULL; no++) {
		played_port_status(&n->peers[0].played, 0, no, 0);
		settle(n);
	}
	assert_null(n->peers[0].sw);
	assert_int_equal(stats(n).n_switches, 1);
}

// --- identities

static void a_second_switch_of_the_same_number_is_refused(void **state)
{
	struct net *n = *state;

	make_link(n);
	join_as(n, 2, 1, OF_VERSION_13);
	settle(n);
	assert_true(n->peers[2].closed);
	assert_non_null(strstr(n->note, "a second switch says that it is 0000000000000001"));
	played_packet_in(&n->peers[2].played, 1, (uint8_t[14]){0}, 14);
	turns(n, SECOND);
	assert_int_equal(stats(n).n_switches, 2);
	assert_int_equal(stats(n).n_links, 2);
	hang_up(&n->peers[0]); // it is free again
	played_fini(&n->peers[2].played);
	join_as(n, 2, 1, OF_VERSION_13);
	turns(n, SECOND);
	assert_false(n->peers[2].closed);
	assert_int_equal(stats(n).n_switches, 2);
}

// --- bytes

static void a_session_said_twice_changes_nothing(void **state)
{
	struct net *n = *state;
	struct peer *p = &n->peers[0];
	static uint8_t said[1 << 17];
	size_t len = p->n_said;

	make_link(n);
	turns(n, 4 * SECOND);
	memcpy(said, p->said, len);
	to_controller(p, said, len); // hello, features, ports, tables
	turns(n, SECOND);
	assert_int_equal(stats(n).n_switches, 2);
	assert_int_equal(stats(n).n_links, 2);
	assert_int_equal(of_net_topo(n->of)->switches[0].n_ports, 4);
}

static void other_messages_before_a_hello_end_the_session(void **state)
{
	struct net *n = *state;
	struct peer *p = &n->peers[2];
	struct of_msg m = {.type = OF_FEATURES_REPLY, .features = {.dpid = 9}};

	played_init(&p->played, OF_VERSION_13, 9, 1);
	p->played.send = to_controller;
	p->played.ctx = p;
	p->net = n;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	played_send(&p->played, &m);
	settle(n);
	assert_null(p->sw);
}

static void who_says_nothing_is_shown_out(void **state)
{
	struct net *n = *state;
	struct peer *p = &n->peers[2];

	p->net = n;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	turns(n, 11 * SECOND);
	assert_null(p->sw);
	assert_int_equal(stats(n).n_switches, 2);
}

// A whole session with bytes changed, taken out or cut off, in pieces of any size.
static void damaged_sessions_do_no_harm_to_others(void **state)
{
	struct net *n = *state;
	static uint8_t good[1 << 17], bad[1 << 17];
	unsigned int n_ended = 0, n_rounds = rounds_from_env(100);
	size_t n_good;

	make_link(n);
	join_as(n, 2, 3, OF_VERSION_13);
	played_port_status(&n->peers[2].played, 2, 3, 0);
	played_packet_in(&n->peers[2].played, 3, (const uint8_t[60]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6}, 60);
	n_good = n->peers[2].n_said;
	memcpy(good, n->peers[2].said, n_good);
	hang_up(&n->peers[2]);
	rnd_state = 3;
	for (unsigned int i = 0; i < n_rounds; i++) {
		struct peer *p = &n->peers[2];
		size_t len = n_good, at = 0;

		memcpy(bad, good, len);
		for (unsigned int k = 1 + rnd(4); k > 0; k--) {
			size_t where = rnd((uint32_t)len), cut = rnd(8);

			if (rnd(3) > 0) {
				bad[where] = rnd(2) == 0 ? (uint8_t)rnd(256) : bad[where] ^ (uint8_t)(1 << rnd(8));
			} else if (where + cut < len) {
				memmove(bad + where, bad + where + cut, len - where - cut);
				len -= cut;
			}
		}
		p->closed = false;
		p->n_out = 0;
		p->sw = of_net_attach(n->of, p, n->now_ns);
		while (at < len && p->sw != NULL) {
			size_t piece = 1 + rnd(200);

			piece = piece > len - at ? len - at : piece;
			p->n_out = 0; // what the played one answers is not sent
			to_controller(p, bad + at, piece);
			settle(n);
			at += piece;
		}
		n_ended += p->sw == NULL;
		hang_up(p);
	}
	assert_true(n_ended > n_rounds / 4 && n_ended < n_rounds);
	assert_true(stats(n).n_switches == 2);
	assert_int_equal(stats(n).n_links, 2);
	assert_false(n->peers[0].closed || n->peers[1].closed);
}

// --- addresses

static void say_arp(struct net *n, int peer, uint32_t port, uint8_t mac, uint8_t ip)
{
	uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8,  6, 0, 1,
			 8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, mac, 10, 0, 0, ip};

	played_packet_in(&n->peers[peer].played, port, f, sizeof(f));
	settle(n);
}

static void an_address_claimed_by_two_is_noticed_and_not_taken_away(void **state)
{
	struct net *n = *state;
	const struct addr *a;

	turns(n, 3 * SECOND);
	say_arp(n, 0, 3, 7, 5);
	assert_int_equal(stats(n).contests, 0);
	n->n_notes = 0;
	say_arp(n, 1, 3, 8, 5);
	say_arp(n, 1, 3, 8, 5);
	assert_int_equal(stats(n).contests, 2);
	assert_int_equal(n->n_notes, 1); // once a minute
	assert_non_null(strstr(n->note, "address 10.0.0.5 is claimed by 02:00:00:00:00:08 while 02:00:00:00:00:07"));
	a = addrs_first(of_net_addrs(n->of), match_ip4(0x0a000005), false);
	assert_true(a->contest_ns != INT64_MIN && addrs_after(of_net_addrs(n->of), a)->contest_ns != INT64_MIN);
	assert_int_equal(topo_host(of_net_topo(n->of), (const uint8_t[]){2, 0, 0, 0, 0, 7})->ip4, 0x0a000005);
	assert_int_equal(topo_host(of_net_topo(n->of), (const uint8_t[]){2, 0, 0, 0, 0, 8})->ip4, 0x0a000005);
}

static void an_address_that_nobody_defends_moves(void **state)
{
	struct net *n = *state;

	turns(n, 3 * SECOND);
	say_arp(n, 0, 3, 7, 5);
	turns(n, 61 * SECOND);
	say_arp(n, 1, 3, 8, 5);
	assert_int_equal(stats(n).contests, 0);
	assert_int_equal(topo_host(of_net_topo(n->of), (const uint8_t[]){2, 0, 0, 0, 0, 7})->ip4, 0);
	say_arp(n, 0, 3, 8, 5); // the same host elsewhere
	assert_int_equal(stats(n).contests, 0);
	assert_int_equal(stats(n).moves, 1);
}

// --- leases

struct metered { // the entries with a meter
	int64_t ends_ns, least_left_ns;
	unsigned int n_said;
};

static void note_metered(void *ctx, const struct of_flow_mod *mod)
{
	struct peer *p = ctx;
	struct metered *m = p->net->noted;

	if (mod->instructions.meter == 0 || mod->command != OF_FLOW_ADD)
		return;
	if (m->n_said > 0 && m->ends_ns - p->net->now_ns < m->least_left_ns)
		m->least_left_ns = m->ends_ns - p->net->now_ns;
	assert_in_range(mod->hard_s, 50, 100);
	m->ends_ns = p->net->now_ns + mod->hard_s * SECOND;
	m->n_said++;
}

static void a_limit_without_an_end_is_said_again_before_it_ends(void **state)
{
	struct metered metered = {.least_left_ns = INT64_MAX};
	struct demand d = {.id = 5, .kind = DEMAND_LIMIT, .rate_bps = 1000000, .end_ns = INT64_MAX};
	struct net *n = *state;
	struct of_policy policy;
	struct demands demands;
	struct box box = box_any();
	struct tree tree;
	struct err err;

	demands_init(&demands);
	tree_init(&tree);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	box.kinds = MATCH_IP4PORTS;
	box.f[MATCH_PROTO] = (struct span){6, 6};
	match_init(&d.flows);
	assert_int_equal(match_add(&d.flows, &box), 0);
	assert_int_equal(demands_add(&demands, &d), 0);
	assert_int_equal(of_policy_build(&policy, &tree, &demands, n->now_ns, NULL, &err), 0);
	of_net_policy(n->of, &policy);
	n->noted = &metered;
	n->peers[0].played.flow_mod = note_metered;
	turns(n, 1000 * SECOND);
	assert_in_range(metered.n_said, 15, 25);
	assert_true(metered.least_left_ns >= 40 * SECOND);
	assert_true(metered.ends_ns - n->now_ns >= 40 * SECOND);
	tree_fini(&tree);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sessions_of_both_versions_come_up_and_are_brought_up_to_date),
		TEST(a_probe_made_up_by_a_host_makes_no_link),
		TEST(a_probe_kept_for_later_makes_no_link),
		TEST(a_probe_of_another_controller_makes_no_link),
		TEST(a_link_through_a_bridge_keeps_its_first_end),
		TEST(a_link_that_is_no_more_heard_of_goes),
		TEST(a_limit_without_an_end_is_said_again_before_it_ends),
		TEST(ports_that_do_not_exist_are_not_believed),
		TEST(a_switch_with_endless_ports_is_shown_out),
		TEST(a_second_switch_of_the_same_number_is_refused),
		TEST(a_session_said_twice_changes_nothing),
		TEST(other_messages_before_a_hello_end_the_session),
		TEST(who_says_nothing_is_shown_out),
		TEST(damaged_sessions_do_no_harm_to_others),
		TEST(an_address_claimed_by_two_is_noticed_and_not_taken_away),
		TEST(an_address_that_nobody_defends_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
