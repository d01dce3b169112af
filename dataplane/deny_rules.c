// SPDX-License-Identifier: Apache-2.0
#include "deny_rules.h"

#include <stdbool.h>
#include <string.h>

#include <rte_byteorder.h>

#include "hft/match.h"

#define ALL_ONES (~(u128)0)

// One test of the box: says nothing, one value, or something else.
enum shape {
	SHAPE_ANY,
	SHAPE_ONE,
	SHAPE_OTHER,
};

static enum shape shape_of(const struct box *box, enum match_field field)
{
	const struct span *s = &box->f[field];

	if (s->lo == 0 && s->hi == match_field_max(field))
		return SHAPE_ANY;
	return s->lo == s->hi ? SHAPE_ONE : SHAPE_OTHER;
}

// Length of the prefix that the span is, in bits of the 128; -1: it is none.
static int prefix_len(const struct span128 *s)
{
	u128 differ = s->lo ^ s->hi;
	int len = 128;

	if ((differ & (differ + 1)) != 0 || (s->lo & differ) != 0)
		return -1;
	for (; differ != 0; differ >>= 1)
		len--;
	return len;
}

static void address_be(u128 value, uint32_t out[4])
{
	for (int i = 0; i < 4; i++)
		out[i] = rte_cpu_to_be_32((uint32_t)(value >> (96 - 32 * i)));
}

// How a span of addresses reads in one family: bits of its prefix, whole: of a host. v4 addresses are the top 32 bits.
struct side {
	int len;
	bool any, host;
};

static struct side side_of(const struct span128 *s, uint8_t family)
{
	struct side side = {.len = prefix_len(s)};

	if (family == 4 && side.len > 32)
		side.len = -1; // no v4 interval
	side.any = s->lo == 0 && s->hi == ALL_ONES;
	side.host = side.len == (family == 4 ? 32 : 128);
	return side;
}

// Does the box hold every packet that the program takes for one of this family, protocol and, maybe, ports?
static bool kinds_suffice(const struct box *box, uint8_t family, bool with_ports, enum shape proto)
{
	uint32_t bare = family == 4 ? MATCH_IP4 : MATCH_IP6, ports = family == 4 ? MATCH_IP4PORTS : MATCH_IP6PORTS;
	uint64_t p = box->f[MATCH_PROTO].lo;
	bool may_have_ports = proto == SHAPE_ANY || p == 6 || p == 17 || p == 132; // TCP, UDP, SCTP

	if (with_ports)
		return (box->kinds & ports) != 0;
	return (box->kinds & bare) != 0 && (!may_have_ports || (box->kinds & ports) != 0);
}

static bool prefix_rule(const struct box *box, uint8_t family, bool is_src, int len, struct xdp_rule *out)
{
	uint32_t be[4];

	memset(out, 0, sizeof(*out));
	address_be(is_src ? box->src.lo : box->dst.lo, be);
	if (family == 4) {
		out->kind = is_src ? XDP_RULE_SRC4 : XDP_RULE_DST4;
		out->prefix4 = (struct xdp_prefix4){(uint32_t)len, be[0]};
	} else {
		out->kind = is_src ? XDP_RULE_SRC6 : XDP_RULE_DST6;
		out->prefix6.prefix_len = (uint32_t)len;
		memcpy(out->prefix6.addr_be, be, sizeof(be));
	}
	return true;
}

static void exact_ports(const struct box *box, enum shape sport, enum shape dport, struct xdp_exact *e)
{
	if (sport == SHAPE_ONE) {
		e->fields |= XDP_SPORT;
		e->sport_be = rte_cpu_to_be_16((uint16_t)box->f[MATCH_SRC_PORT].lo);
	}
	if (dport == SHAPE_ONE) {
		e->fields |= XDP_DPORT;
		e->dport_be = rte_cpu_to_be_16((uint16_t)box->f[MATCH_DST_PORT].lo);
	}
}

static bool rule_of(const struct box *box, uint8_t family, struct xdp_rule *out)
{
	enum shape proto = shape_of(box, MATCH_PROTO), sport = shape_of(box, MATCH_SRC_PORT),
		   dport = shape_of(box, MATCH_DST_PORT);
	struct side src = side_of(&box->src, family), dst = side_of(&box->dst, family);
	bool with_ports = sport != SHAPE_ANY || dport != SHAPE_ANY, addresses_alone = proto == SHAPE_ANY && !with_ports;
	struct xdp_exact *e = &out->exact;

	if (proto == SHAPE_OTHER || sport == SHAPE_OTHER || dport == SHAPE_OTHER ||
	    !kinds_suffice(box, family, with_ports, proto))
		return false;
	if (src.any && dst.any && addresses_alone)
		return prefix_rule(box, family, true, 0, out);
	if (addresses_alone && !src.any && !src.host && src.len >= 0 && dst.any)
		return prefix_rule(box, family, true, src.len, out);
	if (addresses_alone && !dst.any && !dst.host && dst.len >= 0 && src.any)
		return prefix_rule(box, family, false, dst.len, out);
	if ((!src.any && !src.host) || (!dst.any && !dst.host))
		return false;
	memset(out, 0, sizeof(*out));
	out->kind = XDP_RULE_EXACT;
	e->family = family;
	e->fields = (src.any ? 0 : XDP_SRC) | (dst.any ? 0 : XDP_DST) | (proto == SHAPE_ONE ? XDP_PROTO : 0);
	if (!src.any)
		address_be(family == 4 ? box->src.lo >> 96 << 96 : box->src.lo, e->src_be);
	if (!dst.any)
		address_be(family == 4 ? box->dst.lo >> 96 << 96 : box->dst.lo, e->dst_be);
	if (proto == SHAPE_ONE)
		e->proto = (uint8_t)box->f[MATCH_PROTO].lo;
	exact_ports(box, sport, dport, e);
	return true;
}

uint32_t deny_rules(const struct box *box, struct xdp_rule out[DENY_RULES_MAX])
{
	uint32_t n = 0;

	if (shape_of(box, MATCH_SRC_ETH) != SHAPE_ANY || shape_of(box, MATCH_DST_ETH) != SHAPE_ANY ||
	    shape_of(box, MATCH_VLAN) != SHAPE_ANY || shape_of(box, MATCH_SRC_USER) != SHAPE_ANY ||
	    shape_of(box, MATCH_DST_USER) != SHAPE_ANY)
		return 0;
	if ((box->kinds & MATCH_KINDS_V4) != 0)
		n += rule_of(box, 4, &out[n]);
	if ((box->kinds & MATCH_KINDS_V6) != 0)
		n += rule_of(box, 6, &out[n]);
	return n;
}
