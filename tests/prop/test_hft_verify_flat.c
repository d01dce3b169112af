// SPDX-License-Identifier: Apache-2.0
// The checker of flat tables against brute force over every packet of a small universe: right tables, condensed or not,
// and tables with bugs. A bug that changes some packet's action is found, with a packet that shows it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/eval.h"
#include "hft/verify.h"
#include "hft/verify_flat.h"
#include "tests/prop/hft_random.h"

#define NODES_MAX 6
#define ATOMS_MAX 10
#define N_BUGS 200 // that change something

struct round {
	struct rng rng;
	uint64_t seed;
	uint32_t dims;
	struct tree tree;
	struct flowtab table;
};

static void fail_round(const struct round *r, const struct match_packet *packet, const char *what)
{
	for (uint32_t i = 0; i < r->tree.n_atoms; i++) {
		const struct atom *atom = &r->tree.atoms[i];

		fprintf(stderr, "atom %llu node %u (below %d) part %d access %d\n", (unsigned long long)atom->id,
			atom->node, (int)r->tree.nodes[atom->node].parent, atom->part, atom->access);
		print_match("    ", &atom->match);
	}
	for (uint32_t i = 0; i < r->table.n_rows; i++) {
		struct box box = r->table.rows[i].box;

		fprintf(stderr, "row rank %u access %d\n", r->table.rows[i].rank, r->table.rows[i].action.access);
		print_match("    ", &(struct match){.boxes = &box, .n_boxes = 1});
	}
	if (packet != NULL)
		print_packet(packet);
	fail_msg("%s; PANE_SEED=%llu PANE_ROUNDS=1 repeats this", what, (unsigned long long)r->seed);
}

static void add_atom(struct round *r, uint64_t id)
{
	struct atom atom = {.id = id, .node = rng_below(&r->rng, r->tree.n_nodes), .part = rng_below(&r->rng, 4)};

	if (rng_below(&r->rng, 2) == 0)
		atom.part = ATOM_ACCESS;
	atom.access = atom.part != ATOM_ACCESS     ? rng_below(&r->rng, 2) * ACCESS_ALLOW
		      : rng_below(&r->rng, 2) == 0 ? ACCESS_ALLOW
						   : ACCESS_DENY;
	if (atom.part == ATOM_PATH)
		atom.path = ATOM_ACCESS_ONLY + rng_below(&r->rng, 3);
	random_match(&r->rng, r->dims, 3, &atom.match);
	if (tree_add_atom(&r->tree, &atom) < 0)
		abort();
}

static void round_start(struct round *r, uint64_t seed)
{
	uint32_t n_nodes, n_atoms;
	struct err err;

	*r = (struct round){.seed = seed, .rng.state = seed};
	r->dims = random_dims(&r->rng, 1 + rng_below(&r->rng, 2)) | 1u << MATCH_TIME;
	tree_init(&r->tree);
	flowtab_init(&r->table);
	n_nodes = 1 + rng_below(&r->rng, NODES_MAX);
	n_atoms = rng_below(&r->rng, ATOMS_MAX + 1);
	for (uint32_t i = 0; i < n_nodes; i++) {
		if (tree_add_node(&r->tree, i == 0 ? TREE_NO_PARENT : rng_below(&r->rng, i)) < 0)
			abort();
	}
	for (uint32_t i = 0; i < n_atoms; i++)
		add_atom(r, 100 + i);
	if (hft_compile(&r->tree, 0, COMPILE_ROWS_MAX, &r->table, &err) < 0)
		fail_round(r, NULL, err.msg);
	if (rng_below(&r->rng, 2) == 0 && condense(&r->table) < 0)
		abort();
}

static void round_end(struct round *r)
{
	tree_fini(&r->tree);
	flowtab_fini(&r->table);
}

// All rows of the highest rank among those that match say what the tree says.
static bool obeys(const struct round *r, const struct match_packet *packet)
{
	struct action want = eval_packet(&r->tree, packet), none = action_none();
	const struct row *rows = r->table.rows;
	uint32_t best = 0;
	bool any = false;

	for (uint32_t i = 0; i < r->table.n_rows; i++) {
		if (box_covers(&rows[i].box, packet) && (!any || rows[i].rank > best)) {
			any = true;
			best = rows[i].rank;
		}
	}
	for (uint32_t i = 0; i < r->table.n_rows; i++) {
		if (box_covers(&rows[i].box, packet) && rows[i].rank == best && !action_equal(&rows[i].action, &want))
			return false;
	}
	return any || action_equal(&want, &none);
}

// Looks at every packet: the first and last of each cell of the grid, in the dimensions in use.
static bool brute_force(const struct round *r)
{
	for (uint32_t kind = 1; kind <= MATCH_KINDS_ALL; kind <<= 1) {
		uint32_t at[N_DIMS] = {0};

		do {
			struct match_packet packet = grid_packet(at, r->dims, kind);

			if (!obeys(r, &packet))
				return false;
		} while (grid_next(at, r->dims, kind));
	}
	return true;
}

static void right_tables_are_found_right(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(1000);
	struct round r;

	for (uint64_t i = 0; i < rounds; i++) {
		struct verify_flat_fault fault;

		round_start(&r, seed + i);
		if (verify_flat(&r.tree, &r.table, 0, VERIFY_EFFORT, &fault) != 1)
			fail_round(&r, &fault.packet, "a false alarm");
		round_end(&r);
	}
}

static void move_bound(struct round *r, struct box *box)
{
	uint32_t dim;

	do {
		dim = rng_below(&r->rng, N_DIMS);
	} while ((r->dims & 1u << dim) == 0);
	if (dim == DIM_SRC || dim == DIM_DST) {
		bool v4 = (box->kinds & MATCH_KINDS_V4) != 0;
		struct span128 *span = dim == DIM_SRC ? &box->src : &box->dst;

		*span = random_address_span(&r->rng, v4);
		box->kinds &= v4 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
	} else if (rng_below(&r->rng, 2) == 0) {
		box->f[dim].lo++;
	} else {
		box->f[dim] = random_span(&r->rng, &field_grid[dim], match_field_max(dim));
	}
}

static void wrong_set(struct rng *rng, struct idset *set)
{
	if (set->n > 0 && rng_below(rng, 2) == 0)
		set->n--;
	else
		idset_add(set, 100 + rng_below(rng, ATOMS_MAX));
}

// One bug in the table. false: it came to nothing.
static bool plant_bug(struct round *r)
{
	struct row *row, extra;

	if (r->table.n_rows == 0)
		return false;
	row = &r->table.rows[rng_below(&r->rng, r->table.n_rows)];
	switch (rng_below(&r->rng, 9)) {
	case 0:
		*row = r->table.rows[--r->table.n_rows];
		return true;
	case 1:
		row->action.access = rng_below(&r->rng, 3);
		return true;
	case 2:
		row->rank = rng_below(&r->rng, 5);
		return true;
	case 3:
		wrong_set(&r->rng, &row->action.reservations);
		return true;
	case 4:
		wrong_set(&r->rng, &row->action.limits);
		return true;
	case 5:
		wrong_set(&r->rng, &row->action.avoids);
		return true;
	case 6:
		row->action.waypoint = row->action.waypoint == 0 ? 100 + rng_below(&r->rng, ATOMS_MAX) : 0;
		return true;
	case 7:
		extra = *row;
		extra.rank += rng_below(&r->rng, 2);
		extra.action = r->table.rows[rng_below(&r->rng, r->table.n_rows)].action;
		extra.box = random_box(&r->rng, r->dims);
		return flowtab_add(&r->table, &extra) == 0;
	default:
		move_bound(r, &row->box);
		return box_normalize(&row->box);
	}
}

static void every_bug_that_matters_is_found(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(0); // 0: till all are found
	uint32_t n_bugs = 0, n_harmless = 0;
	struct round r;

	for (uint64_t i = 0; rounds == 0 ? n_bugs < N_BUGS : i < rounds; i++) {
		struct verify_flat_fault fault;

		round_start(&r, seed + i);
		if (plant_bug(&r)) {
			bool right = brute_force(&r);

			if (verify_flat(&r.tree, &r.table, 0, VERIFY_EFFORT, &fault) != right)
				fail_round(&r, right ? &fault.packet : NULL,
					   right ? "a false alarm" : "a bug was missed");
			if (!right && obeys(&r, &fault.packet))
				fail_round(&r, &fault.packet, "the counterexample is none");
			n_bugs += !right;
			n_harmless += right;
		}
		round_end(&r);
	}
	print_message("%u bugs found, %u that change nothing\n", n_bugs, n_harmless);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_tables_are_found_right),
		cmocka_unit_test(every_bug_that_matters_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
