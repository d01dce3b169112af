// SPDX-License-Identifier: Apache-2.0
// Rows in decision order -> one rte_acl context for each family, one category.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>

#include "cls_acl.h"
#include "cls_priv.h"

static int build_all(struct cls *cls, struct cls_acl_rows *in, struct err *err)
{
	for (int f = 0; f < PKT_N_FAMILIES; f++) {
		in->family = (enum pkt_family)f;
		if (cls_acl_build(in, &cls->ctx[f], err) < 0)
			return -err->code;
	}
	return 0;
}

struct cls *cls_build(const struct row *const *rows, const struct cls_verdict *verdict, uint32_t n_rows, uint64_t gen,
		      uint32_t simd_max_bits, struct err *err)
{
	struct cls_acl_row *acl = calloc((size_t)n_rows + 1, sizeof(*acl));
	struct cls_acl_rows in = {.n = n_rows, .n_categories = 1, .gen = gen, .simd_max_bits = simd_max_bits};
	struct cls *cls = calloc(1, sizeof(*cls) + ((size_t)n_rows + 1) * sizeof(cls->verdict[0]));
	int rc;

	in.rows = acl;
	if (n_rows >= CLS_ACL_PRIORITY_MAX) {
		rc = err_set(err, E2BIG, "classifier: %" PRIu32 " rows", n_rows);
	} else if (cls == NULL || acl == NULL) {
		rc = err_set(err, ENOMEM, "classifier: no memory for %" PRIu32 " rows", n_rows);
	} else {
		for (uint32_t i = 0; i < n_rows; i++)
			acl[i] = (struct cls_acl_row){
				.box = &rows[i]->box, .priority = n_rows - i, .result = i + 1, .categories = 1};
		if (n_rows > 0)
			memcpy(&cls->verdict[1], verdict, n_rows * sizeof(*verdict));
		rc = build_all(cls, &in, err);
	}
	if (rc < 0) {
		cls_destroy(cls);
		cls = NULL;
	}
	free(acl);
	return cls;
}

void cls_destroy(struct cls *cls)
{
	if (cls == NULL)
		return;
	for (int f = 0; f < PKT_N_FAMILIES; f++)
		rte_acl_free(cls->ctx[f]);
	free(cls);
}
