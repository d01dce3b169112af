// SPDX-License-Identifier: Apache-2.0
// Rows -> an rte_acl context for each packet family and 16 categories. rte_acl's priorities are few: ranks are replaced
// by their place among the ranks that occur.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>

#include "cls_acl.h"
#include "cls_priv.h"

static int compare_ranks(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

// The distinct ranks, ascending; malloc'ed, NULL: out of memory.
static uint64_t *ranks_of(const struct cls_row *rows, uint32_t n_rows, uint32_t *n_ranks)
{
	uint64_t *ranks = malloc(((size_t)n_rows + 1) * sizeof(*ranks));
	uint32_t n = 0;

	if (ranks == NULL)
		return NULL;
	for (uint32_t i = 0; i < n_rows; i++)
		ranks[i] = rows[i].rank;
	qsort(ranks, n_rows, sizeof(*ranks), compare_ranks);
	for (uint32_t i = 0; i < n_rows; i++) {
		if (i == 0 || ranks[i] != ranks[i - 1])
			ranks[n++] = ranks[i];
	}
	*n_ranks = n;
	return ranks;
}

static uint32_t priority_of(const uint64_t *ranks, uint32_t n_ranks, uint64_t rank)
{
	const uint64_t *found = bsearch(&rank, ranks, n_ranks, sizeof(*ranks), compare_ranks);

	return (uint32_t)(found - ranks) + 1;
}

static uint16_t plane_bit(uint8_t category, uint32_t plane)
{
	return category != CLS_NO_CATEGORY && category / CLS_PLANE == plane ? (uint16_t)(1u << category % CLS_PLANE)
									    : 0;
}

// How many categories the rows of a plane have, as rte_acl takes them.
static void count_categories(struct cls *cls, uint32_t n_rows)
{
	uint32_t top = 0; // the highest category and one

	for (uint32_t i = 1; i <= n_rows; i++) {
		const struct cls_row *row = &cls->row[i];

		if (row->access_category != CLS_NO_CATEGORY && row->access_category >= top)
			top = row->access_category + 1u;
		if (row->meter_category != CLS_NO_CATEGORY && row->meter_category >= top)
			top = row->meter_category + 1u;
	}
	cls->n_categories = top <= 1 ? top : (top + 3) / 4 * 4;
	cls->n_planes = (top + CLS_PLANE - 1) / CLS_PLANE;
	for (uint32_t p = 0; p < cls->n_planes; p++)
		cls->plane_categories[p] = p + 1 < cls->n_planes ? CLS_PLANE : cls->n_categories - p * CLS_PLANE;
}

static int build_planes(struct cls *cls, struct cls_acl_row *rules, uint32_t n_rows, uint64_t gen,
			uint32_t simd_max_bits, struct err *err)
{
	for (uint32_t p = 0; p < cls->n_planes; p++) {
		for (uint32_t i = 0; i < n_rows; i++)
			rules[i].categories = plane_bit(cls->row[i + 1].access_category, p) |
					      plane_bit(cls->row[i + 1].meter_category, p);
		for (int f = 0; f < PKT_N_FAMILIES; f++) {
			struct cls_acl_rows in = {.rows = rules,
						  .n = n_rows,
						  .family = (enum pkt_family)f,
						  .n_categories = cls->plane_categories[p],
						  .gen = gen,
						  .plane = p,
						  .simd_max_bits = simd_max_bits};
			int rc = cls_acl_build(&in, &cls->ctx[p][f], err);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

struct cls *cls_build(const struct cls_row *rows, uint32_t n_rows, uint64_t gen, uint32_t simd_max_bits,
		      struct err *err)
{
	struct cls *cls = calloc(1, sizeof(*cls) + ((size_t)n_rows + 1) * sizeof(cls->row[0]));
	struct cls_acl_row *rules = calloc((size_t)n_rows + 1, sizeof(*rules));
	uint32_t n_ranks = 0;
	uint64_t *ranks = ranks_of(rows, n_rows, &n_ranks);
	int rc = 0;

	if (cls == NULL || rules == NULL || ranks == NULL) {
		rc = err_set(err, ENOMEM, "classifier: no memory for %" PRIu32 " rows", n_rows);
	} else {
		if (n_rows > 0)
			memcpy(&cls->row[1], rows, n_rows * sizeof(*rows));
		for (uint32_t i = 0; i < n_rows; i++)
			rules[i] = (struct cls_acl_row){.box = &cls->row[i + 1].box,
							.priority = priority_of(ranks, n_ranks, rows[i].rank),
							.result = i + 1};
		count_categories(cls, n_rows);
		rc = build_planes(cls, rules, n_rows, gen, simd_max_bits, err);
	}
	free(rules);
	free(ranks);
	if (rc < 0) {
		cls_destroy(cls);
		cls = NULL;
	}
	return cls;
}

void cls_destroy(struct cls *cls)
{
	if (cls == NULL)
		return;
	for (uint32_t p = 0; p < CLS_PLANES_MAX; p++) {
		for (int f = 0; f < PKT_N_FAMILIES; f++)
			rte_acl_free(cls->ctx[p][f]);
	}
	free(cls);
}
