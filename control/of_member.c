// SPDX-License-Identifier: Apache-2.0
#include "of_member.h"

#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/proto.h"
#include "of_net_priv.h"

#define AGAIN_NS 60000000000LL // the dataplane forgets who is silent (mac_ageing_s)
#define SURE_NS 5000000000LL   // by then a port of the dataplane that leads to a switch is known as such
#define OLD_NS 2000000000LL    // told by then
#define TOKEN_NS 3000000000LL  // by then the next round of probes takes another one
#define VALID_NS 9000000000LL  // the last two, and a second for the dataplane to tell
#define LOST_NS 60000000000LL  // a link of which no frame was seen for so long is none
#define FRAME_BYTES 60

// --- frames that say where an address is

static void send_from(struct of_switch *sw, uint32_t port, const uint8_t mac[6])
{
	uint8_t frame[FRAME_BYTES] = {0};
	struct of_msg m;

	memcpy(frame, mac, 6); // to itself: a bridge learns it, and sends it nowhere
	memcpy(frame + 6, mac, 6);
	frame[12] = LLDP_THROUGH_TYPE >> 8;
	frame[13] = LLDP_THROUGH_TYPE & 0xff;
	memset(&m, 0, sizeof(m));
	m.type = OF_PACKET_OUT;
	m.packet_out.buffer_id = OF_NO_BUFFER;
	m.packet_out.in_port = OF_PORT_CONTROLLER;
	m.packet_out.n_actions = 1;
	m.packet_out.actions[0].type = OF_ACT_OUTPUT;
	m.packet_out.actions[0].port = port;
	m.packet_out.data = frame;
	m.packet_out.data_len = sizeof(frame);
	of_conn_send(sw->conn, &m, NULL);
}

static struct topo_token make_token(const struct of_net *net, uint64_t dpid, uint32_t port)
{
	struct topo_token token = {.made_ns = net->now_ns};
	uint8_t said[20], whole[EVP_MAX_MD_SIZE] = {0};
	unsigned int n = 0;

	for (int i = 0; i < 8; i++) {
		said[i] = (uint8_t)(dpid >> (8 * i));
		said[8 + i] = (uint8_t)(net->round >> (8 * i));
	}
	for (int i = 0; i < 4; i++)
		said[16 + i] = (uint8_t)(port >> (8 * i));
	HMAC(EVP_sha256(), net->conf.key, LLDP_KEY_BYTES, said, sizeof(said), whole, &n);
	for (int i = 0; i < 2; i++) {
		token.mac[i][0] = PROTO_MADE_UP >> 8;
		token.mac[i][1] = PROTO_MADE_UP & 0xff;
		memcpy(token.mac[i] + 2, whole + 4 * i, 4);
	}
	return token;
}

// Whoever was at the port before it went down may know older ones.
static bool is_valid(const struct of_net *net, const struct topo_port *p, const struct topo_token *token)
{
	return token->mac[0][0] != 0 && token->made_ns >= p->since_ns && net->now_ns - token->made_ns < VALID_NS;
}

static bool is_linked(const struct topo *t, uint32_t sw, const struct topo_port *p)
{
	uint32_t peer, peer_port;

	return p->peer == t->bridge && topo_link(t, sw, p->no, &peer, &peer_port);
}

// One that made a link stays while the link does: nobody else is there to see it, and few of its frames need arrive.
static void renew_token(const struct of_net *net, uint32_t sw, struct topo_port *p)
{
	const struct topo *t = &net->topo;

	if (is_linked(t, sw, p) || (is_valid(net, p, &p->token[0]) && net->now_ns - p->token[0].made_ns < TOKEN_NS))
		return;
	p->token[1] = p->token[0];
	p->token[0] = make_token(net, t->switches[sw].dpid, p->no);
}

void of_member_ask(struct of_switch *sw, uint32_t port)
{
	struct of_net *net = sw->net;
	struct topo_switch *t = &net->topo.switches[sw->idx];

	for (uint32_t i = 0; net->topo.bridge != TOPO_NONE && i < t->n_ports; i++) {
		if (t->ports[i].no != port || t->ports[i].closed)
			continue;
		renew_token(net, sw->idx, &t->ports[i]);
		send_from(sw, port, t->ports[i].token[0].mac[0]);
		send_from(sw, port, t->ports[i].token[0].mac[1]);
	}
}

bool of_member_is_new(const struct of_net *net)
{
	const struct topo *t = &net->topo;

	for (uint32_t i = 0; t->bridge != TOPO_NONE && i < t->switches[t->bridge].n_ports; i++) {
		const struct topo_port *p = &t->switches[t->bridge].ports[i];

		if (p->up && net->now_ns - p->since_ns < SURE_NS)
			return true;
	}
	return false;
}

static struct of_switch *switch_at(struct of_net *net, uint32_t idx)
{
	struct of_switch *sw = net->switches;

	while (sw != NULL && (sw->idx != idx || sw->sync == SYNC_NONE))
		sw = sw->next;
	return sw;
}

// The bridge's port towards a side; TOPO_NONE: none.
static uint32_t port_towards(const struct topo *t, uint32_t side)
{
	const struct topo_switch *bridge = &t->switches[t->bridge];
	uint32_t peer, peer_port;

	for (uint32_t i = 0; side != TOPO_NONE && i < bridge->n_ports; i++) {
		if (topo_link(t, t->bridge, bridge->ports[i].no, &peer, &peer_port) && peer == side)
			return bridge->ports[i].no;
	}
	return TOPO_NONE;
}

// tree NULL: only says again what was said.
void of_member_teach(struct of_net *net, const uint32_t *tree)
{
	struct topo *t = &net->topo;

	for (uint32_t i = 0; t->bridge != TOPO_NONE && i < t->n_hosts; i++) {
		struct topo_host *h = &t->hosts[i];
		uint32_t port, peer, peer_port;
		struct of_switch *sw;

		if (h->sw == t->bridge)
			continue;
		port = tree == NULL ? h->told_port : port_towards(t, topo_side(t, tree, h->sw));
		if (port == TOPO_NONE || (port == h->told_port && net->now_ns - h->told_ns < AGAIN_NS) ||
		    !topo_link(t, t->bridge, port, &peer, &peer_port))
			continue;
		sw = switch_at(net, peer);
		if (sw == NULL)
			continue;
		send_from(sw, peer_port, h->mac);
		h->told_port = port;
		h->told_ns = net->now_ns;
	}
}

// --- its ports

static bool is_told(const struct of_member *m, uint32_t no)
{
	for (uint32_t i = 0; i < m->n_ports; i++) {
		if (m->ports[i].no == no)
			return true;
	}
	return false;
}

static void probe_now(struct of_net *net)
{
	net->slow_ns = net->probe_ns = net->now_ns;
}

static void take_ports(struct of_net *net, const struct of_member *m)
{
	struct topo *t = &net->topo;
	struct topo_switch *bridge = &t->switches[t->bridge];

	for (uint32_t i = 0; i < bridge->n_ports;) {
		uint32_t no = bridge->ports[i].no;

		if (is_told(m, no)) {
			i++;
			continue;
		}
		topo_part(t, no, net->now_ns);
		topo_port_del(t, t->bridge, no);
	}
	for (uint32_t i = 0; i < m->n_ports; i++) {
		const struct of_member_port *p = &m->ports[i];
		const struct topo_port *was = topo_port(t, t->bridge, p->no);

		if (p->up && (was == NULL || !was->up))
			probe_now(net);
		if (!p->up && was != NULL && was->peer != TOPO_NONE)
			topo_part(t, p->no, net->now_ns);
		topo_port_set(t, t->bridge, p->no, p->up, p->speed_bps, net->now_ns);
		topo_port_name(t, t->bridge, p->no, p->name);
	}
}

// --- its links

static bool is_token(const uint8_t mac[6])
{
	return mac[0] == PROTO_MADE_UP >> 8 && mac[1] == (PROTO_MADE_UP & 0xff);
}

// The bridge's own port of a frame of ours, or of one that looks like it; NULL: it is neither.
static struct topo_port *port_of(const struct topo *t, const struct of_member_sight *s)
{
	const struct topo_switch *bridge = &t->switches[t->bridge];

	for (uint32_t i = 0; is_token(s->mac) && i < bridge->n_ports; i++) {
		if (bridge->ports[i].no == s->port)
			return &bridge->ports[i];
	}
	return NULL;
}

static bool is_of(const struct topo_token *token, const uint8_t mac[6])
{
	return memcmp(token->mac[0], mac, 6) == 0 || memcmp(token->mac[1], mac, 6) == 0;
}

static void end_links(struct of_net *net, const struct of_member *m)
{
	struct topo *t = &net->topo;
	const struct topo_switch *bridge = &t->switches[t->bridge];

	for (uint32_t i = 0; i < m->n_sights; i++) {
		struct topo_port *own = port_of(t, &m->sights[i]);

		if (own != NULL && own->peer != TOPO_NONE && is_of(&own->token[0], m->sights[i].mac))
			own->seen_ns = net->now_ns;
	}
	for (uint32_t i = 0; i < bridge->n_ports; i++) {
		const struct topo_port *own = &bridge->ports[i];
		uint32_t peer, peer_port;

		if (own->peer == TOPO_NONE ||
		    (net->now_ns - own->seen_ns < LOST_NS && topo_link(t, t->bridge, own->no, &peer, &peer_port)))
			continue;
		topo_part(t, own->no, net->now_ns);
		probe_now(net);
	}
}

struct expected { // two frames that the dataplane may see now, both at one port
	struct topo_token token;
	uint32_t sw;
	struct topo_port *port;
	const struct topo_port *seen[2]; // where; NULL: not yet
};

struct half {
	uint8_t mac[6];
	uint8_t which;
	struct expected *of; // NULL: two have the same
};

struct expectation {
	struct expected *all;
	struct half *halves; // by address
	uint32_t n;
};

static int by_mac(const void *a, const void *b)
{
	const struct half *x = a, *y = b;

	return memcmp(x->mac, y->mac, 6);
}

static void sort_halves(struct expectation *e)
{
	for (uint32_t i = 0; i < 2 * e->n; i++) {
		e->halves[i] = (struct half){.which = i % 2, .of = &e->all[i / 2]};
		memcpy(e->halves[i].mac, e->all[i / 2].token.mac[i % 2], 6);
	}
	qsort(e->halves, 2 * (size_t)e->n, sizeof(*e->halves), by_mac);
	for (uint32_t i = 1; i < 2 * e->n; i++) {
		if (by_mac(&e->halves[i - 1], &e->halves[i]) == 0)
			e->halves[i - 1].of = e->halves[i].of = NULL;
	}
}

static void expectation_fini(struct expectation *e)
{
	free(e->all);
	free(e->halves);
}

// Out of memory: nothing is expected.
static void expect(const struct of_net *net, struct expectation *e)
{
	const struct topo *t = &net->topo;
	size_t n_ports = 0;

	for (uint32_t i = 0; i < t->n_switches; i++)
		n_ports += t->switches[i].n_ports;
	e->all = calloc(2 * n_ports + 1, sizeof(*e->all));
	e->halves = calloc(4 * n_ports + 1, sizeof(*e->halves));
	for (uint32_t i = 0; e->all != NULL && e->halves != NULL && i < t->n_switches; i++) {
		for (uint32_t k = 0; k < 2 * t->switches[i].n_ports; k++) {
			struct topo_port *p = &t->switches[i].ports[k / 2];

			if (i != t->bridge && t->switches[i].up && p->up && !p->closed && !is_linked(t, i, p) &&
			    is_valid(net, p, &p->token[k % 2]))
				e->all[e->n++] = (struct expected){.token = p->token[k % 2], .sw = i, .port = p};
		}
	}
	if (e->n > 0)
		sort_halves(e);
}

// One link to each switch: a second one would close a loop.
static void make_link(struct of_net *net, struct topo_port *own, const struct expected *e)
{
	struct topo *t = &net->topo;

	if (is_linked(t, e->sw, e->port))
		return;
	if (port_towards(t, e->sw) != TOPO_NONE) {
		topo_port_share(t, e->sw, e->port->no, net->now_ns);
		return;
	}
	topo_join(t, own->no, e->sw, e->port->no, net->now_ns);
	e->port->token[0] = own->token[0] = e->token;
	e->port->token[1] = (struct topo_token){0};
}

static void find_links(struct of_net *net, const struct of_member *m)
{
	struct expectation now = {0};
	bool asked = false;

	for (uint32_t i = 0; i < m->n_sights; i++) {
		const struct of_member_sight *s = &m->sights[i];
		struct topo_port *own = s->at_ns < net->member_ns - OLD_NS ? NULL : port_of(&net->topo, s);
		struct half *half, key;

		if (own == NULL || !own->up || own->peer != TOPO_NONE)
			continue;
		if (!asked)
			expect(net, &now);
		asked = true;
		memcpy(key.mac, s->mac, 6);
		half = now.n == 0 ? NULL : bsearch(&key, now.halves, 2 * (size_t)now.n, sizeof(key), by_mac);
		if (half == NULL || half->of == NULL || s->at_ns < half->of->token.made_ns)
			continue;
		half->of->seen[half->which] = own;
		if (half->of->seen[0] == half->of->seen[1])
			make_link(net, own, half->of);
	}
	expectation_fini(&now);
}

// --- its hosts

static bool is_own(const struct topo *t, const struct topo_host *h)
{
	return h->sw == t->bridge;
}

// The source of a packet: it counts where nobody else who is here has said that it is his.
static void take_address(struct of_net *net, const struct of_member_sight *s)
{
	struct topo_host *h = topo_host(&net->topo, s->mac);

	for (struct addr *at = addrs_first(&net->addrs, s->ip, s->ip6); at != NULL; at = addrs_after(&net->addrs, at)) {
		if (memcmp(at->mac, s->mac, 6) != 0 && topo_host(&net->topo, at->mac) != NULL)
			return;
	}
	addrs_set(&net->addrs, s->ip, s->ip6, s->mac, ADDR_IP, s->at_ns);
	if (s->ip6 || h->ip4 != 0)
		return;
	h->ip4 = (uint32_t)(s->ip >> 96);
	net->topo.gen++;
}

static void take_sight(struct of_net *net, const struct of_member_sight *s)
{
	struct topo *t = &net->topo;
	const struct topo_port *port = topo_port(t, t->bridge, s->port);
	const struct topo_host *known = topo_host(t, s->mac);

	if (port == NULL || !topo_is_edge(port, net->now_ns) || is_token(s->mac))
		return;
	// what a switch has seen of it since counts; a new port may yet be found to lead to that switch
	if (known != NULL && !is_own(t, known) &&
	    (s->at_ns <= known->seen_ns || net->now_ns - port->since_ns < SURE_NS))
		return;
	if (topo_host_seen(t, s->mac, t->bridge, s->port, s->at_ns, NULL) >= 0 && s->has_ip)
		take_address(net, s);
}

// Hosts that are not among the sights any more; a sight's host was seen no earlier than the sight.
static void forget_hosts(struct of_net *net, const struct of_member *m)
{
	struct topo *t = &net->topo;

	for (uint32_t i = 0; i < t->n_hosts; i++)
		t->hosts[i].told_port = is_own(t, &t->hosts[i]) ? TOPO_NONE : t->hosts[i].told_port;
	for (uint32_t i = 0; i < m->n_sights; i++) {
		struct topo_host *h = topo_host(t, m->sights[i].mac);

		if (h != NULL && is_own(t, h) && h->port == m->sights[i].port)
			h->told_port = h->port;
	}
	for (uint32_t i = 0; i < t->n_hosts;) {
		if (is_own(t, &t->hosts[i]) && t->hosts[i].told_port == TOPO_NONE)
			topo_host_forget(t, &t->hosts[i]);
		else
			i++;
	}
}

void of_member_set(struct of_net *net, const struct of_member *m, int64_t now_ns)
{
	struct topo *t = &net->topo;
	int64_t since_ns;

	net->now_ns = now_ns;
	if ((m->n_ports == 0 && t->bridge == TOPO_NONE) || topo_bridge(t) == TOPO_NONE)
		return;
	topo_switch_up(t, t->bridge, m->n_ports > 0);
	take_ports(net, m);
	end_links(net, m);
	find_links(net, m);
	since_ns = t->gen == net->member_gen ? net->member_ns - OLD_NS : INT64_MIN; // the others were looked at
	for (uint32_t i = 0; i < m->n_sights; i++) {
		if (m->sights[i].at_ns >= since_ns || topo_host(t, m->sights[i].mac) == NULL)
			take_sight(net, &m->sights[i]);
	}
	forget_hosts(net, m);
	net->member_ns = now_ns;
	net->member_gen = of_member_is_new(net) ? t->gen - 1 : t->gen;
}
