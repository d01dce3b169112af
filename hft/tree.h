// SPDX-License-Identifier: Apache-2.0
// The policy tree: nodes (shares) with atoms (accepted requests). Atoms carry their interval in the time field of their
// boxes, so one tree describes past, present and future.
// Owner: the caller. Thread: one at a time. Nodes and atoms are numbered from 0 in order of addition; node 0 is the
// root.
#pragma once
#include "action.h"
#include "match.h"

#define TREE_NO_PARENT UINT32_MAX

enum atom_part {
	ATOM_ACCESS, // allow or deny only
	ATOM_RESERVE,
	ATOM_LIMIT,
	ATOM_PATH, // a waypoint list or avoid set
};

enum atom_path {
	ATOM_ACCESS_ONLY, // not asked for: the atom is there for its access
	ATOM_WAYPOINT,
	ATOM_AVOID,
};

struct atom {
	uint64_t id; // request number
	uint32_t node;
	enum atom_part part;
	enum access access;
	enum atom_path path;
	uint64_t rate_bps;  // for ATOM_RESERVE and ATOM_LIMIT
	struct match match; // with time
};

struct tree_node {
	uint32_t parent; // index, TREE_NO_PARENT for the root
	uint32_t depth;  // 0 for the root
	uint32_t number; // the share's: names the node in rows for ever; its index unless the owner sets it (root: 0)
};

struct tree {
	struct tree_node *nodes;
	struct atom *atoms;
	uint32_t n_nodes, cap_nodes, n_atoms, cap_atoms;
};

void tree_init(struct tree *t);
void tree_fini(struct tree *t);
int tree_add_node(struct tree *t, uint32_t parent); // node number, or -ENOMEM; a parent must precede its children
// Takes ownership of atom->match (moved; atom->match is then empty). 0, or -ENOMEM (the caller keeps it).
int tree_add_atom(struct tree *t, struct atom *atom);
// The contribution of one atom.
struct action atom_action(const struct atom *atom);
