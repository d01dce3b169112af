// SPDX-License-Identifier: Apache-2.0
// A set of different boxes that answers "which of you overlap this one" without asking most of them.
// Boxes hang below boxes that contain them, so a box that does not overlap spares all below it; the topmost ones are
// found by their source and destination address where those are single hosts.
// Inside hft/ only. Owner: the caller. Thread: any, one at a time (a walk uses memory of the tree). Boxes are
// normalized and numbered from 0 in order of addition.
#pragma once
#include "match.h"

#define BOXTREE_NONE UINT32_MAX

struct boxtree_node; // a box's links and the part of it that a first test looks at
struct boxtree_hub;  // the topmost boxes of one source, or of one source and destination

struct boxtree {
	struct box *boxes; // by number
	struct boxtree_node *nodes;
	struct boxtree_hub *hubs;
	uint32_t *box_slots, *hub_slots; // hash tables, powers of two
	uint32_t *stack;                 // walk's; as long as boxes
	uint32_t n, cap, n_hubs, cap_hubs, n_box_slots, n_hub_slots;
};

enum boxtree_step {
	BOXTREE_BELOW, // go on, also below this box
	BOXTREE_STOP,  // end the walk
};

// Called for each box that overlaps the walk's, a box before those below it.
typedef enum boxtree_step boxtree_visit(void *ctx, uint32_t idx);

void boxtree_init(struct boxtree *t);
void boxtree_fini(struct boxtree *t);
// The box must not be in the tree. below: number of a box that contains it, the narrower the better, or BOXTREE_NONE.
// 0, or -ENOMEM (the tree is as it was).
int boxtree_add(struct boxtree *t, const struct box *box, uint32_t below);
uint32_t boxtree_find(const struct boxtree *t, const struct box *box); // number of an equal box or BOXTREE_NONE
// visit must not add to the tree.
void boxtree_walk(const struct boxtree *t, const struct box *box, boxtree_visit *visit, void *ctx);
