// SPDX-License-Identifier: Apache-2.0
// What time does to switches: entries that end, leases, queues of switches that are away, updates that never find rest,
// errors that go on.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_plan.h"
#include "control/ovsdb.h"
#include "of_random.h"
#include "played_net.h"

#define SECOND PLAYED_NET_SECOND

static struct played_net net;

static void up(int n_switches, uint8_t version, const struct of_net_conf *conf)
{
	played_net_init(&net, n_switches, version, conf);
	played_net_start(&net);
	played_net_run(&net, 5 * SECOND);
	for (int times = 0; times < 2; times++) { // who is heard of once is forgotten after a while
		for (int i = 0; i < n_switches; i++)
			played_net_say(&net, i);
		played_net_run(&net, SECOND);
	}
	assert_int_equal(played_net_stats(&net).n_links, 2 * (n_switches - 1));
	assert_int_equal(played_net_stats(&net).n_hosts, n_switches);
	assert_int_equal(played_net_stats(&net).n_synced, n_switches);
}

// --- queues of switches that are away

// How many queues of limits are wanted, and which switches are known, as bits by dpid; the rest: bit 0.
static int queues_now(uint64_t *gen, uint32_t *known)
{
	struct ovsdb_queue *queues;
	bool rest;
	uint64_t *but;
	int n = of_net_queues(net.of, gen, &queues), n_but;

	if (n < 0)
		return n;
	free(queues);
	n_but = of_net_queues_of(net.of, &rest, &but);
	assert_true(n_but >= 0);
	*known = rest ? ~0U : 0;
	for (int i = 0; i < n_but; i++)
		*known ^= 1U << but[i];
	free(but);
	return n;
}

static void queues_of_a_switch_that_is_away_are_left_to_it_for_a_day(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64, .queues = true};
	const struct played_want limit = {7, 0, 1, PLAYED_LIMIT, 1000000, INT64_MAX};
	uint64_t gen = 0;
	uint32_t known;
	int64_t left_ns;

	up(2, OF_VERSION_10, &conf);
	played_net_policy(&net, &limit, 1);
	played_net_run(&net, SECOND);
	assert_int_equal(queues_now(&gen, &known), 1);
	assert_int_equal(known, 1U << 1 | 1U << 2);
	assert_int_equal(queues_now(&gen, &known), -EAGAIN); // nothing new
	played_net_leave(&net, 0);
	assert_int_equal(queues_now(&gen, &known), 0);
	assert_int_equal(known, 1U << 2);
	played_net_run(&net, 2 * SECOND);
	played_net_join(&net, 0);
	queues_now(&gen, &known);
	assert_int_equal(known, 1U << 2); // its entries are still being read
	played_net_run(&net, 5 * SECOND);
	assert_int_equal(queues_now(&gen, &known), 1);
	assert_int_equal(known, 1U << 1 | 1U << 2);
	played_net_leave(&net, 0); // for a day, while the other one comes back soon
	played_net_leave(&net, 1);
	left_ns = net.now_ns;
	net.now_ns += OF_NET_GONE_NS - 3600 * SECOND;
	played_net_join(&net, 1);
	played_net_run(&net, 5 * SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, 1U << 2);
	played_net_run(&net, left_ns + OF_NET_GONE_NS - net.now_ns - SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, ~(1U << 1)); // who has never been here in a day is not waited for
	played_net_run(&net, 3 * SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, ~0U);
	played_net_fini(&net);
	(void)state;
}

// --- ends and leases

#define LEASE (100 * SECOND)
#define END (40 * SECOND) // of requests that have one

static const struct of_net_conf leased = {.hosts_max = 64, .lease_ns = LEASE};

static bool is_circuits(const struct of_rule *r)
{
	return of_plan_is_ahead(r) || r->table == OF_PLAN_PATH;
}

static bool is_of(const struct of_rule *r, uint32_t cookie)
{
	return (uint32_t)r->cookie == cookie;
}

// All that speaks of requests, of all switches: the instants it ends at.
struct ends {
	unsigned int n_circuit, n_meter, n_deny;
	int64_t least_ns, most_ns; // of circuits and meters
	bool deny_ends;
};

static struct ends ends_now(void)
{
	struct ends e = {.least_ns = INT64_MAX};

	for (int i = 0; i < net.n; i++) {
		for (uint32_t k = 0; k < net.peers[i].rules.n; k++) {
			const struct of_rule *r = &net.peers[i].rules.rules[k];
			bool circuit = is_circuits(r) && !is_of(r, 0), meter = r->instructions.meter != 0;

			e.n_circuit += circuit;
			e.n_meter += meter;
			if (circuit || meter) {
				e.least_ns = r->ends_ns < e.least_ns ? r->ends_ns : e.least_ns;
				e.most_ns = r->ends_ns > e.most_ns ? r->ends_ns : e.most_ns;
			}
			if (r->table == OF_PLAN_POLICY && r->match.has & OF_HAS_IP4_DST &&
			    r->instructions.goto_table == OF_TABLE_ALL) {
				e.n_deny++;
				e.deny_ends |= r->ends_ns != INT64_MAX;
			}
		}
	}
	return e;
}

static void say_all(int64_t end_ns)
{
	const struct played_want wants[] = {
		{1, 0, 2, PLAYED_RESERVE, 1000000, end_ns},
		{2, 0, -1, PLAYED_LIMIT, 5000000, end_ns},
		{3, 1, 2, PLAYED_DENY, 0, end_ns},
		{4, 2, 0, PLAYED_RESERVE, 2000000, end_ns},
	};

	played_net_policy(&net, wants, 4);
}

static void ask_for_all(int64_t end_ns)
{
	say_all(end_ns);
	played_net_run(&net, 2 * SECOND);
}

static void a_request_with_an_end_ends_by_the_switches_own_timers(void **state)
{
	int64_t end_ns;
	struct ends e;

	up(3, OF_VERSION_13, &leased);
	end_ns = net.now_ns + END;
	ask_for_all(end_ns);
	e = ends_now();
	assert_true(e.n_circuit >= 4 && e.n_meter >= 1 && e.n_deny == 1);
	assert_true(e.least_ns >= end_ns && e.most_ns < end_ns + LEASE);
	assert_true(e.deny_ends);
	played_net_kill(&net);
	played_net_run(&net, END + SECOND);
	e = ends_now();
	assert_int_equal(e.n_meter + e.n_deny, 0);
	played_net_run(&net, LEASE * 3 / 2); // what no entry leads to any more
	assert_int_equal(ends_now().n_circuit, 0);
	played_net_fini(&net);
	(void)state;
}

static void without_an_end_it_is_said_again_in_time_and_ends_with_the_controller(void **state)
{
	struct ends e, first;
	uint64_t before;

	up(3, OF_VERSION_13, &leased);
	ask_for_all(INT64_MAX);
	first = ends_now();
	assert_true(first.n_circuit >= 4 && first.n_meter >= 1 && first.n_deny == 1);
	before = net.n_expired;
	for (int64_t until = net.now_ns + 20 * LEASE; net.now_ns < until; played_net_run(&net, SECOND)) {
		e = ends_now();
		assert_true(e.n_circuit == first.n_circuit && e.n_meter == first.n_meter && e.n_deny == 1);
		assert_true(e.least_ns - net.now_ns > LEASE / 4); // long before
		assert_true(e.most_ns - net.now_ns <= LEASE * 3 / 2 + SECOND);
		assert_false(e.deny_ends);
	}
	assert_int_equal(net.n_expired, before);
	played_net_kill(&net);
	played_net_run(&net, LEASE + SECOND);
	assert_int_equal(ends_now().n_meter, 0);
	played_net_run(&net, LEASE / 2);
	e = ends_now();
	assert_int_equal(e.n_circuit, 0);
	assert_int_equal(e.n_deny, 1); // a dead controller opens nothing
	played_net_fini(&net);
	(void)state;
}

// How much is said in ten leases, with restarts in between or without.
static uint64_t mods_said(int64_t every_ns)
{
	uint64_t mods = 0;

	up(3, OF_VERSION_13, &leased);
	ask_for_all(INT64_MAX);
	for (int i = 0; i < net.n; i++)
		net.peers[i].played.n_flow_mods = 0;
	for (int64_t until = net.now_ns + 10 * LEASE; net.now_ns < until;) {
		played_net_run(&net, until - net.now_ns < every_ns ? until - net.now_ns : every_ns);
		if (net.now_ns >= until)
			break;
		played_net_kill(&net);
		played_net_run(&net, SECOND / 2);
		played_net_start(&net);
		say_all(INT64_MAX);
	}
	played_net_run(&net, LEASE / 10);
	for (int i = 0; i < net.n; i++)
		mods += net.peers[i].played.n_flow_mods;
	assert_int_equal(net.n_expired, 0);
	played_net_fini(&net);
	return mods;
}

static void a_restart_says_nothing_anew(void **state)
{
	uint64_t usual = mods_said(INT64_MAX);

	assert_true(usual > 0);
	assert_int_equal(mods_said(37 * SECOND), usual);
	assert_int_equal(mods_said(SECOND * 61 / 10), usual);
	(void)state;
}

// --- what cannot be said

static void what_a_switch_cannot_keep_is_told_of_it_and_counted(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64}; // no database: no queues
	const struct played_want limit = {7, 0, 1, PLAYED_LIMIT, 1000000, INT64_MAX};
	const struct played_want both[] = {limit, {8, 0, 1, PLAYED_DENY_IP6, 0, INT64_MAX}};
	const struct topo_switch *sw;

	up(2, OF_VERSION_10, &conf);
	played_net_policy(&net, &limit, 1);
	played_net_run(&net, SECOND);
	sw = &of_net_topo(net.of)->switches[0];
	assert_true(sw->n_lacks > 0);
	assert_string_equal(sw->lacks, "a switch with one table cannot meter request 7");
	assert_int_equal(played_net_stats(&net).rows_unsayable, sw->n_lacks + sw[1].n_lacks);
	of_net_ignores_queues(net.of, 2, true);
	of_net_ignores_queues(net.of, 77, true); // nobody
	assert_true(!sw->no_queues && sw[1].no_queues);
	assert_int_equal(sw->n_open, 0);
	played_net_policy(&net, both, 2); // the denial is told first
	played_net_run(&net, SECOND);
	assert_int_equal(sw->n_open, 1);
	assert_non_null(strstr(sw->lacks, "IPv6"));
	played_net_policy(&net, NULL, 0);
	played_net_run(&net, SECOND);
	assert_int_equal(played_net_stats(&net).rows_unsayable, 0);
	assert_string_equal(sw->lacks, "");
	played_net_fini(&net);
	(void)state;
}

// --- hosts that say they have many addresses

// Host 0 says by neighbour discovery that it has fd00::<low>.
static void say_ip6(uint32_t low)
{
	uint8_t f[14 + 64] = {[0] = 0x33, [1] = 0x33, [6] = 2, [11] = 1, [12] = 0x86, [13] = 0xdd, [14] = 0x60};

	f[20] = 58;
	f[21] = 255;
	f[54] = 136;
	f[62] = 0xfd;
	f[76] = (uint8_t)(low >> 8);
	f[77] = (uint8_t)low;
	played_packet_in(&net.peers[0].played, PLAYED_NET_HOST_PORT, f, sizeof(f));
	played_net_turn(&net);
}

static uint32_t n_told(void)
{
	struct of_source what;
	uint32_t n = 0;
	bool stray;

	for (uint32_t i = 0; i < net.peers[0].rules.n; i++)
		n += of_plan_tells(&net.peers[0].rules.rules[i], &what, &stray);
	return n;
}

static bool knows(uint32_t low)
{
	return addrs_first(of_net_addrs(net.of), ((u128)0xfd00 << 112) + low, true) != NULL;
}

static void a_host_that_claims_more_and_more_addresses_fills_no_switch(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 65536};
	const struct played_want reserve = {7, 0, 1, PLAYED_RESERVE, 1000000, INT64_MAX};
	uint64_t n_mods;

	up(2, OF_VERSION_13, &conf);
	played_net_policy(&net, &reserve, 1);
	played_net_run(&net, SECOND);
	for (uint32_t i = 1; i <= 32; i++)
		say_ip6(i);
	played_net_run(&net, SECOND);
	assert_int_equal(n_told(), 32);
	n_mods = played_net_stats(&net).flow_mods;
	for (uint32_t i = 33; i < 2000; i++)
		say_ip6(i);
	played_net_run(&net, SECOND);
	assert_int_equal(n_told(), 32);
	assert_int_equal(played_net_stats(&net).flow_mods, n_mods);
	assert_true(!knows(33) && !knows(1999));
	played_net_run(&net, ADDRS_FRESH_NS);
	for (uint32_t i = 2; i <= 32; i++)
		say_ip6(i);
	say_ip6(33); // in place of the one that was not said again
	played_net_run(&net, SECOND);
	assert_true(knows(33) && knows(2) && !knows(1));
	assert_int_equal(n_told(), 32);
	played_net_fini(&net);
	(void)state;
}

// --- updates that find no rest

#define RING PLAYED_NET_MAX
// of_update.c: so many steps, and the one that ends it all; each has a barrier of each switch at most
#define BARRIERS_MAX (RING * (2 * RING + 8 + 2))
#define MODS_MAX 100000

struct unrest {
	bool goes_on, denied, flaps;               // flaps: links do; without the ring there is no order to keep
	uint64_t n_mods, n_changes, before, after; // before, after: barriers when it was said, and denied
	bool down[RING];                           // the link to the next one
};

static uint64_t barriers_now(void)
{
	uint64_t n = 0;

	for (int i = 0; i < net.n; i++)
		n += net.peers[i].played.n_barriers;
	return n;
}

// All hosts but two come up elsewhere, so that ways to them change everywhere; or a link of the ring goes or comes.
static void change_something(struct unrest *u)
{
	int i = (int)rnd(RING), next = (i + 1) % RING;

	u->n_changes++;
	for (int host = 2; host < RING; host++) {
		uint8_t mac = (uint8_t)(host + 1);
		uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8,  6, 0, 1,
				 8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, mac, 10, 0, 0, mac};

		played_packet_in(&net.peers[(i + host) % RING].played, PLAYED_NET_HOST_PORT, f, sizeof(f));
	}
	if (!u->flaps || rnd(20) > 0)
		return;
	u->down[i] = !u->down[i];
	played_port_status(&net.peers[i].played, 2, played_net_port(next), u->down[i] ? OF_PORT_LINK_DOWN : 0);
}

static void on_mod(struct played_net *n, int peer, const struct of_flow_mod *mod)
{
	struct unrest *u = n->ctx;

	if (++u->n_mods > MODS_MAX)
		fail_msg("it does not end");
	if (u->goes_on && mod->table == OF_PLAN_POLICY && mod->match.has & OF_HAS_IP4_DST) {
		u->denied = true;
		u->goes_on = false;
		u->after = barriers_now();
	}
	(void)peer;
}

// Each turn finds another network than the last one left, as long as the denial is not in place. It is said when this
// has been so for a while.
static void between(struct played_net *n)
{
	const struct played_want deny = {1, 0, 1, PLAYED_DENY, 0, INT64_MAX};
	struct unrest *u = n->ctx;

	if (u->goes_on)
		change_something(u);
	if (u->before != 0 || u->n_changes < 50)
		return;
	u->before = barriers_now();
	played_net_policy(n, &deny, 1);
}

static void an_update_has_an_end_in_a_network_that_has_no_rest(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64};
	uint64_t most = 0;

	rnd_state = 11;
	for (int round = 0; round < 8; round++) {
		struct unrest u = {.goes_on = true, .flaps = round % 2 == 0};
		played_net_init(&net, RING, OF_VERSION_13, &conf);
		net.linked[0][RING - 1] = net.linked[RING - 1][0] = true;
		played_net_start(&net);
		played_net_run(&net, 5 * SECOND);
		for (int i = 0; i < RING; i++)
			played_net_say(&net, i);
		played_net_run(&net, SECOND);
		net.ctx = &u;
		net.on_mod = on_mod;
		net.between = between;
		for (int i = 0; i < 100 && !u.denied; i++) {
			change_something(&u);
			played_net_run(&net, SECOND / 10);
		}
		assert_true(u.before != 0);
		assert_true(u.denied);
		most = u.after - u.before > most ? u.after - u.before : most;
		assert_true(u.after - u.before <= BARRIERS_MAX);
		u.n_mods = 0;
		for (int i = 0; i < RING; i++) {
			if (u.down[i])
				played_port_status(&net.peers[i].played, 2, played_net_port((i + 1) % RING), 0);
		}
		played_net_run(&net, 10 * SECOND); // and it comes to rest
		u.n_mods = 0;
		played_net_run(&net, 10 * SECOND);
		assert_int_equal(u.n_mods, 0);
		assert_int_equal(played_net_stats(&net).n_synced, RING);
		assert_int_equal(played_net_stats(&net).n_links, 2 * RING);
		played_net_fini(&net);
	}
	print_message("%u barriers at most, of %u\n", (unsigned int)most, BARRIERS_MAX);
	(void)state;
}

// --- errors that go on

// It lists meters as it has them, and answers each one, or only the entries that name one, with an error.
static enum { REFUSES_METERS, REFUSES_ENTRIES, REFUSES_SOME } refusal;
static int n_refused;

static void answer_error(struct played_peer *p, uint32_t xid, uint16_t type, uint16_t code)
{
	struct of_msg m = {.type = OF_ERROR, .xid = xid, .error = {.type = type, .code = code}};

	n_refused++;
	played_send(&p->played, &m);
}

static void refuse_meter(void *ctx, const struct of_meter_mod *mod)
{
	struct played_peer *p = ctx;
	const struct of_meter m = {mod->meter, mod->bands[0].rate, mod->bands[0].burst};

	if (refusal == REFUSES_SOME && p->meters.n == 0 && mod->command == 0)
		of_meters_add(&p->meters, &m);
	else if (refusal != REFUSES_ENTRIES)
		answer_error(p, p->played.meter_xid, OF_ERROR_METER_MOD, refusal == REFUSES_SOME ? 10 : 1);
}

static void (*keep_entry)(void *ctx, const struct of_flow_mod *mod);

static void refuse_entry(void *ctx, const struct of_flow_mod *mod)
{
	struct played_peer *p = ctx;

	if (refusal == REFUSES_ENTRIES && mod->instructions.meter != 0 && mod->command == OF_FLOW_ADD)
		answer_error(p, p->played.mod_xid, 3, 1); // an instruction it does not have
	else
		keep_entry(ctx, mod);
}

static void who_answers_meters_with_errors_is_not_told_for_ever(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64};
	const struct played_want limits[] = {{7, 0, 1, PLAYED_LIMIT, 1000000, INT64_MAX},
					     {8, 0, -1, PLAYED_LIMIT, 2000000, INT64_MAX}};

	for (refusal = REFUSES_METERS; refusal <= REFUSES_SOME; refusal++) {
		const struct topo_switch *sw;

		played_net_init(&net, 2, OF_VERSION_13, &conf);
		keep_entry = net.peers[0].played.flow_mod;
		net.peers[0].played.flow_mod = refuse_entry;
		net.peers[0].played.meter_mod = refuse_meter;
		played_net_start(&net);
		played_net_run(&net, 5 * SECOND);
		for (int i = 0; i < 2; i++)
			played_net_say(&net, i);
		n_refused = 0;
		played_net_policy(&net, limits, 2);
		played_net_run(&net, 600 * SECOND);
		sw = &of_net_topo(net.of)->switches[topo_find_switch(of_net_topo(net.of), 1)];
		assert_true(n_refused > 0);
		if (refusal == REFUSES_SOME) { // the others are tried ever less often
			assert_true(n_refused < 12);
			assert_int_equal(net.peers[0].meters.n, 1);
		} else {
			assert_true(n_refused <= 4); // until all was read again
			assert_true(sw->n_lacks == 2 && strstr(sw->lacks, "a switch without meters") != NULL);
			assert_int_equal(played_net_stats(&net).n_synced, 2);
			played_net_leave(&net, 0);
			net.peers[0].played.flow_mod = keep_entry;
			net.peers[0].played.meter_mod = net.peers[1].played.meter_mod;
			played_net_join(&net, 0); // another session: once more
			played_net_run(&net, 10 * SECOND);
			assert_int_equal(net.peers[0].meters.n, 2);
			assert_int_equal(sw->n_lacks, 0);
		}
		played_net_fini(&net);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_of_a_switch_that_is_away_are_left_to_it_for_a_day),
		cmocka_unit_test(a_request_with_an_end_ends_by_the_switches_own_timers),
		cmocka_unit_test(without_an_end_it_is_said_again_in_time_and_ends_with_the_controller),
		cmocka_unit_test(a_restart_says_nothing_anew),
		cmocka_unit_test(what_a_switch_cannot_keep_is_told_of_it_and_counted),
		cmocka_unit_test(a_host_that_claims_more_and_more_addresses_fills_no_switch),
		cmocka_unit_test(an_update_has_an_end_in_a_network_that_has_no_rest),
		cmocka_unit_test(who_answers_meters_with_errors_is_not_told_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
