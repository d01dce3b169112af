// SPDX-License-Identifier: Apache-2.0
#include "row_array.h"

#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#include "cls_acl.h"

struct row_array *row_array_create(void)
{
	struct row_array *a = aligned_alloc(_Alignof(struct row_array), sizeof(*a));

	if (a != NULL)
		*a = (struct row_array){0};
	return a;
}

void row_array_destroy(struct row_array *a)
{
	free(a);
}

const struct row_line *row_array_row(const struct row_array *a, enum pkt_family family, uint32_t idx)
{
	switch (family) {
	case PKT_IP4:
		return (const void *)a->ip4[idx];
	case PKT_IP6:
		return (const void *)a->ip6[idx];
	default:
		return (const void *)a->nonip[idx];
	}
}

const void *row_array_rows(const struct row_array *a, enum pkt_family family)
{
	return row_array_row(a, family, 0);
}

void row_array_add(struct row_array *a, uint32_t slot, const struct box *box)
{
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		struct row_line *row;

		if (!cls_acl_is_about(box, (enum pkt_family)f))
			continue;
		row = (struct row_line *)(uintptr_t)row_array_row(a, (enum pkt_family)f, a->n_of[f]++);
		row->slot = slot;
		row->flags = row_encode(box, (enum pkt_family)f, row->col);
	}
	a->slot[a->n++] = slot;
}

static struct row_span span_of(uint64_t lo, uint64_t hi)
{
	return (struct row_span){.lo = (uint32_t)lo, .span = (uint32_t)(hi - lo)};
}

// The words of [lo, hi], most significant first. A word counts only where those before it are fixed: exact when the
// first word that varies is followed by full ones only.
static uint32_t encode_wide(u128 lo, u128 hi, unsigned int n_words, struct row_span *col)
{
	bool fixed = true;
	uint32_t flags = 0;

	for (unsigned int i = 0; i < n_words; i++) {
		unsigned int shift = 32 * (n_words - 1 - i);
		uint32_t a = (uint32_t)(lo >> shift), b = (uint32_t)(hi >> shift);

		col[i] = fixed ? span_of(a, b) : span_of(0, UINT32_MAX);
		if (!fixed && (a != 0 || b != UINT32_MAX))
			flags = ROW_COARSE;
		fixed = fixed && a == b;
	}
	return flags;
}

static void encode_rest(const struct box *box, uint32_t kinds, uint32_t kinds_ports, struct row_span *col)
{
	const struct span *f = box->f;
	bool with = (kinds & kinds_ports) != 0, without = (kinds & ~kinds_ports) != 0;

	col[0] = span_of(f[MATCH_SRC_PORT].lo, f[MATCH_SRC_PORT].hi);
	col[1] = span_of(f[MATCH_DST_PORT].lo, f[MATCH_DST_PORT].hi);
	col[2] = span_of(f[MATCH_PROTO].lo, f[MATCH_PROTO].hi);
	col[3] = span_of(f[MATCH_VLAN].lo, f[MATCH_VLAN].hi);
	col[4] = span_of(without ? 0 : 1, with ? 1 : 0);
}

static uint32_t test_of_macs(const struct box *box)
{
	bool any = true;

	for (int f = MATCH_SRC_ETH; f <= MATCH_DST_ETH; f++)
		any = any && box->f[f].lo == 0 && box->f[f].hi == match_field_max((enum match_field)f);
	return any ? 0 : ROW_COARSE;
}

// IPv6 columns alternate between source and destination, so that a row is sorted out early by either.
static uint32_t encode_ip6(const struct box *box, struct row_span *col)
{
	struct row_span src[4], dst[4];
	uint32_t flags = encode_wide(box->src.lo, box->src.hi, 4, src) | encode_wide(box->dst.lo, box->dst.hi, 4, dst);

	for (int i = 0; i < 4; i++) {
		col[2 * i] = src[i];
		col[2 * i + 1] = dst[i];
	}
	encode_rest(box, box->kinds & MATCH_KINDS_V6, MATCH_IP6PORTS, col + 8);
	return flags | test_of_macs(box);
}

uint32_t row_encode(const struct box *box, enum pkt_family family, struct row_span *col)
{
	const struct span *src = &box->f[MATCH_SRC_ETH], *dst = &box->f[MATCH_DST_ETH];
	uint32_t flags;

	switch (family) {
	case PKT_IP4:
		col[0] = span_of((uint64_t)(box->src.lo >> 96), (uint64_t)(box->src.hi >> 96));
		col[1] = span_of((uint64_t)(box->dst.lo >> 96), (uint64_t)(box->dst.hi >> 96));
		encode_rest(box, box->kinds & MATCH_KINDS_V4, MATCH_IP4PORTS, col + 2);
		return test_of_macs(box);
	case PKT_IP6:
		return encode_ip6(box, col);
	default:
		flags = encode_wide(src->lo, src->hi, 2, col) | encode_wide(dst->lo, dst->hi, 2, col + 2);
		col[4] = span_of(box->f[MATCH_VLAN].lo, box->f[MATCH_VLAN].hi);
		return flags;
	}
}

uint32_t row_n_cols(enum pkt_family family)
{
	static const uint32_t n[PKT_N_FAMILIES] = {
		[PKT_IP4] = ROW_COLS_IP4, [PKT_IP6] = ROW_COLS_IP6, [PKT_NONIP] = ROW_COLS_NONIP};

	return n[family];
}

uint32_t row_stride(enum pkt_family family)
{
	return family == PKT_IP6 ? ROW_STRIDE_128 : ROW_STRIDE_64;
}

static void put_rest(uint32_t *word, uint32_t step, uint16_t sport_be, uint16_t dport_be, uint8_t proto,
		     uint16_t vlan_be, uint8_t has_ports)
{
	word[0 * step] = rte_be_to_cpu_16(sport_be);
	word[1 * step] = rte_be_to_cpu_16(dport_be);
	word[2 * step] = proto;
	word[3 * step] = rte_be_to_cpu_16(vlan_be);
	word[4 * step] = has_ports;
}

// word[c * step] for column c
static void put_packet(const struct pkt *pkt, uint32_t *word, uint32_t step)
{
	const struct pkt_key_ip4 *k4 = &pkt->ip4;
	const struct pkt_key_ip6 *k6 = &pkt->ip6;

	switch (pkt->family) {
	case PKT_IP4:
		word[0] = rte_be_to_cpu_32(k4->src_be);
		word[step] = rte_be_to_cpu_32(k4->dst_be);
		put_rest(word + 2 * step, step, k4->sport_be, k4->dport_be, k4->proto, k4->vlan_be, k4->has_ports);
		break;
	case PKT_IP6:
		for (uint32_t i = 0; i < 4; i++) {
			word[2 * i * step] = rte_be_to_cpu_32(k6->src_be[i]);
			word[(2 * i + 1) * step] = rte_be_to_cpu_32(k6->dst_be[i]);
		}
		put_rest(word + 8 * step, step, k6->sport_be, k6->dport_be, k6->proto, k6->vlan_be, k6->has_ports);
		break;
	default:
		word[0] = (uint32_t)(pkt->src_mac >> 32);
		word[step] = (uint32_t)pkt->src_mac;
		word[2 * step] = (uint32_t)(pkt->dst_mac >> 32);
		word[3 * step] = (uint32_t)pkt->dst_mac;
		word[4 * step] = rte_be_to_cpu_16(pkt->nonip.vlan_be);
	}
}

void row_packet(const struct pkt *pkt, uint32_t *word)
{
	put_packet(pkt, word, 1);
}

void row_packets_set(struct row_packets *p, enum pkt_family family, const struct pkt *const *pkts, uint32_t n)
{
	p->n = n;
	for (uint32_t i = 0; i < n; i++)
		put_packet(pkts[i], &p->col[0][i], PKT_BURST);
}

bool row_box_covers(const struct box *box, const struct pkt *pkt)
{
	struct match_packet m;

	pkt_to_match_packet(pkt, box->f[MATCH_TIME].lo, &m);
	return box_covers(box, &m);
}
