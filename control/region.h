// SPDX-License-Identifier: Apache-2.0
// What is left of a region of packets and times, at a bounded cost. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/match.h"

// Pairs of boxes that one check compares at most: some 0.2 s of the controller's time.
#define REGION_WORK_MAX 20000000

// Whether they have a packet in common. *work as below. 1, 0, or -E2BIG.
int region_meets(const struct match *a, const struct match *b, uint64_t *work);
// region -= match. *work counts the pairs of boxes that one check has compared: 0 at its start. 0; -ENOMEM; -E2BIG when
// the region is too intricate or the check has done too much.
int region_take_away(struct match *region, const struct match *match, uint64_t *work);
