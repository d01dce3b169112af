// SPDX-License-Identifier: Apache-2.0
// A row of the policy as the classifier knows it: numbers become slots. Owner and only thread: the link thread.
#pragma once
#include "cls_row.h"
#include "hft/err.h"
#include "hft/parts.h"
#include "names.h"
#include "sched_slots.h"

// 0, or -ENOENT with err: it names a share or meter that has no slot.
int cls_fill(const struct part_row *row, const struct sched_slots *slots, const struct names *names,
	     struct cls_row *out, struct err *err);
