// SPDX-License-Identifier: Apache-2.0
// Life of a session: up -> entries and meters are read back -> what it should have is compared with what it has, and
// only differences are sent. An error about an entry makes the switch be read back again, after a while.
#include "of_net.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define READ_BACK_NS 3000000000LL // after an error
#define HOLD_NS 1500000000LL      // a switch with entries, after it came up: ports settle meanwhile
#define HOLD_ALL_NS 3000000000LL  // and after the first one came up: others may still be on their way
#define COOKIE_MASK (0xffffffffULL << 32)

void of_net_note(struct of_net *net, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (net->ops.note == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	net->ops.note(net->ops.ctx, text);
}

struct of_net *of_net_create(const struct of_net_ops *ops, const struct of_net_conf *conf)
{
	struct of_net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		return NULL;
	net->ops = *ops;
	net->conf = *conf;
	net->probe_ns = net->boundary_ns = net->first_up_ns = INT64_MAX;
	topo_init(&net->topo, conf->hosts_max);
	flowtab_init(&net->policy);
	return net;
}

void of_net_destroy(struct of_net *net)
{
	if (net == NULL)
		return;
	assert(net->switches == NULL);
	topo_fini(&net->topo);
	flowtab_fini(&net->policy);
	free(net);
}

static uint64_t dpid_of(const struct of_switch *sw)
{
	return of_conn_features(sw->conn)->dpid;
}

static struct of_switch *switch_at(struct of_net *net, uint32_t idx)
{
	struct of_switch *sw = net->switches;

	while (sw != NULL && sw->idx != idx)
		sw = sw->next;
	return sw;
}

// --- reading back what a switch has

static void read_back(struct of_switch *sw)
{
	struct of_msg m = {.type = OF_MULTIPART_REQUEST};

	m.mp = (struct of_mp){
		.kind = OF_MP_FLOW, .table = OF_TABLE_ALL, .out_port = OF_PORT_ANY, .out_group = OF_GROUP_ANY};
	of_rules_fini(&sw->have);
	sw->sync = SYNC_READING;
	sw->read_back_ns = INT64_MAX;
	of_conn_send(sw->conn, &m, NULL);
}

static void on_flow_stats(struct of_switch *sw, const struct of_msg *m)
{
	union of_mp_entry entry;
	uint16_t at = 0;
	struct err err;
	int rc;

	if (sw->sync != SYNC_READING)
		return;
	while ((rc = of_mp_next(m, &at, &entry, &err)) > 0) {
		struct of_rule r;

		memset(&r, 0, sizeof(r));
		r.match = entry.flow.match;
		r.instructions = entry.flow.instructions;
		r.cookie = entry.flow.cookie;
		r.priority = entry.flow.priority;
		r.hard_s = entry.flow.hard_s;
		r.table = entry.flow.table;
		if ((r.cookie & COOKIE_MASK) == OF_COOKIE && of_rules_add(&sw->have, &r) < 0)
			rc = -ENOMEM;
	}
	if (rc < 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be read: %s", dpid_of(sw), err.msg);
	if (m->mp.more)
		return;
	if (of_rules_sort(&sw->have) < 0) {
		sw->read_back_ns = sw->net->now_ns + READ_BACK_NS;
		return;
	}
	sw->sync = SYNC_KNOWN;
	sw->dirty = true;
	if (sw->hold_ns != INT64_MIN && sw->have.n == 0)
		sw->hold_ns = INT64_MIN; // new to us
}

// --- up, ports, errors

static void take_ports(struct of_switch *sw)
{
	struct topo *t = &sw->net->topo;
	const struct topo_switch *known = &t->switches[sw->idx];
	uint32_t n;
	const struct of_port *ports = of_conn_ports(sw->conn, &n);

	for (uint32_t i = 0; i < known->n_ports;) {
		uint32_t no = known->ports[i].no, k = 0;

		while (k < n && ports[k].no != no)
			k++;
		if (k == n)
			topo_port_del(t, sw->idx, no);
		else
			i++;
	}
	for (uint32_t i = 0; i < n; i++)
		topo_port_set(t, sw->idx, ports[i].no, !(ports[i].flags & (OF_PORT_DOWN | OF_PORT_LINK_DOWN)),
			      ports[i].speed_bps, sw->net->now_ns);
	sw->net->probe_ns = sw->net->slow_ns = sw->net->now_ns; // links that are new, or gone: ask everywhere
}

static void on_up(void *ctx, struct of_conn *conn)
{
	struct of_switch *sw = ctx;
	struct of_net *net = sw->net;
	uint32_t idx = topo_switch(&net->topo, of_conn_features(conn)->dpid);

	sw->conn = conn;
	if (idx == TOPO_NONE || switch_at(net, idx) != NULL) {
		of_net_note(net, "a second switch says that it is %016" PRIx64 ": refused", dpid_of(sw));
		net->ops.close(sw->session);
		return;
	}
	sw->idx = idx;
	if (net->first_up_ns == INT64_MAX)
		net->first_up_ns = net->now_ns;
	sw->hold_ns = net->now_ns + HOLD_NS;
	if (sw->hold_ns < net->first_up_ns + HOLD_ALL_NS)
		sw->hold_ns = net->first_up_ns + HOLD_ALL_NS;
	topo_switch_up(&net->topo, idx, true);
	take_ports(sw);
	read_back(sw);
	of_net_note(net, "switch %016" PRIx64 " is up, OpenFlow 1.%u, %u ports", dpid_of(sw),
		    of_conn_version(conn) - 1U, net->topo.switches[idx].n_ports);
}

static void on_error(struct of_switch *sw, const struct of_error *e)
{
	sw->net->stats.errors++;
	of_net_note(sw->net, "switch %016" PRIx64 " answers with error %u, code %u", dpid_of(sw), e->type, e->code);
	if (sw->read_back_ns == INT64_MAX)
		sw->read_back_ns = sw->net->now_ns + READ_BACK_NS;
}

// --- messages

static void on_message(void *ctx, struct of_conn *conn, const struct of_msg *m)
{
	struct of_switch *sw = ctx;

	if (sw->idx == TOPO_NONE) // refused, about to be closed
		return;
	switch (m->type) {
	case OF_PACKET_IN:
		of_discover_packet(sw, &m->packet_in);
		break;
	case OF_PORT_STATUS:
		take_ports(sw);
		break;
	case OF_MULTIPART_REPLY:
		if (m->mp.kind == OF_MP_FLOW)
			on_flow_stats(sw, m);
		break;
	case OF_ERROR:
		on_error(sw, &m->error);
		break;
	default:
		break;
	}
	(void)conn;
}

// --- sessions

static void send_bytes(void *ctx, const uint8_t *bytes, size_t len)
{
	const struct of_switch *sw = ctx;

	sw->net->ops.send(sw->session, bytes, len);
}

struct of_switch *of_net_attach(struct of_net *net, void *session, int64_t now_ns)
{
	static const struct of_conn_ops conn_ops = {.send = send_bytes, .up = on_up, .message = on_message};
	struct of_switch *sw = calloc(1, sizeof(*sw));

	if (sw == NULL)
		return NULL;
	sw->net = net;
	sw->session = session;
	sw->idx = TOPO_NONE;
	sw->read_back_ns = INT64_MAX;
	sw->conn = of_conn_create(&conn_ops, sw, now_ns);
	if (sw->conn == NULL) {
		free(sw);
		return NULL;
	}
	sw->next = net->switches;
	net->switches = sw;
	return sw;
}

void of_net_detach(struct of_net *net, struct of_switch *sw, int64_t now_ns)
{
	struct of_switch **at = &net->switches;

	while (*at != sw)
		at = &(*at)->next;
	*at = sw->next;
	if (sw->idx != TOPO_NONE) {
		topo_switch_up(&net->topo, sw->idx, false);
		of_net_note(net, "switch %016" PRIx64 " is gone", dpid_of(sw));
	}
	of_conn_destroy(sw->conn);
	of_rules_fini(&sw->have);
	free(sw);
	net->now_ns = now_ns;
}

int of_net_input(struct of_net *net, struct of_switch *sw, const uint8_t *bytes, size_t len, int64_t now_ns,
		 struct err *err)
{
	net->now_ns = now_ns;
	return of_conn_input(sw->conn, bytes, len, now_ns, err);
}

// --- what they had before

// A host is where the switch sends frames to its address by a port without a switch behind it.
static void take_host(struct of_net *net, const struct of_switch *sw, const struct of_rule *r)
{
	const struct of_instructions *i = &r->instructions;
	const struct topo_port *port = i->n_actions == 1 ? topo_port(&net->topo, sw->idx, i->actions[0].port) : NULL;

	if (r->match.has != OF_HAS_ETH_DST || port == NULL || !topo_is_edge(port, net->now_ns) ||
	    topo_host(&net->topo, r->match.eth_dst) != NULL)
		return;
	if (topo_host_seen(&net->topo, r->match.eth_dst, sw->idx, port->no, net->now_ns, NULL) > 0)
		topo_host(&net->topo, r->match.eth_dst)->ip4 = (uint32_t)r->cookie;
}

static void end_holds(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->sync != SYNC_KNOWN || sw->hold_ns == INT64_MIN || net->now_ns < sw->hold_ns)
			continue;
		sw->hold_ns = INT64_MIN;
		for (uint32_t i = 0; i < sw->have.n; i++)
			take_host(net, sw, &sw->have.rules[i]);
	}
}

// --- what they should have

static void send_change(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct of_switch *sw = ctx;
	struct of_msg m;
	struct err err;

	of_rule_message(change, rule, &m);
	sw->net->stats.flow_mods++;
	if (of_conn_send(sw->conn, &m, &err) == 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be sent: %s", dpid_of(sw), err.msg);
}

static void bring_up_to_date(struct of_net *net, struct of_switch *sw, const struct of_plan_in *plan_in)
{
	struct of_msg barrier = {.type = OF_BARRIER_REQUEST};
	uint64_t before = net->stats.flow_mods;
	struct of_plan_in in = *plan_in;
	struct of_plan_stats stats;
	struct of_rules want;
	int rc;

	in.version = of_conn_version(sw->conn);
	in.n_tables = of_conn_features(sw->conn)->n_tables;
	of_rules_init(&want);
	rc = of_plan(&in, sw->idx, &want, &stats);
	if (rc < 0) {
		of_net_note(net, "switch %016" PRIx64 ": %s", dpid_of(sw),
			    rc == -E2BIG ? "more ports than one entry can flood to" : "no memory for its entries");
		of_rules_fini(&want);
		return;
	}
	net->stats.rows_unsayable = stats.rows_unsayable;
	of_rules_diff(&sw->have, &want, send_change, sw);
	of_rules_fini(&sw->have);
	sw->have = want;
	sw->dirty = false;
	if (net->stats.flow_mods == before)
		return;
	of_conn_send(sw->conn, &barrier, NULL);
	net->stats.barriers++;
}

static int64_t next_boundary(const struct of_net *net, int64_t wall_ns)
{
	int64_t at = INT64_MAX;

	for (uint32_t i = 0; i < net->policy.n_rows; i++) {
		int64_t start = box_start_ns(&net->policy.rows[i].box), end = box_end_ns(&net->policy.rows[i].box);

		at = start > wall_ns && start < at ? start : at;
		at = end > wall_ns && end < at ? end : at;
	}
	return at;
}

static void plan_all(struct of_net *net, int64_t wall_ns)
{
	uint32_t n = net->topo.n_switches;
	uint32_t *tree = calloc(n + 1U, sizeof(*tree)), *paths = calloc((size_t)n * n + 1, sizeof(*paths));
	const uint32_t **next = calloc(n + 1U, sizeof(*next));
	struct of_plan_in in = {.topo = &net->topo, .tree = tree, .next = next, .policy = &net->policy};
	int rc = tree == NULL || paths == NULL || next == NULL ? -ENOMEM : topo_tree(&net->topo, tree);

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		next[i] = &paths[(size_t)i * n];
		rc = topo_paths_to(&net->topo, i, &paths[(size_t)i * n]);
	}
	in.now_ns = net->now_ns;
	in.policy_ns = wall_ns;
	for (struct of_switch *sw = net->switches; sw != NULL && rc == 0; sw = sw->next) {
		if (sw->sync == SYNC_KNOWN && sw->hold_ns == INT64_MIN)
			bring_up_to_date(net, sw, &in);
	}
	free(tree);
	free(paths);
	free(next);
	if (rc == 0) {
		net->planned_gen = net->topo.gen;
		net->planned_policy = net->policy_gen;
		net->boundary_ns = next_boundary(net, wall_ns);
	}
}

static bool some_dirty(const struct of_net *net)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->sync == SYNC_KNOWN && sw->dirty && sw->hold_ns == INT64_MIN)
			return true;
	}
	return false;
}

void of_net_turn(struct of_net *net, int64_t now_ns, int64_t wall_ns)
{
	net->now_ns = now_ns;
	net->wall_minus_now_ns = wall_ns - now_ns;
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		struct err err;

		if (of_conn_turn(sw->conn, now_ns, &err) < 0) {
			of_net_note(net, "%s", err.msg);
			net->ops.close(sw->session);
		} else if (now_ns >= sw->read_back_ns) {
			read_back(sw);
		}
	}
	if (now_ns >= net->probe_ns)
		of_discover_probe(net);
	if (topo_age(&net->topo, now_ns))
		of_net_note(net, "a link has not been heard of for %lld s: taken out", TOPO_LINK_AGE_NS / 1000000000);
	end_holds(net);
	if (net->topo.gen != net->planned_gen || net->policy_gen != net->planned_policy || some_dirty(net) ||
	    wall_ns >= net->boundary_ns)
		plan_all(net, wall_ns);
}

int64_t of_net_next_ns(const struct of_net *net)
{
	int64_t at = net->switches == NULL ? INT64_MAX : net->probe_ns;

	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		int64_t keep_alive = of_conn_next_ns(sw->conn);

		at = keep_alive < at ? keep_alive : at;
		at = sw->read_back_ns < at ? sw->read_back_ns : at;
		at = sw->hold_ns != INT64_MIN && sw->sync == SYNC_KNOWN && sw->hold_ns < at ? sw->hold_ns : at;
	}
	if (net->boundary_ns != INT64_MAX && net->boundary_ns - net->wall_minus_now_ns < at)
		at = net->boundary_ns - net->wall_minus_now_ns;
	return at;
}

void of_net_policy(struct of_net *net, struct flowtab *policy)
{
	flowtab_fini(&net->policy);
	net->policy = *policy;
	flowtab_init(policy);
	net->policy_gen++;
}

const struct topo *of_net_topo(const struct of_net *net)
{
	return &net->topo;
}

void of_net_stats(const struct of_net *net, struct of_net_stats *out)
{
	*out = net->stats;
	out->n_hosts = net->topo.n_hosts;
	out->n_links = out->n_switches = out->n_synced = 0;
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		const struct topo_switch *t = sw->idx == TOPO_NONE ? NULL : &net->topo.switches[sw->idx];
		uint32_t peer, peer_port;

		out->n_switches += t != NULL;
		out->n_synced += sw->sync == SYNC_KNOWN && !sw->dirty;
		for (uint32_t i = 0; t != NULL && i < t->n_ports; i++)
			out->n_links += topo_link(&net->topo, sw->idx, t->ports[i].no, &peer, &peer_port);
	}
}
