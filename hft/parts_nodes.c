// SPDX-License-Identifier: Apache-2.0
// The share tree of the rows, and the rule that combines what a lookup yields.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parts_impl.h"

#define NO_SLOT UINT32_MAX

static uint32_t hash_of(const struct parts_nodes *nodes, uint32_t number)
{
	return (number * 0x9e3779b1u >> 7) & (nodes->n_slots - 1);
}

// Where the number is or would be.
static uint32_t place_of(const struct parts_nodes *nodes, uint32_t number)
{
	uint32_t at = hash_of(nodes, number);

	while (nodes->slots[at] != NO_SLOT && nodes->node[nodes->slots[at]].number != number)
		at = (at + 1) & (nodes->n_slots - 1);
	return at;
}

uint32_t parts_nodes_find(const struct parts_nodes *nodes, uint32_t number)
{
	return nodes->slots[place_of(nodes, number)];
}

static int grow(struct parts_nodes *nodes)
{
	uint32_t cap = nodes->cap == 0 ? 64 : nodes->cap * 2;
	struct parts_node *node = cap > INT32_MAX / 4 ? NULL : reallocarray(nodes->node, cap, sizeof(*node));
	uint32_t *slots;

	if (node == NULL)
		return -ENOMEM;
	nodes->node = node;
	slots = reallocarray(NULL, (size_t)cap * 2, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	memset(slots, 0xff, (size_t)cap * 2 * sizeof(*slots)); // NO_SLOT
	free(nodes->slots);
	nodes->slots = slots;
	nodes->n_slots = cap * 2;
	nodes->cap = cap;
	for (uint32_t i = 0; i < nodes->n; i++) {
		if (node[i].path != NULL)
			slots[place_of(nodes, node[i].number)] = i;
	}
	return 0;
}

// The slot of a new node, or NO_SLOT when out of memory.
static uint32_t take_slot(struct parts_nodes *nodes)
{
	uint32_t slot = nodes->first_free;

	if (slot != NO_SLOT) {
		nodes->first_free = nodes->node[slot].parent;
		return slot;
	}
	if (nodes->n == nodes->cap && grow(nodes) < 0)
		return NO_SLOT;
	return nodes->n++;
}

static int add_node(struct parts_nodes *nodes, uint32_t number, uint32_t parent)
{
	uint32_t depth = parent == NO_SLOT ? 0 : nodes->node[parent].depth + 1u;
	uint32_t *path = calloc((size_t)depth + 1, sizeof(*path));
	uint32_t slot = path == NULL ? NO_SLOT : take_slot(nodes);

	if (slot == NO_SLOT) {
		free(path);
		return -ENOMEM;
	}
	if (depth > 0) {
		memcpy(path, nodes->node[parent].path, depth * sizeof(*path));
		nodes->node[parent].n_children++;
	}
	path[depth] = slot;
	nodes->slots[place_of(nodes, number)] = slot;
	nodes->node[slot] =
		(struct parts_node){.number = number, .parent = parent, .depth = (uint16_t)depth, .path = path};
	return 0;
}

struct parts_nodes *parts_nodes_create(void)
{
	struct parts_nodes *nodes = calloc(1, sizeof(*nodes));

	if (nodes == NULL)
		return NULL;
	nodes->first_free = NO_SLOT;
	if (grow(nodes) < 0 || add_node(nodes, PARTS_ROOT, NO_SLOT) < 0) {
		parts_nodes_destroy(nodes);
		return NULL;
	}
	return nodes;
}

void parts_nodes_destroy(struct parts_nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (uint32_t i = 0; i < nodes->n; i++)
		free(nodes->node[i].path);
	free(nodes->node);
	free(nodes->slots);
	free(nodes);
}

int parts_nodes_set(struct parts_nodes *nodes, uint32_t number, uint32_t parent)
{
	uint32_t slot = parts_nodes_find(nodes, number), above = parts_nodes_find(nodes, parent);

	if (slot != NO_SLOT)
		return number != PARTS_ROOT && nodes->node[slot].parent == above ? 0 : -EEXIST;
	if (above == NO_SLOT)
		return -ENOENT;
	if (nodes->node[above].depth == UINT16_MAX)
		return -E2BIG;
	return add_node(nodes, number, above);
}

// Puts anew what stands behind a place that became free, so that place_of still finds it.
static void close_gap(struct parts_nodes *nodes, uint32_t at)
{
	for (at = (at + 1) & (nodes->n_slots - 1); nodes->slots[at] != NO_SLOT; at = (at + 1) & (nodes->n_slots - 1)) {
		uint32_t slot = nodes->slots[at];

		nodes->slots[at] = NO_SLOT;
		nodes->slots[place_of(nodes, nodes->node[slot].number)] = slot;
	}
}

int parts_nodes_del(struct parts_nodes *nodes, uint32_t number)
{
	uint32_t at = place_of(nodes, number), slot = nodes->slots[at];

	if (slot == NO_SLOT)
		return -ENOENT;
	if (number == PARTS_ROOT || nodes->node[slot].n_children > 0)
		return -EBUSY;
	nodes->node[nodes->node[slot].parent].n_children--;
	nodes->slots[at] = NO_SLOT;
	close_gap(nodes, at);
	free(nodes->node[slot].path);
	nodes->node[slot] = (struct parts_node){.parent = nodes->first_free};
	nodes->first_free = slot;
	return 0;
}

int parts_nodes_depth(const struct parts_nodes *nodes, uint32_t number)
{
	uint32_t slot = parts_nodes_find(nodes, number);

	return slot == NO_SLOT ? -ENOENT : nodes->node[slot].depth;
}

bool parts_nodes_below(const struct parts_nodes *nodes, uint32_t low, uint32_t high)
{
	uint32_t a = parts_nodes_find(nodes, low), b = parts_nodes_find(nodes, high);

	return a != NO_SLOT && b != NO_SLOT && a != b && slots_in_line(nodes, b, a);
}

struct parts_decision parts_decide(const struct parts_nodes *nodes, const struct parts_visible *visible)
{
	struct parts_decision d = {.action = action_none(), .node = PARTS_ROOT};
	const struct part_row *allow[PARTS_CATEGORIES_MAX], *deny[PARTS_CATEGORIES_MAX];
	uint32_t n_allow = 0, n_deny = 0;

	for (uint32_t c = 0; c < visible->n; c++) {
		const struct part_row *row = visible->row[c];

		if (row == NULL)
			continue;
		if (row->access_category == c && row->access == ACCESS_ALLOW)
			allow[n_allow++] = row;
		else if (row->access_category == c)
			deny[n_deny++] = row;
		else if (row->part == PART_RESERVE)
			idset_add(&d.action.reservations, row->id);
		else if (row->part == PART_LIMIT)
			idset_add(&d.action.limits, row->id);
		else if (row->part == PART_BACKGROUND)
			d.background = true;
		else
			d.node = row->node;
	}
	if (n_allow + n_deny > 0)
		d.action.access = ACCESS_ALLOW;
	for (uint32_t i = 0; i < n_deny && d.action.access == ACCESS_ALLOW; i++) {
		uint32_t j = 0;

		while (j < n_allow && !parts_nodes_below(nodes, allow[j]->node, deny[i]->node))
			j++;
		if (j == n_allow)
			d.action.access = ACCESS_DENY;
	}
	return d;
}

static void see(struct parts_visible *out, uint32_t category, const struct part_row *row)
{
	const struct part_row *top = out->row[category];

	if (top == NULL || part_row_rank(row) > part_row_rank(top))
		out->row[category] = row;
	if (category >= out->n)
		out->n = category + 1;
}

void parts_see(struct parts_visible *out, const struct part_row *row)
{
	if (row->access_category < PARTS_CATEGORIES_MAX)
		see(out, row->access_category, row);
	if (row->meter_category < PARTS_CATEGORIES_MAX)
		see(out, row->meter_category, row);
}

void parts_find_among(const struct part_row *rows, uint32_t n_rows, const struct match_packet *packet,
		      struct parts_visible *out)
{
	*out = (struct parts_visible){0};
	for (uint32_t i = 0; i < n_rows; i++) {
		if (box_covers(&rows[i].box, packet))
			parts_see(out, &rows[i]);
	}
}
