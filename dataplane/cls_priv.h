// SPDX-License-Identifier: Apache-2.0
// Inside of struct cls, shared by cls.c (lookup) and cls_build.c (construction) only.
#pragma once
#include "cls.h"

struct rte_acl_ctx;

struct cls {
	uint32_t n_categories, n_planes;
	uint32_t plane_categories[CLS_PLANES_MAX];               // of one lookup: 1, 4, 8, 12 or 16
	struct rte_acl_ctx *ctx[CLS_PLANES_MAX][PKT_N_FAMILIES]; // NULL: no row
	struct cls_row row[];                                    // by slot; 0 is "no row"
};
