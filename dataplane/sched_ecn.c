// SPDX-License-Identifier: Apache-2.0
// Explicit Congestion Notification (RFC 3168): marks a frame in its IP header, below up to two VLAN tags.
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "sched_live.h"

#define ECN_MASK 3
#define ECN_CE 3
#define TAGS_MAX 2

// RFC 1624: the sum after one 16-bit word has changed. Sums of words do not care for the byte order.
static void fix_checksum(struct rte_ipv4_hdr *ip, uint16_t was, uint16_t is)
{
	uint32_t sum = (uint16_t)~ip->hdr_checksum + (uint16_t)~was + (uint32_t)is;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->hdr_checksum = (uint16_t)~sum;
}

static bool mark_ip4(struct rte_ipv4_hdr *ip)
{
	uint16_t was, is;

	if ((ip->type_of_service & ECN_MASK) == 0)
		return false;
	memcpy(&was, ip, sizeof(was)); // version, length, type of service
	ip->type_of_service |= ECN_CE;
	memcpy(&is, ip, sizeof(is));
	fix_checksum(ip, was, is);
	return true;
}

static bool mark_ip6(struct rte_ipv6_hdr *ip)
{
	uint32_t vtc = rte_be_to_cpu_32(ip->vtc_flow);

	if ((vtc >> 20 & ECN_MASK) == 0)
		return false;
	ip->vtc_flow = rte_cpu_to_be_32(vtc | ECN_CE << 20);
	return true;
}

bool sched_ecn_mark(struct rte_mbuf *m)
{
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t at = offsetof(struct rte_ether_hdr, ether_type), len = rte_pktmbuf_data_len(m);
	uint16_t type = 0;

	if (rte_mbuf_refcnt_read(m) != 1 || !RTE_MBUF_DIRECT(m)) // others look at these bytes
		return false;
	for (unsigned int tags = 0; tags <= TAGS_MAX && at + 2 <= len; tags++) {
		type = (uint16_t)(data[at] << 8 | data[at + 1]);
		if (type != RTE_ETHER_TYPE_VLAN && type != RTE_ETHER_TYPE_QINQ)
			break;
		at += sizeof(struct rte_vlan_hdr);
	}
	at += 2;
	if (type == RTE_ETHER_TYPE_IPV4 && at + sizeof(struct rte_ipv4_hdr) <= len && data[at] >> 4 == 4)
		return mark_ip4((struct rte_ipv4_hdr *)(data + at));
	if (type == RTE_ETHER_TYPE_IPV6 && at + sizeof(struct rte_ipv6_hdr) <= len && data[at] >> 4 == 6)
		return mark_ip6((struct rte_ipv6_hdr *)(data + at));
	return false;
}
