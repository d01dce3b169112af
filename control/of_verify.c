// SPDX-License-Identifier: Apache-2.0
// Classes: every test of ports, protocol or tag that can meet a pair's packets cuts that field; a packet of the lowest
// value of each piece stands for all of the product. So within a pair nothing is missed, as long as masks are prefixes.
#include "of_verify.h"

#include <stdlib.h>
#include <string.h>

#include "hft/eval.h"

#define FINDINGS_MAX 64
#define CUTS_MAX 48
#define PACKETS_MAX 4096 // of one pair
#define ETH_ARP 0x0806
#define ETH_IP4 0x0800
#define ETH_IP6 0x86dd

struct endpoint {
	const struct topo_host *host;
	u128 ip;
	uint16_t eth_type; // OF_PACKET_TRIED: without an address
};

enum stage { STAGE_PAIRS, STAGE_ENTRIES, STAGE_BROADCAST, STAGE_DONE };

#define TAG_FIRST 2048 // VLAN ids that switches use among themselves: hosts may not (decision 0013)
#define TAG_LAST 4094
#define VIA_MAX 16 // middleboxes on a way

struct verify_run {       // what became of one packet
	struct of_hop to; // where it should leave
	bool arrived, left, unchecked;
	struct of_hop via; // a host that it was readdressed to has it; sw TOPO_NONE: none
	struct of_packet at_via;
	struct of_hop last; // where a copy was last
	struct of_hop hops[OF_FINDING_HOPS];
	uint32_t n_hops;
};

struct of_verify {
	struct of_verify_in in;
	struct of_trace trace;
	struct of_bridge bridge;
	struct endpoint *ends;
	uint32_t n_ends;
	const struct of_rule **cutting; // entries that test ports, protocol or tag
	uint32_t n_cutting;
	enum stage stage;
	uint32_t i, k; // of the stage
	struct of_packet packet;
	struct of_hop from;
	struct verify_run run;
	bool told[OF_N_FINDINGS]; // for this pair
	uint8_t *reached;         // edge ports, in a broadcast
	struct of_verify_result result;
	struct of_finding findings[FINDINGS_MAX];
};

// --- findings

static bool is_told(const struct of_verify *v, enum of_finding_kind kind, struct of_hop at)
{
	for (uint32_t i = 0; i < v->result.n_findings; i++) {
		const struct of_finding *f = &v->findings[i];

		if (f->kind == kind && f->at.sw == at.sw && f->at.port == at.port)
			return true;
	}
	return false;
}

// A loop is told once for the place where it closes, the others once for a pair.
static void tell(struct of_verify *v, enum of_finding_kind kind, struct of_hop at, const struct of_hop *hops,
		 uint32_t n_hops)
{
	bool by_place = kind != OF_FINDING_LEAK && kind != OF_FINDING_BLACK_HOLE;
	struct of_finding *f;

	if (by_place ? is_told(v, kind, at) : v->told[kind])
		return;
	v->told[kind] = true;
	v->result.n_of[kind]++;
	if (v->result.n_findings == FINDINGS_MAX)
		return;
	f = &v->findings[v->result.n_findings++];
	*f = (struct of_finding){.kind = kind, .packet = v->packet, .from = v->from, .at = at, .n_hops = n_hops};
	memcpy(f->hops, hops, (n_hops < OF_FINDING_HOPS ? n_hops : OF_FINDING_HOPS) * sizeof(*hops));
}

// Left to a middlebox: to the address of the host that is there, which is not the one that the packet began with.
static bool is_via(const struct of_verify *v, const struct of_packet *p, struct of_hop at)
{
	const struct topo_host *h = topo_host(v->in.topo, p->eth_dst);

	return h != NULL && h->sw == at.sw && h->port == at.port && memcmp(p->eth_dst, v->packet.eth_dst, 6) != 0;
}

static void on_event(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port)
{
	struct of_verify *v = ctx;
	struct verify_run *run = &v->run;
	struct of_hop at = {sw, port};

	switch (what) {
	case OF_TRACE_LOOP:
		tell(v, OF_FINDING_LOOP, at, v->trace.path, v->trace.depth);
		break;
	case OF_TRACE_TWICE:
		tell(v, OF_FINDING_TWICE, at, v->trace.path, v->trace.depth);
		break;
	case OF_TRACE_MOVED:
		if (v->stage == STAGE_PAIRS) // other packets may be from anywhere
			tell(v, OF_FINDING_MOVED, at, v->trace.path, v->trace.depth);
		return;
	case OF_TRACE_UNCHECKED:
		run->unchecked = true;
		tell(v, OF_FINDING_UNCHECKED, at, v->trace.path, v->trace.depth);
		break;
	default:
		break;
	}
	if (what == OF_TRACE_EDGE && v->reached != NULL)
		v->reached[v->trace.first[sw] +
			   (uint32_t)(topo_port(v->in.topo, sw, port) - v->in.topo->switches[sw].ports)] = 1;
	if (what == OF_TRACE_EDGE && is_via(v, v->trace.packet, at)) {
		run->via = at;
		run->at_via = *v->trace.packet;
	}
	if (what == OF_TRACE_EDGE && !run->arrived) {
		run->arrived = sw == run->to.sw && port == run->to.port;
		run->left = true;
	} else if (run->arrived) {
		return; // the way of the copy that arrives is kept
	}
	run->last = at;
	run->n_hops = v->trace.depth;
	memcpy(run->hops, v->trace.path,
	       (run->n_hops < OF_FINDING_HOPS ? run->n_hops : OF_FINDING_HOPS) * sizeof(*run->hops));
}

// --- what the policy says

static u128 ip6_number(const uint8_t ip[16])
{
	return match_ip6_prefix(ip, 128).lo;
}

static uint64_t eth_number(const uint8_t eth[6])
{
	uint64_t n = 0;

	for (int i = 0; i < 6; i++)
		n = n << 8 | eth[i];
	return n;
}

static bool has_ports(const struct of_packet *p)
{
	return p->ip_proto == 6 || p->ip_proto == 17 || p->ip_proto == 132;
}

static bool is_denied(const struct of_verify *v)
{
	const struct of_packet *p = &v->packet;
	struct match_packet m = {.kind = MATCH_NONIP};

	m.f[MATCH_TIME] = (uint64_t)v->in.wall_ns;
	m.f[MATCH_SRC_ETH] = eth_number(p->eth_src);
	m.f[MATCH_DST_ETH] = eth_number(p->eth_dst);
	m.f[MATCH_VLAN] = p->vlan;
	if (p->eth_type == ETH_IP4) {
		m.kind = has_ports(p) ? MATCH_IP4PORTS : MATCH_IP4;
		m.src = match_ip4(p->ip4_src);
		m.dst = match_ip4(p->ip4_dst);
	} else if (p->eth_type == ETH_IP6) {
		m.kind = has_ports(p) ? MATCH_IP6PORTS : MATCH_IP6;
		m.src = ip6_number(p->ip6_src);
		m.dst = ip6_number(p->ip6_dst);
	}
	if (m.kind != MATCH_NONIP)
		m.f[MATCH_PROTO] = p->ip_proto;
	if (m.kind & MATCH_KINDS_PORTS) {
		m.f[MATCH_SRC_PORT] = p->l4_src;
		m.f[MATCH_DST_PORT] = p->l4_dst;
	}
	return eval_packet(v->in.policy, &m).access == ACCESS_DENY;
}

// --- one packet

static void follow(struct of_verify *v, struct of_hop from, struct of_hop to)
{
	v->from = from;
	v->run = (struct verify_run){.to = to, .last = from, .via.sw = TOPO_NONE};
	v->result.n_packets++;
	of_trace_run(&v->trace, &v->packet, from.sw, from.port);
	// A middlebox sends on what it gets, as from itself.
	for (int i = 0; i < VIA_MAX && v->run.via.sw != TOPO_NONE && !v->run.arrived; i++) {
		struct of_packet p = v->run.at_via;
		struct of_hop via = v->run.via;

		memcpy(p.eth_src, p.eth_dst, 6);
		memcpy(p.eth_dst, v->packet.eth_dst, 6);
		v->run.via.sw = TOPO_NONE;
		of_trace_run(&v->trace, &p, via.sw, via.port);
	}
}

static void try_pair_way(struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	const struct verify_run *run = &v->run;

	follow(v, (struct of_hop){a->host->sw, a->host->port}, (struct of_hop){b->host->sw, b->host->port});
	if (is_denied(v)) {
		if (run->left)
			tell(v, OF_FINDING_LEAK, run->last, run->hops, run->n_hops);
	} else if (!run->arrived && !run->unchecked && !(v->packet.vlan >= TAG_FIRST && v->packet.vlan <= TAG_LAST)) {
		tell(v, OF_FINDING_BLACK_HOLE, run->last, run->hops, run->n_hops);
	}
}

// --- classes

struct cuts {
	uint32_t at[CUTS_MAX], n;
	uint32_t max;
	bool full;
};

static void cut(struct cuts *c, uint64_t at)
{
	if (at > c->max)
		return;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->at[i] == at)
			return;
	}
	if (c->n == CUTS_MAX)
		c->full = true;
	else
		c->at[c->n++] = (uint32_t)at;
}

static void cut_span(struct cuts *c, const struct span *s)
{
	if (s->lo == 0 && s->hi >= c->max)
		return;
	cut(c, s->lo);
	cut(c, s->hi + 1);
}

static void cut_masked(struct cuts *c, uint16_t value, uint16_t mask)
{
	cut(c, value & mask);
	cut(c, (uint64_t)(value | (uint16_t)~mask) + 1);
}

struct classes {
	struct cuts proto, sport, dport, vlan;
};

// Can the entry meet packets of this pair, whatever their ports, protocol and tag?
static bool meets(const struct of_match *m, const struct of_packet *p)
{
	struct of_match wide = *m;

	wide.has &= OF_HAS_ETH_DST | OF_HAS_ETH_SRC | OF_HAS_ETH_TYPE | OF_HAS_IP4_SRC | OF_HAS_IP4_DST |
		    OF_HAS_IP6_SRC | OF_HAS_IP6_DST;
	return of_packet_matches(p, 0, &wide);
}

static void cut_by_entries(const struct of_verify *v, struct classes *c)
{
	for (uint32_t i = 0; i < v->n_cutting; i++) {
		const struct of_match *m = &v->cutting[i]->match;

		if (!meets(m, &v->packet))
			continue;
		if (m->has & OF_HAS_IP_PROTO)
			cut_span(&c->proto, &(struct span){m->ip_proto, m->ip_proto});
		if (m->has & OF_HAS_L4_SRC)
			cut_masked(&c->sport, m->l4_src, m->l4_src_mask);
		if (m->has & OF_HAS_L4_DST)
			cut_masked(&c->dport, m->l4_dst, m->l4_dst_mask);
		if ((m->has & OF_HAS_VLAN) && m->vlan != OF_VLAN_NONE && m->vlan != OF_VLAN_UPPER)
			cut(&c->vlan, m->vlan == OF_VLAN_ANY ? 1 : m->vlan);
	}
}

static void cut_by_policy(const struct of_verify *v, const struct endpoint *a, const struct endpoint *b,
			  struct classes *c)
{
	uint32_t kinds = a->eth_type == ETH_IP4   ? MATCH_KINDS_V4
			 : a->eth_type == ETH_IP6 ? MATCH_KINDS_V6
						  : MATCH_NONIP;

	for (uint32_t i = 0; i < v->in.policy->n_atoms; i++) {
		const struct match *m = &v->in.policy->atoms[i].match;

		for (uint32_t k = 0; k < m->n_boxes; k++) {
			const struct box *box = &m->boxes[k];

			if (!(box->kinds & kinds) || a->ip < box->src.lo || a->ip > box->src.hi ||
			    b->ip < box->dst.lo || b->ip > box->dst.hi)
				continue;
			cut_span(&c->proto, &box->f[MATCH_PROTO]);
			cut_span(&c->sport, &box->f[MATCH_SRC_PORT]);
			cut_span(&c->dport, &box->f[MATCH_DST_PORT]);
			cut_span(&c->vlan, &box->f[MATCH_VLAN]);
		}
	}
}

static struct classes find_classes(const struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	static const uint8_t usual[] = {6, 17, 253}; // TCP, UDP, one that nobody has
	struct classes c = {
		.proto = {.max = 255}, .sport = {.max = 65535}, .dport = {.max = 65535}, .vlan = {.max = 4095}};

	cut(&c.sport, 0);
	cut(&c.dport, 0);
	cut(&c.vlan, 0);
	cut(&c.proto, a->eth_type == ETH_IP6 ? 58 : a->eth_type == ETH_IP4 ? 1 : 0);
	for (size_t i = 0; a->eth_type != OF_PACKET_TRIED && i < sizeof(usual); i++)
		cut(&c.proto, usual[i]);
	cut_by_entries(v, &c);
	cut_by_policy(v, a, b, &c);
	if (a->eth_type == OF_PACKET_TRIED)
		c.proto.n = c.sport.n = c.dport.n = 1;
	return c;
}

static void set_addresses(struct of_packet *p, const struct endpoint *a, const struct endpoint *b)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->eth_src, a->host->mac, 6);
	memcpy(p->eth_dst, b->host->mac, 6);
	p->eth_type = a->eth_type;
	p->ip4_src = a->eth_type == ETH_IP4 ? (uint32_t)(a->ip >> 96) : 0;
	p->ip4_dst = a->eth_type == ETH_IP4 ? (uint32_t)(b->ip >> 96) : 0;
	for (int i = 0; i < 16 && a->eth_type == ETH_IP6; i++) {
		p->ip6_src[i] = (uint8_t)(a->ip >> (8 * (15 - i)));
		p->ip6_dst[i] = (uint8_t)(b->ip >> (8 * (15 - i)));
	}
}

// Every class of the pair's packets; of too many only some.
static void check_pair(struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	struct classes c;
	uint64_t n = 0, total, step;

	set_addresses(&v->packet, a, b);
	c = find_classes(v, a, b);
	total = (uint64_t)c.proto.n * c.sport.n * c.dport.n * c.vlan.n;
	step = total / PACKETS_MAX + 1;
	step += step > 1 && step % 2 == 0; // odd: not in step with a field's pieces
	v->result.n_pairs++;
	v->trace.skips = false;
	memset(v->told, 0, sizeof(v->told));
	for (; n < total; n += step) {
		struct of_packet *p = &v->packet;
		uint64_t rest = n;

		p->ip_proto = (uint8_t)c.proto.at[rest % c.proto.n];
		rest /= c.proto.n;
		p->vlan = (uint16_t)c.vlan.at[rest % c.vlan.n];
		rest /= c.vlan.n;
		p->l4_src = (uint16_t)c.sport.at[rest % c.sport.n];
		p->l4_dst = (uint16_t)c.dport.at[rest / c.sport.n];
		if (!has_ports(p)) {
			if (p->l4_src != 0 || p->l4_dst != 0)
				continue; // tried already
			p->icmp_type = p->ip_proto == 58 ? 128 : p->ip_proto == 1 ? 8 : 0;
		}
		do {
			try_pair_way(v, a, b);
		} while (of_trace_again(&v->trace));
	}
	v->result.n_sampled +=
		step > 1 || v->trace.skips || c.proto.full || c.sport.full || c.dport.full || c.vlan.full;
}

// --- packets made for an entry: they may come from anywhere, so only loops are looked for

static void check_entry(struct of_verify *v, uint32_t sw, const struct of_rule *r)
{
	const struct topo_switch *s = &v->in.topo->switches[sw];

	of_packet_for(&r->match, &v->packet);
	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (!s->ports[i].up || ((r->match.has & OF_HAS_IN_PORT) && r->match.in_port != s->ports[i].no))
			continue;
		do {
			follow(v, (struct of_hop){sw, s->ports[i].no}, (struct of_hop){TOPO_NONE, 0});
		} while (of_trace_again(&v->trace));
	}
}

// --- broadcasts

static bool is_edge(const struct topo_port *p)
{
	return p->up && !p->inner;
}

static void find_unreached(struct of_verify *v, const struct topo_port *from)
{
	const struct topo *t = v->in.topo;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		const struct topo_host *h = &t->hosts[i];
		const struct topo_port *to = topo_port(t, h->sw, h->port);
		struct of_hop at = {h->sw, h->port};

		if (to == NULL || to == from || v->run.unchecked || !is_edge(to) ||
		    v->reached[v->trace.first[h->sw] + (uint32_t)(to - t->switches[h->sw].ports)])
			continue;
		tell(v, OF_FINDING_BLACK_HOLE, at, v->run.hops, 0);
	}
}

static void check_broadcast(struct of_verify *v, uint32_t sw, const struct topo_port *port)
{
	if (!is_edge(port) || v->reached != NULL)
		return;
	of_packet_for(&(struct of_match){0}, &v->packet);
	memset(v->packet.eth_dst, 0xff, 6);
	v->packet.eth_type = ETH_ARP;
	v->packet.arp_op = 1;
	if (is_denied(v))
		return;
	v->reached = calloc(v->trace.n_ports + 1U, 1);
	memset(v->told, 0, sizeof(v->told));
	do {
		if (v->reached != NULL)
			memset(v->reached, 0, v->trace.n_ports);
		follow(v, (struct of_hop){sw, port->no}, (struct of_hop){TOPO_NONE, 0});
		if (v->reached != NULL)
			find_unreached(v, port);
	} while (of_trace_again(&v->trace));
	free(v->reached);
	v->reached = NULL;
}

// --- all of it

static void next(struct of_verify *v, uint32_t n_inner, uint32_t n_outer)
{
	if (++v->k >= n_inner) {
		v->k = 0;
		v->i++;
	}
	if (v->i >= n_outer) {
		v->i = v->k = 0;
		v->stage++;
	}
}

static void do_one(struct of_verify *v)
{
	const struct topo *t = v->in.topo;
	const struct endpoint *a, *b;
	const struct of_rules *rules;

	switch (v->stage) {
	case STAGE_PAIRS:
		a = v->i < v->n_ends ? &v->ends[v->i] : NULL;
		b = a == NULL ? NULL : &v->ends[v->k];
		if (a != NULL && a->eth_type == b->eth_type &&
		    (a->host->sw != b->host->sw || a->host->port != b->host->port))
			check_pair(v, a, b);
		next(v, v->n_ends, v->n_ends);
		break;
	case STAGE_ENTRIES:
		rules = v->i < t->n_switches ? v->in.tables[v->i] : NULL;
		if (rules != NULL && v->k < rules->n)
			check_entry(v, v->i, &rules->rules[v->k]);
		next(v, rules == NULL ? 0 : rules->n, t->n_switches);
		break;
	case STAGE_BROADCAST:
		if (v->i < t->n_switches && v->k < t->switches[v->i].n_ports)
			check_broadcast(v, v->i, &t->switches[v->i].ports[v->k]);
		next(v, v->i < t->n_switches ? t->switches[v->i].n_ports : 0, t->n_switches);
		break;
	case STAGE_DONE:
		break;
	}
}

bool of_verify_step(struct of_verify *v, uint64_t n_entries)
{
	uint64_t until = v->trace.n_compared + v->result.n_packets + n_entries;

	while (v->stage != STAGE_DONE && v->trace.n_compared + v->result.n_packets < until) {
		do_one(v);
		until--; // also what compares nothing takes its time
	}
	return v->stage == STAGE_DONE;
}

static bool cuts_something(const struct of_match *m)
{
	return (m->has & (OF_HAS_L4_SRC | OF_HAS_L4_DST | OF_HAS_IP_PROTO | OF_HAS_VLAN)) != 0;
}

static int find_cutting(struct of_verify *v)
{
	uint32_t n = 0;

	for (uint32_t sw = 0; sw < v->in.topo->n_switches; sw++)
		n += v->in.tables[sw] == NULL ? 0 : v->in.tables[sw]->n;
	v->cutting = calloc(n + 1U, sizeof(*v->cutting));
	for (uint32_t sw = 0; v->cutting != NULL && sw < v->in.topo->n_switches; sw++) {
		for (uint32_t i = 0; v->in.tables[sw] != NULL && i < v->in.tables[sw]->n; i++) {
			const struct of_rule *r = &v->in.tables[sw]->rules[i];

			if (cuts_something(&r->match))
				v->cutting[v->n_cutting++] = r;
		}
	}
	return v->cutting == NULL ? -1 : 0;
}

static int find_ends(struct of_verify *v)
{
	const struct topo *t = v->in.topo;
	const struct addrs *a = v->in.addrs;

	v->ends = calloc(a->n + t->n_hosts + 1U, sizeof(*v->ends));
	if (v->ends == NULL)
		return -1;
	for (uint32_t i = 0; i < t->n_hosts; i++)
		v->ends[v->n_ends++] = (struct endpoint){.host = &t->hosts[i], .eth_type = OF_PACKET_TRIED};
	for (uint32_t i = 0; i < a->n; i++) {
		const struct topo_host *h = topo_host(t, a->all[i].mac);

		if (h != NULL)
			v->ends[v->n_ends++] = (struct endpoint){h, a->all[i].ip, a->all[i].ip6 ? ETH_IP6 : ETH_IP4};
	}
	return 0;
}

static bool lets_in(void *ctx, const struct of_packet *packet)
{
	(void)packet; // as it was sent: no middlebox is there
	return !is_denied(ctx);
}

static int find_bridge(struct of_verify *v)
{
	const struct topo *t = v->in.topo;
	int rc = of_bridge_init(&v->bridge, t->n_hosts);

	for (uint32_t i = 0; i < t->n_hosts && rc == 0; i++) {
		if (t->hosts[i].told_port != TOPO_NONE)
			of_bridge_learn(&v->bridge, t->hosts[i].mac, t->hosts[i].told_port);
	}
	v->trace.bridge = &v->bridge;
	v->trace.forgetful = true; // so that it does not matter which packet is tried first
	v->trace.lets_in = lets_in;
	return rc;
}

struct of_verify *of_verify_create(const struct of_verify_in *in)
{
	struct of_verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->in = *in;
	if (of_trace_init(&v->trace, in->topo, in->tables) < 0 || find_ends(v) < 0 || find_cutting(v) < 0 ||
	    find_bridge(v) < 0) {
		of_verify_destroy(v);
		return NULL;
	}
	v->trace.groups = in->groups;
	v->trace.event = on_event;
	v->trace.ctx = v;
	return v;
}

void of_verify_destroy(struct of_verify *v)
{
	if (v == NULL)
		return;
	of_trace_fini(&v->trace);
	of_bridge_fini(&v->bridge);
	free(v->ends);
	free(v->cutting);
	free(v);
}

void of_verify_result(const struct of_verify *v, struct of_verify_result *out)
{
	*out = v->result;
	out->findings = v->findings;
}
