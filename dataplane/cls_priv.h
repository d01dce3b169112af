// SPDX-License-Identifier: Apache-2.0
// Inside of struct cls, shared by cls.c (lookup) and cls_build.c (construction) only.
#pragma once
#include "cls.h"

struct rte_acl_ctx;

struct cls {
	struct rte_acl_ctx *ctx[PKT_N_FAMILIES]; // NULL: no row is about this family
	struct cls_verdict verdict[];            // by rte_acl result: 0 is "no row", row i is i + 1
};
