// SPDX-License-Identifier: Apache-2.0
#include "of_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lldp.h"
#include "of_lower.h"
#include "of_plan_priv.h"

#define ETH_TYPE_ARP 0x0806

struct of_rule *plan_blank(struct of_rule *r, unsigned int table, unsigned int priority)
{
	memset(r, 0, sizeof(*r));
	r->table = (uint8_t)table;
	r->priority = (uint16_t)priority;
	r->cookie = OF_COOKIE;
	r->ends_ns = INT64_MAX;
	r->instructions.goto_table = OF_TABLE_ALL;
	return r;
}

int64_t plan_end(const struct plan *p, uint32_t key, int64_t ends_ns, unsigned int halves)
{
	int64_t half_ns = p->in->lease_ns / 2, phase_ns;

	if (half_ns == 0 || ends_ns != INT64_MAX)
		return ends_ns;
	phase_ns = (int64_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 2) % half_ns;
	return (p->in->policy_ns + phase_ns) / half_ns * half_ns - phase_ns + half_ns * (1 + (int64_t)halves);
}

void plan_add(struct plan *p, const struct of_rule *r)
{
	if (p->rc == 0)
		p->rc = of_rules_add(p->out, r);
}

void plan_output(struct plan *p, struct of_rule *r, uint32_t port)
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

void plan_goto(struct of_rule *r, unsigned int table)
{
	r->instructions.goto_table = (uint8_t)table;
}

void plan_in_port(struct of_rule *r, uint32_t port)
{
	r->match.has |= OF_HAS_IN_PORT;
	r->match.in_port = port;
}

void plan_unsaid(struct plan *p, const struct err *err)
{
	p->stats->rows_unsayable++;
	if (p->stats->denials_unsayable == 0)
		memcpy(p->stats->why, err->msg, sizeof(p->stats->why) - 1);
}

// What is denied and goes through is told before all else.
void plan_row_unsaid(struct plan *p, const struct row *row, const struct err *err)
{
	if (p->unsaid == row)
		return;
	p->unsaid = row;
	plan_unsaid(p, err);
	if (row->action.access != ACCESS_DENY)
		return;
	p->stats->denials_unsayable++;
	memcpy(p->stats->why, err->msg, sizeof(p->stats->why) - 1);
}

// To all hosts and along the tree; a switch never sends a frame back where it came from (OpenFlow 1.3.5, 7.2.5).
static void flood(struct plan *p, struct of_rule *r)
{
	r->flood = true;
	for (uint32_t i = 0; i < p->sw->n_ports; i++) {
		const struct topo_port *port = &p->sw->ports[i];

		if (topo_is_edge(port, p->in->now_ns) || topo_on_tree(p->in->topo, p->in->tree, p->idx, port->no))
			plan_output(p, r, port->no);
	}
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
	static const uint16_t types[] = {LLDP_ETH_TYPE, LLDP_THROUGH_TYPE};
	struct of_rule r;

	for (size_t i = 0; i < 2; i++) {
		plan_blank(&r, OF_PLAN_POLICY, PRIORITY_PROBE);
		r.match.has = OF_HAS_ETH_TYPE;
		r.match.eth_type = types[i];
		plan_output(p, &r, OF_PORT_CONTROLLER);
		plan_add(p, &r);
	}
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
			plan_blank(&r, OF_PLAN_POLICY, PRIORITY_INNER);
			plan_in_port(&r, port->no);
			plan_goto(&r, OF_PLAN_FORWARD);
		} else {
			plan_blank(&r, OF_PLAN_POLICY, PRIORITY_UNSETTLED);
			plan_in_port(&r, port->no);
		}
		plan_add(p, &r);
	}
}

// What tells of addresses (addrs.h).
enum teller { TELLER_ARP, TELLER_DHCP, TELLER_ND_ASKS, TELLER_ND_SAYS, TELLER_N };

static void match_teller(struct of_rule *r, enum teller what)
{
	struct of_match *m = &r->match;

	m->has = OF_HAS_ETH_TYPE;
	m->eth_type = what == TELLER_ARP ? ETH_TYPE_ARP : what == TELLER_DHCP ? 0x0800 : 0x86dd;
	if (what == TELLER_ARP)
		return;
	m->has |= OF_HAS_IP_PROTO | (what == TELLER_DHCP ? OF_HAS_L4_SRC | OF_HAS_L4_DST : OF_HAS_ICMP_TYPE);
	m->ip_proto = what == TELLER_DHCP ? 17 : 58;
	if (what == TELLER_DHCP) { // from a server
		m->l4_src = 67;
		m->l4_dst = 68;
		m->l4_src_mask = m->l4_dst_mask = 0xffff;
	} else {
		m->icmp_type = what == TELLER_ND_ASKS ? 135 : 136;
	}
}

static void add_learning(struct plan *p)
{
	const struct topo *t = p->in->topo;
	struct of_rule r;

	for (enum teller what = 0; what < TELLER_N; what++) {
		plan_blank(&r, OF_PLAN_LEARN, PRIORITY_ARP);
		match_teller(&r, what);
		plan_output(p, &r, OF_PORT_CONTROLLER);
		plan_goto(&r, OF_PLAN_PATH);
		plan_add(p, &r);
	}
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i].sw != p->idx)
			continue;
		plan_blank(&r, OF_PLAN_LEARN, PRIORITY_LEARN);
		plan_in_port(&r, t->hosts[i].port);
		match_eth(&r, true, t->hosts[i].mac);
		plan_goto(&r, OF_PLAN_PATH);
		plan_add(p, &r);
	}
	plan_tells(p);
	plan_blank(&r, OF_PLAN_LEARN, 0);
	plan_output(p, &r, OF_PORT_CONTROLLER);
	plan_goto(&r, OF_PLAN_PATH);
	plan_add(p, &r);
	plan_blank(&r, OF_PLAN_PATH, 0);
	plan_goto(&r, OF_PLAN_FORWARD);
	plan_add(p, &r);
}

// --- where they go

static uint64_t hash_of(const uint8_t mac[6], uint64_t dpid, uint32_t port)
{
	uint64_t h = dpid * UINT64_C(0x9e3779b97f4a7c15) + port;

	for (int i = 0; i < 6; i++)
		h = (h ^ mac[i]) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

uint32_t plan_port_to(const struct plan *p, const struct topo_host *h)
{
	const uint16_t *dist = p->in->dist[h->sw];
	uint32_t best = TOPO_NONE;
	uint64_t most = 0;

	if (h->sw == p->idx)
		return h->port;
	for (uint32_t i = 0; i < p->n_links; i++) {
		uint64_t hash;

		if (dist[p->links[i].peer] + 1 != dist[p->idx] ||
		    !topo_leads(p->in->topo, p->in->tree, p->idx, p->links[i].port, h->sw))
			continue;
		hash = hash_of(h->mac, p->sw->dpid, p->links[i].port);
		if (best == TOPO_NONE || hash > most || (hash == most && p->links[i].port < best)) {
			best = p->links[i].port;
			most = hash;
		}
	}
	return best;
}

static uint16_t hops_to(const struct plan *p, const struct topo_host *h)
{
	return (uint16_t)(p->in->dist[h->sw][p->idx] + 1);
}

static void send_to(struct plan *p, struct of_rule *r, const struct topo_host *h, uint32_t port)
{
	struct of_instructions *i = &r->instructions;

	if (p->group_to[h->sw] == 0) {
		plan_output(p, r, port);
		return;
	}
	i->actions[i->n_actions].type = OF_ACT_GROUP;
	i->actions[i->n_actions++].group = p->group_to[h->sw];
}

static void add_forwarding(struct plan *p)
{
	const struct topo *t = p->in->topo;
	unsigned int table = p->tables ? OF_PLAN_FORWARD : OF_PLAN_POLICY;
	struct of_rule r;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t port = plan_port_to(p, &t->hosts[i]);

		if (port == TOPO_NONE)
			continue;
		plan_blank(&r, table, PRIORITY_FORWARD);
		match_eth(&r, false, t->hosts[i].mac);
		if (t->hosts[i].sw == p->idx)
			r.cookie |= t->hosts[i].ip4;
		r.hops = hops_to(p, &t->hosts[i]);
		send_to(p, &r, &t->hosts[i], port);
		plan_add(p, &r);
	}
	for (enum teller what = 0; !p->tables && what <= TELLER_DHCP; what++) { // 1.0 has no IPv6
		plan_blank(&r, table, PRIORITY_ARP);
		match_teller(&r, what);
		plan_output(p, &r, OF_PORT_CONTROLLER);
		flood(p, &r);
		plan_add(p, &r);
	}
	plan_blank(&r, table, 0);
	if (!p->tables)
		plan_output(p, &r, OF_PORT_CONTROLLER);
	flood(p, &r);
	plan_add(p, &r);
}

// --- the policy

bool plan_has_hosts(const struct plan *p, uint32_t sw)
{
	const struct topo_switch *s = &p->in->topo->switches[sw];

	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (topo_is_edge(&s->ports[i], p->in->now_ns))
			return true;
	}
	return false;
}

// --- access

static void add_row_once(struct plan *p, const struct row *row, const struct of_match *match, unsigned int priority)
{
	const struct topo *t = p->in->topo;
	struct of_rule r;

	plan_blank(&r, OF_PLAN_POLICY, priority);
	r.match = *match;
	r.ends_ns = box_end_ns(&row->box);
	if (row->action.access == ACCESS_DENY) {
		plan_add(p, &r);
		return;
	}
	if (p->tables) {
		plan_goto(&r, OF_PLAN_LIMIT);
		plan_add(p, &r);
		return;
	}
	if (row->action.limits.n > 0)
		r.instructions.meter = plan_flat_meter(p, row);
	if (p->in->circuits != NULL)
		plan_row_circuits(p, row, priority + 2);
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t port = plan_port_to(p, &t->hosts[i]);
		struct of_rule to = r;

		to.priority++;
		if (port == TOPO_NONE || !of_match_to(match, t->hosts[i].mac, &to.match))
			continue;
		to.hops = hops_to(p, &t->hosts[i]);
		plan_limited(p, &to, row, &t->hosts[i], port);
		plan_add(p, &to);
	}
	flood(p, &r);
	plan_add(p, &r);
}

// In 1.0 a row about both families is said of IPv4.
static int lower_row(struct plan *p, const struct row *row, struct of_match *matches, struct err *err)
{
	struct box box = row->box;

	if (p->in->version == OF_VERSION_10 && box.kinds != MATCH_KINDS_ALL && (box.kinds & MATCH_KINDS_V4) &&
	    (box.kinds & MATCH_KINDS_V6)) {
		box.kinds &= ~MATCH_KINDS_V6;
		err_set(err, ENOTSUP, "OpenFlow 1.0 cannot match IPv6");
		plan_row_unsaid(p, row, err);
	}
	return of_lower_box(&box, p->in->version, matches, PLAN_MATCHES_MAX, err);
}

static void add_row(struct plan *p, const struct row *row)
{
	static struct of_match matches[PLAN_MATCHES_MAX];
	uint64_t priority = PRIORITY_ROW + (uint64_t)PRIORITY_STEP * row->rank;
	struct err err;
	int n;

	// Without tables what comes from other switches is judged again: what is let through there must be here, too.
	// What is denied there, too: one table cannot watch what comes from hosts alone but by an entry a port.
	if (p->tables && plan_is_elsewhere(p, p->idx, &row->box, true)) {
		if (row->action.access == ACCESS_DENY)
			plan_watch(p, &row->box);
		return;
	}
	n = lower_row(p, row, matches, &err);
	if (n >= 0 && priority > PRIORITY_ROW_LAST)
		n = err_set(&err, E2BIG, "a row of rank %u is beyond what priorities can say", row->rank);
	if (n < 0)
		plan_row_unsaid(p, row, &err);
	for (int i = 0; i < n; i++)
		add_row_once(p, row, &matches[i], (unsigned int)priority);
}

static void add_policy(struct plan *p)
{
	const struct flowtab *ft = p->tables ? &p->in->policy->access : &p->in->policy->flat;

	if (!plan_has_hosts(p, p->idx))
		return;
	for (uint32_t i = 0; i < ft->n_rows; i++) {
		const struct row *row = &ft->rows[i];

		if (box_start_ns(&row->box) <= p->in->policy_ns && box_end_ns(&row->box) > p->in->policy_ns)
			add_row(p, row);
	}
}

static int find_links(struct plan *p)
{
	const struct topo_switch *sw = p->sw;

	p->links = calloc(sw->n_ports + 1U, sizeof(*p->links));
	for (uint32_t i = 0; p->links != NULL && i < sw->n_ports; i++) {
		uint32_t peer, peer_port;

		if (topo_link(p->in->topo, p->idx, sw->ports[i].no, &peer, &peer_port))
			p->links[p->n_links++] = (struct plan_link){sw->ports[i].no, peer};
	}
	return p->links == NULL ? -ENOMEM : 0;
}

bool of_plan_lets_in(const struct of_rule *rule)
{
	return rule->table == OF_PLAN_POLICY && rule->priority == PRIORITY_INNER;
}

bool of_plan_keeps_out(const struct of_rule *rule)
{
	return rule->table == OF_PLAN_POLICY && rule->priority == PRIORITY_UNSETTLED;
}

int of_plan(const struct of_plan_in *in, uint32_t sw, struct of_rules *out, struct of_meters *meters,
	    struct of_groups *groups, struct of_plan_stats *stats)
{
	struct plan p = {.in = in,
			 .sw = &in->topo->switches[sw],
			 .idx = sw,
			 .out = out,
			 .meters = meters,
			 .groups = groups,
			 .stats = stats};
	struct of_rule r;

	p.tables = in->version == OF_VERSION_13 && in->n_tables >= OF_PLAN_TABLES;
	memset(stats, 0, sizeof(*stats));
	p.rc = find_links(&p);
	if (p.rc == 0)
		plan_groups(&p);
	if (p.rc < 0) {
		free(p.links);
		free(p.group_to);
		return p.rc;
	}
	add_probes(&p);
	add_ports(&p);
	if (in->circuits != NULL)
		plan_circuits(&p);
	add_policy(&p);
	if (p.tables) {
		plan_blank(&r, OF_PLAN_POLICY, 0);
		if (plan_has_hosts(&p, sw)) // else a port that is new carries nothing, as the policy is not here
			plan_goto(&r, OF_PLAN_LIMIT);
		plan_add(&p, &r);
		plan_limits(&p);
		add_learning(&p);
	}
	add_forwarding(&p);
	free(p.links);
	free(p.group_to);
	return p.rc < 0 ? p.rc : of_rules_sort(out);
}
