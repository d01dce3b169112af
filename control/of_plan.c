// SPDX-License-Identifier: Apache-2.0
#include "of_plan.h"

#include <errno.h>
#include <string.h>

#include "lldp.h"
#include "of_lower.h"

#define ETH_TYPE_ARP 0x0806
#define MATCHES_MAX 512 // of one row

enum table { TABLE_POLICY, TABLE_LEARN, TABLE_FORWARD };

// 1.0 has one table, so its priorities interleave: a row of rank r has ROW + 2 r for its flood and one more for each
// known destination.
enum priority {
	PRIORITY_FORWARD = 200,
	PRIORITY_LEARN = 200,
	PRIORITY_ARP = 300,
	PRIORITY_ROW = 1000,
	PRIORITY_ROW_LAST = 60000,
	PRIORITY_INNER = 64000,
	PRIORITY_UNSETTLED = 64500,
	PRIORITY_PROBE = 65000,
};

struct plan {
	const struct of_plan_in *in;
	const struct topo_switch *sw;
	uint32_t idx;
	bool tables; // 1.3 with at least three
	struct of_rules *out;
	struct of_plan_stats *stats;
	int rc;
};

static struct of_rule *blank(struct of_rule *r, unsigned int table, unsigned int priority)
{
	memset(r, 0, sizeof(*r));
	r->table = (uint8_t)table;
	r->priority = (uint16_t)priority;
	r->cookie = OF_COOKIE;
	r->instructions.goto_table = OF_TABLE_ALL;
	return r;
}

static void add(struct plan *p, const struct of_rule *r)
{
	if (p->rc == 0)
		p->rc = of_rules_add(p->out, r);
}

static void output(struct plan *p, struct of_rule *r, uint32_t port)
{
	struct of_instructions *i = &r->instructions;

	if (i->n_actions == OF_ACTIONS_MAX) {
		p->rc = -E2BIG;
		return;
	}
	memset(&i->actions[i->n_actions], 0, sizeof(*i->actions));
	i->actions[i->n_actions].type = OF_ACT_OUTPUT;
	i->actions[i->n_actions].port = port;
	i->actions[i->n_actions++].max_len = port == OF_PORT_CONTROLLER ? 0xffff : 0;
}

static void forward(struct of_rule *r, unsigned int table)
{
	r->instructions.goto_table = (uint8_t)table;
}

// To all hosts and along the tree; a switch never sends a frame back where it came from (OpenFlow 1.3.5, 7.2.5).
static void flood(struct plan *p, struct of_rule *r)
{
	for (uint32_t i = 0; i < p->sw->n_ports; i++) {
		const struct topo_port *port = &p->sw->ports[i];

		if (topo_is_edge(port, p->in->now_ns) || topo_on_tree(p->in->topo, p->in->tree, p->idx, port->no))
			output(p, r, port->no);
	}
}

static void match_in_port(struct of_rule *r, uint32_t port)
{
	r->match.has |= OF_HAS_IN_PORT;
	r->match.in_port = port;
}

static void match_eth(struct of_rule *r, bool src, const uint8_t mac[6])
{
	r->match.has |= src ? OF_HAS_ETH_SRC : OF_HAS_ETH_DST;
	memcpy(src ? r->match.eth_src : r->match.eth_dst, mac, 6);
	memset(src ? r->match.eth_src_mask : r->match.eth_dst_mask, 0xff, 6);
}

// --- where frames come from

static void add_probes(struct plan *p)
{
	struct of_rule r;

	blank(&r, TABLE_POLICY, PRIORITY_PROBE);
	r.match.has = OF_HAS_ETH_TYPE;
	r.match.eth_type = LLDP_ETH_TYPE;
	output(p, &r, OF_PORT_CONTROLLER);
	add(p, &r);
}

static void add_ports(struct plan *p)
{
	for (uint32_t i = 0; i < p->sw->n_ports; i++) {
		const struct topo_port *port = &p->sw->ports[i];
		uint32_t peer, peer_port;
		struct of_rule r;

		if (!port->up || topo_is_edge(port, p->in->now_ns))
			continue;
		if (topo_link(p->in->topo, p->idx, port->no, &peer, &peer_port)) {
			if (!p->tables)
				continue; // judged again: what was let in is let through
			blank(&r, TABLE_POLICY, PRIORITY_INNER);
			match_in_port(&r, port->no);
			forward(&r, TABLE_FORWARD);
		} else {
			blank(&r, TABLE_POLICY, PRIORITY_UNSETTLED);
			match_in_port(&r, port->no);
		}
		add(p, &r);
	}
}

static void add_learning(struct plan *p)
{
	const struct topo *t = p->in->topo;
	struct of_rule r;

	blank(&r, TABLE_LEARN, PRIORITY_ARP);
	r.match.has = OF_HAS_ETH_TYPE;
	r.match.eth_type = ETH_TYPE_ARP;
	output(p, &r, OF_PORT_CONTROLLER);
	forward(&r, TABLE_FORWARD);
	add(p, &r);
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i].sw != p->idx)
			continue;
		blank(&r, TABLE_LEARN, PRIORITY_LEARN);
		match_in_port(&r, t->hosts[i].port);
		match_eth(&r, true, t->hosts[i].mac);
		forward(&r, TABLE_FORWARD);
		add(p, &r);
	}
	blank(&r, TABLE_LEARN, 0);
	output(p, &r, OF_PORT_CONTROLLER);
	forward(&r, TABLE_FORWARD);
	add(p, &r);
}

// --- where they go

// The port towards a host; TOPO_NONE: none.
static uint32_t port_to(const struct plan *p, const struct topo_host *h)
{
	return h->sw == p->idx ? h->port : p->in->next[h->sw][p->idx];
}

static void add_forwarding(struct plan *p)
{
	const struct topo *t = p->in->topo;
	unsigned int table = p->tables ? TABLE_FORWARD : TABLE_POLICY;
	struct of_rule r;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t port = port_to(p, &t->hosts[i]);

		if (port == TOPO_NONE)
			continue;
		blank(&r, table, PRIORITY_FORWARD);
		match_eth(&r, false, t->hosts[i].mac);
		if (t->hosts[i].sw == p->idx)
			r.cookie |= t->hosts[i].ip4;
		output(p, &r, port);
		add(p, &r);
	}
	if (!p->tables) { // who asks for an address is learnt
		blank(&r, table, PRIORITY_ARP);
		r.match.has = OF_HAS_ETH_TYPE;
		r.match.eth_type = ETH_TYPE_ARP;
		output(p, &r, OF_PORT_CONTROLLER);
		flood(p, &r);
		add(p, &r);
	}
	blank(&r, table, 0);
	if (!p->tables)
		output(p, &r, OF_PORT_CONTROLLER);
	flood(p, &r);
	add(p, &r);
}

// --- the policy

static bool has_hosts(const struct plan *p)
{
	for (uint32_t i = 0; i < p->sw->n_ports; i++) {
		if (topo_is_edge(&p->sw->ports[i], p->in->now_ns))
			return true;
	}
	return false;
}

// A row about one source that is known to be elsewhere is that switch's.
static bool is_elsewhere(const struct plan *p, const struct box *box)
{
	const struct topo *t = p->in->topo;
	bool known = false;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i].ip4 == 0 || box->src.lo != match_ip4(t->hosts[i].ip4) ||
		    box->src.hi != match_ip4_prefix(t->hosts[i].ip4, 32).hi)
			continue;
		if (t->hosts[i].sw == p->idx)
			return false;
		known = true;
	}
	return known;
}

uint32_t of_plan_meter(uint64_t request)
{
	return (uint32_t)(request % 0xfffff) + 1;
}

static void add_row_once(struct plan *p, const struct row *row, const struct of_match *match, unsigned int priority)
{
	const struct topo *t = p->in->topo;
	struct of_rule r;

	blank(&r, TABLE_POLICY, priority);
	r.match = *match;
	if (row->action.access == ACCESS_DENY) {
		add(p, &r);
		return;
	}
	if (p->tables) {
		if (row->action.limits.n > 0)
			r.instructions.meter = of_plan_meter(row->action.limits.id[0]);
		forward(&r, TABLE_LEARN);
		add(p, &r);
		return;
	}
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t port = port_to(p, &t->hosts[i]);
		struct of_rule to = r;

		to.priority++;
		if (port == TOPO_NONE || !of_match_to(match, t->hosts[i].mac, &to.match))
			continue;
		output(p, &to, port);
		add(p, &to);
	}
	flood(p, &r);
	add(p, &r);
}

static void add_row(struct plan *p, const struct row *row)
{
	static struct of_match matches[MATCHES_MAX];
	uint64_t priority = PRIORITY_ROW + 2ULL * row->rank;
	struct err err;
	int n;

	if (is_elsewhere(p, &row->box))
		return;
	n = of_lower_box(&row->box, p->in->version, matches, MATCHES_MAX, &err);
	if (n >= 0 && priority > PRIORITY_ROW_LAST)
		n = err_set(&err, E2BIG, "a row of rank %u is beyond what priorities can say", row->rank);
	if (n < 0) {
		p->stats->rows_unsayable++;
		memcpy(p->stats->why, err.msg, sizeof(p->stats->why) - 1);
		return;
	}
	for (int i = 0; i < n; i++)
		add_row_once(p, row, &matches[i], (unsigned int)priority);
}

static void add_policy(struct plan *p)
{
	const struct flowtab *ft = p->in->policy;

	if (!has_hosts(p))
		return;
	for (uint32_t i = 0; i < ft->n_rows; i++) {
		const struct row *row = &ft->rows[i];

		if (box_start_ns(&row->box) <= p->in->policy_ns && box_end_ns(&row->box) > p->in->policy_ns)
			add_row(p, row);
	}
}

int of_plan(const struct of_plan_in *in, uint32_t sw, struct of_rules *out, struct of_plan_stats *stats)
{
	struct plan p = {.in = in, .sw = &in->topo->switches[sw], .idx = sw, .out = out, .stats = stats};
	struct of_rule r;

	p.tables = in->version == OF_VERSION_13 && in->n_tables >= 3;
	memset(stats, 0, sizeof(*stats));
	add_probes(&p);
	add_ports(&p);
	add_policy(&p);
	if (p.tables) {
		blank(&r, TABLE_POLICY, 0);
		forward(&r, TABLE_LEARN);
		add(&p, &r);
		add_learning(&p);
	}
	add_forwarding(&p);
	return p.rc < 0 ? p.rc : of_rules_sort(out);
}
