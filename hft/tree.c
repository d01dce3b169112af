// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

void tree_init(struct tree *t)
{
	*t = (struct tree){0};
}

void tree_fini(struct tree *t)
{
	for (uint32_t i = 0; i < t->n_atoms; i++)
		match_fini(&t->atoms[i].match);
	free(t->atoms);
	free(t->nodes);
	tree_init(t);
}

// Room for one more element in a vector; NULL when out of memory (the vector is then as it was).
static void *vec_grow(void *vec, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap == 0 ? 8 : *cap * 2;
	void *grown;

	if (n < *cap)
		return vec;
	if (*cap > INT_MAX / 2)
		return NULL;
	grown = reallocarray(vec, more, size);
	if (grown != NULL)
		*cap = more;
	return grown;
}

int tree_add_node(struct tree *t, uint32_t parent)
{
	struct tree_node *nodes = vec_grow(t->nodes, t->n_nodes, &t->cap_nodes, sizeof(*nodes));

	if (nodes == NULL)
		return -ENOMEM;
	t->nodes = nodes;
	assert(t->n_nodes == 0 ? parent == TREE_NO_PARENT : parent < t->n_nodes);
	nodes[t->n_nodes] = (struct tree_node){
		.parent = parent,
		.depth = parent == TREE_NO_PARENT ? 0 : nodes[parent].depth + 1,
		.number = t->n_nodes,
	};
	return (int)t->n_nodes++;
}

int tree_add_atom(struct tree *t, struct atom *atom)
{
	struct atom *atoms = vec_grow(t->atoms, t->n_atoms, &t->cap_atoms, sizeof(*atoms));

	if (atoms == NULL)
		return -ENOMEM;
	t->atoms = atoms;
	assert(atom->node < t->n_nodes);
	atoms[t->n_atoms++] = *atom;
	match_init(&atom->match);
	return 0;
}

struct action atom_action(const struct atom *atom)
{
	struct action action = {.access = atom->access};

	if (atom->part == ATOM_RESERVE)
		idset_add(&action.reservations, atom->id);
	else if (atom->part == ATOM_LIMIT)
		idset_add(&action.limits, atom->id);
	else if (atom->path == ATOM_WAYPOINT)
		action.waypoint = atom->id;
	else if (atom->path == ATOM_AVOID)
		idset_add(&action.avoids, atom->id);
	return action;
}
