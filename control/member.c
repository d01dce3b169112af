// SPDX-License-Identifier: Apache-2.0
#include "member.h"

#include <stdlib.h>
#include <string.h>

static void mac_of(uint64_t mac, uint8_t out[6])
{
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)(mac >> (8 * (5 - i)));
}

static int compare_macs(const void *a, const void *b)
{
	const struct member_link *x = a, *y = b;

	return memcmp(x->to->mac, y->to->mac, 6);
}

static int compare_places(const void *a, const void *b)
{
	const struct member_link *x = a, *y = b;

	if (x->sw != y->sw)
		return x->sw < y->sw ? -1 : 1;
	return x->to->no < y->to->no ? -1 : x->to->no > y->to->no;
}

// All ports of switches that are up, by address; malloc'ed.
static struct member_link *ports_of(const struct topo *t, uint32_t *n)
{
	struct member_link *all;
	uint32_t most = 0;

	for (uint32_t sw = 0; sw < t->n_switches; sw++)
		most += t->switches[sw].n_ports;
	all = calloc(most + 1U, sizeof(*all));
	*n = 0;
	for (uint32_t sw = 0; all != NULL && sw < t->n_switches; sw++) {
		for (uint32_t i = 0; i < t->switches[sw].n_ports; i++) {
			const struct topo_port *p = &t->switches[sw].ports[i];

			if (p->up)
				all[(*n)++] = (struct member_link){.sw = sw, .to = p};
		}
	}
	if (*n > 1)
		qsort(all, *n, sizeof(*all), compare_macs);
	return all;
}

static const struct member_link *find(const struct member_link *all, uint32_t n, uint64_t mac)
{
	struct topo_port port = {0};
	const struct member_link key = {.to = &port};

	mac_of(mac, port.mac);
	return n == 0 ? NULL : bsearch(&key, all, n, sizeof(*all), compare_macs);
}

unsigned int member_links(const struct nib *nib, struct member_link *out)
{
	const struct nib_net *net = nib_net(nib);
	const struct nib_seen *seen;
	struct member_link *all;
	unsigned int n = 0;
	uint32_t n_all = 0;

	if (net == NULL || nib_n_ports(nib) == 0)
		return 0;
	all = ports_of(net->topo, &n_all);
	for (size_t i = 0; all != NULL && n < MEMBER_LINKS_MAX && (seen = nib_seen_at(nib, i)) != NULL; i++) {
		const struct member_link *at = seen->has_ip ? NULL : find(all, n_all, seen->mac);

		if (at == NULL || nib_port_find(nib, seen->port) == NULL)
			continue;
		out[n] = *at;
		out[n].port = seen->port;
		out[n++].seen_ns = seen->last_ns;
	}
	free(all);
	if (n > 1)
		qsort(out, n, sizeof(*out), compare_places);
	return n;
}

bool member_passes(const struct nib *nib, const struct member_link *links, unsigned int n, const struct nib_seen *seen)
{
	bool inner = false;
	uint8_t mac[6];

	mac_of(seen->mac, mac);
	for (unsigned int i = 0; i < n; i++) {
		inner |= links[i].port == seen->port;
		if (memcmp(links[i].to->mac, mac, 6) == 0)
			return true;
	}
	return inner && topo_host(nib_net(nib)->topo, mac) != NULL;
}
