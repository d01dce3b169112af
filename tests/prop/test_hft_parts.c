// SPDX-License-Identifier: Apache-2.0
// Random policy trees by parts: what a lookup yields, combined, is the evaluator's action for every packet, after any
// history of additions and ends; categories stay legal; keys name the content.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hft/eval.h"
#include "hft/parts_compile.h"
#include "tests/prop/hft_random.h"

#define NODES_MAX 60
#define ATOMS_MAX 16
#define CROWD_MAX 120 // atoms side by side: more than the first plane has room for
#define ROWS_MAX 1024
#define N_PACKETS 200
#define BACKGROUND_ID 100000

struct round {
	struct rng rng;
	uint64_t seed;
	uint32_t dims;
	struct tree tree;
	struct match shares[NODES_MAX]; // of those that the scheduler tells apart
	struct match background;
	struct parts_nodes *nodes;
	struct parts *parts;
	// The rows as somebody far away knows them, who is told only of additions, ends and moves.
	struct part_row far[ROWS_MAX];
	uint32_t n_far, n_moved;
	bool crowd;
};

static void fail_round(const struct round *r, const struct match_packet *packet, const char *what)
{
	for (uint32_t i = 0; i < r->tree.n_nodes; i++)
		fprintf(stderr, "node %u: share %u, parent %d\n", i, r->tree.nodes[i].number,
			(int)r->tree.nodes[i].parent);
	for (uint32_t i = 0; i < r->tree.n_atoms; i++) {
		const struct atom *atom = &r->tree.atoms[i];

		fprintf(stderr, "atom %llu node %u part %d access %d\n", (unsigned long long)atom->id, atom->node,
			atom->part, atom->access);
		print_match("    ", &atom->match);
	}
	if (packet != NULL)
		print_packet(packet);
	fail_msg("%s; PANE_SEED=%llu PANE_ROUNDS=1 repeats this", what, (unsigned long long)r->seed);
}

// Share numbers that are no indexes, and a child's may be lower than its parent's.
static void build_nodes(struct round *r)
{
	uint32_t n = 1 + rng_below(&r->rng, r->crowd ? NODES_MAX : 10), salt = rng_below(&r->rng, 1000);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t parent = i == 0 ? TREE_NO_PARENT : rng_below(&r->rng, r->crowd && i > 8 ? 8 : i);

		if (tree_add_node(&r->tree, parent) < 0)
			abort();
		if (i > 0)
			r->tree.nodes[i].number = 1 + (i * 7919 + salt) % 1009;
	}
}

static struct atom random_atom(struct round *r, uint64_t id)
{
	struct atom atom = {.id = id, .node = rng_below(&r->rng, r->tree.n_nodes), .part = rng_below(&r->rng, 4)};

	if (rng_below(&r->rng, 2) == 0)
		atom.part = ATOM_ACCESS;
	if (atom.part == ATOM_ACCESS)
		atom.access = rng_below(&r->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_DENY;
	else
		atom.access = rng_below(&r->rng, 2) == 0 ? ACCESS_ALLOW : ACCESS_NONE;
	random_match(&r->rng, r->dims, 3, &atom.match);
	return atom;
}

static struct part_row *far_row(struct round *r, uint64_t key)
{
	for (uint32_t i = 0; i < r->n_far; i++) {
		if (part_row_key(&r->far[i]) == key)
			return &r->far[i];
	}
	return NULL;
}

static void note_moved(void *ctx, const struct part_row *row)
{
	struct round *r = ctx;

	r->n_moved++;
	*far_row(r, part_row_key(row)) = *row;
}

static void note_gone(void *ctx, const struct part_row *row)
{
	struct round *r = ctx;
	struct part_row *far = far_row(r, part_row_key(row));

	*far = r->far[--r->n_far];
}

static void add_row(struct round *r, const struct part_row *row)
{
	struct part_row out;
	struct err err = {0};
	int ret = parts_add(r->parts, row, &out, &err);

	if (ret == -EEXIST)
		return;
	if (ret < 0)
		fail_round(r, NULL, err.msg);
	if (part_row_key(&out) != part_row_key(row))
		fail_round(r, NULL, "the categories changed a row's key");
	if (r->n_far == ROWS_MAX)
		abort();
	r->far[r->n_far++] = out;
}

// Each box of the atom as a row of its own, in or out.
static void put_atom(struct round *r, const struct atom *atom, bool in)
{
	for (uint32_t i = 0; i < atom->match.n_boxes; i++) {
		struct part_row row;

		if (!parts_row_of(&r->tree, atom, &atom->match.boxes[i], &row))
			continue;
		if (in)
			add_row(r, &row);
		else if (parts_del(r->parts, part_row_key(&row)) == 0)
			note_gone(r, &row);
	}
}

static void add_shares(struct round *r)
{
	for (uint32_t i = 1; i < r->tree.n_nodes; i++) {
		if (rng_below(&r->rng, 2) == 0)
			continue;
		random_match(&r->rng, r->dims & ~1u, 2, &r->shares[i]);
		for (uint32_t j = 0; j < r->shares[i].n_boxes; j++) {
			const struct part_row row = {
				.box = r->shares[i].boxes[j],
				.node = r->tree.nodes[i].number,
				.depth = (uint16_t)r->tree.nodes[i].depth,
				.part = PART_SHARE,
				.access_category = PARTS_NO_CATEGORY,
				.meter_category = PARTS_NO_CATEGORY,
			};

			add_row(r, &row);
		}
	}
}

// Hints at a random node.
static void add_backgrounds(struct round *r)
{
	uint32_t node = rng_below(&r->rng, r->tree.n_nodes);

	random_match(&r->rng, r->dims, 4, &r->background);
	for (uint32_t i = 0; i < r->background.n_boxes; i++) {
		const struct part_row row = {
			.box = r->background.boxes[i],
			.id = BACKGROUND_ID + i,
			.node = r->tree.nodes[node].number,
			.depth = (uint16_t)r->tree.nodes[node].depth,
			.part = PART_BACKGROUND,
			.access_category = PARTS_NO_CATEGORY,
			.meter_category = PARTS_NO_CATEGORY,
		};

		add_row(r, &row);
	}
}

static void round_start(struct round *r, uint64_t seed)
{
	*r = (struct round){.seed = seed, .rng.state = seed};
	r->crowd = seed % 8 == 0;
	r->dims = random_dims(&r->rng, 1 + rng_below(&r->rng, r->crowd ? 3 : 5));
	tree_init(&r->tree);
	build_nodes(r);
	r->nodes = parts_nodes_create();
	r->parts = parts_create(r->nodes);
	for (uint32_t i = 1; i < r->tree.n_nodes; i++) {
		uint32_t parent = r->tree.nodes[r->tree.nodes[i].parent].number;

		if (parts_nodes_set(r->nodes, r->tree.nodes[i].number, parent) < 0)
			abort();
	}
	parts_on_moved(r->parts, note_moved, r);
	add_shares(r);
	if (rng_below(&r->rng, 2) == 0)
		add_backgrounds(r);
}

static void round_end(struct round *r)
{
	parts_destroy(r->parts);
	parts_nodes_destroy(r->nodes);
	for (uint32_t i = 0; i < NODES_MAX; i++)
		match_fini(&r->shares[i]);
	match_fini(&r->background);
	tree_fini(&r->tree);
}

static void add_atom(struct round *r, uint64_t id)
{
	struct atom atom = random_atom(r, id);

	put_atom(r, &atom, true);
	if (tree_add_atom(&r->tree, &atom) < 0)
		abort();
}

static void drop_atom(struct round *r)
{
	uint32_t i = rng_below(&r->rng, r->tree.n_atoms);

	put_atom(r, &r->tree.atoms[i], false);
	match_fini(&r->tree.atoms[i].match);
	r->tree.atoms[i] = r->tree.atoms[--r->tree.n_atoms];
}

static uint32_t share_of(const struct round *r, const struct match_packet *packet)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < r->tree.n_nodes; i++) {
		const struct tree_node *node = &r->tree.nodes[i], *top = &r->tree.nodes[best];

		if (match_covers(&r->shares[i], packet) && (best == 0 || node->depth > top->depth ||
							    (node->depth == top->depth && node->number < top->number)))
			best = i;
	}
	return r->tree.nodes[best].number;
}

// Only a denial counts: an allow that overrides nothing may be parked.
static bool same_action(struct action *want, struct action *got)
{
	if (want->access == ACCESS_ALLOW && got->access == ACCESS_NONE)
		got->access = ACCESS_ALLOW;
	return action_equal(want, got);
}

static void check_packets(struct round *r, uint64_t from_ns)
{
	for (int i = 0; i < N_PACKETS; i++) {
		struct match_packet packet = random_packet(&r->rng, r->dims | 1u << MATCH_TIME);
		struct parts_visible visible;
		struct parts_decision got;
		struct action want;

		if (packet.f[MATCH_TIME] < from_ns)
			continue;
		want = eval_packet(&r->tree, &packet);
		parts_find(r->parts, &packet, &visible);
		got = parts_decide(r->nodes, &visible);
		if (want.reservations.overflow || want.limits.overflow)
			continue;
		if (!same_action(&want, &got.action))
			fail_round(r, &packet, "action");
		if (got.node != share_of(r, &packet))
			fail_round(r, &packet, "share");
		if (got.background != match_covers(&r->background, &packet))
			fail_round(r, &packet, "background");
		parts_find_among(r->far, r->n_far, &packet, &visible);
		got = parts_decide(r->nodes, &visible);
		if (!same_action(&want, &got.action) || got.node != share_of(r, &packet) ||
		    got.background != match_covers(&r->background, &packet))
			fail_round(r, &packet, "far away");
	}
}

struct rows {
	struct part_row row[ROWS_MAX];
	uint32_t n;
};

static int collect(void *ctx, const struct part_row *row)
{
	struct rows *rows = ctx;

	assert_true(rows->n < ROWS_MAX);
	rows->row[rows->n++] = *row;
	return 0;
}

static bool in_line(const struct round *r, const struct part_row *a, const struct part_row *b)
{
	return a->node == b->node || parts_nodes_below(r->nodes, a->node, b->node) ||
	       parts_nodes_below(r->nodes, b->node, a->node);
}

static void check_categories(const struct round *r)
{
	static struct rows rows;

	rows.n = 0;
	parts_each(r->parts, collect, &rows);
	if (rows.n != parts_n_rows(r->parts))
		fail_round(r, NULL, "number of rows");
	for (uint32_t i = 0; i < rows.n; i++) {
		const struct part_row *a = &rows.row[i];
		bool meter = part_has_meter_category(a->part);

		if ((a->access == ACCESS_NONE && a->access_category != PARTS_NO_CATEGORY) ||
		    (a->access == ACCESS_DENY && a->access_category >= parts_n_categories(r->parts)) ||
		    meter != (a->meter_category < parts_n_categories(r->parts)))
			fail_round(r, NULL, "a row has a category too few or too many");
		for (uint32_t j = 0; j < i; j++) {
			const struct part_row *b = &rows.row[j];

			if ((a->access_category == b->meter_category && a->access_category != PARTS_NO_CATEGORY) ||
			    (b->access_category == a->meter_category && b->access_category != PARTS_NO_CATEGORY))
				fail_round(r, NULL, "one category for access and meters");
			if (!box_overlaps(&a->box, &b->box))
				continue;
			if (meter && !part_hides(a->part) && a->meter_category == b->meter_category)
				fail_round(r, NULL, "rows of one meter category overlap");
			if (a->access_category != PARTS_NO_CATEGORY && a->access_category != PARTS_FINAL_CATEGORY &&
			    a->access_category == b->access_category && !in_line(r, a, b))
				fail_round(r, NULL, "overlapping rows of one access category stand side by side");
		}
	}
}

static void any_history_equals_the_evaluator(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(1500);
	uint64_t n_moved = 0;
	static struct round r;

	print_message("seed %llu, %llu rounds\n", (unsigned long long)seed, (unsigned long long)rounds);
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t id = 1;

		round_start(&r, seed + i);
		for (uint32_t step = rng_below(&r.rng, 2 * (r.crowd ? CROWD_MAX : ATOMS_MAX)); step > 0; step--) {
			if (r.tree.n_atoms == CROWD_MAX || (r.tree.n_atoms > 0 && rng_below(&r.rng, 3) == 0))
				drop_atom(&r);
			else
				add_atom(&r, id++);
		}
		check_packets(&r, 0);
		check_categories(&r);
		n_moved += r.n_moved;
		round_end(&r);
	}
	print_message("%llu rows moved\n", (unsigned long long)n_moved);
	if (rounds >= 1000)
		assert_true(n_moved > 100);
}

// Rows of the parts, and of a compilation of the tree from nothing, are the same but for their categories.
static void any_history_equals_a_fresh_compile(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(500);
	static struct round r;

	for (uint64_t i = 0; i < rounds; i++) {
		struct parts_nodes *nodes = parts_nodes_create();
		struct parts *fresh = parts_create(nodes);
		static struct rows rows;
		struct err err;
		uint32_t n = 0;

		round_start(&r, seed + i);
		for (uint64_t id = 1; id < ATOMS_MAX; id++)
			add_atom(&r, id);
		for (uint32_t n_drop = rng_below(&r.rng, ATOMS_MAX); n_drop > 0; n_drop--)
			drop_atom(&r);
		if (parts_compile(&r.tree, 0, nodes, fresh, &err) < 0)
			fail_round(&r, NULL, err.msg);
		rows.n = 0;
		parts_each(r.parts, collect, &rows);
		for (uint32_t j = 0; j < rows.n; j++) {
			if (part_hides(rows.row[j].part))
				continue;
			n++;
			if (parts_get(fresh, part_row_key(&rows.row[j])) == NULL)
				fail_round(&r, NULL, "a row that a fresh compile does not have");
		}
		if (n != parts_n_rows(fresh))
			fail_round(&r, NULL, "a row less than a fresh compile has");
		parts_destroy(fresh);
		parts_nodes_destroy(nodes);
		round_end(&r);
	}
}

static void expiry_takes_what_is_over(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(300);
	static struct round r;

	for (uint64_t i = 0; i < rounds; i++) {
		static struct rows rows;

		round_start(&r, seed + i);
		r.dims |= 1u << MATCH_TIME;
		for (uint64_t id = 1; id < ATOMS_MAX; id++)
			add_atom(&r, id);
		for (int64_t now_ns = 0; now_ns < 40; now_ns += rng_below(&r.rng, 8)) {
			int64_t next_ns = INT64_MAX;

			parts_expire(r.parts, now_ns, note_gone, &r);
			rows.n = 0;
			parts_each(r.parts, collect, &rows);
			for (uint32_t j = 0; j < rows.n; j++) {
				int64_t end_ns = box_end_ns(&rows.row[j].box);

				if (end_ns < next_ns)
					next_ns = end_ns;
			}
			if (next_ns <= now_ns || next_ns != parts_next_end_ns(r.parts))
				fail_round(&r, NULL, "a row that is over, or a wrong next end");
			check_packets(&r, (uint64_t)now_ns);
		}
		check_categories(&r);
		round_end(&r);
	}
}

// Hints as a dataplane could give them: most of what it had, some of it nonsense.
static bool some_hint(void *ctx, uint64_t key, uint8_t *access_category, uint8_t *meter_category)
{
	struct round *r = ctx;
	const struct part_row *row = parts_get(r->parts, key);

	if (row == NULL || rng_below(&r->rng, 4) == 0)
		return false;
	*access_category = row->access_category == PARTS_NO_CATEGORY ? PARTS_NO_CATEGORY : row->access_category + 1;
	*meter_category = row->meter_category == PARTS_NO_CATEGORY ? PARTS_NO_CATEGORY : row->meter_category + 1;
	if (rng_below(&r->rng, 8) == 0)
		*access_category = (uint8_t)rng_below(&r->rng, 256);
	if (rng_below(&r->rng, 8) == 0)
		*meter_category = (uint8_t)rng_below(&r->rng, 256);
	return true;
}

static bool same_hint(void *ctx, uint64_t key, uint8_t *access_category, uint8_t *meter_category)
{
	const struct part_row *row = parts_get(ctx, key);

	*access_category = row->access_category;
	*meter_category = row->meter_category;
	return true;
}

static void recolouring_keeps_every_row_and_every_legal_hint(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(300);
	static struct rows before;
	struct err err;
	static struct round r;

	for (uint64_t i = 0; i < rounds; i++) {
		round_start(&r, seed + i);
		for (uint64_t id = 1; id < ATOMS_MAX; id++)
			add_atom(&r, id);
		if (parts_recolour(r.parts, some_hint, &r, &err) < 0)
			fail_round(&r, NULL, err.msg);
		check_packets(&r, 0);
		check_categories(&r);
		before.n = 0;
		parts_each(r.parts, collect, &before);
		if (parts_recolour(r.parts, same_hint, r.parts, &err) < 0)
			fail_round(&r, NULL, err.msg);
		check_categories(&r);
		for (uint32_t j = 0; j < before.n; j++) {
			const struct part_row *now = parts_get(r.parts, part_row_key(&before.row[j]));

			if (now == NULL || now->access_category != before.row[j].access_category ||
			    now->meter_category != before.row[j].meter_category)
				fail_round(&r, NULL, "a legal category was not taken over");
		}
		round_end(&r);
	}
}

static int add_at(struct parts *parts, uint32_t node, uint16_t depth, enum access access, struct err *err)
{
	const struct part_row row = {.box = box_any(),
				     .id = 1000 + node,
				     .node = node,
				     .depth = depth,
				     .part = PART_ACCESS,
				     .access = (uint8_t)access,
				     .access_category = PARTS_NO_CATEGORY,
				     .meter_category = PARTS_NO_CATEGORY};

	return parts_add(parts, &row, NULL, err);
}

// Shares side by side, each with a deny(*) that an allow(*) below overrides: each needs a category of its own.
static void requests_that_cannot_be_coloured_are_refused(void **state)
{
	enum { N = PARTS_CATEGORIES_MAX - 1 };
	struct parts_nodes *nodes = parts_nodes_create();
	struct parts *parts = parts_create(nodes);
	struct err err;

	for (uint32_t i = 1; i <= N + 1; i++) {
		assert_int_equal(parts_nodes_set(nodes, i, PARTS_ROOT), 0);
		assert_int_equal(parts_nodes_set(nodes, 1000 + i, i), 0);
	}
	for (uint32_t i = 1; i <= N; i++) {
		assert_int_equal(add_at(parts, i, 1, ACCESS_DENY, &err), 0);
		assert_int_equal(add_at(parts, 1000 + i, 2, ACCESS_ALLOW, &err), 0);
	}
	assert_int_equal(add_at(parts, N + 1, 1, ACCESS_DENY, &err), 0); // final
	assert_int_equal(add_at(parts, 1000 + N + 1, 2, ACCESS_ALLOW, &err), -E2BIG);
	assert_int_equal(parts_n_rows(parts), 2 * N + 1);
	assert_int_equal(add_at(parts, 7, 1, ACCESS_DENY, &err), -EEXIST);
	assert_int_equal(add_at(parts, 7, 2, ACCESS_DENY, &err), -ENOENT);
	assert_int_equal(add_at(parts, 7777, 1, ACCESS_DENY, &err), -ENOENT);
	parts_destroy(parts);
	parts_nodes_destroy(nodes);
}

static void deleting_what_is_not_there_is_said(void **state)
{
	struct parts_nodes *nodes = parts_nodes_create();
	struct parts *parts = parts_create(nodes);

	assert_int_equal(parts_del(parts, 17), -ENOENT);
	assert_null(parts_get(parts, 17));
	assert_int_equal(parts_next_end_ns(parts), INT64_MAX);
	parts_destroy(parts);
	parts_nodes_destroy(nodes);
}

static void nodes_follow_a_plain_map(void **state)
{
	enum { N = 400 };
	struct rng rng = {.state = seed_from_env(1)};
	int64_t parent[N] = {[1 ... N - 1] = -1};
	struct parts_nodes *nodes = parts_nodes_create();

	for (int step = 0; step < 5000; step++) {
		uint32_t number = rng_below(&rng, N), above = rng_below(&rng, N), low = rng_below(&rng, N);
		bool has_child = number == 0, below = false;

		for (uint32_t i = 1; i < N; i++)
			has_child |= parent[i] == number;
		if (rng_below(&rng, 3) == 0) {
			int want = number != 0 && parent[number] < 0 ? -ENOENT : has_child ? -EBUSY : 0;

			assert_int_equal(parts_nodes_del(nodes, number), want);
			if (want == 0)
				parent[number] = -1;
		} else {
			bool known = number == 0 || parent[number] >= 0;
			bool grounded = above == 0 || parent[above] >= 0;
			int want = known ? (number != 0 && parent[number] == above ? 0 : -EEXIST)
					 : (grounded && above != number ? 0 : -ENOENT);

			assert_int_equal(parts_nodes_set(nodes, number, above), want);
			if (want == 0)
				parent[number] = above;
		}
		if (low != 0 && parent[low] >= 0) {
			for (int64_t at = parent[low]; !below; at = parent[at]) {
				below = at == number;
				if (at == 0)
					break;
			}
		}
		assert_int_equal(parts_nodes_below(nodes, low, number), below);
	}
	parts_nodes_destroy(nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history_equals_the_evaluator),
		cmocka_unit_test(any_history_equals_a_fresh_compile),
		cmocka_unit_test(expiry_takes_what_is_over),
		cmocka_unit_test(recolouring_keeps_every_row_and_every_legal_hint),
		cmocka_unit_test(requests_that_cannot_be_coloured_are_refused),
		cmocka_unit_test(deleting_what_is_not_there_is_said),
		cmocka_unit_test(nodes_follow_a_plain_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
