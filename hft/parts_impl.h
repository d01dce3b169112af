// SPDX-License-Identifier: Apache-2.0
// What parts.c, parts_colour.c and parts_nodes.c share. Nobody else includes it.
#pragma once
#include "boxtrie.h"
#include "parts.h"

#define KNOWN_NODES 8 // of one category; with more nobody keeps count

enum use {
	USE_NONE,
	USE_ACCESS,
	USE_METER,
	USE_SHARE,
	USE_BACKGROUND,
	USE_FINAL, // denies that nothing can override
	N_USES,
};

struct category {
	enum use use;
	uint32_t n_rows;
	// Slots of the nodes that its rows stand at, for access: comparable with all of them needs no look at boxes.
	uint32_t node[KNOWN_NODES], n_at[KNOWN_NODES], n_nodes;
	bool more; // nodes than these
};

struct parts_entry {
	struct part_row row;
	struct boxtrie_leaf leaf, access_leaf; // in parts.index, parts.access
	uint64_t key;
	struct parts_entry *next; // of one hash bucket
	uint32_t idx;             // in parts.entries
	uint32_t end_idx;         // in parts.by_end, unless for ever
	uint32_t node;            // slot
	bool parked;              // has access, and no category for it
};

struct parts {
	const struct parts_nodes *nodes;
	struct boxtrie index;     // rows with a category: tags are their categories
	struct boxtrie access[2]; // rows that say allow, deny: tags are their depth, see depth_tag
	struct parts_entry **entries, **buckets;
	struct parts_entry **by_end; // binary heap, earliest end first
	uint32_t n, cap, n_by_end;
	struct category category[PARTS_CATEGORIES_MAX];
	struct parts_entry **moving; // work of parts_add
	uint32_t n_moving, cap_moving;
	void (*moved)(void *ctx, const struct part_row *row);
	void *moved_ctx;
};

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

struct parts_entry *parts_entry_of(struct boxtrie_leaf *leaf);        // one of parts.index
struct parts_entry *parts_entry_of_access(struct boxtrie_leaf *leaf); // one of parts.access
bool parts_has_category(const struct parts_entry *e);
extern const u128 parts_relieved; // the tags of parked and final rows in parts.access

// parts_colour.c. Gives rows that e, which is not in yet, makes unfit for relief ordinary categories; they keep them,
// also if this or something later fails. 0, -E2BIG, -ENOMEM.
int parts_move_for(struct parts *p, const struct parts_entry *e);
// Fills the categories of e->row. false: there are not enough.
bool parts_choose(struct parts *p, struct parts_entry *e, const struct part_row *wish);
// Into, out of the tries and categories. 0 or -ENOMEM, then nothing has changed.
int parts_hang(struct parts *p, struct parts_entry *e);
void parts_unhang(struct parts *p, struct parts_entry *e);
