// SPDX-License-Identifier: Apache-2.0
#include "cls_fill.h"

#include <errno.h>
#include <inttypes.h>

static uint32_t meter_of(const struct part_row *row, const struct sched_slots *slots)
{
	switch (row->part) {
	case PART_RESERVE:
	case PART_LIMIT:
		return sched_slots_meter(slots, row->id);
	case PART_SHARE:
		return sched_slots_node(slots, row->node);
	case PART_BACKGROUND:
		return sched_slots_node(slots, SCHED_BACKGROUND_SHARE);
	default:
		return 0;
	}
}

int cls_fill(const struct part_row *row, const struct sched_slots *slots, const struct names *names,
	     struct cls_row *out, struct err *err)
{
	*out = (struct cls_row){
		.box = row->box,
		.rank = part_row_rank(row),
		.access_category = row->access_category,
		.meter_category = row->meter_category,
		.hides = part_hides(row->part),
		.payload = {.id = row->id,
			    .key = part_row_key(row),
			    .node = names_node(names, row->node),
			    .meter = meter_of(row, slots),
			    .counter = part_hides(row->part) ? NAMES_NO_SLOT : names_counter(names, row->id),
			    .part = row->part,
			    .access = row->access},
	};
	if (out->payload.meter == SCHED_NO_SLOT || out->payload.node == NAMES_NO_SLOT)
		return err_set(err, ENOENT, "a row of request %" PRIu64 " names a share or meter that is not there",
			       row->id);
	return 0;
}
