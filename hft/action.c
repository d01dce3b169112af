// SPDX-License-Identifier: Apache-2.0
#include "action.h"

struct action action_none(void)
{
	return (struct action){.access = ACCESS_NONE};
}

static bool idset_equal(const struct idset *a, const struct idset *b)
{
	if (a->n != b->n || a->overflow != b->overflow)
		return false;
	for (unsigned int i = 0; i < a->n; i++) {
		if (a->id[i] != b->id[i])
			return false;
	}
	return true;
}

bool action_equal(const struct action *a, const struct action *b)
{
	return a->access == b->access && idset_equal(&a->reservations, &b->reservations) &&
	       idset_equal(&a->limits, &b->limits) && idset_equal(&a->avoids, &b->avoids) && a->waypoint == b->waypoint;
}

// Past the limit the lowest ids stay, so that the result does not depend on the order of additions.
void idset_add(struct idset *set, uint64_t id)
{
	unsigned int at = set->n;

	while (at > 0 && set->id[at - 1] > id)
		at--;
	if (at > 0 && set->id[at - 1] == id)
		return;
	if (set->n == ACTION_SET_MAX)
		set->overflow = true;
	else
		set->n++;
	for (unsigned int i = set->n; i-- > at + 1;)
		set->id[i] = set->id[i - 1];
	if (at < set->n)
		set->id[at] = id;
}

struct idset idset_union(const struct idset *a, const struct idset *b)
{
	struct idset both = *a;

	for (unsigned int i = 0; i < b->n; i++)
		idset_add(&both, b->id[i]);
	both.overflow |= b->overflow;
	return both;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

struct action action_join(const struct action *a, const struct action *b)
{
	return (struct action){
		.access = a->access > b->access ? a->access : b->access, // none < allow < deny
		.reservations = idset_union(&a->reservations, &b->reservations),
		.limits = idset_union(&a->limits, &b->limits),
		.avoids = idset_union(&a->avoids, &b->avoids),
		.waypoint = lower(a->waypoint, b->waypoint),
	};
}

struct action action_over(const struct action *child, const struct action *parent)
{
	return (struct action){
		.access = child->access != ACCESS_NONE ? child->access : parent->access,
		.reservations = idset_union(&child->reservations, &parent->reservations),
		.limits = idset_union(&child->limits, &parent->limits),
		.avoids = idset_union(&child->avoids, &parent->avoids),
		.waypoint = child->waypoint != 0 ? child->waypoint : parent->waypoint,
	};
}
