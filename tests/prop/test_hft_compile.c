// SPDX-License-Identifier: Apache-2.0
// Random policy trees: the compiled table, whole and condensed, gives every packet the evaluator's action.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/eval.h"
#include "tests/prop/hft_random.h"

#define NODES_MAX 8
#define ATOMS_MAX 12
#define N_PACKETS 300

struct round {
	struct rng rng;
	uint64_t seed;
	uint32_t dims;
	struct tree tree;
	struct flowtab table;
	int64_t now_ns;
};

static struct atom random_atom(struct round *r, uint64_t id)
{
	struct atom atom = {.id = id, .node = rng_below(&r->rng, r->tree.n_nodes), .part = rng_below(&r->rng, 4)};

	if (rng_below(&r->rng, 2) == 0)
		atom.part = ATOM_ACCESS;
	if (atom.part == ATOM_ACCESS)
		atom.access = rng_below(&r->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_DENY;
	else
		atom.access = rng_below(&r->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_NONE;
	if (atom.part == ATOM_PATH)
		atom.path = ATOM_ACCESS_ONLY + rng_below(&r->rng, 3);
	random_match(&r->rng, r->dims, 3, &atom.match);
	return atom;
}

static void add_atom(struct round *r, uint64_t id)
{
	struct atom atom = random_atom(r, id);

	if (tree_add_atom(&r->tree, &atom) < 0)
		abort();
}

static void fail_round(const struct round *r, const struct match_packet *packet, const char *what)
{
	static const char *const parts[] = {"access", "reserve", "limit", "path"};

	for (uint32_t i = 0; i < r->tree.n_nodes; i++)
		fprintf(stderr, "node %u parent %d\n", i, (int)r->tree.nodes[i].parent);
	for (uint32_t i = 0; i < r->tree.n_atoms; i++) {
		const struct atom *atom = &r->tree.atoms[i];

		fprintf(stderr, "atom %llu node %u %s access %d\n", (unsigned long long)atom->id, atom->node,
			parts[atom->part], atom->access);
		print_match("    ", &atom->match);
	}
	for (uint32_t i = 0; i < r->table.n_rows; i++) {
		const struct row *row = &r->table.rows[i];
		struct box box = row->box;

		fprintf(stderr, "row rank %u access %d, %u reservations, %u limits\n", row->rank, row->action.access,
			row->action.reservations.n, row->action.limits.n);
		print_match("    ", &(struct match){.boxes = &box, .n_boxes = 1});
	}
	if (packet != NULL)
		print_packet(packet);
	fail_msg("%s: now %lld; PANE_SEED=%llu PANE_ROUNDS=1 repeats this", what, (long long)r->now_ns,
		 (unsigned long long)r->seed);
}

static void round_start(struct round *r, uint64_t seed)
{
	uint32_t n_nodes, n_atoms;

	*r = (struct round){.seed = seed, .rng.state = seed};
	r->dims = random_dims(&r->rng, 1 + rng_below(&r->rng, 5));
	r->now_ns = rng_below(&r->rng, 3) > 0 ? 0 : (int64_t)rng_below(&r->rng, 35);
	tree_init(&r->tree);
	flowtab_init(&r->table);
	n_nodes = 1 + rng_below(&r->rng, NODES_MAX);
	n_atoms = rng_below(&r->rng, ATOMS_MAX + 1);
	for (uint32_t i = 0; i < n_nodes; i++) {
		uint32_t parent = i == 0 ? TREE_NO_PARENT : rng_below(&r->rng, i);

		if (tree_add_node(&r->tree, parent) < 0)
			abort();
	}
	for (uint32_t i = 0; i < n_atoms; i++)
		add_atom(r, 100 + rng_below(&r->rng, 2) * 1000 + i);
}

static void round_end(struct round *r)
{
	tree_fini(&r->tree);
	flowtab_fini(&r->table);
}

static void compile(struct round *r, struct flowtab *table)
{
	struct err err;

	if (hft_compile(&r->tree, r->now_ns, COMPILE_ROWS_MAX, table, &err) < 0)
		fail_round(r, NULL, err.msg);
}

// Rows of the highest rank among those that match: before condensing there is one, after it all agree.
static bool ranks_decide(const struct flowtab *table, const struct match_packet *packet, bool alone)
{
	const struct row *first = flowtab_find(table, packet);

	for (const struct row *row = first; row != NULL && row < table->rows + table->n_rows; row++) {
		if (row == first || !box_covers(&row->box, packet))
			continue;
		if (row->rank > first->rank)
			return false;
		if (row->rank == first->rank && (alone || !action_equal(&row->action, &first->action)))
			return false;
	}
	return true;
}

static void check_table(struct round *r, bool condensed)
{
	for (int i = 0; i < N_PACKETS; i++) {
		struct match_packet packet = random_packet(&r->rng, r->dims | 1u << MATCH_TIME);
		struct action want, got = action_none();
		const struct row *row;

		if ((int64_t)packet.f[MATCH_TIME] < r->now_ns)
			continue;
		want = eval_packet(&r->tree, &packet);
		row = flowtab_find(&r->table, &packet);
		if (row != NULL)
			got = row->action;
		if (!action_equal(&want, &got))
			fail_round(r, &packet, condensed ? "condensed table" : "table");
		if (!ranks_decide(&r->table, &packet, !condensed))
			fail_round(r, &packet, condensed ? "ranks of the condensed table" : "ranks");
	}
}

static void table_and_condensed_table_equal_the_evaluator(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(2000);
	uint64_t n_rows = 0, n_dropped = 0;
	struct round r;
	int dropped;

	for (uint64_t i = 0; i < rounds; i++) {
		round_start(&r, seed + i);
		compile(&r, &r.table);
		n_rows += r.table.n_rows;
		check_table(&r, false);
		dropped = condense(&r.table);
		if (dropped < 0)
			fail_round(&r, NULL, "condense");
		n_dropped += (uint32_t)dropped;
		check_table(&r, true);
		round_end(&r);
	}
	print_message("%llu trees, %llu rows, %llu dropped\n", (unsigned long long)rounds, (unsigned long long)n_rows,
		      (unsigned long long)n_dropped);
}

static bool has_key(const struct flowtab *table, uint64_t key)
{
	for (uint32_t i = 0; i < table->n_rows; i++) {
		if (row_key(&table->rows[i]) == key)
			return true;
	}
	return false;
}

static bool within_a_box(const struct box *box, const struct match *m)
{
	for (uint32_t i = 0; i < m->n_boxes; i++) {
		if (box_contains(&m->boxes[i], box))
			return true;
	}
	return false;
}

static void adding_a_request_keeps_the_rows_outside_it(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(1000);
	struct flowtab before;
	struct round r;

	flowtab_init(&before);
	for (uint64_t i = 0; i < rounds; i++) {
		round_start(&r, seed + i);
		compile(&r, &before);
		add_atom(&r, 50);
		compile(&r, &r.table);
		for (uint32_t j = 0; j < before.n_rows; j++) {
			const struct row *row = &before.rows[j];

			if (within_a_box(&row->box, &r.tree.atoms[r.tree.n_atoms - 1].match))
				continue;
			if (!has_key(&r.table, row_key(row)))
				fail_round(&r, NULL, "a row outside the new request changed its key");
		}
		round_end(&r);
	}
	flowtab_fini(&before);
}

static void order_of_requests_does_not_matter(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(500);
	struct flowtab forward;
	struct round r;

	flowtab_init(&forward);
	for (uint64_t i = 0; i < rounds; i++) {
		round_start(&r, seed + i);
		compile(&r, &forward);
		for (uint32_t j = 0; j < r.tree.n_atoms / 2; j++) {
			struct atom swap = r.tree.atoms[j];

			r.tree.atoms[j] = r.tree.atoms[r.tree.n_atoms - 1 - j];
			r.tree.atoms[r.tree.n_atoms - 1 - j] = swap;
		}
		compile(&r, &r.table);
		if (forward.n_rows != r.table.n_rows)
			fail_round(&r, NULL, "number of rows depends on the order");
		for (uint32_t j = 0; j < forward.n_rows; j++) {
			if (row_key(&forward.rows[j]) != row_key(&r.table.rows[j]))
				fail_round(&r, NULL, "rows depend on the order");
		}
		round_end(&r);
	}
	flowtab_fini(&forward);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_and_condensed_table_equal_the_evaluator),
		cmocka_unit_test(adding_a_request_keeps_the_rows_outside_it),
		cmocka_unit_test(order_of_requests_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
