// SPDX-License-Identifier: Apache-2.0
// mbuf -> what the switch needs to know of a frame: forwarding fields and the classifier's key, written in place.
// Thread: any, values only. No allocation.
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define PKT_BURST 32
// Headers are looked for in this many bytes from the start of the frame.
#define PKT_WINDOW_BYTES 512

struct match_packet;
struct rte_mbuf;

enum pkt_verdict {
	PKT_OK,
	PKT_RUNT,       // shorter than an Ethernet header (or its tag)
	PKT_OVERSIZE,   // longer than the port's largest frame
	PKT_BAD_SOURCE, // group bit set in the source address, or all zero
	PKT_FRAGMENT,   // never by parsing: see pkt_refuse_fragment
	PKT_DEEP,       // tags or IP headers go on beyond the window: what they lead to is not known
	PKT_LINK_LOCAL, // 01:80:c2:00:00:0x: not forwarded by a bridge (IEEE 802.1D 7.12.6)
};

enum pkt_family {
	PKT_NONIP,
	PKT_IP4,
	PKT_IP6,
	PKT_N_FAMILIES,
};

// Keys in network order, first one byte, then 4-byte groups, as rte_acl wants. One layout for each family; the MAC
// addresses come last, the high 16 bits of both in one group.
// A malformed IP header (short, bad lengths) makes the frame "nonip": forwarded as plain Ethernet, never matching an IP
// test. A later fragment, and a header too short for its ports, has no ports.
struct pkt_macs {
	uint16_t src_hi_be, dst_hi_be;
	uint32_t src_lo_be, dst_lo_be;
};

struct pkt_key_nonip {
	uint8_t zero, pad[3];
	uint16_t vlan_be, pad2;
	struct pkt_macs macs;
};

struct pkt_key_ip4 {
	uint8_t proto, pad[3];
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be; // 0 without ports
	uint16_t vlan_be;
	uint8_t has_ports, pad2;
	struct pkt_macs macs;
};

struct pkt_key_ip6 {
	uint8_t proto, pad[3]; // proto is that of the last header found
	uint32_t src_be[4], dst_be[4];
	uint16_t sport_be, dport_be;
	uint16_t vlan_be;
	uint8_t has_ports, pad2;
	struct pkt_macs macs;
};

struct pkt {
	uint64_t src_mac, dst_mac; // the 48 bits as a number
	uint32_t len_bytes;
	uint16_t vlan;   // id of the outermost tag that has one; 0: untagged or priority-tagged only
	uint8_t verdict; // enum pkt_verdict
	uint8_t family;  // enum pkt_family
	union {
		uint8_t key[56]; // what rte_acl reads
		struct pkt_key_nonip nonip;
		struct pkt_key_ip4 ip4;
		struct pkt_key_ip6 ip6;
	};
};

static_assert(sizeof(struct pkt_key_nonip) == 20 && sizeof(struct pkt_key_ip4) == 32, "key layout");
static_assert(sizeof(struct pkt_key_ip6) == 56 && sizeof(struct pkt) == 80, "key layout");

// Fills out; only verdict and len_bytes are valid when the verdict is not PKT_OK. Up to two VLAN tags with
// an id are looked through, and priority tags and IPv6 extension headers as far as the window goes.
enum pkt_verdict pkt_parse(const struct rte_mbuf *m, uint32_t max_frame_bytes, struct pkt *out);
// The same for n <= PKT_BURST frames, faster; returns how many have PKT_OK.
unsigned int pkt_parse_burst(struct rte_mbuf *const *m, unsigned int n, uint32_t max_frame_bytes, struct pkt *out);
// The same for bytes: avail of them at data, of a frame of len_bytes.
enum pkt_verdict pkt_parse_bytes(const uint8_t *data, uint32_t avail, uint32_t len_bytes, uint32_t max_frame_bytes,
				 struct pkt *out);
// Where the configuration wants no fragments: pkt, parsed from m with PKT_OK, becomes PKT_FRAGMENT if m is a fragment
// of an IP packet, the first one or a later one (RFC 791 3.1; RFC 8200 4.5, but for atomic ones, RFC 6946).
void pkt_refuse_fragment(const struct rte_mbuf *m, struct pkt *pkt);
// Where the transport header of a whole packet lies in its frame, and how much it and what follows it comes to.
struct pkt_l4 {
	uint32_t offset, len_bytes;
	uint8_t proto;
};
// Of data, the first avail (at most PKT_WINDOW_BYTES) bytes of a frame of len_bytes, parsed to pkt with PKT_OK. false:
// not TCP, UDP or SCTP; a fragment; behind an IPv6 routing header, whose packets have another destination for their
// checksums.
bool pkt_l4_find(const uint8_t *data, uint32_t avail, uint32_t len_bytes, const struct pkt *pkt, struct pkt_l4 *out);
// The packet as hft/ sees it at time_ns, with users 0. For the oracle and explain; slow. pkt's verdict must be PKT_OK.
void pkt_to_match_packet(const struct pkt *pkt, uint64_t time_ns, struct match_packet *out);
// The other way round, time and users aside: as a frame of those fields would be read.
void pkt_of_match_packet(const struct match_packet *packet, struct pkt *out);
