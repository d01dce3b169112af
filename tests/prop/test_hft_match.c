// SPDX-License-Identifier: Apache-2.0
// Every set operation against brute force: over a few dimensions, all packets that could tell.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/prop/hft_random.h"

#define POINTS_MAX 100000

struct points {
	struct match_packet at[POINTS_MAX];
	uint32_t n;
};

// All packets of the grid that differ in dims.
static void points_fill(struct points *points, uint32_t dims)
{
	points->n = 0;
	for (uint32_t kind = 1; kind <= MATCH_KINDS_ALL; kind <<= 1) {
		uint32_t first = points->n;

		points->at[points->n++] = plain_packet(kind);
		for (uint32_t dim = 0; dim < N_DIMS; dim++) {
			uint32_t end = points->n, n = grid_choices(dim, kind);

			if ((dims & 1u << dim) == 0)
				continue;
			for (uint32_t i = first; i < end; i++) {
				struct match_packet packet = points->at[i];

				for (uint32_t choice = 0; choice < n; choice++) {
					assert_true(points->n < POINTS_MAX);
					grid_set(&packet, dim, choice);
					if (choice == 0)
						points->at[i] = packet;
					else
						points->at[points->n++] = packet;
				}
			}
		}
	}
}

struct round {
	struct rng rng;
	struct points *points;
	uint32_t dims;
	struct match a, b, out;
	uint64_t seed;
};

static void fail_round(const struct round *r, const char *what)
{
	print_match("a", &r->a);
	print_match("b", &r->b);
	print_match("out", &r->out);
	fail_msg("%s: PANE_SEED=%llu PANE_ROUNDS=1 repeats this", what, (unsigned long long)r->seed);
}

static void round_start(struct round *r, uint64_t seed, uint32_t max_boxes)
{
	r->seed = seed;
	r->rng.state = seed;
	r->dims = random_dims(&r->rng, 1 + rng_below(&r->rng, 3));
	points_fill(r->points, r->dims);
	random_match(&r->rng, r->dims, max_boxes, &r->a);
	random_match(&r->rng, r->dims, max_boxes, &r->b);
}

static uint32_t times_covered(const struct match *m, const struct match_packet *packet)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_boxes; i++)
		n += box_covers(&m->boxes[i], packet);
	return n;
}

static void check_boxes(struct round *r)
{
	struct box a = random_box(&r->rng, r->dims), b = random_box(&r->rng, r->dims), common;
	bool in_both = false, a_holds_b = true, same = true, meet;
	uint32_t field = rng_below(&r->rng, 2) == 0 ? MATCH_PROTO : rng_below(&r->rng, MATCH_N_FIELDS);

	if (rng_below(&r->rng, 2) == 0) { // nearly equal
		common = a;
		common.f[field] = b.f[field];
		if (box_normalize(&common))
			b = common;
	}
	meet = box_intersect(&a, &b, &common);

	match_fini(&r->a);
	match_fini(&r->b);
	match_fini(&r->out);
	match_add(&r->a, &a);
	match_add(&r->b, &b);
	for (uint32_t i = 0; i < r->points->n; i++) {
		const struct match_packet *p = &r->points->at[i];
		bool in_a = box_covers(&a, p), in_b = box_covers(&b, p);

		in_both |= in_a && in_b;
		a_holds_b &= in_a || !in_b;
		same &= in_a == in_b;
		if (meet && box_covers(&common, p) != (in_a && in_b))
			fail_round(r, "box_intersect");
	}
	if (meet != in_both || box_overlaps(&a, &b) != in_both)
		fail_round(r, "box_intersect or box_overlaps: empty or not");
	if (box_contains(&a, &b) != a_holds_b)
		fail_round(r, "box_contains");
	if (box_equal(&a, &b) != same || (same && box_hash(&a) != box_hash(&b)))
		fail_round(r, "box_equal");
}

static void check_sets(struct round *r)
{
	bool subset = true, equal = true, overlap = false, a_empty = true;
	struct match out = {0};

	if (match_subtract(&out, &r->a, &r->b) < 0)
		abort();
	match_fini(&r->out);
	match_move(&r->out, &out);
	for (uint32_t i = 0; i < r->points->n; i++) {
		const struct match_packet *p = &r->points->at[i];
		bool in_a = match_covers(&r->a, p), in_b = match_covers(&r->b, p);
		uint32_t n = times_covered(&r->out, p);

		a_empty &= !in_a;
		overlap |= in_a && in_b;
		subset &= !in_a || in_b;
		equal &= in_a == in_b;
		if ((n > 0) != (in_a && !in_b))
			fail_round(r, "match_subtract");
		if (n > times_covered(&r->a, p))
			fail_round(r, "match_subtract: pieces of one box overlap");
	}
	if (match_is_empty(&r->out) != subset || match_subset(&r->a, &r->b) != subset)
		fail_round(r, "match_is_empty of the difference, or match_subset");
	if (match_equal(&r->a, &r->b) != equal)
		fail_round(r, "match_equal");
	if (match_overlaps(&r->a, &r->b) != overlap)
		fail_round(r, "match_overlaps");
	if (match_is_empty(&r->a) != a_empty)
		fail_round(r, "match_is_empty");
}

static void check_union_and_intersection(struct round *r)
{
	struct match both = {0};

	if (match_intersect(&r->out, &r->a, &r->b) < 0 || match_union(&both, &r->a, &r->b) < 0)
		abort();
	for (uint32_t i = 0; i < r->points->n; i++) {
		const struct match_packet *p = &r->points->at[i];
		bool in_a = match_covers(&r->a, p), in_b = match_covers(&r->b, p);

		if (match_covers(&r->out, p) != (in_a && in_b))
			fail_round(r, "match_intersect");
		if (match_covers(&both, p) != (in_a || in_b))
			fail_round(r, "match_union");
	}
	match_fini(&both);
}

// With little effort box_within may miss a cover, never invent one.
static void check_within(struct round *r)
{
	struct box box = random_box(&r->rng, r->dims);
	const struct box *cover[8];
	bool covered = true;

	for (uint32_t i = 0; i < r->b.n_boxes; i++)
		cover[i] = &r->b.boxes[i];
	for (uint32_t i = 0; i < r->points->n; i++)
		covered &= !box_covers(&box, &r->points->at[i]) || match_covers(&r->b, &r->points->at[i]);
	match_fini(&r->a);
	match_add(&r->a, &box);
	for (uint32_t effort = 0; effort < 4; effort++) {
		if (box_within(&box, cover, r->b.n_boxes, effort) == 1 && !covered)
			fail_round(r, "box_within invents a cover");
	}
	if (box_within(&box, cover, r->b.n_boxes, UINT32_MAX) != covered)
		fail_round(r, "box_within");
}

static void set_operations_agree_with_brute_force(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(4000);
	struct round r = {.points = malloc(sizeof(*r.points))};

	assert_non_null(r.points);
	for (uint64_t i = 0; i < rounds; i++) {
		round_start(&r, seed + i, 5);
		check_sets(&r);
		check_union_and_intersection(&r);
		check_within(&r);
		for (int j = 0; j < 4; j++)
			check_boxes(&r);
	}
	match_fini(&r.a);
	match_fini(&r.b);
	match_fini(&r.out);
	free(r.points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_operations_agree_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
