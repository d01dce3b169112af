// SPDX-License-Identifier: Apache-2.0
// What parts.c and parts_nodes.c share. Nobody else includes it.
#pragma once
#include "parts.h"

// A share. Slots are stable; a path (slots from the root down to the node itself) makes "below" one comparison.
struct parts_node {
	uint32_t number, parent, n_children; // parent: slot; of a free slot the next free one
	uint16_t depth;
	uint32_t *path; // NULL: the slot is free
};

struct parts_nodes {
	struct parts_node *node; // by slot
	uint32_t n, cap, first_free;
	uint32_t *slots; // hash table by number
	uint32_t n_slots;
};

uint32_t parts_nodes_find(const struct parts_nodes *nodes, uint32_t number); // slot, UINT32_MAX: unknown

// Slot low is slot high or below it.
static inline bool slots_in_line(const struct parts_nodes *nodes, uint32_t high, uint32_t low)
{
	const struct parts_node *h = &nodes->node[high], *l = &nodes->node[low];

	return l->depth >= h->depth && l->path[h->depth] == high;
}

void parts_see(struct parts_visible *out, const struct part_row *row); // one that matches
