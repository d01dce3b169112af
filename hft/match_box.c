// SPDX-License-Identifier: Apache-2.0
// Single boxes. A box is a product of intervals, and every box handed in obeys box_normalize's invariant, so that
// comparing interval by interval compares sets of packets.
#include "match.h"

#define U128_MAX (~(u128)0)

static const uint64_t field_max[MATCH_N_FIELDS] = {
	[MATCH_TIME] = MATCH_TIME_MAX,
	[MATCH_SRC_ETH] = (1ULL << 48) - 1,
	[MATCH_DST_ETH] = (1ULL << 48) - 1,
	[MATCH_VLAN] = 4095,
	[MATCH_PROTO] = 255,
	[MATCH_SRC_PORT] = 65535,
	[MATCH_DST_PORT] = 65535,
	[MATCH_SRC_USER] = MATCH_USER_MAX,
	[MATCH_DST_USER] = MATCH_USER_MAX,
};

static const uint64_t port_protos[] = {6, 17, 132}; // TCP, UDP, SCTP
#define N_PORT_PROTOS (sizeof(port_protos) / sizeof(port_protos[0]))

uint64_t match_field_max(enum match_field field)
{
	return field_max[field];
}

struct box box_any(void)
{
	struct box box = {.src = {0, U128_MAX}, .dst = {0, U128_MAX}, .kinds = MATCH_KINDS_ALL};

	for (int i = 0; i < MATCH_N_FIELDS; i++)
		box.f[i] = (struct span){0, field_max[i]};
	return box;
}

static bool span_full(const struct box *box, enum match_field field)
{
	return box->f[field].lo == 0 && box->f[field].hi == field_max[field];
}

static bool span128_full(const struct span128 *span)
{
	return span->lo == 0 && span->hi == U128_MAX;
}

// The least interval that holds the same port protocols; lo > hi when there are none.
static struct span port_proto_hull(struct span proto)
{
	struct span hull = {1, 0};

	for (size_t i = 0; i < N_PORT_PROTOS; i++) {
		if (port_protos[i] < proto.lo || port_protos[i] > proto.hi)
			continue;
		if (hull.lo > hull.hi)
			hull.lo = port_protos[i];
		hull.hi = port_protos[i];
	}
	return hull;
}

bool box_normalize(struct box *box)
{
	struct span hull;

	if (box->src.lo > box->src.hi || box->dst.lo > box->dst.hi)
		return false;
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (box->f[i].hi > field_max[i])
			box->f[i].hi = field_max[i];
		if (box->f[i].lo > box->f[i].hi)
			return false;
	}
	box->kinds &= MATCH_KINDS_ALL;
	if (!span_full(box, MATCH_SRC_PORT) || !span_full(box, MATCH_DST_PORT))
		box->kinds &= MATCH_KINDS_PORTS;
	if (!span_full(box, MATCH_PROTO) || !span128_full(&box->src) || !span128_full(&box->dst))
		box->kinds &= MATCH_KINDS_IP;
	if ((box->kinds & MATCH_KINDS_PORTS) == 0)
		return box->kinds != 0;

	hull = port_proto_hull(box->f[MATCH_PROTO]);
	if (hull.lo > hull.hi)
		box->kinds &= ~MATCH_KINDS_PORTS;
	else if ((box->kinds & ~MATCH_KINDS_PORTS) == 0) {
		// One form for each set: only the three protocols count, and all of them is no test.
		bool all = hull.lo == port_protos[0] && hull.hi == port_protos[N_PORT_PROTOS - 1];

		box->f[MATCH_PROTO] = all ? (struct span){0, field_max[MATCH_PROTO]} : hull;
	}
	return box->kinds != 0;
}

bool box_overlaps(const struct box *a, const struct box *b)
{
	uint32_t kinds = a->kinds & b->kinds;
	struct span proto, hull;

	if (kinds == 0 || a->src.lo > b->src.hi || b->src.lo > a->src.hi || a->dst.lo > b->dst.hi ||
	    b->dst.lo > a->dst.hi)
		return false;
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (a->f[i].lo > b->f[i].hi || b->f[i].lo > a->f[i].hi)
			return false;
	}
	if ((kinds & ~MATCH_KINDS_PORTS) != 0)
		return true;
	proto.lo = a->f[MATCH_PROTO].lo > b->f[MATCH_PROTO].lo ? a->f[MATCH_PROTO].lo : b->f[MATCH_PROTO].lo;
	proto.hi = a->f[MATCH_PROTO].hi < b->f[MATCH_PROTO].hi ? a->f[MATCH_PROTO].hi : b->f[MATCH_PROTO].hi;
	hull = port_proto_hull(proto);
	return hull.lo <= hull.hi;
}

static struct span128 span128_intersect(struct span128 a, struct span128 b)
{
	return (struct span128){a.lo > b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi};
}

bool box_intersect(const struct box *a, const struct box *b, struct box *out)
{
	out->src = span128_intersect(a->src, b->src);
	out->dst = span128_intersect(a->dst, b->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		out->f[i].lo = a->f[i].lo > b->f[i].lo ? a->f[i].lo : b->f[i].lo;
		out->f[i].hi = a->f[i].hi < b->f[i].hi ? a->f[i].hi : b->f[i].hi;
	}
	out->kinds = a->kinds & b->kinds;
	return box_normalize(out);
}

bool box_contains(const struct box *outer, const struct box *inner)
{
	if ((inner->kinds & ~outer->kinds) != 0 || inner->src.lo < outer->src.lo || inner->src.hi > outer->src.hi ||
	    inner->dst.lo < outer->dst.lo || inner->dst.hi > outer->dst.hi)
		return false;
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		struct span in = inner->f[i];

		// "Any protocol" with ports means the three of them.
		if (i == MATCH_PROTO && (inner->kinds & ~MATCH_KINDS_PORTS) == 0)
			in = port_proto_hull(in);
		if (in.lo < outer->f[i].lo || in.hi > outer->f[i].hi)
			return false;
	}
	return true;
}

bool box_equal(const struct box *a, const struct box *b)
{
	if (a->kinds != b->kinds || a->src.lo != b->src.lo || a->src.hi != b->src.hi || a->dst.lo != b->dst.lo ||
	    a->dst.hi != b->dst.hi)
		return false;
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (a->f[i].lo != b->f[i].lo || a->f[i].hi != b->f[i].hi)
			return false;
	}
	return true;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static uint64_t mix_span128(uint64_t hash, const struct span128 *span)
{
	hash = mix(hash, (uint64_t)(span->lo >> 64));
	hash = mix(hash, (uint64_t)span->lo);
	hash = mix(hash, (uint64_t)(span->hi >> 64));
	return mix(hash, (uint64_t)span->hi);
}

uint64_t box_hash(const struct box *box)
{
	uint64_t hash = mix_span128(box->kinds, &box->src);

	hash = mix_span128(hash, &box->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		hash = mix(hash, box->f[i].lo);
		hash = mix(hash, box->f[i].hi);
	}
	return hash;
}

bool box_covers(const struct box *box, const struct match_packet *packet)
{
	if ((box->kinds & packet->kind) == 0 || packet->src < box->src.lo || packet->src > box->src.hi ||
	    packet->dst < box->dst.lo || packet->dst > box->dst.hi)
		return false;
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (packet->f[i] < box->f[i].lo || packet->f[i] > box->f[i].hi)
			return false;
	}
	return true;
}

bool box_set_time(struct box *box, int64_t start_ns, int64_t end_ns)
{
	if (start_ns < 0)
		start_ns = 0;
	if (start_ns >= end_ns)
		return false;
	box->f[MATCH_TIME].lo = (uint64_t)start_ns;
	box->f[MATCH_TIME].hi = end_ns == INT64_MAX ? MATCH_TIME_MAX : (uint64_t)end_ns - 1;
	return true;
}

int64_t box_start_ns(const struct box *box)
{
	return (int64_t)box->f[MATCH_TIME].lo;
}

int64_t box_end_ns(const struct box *box)
{
	return box->f[MATCH_TIME].hi >= MATCH_TIME_MAX ? INT64_MAX : (int64_t)box->f[MATCH_TIME].hi + 1;
}

u128 match_ip4(uint32_t addr)
{
	return (u128)addr << 96;
}

static struct span128 prefix_span(u128 addr, unsigned int prefix_len)
{
	u128 host = prefix_len >= 128 ? 0 : U128_MAX >> prefix_len;

	return (struct span128){addr & ~host, addr | host};
}

struct span128 match_ip4_prefix(uint32_t addr, unsigned int prefix_len)
{
	return prefix_span(match_ip4(addr), prefix_len > 32 ? 32 : prefix_len);
}

struct span128 match_ip6_prefix(const uint8_t addr[16], unsigned int prefix_len)
{
	u128 bits = 0;

	for (int i = 0; i < 16; i++)
		bits = bits << 8 | addr[i];
	return prefix_span(bits, prefix_len);
}
