// SPDX-License-Identifier: Apache-2.0
// What is done with a packet: independent parts, and the operators that combine them (SPEC 5).
// Values only. Thread: any.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum access {
	ACCESS_NONE,
	ACCESS_ALLOW,
	ACCESS_DENY,
};

#define ACTION_SET_MAX 8 // SPEC 5: at most 8 limits and 8 reservations meet in one packet

// A set of request numbers, ascending.
struct idset {
	uint64_t id[ACTION_SET_MAX];
	uint8_t n;
	bool overflow; // more than ACTION_SET_MAX were joined: the table must not be installed
};

struct action {
	enum access access;
	struct idset reservations;
	struct idset limits;
	struct idset avoids; // requests whose sets of middleboxes are to be avoided
	uint64_t waypoint;   // the request whose list of middleboxes is the way; 0: none
};

struct action action_none(void);
bool action_equal(const struct action *a, const struct action *b);
void idset_add(struct idset *set, uint64_t id);
struct idset idset_union(const struct idset *a, const struct idset *b);
// +D and +S: deny beats allow beats none; sets are joined; of waypoint lists that of the lowest request. The same
// operator inside a node and among siblings.
struct action action_join(const struct action *a, const struct action *b);
// +P: the child's access unless none, its waypoint list if any; sets are joined.
struct action action_over(const struct action *child, const struct action *parent);
