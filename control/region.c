// SPDX-License-Identifier: Apache-2.0
#include "region.h"

#include <errno.h>

// Bounds for what a hostile set of groups may cost: pieces of one region, and pairs of boxes subtracted in one check.
#define REGION_BOXES_MAX 20000
#define WORK_MAX 20000000

int region_take_away(struct match *region, const struct match *match, uint64_t *work)
{
	struct match rest;
	int rc;

	if (!match_overlaps(region, match))
		return 0;
	*work += (uint64_t)region->n_boxes * match->n_boxes;
	if (*work > WORK_MAX)
		return -E2BIG;
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
