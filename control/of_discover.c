// SPDX-License-Identifier: Apache-2.0
// Links by probes, hosts by what they send.
#include <errno.h>
#include <string.h>

#include "of_net_priv.h"

#define PROBE_FAST_NS 300000000LL  // while a port settles
#define PROBE_SLOW_NS 4000000000LL // TOPO_LINK_AGE_NS is about four of them
#define ROUNDS_VALID 8             // of PROBE_FAST_NS: older probes are replays
#define ETH_TYPE_ARP 0x0806

// --- packets that come in

static void on_probe(struct of_switch *sw, const struct of_packet_in *p)
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
	topo_probe(&net->topo, from, probe.port, sw->idx, p->in_port, net->now_ns);
}

// Ethernet/IPv4 ARP of either kind: the sender's address (RFC 826).
static uint32_t arp_sender(const struct of_packet_in *p)
{
	const uint8_t *a = p->data + 14;

	if (p->data_len < 14 + 28 || a[0] != 0 || a[1] != 1 || a[2] != 8 || a[3] != 0 || a[4] != 6 || a[5] != 4 ||
	    memcmp(a + 8, p->data + 6, 6) != 0)
		return 0;
	return (uint32_t)a[14] << 24 | (uint32_t)a[15] << 16 | (uint32_t)a[16] << 8 | a[17];
}

static void learn(struct of_switch *sw, const struct of_packet_in *p, unsigned int eth_type)
{
	struct of_net *net = sw->net;
	const struct topo_port *port = topo_port(&net->topo, sw->idx, p->in_port);
	struct topo_host was, *h;
	uint32_t ip4 = eth_type == ETH_TYPE_ARP ? arp_sender(p) : 0;

	if (port == NULL || !topo_is_edge(port, net->now_ns))
		return;
	if (topo_host_seen(&net->topo, p->data + 6, sw->idx, p->in_port, net->now_ns, &was) < 0)
		return;
	h = topo_host(&net->topo, p->data + 6);
	if (ip4 == 0 || h == NULL || h->ip4 == ip4)
		return;
	for (uint32_t i = 0; i < net->topo.n_hosts; i++) { // the last one who says so has it
		if (net->topo.hosts[i].ip4 == ip4 && &net->topo.hosts[i] != h) {
			of_net_note(net, "%u.%u.%u.%u has moved to another Ethernet address", ip4 >> 24,
				    ip4 >> 16 & 255, ip4 >> 8 & 255, ip4 & 255);
			net->topo.hosts[i].ip4 = 0;
		}
	}
	h->ip4 = ip4;
	net->topo.gen++;
}

void of_discover_packet(struct of_switch *sw, const struct of_packet_in *p)
{
	unsigned int eth_type;

	sw->net->stats.packet_ins++;
	if (p->data_len < 14)
		return;
	eth_type = (unsigned int)p->data[12] << 8 | p->data[13];
	if (eth_type == LLDP_ETH_TYPE)
		on_probe(sw, p);
	else
		learn(sw, p, eth_type);
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
	m.packet_out.data_len = (uint16_t)lldp_make(&probe, port->mac, net->conf.key, frame);
	of_conn_send(sw->conn, &m, NULL);
}

static bool settles(const struct of_net *net, const struct topo_port *p)
{
	return p != NULL && p->up && !p->inner && !topo_is_edge(p, net->now_ns);
}

void of_discover_probe(struct of_net *net)
{
	bool slow = net->now_ns >= net->slow_ns, some = false;

	net->round++;
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
	if (slow)
		net->slow_ns = net->now_ns + PROBE_SLOW_NS;
	net->probe_ns = some ? net->now_ns + PROBE_FAST_NS : net->slow_ns;
	if (some || net->settling) // a port that has settled changes what is flooded
		net->topo.gen++;
	net->settling = some;
}
