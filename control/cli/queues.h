// SPDX-License-Identifier: Apache-2.0
// The share tree with what was promised in each share, and what it and its requests receive now. Thread: one.
#pragma once
#include <jansson.h>

#include "draw.h"

// items: of the answer to `queues`. A share whose parent is not among them stands at the left margin; ports follow, and
// the queues that other switches have been given. Of the dataplane's queues one by one there is no table.
// The columns of figures are as wide as they have to be; names are not cut off.
void queues_draw(const struct draw *d, const json_t *items);
