// SPDX-License-Identifier: Apache-2.0
// Drops rows of a flow table that decide nothing: wholly shadowed by higher ranks, or equal to what would match
// instead. Afterwards rows of equal rank may compete, but only where their actions are equal.
#pragma once
#include "flowtab.h"

// ft: sorted, its boxes normalized and all different (as hft_compile leaves it). In place; the order of the remaining
// rows is kept. Returns the number of rows dropped, or -ENOMEM (ft is unchanged).
int condense(struct flowtab *ft);
