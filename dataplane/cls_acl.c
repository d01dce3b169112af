// SPDX-License-Identifier: Apache-2.0
// One context for each packet family, because a rule has a value for every field of its key and the families have
// different fields. Rules are in host order, keys in network order. An address or MAC span that does not fit one rule
// becomes several; they are disjoint, so sharing the row's priority is harmless.
// A field whose spans are prefixes in all rules is given to rte_acl as MASK, else as RANGE: the same lookup, but
// rte_acl judges by the mask how to split large tables into tries.
#include "cls_acl.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_memory.h>

#define FIELDS_MAX 18
#define RULES_MAX (1u << 24) // of one family: beyond this rte_acl would not end in useful time or memory

#define DEF(type_, size_, idx, group, key, member) \
	{ \
		.type = RTE_ACL_FIELD_TYPE_##type_, .size = size_, .field_index = idx, .input_index = group, \
		.offset = offsetof(struct key, member) \
	}
#define DEF_MACS(idx, group, key) \
	DEF(MASK, 2, idx, group, key, macs.src_hi_be), DEF(MASK, 2, (idx) + 1, group, key, macs.dst_hi_be), \
		DEF(MASK, 4, (idx) + 2, (group) + 1, key, macs.src_lo_be), \
		DEF(MASK, 4, (idx) + 3, (group) + 2, key, macs.dst_lo_be)

// rte_acl: the first field is one byte, the others fill whole groups of four bytes (so padding is a field, too).
static const struct family_desc {
	char letter; // in context names
	uint32_t kinds, ports_kind;
	unsigned int addr_bits;
	uint32_t n_fields;
	struct rte_acl_field_def defs[FIELDS_MAX];
} families[PKT_N_FAMILIES] = {
	[PKT_NONIP] = {'e',
		       MATCH_NONIP,
		       0,
		       0,
		       7,
		       {
			       DEF(BITMASK, 1, 0, 0, pkt_key_nonip, zero),
			       DEF(RANGE, 2, 1, 1, pkt_key_nonip, vlan_be),
			       DEF(BITMASK, 2, 2, 1, pkt_key_nonip, pad2),
			       DEF_MACS(3, 2, pkt_key_nonip),
		       }},
	[PKT_IP4] = {'4',
		     MATCH_KINDS_V4,
		     MATCH_IP4PORTS,
		     32,
		     12,
		     {
			     DEF(RANGE, 1, 0, 0, pkt_key_ip4, proto),
			     DEF(MASK, 4, 1, 1, pkt_key_ip4, src_be),
			     DEF(MASK, 4, 2, 2, pkt_key_ip4, dst_be),
			     DEF(RANGE, 2, 3, 3, pkt_key_ip4, sport_be),
			     DEF(RANGE, 2, 4, 3, pkt_key_ip4, dport_be),
			     DEF(RANGE, 2, 5, 4, pkt_key_ip4, vlan_be),
			     DEF(BITMASK, 1, 6, 4, pkt_key_ip4, has_ports),
			     DEF(BITMASK, 1, 7, 4, pkt_key_ip4, pad2),
			     DEF_MACS(8, 5, pkt_key_ip4),
		     }},
	[PKT_IP6] = {'6',
		     MATCH_KINDS_V6,
		     MATCH_IP6PORTS,
		     128,
		     18,
		     {
			     DEF(RANGE, 1, 0, 0, pkt_key_ip6, proto),
			     DEF(MASK, 4, 1, 1, pkt_key_ip6, src_be[0]),
			     DEF(MASK, 4, 2, 2, pkt_key_ip6, src_be[1]),
			     DEF(MASK, 4, 3, 3, pkt_key_ip6, src_be[2]),
			     DEF(MASK, 4, 4, 4, pkt_key_ip6, src_be[3]),
			     DEF(MASK, 4, 5, 5, pkt_key_ip6, dst_be[0]),
			     DEF(MASK, 4, 6, 6, pkt_key_ip6, dst_be[1]),
			     DEF(MASK, 4, 7, 7, pkt_key_ip6, dst_be[2]),
			     DEF(MASK, 4, 8, 8, pkt_key_ip6, dst_be[3]),
			     DEF(RANGE, 2, 9, 9, pkt_key_ip6, sport_be),
			     DEF(RANGE, 2, 10, 9, pkt_key_ip6, dport_be),
			     DEF(RANGE, 2, 11, 10, pkt_key_ip6, vlan_be),
			     DEF(BITMASK, 1, 12, 10, pkt_key_ip6, has_ports),
			     DEF(BITMASK, 1, 13, 10, pkt_key_ip6, pad2),
			     DEF_MACS(14, 11, pkt_key_ip6),
		     }},
};

struct acl_rule {
	struct rte_acl_rule_data data;
	struct rte_acl_field field[FIELDS_MAX]; // the first n_fields are used
};

// One row's spans in pieces.
struct split {
	struct cls_piece src[CLS_PIECES_MAX], dst[CLS_PIECES_MAX], src_mac[CLS_PIECES_MAX], dst_mac[CLS_PIECES_MAX];
	uint32_t n_src, n_dst, n_src_mac, n_dst_mac;
};

struct build {
	const struct cls_acl_rows *in;
	const struct family_desc *fam;
	struct rte_acl_config config; // with the types that the rules need
	struct rte_acl_ctx *ctx;
	uint32_t n_rules;
};

typedef int rule_fn(struct build *b, struct acl_rule *rule);

static unsigned int digit_bits(unsigned int width_bits)
{
	return width_bits % 32 != 0 ? width_bits % 32 : 32;
}

// Numbers of width_bits whose first digits, n_done of them, are those of *base already.
static uint32_t split_digits(u128 lo, u128 hi, unsigned int width_bits, const struct cls_piece *base,
			     unsigned int n_done, struct cls_piece *out)
{
	unsigned int rest_bits = width_bits - digit_bits(width_bits);
	u128 rest_max = ((u128)1 << rest_bits) - 1, rest_lo = lo & rest_max, rest_hi = hi & rest_max;
	u128 a = lo >> rest_bits, b = hi >> rest_bits; // the digit
	struct cls_piece piece = *base;
	uint32_t n = 0;

	if (a == b && rest_bits > 0) {
		piece.lo[n_done] = piece.hi[n_done] = (uint32_t)a;
		return split_digits(rest_lo, rest_hi, rest_bits, &piece, n_done + 1, out);
	}
	if (rest_lo != 0) {
		piece.lo[n_done] = piece.hi[n_done] = (uint32_t)a++;
		n += split_digits(rest_lo, rest_max, rest_bits, &piece, n_done + 1, out);
	}
	if (rest_hi != rest_max) {
		piece.lo[n_done] = piece.hi[n_done] = (uint32_t)b--;
		n += split_digits(0, rest_hi, rest_bits, &piece, n_done + 1, out + n);
	}
	if (a <= b) {
		out[n] = *base; // the digits after this one are full there
		out[n].lo[n_done] = (uint32_t)a;
		out[n++].hi[n_done] = (uint32_t)b;
	}
	return n;
}

uint32_t cls_split(u128 lo, u128 hi, unsigned int width_bits, struct cls_piece out[CLS_PIECES_MAX])
{
	struct cls_piece full = {.hi = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}};

	full.hi[0] >>= 32 - digit_bits(width_bits);
	return split_digits(lo, hi, width_bits, &full, 0, out);
}

bool cls_acl_is_about(const struct box *box, enum pkt_family family)
{
	return (box->kinds & families[family].kinds) != 0 && box->f[MATCH_SRC_USER].lo == 0 &&
	       box->f[MATCH_DST_USER].lo == 0;
}

static void split_box(const struct box *box, const struct family_desc *fam, struct split *s)
{
	unsigned int shift = 128 - fam->addr_bits;
	const struct span *f = box->f;

	s->n_src = s->n_dst = 1;
	if (fam->addr_bits > 0) {
		s->n_src = cls_split(box->src.lo >> shift, box->src.hi >> shift, fam->addr_bits, s->src);
		s->n_dst = cls_split(box->dst.lo >> shift, box->dst.hi >> shift, fam->addr_bits, s->dst);
	}
	s->n_src_mac = cls_split(f[MATCH_SRC_ETH].lo, f[MATCH_SRC_ETH].hi, 48, s->src_mac);
	s->n_dst_mac = cls_split(f[MATCH_DST_ETH].lo, f[MATCH_DST_ETH].hi, 48, s->dst_mac);
}

static void put(struct rte_acl_field **f, uint64_t value, uint64_t mask_range)
{
	(*f)->value.u64 = value;
	(*f)->mask_range.u64 = mask_range;
	(*f)++;
}

static void put_span(struct rte_acl_field **f, const struct box *box, enum match_field field)
{
	put(f, box->f[field].lo, box->f[field].hi);
}

static bool may_have_ports(const struct span *proto)
{
	static const uint64_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	for (size_t i = 0; i < sizeof(with_ports) / sizeof(with_ports[0]); i++) {
		if (proto->lo <= with_ports[i] && with_ports[i] <= proto->hi)
			return true;
	}
	return false;
}

// Does the packet's having ports follow from the rest of the row? A packet without ports has the port numbers 0 in its
// key, and one with ports a protocol that has them. Then the row need not ask; a group of fields that no row asks for
// costs a lookup nothing.
static bool ports_are_plain(const struct box *box, const struct family_desc *fam)
{
	uint32_t kinds = box->kinds & fam->kinds;

	if (kinds == fam->kinds)
		return true;
	if (kinds == fam->ports_kind)
		return box->f[MATCH_SRC_PORT].lo > 0 || box->f[MATCH_DST_PORT].lo > 0;
	return !may_have_ports(&box->f[MATCH_PROTO]);
}

static void put_has_ports(struct rte_acl_field **f, const struct box *box, const struct family_desc *fam)
{
	put(f, (box->kinds & fam->kinds) == fam->ports_kind, ports_are_plain(box, fam) ? 0 : UINT8_MAX);
}

// Any VLAN is the whole of its 16 bits: what all rows leave open is no part of the lookup.
static void put_vlan(struct rte_acl_field **f, const struct box *box)
{
	const struct span *vlan = &box->f[MATCH_VLAN];

	put(f, vlan->lo, vlan->hi == match_field_max(MATCH_VLAN) ? UINT16_MAX : vlan->hi);
}

static void put_ip(struct rte_acl_field **f, const struct box *box, const struct family_desc *fam,
		   const struct cls_piece *src, const struct cls_piece *dst)
{
	put_span(f, box, MATCH_PROTO);
	for (unsigned int i = 0; i < fam->addr_bits / 32; i++)
		put(f, src->lo[i], src->hi[i]);
	for (unsigned int i = 0; i < fam->addr_bits / 32; i++)
		put(f, dst->lo[i], dst->hi[i]);
	put_span(f, box, MATCH_SRC_PORT);
	put_span(f, box, MATCH_DST_PORT);
	put_vlan(f, box);
	put_has_ports(f, box, fam);
	put(f, 0, 0);
}

// A rule with the bounds of every span; the fields that end up as MASK are converted later.
static void make_rule(const struct build *b, const struct cls_acl_row *row, const struct cls_piece *const piece[4],
		      struct acl_rule *rule)
{
	struct rte_acl_field *f = rule->field;
	const struct box *box = row->box;

	memset(rule, 0, sizeof(*rule));
	rule->data.category_mask = row->categories;
	rule->data.priority = (int32_t)row->priority;
	rule->data.userdata = row->result;
	if (b->fam->addr_bits == 0) {
		put(&f, 0, 0);
		put_vlan(&f, box);
		put(&f, 0, 0);
	} else {
		put_ip(&f, box, b->fam, piece[0], piece[1]);
	}
	put(&f, piece[2]->lo[0], piece[2]->hi[0]);
	put(&f, piece[3]->lo[0], piece[3]->hi[0]);
	put(&f, piece[2]->lo[1], piece[2]->hi[1]);
	put(&f, piece[3]->lo[1], piece[3]->hi[1]);
}

static int each_rule_of_row(struct build *b, const struct cls_acl_row *row, rule_fn *fn)
{
	struct split s;
	struct acl_rule rule;

	split_box(row->box, b->fam, &s);
	for (uint32_t i = 0; i < s.n_src * s.n_dst; i++) {
		for (uint32_t j = 0; j < s.n_src_mac * s.n_dst_mac; j++) {
			const struct cls_piece *piece[4] = {&s.src[i / s.n_dst], &s.dst[i % s.n_dst],
							    &s.src_mac[j / s.n_dst_mac], &s.dst_mac[j % s.n_dst_mac]};
			int rc;

			make_rule(b, row, piece, &rule);
			rc = fn(b, &rule);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int each_rule(struct build *b, rule_fn *fn)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->in->n && rc == 0; i++) {
		const struct cls_acl_row *row = &b->in->rows[i];

		if (row->categories != 0 && cls_acl_is_about(row->box, b->in->family))
			rc = each_rule_of_row(b, row, fn);
	}
	return rc;
}

// First pass: how many rules, and which fields have a span that is no prefix.
static int note_rule(struct build *b, struct acl_rule *rule)
{
	if (++b->n_rules > RULES_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < b->fam->n_fields; i++) {
		uint32_t lo = rule->field[i].value.u32, ones = rule->field[i].mask_range.u32 - lo;

		if (b->config.defs[i].type == RTE_ACL_FIELD_TYPE_MASK && ((ones & (ones + 1)) != 0 || (lo & ones) != 0))
			b->config.defs[i].type = RTE_ACL_FIELD_TYPE_RANGE;
	}
	return 0;
}

// Second pass.
static int add_rule(struct build *b, struct acl_rule *rule)
{
	for (uint32_t i = 0; i < b->fam->n_fields; i++) {
		struct rte_acl_field *f = &rule->field[i];

		if (b->config.defs[i].type == RTE_ACL_FIELD_TYPE_MASK)
			f->mask_range.u64 = b->config.defs[i].size * 8u -
					    (unsigned int)__builtin_popcount(f->mask_range.u32 - f->value.u32);
	}
	return rte_acl_add_rules(b->ctx, (const struct rte_acl_rule *)rule, 1);
}

// The widest algorithm that the CPU and the EAL's --force-max-simd-bitwidth allow.
static void set_algorithm(struct rte_acl_ctx *ctx, uint32_t simd_max_bits)
{
	static const struct {
		uint32_t bits;
		enum rte_acl_classify_alg alg;
	} by_width[] = {
		{512, RTE_ACL_CLASSIFY_AVX512X32}, {512, RTE_ACL_CLASSIFY_AVX512X16}, {256, RTE_ACL_CLASSIFY_AVX2},
		{128, RTE_ACL_CLASSIFY_SSE},       {128, RTE_ACL_CLASSIFY_NEON},
	};

	for (size_t i = 0; i < sizeof(by_width) / sizeof(by_width[0]); i++) {
		if (by_width[i].bits <= simd_max_bits && rte_acl_set_ctx_classify(ctx, by_width[i].alg) == 0)
			return;
	}
	rte_acl_set_ctx_classify(ctx, RTE_ACL_CLASSIFY_SCALAR);
}

static int fill_context(struct build *b, struct err *err)
{
	int rc = each_rule(b, add_rule);

	if (rc < 0)
		return err_set(err, -rc, "classifier: a row of family %c does not become a rule: %s", b->fam->letter,
			       strerror(-rc));
	rc = rte_acl_build(b->ctx, &b->config);
	if (rc < 0)
		return err_set(err, -rc, "classifier: %" PRIu32 " rules of family %c cannot be built: %s", b->n_rules,
			       b->fam->letter, strerror(-rc));
	set_algorithm(b->ctx, b->in->simd_max_bits);
	return 0;
}

int cls_acl_build(const struct cls_acl_rows *in, struct rte_acl_ctx **out, struct err *err)
{
	struct build b = {.in = in, .fam = &families[in->family]};
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = {
		.name = name, .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(b.fam->n_fields)};
	int rc;

	*out = NULL;
	b.config = (struct rte_acl_config){.num_categories = in->n_categories, .num_fields = b.fam->n_fields};
	memcpy(b.config.defs, b.fam->defs, sizeof(b.fam->defs));
	if (each_rule(&b, note_rule) < 0)
		return err_set(err, E2BIG, "classifier: the rows need more than %u rules in family %c", RULES_MAX,
			       b.fam->letter);
	if (b.n_rules == 0)
		return 0;
	snprintf(name, sizeof(name), "cls%" PRIx64 "-%u%c", in->gen, in->plane, b.fam->letter);
	// rte_acl_create would hand back the existing one
	if (rte_acl_find_existing(name) != NULL)
		return err_set(err, EEXIST, "classifier: generation %" PRIu64 " is in use", in->gen);
	param.max_rule_num = b.n_rules;
	b.ctx = rte_acl_create(&param);
	if (b.ctx == NULL)
		return err_set(err, ENOMEM, "classifier: no memory for %" PRIu32 " rules of family %c", b.n_rules,
			       b.fam->letter);
	rc = fill_context(&b, err);
	if (rc < 0)
		rte_acl_free(b.ctx);
	else
		*out = b.ctx;
	return rc;
}
