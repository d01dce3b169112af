// SPDX-License-Identifier: Apache-2.0
// Switches that withhold what they are asked for, or come to no end of it: how long they are waited for, how much of it
// is kept, and when they may come back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_net.h"
#include "control/of_plan.h"
#include "control/of_priv.h"
#include "played_net.h"

#define SECOND 1000000000LL
#define PEERS 8
#define ENTRIES_MAX 1000

struct peer {
	struct played played;
	struct of_switch *sw;
	bool closed;
	bool withholds; // its entries
	uint32_t xid;   // of the request for them
};

struct net {
	struct of_net *of;
	struct peer peers[PEERS];
	int64_t now_ns;
	char note[256];
	unsigned int n_error_notes;
	struct {
		struct peer *from;
		uint8_t *bytes;
		size_t len;
	} queue[4096]; // said, and not read yet
	unsigned int n_queue;
};

static struct net *the_net;

static void to_controller(void *ctx, const uint8_t *bytes, size_t len)
{
	struct net *n = the_net;

	assert_true(n->n_queue < sizeof(n->queue) / sizeof(n->queue[0]));
	n->queue[n->n_queue].from = ctx;
	n->queue[n->n_queue].bytes = malloc(len);
	n->queue[n->n_queue].len = len;
	assert_non_null(n->queue[n->n_queue].bytes);
	memcpy(n->queue[n->n_queue++].bytes, bytes, len);
}

static void to_peer(void *session, const uint8_t *bytes, size_t len)
{
	struct peer *p = session;

	if (!p->closed)
		assert_true(played_input(&p->played, bytes, len));
}

static void close_peer(void *session)
{
	((struct peer *)session)->closed = true;
}

static void note(void *ctx, const char *text)
{
	struct net *n = ctx;

	n->n_error_notes += strstr(text, "error") != NULL;
	if (strstr(text, "its session ends") != NULL || strstr(text, "refused") != NULL)
		strncpy(n->note, text, sizeof(n->note) - 1);
}

static void leave(struct net *n, struct peer *p)
{
	if (p->sw == NULL)
		return;
	of_net_detach(n->of, p->sw, n->now_ns);
	played_fini(&p->played);
	p->sw = NULL;
}

// What a switch says behind what ends its session is read all the same.
static void settle(struct net *n)
{
	struct err err;

	for (unsigned int i = 0; i < n->n_queue; i++) {
		struct peer *p = n->queue[i].from;

		if (p->sw != NULL &&
		    of_net_input(n->of, p->sw, n->queue[i].bytes, n->queue[i].len, n->now_ns, &err) < 0)
			p->closed = true;
		free(n->queue[i].bytes);
	}
	n->n_queue = 0;
	for (int i = 0; i < PEERS; i++) {
		if (n->peers[i].closed)
			leave(n, &n->peers[i]);
	}
}

static void turns(struct net *n, int64_t for_ns)
{
	for (int64_t end = n->now_ns + for_ns; n->now_ns < end; n->now_ns += SECOND / 10) {
		of_net_turn(n->of, n->now_ns, n->now_ns);
		settle(n);
	}
}

static bool multipart(void *ctx, const struct of_msg *request)
{
	struct peer *p = ctx;

	if (request->mp.kind != OF_MP_FLOW || !p->withholds)
		return false;
	p->xid = request->xid;
	return true;
}

static struct peer *join_as(struct net *n, int i, uint64_t dpid, bool withholds)
{
	struct peer *p = &n->peers[i];

	leave(n, p);
	played_init(&p->played, OF_VERSION_13, dpid, 4);
	p->played.send = to_controller;
	p->played.multipart = multipart;
	p->played.ctx = p;
	p->withholds = withholds;
	p->closed = false;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	assert_non_null(p->sw);
	played_hello(&p->played);
	settle(n);
	return p;
}

static struct peer *join(struct net *n, int i, bool withholds)
{
	return join_as(n, i, (uint64_t)i + 1, withholds);
}

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));
	const struct of_net_ops ops = {.send = to_peer, .close = close_peer, .note = note, .ctx = n};
	const struct of_net_conf conf = {.hosts_max = 64, .entries_max = ENTRIES_MAX};

	the_net = n;
	n->now_ns = 10 * SECOND;
	n->of = of_net_create(&ops, &conf);
	assert_non_null(n->of);
	join(n, 0, false); // who behaves
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct net *n = *state;

	for (int i = 0; i < PEERS; i++)
		leave(n, &n->peers[i]);
	of_net_destroy(n->of);
	free(n);
	return 0;
}

static void only_the_first_is_here(struct net *n)
{
	struct of_net_stats s;

	of_net_stats(n->of, &s);
	assert_int_equal(s.n_switches, 1);
	assert_int_equal(s.n_synced, 1);
	assert_non_null(n->peers[0].sw);
}

// A part of the answer: so many entries of ours, from this number.
static void tell_entries(struct peer *p, uint32_t first, uint32_t count, bool more)
{
	static uint8_t body[OF_MSG_MAX - 16];
	struct of_out out = {.p = body, .left = sizeof(body)};
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = p->xid, .mp = {.kind = OF_MP_FLOW, .more = more}};
	struct of_instructions none = {.goto_table = OF_TABLE_ALL};

	for (uint32_t i = first; i < first + count; i++) {
		struct of_match match;
		size_t start = out.n;

		memset(&match, 0, sizeof(match));
		match.has = OF_HAS_IN_PORT;
		match.in_port = i + 1;
		of_put(&out, 0, 2);
		of_pad(&out, 2 + 8 + 2 + 2 + 2 + 2 + 4);
		of_put(&out, OF_COOKIE, 8);
		of_pad(&out, 16);
		assert_int_equal(of_put_match(&out, OF_VERSION_13, &match, NULL), 0);
		assert_int_equal(of_put_instructions(&out, OF_VERSION_13, &none, NULL), 0);
		of_patch16(&out, start, out.n - start);
	}
	assert_false(out.bad);
	m.mp.body = body;
	m.mp.body_len = (uint16_t)out.n;
	played_send(&p->played, &m);
}

static void who_withholds_its_entries_is_shut_and_may_come_back_ever_later(void **state)
{
	struct net *n = *state;

	for (int64_t pause = SECOND; pause < 5 * SECOND; pause *= 2) {
		join(n, 1, true);
		turns(n, 10 * SECOND - SECOND / 10);
		assert_non_null(n->peers[1].sw);
		turns(n, SECOND / 5);
		assert_null(n->peers[1].sw);
		assert_non_null(strstr(n->note, "does not say which entries it has"));
		only_the_first_is_here(n);
		turns(n, pause - SECOND / 5);
		assert_null(join(n, 1, true)->sw);
		assert_non_null(strstr(n->note, "is back too soon"));
		turns(n, SECOND / 5);
	}
	turns(n, 3600 * SECOND); // forgiven
	join(n, 1, true);
	turns(n, 10 * SECOND + SECOND / 10);
	assert_non_null(strstr(n->note, "for 1 s"));
	turns(n, 2 * SECOND);
	assert_non_null(join(n, 1, false)->sw);
}

static void who_goes_on_is_waited_for_but_not_for_ever(void **state)
{
	struct net *n = *state;
	struct peer *p = join(n, 1, true);
	uint32_t xid = p->xid;

	for (uint32_t i = 0; i < 5; i++) {
		turns(n, 9 * SECOND);
		tell_entries(p, i, 1, true);
		settle(n);
		assert_non_null(p->sw);
		assert_int_equal(p->xid, xid); // and is not asked again
	}
	turns(n, 9 * SECOND);
	tell_entries(p, 5, 1, false);
	turns(n, SECOND);
	assert_non_null(p->sw); // 54 s
	p->withholds = false;
	leave(n, p);
	p = join(n, 2, true);
	for (uint32_t i = 0; i < 59; i++) {
		turns(n, SECOND);
		tell_entries(p, i, 1, true);
		settle(n);
		assert_non_null(p->sw);
	}
	turns(n, SECOND + SECOND / 10);
	assert_null(p->sw);
	assert_non_null(strstr(n->note, "comes to no end of its entries"));
	only_the_first_is_here(n);
}

static void entries_without_end_are_not_kept(void **state)
{
	struct net *n = *state;
	struct peer *p = join(n, 1, true);
	uint32_t told = 0;

	for (; p->sw != NULL && told < 2 * ENTRIES_MAX; told += 100) {
		tell_entries(p, told, 100, true);
		settle(n);
	}
	assert_null(p->sw);
	assert_int_equal(told, ENTRIES_MAX + 100);
	assert_non_null(strstr(n->note, "has more than 1000 entries of ours"));
	turns(n, 5 * SECOND);
	only_the_first_is_here(n);
}

static uint32_t n_here(const struct net *n)
{
	uint32_t here = 0;

	for (int i = 1; i < PEERS; i++)
		here += n->peers[i].sw != NULL;
	return here;
}

// Each tells less than it may: of who have told the most one after the other has to go.
static void nor_are_those_of_many_switches_together(void **state)
{
	struct net *n = *state;

	for (int i = 1; i < PEERS; i++)
		join(n, i, true);
	for (int i = 1; i < PEERS; i++) {
		tell_entries(&n->peers[i], 0, i < 3 ? 100 : 950, true);
		settle(n);
	}
	assert_int_equal(n_here(n), PEERS - 2); // 100 100 950 950 950 950, and one is shut
	assert_true(n->peers[1].sw != NULL && n->peers[2].sw != NULL);
}

// By falling numbers, eight bytes each.
static bool endless_meters(void *ctx, const struct of_msg *request)
{
	static uint8_t body[8000 * 8];
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_METER_CONFIG}};
	struct peer *p = ctx;
	uint32_t id = UINT32_MAX;

	if (request->mp.kind != OF_MP_METER_CONFIG)
		return false;
	m.mp.more = true;
	m.mp.body = body;
	m.mp.body_len = sizeof(body);
	for (int i = 0; i < 9; i++) {
		struct of_out out = {.p = body, .left = sizeof(body)};

		while (out.left > 0) {
			of_put(&out, 8, 2);
			of_put(&out, 0, 2);
			of_put(&out, id--, 4);
		}
		played_send(&p->played, &m);
	}
	return true;
}

static void meters_without_end_are_not_kept(void **state)
{
	struct net *n = *state;
	struct peer *p = join(n, 1, true);

	leave(n, p);
	played_init(&p->played, OF_VERSION_13, 2, 4);
	p->played.send = to_controller;
	p->played.multipart = endless_meters;
	p->played.ctx = p;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	played_hello(&p->played);
	for (int i = 0; i < 4; i++)
		settle(n);
	assert_null(p->sw);
	assert_non_null(strstr(n->note, "has more than 65536 meters"));
	turns(n, 5 * SECOND);
	only_the_first_is_here(n);
}

// Ports, in the handshake.
static bool endless_ports(void *ctx, const struct of_msg *request)
{
	static uint8_t body[64 * 100];
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_PORT_DESC}};
	struct peer *p = ctx;
	struct of_port port = {.no = 0};

	if (request->mp.kind != OF_MP_PORT_DESC)
		return false;
	m.mp.more = true;
	m.mp.body = body;
	m.mp.body_len = sizeof(body);
	for (int i = 0; i < 50; i++) {
		struct of_out out = {.p = body, .left = sizeof(body)};

		while (out.left > 0) {
			port.no++;
			of_put_port(&out, OF_VERSION_13, &port);
		}
		played_send(&p->played, &m);
	}
	return true;
}

static void nor_are_ports(void **state)
{
	struct net *n = *state;
	struct peer *p = &n->peers[1];

	played_init(&p->played, OF_VERSION_13, 2, 4);
	p->played.send = to_controller;
	p->played.multipart = endless_ports;
	p->played.ctx = p;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	played_hello(&p->played);
	for (int i = 0; i < 4; i++)
		settle(n);
	assert_null(p->sw);
	turns(n, 5 * SECOND);
	only_the_first_is_here(n);
}

// What is asked for `verify` is not kept either; the session goes on.
static void nor_is_what_verify_asks_for(void **state)
{
	struct net *n = *state;
	struct peer *p = join(n, 1, false);

	turns(n, 5 * SECOND);
	p->withholds = true;
	of_net_read(n->of);
	settle(n);
	for (uint32_t told = 0; told < 2 * ENTRIES_MAX; told += 100) {
		tell_entries(p, told, 100, true);
		settle(n);
	}
	assert_true(of_net_is_read(n->of)); // it is waited for no more
	of_net_read_stop(n->of);
	assert_non_null(of_net_tables(n->of, 0));
	assert_null(of_net_tables(n->of, 1));
	assert_non_null(p->sw);
	of_net_read_end(n->of);
}

// Somebody who says another number each time: who is here stays, and who comes finds room.
static void switches_without_end_are_not_kept(void **state)
{
	struct net *n = *state;
	const struct topo *t = of_net_topo(n->of);

	join(n, 2, false);
	turns(n, SECOND);
	leave(n, &n->peers[2]);
	for (uint64_t i = 0; i < 2 * TOPO_SWITCHES_MAX; i++) {
		n->now_ns++;
		assert_non_null(join_as(n, 1, 1000 + i, false)->sw);
		if (i == TOPO_SWITCHES_MAX / 2)
			join(n, 2, false); // back in time
		assert_true(t->n_switches <= TOPO_SWITCHES_MAX);
	}
	assert_non_null(n->peers[2].sw);
	turns(n, 5 * SECOND);
	leave(n, &n->peers[1]);
	leave(n, &n->peers[2]);
	assert_int_equal(topo_find_switch(t, 1), 0);
	assert_int_not_equal(topo_find_switch(t, 3), TOPO_NONE);
	assert_int_equal(topo_find_switch(t, 1000), TOPO_NONE);
	only_the_first_is_here(n);
}

// All are counted, and some are told.
static void errors_without_end_are_not_told(void **state)
{
	struct net *n = *state;
	struct of_net_stats s;

	turns(n, 5 * SECOND);
	for (uint16_t i = 0; i < 3000; i++) {
		struct of_msg m = {.type = OF_ERROR, .error = {.type = 3, .code = i}};

		played_send(&n->peers[0].played, &m);
		settle(n);
		n->now_ns += SECOND / 100; // 30 s
	}
	of_net_stats(n->of, &s);
	assert_int_equal(s.errors, 3000);
	assert_int_equal(n->n_error_notes, 3 * (20 + 1));
	assert_non_null(n->peers[0].sw);
}

// --- without meters

static bool no_word_of_meters(void *ctx, const struct of_msg *request)
{
	(void)ctx;
	return request->mp.kind == OF_MP_METER_CONFIG;
}

static void count_meter(void *ctx, const struct of_meter_mod *mod)
{
	fail_msg("it is given meter %u", mod->meter);
	(void)ctx;
}

static void who_withholds_its_meters_gets_all_but_limits(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64};
	const struct played_want limit = {
		.id = 7, .from = 0, .to = 1, .verb = PLAYED_LIMIT, .rate_bps = 5000000, .end_ns = INT64_MAX};
	static struct played_net n;
	const struct topo_switch *sw;

	played_net_init(&n, 2, OF_VERSION_13, &conf);
	n.peers[0].played.multipart = no_word_of_meters;
	n.peers[0].played.meter_mod = count_meter;
	played_net_start(&n);
	played_net_policy(&n, &limit, 1);
	played_net_run(&n, 8 * SECOND);
	assert_int_equal(played_net_stats(&n).n_synced, 1);
	played_net_run(&n, 6 * SECOND);
	assert_int_equal(played_net_stats(&n).n_synced, 2);
	assert_true(n.peers[0].rules.n > 0);
	played_net_say(&n, 0);
	played_net_say(&n, 1);
	played_net_run(&n, SECOND);
	sw = &of_net_topo(n.of)->switches[0];
	assert_int_equal(sw->n_lacks, 1);
	assert_string_equal(sw->lacks, "a switch without meters cannot keep request 7");
	played_net_fini(&n);
	(void)state;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_withholds_its_entries_is_shut_and_may_come_back_ever_later),
		TEST(who_goes_on_is_waited_for_but_not_for_ever),
		TEST(entries_without_end_are_not_kept),
		TEST(nor_are_those_of_many_switches_together),
		TEST(meters_without_end_are_not_kept),
		TEST(nor_are_ports),
		TEST(nor_is_what_verify_asks_for),
		TEST(switches_without_end_are_not_kept),
		TEST(errors_without_end_are_not_told),
		cmocka_unit_test(who_withholds_its_meters_gets_all_but_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
