// SPDX-License-Identifier: Apache-2.0
// Random messages that a version can say, from a seed.
#pragma once
#include <stdint.h>
#include <string.h>

#include "control/of_wire.h"

static uint64_t rnd_state;

static inline uint32_t rnd(uint32_t n) // 0 .. n-1; splitmix64
{
	uint64_t z = rnd_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ z >> 31) % n);
}

static inline uint64_t rnd64(void)
{
	return (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
}

static inline void rnd_bytes(uint8_t *out, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		out[i] = (uint8_t)rnd(256);
}

static inline uint32_t rnd_port(void)
{
	return rnd(4) == 0 ? OF_PORT_IN_PORT + rnd(8) : 1 + rnd(0xff00);
}

static inline void rnd_eth(uint8_t version, uint8_t *eth, uint8_t *mask)
{
	rnd_bytes(eth, 6);
	memset(mask, 0xff, 6);
	if (version != OF_VERSION_10 && rnd(3) == 0)
		rnd_bytes(mask, 6);
	for (int i = 0; i < 6; i++)
		eth[i] &= mask[i];
}

static inline void rnd_ip4(uint32_t *addr, uint32_t *mask)
{
	*mask = UINT32_MAX << rnd(32);
	*addr = rnd(UINT32_MAX) & *mask;
}

static inline void rnd_match_ip(uint8_t version, struct of_match *m)
{
	static const uint8_t protos[] = {1, 6, 17, 132};

	m->has |= OF_HAS_ETH_TYPE | OF_HAS_IP_PROTO;
	m->eth_type = 0x0800;
	m->ip_proto = protos[rnd(4)];
	if (version != OF_VERSION_10 && rnd(3) == 0) {
		m->eth_type = 0x86dd;
		m->has |= OF_HAS_IP6_SRC;
		memset(m->ip6_src_mask, 0xff, rnd(16) + 1);
		rnd_bytes(m->ip6_src, 16);
		for (int i = 0; i < 16; i++)
			m->ip6_src[i] &= m->ip6_src_mask[i];
	} else if (rnd(2) == 0) {
		m->has |= OF_HAS_IP4_SRC | OF_HAS_IP4_DST;
		rnd_ip4(&m->ip4_src, &m->ip4_src_mask);
		rnd_ip4(&m->ip4_dst, &m->ip4_dst_mask);
	}
	if (m->ip_proto == 1 && rnd(2) == 0) {
		m->has |= OF_HAS_ICMP_TYPE | OF_HAS_ICMP_CODE;
		m->icmp_type = (uint8_t)rnd(256);
		m->icmp_code = (uint8_t)rnd(256);
	} else if (m->ip_proto != 1 && rnd(2) == 0) {
		m->has |= OF_HAS_L4_DST;
		m->l4_dst_mask = version != OF_VERSION_10 && rnd(2) == 0 ? 0xfff0 : 0xffff;
		m->l4_dst = (uint16_t)rnd(65536) & m->l4_dst_mask;
	}
	if (rnd(4) == 0) {
		m->has |= OF_HAS_IP_DSCP;
		m->ip_dscp = (uint8_t)rnd(64);
	}
}

static inline void rnd_match(uint8_t version, struct of_match *m)
{
	memset(m, 0, sizeof(*m));
	if (rnd(2) == 0) {
		m->has |= OF_HAS_IN_PORT;
		m->in_port = rnd_port();
	}
	if (rnd(2) == 0) {
		m->has |= OF_HAS_ETH_DST;
		rnd_eth(version, m->eth_dst, m->eth_dst_mask);
	}
	if (rnd(3) == 0) {
		m->has |= OF_HAS_ETH_SRC;
		rnd_eth(version, m->eth_src, m->eth_src_mask);
	}
	if (rnd(3) == 0) {
		m->has |= OF_HAS_VLAN;
		m->vlan = rnd(3) == 0 ? OF_VLAN_NONE : (uint16_t)rnd(4096);
		if (version != OF_VERSION_10 && rnd(4) == 0)
			m->vlan = OF_VLAN_ANY;
	}
	switch (rnd(3)) {
	case 0:
		rnd_match_ip(version, m);
		break;
	case 1:
		m->has |= OF_HAS_ETH_TYPE | OF_HAS_ARP_OP | OF_HAS_ARP_SPA;
		m->eth_type = 0x0806;
		m->arp_op = (uint16_t)(1 + rnd(2));
		rnd_ip4(&m->ip4_src, &m->ip4_src_mask);
		break;
	default:
		break;
	}
}

static inline struct of_action rnd_action(uint8_t version)
{
	static const uint8_t of10[] = {OF_ACT_OUTPUT, OF_ACT_ENQUEUE, OF_ACT_ETH_DST, OF_ACT_POP_VLAN, OF_ACT_VLAN};
	static const uint8_t of13[] = {OF_ACT_OUTPUT,    OF_ACT_QUEUE,    OF_ACT_GROUP, OF_ACT_ETH_SRC,
				       OF_ACT_PUSH_VLAN, OF_ACT_POP_VLAN, OF_ACT_VLAN};
	struct of_action a = {.type = version == OF_VERSION_10 ? of10[rnd(5)] : of13[rnd(7)]};

	switch (a.type) {
	case OF_ACT_OUTPUT:
		a.port = rnd_port();
		a.max_len = (uint16_t)rnd(65536);
		break;
	case OF_ACT_ENQUEUE:
		a.port = 1 + rnd(100);
		a.queue = rnd(1000);
		break;
	case OF_ACT_QUEUE:
		a.queue = rnd(1000);
		break;
	case OF_ACT_GROUP:
		a.group = rnd(1000);
		break;
	case OF_ACT_ETH_DST:
	case OF_ACT_ETH_SRC:
		rnd_bytes(a.eth, 6);
		break;
	case OF_ACT_VLAN:
		a.vlan = (uint16_t)rnd(4096);
		break;
	default:
		break;
	}
	return a;
}

static inline void rnd_instructions(uint8_t version, struct of_instructions *i)
{
	memset(i, 0, sizeof(*i));
	i->goto_table = OF_TABLE_ALL;
	i->n_actions = (uint8_t)rnd(6);
	for (int k = 0; k < i->n_actions; k++)
		i->actions[k] = rnd_action(version);
	if (version == OF_VERSION_10)
		return;
	i->write = i->n_actions > 0 && rnd(2) == 0;
	if (rnd(3) == 0)
		i->meter = 1 + rnd(1000);
	if (rnd(3) == 0)
		i->goto_table = (uint8_t)rnd(254);
}

static inline void rnd_port_record(uint8_t version, struct of_port *p)
{
	memset(p, 0, sizeof(*p));
	p->no = 1 + rnd(1000);
	rnd_bytes(p->mac, 6);
	memcpy(p->name, "s1-eth1", 8);
	p->flags = rnd(8);
	p->current = 1U << rnd(7) | 1U << 11;
	if (version == OF_VERSION_10)
		return;
	p->speed_bps = (uint64_t)rnd(100000) * 1000;
	p->max_speed_bps = 1000000000ULL;
}
