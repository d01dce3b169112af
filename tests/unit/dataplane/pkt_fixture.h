// SPDX-License-Identifier: Apache-2.0
// What the parser must say of a frame. Included behind cmocka.h.
#pragma once
#include <stdlib.h>

#include <rte_byteorder.h>

#include "dataplane/pkt.h"
#include "tests/unit/dataplane/frame.h"

#define H1 0x020000000001ull
#define H2 0x020000000002ull
#define MAX_FRAME 1522
#define IP1 0x0a000001u
#define IP2 0x0a000002u

static const uint8_t ip6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, ip6_b[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};
static inline struct pkt parse(const struct frame *f)
{
	struct pkt p;
	enum pkt_verdict verdict;
	uint8_t *exact = malloc(f->len); // so that ASan sees a read past the end

	memcpy(exact, f->data, f->len);
	verdict = pkt_parse_bytes(exact, f->len, f->len, MAX_FRAME, &p);
	assert_int_equal(verdict, p.verdict);
	free(exact);
	assert_int_equal(p.len_bytes, f->len);
	return p;
}

#define assert_verdict(frame, expected) assert_int_equal(parse(frame).verdict, expected)

static inline void assert_ip4(const struct frame *f, uint16_t vlan, uint8_t proto, int sport, int dport)
{
	struct pkt p = parse(f);

	assert_int_equal(p.verdict, PKT_OK);
	assert_int_equal(p.family, PKT_IP4);
	assert_int_equal(p.vlan, vlan);
	assert_int_equal(rte_be_to_cpu_16(p.ip4.vlan_be), vlan);
	assert_int_equal(p.ip4.proto, proto);
	assert_int_equal(rte_be_to_cpu_32(p.ip4.src_be), IP1);
	assert_int_equal(rte_be_to_cpu_32(p.ip4.dst_be), IP2);
	assert_int_equal(p.ip4.has_ports, sport >= 0);
	assert_int_equal(rte_be_to_cpu_16(p.ip4.sport_be), sport >= 0 ? sport : 0);
	assert_int_equal(rte_be_to_cpu_16(p.ip4.dport_be), sport >= 0 ? dport : 0);
	assert_int_equal(rte_be_to_cpu_16(p.ip4.macs.src_hi_be), H1 >> 32);
	assert_int_equal(rte_be_to_cpu_32(p.ip4.macs.dst_lo_be), (uint32_t)H2);
}

static inline void assert_ip6(const struct frame *f, uint8_t proto, int sport, int dport)
{
	struct pkt p = parse(f);

	assert_int_equal(p.verdict, PKT_OK);
	assert_int_equal(p.family, PKT_IP6);
	assert_int_equal(p.ip6.proto, proto);
	assert_memory_equal(p.ip6.src_be, ip6_a, 16);
	assert_memory_equal(p.ip6.dst_be, ip6_b, 16);
	assert_int_equal(p.ip6.has_ports, sport >= 0);
	assert_int_equal(rte_be_to_cpu_16(p.ip6.sport_be), sport >= 0 ? sport : 0);
	assert_int_equal(rte_be_to_cpu_16(p.ip6.dport_be), sport >= 0 ? dport : 0);
}

static inline void assert_nonip(const struct frame *f, uint16_t vlan)
{
	struct pkt p = parse(f);

	assert_int_equal(p.verdict, PKT_OK);
	assert_int_equal(p.family, PKT_NONIP);
	assert_int_equal(p.vlan, vlan);
	assert_int_equal(rte_be_to_cpu_16(p.nonip.vlan_be), vlan);
	assert_int_equal(p.src_mac, H1);
	assert_int_equal(p.dst_mac, H2);
	assert_int_equal(rte_be_to_cpu_32(p.nonip.macs.src_lo_be), (uint32_t)H1);
}
