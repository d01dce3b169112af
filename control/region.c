// SPDX-License-Identifier: Apache-2.0
#include "region.h"

#include <errno.h>

#define REGION_BOXES_MAX 20000 // pieces of one region: what a hostile set of groups may cost

int region_meets(const struct match *a, const struct match *b, uint64_t *work)
{
	*work += (uint64_t)a->n_boxes * b->n_boxes;
	return *work > REGION_WORK_MAX ? -E2BIG : match_overlaps(a, b);
}

int region_take_away(struct match *region, const struct match *match, uint64_t *work)
{
	struct match rest;
	int rc;

	rc = region_meets(region, match, work);
	if (rc <= 0)
		return rc;
	match_init(&rest);
	rc = match_subtract(&rest, region, match);
	if (rc == 0 && rest.n_boxes > REGION_BOXES_MAX)
		rc = -E2BIG;
	if (rc < 0) {
		match_fini(&rest);
		return rc;
	}
	match_fini(region);
	match_move(region, &rest);
	return 0;
}
