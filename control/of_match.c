// SPDX-License-Identifier: Apache-2.0
// Matches: 1.0's fixed 40 bytes (section 5.2.3) and 1.3's OXM (section 7.2.2).
#include <errno.h>

#include "of_priv.h"

// --- 1.0

#define OFPFW_IN_PORT (1U << 0)
#define OFPFW_DL_VLAN (1U << 1)
#define OFPFW_DL_SRC (1U << 2)
#define OFPFW_DL_DST (1U << 3)
#define OFPFW_DL_TYPE (1U << 4)
#define OFPFW_NW_PROTO (1U << 5)
#define OFPFW_TP_SRC (1U << 6)
#define OFPFW_TP_DST (1U << 7)
#define OFPFW_NW_SRC_SHIFT 8
#define OFPFW_NW_DST_SHIFT 14
#define OFPFW_DL_VLAN_PCP (1U << 20)
#define OFPFW_NW_TOS (1U << 21)
#define OFPFW_ALL ((1U << 22) - 1)
#define NW_BITS(wildcards, shift) ((wildcards) >> (shift)&0x3f)

#define ETH_TYPE_ARP 0x0806
#define HAS_ICMP (OF_HAS_ICMP_TYPE | OF_HAS_ICMP_CODE)
#define HAS_L4 (OF_HAS_L4_SRC | OF_HAS_L4_DST)

static const uint8_t eth_exact[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool prefix_mask(uint32_t mask)
{
	return (~mask & (~mask + 1)) == 0;
}

// NULL: 1.0 can say it.
static const char *beyond_10(const struct of_match *m)
{
	bool arp = (m->has & OF_HAS_ETH_TYPE) && m->eth_type == ETH_TYPE_ARP;

	if (m->has & (OF_HAS_IP6_SRC | OF_HAS_IP6_DST))
		return "IPv6 addresses";
	if ((m->has & OF_HAS_VLAN) && m->vlan == OF_VLAN_ANY)
		return "any VLAN tag";
	if ((m->has & OF_HAS_VLAN) && m->vlan == OF_VLAN_UPPER)
		return "a range of VLAN ids";
	if (((m->has & OF_HAS_ETH_DST) && memcmp(m->eth_dst_mask, eth_exact, 6) != 0) ||
	    ((m->has & OF_HAS_ETH_SRC) && memcmp(m->eth_src_mask, eth_exact, 6) != 0))
		return "masked Ethernet addresses";
	if (!prefix_mask(m->ip4_src_mask) || !prefix_mask(m->ip4_dst_mask))
		return "IPv4 masks other than prefixes";
	if (((m->has & OF_HAS_L4_SRC) && m->l4_src_mask != 0xffff) ||
	    ((m->has & OF_HAS_L4_DST) && m->l4_dst_mask != 0xffff))
		return "masked ports";
	if (!arp && (m->has & (OF_HAS_ARP_OP | OF_HAS_ARP_SPA | OF_HAS_ARP_TPA)))
		return "ARP fields without the ARP type";
	if ((m->has & OF_HAS_ARP_OP) && m->arp_op > 0xff)
		return "ARP operations over 255";
	if ((m->has & HAS_ICMP) && (m->has & HAS_L4))
		return "ports and ICMP fields at once";
	return NULL;
}

static unsigned int wildcard_bits(uint32_t mask)
{
	return mask == 0 ? 32 : (unsigned int)__builtin_ctz(mask);
}

static int put_match_10(struct of_out *out, const struct of_match *m, struct err *err)
{
	const uint32_t has = m->has;
	bool arp = (has & OF_HAS_ETH_TYPE) && m->eth_type == ETH_TYPE_ARP;
	bool src = has & (OF_HAS_IP4_SRC | OF_HAS_ARP_SPA), dst = has & (OF_HAS_IP4_DST | OF_HAS_ARP_TPA);
	uint32_t wild = OFPFW_ALL & ~(0x3fU << OFPFW_NW_SRC_SHIFT) & ~(0x3fU << OFPFW_NW_DST_SHIFT);
	const char *beyond = beyond_10(m);

	if (beyond != NULL)
		return err_set(err, EINVAL, "OpenFlow 1.0 cannot match %s", beyond);
	wild &= ~(has & OF_HAS_IN_PORT ? OFPFW_IN_PORT : 0);
	wild &= ~(has & OF_HAS_VLAN ? OFPFW_DL_VLAN : 0);
	wild &= ~(has & OF_HAS_ETH_SRC ? OFPFW_DL_SRC : 0);
	wild &= ~(has & OF_HAS_ETH_DST ? OFPFW_DL_DST : 0);
	wild &= ~(has & OF_HAS_ETH_TYPE ? OFPFW_DL_TYPE : 0);
	wild &= ~(has & (OF_HAS_IP_PROTO | OF_HAS_ARP_OP) ? OFPFW_NW_PROTO : 0);
	wild &= ~(has & (OF_HAS_L4_SRC | OF_HAS_ICMP_TYPE) ? OFPFW_TP_SRC : 0);
	wild &= ~(has & (OF_HAS_L4_DST | OF_HAS_ICMP_CODE) ? OFPFW_TP_DST : 0);
	wild &= ~(has & OF_HAS_VLAN_PCP ? OFPFW_DL_VLAN_PCP : 0);
	wild &= ~(has & OF_HAS_IP_DSCP ? OFPFW_NW_TOS : 0);
	wild |= (src ? wildcard_bits(m->ip4_src_mask) : 32) << OFPFW_NW_SRC_SHIFT;
	wild |= (dst ? wildcard_bits(m->ip4_dst_mask) : 32) << OFPFW_NW_DST_SHIFT;
	of_put(out, wild, 4);
	of_put(out, of_port_to_wire10(has & OF_HAS_IN_PORT ? m->in_port : 0), 2);
	of_put_bytes(out, m->eth_src, 6);
	of_put_bytes(out, m->eth_dst, 6);
	of_put(out, has & OF_HAS_VLAN ? m->vlan : 0, 2);
	of_put(out, m->vlan_pcp, 1);
	of_pad(out, 1);
	of_put(out, m->eth_type, 2);
	of_put(out, (uint64_t)m->ip_dscp << 2, 1);
	of_put(out, arp ? m->arp_op : m->ip_proto, 1);
	of_pad(out, 2);
	of_put(out, m->ip4_src, 4);
	of_put(out, m->ip4_dst, 4);
	of_put(out, has & OF_HAS_ICMP_TYPE ? m->icmp_type : m->l4_src, 2);
	of_put(out, has & OF_HAS_ICMP_CODE ? m->icmp_code : m->l4_dst, 2);
	return 0;
}

static uint32_t prefix_of(unsigned int wildcarded)
{
	return wildcarded >= 32 ? 0 : UINT32_MAX << wildcarded;
}

static void get_layer4_10(struct of_match *m, uint32_t wild, uint16_t src, uint16_t dst)
{
	bool icmp = (m->has & OF_HAS_IP_PROTO) && m->ip_proto == 1;

	if (!(wild & OFPFW_TP_SRC)) {
		m->has |= icmp ? OF_HAS_ICMP_TYPE : OF_HAS_L4_SRC;
		m->icmp_type = icmp ? (uint8_t)src : 0;
		m->l4_src = icmp ? 0 : src;
		m->l4_src_mask = icmp ? 0 : 0xffff;
	}
	if (!(wild & OFPFW_TP_DST)) {
		m->has |= icmp ? OF_HAS_ICMP_CODE : OF_HAS_L4_DST;
		m->icmp_code = icmp ? (uint8_t)dst : 0;
		m->l4_dst = icmp ? 0 : dst;
		m->l4_dst_mask = icmp ? 0 : 0xffff;
	}
}

static void get_ip_10(struct of_match *m, uint32_t wild, uint8_t tos, uint8_t proto, uint32_t src, uint32_t dst)
{
	bool arp = (m->has & OF_HAS_ETH_TYPE) && m->eth_type == ETH_TYPE_ARP;

	if (!(wild & OFPFW_NW_TOS)) {
		m->has |= OF_HAS_IP_DSCP;
		m->ip_dscp = tos >> 2;
	}
	if (!(wild & OFPFW_NW_PROTO)) {
		m->has |= arp ? OF_HAS_ARP_OP : OF_HAS_IP_PROTO;
		m->arp_op = arp ? proto : 0;
		m->ip_proto = arp ? 0 : proto;
	}
	if (NW_BITS(wild, OFPFW_NW_SRC_SHIFT) < 32) {
		m->has |= arp ? OF_HAS_ARP_SPA : OF_HAS_IP4_SRC;
		m->ip4_src_mask = prefix_of(NW_BITS(wild, OFPFW_NW_SRC_SHIFT));
		m->ip4_src = src & m->ip4_src_mask;
	}
	if (NW_BITS(wild, OFPFW_NW_DST_SHIFT) < 32) {
		m->has |= arp ? OF_HAS_ARP_TPA : OF_HAS_IP4_DST;
		m->ip4_dst_mask = prefix_of(NW_BITS(wild, OFPFW_NW_DST_SHIFT));
		m->ip4_dst = dst & m->ip4_dst_mask;
	}
}

static void get_eth_10(struct of_match *m, uint32_t wild, const uint8_t *src, const uint8_t *dst)
{
	if (!(wild & OFPFW_DL_SRC)) {
		m->has |= OF_HAS_ETH_SRC;
		memcpy(m->eth_src, src, 6);
		memset(m->eth_src_mask, 0xff, 6);
	}
	if (!(wild & OFPFW_DL_DST)) {
		m->has |= OF_HAS_ETH_DST;
		memcpy(m->eth_dst, dst, 6);
		memset(m->eth_dst_mask, 0xff, 6);
	}
}

static int get_match_10(struct of_in *in, struct of_match *m, struct err *err)
{
	uint32_t wild = of_get32(in), in_port = of_get_port_no(in, OF_VERSION_10), src, dst;
	uint8_t eth_src[6], eth_dst[6], tos, proto, pcp;
	uint16_t vlan, eth_type, tp_src, tp_dst;

	of_get_bytes(in, eth_src, 6);
	of_get_bytes(in, eth_dst, 6);
	vlan = of_get16(in);
	pcp = of_get8(in);
	of_skip(in, 1);
	eth_type = of_get16(in);
	tos = of_get8(in);
	proto = of_get8(in);
	of_skip(in, 2);
	src = of_get32(in);
	dst = of_get32(in);
	tp_src = of_get16(in);
	tp_dst = of_get16(in);
	if (in->bad)
		return err_set(err, EPROTO, "a match of 1.0 has 40 bytes, fewer are left");
	memset(m, 0, sizeof(*m));
	if (!(wild & OFPFW_IN_PORT)) {
		m->has |= OF_HAS_IN_PORT;
		m->in_port = in_port;
	}
	if (!(wild & OFPFW_DL_VLAN)) {
		if (vlan > 4095 && vlan != OF_VLAN_NONE)
			return err_set(err, EPROTO, "a match has VLAN id %u; it ends at 4095", vlan);
		m->has |= OF_HAS_VLAN;
		m->vlan = vlan;
	}
	if (!(wild & OFPFW_DL_VLAN_PCP)) {
		m->has |= OF_HAS_VLAN_PCP;
		m->vlan_pcp = pcp & 7;
	}
	if (!(wild & OFPFW_DL_TYPE)) {
		m->has |= OF_HAS_ETH_TYPE;
		m->eth_type = eth_type;
	}
	get_eth_10(m, wild, eth_src, eth_dst);
	get_ip_10(m, wild, tos, proto, src, dst);
	get_layer4_10(m, wild, tp_src, tp_dst);
	return 0;
}

// --- 1.3

#define OXM_BASIC 0x8000
#define OFPVID_PRESENT 0x1000

enum oxm_field {
	OXM_IN_PORT = 0,
	OXM_ETH_DST = 3,
	OXM_ETH_SRC = 4,
	OXM_ETH_TYPE = 5,
	OXM_VLAN_VID = 6,
	OXM_VLAN_PCP = 7,
	OXM_IP_DSCP = 8,
	OXM_IP_PROTO = 10,
	OXM_IPV4_SRC = 11,
	OXM_IPV4_DST = 12,
	OXM_TCP_SRC = 13, // then TCP_DST, UDP_SRC, UDP_DST, SCTP_SRC, SCTP_DST
	OXM_SCTP_DST = 18,
	OXM_ICMPV4_TYPE = 19,
	OXM_ICMPV4_CODE = 20,
	OXM_ARP_OP = 21,
	OXM_ARP_SPA = 22,
	OXM_ARP_TPA = 23,
	OXM_IPV6_SRC = 26,
	OXM_IPV6_DST = 27,
	OXM_ICMPV6_TYPE = 29,
	OXM_ICMPV6_CODE = 30,
};

static void put_oxm(struct of_out *out, unsigned int field, const void *value, const void *mask, unsigned int n)
{
	static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
					 255, 255, 255, 255, 255, 255, 255, 255};
	bool masked = mask != NULL && memcmp(mask, ones, n) != 0;

	of_put(out, OXM_BASIC, 2);
	of_put(out, field << 1 | masked, 1);
	of_put(out, masked ? 2 * n : n, 1);
	of_put_bytes(out, value, n);
	if (masked)
		of_put_bytes(out, mask, n);
}

static void put_oxm_num(struct of_out *out, unsigned int field, uint32_t value, uint32_t mask, unsigned int n)
{
	uint8_t bytes[4], mask_bytes[4];

	for (unsigned int i = 0; i < n; i++) {
		bytes[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
		mask_bytes[i] = (uint8_t)(mask >> (8 * (n - 1 - i)));
	}
	put_oxm(out, field, bytes, mask_bytes, n);
}

// The OXM of the first port field of the protocol; 0: it has no ports.
static unsigned int oxm_of_ports(uint8_t proto)
{
	switch (proto) {
	case 6:
		return OXM_TCP_SRC;
	case 17:
		return OXM_TCP_SRC + 2;
	case 132:
		return OXM_TCP_SRC + 4;
	default:
		return 0;
	}
}

static int put_layer4_13(struct of_out *out, const struct of_match *m, struct err *err)
{
	unsigned int ports = m->has & OF_HAS_IP_PROTO ? oxm_of_ports(m->ip_proto) : 0;
	bool icmp6 = m->ip_proto == 58;

	if ((m->has & HAS_L4) && ports == 0)
		return err_set(err, EINVAL, "a match on ports needs IP protocol 6, 17 or 132");
	if ((m->has & HAS_ICMP) && !((m->has & OF_HAS_IP_PROTO) && (m->ip_proto == 1 || icmp6)))
		return err_set(err, EINVAL, "a match on ICMP type or code needs IP protocol 1 or 58");
	if (m->has & OF_HAS_L4_SRC)
		put_oxm_num(out, ports, m->l4_src, m->l4_src_mask, 2);
	if (m->has & OF_HAS_L4_DST)
		put_oxm_num(out, ports + 1, m->l4_dst, m->l4_dst_mask, 2);
	if (m->has & OF_HAS_ICMP_TYPE)
		put_oxm_num(out, icmp6 ? OXM_ICMPV6_TYPE : OXM_ICMPV4_TYPE, m->icmp_type, UINT32_MAX, 1);
	if (m->has & OF_HAS_ICMP_CODE)
		put_oxm_num(out, icmp6 ? OXM_ICMPV6_CODE : OXM_ICMPV4_CODE, m->icmp_code, UINT32_MAX, 1);
	return 0;
}

static void put_vlan_13(struct of_out *out, const struct of_match *m)
{
	if (m->vlan == OF_VLAN_ANY)
		put_oxm_num(out, OXM_VLAN_VID, OFPVID_PRESENT, OFPVID_PRESENT, 2);
	else if (m->vlan == OF_VLAN_UPPER)
		put_oxm_num(out, OXM_VLAN_VID, OFPVID_PRESENT | 2048, OFPVID_PRESENT | 2048, 2);
	else
		put_oxm_num(out, OXM_VLAN_VID, m->vlan == OF_VLAN_NONE ? 0 : OFPVID_PRESENT | m->vlan, UINT32_MAX, 2);
}

static int put_match_13(struct of_out *out, const struct of_match *m, struct err *err)
{
	size_t at = out->n;
	int rc;

	of_put(out, 1, 2); // OFPMT_OXM
	of_put(out, 0, 2);
	if (m->has & OF_HAS_IN_PORT)
		put_oxm_num(out, OXM_IN_PORT, m->in_port, UINT32_MAX, 4);
	if (m->has & OF_HAS_ETH_DST)
		put_oxm(out, OXM_ETH_DST, m->eth_dst, m->eth_dst_mask, 6);
	if (m->has & OF_HAS_ETH_SRC)
		put_oxm(out, OXM_ETH_SRC, m->eth_src, m->eth_src_mask, 6);
	if (m->has & OF_HAS_ETH_TYPE)
		put_oxm_num(out, OXM_ETH_TYPE, m->eth_type, UINT32_MAX, 2);
	if (m->has & OF_HAS_VLAN)
		put_vlan_13(out, m);
	if (m->has & OF_HAS_VLAN_PCP)
		put_oxm_num(out, OXM_VLAN_PCP, m->vlan_pcp, UINT32_MAX, 1);
	if (m->has & OF_HAS_IP_DSCP)
		put_oxm_num(out, OXM_IP_DSCP, m->ip_dscp, UINT32_MAX, 1);
	if (m->has & OF_HAS_IP_PROTO)
		put_oxm_num(out, OXM_IP_PROTO, m->ip_proto, UINT32_MAX, 1);
	if (m->has & OF_HAS_IP4_SRC)
		put_oxm_num(out, OXM_IPV4_SRC, m->ip4_src, m->ip4_src_mask, 4);
	if (m->has & OF_HAS_IP4_DST)
		put_oxm_num(out, OXM_IPV4_DST, m->ip4_dst, m->ip4_dst_mask, 4);
	rc = put_layer4_13(out, m, err);
	if (m->has & OF_HAS_ARP_OP)
		put_oxm_num(out, OXM_ARP_OP, m->arp_op, UINT32_MAX, 2);
	if (m->has & OF_HAS_ARP_SPA)
		put_oxm_num(out, OXM_ARP_SPA, m->ip4_src, m->ip4_src_mask, 4);
	if (m->has & OF_HAS_ARP_TPA)
		put_oxm_num(out, OXM_ARP_TPA, m->ip4_dst, m->ip4_dst_mask, 4);
	if (m->has & OF_HAS_IP6_SRC)
		put_oxm(out, OXM_IPV6_SRC, m->ip6_src, m->ip6_src_mask, 16);
	if (m->has & OF_HAS_IP6_DST)
		put_oxm(out, OXM_IPV6_DST, m->ip6_dst, m->ip6_dst_mask, 16);
	of_patch16(out, at + 2, out->n - at);
	of_pad(out, (8 - (out->n - at) % 8) % 8);
	return rc;
}

// One field: where its value and mask go, as bytes in wire order.
struct oxm_value {
	uint8_t value[16], mask[16];
	unsigned int n;
};

static uint32_t number(const uint8_t *bytes, unsigned int n)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < n; i++)
		v = v << 8 | bytes[i];
	return v;
}

// Bytes of a field's value; 0: not known.
static unsigned int oxm_bytes(unsigned int field)
{
	static const uint8_t bytes[] = {
		[OXM_IN_PORT] = 4,     [OXM_ETH_DST] = 6,     [OXM_ETH_SRC] = 6,     [OXM_ETH_TYPE] = 2,
		[OXM_VLAN_VID] = 2,    [OXM_VLAN_PCP] = 1,    [OXM_IP_DSCP] = 1,     [OXM_IP_PROTO] = 1,
		[OXM_IPV4_SRC] = 4,    [OXM_IPV4_DST] = 4,    [OXM_TCP_SRC] = 2,     [OXM_TCP_SRC + 1] = 2,
		[OXM_TCP_SRC + 2] = 2, [OXM_TCP_SRC + 3] = 2, [OXM_TCP_SRC + 4] = 2, [OXM_SCTP_DST] = 2,
		[OXM_ICMPV4_TYPE] = 1, [OXM_ICMPV4_CODE] = 1, [OXM_ARP_OP] = 2,      [OXM_ARP_SPA] = 4,
		[OXM_ARP_TPA] = 4,     [OXM_IPV6_SRC] = 16,   [OXM_IPV6_DST] = 16,   [OXM_ICMPV6_TYPE] = 1,
		[OXM_ICMPV6_CODE] = 1,
	};

	return field < sizeof(bytes) ? bytes[field] : 0;
}

static bool masked(const struct oxm_value *v)
{
	for (unsigned int i = 0; i < v->n; i++) {
		if (v->mask[i] != 0xff)
			return true;
	}
	return false;
}

static int set_vlan(struct of_match *m, const struct oxm_value *v, struct err *err)
{
	uint32_t value = number(v->value, 2), mask = number(v->mask, 2);

	if (mask == OFPVID_PRESENT && value == OFPVID_PRESENT)
		m->vlan = OF_VLAN_ANY;
	else if (value == (OFPVID_PRESENT | 2048) && mask == (OFPVID_PRESENT | 2048))
		m->vlan = OF_VLAN_UPPER;
	else if (value == 0 && (mask == 0xffff || mask == (OFPVID_PRESENT | 0xfff)))
		m->vlan = OF_VLAN_NONE;
	else if ((value & ~0xfffU) == OFPVID_PRESENT && (mask == 0xffff || mask == (OFPVID_PRESENT | 0xfff)))
		m->vlan = value & 0xfff;
	else
		return err_set(err, EPROTO, "a match on the VLAN id 0x%x/0x%x is neither a tag, nor any, nor none",
			       value, mask);
	m->has |= OF_HAS_VLAN;
	return 0;
}

static void set_eth(struct of_match *m, bool src, const struct oxm_value *v)
{
	m->has |= src ? OF_HAS_ETH_SRC : OF_HAS_ETH_DST;
	memcpy(src ? m->eth_src : m->eth_dst, v->value, 6);
	memcpy(src ? m->eth_src_mask : m->eth_dst_mask, v->mask, 6);
}

static void set_ip4(struct of_match *m, bool src, uint32_t bit, const struct oxm_value *v)
{
	m->has |= bit;
	*(src ? &m->ip4_src_mask : &m->ip4_dst_mask) = number(v->mask, 4);
	*(src ? &m->ip4_src : &m->ip4_dst) = number(v->value, 4) & number(v->mask, 4);
}

static void set_ip6(struct of_match *m, bool src, const struct oxm_value *v)
{
	m->has |= src ? OF_HAS_IP6_SRC : OF_HAS_IP6_DST;
	memcpy(src ? m->ip6_src : m->ip6_dst, v->value, 16);
	memcpy(src ? m->ip6_src_mask : m->ip6_dst_mask, v->mask, 16);
}

static int set_port(struct of_match *m, unsigned int field, const struct oxm_value *v, struct err *err)
{
	bool src = (field - OXM_TCP_SRC) % 2 == 0;

	if (!(m->has & OF_HAS_IP_PROTO) || oxm_of_ports(m->ip_proto) != field - (src ? 0 : 1))
		return err_set(err, EPROTO, "a match on ports comes without their IP protocol before it");
	m->has |= src ? OF_HAS_L4_SRC : OF_HAS_L4_DST;
	*(src ? &m->l4_src : &m->l4_dst) = (uint16_t)number(v->value, 2);
	*(src ? &m->l4_src_mask : &m->l4_dst_mask) = (uint16_t)number(v->mask, 2);
	return 0;
}

// A field whose value is a plain number and has no mask; false: it is none of these.
static bool set_number(struct of_match *m, unsigned int field, const struct oxm_value *v)
{
	uint32_t value = number(v->value, v->n > 4 ? 4 : v->n);

	switch (field) {
	case OXM_IN_PORT:
		m->has |= OF_HAS_IN_PORT;
		m->in_port = value;
		return true;
	case OXM_ETH_TYPE:
		m->has |= OF_HAS_ETH_TYPE;
		m->eth_type = (uint16_t)value;
		return true;
	case OXM_VLAN_PCP:
		m->has |= OF_HAS_VLAN_PCP;
		m->vlan_pcp = (uint8_t)value;
		return true;
	case OXM_IP_DSCP:
		m->has |= OF_HAS_IP_DSCP;
		m->ip_dscp = (uint8_t)value;
		return true;
	case OXM_IP_PROTO:
		m->has |= OF_HAS_IP_PROTO;
		m->ip_proto = (uint8_t)value;
		return true;
	case OXM_ICMPV4_TYPE:
	case OXM_ICMPV6_TYPE:
		m->has |= OF_HAS_ICMP_TYPE;
		m->icmp_type = (uint8_t)value;
		return true;
	case OXM_ICMPV4_CODE:
	case OXM_ICMPV6_CODE:
		m->has |= OF_HAS_ICMP_CODE;
		m->icmp_code = (uint8_t)value;
		return true;
	case OXM_ARP_OP:
		m->has |= OF_HAS_ARP_OP;
		m->arp_op = (uint16_t)value;
		return true;
	default:
		return false;
	}
}

static int set_field(struct of_match *m, unsigned int field, const struct oxm_value *v, struct err *err)
{
	if (field >= OXM_TCP_SRC && field <= OXM_SCTP_DST)
		return set_port(m, field, v, err);
	if (field == OXM_VLAN_VID)
		return set_vlan(m, v, err);
	if (field == OXM_ETH_DST || field == OXM_ETH_SRC)
		set_eth(m, field == OXM_ETH_SRC, v);
	else if (field == OXM_IPV4_SRC || field == OXM_IPV4_DST)
		set_ip4(m, field == OXM_IPV4_SRC, field == OXM_IPV4_SRC ? OF_HAS_IP4_SRC : OF_HAS_IP4_DST, v);
	else if (field == OXM_ARP_SPA || field == OXM_ARP_TPA)
		set_ip4(m, field == OXM_ARP_SPA, field == OXM_ARP_SPA ? OF_HAS_ARP_SPA : OF_HAS_ARP_TPA, v);
	else if (field == OXM_IPV6_SRC || field == OXM_IPV6_DST)
		set_ip6(m, field == OXM_IPV6_SRC, v);
	else if (masked(v))
		return err_set(err, EPROTO, "field %u of a match has a mask, which it cannot have", field);
	else
		set_number(m, field, v);
	return 0;
}

static int get_oxm(struct of_in *in, bool strict, uint64_t *seen, struct of_match *m, struct err *err)
{
	uint16_t class = of_get16(in);
	uint8_t field = of_get8(in) >> 1, has_mask = in->bad ? 0 : in->p[-1] & 1, len = of_get8(in);
	struct of_in body = of_sub(in, len);
	struct oxm_value v = {.n = class == OXM_BASIC ? oxm_bytes(field) : 0};

	if (body.bad)
		return err_set(err, EPROTO, "a match field goes over the end of its match");
	if (v.n == 0)
		return strict ? err_set(err, EPROTO, "match field %u of class 0x%04x is not known", field, class) : 0;
	if (len != v.n * (has_mask ? 2U : 1U))
		return err_set(err, EPROTO, "match field %u has %u bytes; it has %u", field, len,
			       v.n * (has_mask ? 2 : 1));
	if (*seen & 1ULL << field)
		return err_set(err, EPROTO, "match field %u is there twice", field);
	*seen |= 1ULL << field;
	of_get_bytes(&body, v.value, v.n);
	memset(v.mask, 0xff, sizeof(v.mask));
	if (has_mask)
		of_get_bytes(&body, v.mask, v.n);
	return set_field(m, field, &v, err);
}

static int get_match_13(struct of_in *in, bool strict, struct of_match *m, struct err *err)
{
	uint16_t type = of_get16(in), len = of_get16(in);
	struct of_in fields;
	uint64_t seen = 0;
	int rc = 0;

	memset(m, 0, sizeof(*m));
	if (in->bad || type != 1 || len < 4)
		return err_set(err, EPROTO, "a match of type %u and length %u; only OXM is known", type, len);
	fields = of_sub(in, len - 4U);
	of_skip(in, (8 - len % 8) % 8);
	if (in->bad)
		return err_set(err, EPROTO, "a match of %u bytes goes over the end of its message", len);
	while (fields.left > 0 && rc == 0) {
		rc = get_oxm(&fields, strict, &seen, m, err);
		if (rc == 0 && fields.bad)
			rc = err_set(err, EPROTO, "a match field is cut off");
	}
	return rc;
}

int of_put_match(struct of_out *out, uint8_t version, const struct of_match *m, struct err *err)
{
	return version == OF_VERSION_10 ? put_match_10(out, m, err) : put_match_13(out, m, err);
}

int of_get_match(struct of_in *in, uint8_t version, bool strict, struct of_match *m, struct err *err)
{
	return version == OF_VERSION_10 ? get_match_10(in, m, err) : get_match_13(in, strict, m, err);
}
