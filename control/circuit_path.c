// SPDX-License-Identifier: Apache-2.0
// Dijkstra over the verified links.
#include <errno.h>
#include <stdlib.h>

#include "circuit.h"

struct node {
	uint64_t cost;          // from the start; UINT64_MAX: not reached
	uint32_t in_port;       // by which it was reached
	uint32_t via, via_port; // from there
	bool done;
};

static uint32_t cheapest(const struct topo *t, const struct node *nodes)
{
	uint32_t best = TOPO_NONE;

	for (uint32_t i = 0; i < t->n_switches; i++) {
		if (nodes[i].done || nodes[i].cost == UINT64_MAX)
			continue;
		// A tie is decided by the lowest dpid, so that it is decided alike every time.
		if (best == TOPO_NONE || nodes[i].cost < nodes[best].cost ||
		    (nodes[i].cost == nodes[best].cost && t->switches[i].dpid < t->switches[best].dpid))
			best = i;
	}
	return best;
}

static void relax(const struct topo *t, struct node *nodes, uint32_t sw,
		  uint32_t (*cost)(void *ctx, uint32_t sw, uint32_t port), void *ctx)
{
	for (uint32_t i = 0; i < t->switches[sw].n_ports; i++) {
		uint32_t port = t->switches[sw].ports[i].no, peer, peer_port, step;

		if (!topo_link(t, sw, port, &peer, &peer_port) || nodes[peer].done)
			continue;
		step = cost(ctx, sw, port);
		if (step == 0 || nodes[sw].cost + step > nodes[peer].cost ||
		    (nodes[sw].cost + step == nodes[peer].cost &&
		     (nodes[peer].via != sw || nodes[peer].via_port < port)))
			continue;
		nodes[peer] = (struct node){nodes[sw].cost + step, peer_port, sw, port, false};
	}
}

int circuit_path(const struct topo *t, uint32_t from, uint32_t to,
		 uint32_t (*cost)(void *ctx, uint32_t sw, uint32_t port), void *ctx, struct circuit_hop *hops)
{
	struct node *nodes = malloc((t->n_switches + 1U) * sizeof(*nodes));
	uint32_t at, n = 1;

	if (nodes == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_switches; i++)
		nodes[i] = (struct node){.cost = UINT64_MAX, .in_port = TOPO_NONE, .via = TOPO_NONE};
	nodes[from].cost = 0;
	while ((at = cheapest(t, nodes)) != TOPO_NONE && at != to) {
		nodes[at].done = true;
		relax(t, nodes, at, cost, ctx);
	}
	if (at == TOPO_NONE) {
		free(nodes);
		return -ENOENT;
	}
	for (at = to; at != from; at = nodes[at].via)
		n++;
	at = to;
	for (uint32_t i = n; i-- > 0; at = nodes[at].via) {
		hops[i] = (struct circuit_hop){.sw = at, .in_port = nodes[at].in_port, .out_port = TOPO_NONE};
		if (i + 1 < n)
			hops[i].out_port = nodes[hops[i + 1].sw].via_port;
	}
	free(nodes);
	return (int)n;
}
