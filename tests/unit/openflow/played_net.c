// SPDX-License-Identifier: Apache-2.0
#include "played_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "control/of_priv.h"

#define TURN_NS (PLAYED_NET_SECOND / 10)

static void must(bool holds) // also where assert is empty
{
	if (!holds)
		abort();
}

uint32_t played_net_port(int to)
{
	return (uint32_t)to + 2;
}

// --- one switch

static void say(void *ctx, const uint8_t *bytes, size_t len)
{
	struct played_peer *p = ctx;

	if (p->n_out + len > p->cap_out) {
		p->cap_out = (p->n_out + len) * 2;
		p->out = realloc(p->out, p->cap_out);
		must(p->out != NULL);
	}
	memcpy(p->out + p->n_out, bytes, len);
	p->n_out += len;
}

struct of_rule played_rule(const struct of_flow_mod *mod)
{
	struct of_rule r;

	memset(&r, 0, sizeof(r));
	r.match = mod->match;
	r.instructions = mod->instructions;
	r.priority = mod->priority;
	r.table = mod->table;
	r.cookie = mod->cookie;
	return r;
}

static void keep(void *ctx, const struct of_flow_mod *mod)
{
	struct played_peer *p = ctx;
	struct of_rule r = played_rule(mod);

	r.leave_ns = p->net->now_ns; // here: since when it is there
	r.ends_ns = mod->hard_s == 0 ? INT64_MAX : p->net->now_ns + mod->hard_s * PLAYED_NET_SECOND;
	of_rules_del(&p->rules, &r);
	if (mod->command == OF_FLOW_ADD)
		must(of_rules_add(&p->rules, &r) == 0);
	must(of_rules_sort(&p->rules) == 0);
	if (p->net->on_mod != NULL)
		p->net->on_mod(p->net, (int)(p - p->net->peers), mod);
}

static void put_entry(const struct played_peer *p, struct of_out *out, const struct of_rule *r)
{
	bool v10 = p->played.version == OF_VERSION_10;
	int64_t lasts_ns = p->net->now_ns - r->leave_ns;
	size_t start = out->n;

	of_put(out, 0, 2);
	of_put(out, r->table, 1);
	of_pad(out, 1);
	if (v10)
		must(of_put_match(out, p->played.version, &r->match, NULL) == 0);
	of_put(out, (uint64_t)(lasts_ns / PLAYED_NET_SECOND), 4);
	of_put(out, (uint64_t)(lasts_ns % PLAYED_NET_SECOND), 4);
	of_put(out, r->priority, 2);
	of_put(out, 0, 2);
	of_put(out, r->ends_ns == INT64_MAX ? 0 : (uint64_t)((r->ends_ns - r->leave_ns) / PLAYED_NET_SECOND), 2);
	of_pad(out, 6);
	of_put(out, r->cookie, 8);
	of_pad(out, 16);
	if (!v10)
		must(of_put_match(out, p->played.version, &r->match, NULL) == 0);
	must(of_put_instructions(out, p->played.version, &r->instructions, NULL) == 0);
	of_patch16(out, start, out->n - start);
}

static void tell_entries(struct played_peer *p, const struct of_msg *request)
{
	static uint8_t body[2048];
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_FLOW, .more = true}};

	for (uint32_t i = 0; i <= p->rules.n; i++) { // one message each, and an empty one
		struct of_out out = {.p = body, .left = sizeof(body)};

		m.mp.more = i < p->rules.n;
		if (m.mp.more)
			put_entry(p, &out, &p->rules.rules[i]);
		must(!out.bad);
		m.mp.body = body;
		m.mp.body_len = (uint16_t)out.n;
		played_send(&p->played, &m);
	}
}

// As the controller's meters are: one band, by kilobits and burst.
static void tell_meters(struct played_peer *p, const struct of_msg *request)
{
	static uint8_t body[32768];
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_METER_CONFIG}};
	struct of_out out = {.p = body, .left = sizeof(body)};

	for (uint32_t i = 0; i < p->meters.n; i++) {
		const struct of_band band = {.rate = p->meters.meters[i].rate_kbps,
					     .burst = p->meters.meters[i].burst_kb};

		of_put(&out, 8 + 16, 2);
		of_put(&out, OF_METER_KBPS | OF_METER_BURST, 2);
		of_put(&out, p->meters.meters[i].id, 4);
		must(of_put_bands(&out, &band, 1) == 0);
	}
	must(!out.bad);
	m.mp.body = body;
	m.mp.body_len = (uint16_t)out.n;
	played_send(&p->played, &m);
}

static bool tell(void *ctx, const struct of_msg *request)
{
	struct played_peer *p = ctx;

	if (request->mp.kind == OF_MP_FLOW)
		tell_entries(p, request);
	else if (request->mp.kind == OF_MP_METER_CONFIG)
		tell_meters(p, request);
	return request->mp.kind == OF_MP_FLOW || request->mp.kind == OF_MP_METER_CONFIG;
}

static void keep_meter(void *ctx, const struct of_meter_mod *mod)
{
	struct played_peer *p = ctx;
	const struct of_meter m = {mod->meter, mod->bands[0].rate, mod->bands[0].burst};

	for (uint32_t i = 0; i < p->meters.n; i++) {
		if (p->meters.meters[i].id != m.id)
			continue;
		memmove(&p->meters.meters[i], &p->meters.meters[i + 1], (p->meters.n - i - 1) * sizeof(m));
		p->meters.n--;
		break;
	}
	if (mod->command != 2)
		must(of_meters_add(&p->meters, &m) == 0);
}

static void expire(struct played_net *n)
{
	for (int i = 0; i < n->n; i++) {
		struct of_rules *r = &n->peers[i].rules;

		for (uint32_t k = 0; k < r->n;) {
			struct of_rule gone = r->rules[k];

			if (gone.ends_ns > n->now_ns) {
				k++;
				continue;
			}
			of_rules_del(r, &gone);
			n->n_expired++;
		}
	}
}

// --- the controller's end

static void to_peer(void *session, const uint8_t *bytes, size_t len)
{
	struct played_peer *p = session;

	must(played_input(&p->played, bytes, len));
}

static void close_peer(void *session)
{
	(void)session;
	must(false);
}

static void settle(struct played_net *n)
{
	static uint8_t bytes[1 << 20];
	struct err err;
	bool some = n->of != NULL;

	while (some) {
		some = false;
		for (int i = 0; i < n->n; i++) {
			struct played_peer *p = &n->peers[i];
			size_t len = p->n_out;

			if (p->sw == NULL || len == 0)
				continue;
			must(len <= sizeof(bytes));
			memcpy(bytes, p->out, len);
			p->n_out = 0;
			some = true;
			must(of_net_input(n->of, p->sw, bytes, len, n->now_ns, &err) == 0);
			of_net_turn(n->of, n->now_ns, n->now_ns);
			if (n->between != NULL)
				n->between(n);
		}
	}
}

static void carry_probes(struct played_net *n)
{
	for (int a = 0; a < n->n; a++) {
		if (n->n_said[a] == n->peers[a].played.n_probes)
			continue;
		n->n_said[a] = n->peers[a].played.n_probes;
		for (int b = 0; b < n->n; b++) {
			const struct played_probe *probe =
				n->linked[a][b] ? played_probe(&n->peers[a].played, played_net_port(b)) : NULL;

			if (probe != NULL && n->peers[b].sw != NULL)
				played_packet_in(&n->peers[b].played, played_net_port(a), probe->frame, probe->len);
		}
	}
}

void played_net_turn(struct played_net *n)
{
	expire(n);
	if (n->of == NULL)
		return;
	of_net_turn(n->of, n->now_ns, n->now_ns);
	settle(n);
	carry_probes(n);
	settle(n);
}

void played_net_run(struct played_net *n, int64_t for_ns)
{
	for (int64_t end = n->now_ns + for_ns; n->now_ns < end; n->now_ns += TURN_NS)
		played_net_turn(n);
}

void played_net_join(struct played_net *n, int peer)
{
	struct played_peer *p = &n->peers[peer];

	p->n_out = 0;
	p->played.n_in = 0;
	p->sw = of_net_attach(n->of, p, n->now_ns);
	must(p->sw != NULL);
	played_hello(&p->played);
	settle(n);
}

void played_net_leave(struct played_net *n, int peer)
{
	struct played_peer *p = &n->peers[peer];

	if (p->sw != NULL)
		of_net_detach(n->of, p->sw, n->now_ns);
	p->sw = NULL;
}

static void keep_note(void *ctx, const char *text)
{
	struct played_net *n = ctx;

	n->n_counted += n->counted != NULL && strstr(text, n->counted) != NULL;
}

void played_net_start(struct played_net *n)
{
	const struct of_net_ops ops = {.send = to_peer, .close = close_peer, .note = keep_note, .ctx = n};

	n->of = of_net_create(&ops, &n->conf);
	must(n->of != NULL);
	for (int i = 0; i < n->n; i++)
		played_net_join(n, i);
}

void played_net_kill(struct played_net *n)
{
	for (int i = 0; i < n->n; i++)
		played_net_leave(n, i);
	of_net_destroy(n->of);
	n->of = NULL;
}

void played_net_init(struct played_net *n, int n_switches, uint8_t version, const struct of_net_conf *conf)
{
	memset(n, 0, sizeof(*n));
	must(n_switches <= PLAYED_NET_MAX);
	n->conf = *conf;
	n->n = n_switches;
	n->now_ns = 1000 * PLAYED_NET_SECOND;
	for (int i = 0; i < n->n; i++) {
		struct played_peer *p = &n->peers[i];

		played_init(&p->played, version, (uint64_t)i + 1, played_net_port(n->n - 1));
		p->net = n;
		p->played.send = say;
		p->played.flow_mod = keep;
		p->played.meter_mod = keep_meter;
		p->played.multipart = tell;
		p->played.ctx = p;
		of_rules_init(&p->rules);
		of_meters_init(&p->meters);
		if (i > 0)
			n->linked[i - 1][i] = n->linked[i][i - 1] = true;
	}
}

void played_net_fini(struct played_net *n)
{
	if (n->of != NULL)
		played_net_kill(n);
	for (int i = 0; i < n->n; i++) {
		played_fini(&n->peers[i].played);
		of_rules_fini(&n->peers[i].rules);
		of_meters_fini(&n->peers[i].meters);
		free(n->peers[i].out);
	}
}

void played_net_say_at(struct played_net *n, int host, int peer, uint32_t port)
{
	uint8_t mac = (uint8_t)(host + 1);
	uint8_t f[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 8,  6, 0, 1,
			 8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, mac, 10, 0, 0, mac};

	played_packet_in(&n->peers[peer].played, port, f, sizeof(f));
	settle(n);
}

void played_net_say(struct played_net *n, int host)
{
	played_net_say_at(n, host, host, PLAYED_NET_HOST_PORT);
}

struct of_net_stats played_net_stats(const struct played_net *n)
{
	struct of_net_stats s;

	of_net_stats(n->of, &s);
	return s;
}

// --- the policy

static struct match flows_of(const struct played_want *w)
{
	struct box b = box_any();
	struct match m;

	b.kinds = MATCH_KINDS_V4;
	b.src = match_ip4_prefix(0x0a000001 + (uint32_t)w->from, 32);
	if (w->to >= 0)
		b.dst = match_ip4_prefix(0x0a000001 + (uint32_t)w->to, 32);
	if (w->verb == PLAYED_DENY_IP6 || w->verb == PLAYED_DENY_FROM6) { // IP6: of all
		b = box_any();
		b.kinds = MATCH_KINDS_V6;
	}
	if (w->verb == PLAYED_DENY_FROM6)
		b.src.lo = b.src.hi = ((u128)0xfd00 << 112) + (u128)w->from + 1;
	match_init(&m);
	must(box_set_time(&b, 0, w->end_ns) && box_normalize(&b) && match_add(&m, &b) == 0);
	return m;
}

void played_net_policy(struct played_net *n, const struct played_want *wants, int n_wants)
{
	struct demands demands;
	struct of_policy policy;
	struct tree tree;
	struct err err;

	tree_init(&tree);
	demands_init(&demands);
	must(tree_add_node(&tree, TREE_NO_PARENT) == 0);
	for (int i = 0; i < n_wants; i++) {
		const struct played_want *w = &wants[i];
		bool denies = w->verb != PLAYED_LIMIT && w->verb != PLAYED_RESERVE;
		struct atom a = {.id = w->id, .rate_bps = w->rate_bps, .match = flows_of(w)};
		struct demand d = {.id = w->id, .rate_bps = w->rate_bps, .end_ns = w->end_ns};

		a.access = denies ? ACCESS_DENY : ACCESS_ALLOW;
		a.part = denies ? ATOM_ACCESS : w->verb == PLAYED_LIMIT ? ATOM_LIMIT : ATOM_RESERVE;
		d.kind = w->verb == PLAYED_LIMIT ? DEMAND_LIMIT : DEMAND_RESERVE;
		d.flows = flows_of(w);
		must(tree_add_atom(&tree, &a) == 0);
		if (!denies)
			must(demands_add(&demands, &d) == 0);
		else
			match_fini(&d.flows);
	}
	must(of_policy_build(&policy, &tree, &demands, n->now_ns, NULL, &err) == 0);
	of_net_policy(n->of, &policy);
	demands_fini(&demands);
	tree_fini(&tree);
}
