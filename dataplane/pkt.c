// SPDX-License-Identifier: Apache-2.0
// Every header is read from one window of contiguous bytes, with a bound on each read; so a frame in several segments
// and one in a single segment give the same answer, and garbage is only ever "too short". Hosts look through any number
// of priority tags and extension headers, so it must be known what they lead to: a frame with more of them than the
// window holds is refused, not taken for one without ports or IP.
#include "pkt.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "hft/match.h"

#define ETH_HEADER_BYTES 14
#define TAG_BYTES 4
#define TAGS_MAX 2 // with an id; hosts take off any number of those without
#define IP4_HEADER_MIN 20
#define IP6_HEADER_BYTES 40
#define PORTS_BYTES 4
#define PREFETCH_AHEAD 3

enum ether_type {
	ETHER_IP4 = 0x0800,
	ETHER_VLAN = 0x8100,
	ETHER_IP6 = 0x86dd,
	ETHER_QINQ = 0x88a8,
};

enum ip_proto {
	PROTO_HOP_BY_HOP = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_DST_OPTIONS = 60,
	PROTO_SCTP = 132,
};

// What lies below the transport header.
struct l4 {
	uint32_t offset, end; // in the window; end is also that of the IP packet
	uint8_t proto;
	bool has_ports;
	uint16_t sport_be, dport_be;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint64_t get48(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | p[i];
	return v;
}

// Bytes up to there are in the frame, but not in the window.
static bool is_cut(uint32_t avail, uint32_t len, uint32_t up_to)
{
	return avail < up_to && up_to <= len;
}

static bool may_have_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

static bool is_extension(uint8_t proto)
{
	return proto == PROTO_HOP_BY_HOP || proto == PROTO_ROUTING || proto == PROTO_FRAGMENT || proto == PROTO_AH ||
	       proto == PROTO_DST_OPTIONS;
}

// Reads the ports if the protocol has some and the bytes are there.
static void l4_ports(const uint8_t *data, struct l4 *l4)
{
	if (!may_have_ports(l4->proto))
		return;
	if (l4->end < l4->offset + PORTS_BYTES)
		return;
	l4->has_ports = true;
	memcpy(&l4->sport_be, data + l4->offset, 2);
	memcpy(&l4->dport_be, data + l4->offset + 2, 2);
}

static void key_macs(struct pkt_macs *macs, const uint8_t *data)
{
	memcpy(&macs->dst_hi_be, data, 2);
	memcpy(&macs->dst_lo_be, data + 2, 4);
	memcpy(&macs->src_hi_be, data + 6, 2);
	memcpy(&macs->src_lo_be, data + 8, 4);
}

// VLAN tags from where the type of an untagged frame lies.
struct tags {
	uint32_t end;  // where the header of that type begins
	uint16_t type; // of what they lead to: a tag's when there are too many with an id
	uint16_t vlan; // the first id: a tag of id 0 carries a priority only, and the next one says which VLAN
};

// false: they go on beyond avail.
static bool read_tags(const uint8_t *data, uint32_t avail, struct tags *tags)
{
	int n_ids = 0;

	*tags = (struct tags){.end = ETH_HEADER_BYTES, .type = get16(data + ETH_HEADER_BYTES - 2)};
	while (tags->type == ETHER_VLAN || tags->type == ETHER_QINQ) {
		uint16_t id;

		if (avail < tags->end + TAG_BYTES)
			return false;
		id = get16(data + tags->end) & 0xfff;
		if (id != 0 && n_ids++ == TAGS_MAX)
			break;
		if (tags->vlan == 0)
			tags->vlan = id;
		tags->type = get16(data + tags->end + 2);
		tags->end += TAG_BYTES;
	}
	return true;
}

// false: not a well-formed IPv4 packet. offset: of the IP header; avail: bytes in the window; len: of the frame.
static bool parse_ip4(const uint8_t *data, uint32_t offset, uint32_t avail, uint32_t len, struct pkt *out)
{
	const uint8_t *ip = data + offset;
	struct pkt_key_ip4 *key = &out->ip4;
	struct l4 l4 = {0};
	uint32_t header, total;

	if (is_cut(avail, len, offset + IP4_HEADER_MIN)) {
		out->verdict = PKT_DEEP;
		return true;
	}
	if (avail < offset + IP4_HEADER_MIN || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 0xfu) * 4;
	total = get16(ip + 2);
	if (header < IP4_HEADER_MIN || total < header || offset + total > len)
		return false;
	l4.proto = ip[9];
	l4.offset = offset + header;
	l4.end = RTE_MIN(avail, offset + total);
	if ((get16(ip + 6) & 0x1fff) == 0) { // not a later fragment
		l4_ports(data, &l4);
		if (may_have_ports(l4.proto) && is_cut(avail, offset + total, l4.offset + PORTS_BYTES))
			out->verdict = PKT_DEEP;
	}
	out->family = PKT_IP4;
	key->proto = l4.proto;
	memcpy(&key->src_be, ip + 12, 4);
	memcpy(&key->dst_be, ip + 16, 4);
	key->sport_be = l4.sport_be;
	key->dport_be = l4.dport_be;
	key->vlan_be = rte_cpu_to_be_16(out->vlan);
	key->has_ports = l4.has_ports;
	key_macs(&key->macs, data);
	return true;
}

// One extension header: steps over it. false: there is nothing more to look at (no extension header, a later fragment,
// or its bytes are not there).
static bool ip6_extension(const uint8_t *data, struct l4 *l4, bool *later_fragment)
{
	const uint8_t *ext = data + l4->offset;
	uint32_t size;

	if (!is_extension(l4->proto))
		return false;
	if (l4->end < l4->offset + 8)
		return false;
	if (l4->proto == PROTO_FRAGMENT) {
		size = 8;
		*later_fragment = (get16(ext + 2) & 0xfff8) != 0;
	} else if (l4->proto == PROTO_AH) {
		size = (ext[1] + 2u) * 4;
	} else {
		size = (ext[1] + 1u) * 8;
	}
	if (l4->end < l4->offset + size)
		return false;
	l4->proto = ext[0];
	l4->offset += size;
	return !*later_fragment;
}

// Where the packet at ip ends. A payload of length 0 behind a hop-by-hop header says jumbogram (RFC 2675), and hosts
// take all of the frame, with or without the option that says how long.
static uint32_t ip6_end(const uint8_t *ip, uint32_t offset, uint32_t len)
{
	uint32_t payload = get16(ip + 4);

	return payload == 0 && ip[6] == PROTO_HOP_BY_HOP ? len : offset + IP6_HEADER_BYTES + payload;
}

static bool parse_ip6(const uint8_t *data, uint32_t offset, uint32_t avail, uint32_t len, struct pkt *out)
{
	const uint8_t *ip = data + offset;
	struct pkt_key_ip6 *key = &out->ip6;
	struct l4 l4 = {0};
	bool later_fragment = false;
	uint32_t end;

	if (is_cut(avail, len, offset + IP6_HEADER_BYTES)) {
		out->verdict = PKT_DEEP;
		return true;
	}
	if (avail < offset + IP6_HEADER_BYTES || ip[0] >> 4 != 6)
		return false;
	end = ip6_end(ip, offset, len);
	if (end > len)
		return false;
	l4.proto = ip[6];
	l4.offset = offset + IP6_HEADER_BYTES;
	l4.end = RTE_MIN(avail, end);
	while (ip6_extension(data, &l4, &later_fragment))
		;
	if (!later_fragment)
		l4_ports(data, &l4);
	if (l4.end < end && !later_fragment && !l4.has_ports && (is_extension(l4.proto) || may_have_ports(l4.proto)))
		out->verdict = PKT_DEEP;
	out->family = PKT_IP6;
	key->proto = l4.proto;
	memcpy(key->src_be, ip + 8, 16);
	memcpy(key->dst_be, ip + 24, 16);
	key->sport_be = l4.sport_be;
	key->dport_be = l4.dport_be;
	key->vlan_be = rte_cpu_to_be_16(out->vlan);
	key->has_ports = l4.has_ports;
	key_macs(&key->macs, data);
	return true;
}

static void parse_nonip(const uint8_t *data, struct pkt *out)
{
	out->family = PKT_NONIP;
	out->nonip.vlan_be = rte_cpu_to_be_16(out->vlan);
	key_macs(&out->nonip.macs, data);
}

static enum pkt_verdict vet_addresses(const struct pkt *p)
{
	if (p->src_mac == 0 || (p->src_mac >> 40 & 1) != 0)
		return PKT_BAD_SOURCE;
	if ((p->dst_mac & ~0xfull) == 0x0180c2000000)
		return PKT_LINK_LOCAL;
	return PKT_OK;
}

// Nearly every frame: IPv4 without tags or options, not a fragment, TCP or UDP with ports, addresses in order. Its
// headers go into the key by shuffles of 16 bytes: the frame's first, and those that end with the ports. What is not
// plain is left to pkt_parse_bytes.
#define PLAIN_BYTES (ETH_HEADER_BYTES + IP4_HEADER_MIN + PORTS_BYTES)
#define PLAIN_TAIL (PLAIN_BYTES - 16)
#define ZERO 16 // a byte of it, in a shuffle

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "addresses are turned round");
static_assert(offsetof(struct pkt, dst_mac) == 8 && offsetof(struct pkt, key) == 24, "one store each");
static_assert(offsetof(struct pkt_key_ip4, has_ports) == 16 + 2, "the third byte of its half");

static uint64_t load64(const uint8_t *data)
{
	uint64_t v;

	memcpy(&v, data, sizeof(v));
	return v;
}

// Nothing to guess at for the branch on it: all reasons are one.
static bool is_plain(const uint8_t *data, uint32_t len)
{
	uint64_t at0 = load64(data), at6 = load64(data + 6), at12 = load64(data + 12), at16 = load64(data + 16);
	uint32_t total = rte_be_to_cpu_16((uint16_t)at16), proto = (uint32_t)(at16 >> 56);
	uint64_t odd = (at12 & 0xffffff) ^ (0x450000 | RTE_BE16(ETHER_IP4));

	odd |= at16 >> 32 & RTE_BE16(0x1fff); // a later fragment
	odd |= (uint64_t)((proto != PROTO_TCP) & (proto != PROTO_UDP));
	odd |= (uint64_t)((total < IP4_HEADER_MIN + PORTS_BYTES) | (ETH_HEADER_BYTES + total > len));
	odd |= (at6 & 1) | (uint64_t)(at6 << 16 == 0);                 // source: a group, nobody
	odd |= (uint64_t)((at0 & 0xf0ffffffffff) == 0x00000000c28001); // destination: link-local
	return odd == 0;
}

static void parse_plain(const uint8_t *data, uint32_t len, struct pkt *out)
{
	const bytes16 zero = {0}, has_ports = {0, 0, 1};
	bytes16 head, tail, part;

	memcpy(&head, data, 16);
	memcpy(&tail, data + PLAIN_TAIL, 16);
	part = __builtin_shufflevector(head, zero, 11, 10, 9, 8, 7, 6, ZERO, ZERO, 5, 4, 3, 2, 1, 0, ZERO, ZERO);
	memcpy(&out->src_mac, &part, 16);
	out->len_bytes = len;
	out->vlan = 0;
	out->verdict = PKT_OK;
	out->family = PKT_IP4;
	part = __builtin_shufflevector(tail, zero, 1, ZERO, ZERO, ZERO, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	memcpy(out->key, &part, 16);
	part = __builtin_shufflevector(head, zero, ZERO, ZERO, ZERO, ZERO, 6, 7, 0, 1, 8, 9, 10, 11, 2, 3, 4, 5);
	part |= has_ports;
	memcpy(out->key + 16, &part, 16);
}

enum pkt_verdict pkt_parse_bytes(const uint8_t *data, uint32_t avail, uint32_t len_bytes, uint32_t max_frame_bytes,
				 struct pkt *out)
{
	struct tags tags;
	bool ok = false;

	memset(out, 0, sizeof(*out));
	out->len_bytes = len_bytes;
	if (avail > PKT_WINDOW_BYTES)
		avail = PKT_WINDOW_BYTES;
	if (avail < ETH_HEADER_BYTES)
		return out->verdict = PKT_RUNT;
	if (len_bytes > max_frame_bytes)
		return out->verdict = PKT_OVERSIZE;
	out->dst_mac = get48(data);
	out->src_mac = get48(data + 6);
	out->verdict = vet_addresses(out);
	if (out->verdict != PKT_OK)
		return out->verdict;
	if (!read_tags(data, avail, &tags))
		return out->verdict = avail < len_bytes ? PKT_DEEP : PKT_RUNT;
	out->vlan = tags.vlan;
	if (tags.type == ETHER_IP4)
		ok = parse_ip4(data, tags.end, avail, len_bytes, out);
	else if (tags.type == ETHER_IP6)
		ok = parse_ip6(data, tags.end, avail, len_bytes, out);
	if (!ok)
		parse_nonip(data, out);
	return (enum pkt_verdict)out->verdict;
}

static __attribute__((noinline)) enum pkt_verdict parse_any(const struct rte_mbuf *m, uint32_t max_frame_bytes,
							    struct pkt *out)
{
	uint8_t copy[PKT_WINDOW_BYTES];
	uint32_t len = rte_pktmbuf_pkt_len(m), avail = RTE_MIN(len, (uint32_t)PKT_WINDOW_BYTES);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	if (unlikely(rte_pktmbuf_data_len(m) < avail))
		data = rte_pktmbuf_read(m, 0, avail, copy);
	return pkt_parse_bytes(data, avail, len, max_frame_bytes, out);
}

static inline enum pkt_verdict parse(const struct rte_mbuf *m, uint32_t max_frame_bytes, struct pkt *out)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = rte_pktmbuf_pkt_len(m);

	if (unlikely(rte_pktmbuf_data_len(m) < PLAIN_BYTES || len > max_frame_bytes || !is_plain(data, len)))
		return parse_any(m, max_frame_bytes, out);
	parse_plain(data, len, out);
	return PKT_OK;
}

enum pkt_verdict pkt_parse(const struct rte_mbuf *m, uint32_t max_frame_bytes, struct pkt *out)
{
	return parse(m, max_frame_bytes, out);
}

unsigned int pkt_parse_burst(struct rte_mbuf *const *m, unsigned int n, uint32_t max_frame_bytes, struct pkt *out)
{
	unsigned int n_ok = 0;

	for (unsigned int i = 0; i < n && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (unsigned int i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + PREFETCH_AHEAD], void *));
		n_ok += parse(m[i], max_frame_bytes, &out[i]) == PKT_OK;
	}
	return n_ok;
}

// Of the IPv6 extension headers at offset.
static bool is_fragment6(const uint8_t *data, uint32_t offset, uint32_t avail, uint8_t proto)
{
	struct l4 l4 = {.offset = offset, .end = avail, .proto = proto};
	bool later = false;

	do {
		if (l4.proto == PROTO_FRAGMENT && l4.end >= l4.offset + 8)
			return (get16(data + l4.offset + 2) & 0xfff9) != 0; // offset, or more to come
	} while (ip6_extension(data, &l4, &later));
	return false;
}

static bool is_fragment(const uint8_t *data, uint32_t avail, enum pkt_family family)
{
	struct tags tags;

	if (!read_tags(data, avail, &tags))
		return false; // it would not have been found fit
	if (family == PKT_IP4)
		return (get16(data + tags.end + 6) & 0x3fff) != 0; // offset, or more to come
	return is_fragment6(data, tags.end + IP6_HEADER_BYTES, avail, data[tags.end + 6]);
}

void pkt_refuse_fragment(const struct rte_mbuf *m, struct pkt *pkt)
{
	uint8_t copy[PKT_WINDOW_BYTES];
	uint32_t avail = RTE_MIN(rte_pktmbuf_pkt_len(m), (uint32_t)PKT_WINDOW_BYTES);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	if (pkt->family == PKT_NONIP)
		return;
	if (unlikely(rte_pktmbuf_data_len(m) < avail))
		data = rte_pktmbuf_read(m, 0, avail, copy);
	if (is_fragment(data, avail, (enum pkt_family)pkt->family))
		pkt->verdict = PKT_FRAGMENT;
}

static bool find_l4_ip6(const uint8_t *ip, uint32_t offset, uint32_t avail, struct l4 *l4)
{
	bool later = false;

	*l4 = (struct l4){.offset = offset + IP6_HEADER_BYTES, .end = avail, .proto = ip[6]};
	do {
		if (l4->proto == PROTO_FRAGMENT || l4->proto == PROTO_ROUTING)
			return false;
	} while (ip6_extension(ip - offset, l4, &later));
	return true;
}

bool pkt_l4_find(const uint8_t *data, uint32_t avail, uint32_t len_bytes, const struct pkt *pkt, struct pkt_l4 *out)
{
	struct l4 l4 = {0};
	struct tags tags;
	const uint8_t *ip;
	uint32_t end;

	if (pkt->family == PKT_NONIP || !read_tags(data, avail, &tags))
		return false;
	ip = data + tags.end;
	if (pkt->family == PKT_IP4) {
		if ((get16(ip + 6) & 0x3fff) != 0) // offset, or more to come
			return false;
		l4.proto = ip[9];
		l4.offset = tags.end + (ip[0] & 0xfu) * 4;
		end = tags.end + get16(ip + 2);
	} else {
		if (!find_l4_ip6(ip, tags.end, avail, &l4))
			return false;
		end = ip6_end(ip, tags.end, len_bytes);
	}
	if (!may_have_ports(l4.proto) || l4.offset > end)
		return false;
	*out = (struct pkt_l4){.offset = l4.offset, .len_bytes = end - l4.offset, .proto = l4.proto};
	return true;
}

static u128 addr6(const uint32_t be[4])
{
	u128 v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 32 | rte_be_to_cpu_32(be[i]);
	return v;
}

void pkt_to_match_packet(const struct pkt *pkt, uint64_t time_ns, struct match_packet *out)
{
	memset(out, 0, sizeof(*out));
	out->f[MATCH_TIME] = time_ns;
	out->f[MATCH_SRC_ETH] = pkt->src_mac;
	out->f[MATCH_DST_ETH] = pkt->dst_mac;
	out->f[MATCH_VLAN] = pkt->vlan;
	if (pkt->family == PKT_IP4) {
		out->kind = pkt->ip4.has_ports ? MATCH_IP4PORTS : MATCH_IP4;
		out->src = match_ip4(rte_be_to_cpu_32(pkt->ip4.src_be));
		out->dst = match_ip4(rte_be_to_cpu_32(pkt->ip4.dst_be));
		out->f[MATCH_PROTO] = pkt->ip4.proto;
		out->f[MATCH_SRC_PORT] = rte_be_to_cpu_16(pkt->ip4.sport_be);
		out->f[MATCH_DST_PORT] = rte_be_to_cpu_16(pkt->ip4.dport_be);
	} else if (pkt->family == PKT_IP6) {
		out->kind = pkt->ip6.has_ports ? MATCH_IP6PORTS : MATCH_IP6;
		out->src = addr6(pkt->ip6.src_be);
		out->dst = addr6(pkt->ip6.dst_be);
		out->f[MATCH_PROTO] = pkt->ip6.proto;
		out->f[MATCH_SRC_PORT] = rte_be_to_cpu_16(pkt->ip6.sport_be);
		out->f[MATCH_DST_PORT] = rte_be_to_cpu_16(pkt->ip6.dport_be);
	} else {
		out->kind = MATCH_NONIP;
	}
}

static void put_addr6(u128 addr, uint32_t be[4])
{
	for (int i = 3; i >= 0; i--, addr >>= 32)
		be[i] = rte_cpu_to_be_32((uint32_t)addr);
}

static struct pkt_macs macs_of(const struct pkt *pkt)
{
	return (struct pkt_macs){.src_hi_be = rte_cpu_to_be_16((uint16_t)(pkt->src_mac >> 32)),
				 .dst_hi_be = rte_cpu_to_be_16((uint16_t)(pkt->dst_mac >> 32)),
				 .src_lo_be = rte_cpu_to_be_32((uint32_t)pkt->src_mac),
				 .dst_lo_be = rte_cpu_to_be_32((uint32_t)pkt->dst_mac)};
}

void pkt_of_match_packet(const struct match_packet *packet, struct pkt *out)
{
	uint16_t vlan_be = rte_cpu_to_be_16((uint16_t)packet->f[MATCH_VLAN]);
	uint16_t sport_be = rte_cpu_to_be_16((uint16_t)packet->f[MATCH_SRC_PORT]);
	uint16_t dport_be = rte_cpu_to_be_16((uint16_t)packet->f[MATCH_DST_PORT]);
	uint8_t proto = (uint8_t)packet->f[MATCH_PROTO], has_ports = (packet->kind & MATCH_KINDS_PORTS) != 0;

	memset(out, 0, sizeof(*out));
	out->src_mac = packet->f[MATCH_SRC_ETH];
	out->dst_mac = packet->f[MATCH_DST_ETH];
	out->vlan = (uint16_t)packet->f[MATCH_VLAN];
	out->verdict = PKT_OK;
	if (packet->kind & MATCH_KINDS_V4) {
		out->family = PKT_IP4;
		out->ip4 = (struct pkt_key_ip4){.proto = proto,
						.src_be = rte_cpu_to_be_32((uint32_t)(packet->src >> 96)),
						.dst_be = rte_cpu_to_be_32((uint32_t)(packet->dst >> 96)),
						.vlan_be = vlan_be,
						.has_ports = has_ports,
						.macs = macs_of(out)};
		out->ip4.sport_be = has_ports ? sport_be : 0;
		out->ip4.dport_be = has_ports ? dport_be : 0;
	} else if (packet->kind & MATCH_KINDS_V6) {
		out->family = PKT_IP6;
		out->ip6 = (struct pkt_key_ip6){
			.proto = proto, .vlan_be = vlan_be, .has_ports = has_ports, .macs = macs_of(out)};
		put_addr6(packet->src, out->ip6.src_be);
		put_addr6(packet->dst, out->ip6.dst_be);
		out->ip6.sport_be = has_ports ? sport_be : 0;
		out->ip6.dport_be = has_ports ? dport_be : 0;
	} else {
		out->family = PKT_NONIP;
		out->nonip = (struct pkt_key_nonip){.vlan_be = vlan_be, .macs = macs_of(out)};
	}
}
