// SPDX-License-Identifier: Apache-2.0
#include "of_lower.h"

#include <errno.h>
#include <string.h>

#define PIECES_MAX 64 // of one field

struct pieces { // of one field: values and masks of `bits` bits
	u128 value[PIECES_MAX], mask[PIECES_MAX];
	unsigned int n; // 0: the field is not tested
};

static u128 low_bits(unsigned int n)
{
	return n >= 128 ? ~(u128)0 : ((u128)1 << n) - 1;
}

// [lo, hi] as aligned blocks: the largest that starts at lo and does not pass hi, and on from there.
static int cut_prefixes(u128 lo, u128 hi, unsigned int bits, struct pieces *out)
{
	for (;;) {
		unsigned int free_bits = 0;

		while (free_bits < bits && (lo >> free_bits & 1) == 0 && (lo | low_bits(free_bits + 1)) <= hi)
			free_bits++;
		if (out->n == PIECES_MAX)
			return -E2BIG;
		out->value[out->n] = lo;
		out->mask[out->n++] = low_bits(bits) & ~low_bits(free_bits);
		if ((lo | low_bits(free_bits)) >= hi)
			return 0;
		lo = (lo | low_bits(free_bits)) + 1;
	}
}

static int cut_values(u128 lo, u128 hi, unsigned int bits, struct pieces *out)
{
	if (hi - lo >= PIECES_MAX)
		return -E2BIG;
	for (u128 v = lo; v <= hi; v++) {
		out->value[out->n] = v;
		out->mask[out->n++] = low_bits(bits);
	}
	return 0;
}

static int cut_span(const struct box *box, enum match_field field, unsigned int bits, bool masks, struct pieces *out)
{
	const struct span *s = &box->f[field];

	out->n = 0;
	if (s->lo == 0 && s->hi == match_field_max(field))
		return 0;
	return masks ? cut_prefixes(s->lo, s->hi, bits, out) : cut_values(s->lo, s->hi, bits, out);
}

static int cut_address(const struct span128 *s, bool v4, struct pieces *out)
{
	out->n = 0;
	if (s->lo == 0 && s->hi == ~(u128)0)
		return 0;
	return v4 ? cut_prefixes(s->lo >> 96, s->hi >> 96, 32, out) : cut_prefixes(s->lo, s->hi, 128, out);
}

// --- what a frame is: Ethernet type and IP protocol

struct variant {
	uint16_t eth_type; // 0: any
	int proto;         // -1: any
};

struct variants {
	struct variant v[PIECES_MAX];
	unsigned int n;
};

static bool port_protocol(uint64_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static int add_family(const struct box *box, uint16_t eth_type, bool plain, bool ports, struct variants *out)
{
	const struct span *proto = &box->f[MATCH_PROTO];

	if (!plain && !ports)
		return 0;
	if (plain && ports && proto->lo == 0 && proto->hi == match_field_max(MATCH_PROTO)) {
		out->v[out->n++] = (struct variant){eth_type, -1};
		return 0;
	}
	for (uint64_t p = proto->lo; p <= proto->hi; p++) {
		// Of TCP without ports there are only later fragments, which a match cannot tell from the others.
		if (port_protocol(p) ? !ports : !plain)
			continue;
		if (out->n == PIECES_MAX)
			return -ENOTSUP;
		out->v[out->n++] = (struct variant){eth_type, (int)p};
	}
	return 0;
}

static int cut_kinds(const struct box *box, struct variants *out, struct err *err)
{
	int rc;

	out->n = 0;
	if (box->kinds == MATCH_KINDS_ALL) {
		out->v[out->n++] = (struct variant){0, -1};
		return 0;
	}
	if (box->kinds & MATCH_NONIP)
		return err_set(err, ENOTSUP, "OpenFlow cannot match what is not IP as a whole");
	rc = add_family(box, 0x0800, box->kinds & MATCH_IP4, box->kinds & MATCH_IP4PORTS, out);
	if (rc == 0)
		rc = add_family(box, 0x86dd, box->kinds & MATCH_IP6, box->kinds & MATCH_IP6PORTS, out);
	return rc < 0 ? err_set(err, ENOTSUP, "OpenFlow cannot match a range of over %d IP protocols", PIECES_MAX) : 0;
}

// --- the product

static void set_mac(uint8_t *eth, uint8_t *mask, u128 value, u128 value_mask)
{
	for (int i = 0; i < 6; i++) {
		eth[i] = (uint8_t)(value >> (8 * (5 - i)));
		mask[i] = (uint8_t)(value_mask >> (8 * (5 - i)));
	}
}

static void set_ip6(uint8_t *addr, uint8_t *mask, u128 value, u128 value_mask)
{
	for (int i = 0; i < 16; i++) {
		addr[i] = (uint8_t)(value >> (8 * (15 - i)));
		mask[i] = (uint8_t)(value_mask >> (8 * (15 - i)));
	}
}

static void set_address(struct of_match *m, bool src, u128 value, u128 mask)
{
	if (m->eth_type == 0x0800) {
		m->has |= src ? OF_HAS_IP4_SRC : OF_HAS_IP4_DST;
		*(src ? &m->ip4_src : &m->ip4_dst) = (uint32_t)value;
		*(src ? &m->ip4_src_mask : &m->ip4_dst_mask) = (uint32_t)mask;
	} else {
		m->has |= src ? OF_HAS_IP6_SRC : OF_HAS_IP6_DST;
		set_ip6(src ? m->ip6_src : m->ip6_dst, src ? m->ip6_src_mask : m->ip6_dst_mask, value, mask);
	}
}

enum lower_field { LOWER_SRC, LOWER_DST, LOWER_SMAC, LOWER_DMAC, LOWER_VLAN, LOWER_SPORT, LOWER_DPORT, LOWER_N };

static void set_field(struct of_match *m, enum lower_field field, u128 value, u128 mask)
{
	switch (field) {
	case LOWER_SRC:
	case LOWER_DST:
		set_address(m, field == LOWER_SRC, value, mask);
		break;
	case LOWER_SMAC:
		m->has |= OF_HAS_ETH_SRC;
		set_mac(m->eth_src, m->eth_src_mask, value, mask);
		break;
	case LOWER_DMAC:
		m->has |= OF_HAS_ETH_DST;
		set_mac(m->eth_dst, m->eth_dst_mask, value, mask);
		break;
	case LOWER_VLAN:
		m->has |= OF_HAS_VLAN;
		m->vlan = value == 0 ? OF_VLAN_NONE : (uint16_t)value;
		break;
	case LOWER_SPORT:
		m->has |= OF_HAS_L4_SRC;
		m->l4_src = (uint16_t)value;
		m->l4_src_mask = (uint16_t)mask;
		break;
	default:
		m->has |= OF_HAS_L4_DST;
		m->l4_dst = (uint16_t)value;
		m->l4_dst_mask = (uint16_t)mask;
		break;
	}
}

// All combinations of one piece of each field, for one variant.
static int put_product(const struct pieces *fields, struct of_match first, struct of_match *out, unsigned int n,
		       unsigned int max)
{
	unsigned int at[LOWER_N] = {0};
	int field;

	for (;;) {
		struct of_match m = first;

		if (n == max)
			return -E2BIG;
		for (field = 0; field < LOWER_N; field++) {
			if (fields[field].n > 0)
				set_field(&m, field, fields[field].value[at[field]], fields[field].mask[at[field]]);
		}
		out[n++] = m;
		for (field = 0; field < LOWER_N; field++) {
			if (++at[field] < fields[field].n)
				break;
			at[field] = 0;
		}
		if (field == LOWER_N)
			return (int)n;
	}
}

static int cut_fields(const struct box *box, bool v4, uint8_t version, struct pieces *fields)
{
	bool masks = version != OF_VERSION_10;
	int rc = cut_address(&box->src, v4, &fields[LOWER_SRC]);

	rc = rc < 0 ? rc : cut_address(&box->dst, v4, &fields[LOWER_DST]);
	rc = rc < 0 ? rc : cut_span(box, MATCH_SRC_ETH, 48, masks, &fields[LOWER_SMAC]);
	rc = rc < 0 ? rc : cut_span(box, MATCH_DST_ETH, 48, masks, &fields[LOWER_DMAC]);
	rc = rc < 0 ? rc : cut_span(box, MATCH_VLAN, 12, false, &fields[LOWER_VLAN]);
	rc = rc < 0 ? rc : cut_span(box, MATCH_SRC_PORT, 16, masks, &fields[LOWER_SPORT]);
	return rc < 0 ? rc : cut_span(box, MATCH_DST_PORT, 16, masks, &fields[LOWER_DPORT]);
}

int of_lower_box(const struct box *box, uint8_t version, struct of_match *out, unsigned int max, struct err *err)
{
	static struct pieces fields[LOWER_N]; // control thread only, and too large for its stack
	struct variants variants;
	int n = 0, rc = cut_kinds(box, &variants, err);

	for (unsigned int i = 0; i < variants.n && rc >= 0; i++) {
		const struct variant *v = &variants.v[i];
		struct of_match first;

		if (v->eth_type == 0x86dd && version == OF_VERSION_10 && box->kinds != MATCH_KINDS_ALL)
			return err_set(err, ENOTSUP, "OpenFlow 1.0 cannot match IPv6");
		memset(&first, 0, sizeof(first));
		first.eth_type = v->eth_type;
		first.has = v->eth_type != 0 ? OF_HAS_ETH_TYPE : 0;
		if (v->proto >= 0) {
			first.has |= OF_HAS_IP_PROTO;
			first.ip_proto = (uint8_t)v->proto;
		}
		rc = cut_fields(box, v->eth_type != 0x86dd, version, fields);
		if (rc == 0)
			rc = put_product(fields, first, out, (unsigned int)n, max);
		n = rc;
	}
	if (rc == -E2BIG)
		return err_set(err, E2BIG, "a row needs more than %u OpenFlow entries", max);
	return rc < 0 ? rc : n;
}

bool of_match_to(const struct of_match *m, const uint8_t mac[6], struct of_match *out)
{
	*out = *m;
	for (int i = 0; i < 6; i++) {
		if ((m->has & OF_HAS_ETH_DST) && ((m->eth_dst[i] ^ mac[i]) & m->eth_dst_mask[i]) != 0)
			return false;
	}
	out->has |= OF_HAS_ETH_DST;
	memcpy(out->eth_dst, mac, 6);
	memset(out->eth_dst_mask, 0xff, 6);
	return true;
}
