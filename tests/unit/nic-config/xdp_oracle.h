// SPDX-License-Identifier: Apache-2.0
// Rules of the XDP program read slowly: what they must drop, and nothing else.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/pkt.h"
#include "nic-config/xdp_filter.h"

static inline bool same_bits(const void *a, const void *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (((((const uint8_t *)a)[i / 8] ^ ((const uint8_t *)b)[i / 8]) & (0x80 >> i % 8)) != 0)
			return false;
	}
	return true;
}

struct seen {
	uint8_t family, proto;
	bool has_ports;
	uint32_t src_be[4], dst_be[4];
	uint16_t sport_be, dport_be;
};

static inline struct seen seen_of(const struct pkt *p)
{
	struct seen s = {0};

	if (p->family == PKT_IP4) {
		s = (struct seen){4,
				  p->ip4.proto,
				  p->ip4.has_ports,
				  {p->ip4.src_be},
				  {p->ip4.dst_be},
				  p->ip4.sport_be,
				  p->ip4.dport_be};
	} else if (p->family == PKT_IP6) {
		s = (struct seen){6, p->ip6.proto, p->ip6.has_ports, {0}, {0}, p->ip6.sport_be, p->ip6.dport_be};
		memcpy(s.src_be, p->ip6.src_be, 16);
		memcpy(s.dst_be, p->ip6.dst_be, 16);
	}
	return s;
}

static inline bool rule_matches(const struct xdp_rule *r, const struct seen *s)
{
	const struct xdp_exact *e = &r->exact;

	switch (r->kind) {
	case XDP_RULE_SRC4:
		return s->family == 4 && same_bits(&r->prefix4.addr_be, s->src_be, r->prefix4.prefix_len);
	case XDP_RULE_DST4:
		return s->family == 4 && same_bits(&r->prefix4.addr_be, s->dst_be, r->prefix4.prefix_len);
	case XDP_RULE_SRC6:
		return s->family == 6 && same_bits(r->prefix6.addr_be, s->src_be, r->prefix6.prefix_len);
	case XDP_RULE_DST6:
		return s->family == 6 && same_bits(r->prefix6.addr_be, s->dst_be, r->prefix6.prefix_len);
	case XDP_RULE_EXACT:
		break;
	}
	return e->family == s->family && (!(e->fields & XDP_SRC) || memcmp(e->src_be, s->src_be, 16) == 0) &&
	       (!(e->fields & XDP_DST) || memcmp(e->dst_be, s->dst_be, 16) == 0) &&
	       (!(e->fields & XDP_PROTO) || e->proto == s->proto) &&
	       (!(e->fields & XDP_SPORT) || (s->has_ports && e->sport_be == s->sport_be)) &&
	       (!(e->fields & XDP_DPORT) || (s->has_ports && e->dport_be == s->dport_be));
}
