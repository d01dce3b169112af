// SPDX-License-Identifier: Apache-2.0
#include "cls.h"

#include <rte_acl.h>
#include <rte_branch_prediction.h>

#include "cls_priv.h"

// The packets of one family within a burst.
struct family_batch {
	const uint8_t *key[PKT_BURST];
	uint8_t idx[PKT_BURST];
	uint32_t n;
};

static void batch_run(const struct cls *cls, enum pkt_family family, const struct family_batch *b,
		      struct cls_verdict *verdict)
{
	struct rte_acl_ctx *ctx = cls->ctx[family];
	uint32_t result[PKT_BURST] = {0};

	if (b->n == 0)
		return;
	if (ctx != NULL)
		rte_acl_classify(ctx, (const uint8_t **)(uintptr_t)b->key, result, b->n, 1);
	for (uint32_t i = 0; i < b->n; i++)
		verdict[b->idx[i]] = cls->verdict[result[i]];
}

void cls_run(const struct cls *cls, const struct pkt *pkts, uint32_t n, struct cls_verdict *verdict)
{
	struct family_batch batch[PKT_N_FAMILIES];

	for (int f = 0; f < PKT_N_FAMILIES; f++)
		batch[f].n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct family_batch *b = &batch[pkts[i].family];

		if (unlikely(pkts[i].verdict != PKT_OK))
			continue;
		b->key[b->n] = pkts[i].key;
		b->idx[b->n++] = (uint8_t)i;
	}
	for (int f = 0; f < PKT_N_FAMILIES; f++)
		batch_run(cls, (enum pkt_family)f, &batch[f], verdict);
}
