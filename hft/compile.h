// SPDX-License-Identifier: Apache-2.0
// Policy tree -> flat network flow table that yields the same action for every packet at every time.
// Pure. Thread: any (its working memory is its own).
#pragma once
#include "err.h"
#include "flowtab.h"
#include "tree.h"

#define COMPILE_ROWS_MAX 200000

// Fills ft (initialised, replaced). Rows that ended at or before now_ns are left out.
// -E2BIG: more than rows_max rows, or over 8 reservations, limits or avoids meet (named in err); -ENOMEM. ft is then
// empty.
int hft_compile(const struct tree *tree, int64_t now_ns, uint32_t rows_max, struct flowtab *ft, struct err *err);
