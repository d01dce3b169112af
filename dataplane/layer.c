// SPDX-License-Identifier: Apache-2.0
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>

#include "cls_acl.h"
#include "row_array.h"

uint32_t layer_round_categories(uint32_t n)
{
	return n <= 1 ? n : (n + 3) / 4 * 4;
}

static int by_rank(const void *a, const void *b, void *slots)
{
	const struct cls_slots *s = slots;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t rank_x = s->slot[x].rank, rank_y = s->slot[y].rank;

	if (rank_x != rank_y)
		return rank_x > rank_y ? -1 : 1;
	return x < y ? -1 : x > y;
}

static uint32_t mask_in_plane(uint8_t category, uint32_t plane)
{
	return category != CLS_NO_CATEGORY && category / CLS_PLANE == plane ? 1u << category % CLS_PLANE : 0;
}

// Ranks become rte_acl's priorities: dense, from 1.
static void set_priorities(struct cls_acl_row *rows, const struct layer *layer, const struct cls_slots *slots)
{
	uint32_t priority = 0;

	for (uint32_t i = layer->n_rows; i-- > 0;) {
		uint32_t slot = layer->slot[i];

		if (i + 1 == layer->n_rows || slots->slot[layer->slot[i + 1]].rank != slots->slot[slot].rank)
			priority++;
		rows[i] = (struct cls_acl_row){.box = &slots->box[slot], .priority = priority, .result = slot};
	}
}

// In the place of the family's contexts. -E2BIG, -ENOMEM.
static int lines_build(struct layer *layer, const struct cls_slots *slots, enum pkt_family family)
{
	struct layer_lines *lines = &layer->lines[family];
	size_t stride = row_stride(family);
	uint32_t n = 0;

	for (uint32_t i = 0; i < layer->n_rows; i++)
		n += cls_acl_is_about(&slots->box[layer->slot[i]], family);
	if (n > LAYER_LINES_MAX)
		return -E2BIG;
	lines->rows = aligned_alloc(64, n * stride);
	if (lines->rows == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < layer->n_rows; i++) {
		struct row_line *row = (void *)((char *)lines->rows + lines->n * stride);

		if (!cls_acl_is_about(&slots->box[layer->slot[i]], family))
			continue;
		row->slot = layer->slot[i];
		row->flags = row_encode(&slots->box[row->slot], family, row->col);
		lines->n++;
	}
	for (int plane = 0; plane < CLS_PLANES_MAX; plane++) {
		rte_acl_free(layer->ctx[plane][family]);
		layer->ctx[plane][family] = NULL;
	}
	return 0;
}

static int build_plane(struct layer *layer, const struct layer_conf *conf, struct cls_acl_row *rows, uint32_t plane,
		       struct err *err)
{
	struct cls_acl_rows in = {
		.rows = rows,
		.n = layer->n_rows,
		.gen = conf->uid,
		.plane = plane,
		.simd_max_bits = conf->simd_max_bits,
	};
	uint32_t used = 0;

	for (uint32_t i = 0; i < layer->n_rows; i++) {
		const struct cls_slot *slot = &conf->slots->slot[layer->slot[i]];

		rows[i].categories = (uint16_t)(mask_in_plane(slot->access_category, plane) |
						mask_in_plane(slot->meter_category, plane));
		used |= rows[i].categories;
	}
	if (used == 0)
		return 0;
	in.n_categories = layer_round_categories(32 - (uint32_t)__builtin_clz(used));
	layer->plane_categories[plane] = in.n_categories;
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		in.family = (enum pkt_family)f;
		if (layer->lines[f].rows == NULL && cls_acl_build(&in, &layer->ctx[plane][f], err) < 0 &&
		    lines_build(layer, conf->slots, in.family) < 0)
			return -err->code;
	}
	return 0;
}

static int build_planes(struct layer *layer, const struct layer_conf *conf, struct err *err)
{
	struct cls_acl_row *rows = calloc((size_t)layer->n_rows + 1, sizeof(*rows));
	int rc = 0;

	if (rows == NULL)
		return err_set(err, ENOMEM, "classifier: no memory for %u rows", layer->n_rows);
	set_priorities(rows, layer, conf->slots);
	for (uint32_t plane = 0; plane < CLS_PLANES_MAX && rc == 0; plane++)
		rc = build_plane(layer, conf, rows, plane, err);
	free(rows);
	return rc;
}

static bool hides_others(const struct cls_slots *slots, uint32_t slot, enum pkt_family family)
{
	const struct cls_slot *s = &slots->slot[slot];

	return (s->access_category != CLS_NO_CATEGORY || s->hides) && cls_acl_is_about(&slots->box[slot], family);
}

static int slow_alloc(struct layer_slow *slow, enum pkt_family family, uint32_t n)
{
	size_t padded = ((size_t)n + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK * sizeof(uint32_t);
	uint32_t n_cols = row_n_cols(family);
	char *mem;

	slow->cols.n_cols = n_cols;
	slow->slot = malloc(2 * n * sizeof(uint32_t));
	mem = aligned_alloc(64, 2 * n_cols * padded); // lo[0] is the whole piece
	slow->cols.lo[0] = (void *)mem;
	if (slow->slot == NULL || mem == NULL)
		return -ENOMEM;
	memset(mem, 0, 2 * n_cols * padded);
	slow->flags = slow->slot + n;
	for (uint32_t c = 0; c < n_cols; c++) {
		slow->cols.lo[c] = (void *)(mem + 2 * c * padded);
		slow->cols.span[c] = (void *)(mem + (2 * c + 1) * padded);
	}
	return 0;
}

static int slow_build(struct layer *layer, const struct cls_slots *slots, enum pkt_family family)
{
	struct layer_slow *slow = &layer->slow[family];
	uint32_t n = 0;

	for (uint32_t i = 0; i < layer->n_rows; i++)
		n += hides_others(slots, layer->slot[i], family);
	if (n == 0)
		return 0;
	if (slow_alloc(slow, family, n) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < layer->n_rows; i++) {
		uint32_t slot = layer->slot[i], at = slow->cols.n;
		struct row_span col[ROW_COLS_MAX];

		if (!hides_others(slots, slot, family))
			continue;
		slow->flags[at] = row_encode(&slots->box[slot], family, col);
		slow->slot[at] = slot;
		for (uint32_t c = 0; c < slow->cols.n_cols; c++) {
			slow->cols.lo[c][at] = col[c].lo;
			slow->cols.span[c][at] = col[c].span;
		}
		slow->cols.n++;
	}
	return 0;
}

struct layer *layer_build(const struct layer_conf *conf, uint32_t *slot, uint32_t n, struct err *err)
{
	struct layer *layer = calloc(1, sizeof(*layer));
	int rc;

	if (layer == NULL) {
		free(slot);
		err_set(err, ENOMEM, "classifier: no memory");
		return NULL;
	}
	layer->uid = conf->uid;
	layer->slot = slot;
	layer->n_rows = n;
	if (n > 0)
		qsort_r(slot, n, sizeof(*slot), by_rank, (void *)(uintptr_t)conf->slots);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t categories = cls_n_categories(&conf->slots->slot[slot[i]]);

		layer->n_categories = categories > layer->n_categories ? categories : layer->n_categories;
	}
	rc = build_planes(layer, conf, err);
	for (int f = 0; f < PKT_N_FAMILIES && rc == 0; f++) {
		if (slow_build(layer, conf->slots, (enum pkt_family)f) < 0)
			rc = err_set(err, ENOMEM, "classifier: no memory for %u rows", n);
	}
	if (rc < 0) {
		layer_destroy(layer);
		return NULL;
	}
	return layer;
}

void layer_destroy(struct layer *layer)
{
	if (layer == NULL)
		return;
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		for (int p = 0; p < CLS_PLANES_MAX; p++)
			rte_acl_free(layer->ctx[p][f]);
		free(layer->lines[f].rows);
		free(layer->slow[f].slot);
		free(layer->slow[f].cols.lo[0]);
	}
	free(layer->slot);
	free(layer);
}

// First row of at most the rank.
static uint32_t first_of_rank(const struct layer_slow *slow, const struct cls_slots *slots, uint64_t rank)
{
	uint32_t lo = 0, hi = slow->cols.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (slots->slot[slow->slot[mid]].rank > rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t layer_find(const struct layer *layer, const struct cls_slots *slots, const struct row_kernel *kernel,
		    const struct pkt *pkt, uint32_t category, uint64_t from_rank, uint64_t gen)
{
	const struct layer_slow *slow = &layer->slow[pkt->family];
	uint32_t word[ROW_COLS_MAX], i;

	if (slow->cols.n == 0)
		return CLS_NO_ROW;
	row_packet(pkt, word);
	i = kernel->find(&slow->cols, word, first_of_rank(slow, slots, from_rank));
	for (; i < slow->cols.n; i = kernel->find(&slow->cols, word, i + 1)) {
		uint32_t slot = slow->slot[i];

		if (cls_hides_in(&slots->slot[slot], category) && cls_is_alive(&slots->slot[slot], gen) &&
		    ((slow->flags[i] & ROW_COARSE) == 0 || row_box_covers(&slots->box[slot], pkt)))
			return slot;
	}
	return CLS_NO_ROW;
}
