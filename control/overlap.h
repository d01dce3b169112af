// SPDX-License-Identifier: Apache-2.0
// How many reservations, or limits, meet in one packet at one time (SPEC 5: at most ACTION_SET_MAX).
// Thread: control only.
#pragma once
#include "flow_index.h"
#include "hft/match.h"
#include "statement.h"

// 0 if a further request of this verb with this group (boxes with their interval) leaves the bound kept. 1 if some
// packet would have too many, or if deciding it took too long. -E2BIG when there are too many to compare; -ENOMEM.
int overlap_exceeds(struct flow_index *index, enum verb verb, const struct match *group);
