// SPDX-License-Identifier: Apache-2.0
#include "played_bridge.h"

#include <stdlib.h>
#include <string.h>

#define PORTS_MAX 32

void played_bridge_init(struct played_bridge *b)
{
	*b = (struct played_bridge){0};
	if (of_bridge_init(&b->learnt, PLAYED_SIGHTS / 2) < 0)
		abort();
}

void played_bridge_fini(struct played_bridge *b)
{
	of_bridge_fini(&b->learnt);
}

void played_bridge_forget(struct played_bridge *b)
{
	of_bridge_fini(&b->learnt);
	if (of_bridge_init(&b->learnt, PLAYED_SIGHTS / 2) < 0)
		abort();
}

static struct of_member_sight *sight_of(struct played_bridge *b, const uint8_t mac[6])
{
	uint32_t i = 0;

	while (i < b->n_sights && memcmp(b->sights[i].mac, mac, 6) != 0)
		i++;
	if (i == PLAYED_SIGHTS)
		abort();
	if (i == b->n_sights)
		b->sights[b->n_sights++] = (struct of_member_sight){.port = 0};
	return &b->sights[i];
}

void played_bridge_see(struct played_bridge *b, const uint8_t mac[6], uint32_t port, int64_t now_ns)
{
	struct of_member_sight *s = sight_of(b, mac);

	*s = (struct of_member_sight){.port = port, .at_ns = now_ns};
	memcpy(s->mac, mac, 6);
	s->has_ip = mac[0] == 2;
	s->ip = match_ip4(0x0a000000 + mac[5]);
	of_bridge_learn(&b->learnt, mac, port);
}

void played_bridge_tell(struct played_bridge *b, struct of_net *net, const bool *up, uint32_t n_ports, int64_t now_ns)
{
	struct of_member_port ports[PORTS_MAX];
	struct of_member m = {.ports = ports, .n_ports = n_ports, .sights = b->sights};

	if (n_ports > PORTS_MAX)
		abort();
	for (uint32_t i = 0; i < b->learnt.n_slots; i++) {
		const struct of_bridge_entry *e = &b->learnt.slots[i];

		if (e->used && sight_of(b, e->mac)->port != e->port)
			played_bridge_see(b, e->mac, e->port, now_ns);
	}
	for (uint32_t i = 0; i < n_ports; i++)
		ports[i] = (struct of_member_port){i + 1, "", up[i], 0};
	m.n_sights = b->n_sights;
	of_member_set(net, &m, now_ns);
}

struct of_packet played_packet(uint32_t from, uint32_t to, bool broadcast)
{
	struct of_packet p = {.eth_src = {2, 0, 0, 0, 0, (uint8_t)(from + 1)},
			      .eth_dst = {2, 0, 0, 0, 0, (uint8_t)(to + 1)},
			      .eth_type = 0x0800,
			      .ip4_src = 0x0a000001 + from,
			      .ip4_dst = 0x0a000001 + to,
			      .ip_proto = 17};

	if (broadcast) {
		memset(p.eth_dst, 0xff, 6);
		p.eth_type = 0x0806;
		p.arp_op = 1;
		p.ip_proto = 0;
	}
	return p;
}
