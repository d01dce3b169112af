// SPDX-License-Identifier: Apache-2.0
#include "verify_flat.h"

#include <errno.h>
#include <stdlib.h>

#include "verify_cells.h"

// One box of a request, or a row.
struct flat_item {
	struct cell_box box; // first: cells know an item by it
	const struct atom *atom;
	const struct row *row; // NULL: atom
};

struct flat_look {
	const struct tree *tree;
	struct verify_flat_fault *fault;
	uint32_t *touched; // nodes that say something in the region, ascending
	uint32_t n_touched;
	struct action *own, *below; // of nodes
	bool *is_touched;
};

static const struct flat_item *item_of(const struct cell_entry *e)
{
	return (const struct flat_item *)e->box;
}

static void touch(struct flat_look *look, uint32_t node)
{
	for (; node != TREE_NO_PARENT && !look->is_touched[node]; node = look->tree->nodes[node].parent) {
		uint32_t at = look->n_touched++;

		look->is_touched[node] = true;
		look->own[node] = look->below[node] = action_none();
		for (; at > 0 && look->touched[at - 1] > node; at--)
			look->touched[at] = look->touched[at - 1];
		look->touched[at] = node;
	}
}

static bool is_first_box(const struct cell_entry *entries, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++) {
		if (item_of(&entries[j])->atom == item_of(&entries[i])->atom)
			return false;
	}
	return true;
}

// What the tree says where all boxes asked for fill the region: from the leaves up, for a child has a greater number.
static struct action wanted(struct flat_look *look, const struct cell_entry *entries, uint32_t n)
{
	struct action result = action_none();

	look->n_touched = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct atom *atom = item_of(&entries[i])->atom;
		struct action one;

		if (atom == NULL || !is_first_box(entries, i))
			continue;
		touch(look, atom->node);
		one = atom_action(atom);
		look->own[atom->node] = action_join(&look->own[atom->node], &one);
	}
	for (uint32_t i = look->n_touched; i-- > 0;) {
		uint32_t node = look->touched[i], parent = look->tree->nodes[node].parent;

		look->is_touched[node] = false;
		result = action_over(&look->below[node], &look->own[node]);
		if (parent != TREE_NO_PARENT)
			look->below[parent] = action_join(&look->below[parent], &result);
	}
	return result;
}

// Leaves out the rows that one of a higher rank hides everywhere in the region. How many entries stay.
static uint32_t drop_hidden(struct cell_entry *entries, uint32_t n)
{
	uint32_t kept = 0, best = 0;
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		const struct row *row = item_of(&entries[i])->row;

		if (row != NULL && entries[i].fills && (!any || row->rank > best)) {
			any = true;
			best = row->rank;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct row *row = item_of(&entries[i])->row;

		if (row == NULL || !any || row->rank >= best)
			entries[kept++] = entries[i];
	}
	return kept;
}

// Every row that may decide has this action, and where none does it is none.
static bool all_rows_say(const struct cell_entry *entries, uint32_t n, const struct action *want)
{
	const struct action none = action_none();
	bool decided = action_equal(want, &none);

	for (uint32_t i = 0; i < n; i++) {
		const struct row *row = item_of(&entries[i])->row;

		if (row == NULL)
			continue;
		if (!action_equal(&row->action, want))
			return false;
		decided |= entries[i].fills;
	}
	return decided;
}

static enum cell_verdict fault_at(const struct flat_look *look, const struct cell_region *region,
				  const struct cell_entry *entries, uint32_t n, const struct action *want)
{
	struct action got = action_none();

	for (uint32_t i = 0; i < n; i++) { // of those that compete, one that is wrong
		const struct row *row = item_of(&entries[i])->row;

		if (row != NULL && !action_equal(&row->action, want))
			got = row->action;
	}
	if (look->fault != NULL)
		*look->fault = (struct verify_flat_fault){.packet = cell_packet(region), .want = *want, .got = got};
	return CELL_FAULT;
}

static enum cell_verdict look_flat(void *ctx, const struct cell_region *region, struct cell_entry *entries, uint32_t *n)
{
	struct flat_look *look = ctx;
	bool asked_fill = true, rows_fill = true;
	struct action want;

	*n = drop_hidden(entries, *n);
	for (uint32_t i = 0; i < *n; i++) {
		if (item_of(&entries[i])->row == NULL)
			asked_fill &= entries[i].fills;
		else
			rows_fill &= entries[i].fills;
	}
	if (!asked_fill)
		return CELL_DIVIDE;
	want = wanted(look, entries, *n);
	if (all_rows_say(entries, *n, &want))
		return CELL_EQUAL;
	return rows_fill ? fault_at(look, region, entries, *n, &want) : CELL_DIVIDE;
}

static uint32_t make_items(const struct tree *tree, const struct flowtab *ft, struct flat_item *items,
			   const struct cell_box **boxes)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree->n_atoms; i++) {
		for (uint32_t j = 0; j < tree->atoms[i].match.n_boxes; j++, n++) {
			items[n] = (struct flat_item){.atom = &tree->atoms[i]};
			cell_box_of(&tree->atoms[i].match.boxes[j], &items[n].box);
		}
	}
	for (uint32_t i = 0; i < ft->n_rows; i++, n++) {
		items[n] = (struct flat_item){.row = &ft->rows[i]};
		cell_box_of(&ft->rows[i].box, &items[n].box);
	}
	for (uint32_t i = 0; i < n; i++)
		boxes[i] = &items[i].box;
	return n;
}

int verify_flat(const struct tree *tree, const struct flowtab *ft, int64_t from_ns, uint32_t effort,
		struct verify_flat_fault *fault)
{
	struct flat_look look = {.tree = tree, .fault = fault};
	const struct cell_box **boxes;
	struct flat_item *items;
	struct box any = box_any();
	size_t n = ft->n_rows, n_nodes = (size_t)tree->n_nodes + 1;
	int ret = -ENOMEM;

	for (uint32_t i = 0; i < tree->n_atoms; i++)
		n += tree->atoms[i].match.n_boxes;
	items = calloc(n + 1, sizeof(*items));
	boxes = calloc(n + 1, sizeof(*boxes));
	look.touched = calloc(n_nodes, sizeof(*look.touched));
	look.is_touched = calloc(n_nodes, sizeof(*look.is_touched));
	look.own = calloc(n_nodes, sizeof(*look.own));
	look.below = calloc(n_nodes, sizeof(*look.below));
	if (items != NULL && boxes != NULL && look.touched != NULL && look.is_touched != NULL && look.own != NULL &&
	    look.below != NULL)
		ret = cells_check(&any, from_ns, boxes, make_items(tree, ft, items, boxes), look_flat, &look, &effort);
	free(items);
	free(boxes);
	free(look.touched);
	free(look.is_touched);
	free(look.own);
	free(look.below);
	return ret;
}
