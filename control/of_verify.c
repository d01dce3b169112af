// SPDX-License-Identifier: Apache-2.0
#include "of_verify.h"

#include <stdlib.h>
#include <string.h>

#include "hft/eval.h"
#include "of_classes.h"

#define FINDINGS_MAX 64
#define PACKETS_MAX 4096 // classes of one pair
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
	uint64_t n_met;    // so many times was one of them compared with a pair
	uint64_t n_judged; // so many parts of the policy, and places of hosts, were looked at
	enum stage stage;
	uint32_t i, k; // of the stage
	bool begun;    // that pair, entry or broadcast: the packet, and the trace's ways, stand in the middle
	uint64_t at;   // its class or port
	uint64_t class_step;
	struct of_classes classes;
	struct of_packet packet;
	struct of_hop from;
	struct verify_run run;
	bool denied, forged;      // the packet; it is followed from another switch than its source's
	bool told[OF_N_FINDINGS]; // for this pair
	bool apart;               // this pair is counted among the unconnected ones
	uint32_t *part;           // topo_parts
	uint8_t *reached;         // edge ports, by a broadcast
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
		if (v->stage == STAGE_PAIRS && !v->forged) // other packets may be from anywhere
			tell(v, OF_FINDING_MOVED, at, v->trace.path, v->trace.depth);
		return;
	case OF_TRACE_UNCHECKED:
		run->unchecked = true;
		tell(v, OF_FINDING_UNCHECKED, at, v->trace.path, v->trace.depth);
		break;
	default:
		break;
	}
	if (what == OF_TRACE_EDGE && v->stage == STAGE_BROADCAST)
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

static bool is_denied(struct of_verify *v)
{
	const struct of_packet *p = &v->packet;
	const struct tree *policy = v->in.policy;
	struct match_packet m = {.kind = MATCH_NONIP};

	m.f[MATCH_TIME] = (uint64_t)v->in.wall_ns;
	m.f[MATCH_SRC_ETH] = eth_number(p->eth_src);
	m.f[MATCH_DST_ETH] = eth_number(p->eth_dst);
	m.f[MATCH_VLAN] = p->vlan;
	if (p->eth_type == ETH_IP4) {
		m.kind = of_packet_has_ports(p) ? MATCH_IP4PORTS : MATCH_IP4;
		m.src = match_ip4(p->ip4_src);
		m.dst = match_ip4(p->ip4_dst);
	} else if (p->eth_type == ETH_IP6) {
		m.kind = of_packet_has_ports(p) ? MATCH_IP6PORTS : MATCH_IP6;
		m.src = ip6_number(p->ip6_src);
		m.dst = ip6_number(p->ip6_dst);
	}
	if (m.kind != MATCH_NONIP)
		m.f[MATCH_PROTO] = p->ip_proto;
	if (m.kind & MATCH_KINDS_PORTS) {
		m.f[MATCH_SRC_PORT] = p->l4_src;
		m.f[MATCH_DST_PORT] = p->l4_dst;
	}
	v->n_judged += (uint64_t)policy->n_nodes * (policy->n_nodes + policy->n_atoms); // eval.c goes through all
	return eval_packet(policy, &m).access == ACCESS_DENY;
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

static bool is_edge(const struct topo_port *p)
{
	return p->up && !p->inner;
}

// A port with hosts at another switch than its own: not always the same one.
static bool find_other_edge(const struct of_verify *v, uint32_t own, struct of_hop *out)
{
	const struct topo *t = v->in.topo;

	for (uint32_t i = 0; i < t->n_switches; i++) {
		uint32_t sw = (v->i + v->k + (uint32_t)v->at + i) % t->n_switches;

		for (uint32_t k = 0; sw != own && k < t->switches[sw].n_ports; k++) {
			*out = (struct of_hop){sw, t->switches[sw].ports[k].no};
			if (is_edge(&t->switches[sw].ports[k]))
				return true;
		}
	}
	return false;
}

// What is denied is so too for who sends from the same addresses elsewhere.
static bool forge(struct of_verify *v, const struct endpoint *a)
{
	v->forged = !v->forged && v->denied && find_other_edge(v, a->host->sw, &v->from);
	return v->forged;
}

static void try_pair_way(struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	const struct verify_run *run = &v->run;

	follow(v, v->forged ? v->from : (struct of_hop){a->host->sw, a->host->port},
	       (struct of_hop){b->host->sw, b->host->port});
	v->denied = v->forged || is_denied(v);
	if (v->denied) {
		if (run->left)
			tell(v, OF_FINDING_LEAK, run->last, run->hops, run->n_hops);
	} else if (v->part[a->host->sw] != v->part[b->host->sw]) {
		v->result.n_unconnected += !v->apart;
		v->apart = true;
	} else if (!run->arrived && !run->unchecked && !(v->packet.vlan >= TAG_FIRST && v->packet.vlan <= TAG_LAST)) {
		tell(v, OF_FINDING_BLACK_HOLE, run->last, run->hops, run->n_hops);
	}
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
static void begin_pair(struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	struct of_classes *c = &v->classes;
	uint64_t step;

	set_addresses(&v->packet, a, b);
	of_classes_find(c, &v->packet, a->ip, b->ip, v->in.policy, v->cutting, v->n_cutting);
	step = c->n / PACKETS_MAX + 1;
	v->class_step = step + (step > 1 && step % 2 == 0); // odd: not in step with a field's pieces
	v->n_met += v->n_cutting + v->in.policy->n_atoms;
	v->at = 0;
	of_classes_packet(c, 0, &v->packet);
	v->result.n_pairs++;
	v->apart = false;
	memset(v->told, 0, sizeof(v->told));
}

// One packet on one way. true: the pair is done.
static bool check_pair(struct of_verify *v, const struct endpoint *a, const struct endpoint *b)
{
	struct of_classes *c = &v->classes;

	if (!v->begun)
		begin_pair(v, a, b);
	try_pair_way(v, a, b);
	if (of_trace_again(&v->trace) || forge(v, a))
		return false;
	do
		v->at += v->class_step;
	while (v->at < c->n && !of_classes_packet(c, v->at, &v->packet));
	if (v->at < c->n)
		return false;
	v->result.n_sampled += v->class_step > 1 || v->trace.skips || c->full;
	return true;
}

// --- packets made for an entry: they may come from anywhere, so only loops are looked for

// One packet on one way. true: the entry is done.
static bool check_entry(struct of_verify *v, uint32_t sw, const struct of_rule *r)
{
	const struct topo_switch *s = &v->in.topo->switches[sw];

	if (!v->begun) {
		of_packet_for(&r->match, &v->packet);
		v->at = 0;
	}
	while (v->at < s->n_ports &&
	       (!s->ports[v->at].up || ((r->match.has & OF_HAS_IN_PORT) && r->match.in_port != s->ports[v->at].no)))
		v->at++;
	if (v->at < s->n_ports) {
		follow(v, (struct of_hop){sw, s->ports[v->at].no}, (struct of_hop){TOPO_NONE, 0});
		v->at += of_trace_again(&v->trace) ? 0 : 1;
	}
	if (v->at < s->n_ports)
		return false;
	v->result.n_sampled_others += v->trace.skips;
	return true;
}

// --- broadcasts

static void find_unreached(struct of_verify *v, const struct topo_port *from)
{
	const struct topo *t = v->in.topo;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		const struct topo_host *h = &t->hosts[i];
		const struct topo_port *to = topo_port(t, h->sw, h->port);
		struct of_hop at = {h->sw, h->port};

		v->n_judged += 1 + t->switches[h->sw].n_ports;
		if (to == NULL || to == from || v->run.unchecked || !is_edge(to) ||
		    v->part[h->sw] != v->part[v->from.sw] ||
		    v->reached[v->trace.first[h->sw] + (uint32_t)(to - t->switches[h->sw].ports)])
			continue;
		tell(v, OF_FINDING_BLACK_HOLE, at, v->run.hops, 0);
	}
}

static void begin_broadcast(struct of_verify *v)
{
	of_packet_for(&(struct of_match){0}, &v->packet);
	memset(v->packet.eth_dst, 0xff, 6);
	v->packet.eth_type = ETH_ARP;
	v->packet.arp_op = 1;
	memset(v->told, 0, sizeof(v->told));
}

// On one way. true: the port is done.
static bool check_broadcast(struct of_verify *v, uint32_t sw, const struct topo_port *port)
{
	if (!v->begun)
		begin_broadcast(v);
	if (!is_edge(port) || is_denied(v))
		return true;
	memset(v->reached, 0, v->trace.n_ports);
	follow(v, (struct of_hop){sw, port->no}, (struct of_hop){TOPO_NONE, 0});
	find_unreached(v, port);
	if (of_trace_again(&v->trace))
		return false;
	v->result.n_sampled_others += v->trace.skips;
	return true;
}

// --- all of it

static void next(struct of_verify *v, bool done, uint32_t n_inner, uint32_t n_outer)
{
	v->begun = !done;
	if (!done)
		return;
	v->trace.skips = false;
	if (++v->k >= n_inner) {
		v->k = 0;
		v->i++;
	}
	if (v->i >= n_outer) {
		v->i = v->k = 0;
		v->stage++;
	}
}

// At most one packet is followed on one way, so that a step ends soon however many there are.
static void do_one(struct of_verify *v)
{
	const struct topo *t = v->in.topo;
	const struct endpoint *a, *b;
	const struct of_rules *rules;
	bool done = true;

	switch (v->stage) {
	case STAGE_PAIRS:
		a = v->i < v->n_ends ? &v->ends[v->i] : NULL;
		b = a == NULL ? NULL : &v->ends[v->k];
		if (a != NULL && a->eth_type == b->eth_type &&
		    (a->host->sw != b->host->sw || a->host->port != b->host->port))
			done = check_pair(v, a, b);
		next(v, done, v->n_ends, v->n_ends);
		break;
	case STAGE_ENTRIES:
		rules = v->i < t->n_switches ? v->in.tables[v->i] : NULL;
		if (rules != NULL && v->k < rules->n)
			done = check_entry(v, v->i, &rules->rules[v->k]);
		next(v, done, rules == NULL ? 0 : rules->n, t->n_switches);
		break;
	case STAGE_BROADCAST:
		if (v->i < t->n_switches && v->k < t->switches[v->i].n_ports)
			done = check_broadcast(v, v->i, &t->switches[v->i].ports[v->k]);
		next(v, done, v->i < t->n_switches ? t->switches[v->i].n_ports : 0, t->n_switches);
		break;
	case STAGE_DONE:
		break;
	}
}

static uint64_t work_done(const struct of_verify *v)
{
	return v->trace.n_compared + v->n_met + v->n_judged + v->result.n_packets;
}

bool of_verify_step(struct of_verify *v, uint64_t n_entries)
{
	uint64_t until = work_done(v) + n_entries;

	while (v->stage != STAGE_DONE && work_done(v) < until) {
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
	v->reached = calloc(v->trace.n_ports + 1U, 1);
	v->part = calloc(in->topo->n_switches + 1U, sizeof(*v->part));
	if (v->reached == NULL || v->part == NULL) {
		of_verify_destroy(v);
		return NULL;
	}
	topo_parts(in->topo, v->part);
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
	free(v->reached);
	free(v->part);
	free(v);
}

void of_verify_result(const struct of_verify *v, struct of_verify_result *out)
{
	*out = v->result;
	out->findings = v->findings;
	out->part = v->part;
}
