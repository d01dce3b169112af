// SPDX-License-Identifier: Apache-2.0
#include "cls.h"

#include <string.h>

#include <rte_acl.h>
#include <rte_branch_prediction.h>

#include "cls_priv.h"

// The packets of one family within a burst.
struct family_batch {
	const uint8_t *key[PKT_BURST];
	uint8_t idx[PKT_BURST];
	uint32_t n;
};

static void plane_run(const struct cls *cls, uint32_t plane, enum pkt_family family, const struct family_batch *b,
		      uint32_t *out)
{
	uint32_t result[PKT_BURST * CLS_PLANE];
	uint32_t n = cls->plane_categories[plane];

	rte_acl_classify(cls->ctx[plane][family], (const uint8_t **)(uintptr_t)b->key, result, b->n, n);
	for (uint32_t i = 0; i < b->n; i++)
		memcpy(&out[b->idx[i] * cls->n_categories + plane * CLS_PLANE], &result[i * n], n * sizeof(*out));
}

void cls_run(const struct cls *cls, const struct pkt *pkts, uint32_t n, uint32_t *out)
{
	struct family_batch batch[PKT_N_FAMILIES];

	if (cls->n_categories == 0)
		return;
	memset(out, 0, (size_t)n * cls->n_categories * sizeof(*out));
	for (int f = 0; f < PKT_N_FAMILIES; f++)
		batch[f].n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct family_batch *b = &batch[pkts[i].family];

		if (unlikely(pkts[i].verdict != PKT_OK))
			continue;
		b->key[b->n] = pkts[i].key;
		b->idx[b->n++] = (uint8_t)i;
	}
	for (uint32_t plane = 0; plane < cls->n_planes; plane++) {
		for (int f = 0; f < PKT_N_FAMILIES; f++) {
			if (batch[f].n > 0 && cls->ctx[plane][f] != NULL)
				plane_run(cls, plane, (enum pkt_family)f, &batch[f], out);
		}
	}
}

uint32_t cls_n_results(const struct cls *cls)
{
	return cls->n_categories;
}

const struct cls_row *cls_row(const struct cls *cls, uint32_t slot)
{
	return &cls->row[slot];
}
