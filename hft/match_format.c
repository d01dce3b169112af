// SPDX-License-Identifier: Apache-2.0
// A box as text that SPEC 1's parser reads back as the same set.
#include "match.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define USERS_TOLD_MAX 64 // names in a set; of more users the numbers are told

struct text {
	char *buf;
	size_t size, len; // len: what the whole text needs
	bool first;       // no field test written yet
	const char *(*user_name)(void *ctx, uint32_t user);
	void *ctx;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
	bool room = t->len < t->size;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? t->buf + t->len : NULL, room ? t->size - t->len : 0, fmt, ap);
	va_end(ap);
	t->len += n < 0 ? 0 : (size_t)n;
}

static void put_name(struct text *t, const char *name)
{
	put(t, "%s%s=", t->first ? "" : ", ", name);
	t->first = false;
}

static void put_ip4(struct text *t, u128 addr)
{
	uint32_t a = (uint32_t)(addr >> 96);

	put(t, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

// RFC 5952: the first longest run of two or more zero groups becomes "::".
static void put_ip6(struct text *t, u128 addr)
{
	unsigned int group[8], run_at = 8, run_len = 1;

	for (unsigned int i = 0; i < 8; i++)
		group[i] = (unsigned int)(addr >> (112 - 16 * i)) & 0xffff;
	for (unsigned int i = 0, len; i < 8; i += len + 1) {
		for (len = 0; i + len < 8 && group[i + len] == 0;)
			len++;
		if (len > run_len) {
			run_at = i;
			run_len = len;
		}
	}
	for (unsigned int i = 0; i < 8; i++) {
		if (i == run_at) {
			put(t, "::");
			i += run_len - 1;
		} else {
			put(t, "%s%x", i == 0 || i == run_at + run_len ? "" : ":", group[i]);
		}
	}
}

// The longest prefix that starts at lo and ends at or before hi.
static unsigned int prefix_len_at(u128 lo, u128 hi, unsigned int width)
{
	unsigned int len = width;

	while (len > 0) {
		u128 host = ~(u128)0 >> (len - 1);

		if ((lo & host) != 0 || (lo | host) > hi)
			break;
		len--;
	}
	return len;
}

static void put_address(struct text *t, const char *name, const struct span128 *span, uint32_t kinds)
{
	bool v4 = (kinds & MATCH_KINDS_V4) != 0;
	unsigned int width = v4 ? 32 : 128, len;
	bool set = false;
	u128 host, lo = span->lo;

	if (span->lo == 0 && span->hi == ~(u128)0)
		return;
	put_name(t, name);
	for (;; lo = (lo | host) + 1) {
		len = prefix_len_at(lo, span->hi, width);
		host = len == 128 ? 0 : ~(u128)0 >> len;
		if (!set && (lo | host) < span->hi) {
			set = true;
			put(t, "{");
		}
		if (v4)
			put_ip4(t, lo);
		else
			put_ip6(t, lo);
		if (len < width)
			put(t, "/%u", len);
		if ((lo | host) >= span->hi)
			break;
		put(t, ",");
	}
	if (set)
		put(t, "}");
}

static void put_proto_name(struct text *t, uint64_t proto)
{
	switch (proto) {
	case 1:
		put(t, "ICMP");
		break;
	case 6:
		put(t, "TCP");
		break;
	case 17:
		put(t, "UDP");
		break;
	case 58:
		put(t, "ICMPv6");
		break;
	case 132:
		put(t, "SCTP");
		break;
	default:
		put(t, "%" PRIu64, proto);
	}
}

static void put_proto(struct text *t, const struct box *box)
{
	struct span proto = box->f[MATCH_PROTO];

	put_name(t, "transport");
	if (proto.lo == proto.hi)
		put_proto_name(t, proto.lo);
	else if ((box->kinds & ~MATCH_KINDS_PORTS) == 0) // normalized: two neighbours of TCP, UDP, SCTP
		put(t, proto.lo == 6 ? "{TCP,UDP}" : "{UDP,SCTP}");
	else
		put(t, "%" PRIu64 "-%" PRIu64, proto.lo, proto.hi);
}

static void put_eth(struct text *t, uint64_t addr)
{
	for (int shift = 40; shift >= 0; shift -= 8)
		put(t, "%02x%s", (unsigned int)(addr >> shift & 255), shift > 0 ? ":" : "");
}

static const char *name_of(const struct text *t, uint64_t user)
{
	return t->user_name == NULL || user == 0 || user > UINT32_MAX ? NULL : t->user_name(t->ctx, (uint32_t)user);
}

// The names of these users, up to the last there is, as a set. false: there are none, or too many to be read.
static bool put_names(struct text *t, const char *before, uint64_t lo, uint64_t hi)
{
	const char *sep = before;
	uint64_t n = 0;

	while (n <= USERS_TOLD_MAX && n <= hi - lo && name_of(t, lo + n) != NULL)
		n++;
	if (n == 0 || n > USERS_TOLD_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++, sep = ",")
		put(t, "%s%s", sep, name_of(t, lo + i));
	put(t, "}");
	return true;
}

// Of a span from 0 on, which holds nobody, the language says who is left out.
static void put_user(struct text *t, struct span user)
{
	const char *name = user.lo == user.hi ? name_of(t, user.lo) : NULL;

	if (name != NULL)
		put(t, "%s", name);
	else if (user.lo > 0 ? put_names(t, "{", user.lo, user.hi)
			     : user.hi < UINT32_MAX && put_names(t, "!{", user.hi + 1, UINT32_MAX))
		return;
	else if (user.lo == user.hi)
		put(t, "#%" PRIu64, user.lo);
	else
		put(t, "#%" PRIu64 "-#%" PRIu64, user.lo, user.hi);
}

static void put_field(struct text *t, const struct box *box, enum match_field field, const char *name)
{
	struct span span = box->f[field];

	if (span.lo == 0 && span.hi == match_field_max(field))
		return;
	if (field == MATCH_PROTO) {
		put_proto(t, box);
		return;
	}
	put_name(t, name);
	if (field == MATCH_SRC_USER || field == MATCH_DST_USER) {
		put_user(t, span);
	} else if (field == MATCH_SRC_ETH || field == MATCH_DST_ETH) {
		put_eth(t, span.lo);
		if (span.lo != span.hi) {
			put(t, "-");
			put_eth(t, span.hi);
		}
	} else {
		put(t, "%" PRIu64, span.lo);
		if (span.lo != span.hi)
			put(t, "-%" PRIu64, span.hi);
	}
}

// The kinds that the other fields' text alone stands for.
static uint32_t implied_kinds(const struct box *box)
{
	struct box text = *box;
	bool any_src = box->src.lo == 0 && box->src.hi == ~(u128)0;
	bool any_dst = box->dst.lo == 0 && box->dst.hi == ~(u128)0;

	text.kinds = MATCH_KINDS_ALL;
	if (!any_src || !any_dst)
		text.kinds &= (box->kinds & MATCH_KINDS_V4) != 0 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
	box_normalize(&text);
	return text.kinds;
}

static void put_kinds(struct text *t, const struct box *box)
{
	static const char *const names[] = {"nonip", "ip4", "ip6", "ip4ports", "ip6ports"};
	const char *sep = "";

	if (box->kinds == implied_kinds(box))
		return;
	put_name(t, "kind");
	put(t, "{");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((box->kinds & 1u << i) == 0)
			continue;
		put(t, "%s%s", sep, names[i]);
		sep = ",";
	}
	put(t, "}");
}

size_t box_format(const struct box *box, const char *(*user_name)(void *ctx, uint32_t user), void *ctx, char *buf,
		  size_t size)
{
	struct text t = {.buf = buf, .size = size, .first = true, .user_name = user_name, .ctx = ctx};

	put(&t, "(");
	put_kinds(&t, box);
	put_address(&t, "srcHost", &box->src, box->kinds);
	put_address(&t, "dstHost", &box->dst, box->kinds);
	put_field(&t, box, MATCH_PROTO, "transport");
	put_field(&t, box, MATCH_SRC_PORT, "srcPort");
	put_field(&t, box, MATCH_DST_PORT, "dstPort");
	put_field(&t, box, MATCH_SRC_ETH, "srcEth");
	put_field(&t, box, MATCH_DST_ETH, "dstEth");
	put_field(&t, box, MATCH_VLAN, "vlan");
	put_field(&t, box, MATCH_SRC_USER, "srcUser");
	put_field(&t, box, MATCH_DST_USER, "dstUser");
	put(&t, t.first ? "*)" : ")");
	return t.len;
}

size_t match_packet_format(const struct match_packet *packet, char *buf, size_t size)
{
	struct box point = box_any();

	point.src = (struct span128){packet->src, packet->src};
	point.dst = (struct span128){packet->dst, packet->dst};
	for (int f = 0; f < MATCH_N_FIELDS; f++)
		point.f[f] = (struct span){packet->f[f], packet->f[f]};
	point.kinds = packet->kind;
	return box_format(&point, NULL, NULL, buf, size);
}
