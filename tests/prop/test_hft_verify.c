// SPDX-License-Identifier: Apache-2.0
// The checker against brute force over every packet of a small universe: right tables, and tables with bugs. A bug that
// changes some packet's action is found, with a packet that shows it; one that changes nothing is no fault.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hft/verify.h"
#include "tests/prop/parts_random.h"

#define ROWS_MAX 400
#define N_BUGS 200 // that change something

struct round {
	struct random_policy policy;
	struct part_row rows[ROWS_MAX], wrong[ROWS_MAX];
	uint32_t n, n_wrong;
};

static void fail_round(const struct round *r, const struct match_packet *packet, const char *what)
{
	print_policy(&r->policy);
	for (uint32_t i = 0; i < r->n_wrong; i++) {
		struct box box = r->wrong[i].box;

		fprintf(stderr, "row id %llu share %u part %u access %u categories %u %u\n",
			(unsigned long long)r->wrong[i].id, r->wrong[i].node, r->wrong[i].part, r->wrong[i].access,
			r->wrong[i].access_category, r->wrong[i].meter_category);
		print_match("    ", &(struct match){.boxes = &box, .n_boxes = 1});
	}
	if (packet != NULL)
		print_packet(packet);
	fail_msg("%s; PANE_SEED=%llu PANE_ROUNDS=1 repeats this", what, (unsigned long long)r->policy.seed);
}

static int collect(void *ctx, const struct part_row *row)
{
	struct round *r = ctx;

	if (r->n == ROWS_MAX)
		abort();
	r->rows[r->n++] = *row;
	return 0;
}

static void compile(struct round *r)
{
	struct random_policy *p = &r->policy;
	struct parts *parts = parts_create(p->nodes);
	struct err err;

	if (parts_compile(&p->tree, 0, p->nodes, parts, &err) < 0)
		fail_round(r, NULL, err.msg);
	for (uint32_t i = 1; i < p->tree.n_nodes; i++) {
		for (uint32_t j = 0; j < p->shares[i].n_boxes; j++) {
			struct part_row row = share_row(p, i, &p->shares[i].boxes[j]);
			int ret = parts_add(parts, &row, NULL, &err);

			if (ret < 0 && ret != -EEXIST)
				fail_round(r, NULL, err.msg);
		}
	}
	for (uint32_t i = 0; i < BACKGROUNDS; i++) {
		for (uint32_t j = 0; j < p->backgrounds[i].n_boxes; j++) {
			struct part_row row = background_row(p, i, &p->backgrounds[i].boxes[j]);
			int ret = parts_add(parts, &row, NULL, &err);

			if (ret < 0 && ret != -EEXIST)
				fail_round(r, NULL, err.msg);
		}
	}
	r->n = 0;
	parts_each(parts, collect, r);
	memcpy(r->wrong, r->rows, sizeof(r->rows));
	r->n_wrong = r->n;
	parts_destroy(parts);
}

static void round_start(struct round *r, uint64_t seed)
{
	struct random_policy *p = &r->policy;

	random_policy_init(p, seed, seed % 8 == 0, 2);
	p->dims |= 1u << MATCH_TIME;
	for (uint32_t n = 1 + rng_below(&p->rng, p->crowd ? 60 : 10), id = 1; id <= n; id++) {
		struct atom atom = random_policy_atom(p, id);

		if (tree_add_atom(&p->tree, &atom) < 0)
			abort();
	}
	compile(r);
}

static void round_end(struct round *r)
{
	random_policy_fini(&r->policy);
}

// Policy and rows into a checker. -EINVAL: a row's categories are not fit.
static int load(struct round *r, struct verify **out)
{
	const struct random_policy *p = &r->policy;
	struct verify *v = verify_create(p->nodes);
	int ret = 0;

	for (uint32_t i = 0; i < p->tree.n_atoms; i++) {
		const struct atom *atom = &p->tree.atoms[i];
		static const enum part parts[] = {PART_ACCESS, PART_RESERVE, PART_LIMIT, PART_PATH};

		if (verify_ask(v, parts[atom->part], atom->id, p->tree.nodes[atom->node].number, atom->access,
			       &atom->match) < 0)
			abort();
	}
	for (uint32_t i = 1; i < p->tree.n_nodes; i++) {
		if (verify_ask(v, PART_SHARE, 0, p->tree.nodes[i].number, ACCESS_NONE, &p->shares[i]) < 0)
			abort();
	}
	for (uint32_t i = 0; i < BACKGROUNDS; i++) {
		if (verify_ask(v, PART_BACKGROUND, BACKGROUND_ID + i, p->tree.nodes[background_node(p, i)].number,
			       ACCESS_NONE, &p->backgrounds[i]) < 0)
			abort();
	}
	for (uint32_t i = 0; i < r->n_wrong && ret == 0; i++)
		ret = verify_row(v, &r->wrong[i]);
	*out = v;
	return ret;
}

static bool too_many_meet(const struct round *r, const struct match_packet *packet)
{
	struct action a = eval_packet(&r->policy.tree, packet);

	return a.reservations.overflow || a.limits.overflow;
}

// Looks at every packet: the first or last of each cell of the grid, in the dimensions in use. Where rows of equal rank
// meet a lookup may yield either: both orders are tried.
static bool brute_force(struct round *r, uint32_t dims, bool *skip)
{
	struct part_row turned[ROWS_MAX];

	for (uint32_t i = 0; i < r->n_wrong; i++)
		turned[i] = r->wrong[r->n_wrong - 1 - i];
	*skip = false;
	for (uint32_t kind = 1; kind <= MATCH_KINDS_ALL; kind <<= 1) {
		uint32_t at[N_DIMS] = {0};

		do {
			struct match_packet packet = grid_packet(at, dims, kind);

			*skip |= too_many_meet(r, &packet);
			if (!rows_obey(&r->policy, r->wrong, r->n_wrong, &packet) ||
			    !rows_obey(&r->policy, turned, r->n_wrong, &packet))
				return false;
		} while (grid_next(at, dims, kind));
	}
	return true;
}

static void right_tables_are_found_right(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(400);
	static struct round r;

	for (uint64_t i = 0; i < rounds; i++) {
		struct verify_fault fault;
		struct verify *v;

		round_start(&r, seed + i);
		assert_int_equal(load(&r, &v), 0);
		if (verify_all(v, 0, VERIFY_EFFORT, &fault) != 1)
			fail_round(&r, &fault.packet, fault.part);
		verify_destroy(v);
		round_end(&r);
	}
}

static void move_bound(struct rng *rng, uint32_t dims, struct box *box)
{
	uint32_t dim;

	do {
		dim = rng_below(rng, N_DIMS);
	} while ((dims & 1u << dim) == 0);
	if (dim == DIM_SRC || dim == DIM_DST) {
		struct span128 *span = dim == DIM_SRC ? &box->src : &box->dst;
		bool v4 = (box->kinds & MATCH_KINDS_V4) != 0;
		u128 step = v4 ? (u128)1 << 96 : 1;

		if (span->hi - span->lo == ~(u128)0) {
			*span = random_address_span(rng, v4);
			box->kinds &= v4 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
		} else if (rng_below(rng, 2) == 0) {
			span->hi = span->hi - step > span->hi ? span->hi : span->hi - step;
		} else {
			span->lo += step;
		}
		return;
	}
	switch (rng_below(rng, 4)) {
	case 0:
		box->f[dim].hi--; // of 0: all, cut down by box_normalize
		break;
	case 1:
		box->f[dim].hi++;
		break;
	case 2:
		box->f[dim].lo++;
		break;
	default:
		box->f[dim] = random_span(rng, &field_grid[dim], match_field_max(dim));
	}
}

static void wrong_node(struct round *r, struct part_row *row)
{
	uint32_t node = rng_below(&r->policy.rng, r->policy.tree.n_nodes);

	row->node = r->policy.tree.nodes[node].number;
	if (rng_below(&r->policy.rng, 2) == 0)
		row->depth = (uint16_t)r->policy.tree.nodes[node].depth;
}

static void wrong_category(struct round *r, struct part_row *row)
{
	const struct part_row *other = &r->rows[rng_below(&r->policy.rng, r->n)];

	if (row->access_category != PARTS_NO_CATEGORY && rng_below(&r->policy.rng, 2) == 0)
		row->access_category = other->access_category;
	else if (row->meter_category != PARTS_NO_CATEGORY)
		row->meter_category = other->meter_category;
}

// One bug in a copy of the table. false: it came to nothing.
static bool plant_bug(struct round *r)
{
	struct rng *rng = &r->policy.rng;
	struct part_row *row;

	memcpy(r->wrong, r->rows, sizeof(r->rows));
	r->n_wrong = r->n;
	if (r->n == 0)
		return false;
	row = &r->wrong[rng_below(rng, r->n)];
	switch (rng_below(rng, 10)) {
	case 0:
		*row = r->wrong[--r->n_wrong];
		return true;
	case 1:
		row->access = row->access == ACCESS_DENY ? ACCESS_ALLOW : ACCESS_DENY;
		return row->access_category != PARTS_NO_CATEGORY;
	case 2:
		wrong_node(r, row);
		break;
	case 3:
		wrong_category(r, row);
		break;
	case 4:
		row->meter_category = PARTS_NO_CATEGORY;
		break;
	case 5:
		row->id = 1 + rng_below(rng, r->policy.tree.n_atoms + 1);
		return !part_hides(row->part);
	case 6:
		if (row->part != PART_RESERVE && row->part != PART_LIMIT)
			return false;
		row->part = row->part == PART_RESERVE ? PART_LIMIT : PART_RESERVE;
		break;
	case 7:
		row->box.f[MATCH_TIME] = random_span(rng, &field_grid[MATCH_TIME], MATCH_TIME_MAX);
		break;
	case 8:
		row->depth = (uint16_t)rng_below(rng, 4);
		break;
	default:
		move_bound(rng, r->policy.dims, &row->box);
	}
	return box_normalize(&row->box);
}

static bool rows_twice(const struct round *r)
{
	for (uint32_t i = 0; i < r->n_wrong; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (part_row_key(&r->wrong[i]) == part_row_key(&r->wrong[j]))
				return true;
		}
	}
	return false;
}

static void every_bug_that_matters_is_found(void **state)
{
	uint64_t seed = seed_from_env(1), rounds = rounds_from_env(0); // 0: till all are found
	uint32_t n_bugs = 0, n_harmless = 0, n_unfit = 0;
	static struct round r;

	for (uint64_t i = 0; rounds == 0 ? n_bugs < N_BUGS : i < rounds; i++) {
		struct verify_fault fault;
		struct verify *v;
		bool right, skip;
		int ret;

		round_start(&r, seed + i);
		if (!plant_bug(&r) || rows_twice(&r)) {
			round_end(&r);
			continue;
		}
		if (load(&r, &v) == 0) {
			right = brute_force(&r, r.policy.dims, &skip);
			ret = verify_all(v, 0, VERIFY_EFFORT, &fault);
			if (!skip && ret != right)
				fail_round(&r, right ? &fault.packet : NULL,
					   right ? "a false alarm" : "a bug was missed");
			if (!skip && ret == 0) {
				struct part_row turned[ROWS_MAX];

				for (uint32_t j = 0; j < r.n_wrong; j++)
					turned[j] = r.wrong[r.n_wrong - 1 - j];
				if (rows_obey(&r.policy, r.wrong, r.n_wrong, &fault.packet) &&
				    rows_obey(&r.policy, turned, r.n_wrong, &fault.packet))
					fail_round(&r, &fault.packet, "the counterexample is none");
			}
			n_bugs += !right;
			n_harmless += right;
		} else {
			n_unfit++;
		}
		verify_destroy(v);
		round_end(&r);
	}
	print_message("%u bugs found, %u that change nothing, %u rows with unfit categories\n", n_bugs, n_harmless,
		      n_unfit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_tables_are_found_right),
		cmocka_unit_test(every_bug_that_matters_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
