// SPDX-License-Identifier: Apache-2.0
// A changing set of boxes that answers "which of you overlap this one": a binary trie on the boxes' first corners
// (source and destination address and destination port, bit by bit in turn) in which every node knows the hull of what
// is below it. Boxes of different shape (a host, a network or anything, as source and as destination) hang in different
// tries: then the hulls stay small. Adding and taking out cost the depth of the trie, a walk what it finds.
// Inside hft/ only. Owner: the caller, of the leaves too. Thread: one at a time.
#pragma once
#include "match.h"

#define BOXTRIE_SHAPES 54

struct boxtrie_hull {
	struct span128 src, dst;
	uint64_t time_lo, time_hi;
	uint16_t src_port_lo, src_port_hi, dst_port_lo, dst_port_hi;
	uint32_t kinds;
};

struct boxtrie_node {
	struct boxtrie_hull hull;
	u128 tags; // of all leaves below
	struct boxtrie_node *parent, *child[2];
	uint16_t at; // which bit tells the children apart; BOXTRIE_LEAF
};

// One box of the set, part of the caller's object.
struct boxtrie_leaf {
	struct boxtrie_node node; // first: a node that is a leaf is one of these
	const struct box *box;    // stays where it is while the leaf is in the set
	uint64_t number;          // of addition: tells equal boxes apart
};

struct boxtrie {
	struct boxtrie_node *root[BOXTRIE_SHAPES];
	uint64_t n_added;
};

void boxtrie_init(struct boxtrie *t);
// Frees what it allocated. The leaves are the caller's.
void boxtrie_fini(struct boxtrie *t);
// box is normalized. tags: a set of up to 128 that walks are narrowed by. 0 or -ENOMEM (nothing has changed).
int boxtrie_add(struct boxtrie *t, struct boxtrie_leaf *leaf, const struct box *box, u128 tags);
void boxtrie_del(struct boxtrie *t, struct boxtrie_leaf *leaf);
void boxtrie_set_tags(struct boxtrie_leaf *leaf, u128 tags);
// Visits leaves that overlap the box and have one of the tags *wanted; visit may take tags out of *wanted while it goes
// on, and it ends when none is left or visit returns non-zero: that is returned, otherwise 0. The set must not change.
int boxtrie_walk(const struct boxtrie *t, const struct box *box, const u128 *wanted,
		 int (*visit)(void *ctx, struct boxtrie_leaf *leaf), void *ctx);
