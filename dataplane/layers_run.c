// SPDX-License-Identifier: Apache-2.0
// Lookup through all layers. The packets of a burst go family by family; the arrays first, because what they yield
// spares the search for what hides behind a dead row below.
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_branch_prediction.h>

#include "layers_priv.h"

#define MEMO_ENTRIES 8192
#define MEMO_KEY_BYTES sizeof(((struct pkt *)0)->key)

// The best row alive of a layer, of a category, for a packet. Layers only lose rows, so it stays right until
// that row dies.
struct memo {
	uint64_t layer_uid; // 0: empty
	uint32_t slot, category;
	uint8_t family, key[MEMO_KEY_BYTES];
};

struct layers_reader {
	const struct cls_slots *slots;
	const struct row_kernel *kernel;
	struct layers_reader_stats stats;
	struct row_packets packets;
	struct memo memo[MEMO_ENTRIES];
};

// The packets of one family within a burst.
struct batch {
	const struct layers_view *view;
	struct layers_reader *r;
	enum pkt_family family;
	const uint8_t *key[PKT_BURST];
	const struct pkt *pkt[PKT_BURST];
	uint32_t *out[PKT_BURST];
	uint32_t n;
	bool transposed; // r->packets is of this batch
};

struct layers_reader *layers_reader_create(const struct layers *l)
{
	struct layers_reader *r = aligned_alloc(_Alignof(struct layers_reader), sizeof(*r));

	if (r == NULL)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->slots = &l->slots;
	r->kernel = l->kernel;
	return r;
}

void layers_reader_destroy(struct layers_reader *r)
{
	free(r);
}

const struct layers_reader_stats *layers_reader_stats(const struct layers_reader *r)
{
	return &r->stats;
}

static uint32_t key_bytes(enum pkt_family family)
{
	static const uint32_t bytes[PKT_N_FAMILIES] = {
		[PKT_NONIP] = sizeof(struct pkt_key_nonip),
		[PKT_IP4] = sizeof(struct pkt_key_ip4),
		[PKT_IP6] = sizeof(struct pkt_key_ip6),
	};

	return bytes[family];
}

static uint64_t word_at(const struct pkt *pkt, uint32_t at)
{
	uint64_t word;

	memcpy(&word, pkt->key + at, sizeof(word));
	return word;
}

// The multiplications do not wait for one another. A key is eights of bytes and at most one four more.
static struct memo *memo_of(struct layers_reader *r, const struct pkt *pkt, uint32_t bytes, const struct layer *layer,
			    uint32_t category)
{
	uint64_t hash = (layer->uid << 8 | category) * UINT64_C(0x9e3779b97f4a7c15), odd = UINT64_C(0xd6e8feb86659fd93);
	uint32_t at = 0, tail;

	for (; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t), odd += UINT64_C(0xa24baed4963ee406)) {
		uint64_t word = word_at(pkt, at);

		hash ^= (word ^ word >> 32) * odd;
	}
	if (at < bytes) {
		memcpy(&tail, pkt->key + at, sizeof(tail));
		hash ^= tail * odd;
	}
	hash ^= hash >> 32;
	return &r->memo[(hash * UINT64_C(0x9e3779b97f4a7c15) >> 40) % MEMO_ENTRIES];
}

static bool same_key(const struct memo *m, const struct pkt *pkt, uint32_t bytes)
{
	uint64_t differ = 0, word;
	uint32_t at = 0, a, b;

	for (; at + sizeof(word) <= bytes; at += sizeof(word)) {
		memcpy(&word, m->key + at, sizeof(word));
		differ |= word ^ word_at(pkt, at);
	}
	if (at < bytes) {
		memcpy(&a, m->key + at, sizeof(a));
		memcpy(&b, pkt->key + at, sizeof(b));
		differ |= a ^ b;
	}
	return differ == 0;
}

// What the layer would answer if the dead row that it answers, and the other dead ones, were not in it.
static uint32_t find_behind(const struct batch *b, const struct pkt *pkt, const struct layer *layer, uint32_t category,
			    uint32_t dead)
{
	struct layers_reader *r = b->r;
	uint32_t bytes = key_bytes(b->family);
	struct memo *m = memo_of(r, pkt, bytes, layer, category);

	r->stats.dead_hits++;
	if (m->layer_uid == layer->uid && m->category == category && m->family == b->family &&
	    same_key(m, pkt, bytes) && (m->slot == CLS_NO_ROW || cls_is_alive(&r->slots->slot[m->slot], b->view->gen)))
		return m->slot;
	r->stats.searches++;
	m->layer_uid = layer->uid;
	m->category = category;
	m->family = (uint8_t)b->family;
	memcpy(m->key, pkt->key, bytes);
	m->slot = layer_find(layer, r->slots, r->kernel, pkt, category, r->slots->slot[dead].rank, b->view->gen);
	return m->slot;
}

static void offer(const struct cls_slots *slots, uint32_t *best, uint32_t slot)
{
	if (*best == CLS_NO_ROW || slots->slot[slot].rank > slots->slot[*best].rank)
		*best = slot;
}

static bool is_dead(const struct batch *b, uint32_t slot)
{
	const struct cls_slots *slots = b->r->slots;

	return unlikely(cls_is_mortal(slots, slot)) && !cls_is_alive(&slots->slot[slot], b->view->gen);
}

static void offer_from_layer(const struct batch *b, const struct layer *layer, uint32_t i, uint32_t category,
			     uint32_t slot)
{
	const struct cls_slots *slots = b->r->slots;
	uint32_t *best = &b->out[i][category];

	if (is_dead(b, slot)) {
		if (!cls_hides_in(&slots->slot[slot], category) ||
		    (*best != CLS_NO_ROW && slots->slot[*best].rank >= slots->slot[slot].rank))
			return;
		slot = find_behind(b, b->pkt[i], layer, category, slot);
		if (slot == CLS_NO_ROW)
			return;
	}
	offer(slots, best, slot);
}

static void run_plane(const struct batch *b, const struct layer *layer, uint32_t plane)
{
	struct rte_acl_ctx *ctx = layer->ctx[plane][b->family];
	uint32_t n_categories = layer->plane_categories[plane], result[PKT_BURST * CLS_PLANE];

	if (ctx == NULL)
		return;
	rte_acl_classify(ctx, (const uint8_t **)(uintptr_t)b->key, result, b->n, n_categories);
	for (uint32_t i = 0, at = 0; i < b->n; i++) {
		for (uint32_t c = 0; c < n_categories; c++, at++) {
			if (result[at] != CLS_NO_ROW)
				offer_from_layer(b, layer, i, plane * CLS_PLANE + c, result[at]);
		}
	}
}

static void offer_row(const struct batch *b, const struct row_line *row, uint32_t packets)
{
	const struct cls_slots *slots = b->r->slots;
	const struct cls_slot *slot = &slots->slot[row->slot];

	if (!cls_is_alive(slot, b->view->gen))
		return;
	for (; packets != 0; packets &= packets - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(packets);

		if (unlikely(row->flags & ROW_COARSE) && !row_box_covers(&slots->box[row->slot], b->pkt[i]))
			continue;
		if (slot->access_category != CLS_NO_CATEGORY)
			offer(slots, &b->out[i][slot->access_category], row->slot);
		if (slot->meter_category != CLS_NO_CATEGORY)
			offer(slots, &b->out[i][slot->meter_category], row->slot);
	}
}

// rows: as in an array
static void run_rows(struct batch *b, const char *rows, uint32_t n)
{
	uint32_t stride = row_stride(b->family);
	struct row_hit hit[ROW_ARRAY_MAX];

	if (n > 0 && !b->transposed)
		row_packets_set(&b->r->packets, b->family, b->pkt, b->n);
	b->transposed = b->transposed || n > 0;
	while (n > 0) {
		uint32_t step = n < ROW_ARRAY_MAX ? n : ROW_ARRAY_MAX;
		uint32_t n_hits = b->r->kernel->match[b->family](rows, step, &b->r->packets, hit);

		for (uint32_t h = 0; h < n_hits; h++)
			offer_row(b, (const void *)(rows + (size_t)hit[h].idx * stride), hit[h].packets);
		rows += (size_t)step * stride;
		n -= step;
	}
}

static void drop_dead(const struct batch *b, const struct layer *layer, uint32_t *out)
{
	const struct cls_slots *slots = b->r->slots;
	uint32_t n_categories = b->view->n_categories;

	for (uint32_t i = 0; i < b->n; i++) {
		for (uint32_t c = 0; c < n_categories; c++, out++) {
			uint32_t slot = *out;

			if (likely(!is_dead(b, slot)))
				continue;
			*out = CLS_NO_ROW;
			if (cls_hides_in(&slots->slot[slot], c))
				*out = find_behind(b, b->pkt[i], layer, c, slot);
		}
	}
}

// The largest layer answers straight into the results, when all packets are of one family.
static bool run_straight(struct batch *b, const struct layer *layer, uint32_t *out)
{
	uint32_t stride = b->view->n_categories, result[PKT_BURST * CLS_PLANE];

	if (layer->lines[b->family].n > 0)
		return false;
	if (layer->plane_categories[0] == stride && layer->ctx[0][b->family] != NULL) {
		rte_acl_classify(layer->ctx[0][b->family], b->key, out, b->n, stride);
	} else {
		memset(out, 0, (size_t)b->n * stride * sizeof(*out));
		for (uint32_t p = 0; p * CLS_PLANE < layer->n_categories; p++) {
			uint32_t n = layer->plane_categories[p], *to = out + (size_t)p * CLS_PLANE;

			if (layer->ctx[p][b->family] == NULL)
				continue;
			rte_acl_classify(layer->ctx[p][b->family], b->key, result, b->n, n);
			for (uint32_t i = 0; i < b->n; i++)
				memcpy(to + (size_t)i * stride, result + (size_t)i * n, n * sizeof(*to));
		}
	}
	if (b->view->any_dead)
		drop_dead(b, layer, out);
	return true;
}

static bool has_array_rows(const struct layers_view *view, enum pkt_family family)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < view->n_arrays; i++)
		n += view->array[i].n_of[family];
	return n > 0;
}

static void run_layer(struct batch *b, const struct layer *layer)
{
	run_rows(b, layer->lines[b->family].rows, layer->lines[b->family].n);
	for (uint32_t plane = 0; plane * CLS_PLANE < layer->n_categories; plane++)
		run_plane(b, layer, plane);
}

static void run_arrays(struct batch *b)
{
	const struct layers_view *view = b->view;

	for (uint32_t i = 0; i < view->n_arrays; i++)
		run_rows(b, row_array_rows(view->array[i].rows, b->family), view->array[i].n_of[b->family]);
}

static void run_mixed(struct batch *b, const struct pkt *pkts, uint32_t n, uint32_t *out)
{
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		b->family = (enum pkt_family)f;
		b->n = 0;
		b->transposed = false;
		for (uint32_t i = 0; i < n; i++) {
			if (pkts[i].verdict != PKT_OK || pkts[i].family != f)
				continue;
			b->key[b->n] = pkts[i].key;
			b->pkt[b->n] = &pkts[i];
			b->out[b->n++] = out + (size_t)i * b->view->n_categories;
		}
		if (b->n == 0)
			continue;
		run_arrays(b);
		for (uint32_t i = 0; i < b->view->n_layers; i++)
			run_layer(b, b->view->layer[i]);
	}
}

static void run_uniform(struct batch *b, const struct pkt *pkts, uint32_t n, uint32_t *out)
{
	const struct layers_view *view = b->view;
	const struct layer *largest = view->n_layers > 0 ? view->layer[view->n_layers - 1] : NULL;
	bool more = view->n_layers > 1 || has_array_rows(view, (enum pkt_family)pkts[0].family), straight;

	b->family = (enum pkt_family)pkts[0].family;
	b->n = n;
	b->transposed = false;
	for (uint32_t i = 0; i < n && (more || view->any_dead); i++)
		b->pkt[i] = &pkts[i];
	straight = largest != NULL && run_straight(b, largest, out);
	if (straight && !more)
		return;
	if (!straight)
		memset(out, 0, (size_t)n * view->n_categories * sizeof(*out));
	for (uint32_t i = 0; i < n; i++) {
		b->pkt[i] = &pkts[i];
		b->out[i] = out + (size_t)i * view->n_categories;
	}
	run_arrays(b);
	for (uint32_t i = 0; i + straight < view->n_layers; i++)
		run_layer(b, view->layer[i]);
}

// Nearly every burst is of one family and sound: no more is done for it than must be.
void layers_run(const struct layers_view *view, struct layers_reader *r, const struct pkt *pkts, uint32_t n,
		uint32_t *out)
{
	struct batch b;
	uint32_t odd = 0;

	b.view = view;
	b.r = r;
	for (uint32_t i = 0; i < n; i++) {
		b.key[i] = pkts[i].key;
		odd |= (uint32_t)(pkts[i].verdict ^ PKT_OK) | (uint32_t)(pkts[i].family ^ pkts[0].family);
	}
	if (odd == 0 && n > 0) {
		run_uniform(&b, pkts, n, out);
	} else {
		memset(out, 0, (size_t)n * view->n_categories * sizeof(*out));
		run_mixed(&b, pkts, n, out);
	}
}
