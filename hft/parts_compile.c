// SPDX-License-Identifier: Apache-2.0
#include "parts_compile.h"

#include <errno.h>

bool parts_row_of(const struct tree *tree, const struct atom *atom, const struct box *box, struct part_row *row)
{
	static const enum part part_of[] = {
		[ATOM_ACCESS] = PART_ACCESS,
		[ATOM_RESERVE] = PART_RESERVE,
		[ATOM_LIMIT] = PART_LIMIT,
		[ATOM_PATH] = PART_PATH,
	};
	enum part part = part_of[atom->part];

	if (atom->access == ACCESS_NONE && part != PART_RESERVE && part != PART_LIMIT)
		return false;
	*row = (struct part_row){
		.box = *box,
		.id = atom->id,
		.node = tree->nodes[atom->node].number,
		.depth = (uint16_t)tree->nodes[atom->node].depth,
		.part = (uint8_t)part,
		.access = (uint8_t)atom->access,
		.access_category = PARTS_NO_CATEGORY,
		.meter_category = PARTS_NO_CATEGORY,
	};
	return true;
}

static int add_nodes(const struct tree *tree, struct parts_nodes *nodes, struct err *err)
{
	for (uint32_t i = 1; i < tree->n_nodes; i++) {
		const struct tree_node *node = &tree->nodes[i];
		int ret = parts_nodes_set(nodes, node->number, tree->nodes[node->parent].number);

		if (ret < 0)
			return err_set(err, -ret, "share %u of depth %u cannot be put into the table", node->number,
				       node->depth);
	}
	return 0;
}

int parts_compile(const struct tree *tree, int64_t now_ns, struct parts_nodes *nodes, struct parts *p, struct err *err)
{
	int ret = add_nodes(tree, nodes, err);

	for (uint32_t i = 0; i < tree->n_atoms && ret == 0; i++) {
		const struct atom *atom = &tree->atoms[i];

		for (uint32_t j = 0; j < atom->match.n_boxes && ret == 0; j++) {
			struct part_row row;

			if (box_end_ns(&atom->match.boxes[j]) <= now_ns ||
			    !parts_row_of(tree, atom, &atom->match.boxes[j], &row))
				continue;
			ret = parts_add(p, &row, NULL, err);
			if (ret == -EEXIST)
				ret = 0;
		}
	}
	return ret;
}
