// SPDX-License-Identifier: Apache-2.0
#include "of_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 255

// --- matches

static bool same_bits(const uint8_t *a, const uint8_t *b, const uint8_t *mask, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if ((a[i] ^ b[i]) & mask[i])
			return false;
	}
	return true;
}

static bool ethernet_matches(const struct of_packet *p, const struct of_match *m)
{
	uint16_t vlan = p->vlan == 0 ? OF_VLAN_NONE : p->vlan;

	if ((m->has & OF_HAS_ETH_DST) && !same_bits(p->eth_dst, m->eth_dst, m->eth_dst_mask, 6))
		return false;
	if ((m->has & OF_HAS_ETH_SRC) && !same_bits(p->eth_src, m->eth_src, m->eth_src_mask, 6))
		return false;
	if ((m->has & OF_HAS_ETH_TYPE) && p->eth_type != m->eth_type)
		return false;
	if ((m->has & OF_HAS_VLAN_PCP) && m->vlan_pcp != 0)
		return false;
	if ((m->has & OF_HAS_VLAN) && m->vlan == OF_VLAN_UPPER)
		return p->vlan >= 2048;
	return !(m->has & OF_HAS_VLAN) || (m->vlan == OF_VLAN_ANY ? p->vlan != 0 : m->vlan == vlan);
}

static bool addresses_match(const struct of_packet *p, const struct of_match *m)
{
	if ((m->has & (OF_HAS_IP4_SRC | OF_HAS_ARP_SPA)) && ((p->ip4_src ^ m->ip4_src) & m->ip4_src_mask) != 0)
		return false;
	if ((m->has & (OF_HAS_IP4_DST | OF_HAS_ARP_TPA)) && ((p->ip4_dst ^ m->ip4_dst) & m->ip4_dst_mask) != 0)
		return false;
	if ((m->has & OF_HAS_IP6_SRC) && !same_bits(p->ip6_src, m->ip6_src, m->ip6_src_mask, 16))
		return false;
	return !(m->has & OF_HAS_IP6_DST) || same_bits(p->ip6_dst, m->ip6_dst, m->ip6_dst_mask, 16);
}

bool of_packet_matches(const struct of_packet *p, uint32_t in_port, const struct of_match *m)
{
	if ((m->has & OF_HAS_IN_PORT) && m->in_port != in_port)
		return false;
	if (!ethernet_matches(p, m) || !addresses_match(p, m))
		return false;
	if ((m->has & OF_HAS_IP_DSCP) && m->ip_dscp != 0)
		return false;
	if ((m->has & OF_HAS_IP_PROTO) && m->ip_proto != p->ip_proto)
		return false;
	if ((m->has & OF_HAS_ARP_OP) && m->arp_op != p->arp_op)
		return false;
	if ((m->has & OF_HAS_ICMP_TYPE) && m->icmp_type != p->icmp_type)
		return false;
	if ((m->has & OF_HAS_ICMP_CODE) && m->icmp_code != p->icmp_code)
		return false;
	if ((m->has & OF_HAS_L4_SRC) && ((p->l4_src ^ m->l4_src) & m->l4_src_mask) != 0)
		return false;
	return !(m->has & OF_HAS_L4_DST) || ((p->l4_dst ^ m->l4_dst) & m->l4_dst_mask) == 0;
}

// --- ways

// Each port once without a tag and once with one.
static uint32_t depth_max(const struct of_trace *t)
{
	return 2 * t->n_ports;
}

int of_trace_init(struct of_trace *t, const struct topo *topo, const struct of_rules *const *tables)
{
	*t = (struct of_trace){.topo = topo, .tables = tables};
	t->first = calloc(topo->n_switches + 1U, sizeof(*t->first));
	if (t->first == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < topo->n_switches; i++) {
		t->first[i] = t->n_ports;
		t->n_ports += topo->switches[i].n_ports;
	}
	t->stamp = calloc(t->n_ports + 1U, sizeof(*t->stamp));
	t->hops = calloc(depth_max(t) + 1U, sizeof(*t->hops));
	t->packets = calloc(depth_max(t) + 1U, sizeof(*t->packets));
	if (t->stamp == NULL || t->hops == NULL || t->packets == NULL) {
		of_trace_fini(t);
		return -ENOMEM;
	}
	t->path = t->hops;
	return 0;
}

void of_trace_fini(struct of_trace *t)
{
	free(t->first);
	free(t->stamp);
	free(t->hops);
	free(t->packets);
	*t = (struct of_trace){0};
}

static const struct of_rule *look_up(struct of_trace *t, const struct of_rules *rules, unsigned int table,
				     const struct of_packet *p, uint32_t in_port)
{
	uint32_t lo = 0, hi = rules->n;

	while (lo < hi) { // the first of the table
		uint32_t mid = lo + (hi - lo) / 2;

		if (rules->rules[mid].table < table)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < rules->n && rules->rules[lo].table == table; lo++) { // highest priority first
		t->n_compared++;
		if (of_packet_matches(p, in_port, &rules->rules[lo].match))
			return &rules->rules[lo];
	}
	return NULL;
}

static void come_in(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port);

static void send(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port)
{
	const struct topo_port *out = topo_port(t->topo, sw, port);
	uint32_t peer, peer_port;

	if (out != NULL && topo_link(t->topo, sw, port, &peer, &peer_port))
		come_in(t, p, peer, peer_port);
	else {
		t->packet = p;
		t->event(t->ctx, out != NULL && out->up && !out->inner ? OF_TRACE_EDGE : OF_TRACE_NOWHERE, sw, port);
	}
}

static void output(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t in_port, uint32_t port)
{
	const struct topo_switch *s = &t->topo->switches[sw];

	switch (port) {
	case OF_PORT_CONTROLLER:
	case OF_PORT_LOCAL:
		break;
	case OF_PORT_IN_PORT:
		send(t, p, sw, in_port);
		break;
	case OF_PORT_FLOOD:
	case OF_PORT_ALL:
		for (uint32_t i = 0; i < s->n_ports; i++) {
			if (s->ports[i].no != in_port && s->ports[i].up)
				send(t, p, sw, s->ports[i].no);
		}
		break;
	case OF_PORT_NORMAL:
	case OF_PORT_TABLE:
		t->event(t->ctx, OF_TRACE_UNCHECKED, sw, in_port);
		break;
	default:
		if (port != in_port) // a switch does not send back unless told so by OF_PORT_IN_PORT
			send(t, p, sw, port);
	}
}

static void act(struct of_trace *t, const struct of_instructions *todo, struct of_packet *p, uint32_t sw,
		uint32_t in_port)
{
	for (int i = 0; i < todo->n_actions; i++) {
		const struct of_action *a = &todo->actions[i];

		switch (a->type) {
		case OF_ACT_OUTPUT:
		case OF_ACT_ENQUEUE:
			output(t, p, sw, in_port, a->port);
			break;
		case OF_ACT_ETH_DST:
			memcpy(p->eth_dst, a->eth, 6);
			break;
		case OF_ACT_ETH_SRC:
			memcpy(p->eth_src, a->eth, 6);
			break;
		case OF_ACT_VLAN:
			p->vlan = a->vlan & 0xfff;
			break;
		case OF_ACT_POP_VLAN:
			p->vlan = 0;
			break;
		case OF_ACT_GROUP:
			t->event(t->ctx, OF_TRACE_UNCHECKED, sw, in_port);
			break;
		default: // queues and new tags do not change the way
			break;
		}
	}
}

// Tables one after the other; of what is written the last one counts, at the end.
static void run_tables(struct of_trace *t, struct of_packet *p, uint32_t sw, uint32_t port)
{
	const struct of_instructions *written = NULL;
	unsigned int table = 0, n_out = 0;

	while (table < TABLES_MAX) {
		const struct of_rule *r = look_up(t, t->tables[sw], table, p, port);

		if (r == NULL) {
			if (table == 0 || n_out == 0)
				t->event(t->ctx, OF_TRACE_MISS, sw, port);
			break;
		}
		n_out += r->instructions.n_actions;
		if (r->instructions.write)
			written = &r->instructions;
		else
			act(t, &r->instructions, p, sw, port);
		if (r->instructions.goto_table == OF_TABLE_ALL && n_out == 0)
			t->event(t->ctx, OF_TRACE_DROP, sw, port);
		if (r->instructions.goto_table == OF_TABLE_ALL || r->instructions.goto_table <= table)
			break; // a table is left for later ones only
		table = r->instructions.goto_table;
	}
	if (written != NULL)
		act(t, written, p, sw, port);
}

// The place of a port among all of the network; n_ports: unknown.
static uint32_t place(const struct of_trace *t, uint32_t sw, uint32_t port)
{
	const struct topo_port *p = topo_port(t->topo, sw, port);

	return p == NULL ? t->n_ports : t->first[sw] + (uint32_t)(p - t->topo->switches[sw].ports);
}

// What switches change.
static bool same_packet(const struct of_packet *a, const struct of_packet *b)
{
	return a->vlan == b->vlan && memcmp(a->eth_dst, b->eth_dst, 6) == 0 && memcmp(a->eth_src, b->eth_src, 6) == 0;
}

// Whether it came by there before, on this way; *same: just as it is now.
static bool on_path(const struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port, bool *same)
{
	bool was = false;

	*same = false;
	for (uint32_t i = 0; i < t->depth; i++) {
		if (t->hops[i].sw != sw || t->hops[i].port != port)
			continue;
		was = true;
		*same |= same_packet(&t->packets[i], p);
	}
	return was;
}

// Depth first. No port is entered twice in a run but by a packet that was changed on its way (a tag), so that it ends.
static void come_in(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port)
{
	struct of_packet copy = *p;
	uint32_t at = place(t, sw, port);

	if (t->stamp[at] == t->run) {
		bool same, was = on_path(t, p, sw, port, &same);

		if (!was || same || t->depth == depth_max(t)) {
			t->event(t->ctx, was ? OF_TRACE_LOOP : OF_TRACE_TWICE, sw, port);
			return;
		}
	}
	t->stamp[at] = t->run;
	t->packets[t->depth] = *p;
	t->hops[t->depth++] = (struct of_hop){sw, port};
	if (t->tables[sw] == NULL)
		t->event(t->ctx, OF_TRACE_UNCHECKED, sw, port);
	else
		run_tables(t, &copy, sw, port);
	t->depth--;
}

void of_trace_run(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port)
{
	if (place(t, sw, port) == t->n_ports)
		return;
	if (++t->run == 0) { // all stamps are old again
		memset(t->stamp, 0, t->n_ports * sizeof(*t->stamp));
		t->run = 1;
	}
	t->depth = 0;
	come_in(t, p, sw, port);
}
