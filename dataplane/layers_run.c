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

static struct memo *memo_of(struct layers_reader *r, const struct pkt *pkt, const struct layer *layer,
			    uint32_t category)
{
	uint64_t hash = layer->uid << 8 | category;

	for (uint32_t at = 0; at < key_bytes((enum pkt_family)pkt->family); at += 4) {
		uint32_t word;

		memcpy(&word, pkt->key + at, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return &r->memo[hash % MEMO_ENTRIES];
}

// What the layer would answer if the dead row that it answers, and the other dead ones, were not in it.
static uint32_t find_behind(const struct batch *b, const struct pkt *pkt, const struct layer *layer, uint32_t category,
			    uint32_t dead)
{
	struct layers_reader *r = b->r;
	struct memo *m = memo_of(r, pkt, layer, category);
	uint32_t bytes = key_bytes(b->family);

	r->stats.dead_hits++;
	if (m->layer_uid == layer->uid && m->category == category && m->family == b->family &&
	    memcmp(m->key, pkt->key, bytes) == 0 &&
	    (m->slot == CLS_NO_ROW || cls_is_alive(&r->slots->slot[m->slot], b->view->gen)))
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

static void offer_from_layer(const struct batch *b, const struct layer *layer, uint32_t i, uint32_t category,
			     uint32_t slot)
{
	const struct cls_slots *slots = b->r->slots;
	uint32_t *best = &b->out[i][category];

	if (b->view->any_dead && unlikely(!cls_is_alive(&slots->slot[slot], b->view->gen))) {
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

// One layer with one plane, nothing dead, no rows in arrays, one family: rte_acl's answer is ours.
static bool run_single(const struct batch *b, uint32_t n, uint32_t *out)
{
	const struct layers_view *view = b->view;
	const struct layer *layer = view->layer[0];

	if (view->n_layers != 1 || view->any_dead || b->n != n || layer->plane_categories[0] != view->n_categories ||
	    layer->ctx[0][b->family] == NULL)
		return false;
	for (uint32_t a = 0; a < view->n_arrays; a++) {
		if (view->array[a].n_of[b->family] > 0)
			return false;
	}
	rte_acl_classify(layer->ctx[0][b->family], (const uint8_t **)(uintptr_t)b->key, out, n, view->n_categories);
	return true;
}

static void run_batch(struct batch *b)
{
	const struct layers_view *view = b->view;

	for (uint32_t i = 0; i < view->n_arrays; i++)
		run_rows(b, row_array_rows(view->array[i].rows, b->family), view->array[i].n_of[b->family]);
	for (uint32_t i = 0; i < view->n_layers; i++) {
		const struct layer *layer = view->layer[i];

		run_rows(b, layer->lines[b->family].rows, layer->lines[b->family].n);
		for (uint32_t plane = 0; plane * CLS_PLANE < layer->n_categories; plane++)
			run_plane(b, layer, plane);
	}
}

void layers_run(const struct layers_view *view, struct layers_reader *r, const struct pkt *pkts, uint32_t n,
		uint32_t *out)
{
	struct batch batch[PKT_N_FAMILIES];

	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		batch[f].view = view;
		batch[f].r = r;
		batch[f].family = (enum pkt_family)f;
		batch[f].n = 0;
		batch[f].transposed = false;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct batch *b = &batch[pkts[i].family];

		if (unlikely(pkts[i].verdict != PKT_OK))
			continue;
		b->key[b->n] = pkts[i].key;
		b->pkt[b->n] = &pkts[i];
		b->out[b->n++] = out + (size_t)i * view->n_categories;
	}
	if (n > 0 && run_single(&batch[pkts[0].family], n, out))
		return;
	memset(out, 0, (size_t)n * view->n_categories * sizeof(*out));
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		if (batch[f].n > 0)
			run_batch(&batch[f]);
	}
}
