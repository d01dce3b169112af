// SPDX-License-Identifier: Apache-2.0
// The network of test_of_update.c: played switches that follow each in its own time, the bridge if there is one, and
// packets through all of them after each entry that some switch has taken over.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/of_trace.h"
#include "of_random.h"
#include "played_bridge.h"
#include "played_net.h"
#include "played_switch.h"

#define SECOND 1000000000LL
#define N 6                      // switches, with a host each; number N is the bridge
#define TOWARDS(k) (N + 2 + (k)) // the port to node k; host i is at port i + 1 of some node

struct net;

struct peer {
	struct played played;
	struct of_switch *sw;
	struct net *net;
	struct of_rules rules;
	struct of_groups groups;
	uint8_t *in, *out; // to the switch, to the controller
	size_t n_in, cap_in, n_out, cap_out;
};

struct net {
	struct of_net *of;
	struct peer peers[N];
	struct topo real;                // what carries frames
	bool linked[N + 1][N + 1];       // probes pass
	uint32_t n_nodes;                // N, or with the bridge
	uint32_t at[N + 1], port[N + 1]; // of host i; port 0: nowhere
	bool known[N + 1];
	struct played_bridge bridge;
	int64_t now_ns;
	uint64_t n_probes[N];
	bool denies;                     // host 0 may not send to host 1
	bool lossless;                   // what is known now must arrive
	unsigned int n_checks, n_spread; // packets; those with several ways
	uint64_t n_groups;
	// of the packet that is followed
	const char *what;
	uint32_t to_sw, to_port;
	unsigned int n_arrived, n_loops, n_twice, n_unknown, n_moved;
};

static void put(uint8_t **to, size_t *n, size_t *cap, const uint8_t *bytes, size_t len)
{
	if (*n + len > *cap) {
		*cap = (*n + len) * 2;
		*to = realloc(*to, *cap);
		assert_non_null(*to);
	}
	memcpy(*to + *n, bytes, len);
	*n += len;
}

static void to_controller(void *ctx, const uint8_t *bytes, size_t len)
{
	struct peer *p = ctx;

	put(&p->out, &p->n_out, &p->cap_out, bytes, len);
}

static void to_peer(void *session, const uint8_t *bytes, size_t len)
{
	struct peer *p = session;

	put(&p->in, &p->n_in, &p->cap_in, bytes, len);
}

static void close_peer(void *session)
{
	fail_msg("a session ends");
	(void)session;
}

// --- packets

static void on_event(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port)
{
	struct net *n = ctx;

	n->n_arrived += what == OF_TRACE_EDGE && sw == n->to_sw && port == n->to_port;
	n->n_loops += what == OF_TRACE_LOOP;
	n->n_twice += what == OF_TRACE_TWICE;
	n->n_unknown += what == OF_TRACE_UNCHECKED;
	n->n_moved += what == OF_TRACE_MOVED;
}

// The bridge judges, as the switches do.
static bool lets_in(void *ctx, const struct of_packet *p)
{
	const struct net *n = ctx;

	return !n->denies || p->eth_type != 0x0800 || p->ip4_src != 0x0a000001 || p->ip4_dst != 0x0a000002;
}

static void follow_one_way(struct net *n, struct of_trace *t, uint32_t from, uint32_t to, bool broadcast)
{
	struct of_packet p = played_packet(from, to, broadcast);
	bool denied = n->denies && !broadcast && from == 0 && to == 1;

	n->to_sw = n->at[to];
	n->to_port = n->port[to];
	n->n_arrived = n->n_loops = n->n_twice = n->n_unknown = 0;
	of_trace_run(t, &p, n->at[from], n->port[from]);
	n->n_checks++;
	if (n->n_unknown > 0)
		fail_msg("%s: an entry names a group that is not there", n->what);
	if (n->n_loops > 0 || (broadcast && n->n_twice > 0))
		fail_msg("%s: what host %u sends to %u%s circles (%u, %u twice)", n->what, from, to,
			 broadcast ? " and all" : "", n->n_loops, n->n_twice);
	if (denied && n->n_arrived > 0)
		fail_msg("%s: a denied packet arrives", n->what);
	if (n->lossless && !denied && n->known[from] && n->known[to] && n->n_arrived != 1)
		fail_msg("%s: what host %u sends to %u arrives %u times%s", n->what, from, to, n->n_arrived,
			 broadcast ? " (to all)" : "");
}

// By each bucket of all groups on the way.
static void follow(struct net *n, struct of_trace *t, uint32_t from, uint32_t to, bool broadcast)
{
	unsigned int n_ways = 0;

	do {
		follow_one_way(n, t, from, to, broadcast);
		n_ways++;
	} while (of_trace_again(t));
	n->n_spread += n_ways > 1;
	assert_false(t->skips);
}

// Whoever says that he is host 0 is denied what it is.
static void follow_forged(struct net *n, struct of_trace *t, uint32_t from)
{
	struct of_packet p = played_packet(from, 1, false);

	p.ip4_src = 0x0a000001;
	do {
		n->to_sw = n->at[1];
		n->to_port = n->port[1];
		n->n_arrived = 0;
		of_trace_run(t, &p, n->at[from], n->port[from]);
		n->n_checks++;
		if (n->n_arrived > 0)
			fail_msg("%s: from host %u a packet with a denied source arrives", n->what, from);
	} while (of_trace_again(t));
}

static void check(struct net *n)
{
	const struct of_rules *tables[N + 1] = {NULL};
	const struct of_groups *groups[N + 1] = {NULL};
	struct of_trace t;

	for (int i = 0; i < N; i++) {
		tables[i] = &n->peers[i].rules;
		groups[i] = &n->peers[i].groups;
	}
	assert_int_equal(of_trace_init(&t, &n->real, tables), 0);
	t.groups = groups;
	t.event = on_event;
	t.ctx = n;
	t.bridge = &n->bridge.learnt;
	t.lets_in = lets_in;
	for (uint32_t from = 0; from < n->n_nodes; from++) {
		for (uint32_t to = 0; to < n->n_nodes && n->port[from] != 0; to++) {
			if (from == to || n->port[to] == 0)
				continue;
			follow(n, &t, from, to, false);
			follow(n, &t, from, to, true);
		}
		if (n->denies && from > 1 && n->port[from] != 0)
			follow_forged(n, &t, from);
	}
	of_trace_fini(&t);
}

// --- switches

static void take(void *ctx, const struct of_flow_mod *mod)
{
	struct peer *p = ctx;
	struct of_rule r = played_rule(mod);

	of_rules_del(&p->rules, &r);
	if (mod->command == OF_FLOW_ADD)
		assert_int_equal(of_rules_add(&p->rules, &r), 0);
	assert_int_equal(of_rules_sort(&p->rules), 0);
	check(p->net);
}

static void take_group(void *ctx, const struct of_group_mod *mod)
{
	struct peer *p = ctx;

	p->net->n_groups++;
	assert_true((of_groups_find(&p->groups, mod->group) == NULL) == (mod->command == 0));
	if (mod->command == 2)
		of_groups_del(&p->groups, mod->group);
	else
		assert_int_equal(of_groups_set(&p->groups, mod), 0);
	check(p->net);
}

static void take_message(struct peer *p)
{
	static uint8_t one[OF_MSG_MAX];
	int len = of_frame(p->in, p->n_in, NULL);

	assert_true(len > 0 && (size_t)len <= p->n_in);
	memcpy(one, p->in, (size_t)len);
	p->n_in -= (size_t)len;
	memmove(p->in, p->in + len, p->n_in);
	assert_true(played_input(&p->played, one, (size_t)len));
}

static void tell_controller(struct peer *p)
{
	static uint8_t all[1 << 16];
	size_t len = p->n_out;
	struct err err;

	assert_true(len <= sizeof(all));
	memcpy(all, p->out, len);
	p->n_out = 0;
	assert_int_equal(of_net_input(p->net->of, p->sw, all, len, p->net->now_ns, &err), 0);
	of_net_turn(p->net->of, p->net->now_ns, p->net->now_ns);
}

// Whoever has something to do does one thing of it, until nobody has.
static void settle(struct net *n)
{
	for (;;) {
		unsigned int busy[2 * N], n_busy = 0;

		for (unsigned int i = 0; i < N; i++) {
			if (n->peers[i].n_in > 0)
				busy[n_busy++] = 2 * i;
			if (n->peers[i].n_out > 0)
				busy[n_busy++] = 2 * i + 1;
		}
		if (n_busy == 0)
			return;
		busy[0] = busy[rnd(n_busy)];
		if (busy[0] % 2 == 0)
			take_message(&n->peers[busy[0] / 2]);
		else
			tell_controller(&n->peers[busy[0] / 2]);
	}
}

// --- the bridge

// What the controller sends through a switch: by the port to the bridge.
static void pass(void *ctx, const struct of_packet_out *out)
{
	struct peer *p = ctx;
	struct net *n = p->net;
	uint32_t from = (uint32_t)(p - n->peers);

	if (out->actions[0].port != TOWARDS(N) || !n->linked[from][N] || out->data_len < 14)
		return;
	of_bridge_learn(&n->bridge.learnt, out->data + 6, TOWARDS(from));
	for (uint32_t k = 0; k < N && (out->data[0] & 1) && out->data[13] == (LLDP_THROUGH_TYPE & 0xff); k++) {
		if (k != from && n->linked[k][N])
			played_packet_in(&n->peers[k].played, TOWARDS(N), out->data, out->data_len);
	}
}

static void tell_sights(struct net *n)
{
	bool up[TOWARDS(N)];

	for (uint32_t port = 1; port < TOWARDS(N) && n->n_nodes > N; port++)
		up[port - 1] = topo_port(&n->real, N, port)->up;
	if (n->n_nodes > N)
		played_bridge_tell(&n->bridge, n->of, up, TOWARDS(N) - 1, n->now_ns);
}

static void carry_probes(struct net *n)
{
	for (uint32_t a = 0; a < N; a++) {
		if (n->n_probes[a] == n->peers[a].played.n_probes)
			continue;
		n->n_probes[a] = n->peers[a].played.n_probes;
		for (uint32_t b = 0; b < N; b++) {
			const struct played_probe *probe =
				n->linked[a][b] ? played_probe(&n->peers[a].played, TOWARDS(b)) : NULL;

			if (probe != NULL)
				played_packet_in(&n->peers[b].played, TOWARDS(a), probe->frame, probe->len);
		}
	}
}

static void turns(struct net *n, int64_t for_ns)
{
	for (int64_t end = n->now_ns + for_ns; n->now_ns < end; n->now_ns += SECOND / 10) {
		if (n->now_ns / (SECOND / 10) % 5 == 0)
			tell_sights(n);
		of_net_turn(n->of, n->now_ns, n->now_ns);
		settle(n);
		carry_probes(n);
		settle(n);
	}
}

// --- the network

static void wire(struct net *n, uint32_t a, uint32_t b)
{
	n->linked[a][b] = n->linked[b][a] = true;
	if (a == N || b == N) {
		topo_join(&n->real, TOWARDS(a == N ? b : a), a == N ? b : a, TOWARDS(N), 0);
		return;
	}
	for (int i = 0; i < 2; i++) {
		topo_probe(&n->real, a, TOWARDS(b), b, TOWARDS(a), 0);
		topo_probe(&n->real, b, TOWARDS(a), a, TOWARDS(b), 0);
	}
}

// A random network; or with many equal ways: leaves and spines, a ring.
static void wire_all(struct net *n, uint32_t shape)
{
	uint32_t n_spines = 2 + rnd(2);

	for (uint32_t i = 1; i < N && shape == 0; i++) {
		wire(n, i, rnd(i));
		if (rnd(2) == 0)
			wire(n, i, rnd(i));
	}
	for (uint32_t leaf = n_spines; leaf < N && shape == 1; leaf++) {
		for (uint32_t i = 0; i < n_spines; i++)
			wire(n, leaf, i);
	}
	for (uint32_t i = 0; i < N && shape == 2; i++)
		wire(n, i, (i + 1) % N);
}

static void say(struct net *n, uint32_t host)
{
	uint8_t mac = (uint8_t)(host + 1);
	uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8,  6, 0, 1,
			 8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, mac, 10, 0, 0, mac};

	if (n->at[host] == N)
		played_bridge_see(&n->bridge, f + 6, n->port[host], n->now_ns);
	else
		played_packet_in(&n->peers[n->at[host]].played, n->port[host], f, sizeof(f));
}

static void deny(struct net *n)
{
	static const struct played_want want = {1, 0, 1, PLAYED_DENY, 0, INT64_MAX};
	static struct played_net only;

	only.of = n->of;
	only.now_ns = n->now_ns;
	played_net_policy(&only, &want, 1);
}

// One switch at least is beside the bridge; others are by chance.
static void wire_bridge(struct net *n)
{
	for (uint32_t i = 0; i < N && n->n_nodes > N; i++) {
		bool beside = i == 0 || rnd(2) == 0;

		topo_port_set(&n->real, i, TOWARDS(N), beside, 0, 0);
		topo_port_set(&n->real, N, TOWARDS(i), beside, 0, 0);
		if (beside)
			wire(n, i, N);
	}
}

static void net_up(struct net *n, bool mixed, bool with_groups, bool bridged)
{
	const struct of_net_ops ops = {.send = to_peer, .close = close_peer, .ctx = n};
	struct of_net_conf conf = {.hosts_max = 64};

	memset(n, 0, sizeof(*n));
	n->now_ns = SECOND;
	n->what = "coming up";
	n->of = of_net_create(&ops, &conf);
	assert_non_null(n->of);
	topo_init(&n->real, 64);
	played_bridge_init(&n->bridge);
	for (uint32_t i = 0; i < N; i++)
		topo_switch_up(&n->real, topo_switch(&n->real, i + 1), true);
	if (bridged)
		topo_switch_up(&n->real, topo_bridge(&n->real), true);
	n->n_nodes = n->real.n_switches;
	for (uint32_t i = 0; i < n->n_nodes; i++)
		n->at[i] = i;
	for (uint32_t i = 0; i < n->n_nodes; i++) {
		for (uint32_t port = 1; port <= TOWARDS(N); port++)
			topo_port_set(&n->real, i, port, port < TOWARDS(N), 0, 0);
	}
	wire_bridge(n);
	wire_all(n, with_groups ? rnd(3) : 0);
	for (uint32_t i = 0; i < N; i++) {
		struct peer *p = &n->peers[i];

		played_init(&p->played, mixed && rnd(2) == 0 ? OF_VERSION_10 : OF_VERSION_13, i + 1, TOWARDS(N));
		p->played.send = to_controller;
		p->played.flow_mod = take;
		p->played.groups_max = with_groups && rnd(4) > 0 ? 1 + rnd(50) : 0;
		p->played.group_mod = take_group;
		p->played.packet_out = pass;
		p->played.ctx = p;
		p->net = n;
		p->sw = of_net_attach(n->of, p, n->now_ns);
		assert_non_null(p->sw);
		played_hello(&p->played);
	}
	turns(n, 5 * SECOND);
	for (uint32_t i = 0; i < n->n_nodes; i++) {
		n->port[i] = i + 1;
		say(n, i);
		if (rnd(2) == 0) // several at once, or one by one
			turns(n, SECOND / 10);
	}
	turns(n, 2 * SECOND);
	for (uint32_t i = 0; i < n->n_nodes; i++)
		n->known[i] = true;
	n->lossless = true;
	n->what = "all being known";
	check(n);
}

static void net_down(struct net *n)
{
	for (int i = 0; i < N; i++) {
		struct peer *p = &n->peers[i];

		of_net_detach(n->of, p->sw, n->now_ns);
		played_fini(&p->played);
		of_rules_fini(&p->rules);
		of_groups_fini(&p->groups);
		free(p->in);
		free(p->out);
	}
	topo_fini(&n->real);
	played_bridge_fini(&n->bridge);
	of_net_destroy(n->of);
}
