// SPDX-License-Identifier: Apache-2.0
#include "member.h"

static const struct topo *topo_of(const struct nib *nib)
{
	const struct nib_net *net = nib_net(nib);

	return net == NULL || net->topo->bridge == TOPO_NONE ? NULL : net->topo;
}

unsigned int member_links(const struct nib *nib, struct member_link *out)
{
	const struct topo *t = topo_of(nib);
	unsigned int n = 0;

	for (size_t i = 0; t != NULL && i < nib_n_ports(nib) && n < MEMBER_LINKS_MAX; i++) {
		uint16_t no = nib_port_at(nib, i)->port;
		uint32_t sw, sw_port;

		if (topo_link(t, t->bridge, no, &sw, &sw_port))
			out[n++] = (struct member_link){no, sw, topo_port(t, sw, sw_port),
							topo_port(t, t->bridge, no)->seen_ns +
								nib_net(nib)->wall_minus_now_ns};
	}
	return n;
}

bool member_passes(const struct nib *nib, const struct nib_seen *seen)
{
	const struct topo *t = topo_of(nib);
	const struct topo_port *port = t == NULL ? NULL : topo_port(t, t->bridge, seen->port);

	return port != NULL && port->inner;
}
