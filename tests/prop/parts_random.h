// SPDX-License-Identifier: Apache-2.0
// Random share trees, atoms and shares' flow groups, and what a packet's action is by definition.
#pragma once
#include "hft/eval.h"
#include "hft/parts_compile.h"
#include "tests/prop/hft_random.h"

#define PARTS_NODES_MAX 60
#define BACKGROUNDS 3 // hints, numbered from BACKGROUND_ID on, each at the node that its index is a multiple of
#define BACKGROUND_ID 100000

struct random_policy {
	struct rng rng;
	uint64_t seed;
	uint32_t dims;
	bool crowd; // many shares side by side
	struct tree tree;
	struct match shares[PARTS_NODES_MAX]; // of those that the scheduler tells apart
	struct match backgrounds[BACKGROUNDS];
	struct parts_nodes *nodes;
};

// Share numbers that are no indexes, and a child's may be lower than its parent's.
static inline void random_nodes(struct random_policy *p)
{
	uint32_t n = 1 + rng_below(&p->rng, p->crowd ? PARTS_NODES_MAX : 10), salt = rng_below(&p->rng, 1000);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t parent = i == 0 ? TREE_NO_PARENT : rng_below(&p->rng, p->crowd && i > 8 ? 8 : i);

		if (tree_add_node(&p->tree, parent) < 0)
			abort();
		if (i == 0)
			continue;
		p->tree.nodes[i].number = 1 + (i * 7919 + salt) % 1009;
		if (parts_nodes_set(p->nodes, p->tree.nodes[i].number, p->tree.nodes[parent].number) < 0)
			abort();
	}
}

static inline struct atom random_policy_atom(struct random_policy *p, uint64_t id)
{
	struct atom atom = {.id = id, .node = rng_below(&p->rng, p->tree.n_nodes), .part = rng_below(&p->rng, 4)};

	if (rng_below(&p->rng, 2) == 0)
		atom.part = ATOM_ACCESS;
	if (atom.part == ATOM_ACCESS)
		atom.access = rng_below(&p->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_DENY;
	else
		atom.access = rng_below(&p->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_NONE;
	random_match(&p->rng, p->dims, 3, &atom.match);
	return atom;
}

static inline struct part_row share_row(const struct random_policy *p, uint32_t node, const struct box *box)
{
	return (struct part_row){
		.box = *box,
		.node = p->tree.nodes[node].number,
		.depth = (uint16_t)p->tree.nodes[node].depth,
		.part = PART_SHARE,
		.access_category = PARTS_NO_CATEGORY,
		.meter_category = PARTS_NO_CATEGORY,
	};
}

static inline uint32_t background_node(const struct random_policy *p, uint32_t i)
{
	return 7 * i % p->tree.n_nodes;
}

static inline struct part_row background_row(const struct random_policy *p, uint32_t i, const struct box *box)
{
	struct part_row row = share_row(p, background_node(p, i), box);

	row.id = BACKGROUND_ID + i;
	row.part = PART_BACKGROUND;
	return row;
}

static inline void random_policy_init(struct random_policy *p, uint64_t seed, bool crowd, unsigned int max_dims)
{
	*p = (struct random_policy){.seed = seed, .rng.state = seed, .crowd = crowd};
	p->dims = random_dims(&p->rng, 1 + rng_below(&p->rng, max_dims));
	tree_init(&p->tree);
	p->nodes = parts_nodes_create();
	if (p->nodes == NULL)
		abort();
	random_nodes(p);
	for (uint32_t i = 1; i < p->tree.n_nodes; i++) {
		if (rng_below(&p->rng, 2) == 0)
			random_match(&p->rng, p->dims & ~1u, 2, &p->shares[i]);
	}
	for (uint32_t i = 0; i < BACKGROUNDS; i++) {
		if (rng_below(&p->rng, 2) == 0)
			random_match(&p->rng, p->dims, 2, &p->backgrounds[i]);
	}
}

static inline void random_policy_fini(struct random_policy *p)
{
	parts_nodes_destroy(p->nodes);
	for (uint32_t i = 0; i < PARTS_NODES_MAX; i++)
		match_fini(&p->shares[i]);
	for (uint32_t i = 0; i < BACKGROUNDS; i++)
		match_fini(&p->backgrounds[i]);
	tree_fini(&p->tree);
}

static inline uint32_t share_of_packet(const struct random_policy *p, const struct match_packet *packet)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < p->tree.n_nodes; i++) {
		const struct tree_node *node = &p->tree.nodes[i], *top = &p->tree.nodes[best];

		if (match_covers(&p->shares[i], packet) && (best == 0 || node->depth > top->depth ||
							    (node->depth == top->depth && node->number < top->number)))
			best = i;
	}
	return p->tree.nodes[best].number;
}

static inline bool is_background(const struct random_policy *p, const struct match_packet *packet)
{
	for (uint32_t i = 0; i < BACKGROUNDS; i++) {
		if (match_covers(&p->backgrounds[i], packet))
			return true;
	}
	return false;
}

// Whether the rows do with the packet what the policy says. Only a denial counts: an allow that overrides nothing may
// be parked.
static inline bool rows_obey(const struct random_policy *p, const struct part_row *rows, uint32_t n_rows,
			     const struct match_packet *packet)
{
	struct action want = eval_packet(&p->tree, packet);
	struct parts_visible visible;
	struct parts_decision got;

	parts_find_among(rows, n_rows, packet, &visible);
	got = parts_decide(p->nodes, &visible);
	if (want.access == ACCESS_ALLOW && got.action.access == ACCESS_NONE)
		got.action.access = ACCESS_ALLOW;
	if (want.access == ACCESS_NONE && got.action.access == ACCESS_ALLOW)
		got.action.access = ACCESS_NONE;
	return action_equal(&want, &got.action) && got.node == share_of_packet(p, packet) &&
	       got.background == is_background(p, packet);
}

static inline void print_policy(const struct random_policy *p)
{
	for (uint32_t i = 0; i < p->tree.n_nodes; i++) {
		fprintf(stderr, "node %u: share %u, parent %d\n", i, p->tree.nodes[i].number,
			(int)p->tree.nodes[i].parent);
		print_match("    group", &p->shares[i]);
	}
	for (uint32_t i = 0; i < p->tree.n_atoms; i++) {
		const struct atom *atom = &p->tree.atoms[i];

		fprintf(stderr, "atom %llu node %u part %d access %d\n", (unsigned long long)atom->id, atom->node,
			atom->part, atom->access);
		print_match("    ", &atom->match);
	}
}
