// SPDX-License-Identifier: Apache-2.0
#include "of_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 255
#define NESTED_MAX 4

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

static void act_group(struct of_trace *t, uint32_t id, const struct of_packet *p, uint32_t sw, uint32_t in_port);

static void act(struct of_trace *t, const struct of_action *actions, unsigned int n, struct of_packet *p, uint32_t sw,
		uint32_t in_port)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct of_action *a = &actions[i];

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
			act_group(t, a->group, p, sw, in_port);
			break;
		default: // queues and new tags do not change the way
			break;
		}
	}
}

// --- groups

static bool is_live(const struct of_trace *t, const struct of_bucket *b, uint32_t sw)
{
	const struct topo_port *p = b->watch_port == OF_PORT_ANY ? NULL : topo_port(t->topo, sw, b->watch_port);

	return b->watch_port == OF_PORT_ANY || (p != NULL && p->up);
}

static bool same_actions(const struct of_bucket *a, const struct of_bucket *b)
{
	bool same = a->n_actions == b->n_actions;

	for (unsigned int i = 0; same && i < a->n_actions; i++)
		same = of_action_same(&a->actions[i], &b->actions[i]);
	return same;
}

// The buckets that can be taken, each once: their number.
static unsigned int live_buckets(const struct of_trace *t, const struct of_group_mod *g, uint32_t sw, uint8_t *live)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < g->n_buckets; i++) {
		unsigned int k = 0;

		while (k < n && !same_actions(&g->buckets[live[k]], &g->buckets[i]))
			k++;
		if (k == n && is_live(t, &g->buckets[i], sw))
			live[n++] = (uint8_t)i;
	}
	return n;
}

static unsigned int choose(struct of_trace *t, unsigned int n)
{
	unsigned int at = t->n_chosen;

	if (n < 2)
		return 0;
	if (at == OF_TRACE_CHOICES) {
		t->skips = true;
		return 0;
	}
	if (at >= t->n_given || t->chosen[at] >= n)
		t->chosen[at] = 0;
	t->of[at] = (uint8_t)n;
	t->n_chosen++;
	return t->chosen[at];
}

bool of_trace_again(struct of_trace *t)
{
	unsigned int n = t->n_chosen;

	while (n > 0 && t->chosen[n - 1] + 1 == t->of[n - 1])
		n--;
	if (n > 0 && ++t->n_ways == OF_TRACE_WAYS) {
		t->skips = true;
		n = 0;
	}
	t->n_chosen = 0;
	t->n_given = n;
	if (n > 0)
		t->chosen[n - 1]++;
	else
		t->n_ways = 0;
	return n > 0;
}

static void act_bucket(struct of_trace *t, const struct of_bucket *b, const struct of_packet *p, uint32_t sw,
		       uint32_t in_port)
{
	struct of_packet copy = *p;

	act(t, b->actions, b->n_actions, &copy, sw, in_port);
}

static void act_group(struct of_trace *t, uint32_t id, const struct of_packet *p, uint32_t sw, uint32_t in_port)
{
	const struct of_groups *groups = t->groups == NULL ? NULL : t->groups[sw];
	const struct of_group *group = groups == NULL ? NULL : of_groups_find(groups, id);
	uint8_t live[OF_BUCKETS_MAX];
	unsigned int n;

	if (group == NULL || group->what.type > OF_GROUP_FAST_FAILOVER || t->nested == NESTED_MAX) {
		t->event(t->ctx, OF_TRACE_UNCHECKED, sw, in_port);
		return;
	}
	n = live_buckets(t, &group->what, sw, live);
	if (n == 0)
		t->event(t->ctx, OF_TRACE_DROP, sw, in_port);
	t->nested++;
	if (group->what.type == OF_GROUP_FULL) {
		for (unsigned int i = 0; i < group->what.n_buckets; i++)
			act_bucket(t, &group->what.buckets[i], p, sw, in_port);
	} else if (n > 0) { // of fast failover the first that is live
		n = group->what.type == OF_GROUP_SELECT ? choose(t, n) : 0;
		act_bucket(t, &group->what.buckets[live[n]], p, sw, in_port);
	}
	t->nested--;
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
			act(t, r->instructions.actions, r->instructions.n_actions, p, sw, port);
		if (r->instructions.goto_table == OF_TABLE_ALL && n_out == 0)
			t->event(t->ctx, OF_TRACE_DROP, sw, port);
		if (r->instructions.goto_table == OF_TABLE_ALL || r->instructions.goto_table <= table)
			break; // a table is left for later ones only
		table = r->instructions.goto_table;
	}
	if (written != NULL)
		act(t, written->actions, written->n_actions, p, sw, port);
}

// IEEE 802.1D, 7.7 and 7.8.
static void run_bridge(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port)
{
	const struct topo_switch *s = &t->topo->switches[sw];
	bool is_own = !topo_port(t->topo, sw, port)->inner;
	uint32_t to, was;

	if (t->bridge != NULL && p->vlan == 0 && !(p->eth_src[0] & 1)) {
		if (of_bridge_find(t->bridge, p->eth_src, &was) && was != port)
			t->event(t->ctx, OF_TRACE_MOVED, sw, port);
		if (!t->forgetful)
			of_bridge_learn(t->bridge, p->eth_src, port);
	}
	if (is_own && t->lets_in != NULL && !t->lets_in(t->ctx, p)) {
		t->event(t->ctx, OF_TRACE_DROP, sw, port);
		return;
	}
	if (t->bridge != NULL && p->vlan == 0 && !(p->eth_dst[0] & 1) && of_bridge_find(t->bridge, p->eth_dst, &to)) {
		if (to == port)
			t->event(t->ctx, OF_TRACE_DROP, sw, port);
		else
			send(t, p, sw, to);
		return;
	}
	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i].no != port && s->ports[i].up)
			send(t, p, sw, s->ports[i].no);
	}
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
	unsigned int nested = t->nested;

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
	t->nested = 0;
	if (t->topo->switches[sw].bridge)
		run_bridge(t, &copy, sw, port);
	else if (t->tables[sw] == NULL)
		t->event(t->ctx, OF_TRACE_UNCHECKED, sw, port);
	else
		run_tables(t, &copy, sw, port);
	t->nested = nested;
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
