// SPDX-License-Identifier: Apache-2.0
// What is left of a region of packets and times, at a bounded cost. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/match.h"

// region -= match. *work counts the pairs of boxes that one check has compared: 0 at its start. 0; -ENOMEM; -E2BIG when
// the region is too intricate or the check has done too much.
int region_take_away(struct match *region, const struct match *match, uint64_t *work);
