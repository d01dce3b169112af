// SPDX-License-Identifier: Apache-2.0
// Drops rows of a flow table that decide nothing: wholly shadowed by higher ranks, or equal to what would match instead.
#pragma once
#include "flowtab.h"

// In place; the order of the remaining rows is kept. Returns the number of rows dropped, or -ENOMEM (ft is unchanged).
int condense(struct flowtab *ft);
