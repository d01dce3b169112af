// SPDX-License-Identifier: Apache-2.0
// Findings and their packets in words.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "of_verify.h"

const char *of_finding_name(enum of_finding_kind kind)
{
	static const char *const names[] = {"leak", "black_hole", "loop", "twice", "moved", "unchecked"};

	return names[kind];
}

size_t of_packet_format(const struct of_packet *p, char *buf, size_t size)
{
	const uint8_t *s = p->eth_src, *d = p->eth_dst;
	char src[INET6_ADDRSTRLEN] = "", dst[INET6_ADDRSTRLEN] = "", eth[120];
	const uint32_t be[2] = {htonl(p->ip4_src), htonl(p->ip4_dst)};
	char ports[48] = "", vlan[16] = "";

	snprintf(eth, sizeof(eth), "srcEth=%02x:%02x:%02x:%02x:%02x:%02x, dstEth=%02x:%02x:%02x:%02x:%02x:%02x", s[0],
		 s[1], s[2], s[3], s[4], s[5], d[0], d[1], d[2], d[3], d[4], d[5]);
	if (p->vlan != 0)
		snprintf(vlan, sizeof(vlan), ", vlan=%u", p->vlan);
	if (p->eth_type != 0x0800 && p->eth_type != 0x86dd)
		return (size_t)snprintf(buf, size, "%s%s, kind={nonip}", eth, vlan);
	inet_ntop(p->eth_type == 0x0800 ? AF_INET : AF_INET6, p->eth_type == 0x0800 ? (const void *)&be[0] : p->ip6_src,
		  src, sizeof(src));
	inet_ntop(p->eth_type == 0x0800 ? AF_INET : AF_INET6, p->eth_type == 0x0800 ? (const void *)&be[1] : p->ip6_dst,
		  dst, sizeof(dst));
	if (p->ip_proto == 6 || p->ip_proto == 17 || p->ip_proto == 132)
		snprintf(ports, sizeof(ports), ", srcPort=%u, dstPort=%u", p->l4_src, p->l4_dst);
	return (size_t)snprintf(buf, size, "srcHost=%s, dstHost=%s, transport=%u%s%s, %s", src, dst, p->ip_proto, ports,
				vlan, eth);
}

static void masked(uint8_t *out, const uint8_t *value, const uint8_t *mask, uint8_t fill, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		out[i] = (uint8_t)((value[i] & mask[i]) | (fill & ~mask[i]));
}

void of_packet_for(const struct of_match *m, struct of_packet *p)
{
	static const uint8_t src[6] = {2, 0, 0, 0xfe, 0xfe, 1}, dst[6] = {2, 0, 0, 0xfe, 0xfe, 2};

	memset(p, 0, sizeof(*p));
	memcpy(p->eth_src, src, 6);
	memcpy(p->eth_dst, dst, 6);
	if (m->has & OF_HAS_ETH_SRC)
		masked(p->eth_src, m->eth_src, m->eth_src_mask, 0, 6);
	if (m->has & OF_HAS_ETH_DST)
		masked(p->eth_dst, m->eth_dst, m->eth_dst_mask, 0, 6);
	p->eth_type = m->has & OF_HAS_ETH_TYPE ? m->eth_type : OF_PACKET_TRIED;
	p->vlan = !(m->has & OF_HAS_VLAN) || m->vlan == OF_VLAN_NONE || m->vlan == OF_VLAN_UPPER ? 0
		  : m->vlan == OF_VLAN_ANY                                                       ? 1
												 : m->vlan;
	p->ip_proto = m->ip_proto;
	p->ip4_src = m->ip4_src & m->ip4_src_mask;
	p->ip4_dst = m->ip4_dst & m->ip4_dst_mask;
	masked(p->ip6_src, m->ip6_src, m->ip6_src_mask, 0, 16);
	masked(p->ip6_dst, m->ip6_dst, m->ip6_dst_mask, 0, 16);
	p->l4_src = m->l4_src & m->l4_src_mask;
	p->l4_dst = m->l4_dst & m->l4_dst_mask;
	p->icmp_type = m->icmp_type;
	p->icmp_code = m->icmp_code;
	p->arp_op = m->arp_op;
}
