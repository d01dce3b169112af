// SPDX-License-Identifier: Apache-2.0
// Random boxes and random frames over one small universe of addresses and ports, so that they meet often.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "hft/match.h"
#include "tests/rounds.h"
#include "tests/unit/dataplane/frame.h"

struct rnd {
	uint64_t state;
};

static inline struct rnd rnd_seed(uint64_t seed)
{
	return (struct rnd){seed * 0x9e3779b97f4a7c15u | 1};
}

static inline uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return (uint32_t)((r->state >> 20) % n);
}

static inline uint32_t rnd_addr4(struct rnd *r)
{
	static const uint32_t base[] = {0, 0x0a000000, 0x0a000100, 0x0a010000, 0xc0a80000, 0xfffffff0};

	return base[rnd_below(r, 6)] + rnd_below(r, 6);
}

static inline u128 rnd_addr6(struct rnd *r)
{
	static const uint64_t high[] = {0, 0x20010db800000000, 0x20010db800010000, 0xfe80000000000000, UINT64_MAX};
	static const uint64_t low[] = {0, 0x100000000, UINT64_MAX - 5};

	return (u128)high[rnd_below(r, 5)] << 64 | (low[rnd_below(r, 3)] + rnd_below(r, 6));
}

static inline uint64_t rnd_mac(struct rnd *r)
{
	static const uint64_t base[] = {0x020000000001, 0x02000000fffe, 0x0200ffffffff, 0x04aabbcc0000};

	return base[rnd_below(r, 4)] + rnd_below(r, 4);
}

static inline uint16_t rnd_port(struct rnd *r)
{
	static const uint16_t base[] = {0, 20, 79, 254, 1022, 49150, 65530};

	return (uint16_t)(base[rnd_below(r, 7)] + rnd_below(r, 5));
}

static inline uint8_t rnd_proto(struct rnd *r)
{
	static const uint8_t proto[] = {6, 17, 132, 1, 58, 47, 0, 255};

	return proto[rnd_below(r, rnd_below(r, 2) ? 3 : 8)];
}

static inline uint16_t rnd_vlan(struct rnd *r)
{
	static const uint16_t vlan[] = {0, 1, 100, 255, 256, 4095};

	return rnd_below(r, 2) ? 0 : vlan[rnd_below(r, 6)];
}

static inline struct span rnd_span(struct rnd *r, uint64_t a, uint64_t b, uint64_t max)
{
	switch (rnd_below(r, 4)) {
	case 0:
		return (struct span){a, a};
	case 1:
		return a <= b ? (struct span){a, b} : (struct span){b, a};
	case 2:
		return rnd_below(r, 2) ? (struct span){a, max} : (struct span){0, a};
	default:
		return (struct span){0, max};
	}
}

static inline struct span128 rnd_addr_span(struct rnd *r, u128 a, u128 b, unsigned int bits)
{
	u128 below = bits == 128 ? 0 : ((u128)1 << (128 - bits)) - 1;
	unsigned int len = rnd_below(r, bits + 1);
	u128 host = len == 0 ? ~(u128)0 : ((u128)1 << (128 - len)) - 1;

	switch (rnd_below(r, 4)) {
	case 0:
		return (struct span128){a, a | below};
	case 1:
		return (struct span128){a & ~host, a | host};
	case 2:
		return a <= b ? (struct span128){a, b | below} : (struct span128){b, a | below};
	default:
		return (struct span128){0, ~(u128)0};
	}
}

// Not empty and normalized. wide: fewer tests, so that boxes overlap more.
static inline struct box rnd_box(struct rnd *r, bool wide)
{
	static const uint32_t kinds[] = {MATCH_KINDS_ALL, MATCH_KINDS_V4, MATCH_KINDS_V4, MATCH_KINDS_V6,
					 MATCH_KINDS_IP,  MATCH_NONIP,    MATCH_IP4,      MATCH_KINDS_PORTS,
					 MATCH_IP4PORTS,  MATCH_IP6PORTS};
	struct box box;

	do {
		uint32_t odds = wide ? 5 : 2; // one field in so many is tested

		box = box_any();
		box.kinds = kinds[rnd_below(r, 10)];
		if ((box.kinds & ~(uint32_t)MATCH_KINDS_V4) == 0) {
			box.src = rnd_addr_span(r, match_ip4(rnd_addr4(r)), match_ip4(rnd_addr4(r)), 32);
			box.dst = rnd_addr_span(r, match_ip4(rnd_addr4(r)), match_ip4(rnd_addr4(r)), 32);
		} else if ((box.kinds & ~(uint32_t)MATCH_KINDS_V6) == 0) {
			box.src = rnd_addr_span(r, rnd_addr6(r), rnd_addr6(r), 128);
			box.dst = rnd_addr_span(r, rnd_addr6(r), rnd_addr6(r), 128);
		}
		if ((box.kinds & MATCH_NONIP) == 0 && rnd_below(r, odds) == 0)
			box.f[MATCH_PROTO] = rnd_span(r, rnd_proto(r), rnd_proto(r), 255);
		if ((box.kinds & ~(uint32_t)MATCH_KINDS_PORTS) == 0 && rnd_below(r, odds) == 0)
			box.f[MATCH_SRC_PORT] = rnd_span(r, rnd_port(r), rnd_port(r), 65535);
		if ((box.kinds & ~(uint32_t)MATCH_KINDS_PORTS) == 0 && rnd_below(r, odds) == 0)
			box.f[MATCH_DST_PORT] = rnd_span(r, rnd_port(r), rnd_port(r), 65535);
		if (rnd_below(r, odds * 2) == 0)
			box.f[MATCH_VLAN] = rnd_span(r, rnd_vlan(r), rnd_vlan(r), 4095);
		if (rnd_below(r, odds * 3) == 0)
			box.f[MATCH_SRC_ETH] = rnd_span(r, rnd_mac(r), rnd_mac(r), 0xffffffffffff);
		if (rnd_below(r, odds * 3) == 0)
			box.f[MATCH_DST_ETH] = rnd_span(r, rnd_mac(r), rnd_mac(r), 0xffffffffffff);
		if (rnd_below(r, 20) == 0)
			box.f[MATCH_SRC_USER] = (struct span){1, 7}; // no packet has a user
	} while (!box_normalize(&box));
	return box;
}

static inline void rnd_frame_ip6(struct rnd *r, struct frame *f)
{
	uint8_t addr[2][16], next = rnd_proto(r);
	bool fragment = rnd_below(r, 6) == 0, options = rnd_below(r, 6) == 0;
	uint32_t at;

	for (int i = 0; i < 2; i++) {
		u128 v = rnd_addr6(r);

		for (int j = 15; j >= 0; j--, v >>= 8)
			addr[i][j] = (uint8_t)v;
	}
	at = frame_ip6(f, addr[0], addr[1], options ? 60 : fragment ? 44 : next);
	if (options)
		frame_ip6_ext(f, fragment ? 44 : next, (uint8_t)rnd_below(r, 3));
	if (fragment)
		frame_ip6_fragment(f, next, (uint16_t)rnd_below(r, 2), 1);
	frame_ports(f, rnd_port(r), rnd_port(r));
	frame_pad(f, rnd_below(r, 30), 0x42);
	frame_ip6_end(f, at);
}

// A frame that a bridge forwards (its source address is good, it is no link-local one).
static inline void rnd_frame(struct rnd *r, struct frame *f)
{
	uint16_t vlan = rnd_vlan(r);
	uint32_t at;

	frame_start(f, rnd_mac(r), rnd_mac(r));
	if (vlan != 0)
		frame_tag(f, rnd_below(r, 4) ? 0x8100 : 0x88a8, (uint16_t)(vlan | rnd_below(r, 8) << 13));
	switch (rnd_below(r, 5)) {
	case 0:
		frame_put16(f, 0x0806);
		frame_pad(f, 28, 0);
		break;
	case 1:
		rnd_frame_ip6(r, f);
		break;
	default:
		at = frame_ip4(f, rnd_addr4(r), rnd_addr4(r), rnd_proto(r),
			       rnd_below(r, 8) == 0 ? 0x2000 + rnd_below(r, 2) : 0, rnd_below(r, 3));
		frame_ports(f, rnd_port(r), rnd_port(r));
		frame_pad(f, rnd_below(r, 30), 0x42);
		frame_ip4_end(f, at);
	}
}
