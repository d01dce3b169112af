// SPDX-License-Identifier: Apache-2.0
// Ports as their switches tell of them, and when those are to be probed.
#include <inttypes.h>

#include "of_net_priv.h"

#define PROBE_PAUSE_NS 50000000LL // between two rounds of probes
#define PROBE_BURST 10            // of all ports, and then once in
#define PROBE_ALL_NS 500000000LL
#define FLAP_BURST 20 // changes of ports of one switch that are followed at once, and then one in
#define FLAP_PAUSE_NS 200000000LL

static int64_t later(int64_t x, int64_t y)
{
	return x > y ? x : y;
}

// Links that are new, or gone: asks everywhere, but not for every word of a switch that talks a lot.
static void probe_soon(struct of_net *net)
{
	int64_t free_ns = of_pace_free_ns(&net->probe_pace, PROBE_BURST, PROBE_ALL_NS);
	int64_t at = later(later(net->probed_ns + PROBE_PAUSE_NS, free_ns), net->now_ns);

	if (at < net->slow_ns)
		of_pace_take(&net->probe_pace, net->now_ns, PROBE_ALL_NS);
	net->slow_ns = at < net->slow_ns ? at : net->slow_ns;
	net->probe_ns = at < net->probe_ns ? at : net->probe_ns;
}

static void take_port(struct of_switch *sw, const struct of_port *port)
{
	struct topo *t = &sw->net->topo;

	topo_port_set(t, sw->idx, port->no, !(port->flags & (OF_PORT_DOWN | OF_PORT_LINK_DOWN)), port->speed_bps,
		      sw->net->now_ns);
	topo_port_name(t, sw->idx, port->no, port->name);
	topo_port_mac(t, sw->idx, port->no, port->mac);
}

// Is followed at once, unless ports of the switch come and go all the time.
static bool is_flapping(struct of_switch *sw)
{
	struct of_net *net = sw->net;

	if (net->now_ns < of_pace_free_ns(&sw->flap_pace, FLAP_BURST, FLAP_PAUSE_NS)) {
		if (!sw->flaps)
			of_net_note(net,
				    "switch %016" PRIx64
				    ": its ports change over %d times in %lld s: followed now and then",
				    of_net_dpid(sw), FLAP_BURST, FLAP_BURST * FLAP_PAUSE_NS / 1000000000);
		sw->flaps = true;
		net->stats.flaps++;
		return true;
	}
	sw->flaps = sw->flaps && net->now_ns < sw->flap_pace.due_ns;
	of_pace_take(&sw->flap_pace, net->now_ns, FLAP_PAUSE_NS);
	return false;
}

void of_ports_status(struct of_switch *sw, const struct of_port_status *status)
{
	struct of_net *net = sw->net;
	uint64_t gen = net->topo.gen;
	uint32_t no = status->port.no;

	if (status->reason == 1)
		topo_port_del(&net->topo, sw->idx, no);
	else if (no != 0 && no <= OF_PORT_MAX)
		take_port(sw, &status->port);
	if (net->topo.gen == gen)
		return;
	if (is_flapping(sw))
		net->news += net->topo.gen - gen;
	probe_soon(net);
}

void of_ports_take(struct of_switch *sw)
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
		take_port(sw, &ports[i]);
	probe_soon(sw->net);
}
