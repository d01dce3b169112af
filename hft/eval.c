// SPDX-License-Identifier: Apache-2.0
#include "eval.h"

// eval(node, packet) = P( D over matching atoms, S over children's eval )
static struct action eval_node(const struct tree *tree, uint32_t node, const struct match_packet *packet)
{
	struct action own = action_none(), children = action_none(), one;

	for (uint32_t i = 0; i < tree->n_atoms; i++) {
		if (tree->atoms[i].node != node || !match_covers(&tree->atoms[i].match, packet))
			continue;
		one = atom_action(&tree->atoms[i]);
		own = action_join(&own, &one);
	}
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		if (tree->nodes[i].parent != node)
			continue;
		one = eval_node(tree, i, packet);
		children = action_join(&children, &one);
	}
	return action_over(&children, &own);
}

struct action eval_packet(const struct tree *tree, const struct match_packet *packet)
{
	return tree->n_nodes == 0 ? action_none() : eval_node(tree, 0, packet);
}
