// SPDX-License-Identifier: Apache-2.0
// Links by probes, hosts by what they send.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define PROBE_FAST_NS 300000000LL    // while a port settles
#define PROBE_SLOW_NS 4000000000LL   // TOPO_LINK_AGE_NS is about four of them
#define ROUNDS_VALID 8               // of PROBE_FAST_NS: older probes are replays
#define CLAIMS_MAX CIRCUIT_IPS_MAX   // addresses of one host, of each family; and those that a request names
#define MEMBER_FIRST_NS 2500000000LL // a port is new: the dataplane's word is waited for

// --- packets that come in

// Of several switches behind a bridge the one that was seen first is the link's other end, until it is gone.
static bool is_another(const struct of_net *net, const struct lldp_probe *probe, uint32_t from, uint32_t to,
		       uint32_t to_port)
{
	const struct topo_port *port = topo_port(&net->topo, from, probe->port);

	return port != NULL && port->peer != TOPO_NONE && (port->peer != to || port->peer_port != to_port) &&
	       net->now_ns - port->seen_ns < TOPO_LINK_AGE_NS;
}

// A link through the dataplane will be seen, and is two, of its own ports.
static bool is_members(const struct of_net *net, uint32_t sw, uint32_t port)
{
	const struct topo *t = &net->topo;
	const struct topo_port *p = topo_port(t, sw, port);

	return t->bridge != TOPO_NONE && t->switches[t->bridge].up && p != NULL &&
	       (p->bridged || net->now_ns - p->since_ns < MEMBER_FIRST_NS);
}

static void on_probe(struct of_switch *sw, const struct of_packet_in *p, bool through)
{
	struct of_net *net = sw->net;
	struct lldp_probe probe;
	int rc = lldp_read(p->data, p->data_len, net->conf.key, &probe);
	uint32_t from;

	if (rc == -EPROTO)
		return; // somebody else's LLDP
	from = rc < 0 ? TOPO_NONE : topo_find_switch(&net->topo, probe.dpid);
	if (from == TOPO_NONE || probe.round > net->round || net->round - probe.round > ROUNDS_VALID) {
		net->stats.bad_probes++;
		return;
	}
	if (!through || (!is_another(net, &probe, from, sw->idx, p->in_port) && !is_members(net, from, probe.port) &&
			 !is_members(net, sw->idx, p->in_port)))
		topo_probe(&net->topo, from, probe.port, sw->idx, p->in_port, net->now_ns);
	if (through)
		topo_port_share(&net->topo, sw->idx, p->in_port, net->now_ns);
	else
		topo_port_close(&net->topo, sw->idx, p->in_port);
}

// --- hosts

static bool is_here(void *ctx, const struct addr *entry)
{
	return topo_host(ctx, entry->mac) != NULL;
}

static struct addr *remember(struct of_net *net, const struct addr_claim *c)
{
	struct addr *at = addrs_set(&net->addrs, c->ip, c->ip6, c->mac, c->how, net->now_ns);

	if (at != NULL || net->now_ns < net->addrs_kept_ns + ADDRS_FRESH_NS)
		return at;
	net->addrs_kept_ns = net->now_ns; // full, perhaps of hosts that are gone
	addrs_keep(&net->addrs, is_here, &net->topo);
	return addrs_set(&net->addrs, c->ip, c->ip6, c->mac, c->how, net->now_ns);
}

// A request is about this very address.
static bool is_named(const struct of_net *net, u128 ip, bool ip6)
{
	const struct of_source source = {ip, ip6};
	uint32_t kinds = ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	struct span128 one = ip6 ? (struct span128){ip, ip} : match_ip4_prefix((uint32_t)(ip >> 96), 32);

	if (of_policy_names(&net->policy, &source))
		return true;
	for (uint32_t i = 0; i < net->policy.demands.n; i++) {
		const struct demand *d = &net->policy.demands.all[i];

		for (uint32_t b = 0; b < d->flows.n_boxes; b++) {
			const struct box *box = &d->flows.boxes[b];

			if ((box->kinds & kinds) && ((box->src.lo == one.lo && box->src.hi == one.hi) ||
						     (box->dst.lo == one.lo && box->dst.hi == one.hi)))
				return true;
		}
		for (uint32_t b = 0; d->addresses != NULL && b < d->addresses->n; b++) {
			if (d->addresses->at[b].ip6 == ip6 && d->addresses->at[b].addr == ip)
				return true;
		}
	}
	return false;
}

// For one more address that a host says it has: each may be an entry at its switch, and a plan. The oldest one goes,
// but none that was said lately: a host that says more and more is not heard.
static bool make_room(struct of_net *net, const struct addr_claim *c)
{
	struct addr *oldest = NULL;
	uint32_t n = 0;

	for (struct addr *at = addrs_of(&net->addrs, c->mac, c->ip6); at != NULL;
	     at = addrs_of_after(&net->addrs, at)) {
		if (at->how == ADDR_IP)
			continue;
		n++;
		if (net->now_ns - at->seen_ns >= ADDRS_FRESH_NS && (oldest == NULL || at->seen_ns < oldest->seen_ns) &&
		    !is_named(net, at->ip, at->ip6))
			oldest = at;
	}
	if (n < CLAIMS_MAX)
		return true;
	if (oldest == NULL)
		return is_named(net, c->ip, c->ip6);
	addrs_forget(&net->addrs, oldest);
	return true;
}

static bool is_about(const struct of_net *net, const struct addr_claim *c)
{
	const struct of_source source = {c->ip, c->ip6};

	return of_policy_names(&net->policy, &source);
}

// Who had said so long ago does not have it any more; nor who was only seen to use it, once somebody new says so. true:
// there was one.
static bool take_over(struct of_net *net, const struct addr_claim *c, bool is_new)
{
	uint32_t n = net->addrs.n + net->strays.n;
	struct addr *at;

	while (is_new && (at = addrs_first(&net->strays, c->ip, c->ip6)) != NULL)
		addrs_forget(&net->strays, at);
	for (at = addrs_first(&net->addrs, c->ip, c->ip6); at != NULL;) {
		if (memcmp(at->mac, c->mac, 6) == 0 ||
		    (at->how != ADDR_IP && net->now_ns - at->seen_ns < ADDRS_FRESH_NS)) {
			at = addrs_after(&net->addrs, at);
			continue;
		}
		addrs_forget(&net->addrs, at);
		at = addrs_first(&net->addrs, c->ip, c->ip6);
	}
	return net->addrs.n + net->strays.n != n;
}

// What a denial is about comes from a host that nobody has said it to be. The denial then lies there, too.
static void note_stray(struct of_switch *sw, const struct of_packet_in *p)
{
	struct of_net *net = sw->net;
	struct addr_claim c;
	struct of_source source;
	bool known = false;

	if (!addr_source_read(p->data, p->data_len, &c) || !is_about(net, &c))
		return;
	source = (struct of_source){c.ip, c.ip6};
	if (of_plan_has(&net->topo, &net->addrs, &source, sw->idx, &known) ||
	    of_plan_has(&net->topo, &net->strays, &source, sw->idx, &known))
		return;
	if (net->strays.n == net->strays.max)
		addrs_keep(&net->strays, is_here, &net->topo);
	if (addrs_set(&net->strays, c.ip, c.ip6, c.mac, ADDR_IP, net->now_ns) != NULL)
		net->topo.gen++;
}

static bool is_recent(const struct of_net *net, int64_t at_ns)
{
	return at_ns != INT64_MIN && net->now_ns - at_ns < ADDRS_FRESH_NS;
}

// Two hosts say that they have it. Policy about it then holds where either of them is; who is right only people know.
static void contest(struct of_net *net, struct addr *mine, struct addr *theirs)
{
	// a claimant may have a new hardware address each time
	bool again = is_recent(net, mine->contest_ns) || is_recent(net, theirs->contest_ns);
	const uint8_t *a = theirs->mac, *b = mine->mac;
	uint32_t ip4 = (uint32_t)(mine->ip >> 96);

	mine->contest_ns = theirs->contest_ns = net->now_ns;
	net->stats.contests++;
	if (again)
		return;
	if (net->ops.contested != NULL) {
		struct addr_contest c = {.ip = mine->ip, .ip6 = mine->ip6};

		memcpy(c.holder, theirs->mac, 6);
		memcpy(c.claims, mine->mac, 6);
		net->ops.contested(net->ops.ctx, &c);
	}
	of_net_note(
		net,
		"%s %u.%u.%u.%u is claimed by %02x:%02x:%02x:%02x:%02x:%02x while %02x:%02x:%02x:%02x:%02x:%02x has "
		"it: a mistake, or ARP or ND spoofing",
		mine->ip6 ? "an IPv6 address that begins with" : "address", ip4 >> 24, ip4 >> 16 & 255, ip4 >> 8 & 255,
		ip4 & 255, b[0], b[1], b[2], b[3], b[4], b[5], a[0], a[1], a[2], a[3], a[4], a[5]);
}

// Of several addresses a host keeps the one it has while it says so: its entry would change with each word of it.
static bool still_says(const struct of_net *net, const struct topo_host *h)
{
	const struct addr *at = addrs_find(&net->addrs, match_ip4(h->ip4), false, h->mac);

	return at != NULL && at->how != ADDR_IP && net->now_ns - at->seen_ns < ADDRS_FRESH_NS;
}

// *c was heard of the host: its IPv4 address, unless it has another one.
static void set_ip4(struct of_net *net, struct topo_host *h, const struct addr_claim *c)
{
	uint32_t ip4 = (uint32_t)(c->ip >> 96);

	if (c->ip6 || h->ip4 == ip4)
		return;
	if (h->ip4 != 0 && (c->how == ADDR_IP || (c->how != ADDR_DHCP && still_says(net, h))))
		return;
	h->ip4 = ip4;
	net->topo.gen++;
}

// What the host itself says, or a DHCP server. The source of an ordinary packet counts only where nobody has said more:
// a router sends what is from everywhere.
static void on_claim(struct of_net *net, const struct addr_claim *c)
{
	struct topo_host *h = topo_host(&net->topo, c->mac), *was;
	struct addr *mine, *theirs;
	bool is_new = true;

	if (h == NULL)
		return;
	if (c->how == ADDR_IP && addrs_first(&net->addrs, c->ip, c->ip6) != NULL) {
		if (addrs_find(&net->addrs, c->ip, c->ip6, c->mac) != NULL)
			set_ip4(net, h, c);
		return;
	}
	for (theirs = addrs_first(&net->addrs, c->ip, c->ip6); theirs != NULL;
	     theirs = addrs_after(&net->addrs, theirs))
		is_new = is_new && (memcmp(theirs->mac, c->mac, 6) != 0 || theirs->how == ADDR_IP);
	is_new = is_new && c->how != ADDR_IP;
	if (is_new && !make_room(net, c))
		return;
	mine = remember(net, c);
	for (theirs = mine == NULL ? NULL : addrs_first(&net->addrs, c->ip, c->ip6); theirs != NULL;
	     theirs = addrs_after(&net->addrs, theirs)) {
		was = theirs == mine ? NULL : topo_host(&net->topo, theirs->mac);
		if (was != NULL && theirs->how != ADDR_IP && net->now_ns - theirs->seen_ns < ADDRS_FRESH_NS)
			contest(net, mine, theirs);
		else if (was != NULL && !c->ip6 && was->ip4 == (uint32_t)(c->ip >> 96))
			was->ip4 = 0; // it has moved
	}
	is_new = is_new && mine != NULL;
	if (mine != NULL && c->how != ADDR_IP && (take_over(net, c, is_new) || is_new))
		net->topo.gen +=
			(c->ip6 && net->policy.demands.n > 0) || is_about(net, c); // ends, or where denials lie
	set_ip4(net, h, c);
}

// A host that was forgotten, as when its port went down, is known by its address again whatever it sends first.
static void recall(struct of_net *net, struct topo_host *h)
{
	const struct addr *last = NULL;

	for (const struct addr *at = addrs_of(&net->addrs, h->mac, false); at != NULL;
	     at = addrs_of_after(&net->addrs, at)) {
		if (at->how != ADDR_IP && (last == NULL || at->seen_ns > last->seen_ns))
			last = at;
	}
	if (h->ip4 == 0 && last != NULL)
		h->ip4 = (uint32_t)(last->ip >> 96);
}

// Its frames go on, flooded where nobody knows it.
static void refuse(struct of_switch *sw, const struct topo_port *port, bool told)
{
	struct of_net *net = sw->net;

	net->stats.hosts_refused++;
	if (!told)
		of_net_note(net,
			    "switch %016" PRIx64
			    ": %u hosts at port %u (%s), no more are learnt there: openflow_hosts_max",
			    of_net_dpid(sw), port->n_hosts, port->no, port->name);
}

static void learn(struct of_switch *sw, const struct of_packet_in *p)
{
	struct of_net *net = sw->net;
	const struct topo_port *port = topo_port(&net->topo, sw->idx, p->in_port);
	uint64_t gen = net->topo.gen;
	struct addr_claim claim;
	struct topo_host was;
	bool full;
	int rc;

	if (port == NULL || !topo_is_edge(port, net->now_ns))
		return;
	full = port->full;
	rc = topo_host_seen(&net->topo, p->data + 6, sw->idx, p->in_port, net->now_ns, &was);
	if (rc == -EDQUOT)
		refuse(sw, port, full);
	if (rc >= 0) {
		net->stats.moves += rc > 0 && was.sw != TOPO_NONE;
		if (rc > 0)
			recall(net, topo_host(&net->topo, p->data + 6));
		if (addr_claim_read(p->data, p->data_len, &claim))
			on_claim(net, &claim);
	}
	if (rc >= 0 || rc == -EDQUOT)
		note_stray(sw, p);
	net->host_news += net->topo.gen - gen;
	net->news += net->topo.gen - gen;
}

void of_discover_packet(struct of_switch *sw, const struct of_packet_in *p)
{
	unsigned int eth_type;

	sw->net->stats.packet_ins++;
	if (p->data_len < 14)
		return;
	eth_type = (unsigned int)p->data[12] << 8 | p->data[13];
	if (eth_type == LLDP_ETH_TYPE || eth_type == LLDP_THROUGH_TYPE)
		on_probe(sw, p, eth_type == LLDP_THROUGH_TYPE);
	else
		learn(sw, p);
}

// --- probes

static void probe_port(struct of_net *net, struct of_switch *sw, const struct of_port *port)
{
	struct lldp_probe probe = {.dpid = of_conn_features(sw->conn)->dpid, .port = port->no, .round = net->round};
	uint8_t frame[LLDP_FRAME_MAX];
	struct of_msg m;

	memset(&m, 0, sizeof(m));
	m.type = OF_PACKET_OUT;
	m.packet_out.buffer_id = OF_NO_BUFFER;
	m.packet_out.in_port = OF_PORT_CONTROLLER;
	m.packet_out.n_actions = 1;
	m.packet_out.actions[0].type = OF_ACT_OUTPUT;
	m.packet_out.actions[0].port = port->no;
	m.packet_out.data = frame;
	m.packet_out.data_len = (uint16_t)lldp_make(&probe, port->mac, net->conf.key, LLDP_ETH_TYPE, frame);
	of_conn_send(sw->conn, &m, NULL);
	m.packet_out.data_len = (uint16_t)lldp_make(&probe, port->mac, net->conf.key, LLDP_THROUGH_TYPE, frame);
	of_conn_send(sw->conn, &m, NULL);
	of_member_ask(sw, port->no);
}

static bool settles(const struct of_net *net, const struct topo_port *p)
{
	return p != NULL && p->up && !p->inner && !topo_is_edge(p, net->now_ns);
}

void of_discover_probe(struct of_net *net)
{
	bool slow = net->now_ns >= net->slow_ns, some = false;

	net->stats.rounds = ++net->round;
	net->probed_ns = net->now_ns;
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		const struct of_port *ports;
		uint32_t n;

		if (sw->sync == SYNC_NONE)
			continue;
		ports = of_conn_ports(sw->conn, &n);
		for (uint32_t i = 0; i < n; i++) {
			const struct topo_port *p = topo_port(&net->topo, sw->idx, ports[i].no);

			some |= settles(net, p);
			if (p != NULL && p->up && (slow || settles(net, p)))
				probe_port(net, sw, &ports[i]);
		}
	}
	if (slow) {
		net->slow_ns = net->now_ns + (of_member_is_new(net) ? PROBE_FAST_NS : PROBE_SLOW_NS);
		of_member_teach(net, NULL);
	}
	net->probe_ns = some ? net->now_ns + PROBE_FAST_NS : net->slow_ns;
	if (some || net->settling) // a port that has settled changes what is flooded
		net->topo.gen++;
	net->settling = some;
}
