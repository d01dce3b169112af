// SPDX-License-Identifier: Apache-2.0
// `pane-bench verify`: the policy of a command script, clock at 0: how long proving one change takes (a request taken
// out and put back, policy and rows, then its region checked, with the effort that a sample may take), and the whole
// table.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "control/engine.h"
#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/parts_compile.h"
#include "hft/verify.h"
#include "hft/verify_flat.h"

#define CHANGES 2000

struct checked {
	struct tree tree;
	struct parts_nodes *nodes;
	struct parts *parts;
	struct verify *verify;
};

static void checked_fini(struct checked *c)
{
	verify_destroy(c->verify);
	parts_destroy(c->parts);
	parts_nodes_destroy(c->nodes);
	tree_fini(&c->tree);
}

static enum part part_of(const struct atom *atom)
{
	static const enum part parts[] = {
		[ATOM_ACCESS] = PART_ACCESS,
		[ATOM_RESERVE] = PART_RESERVE,
		[ATOM_LIMIT] = PART_LIMIT,
		[ATOM_PATH] = PART_PATH,
	};

	return parts[atom->part];
}

static int ask(struct checked *c, const struct atom *atom)
{
	return verify_ask(c->verify, part_of(atom), atom->id, c->tree.nodes[atom->node].number, atom->access,
			  &atom->match);
}

static int tell_row(void *ctx, const struct part_row *row)
{
	return verify_row(ctx, row);
}

static int load(const struct bench_policy *policy, struct checked *c, struct err *err)
{
	int ret = engine_policy(policy->engine, 0, &c->tree);

	if (ret < 0)
		return err_set(err, -ret, "policy tree: %s", strerror(-ret));
	c->nodes = parts_nodes_create();
	c->parts = c->nodes == NULL ? NULL : parts_create(c->nodes);
	c->verify = c->nodes == NULL ? NULL : verify_create(c->nodes);
	if (c->parts == NULL || c->verify == NULL)
		return err_set(err, ENOMEM, "out of memory");
	ret = parts_compile(&c->tree, 0, c->nodes, c->parts, err);
	for (uint32_t i = 0; i < c->tree.n_atoms && ret == 0; i++)
		ret = ask(c, &c->tree.atoms[i]);
	if (ret == 0)
		ret = parts_each(c->parts, tell_row, c->verify);
	return ret < 0 && err->code == 0 ? err_set(err, -ret, "verify: %s", strerror(-ret)) : ret;
}

// Policy and rows of an atom, in or out.
static int change(struct checked *c, const struct atom *atom, bool in)
{
	int ret =
		in ? ask(c, atom) : verify_unask(c->verify, part_of(atom), atom->id, c->tree.nodes[atom->node].number);

	for (uint32_t i = 0; i < atom->match.n_boxes && ret == 0; i++) {
		struct part_row row;

		if (!parts_row_of(&c->tree, atom, &atom->match.boxes[i], &row))
			continue;
		if (in)
			ret = verify_row(c->verify, parts_get(c->parts, part_row_key(&row)));
		else
			ret = verify_unrow(c->verify, part_row_key(&row));
	}
	return ret;
}

static int check_change(struct checked *c, const struct atom *atom, bool in, double *us, uint32_t *undecided,
			struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	struct verify_fault fault;
	int ret = change(c, atom, in);

	if (ret == 0)
		ret = verify_region(c->verify, &atom->match, 0, VERIFY_EFFORT_SHORT, &fault);
	*us = (double)(bench_now_ns() - start_ns) / 1e3;
	*undecided += ret == -E2BIG;
	if (ret == 1 || ret == -E2BIG)
		return 0;
	return err_set(err, EINVAL, "request %llu: %s", (unsigned long long)atom->id,
		       ret == 0 ? fault.part : strerror(-ret));
}

static int check_changes(struct checked *c, json_t *out, struct err *err)
{
	uint32_t n = c->tree.n_atoms < CHANGES ? c->tree.n_atoms : CHANGES;
	double *us = calloc(2 * (size_t)n + 1, sizeof(double));
	uint32_t undecided = 0;
	int ret = us == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	for (uint32_t i = 0; i < n && ret == 0; i++) {
		const struct atom *atom = &c->tree.atoms[(uint64_t)i * c->tree.n_atoms / n];

		ret = check_change(c, atom, false, &us[2 * (size_t)i], &undecided, err);
		if (ret == 0)
			ret = check_change(c, atom, true, &us[2 * (size_t)i + 1], &undecided, err);
	}
	if (ret == 0) {
		json_object_set_new(out, "changes", json_integer(2 * (json_int_t)n));
		json_object_set_new(out, "changes_undecided", json_integer(undecided));
		json_object_set_new(out, "change_p50_us", json_real(bench_quantile(us, 2 * (size_t)n, 0.5)));
		json_object_set_new(out, "change_p90_us", json_real(bench_quantile(us, 2 * (size_t)n, 0.9)));
		json_object_set_new(out, "change_p99_us", json_real(bench_quantile(us, 2 * (size_t)n, 0.99)));
		json_object_set_new(out, "change_max_us", json_real(bench_quantile(us, 2 * (size_t)n, 1)));
	}
	free(us);
	return ret;
}

static int check_all(struct checked *c, json_t *out, struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	struct verify_fault fault;
	int ret = verify_all(c->verify, 0, UINT32_MAX, &fault);

	json_object_set_new(out, "all_ms", json_real((double)(bench_now_ns() - start_ns) / 1e6));
	return ret == 1 ? 0 : err_set(err, EINVAL, "the table: %s", ret == 0 ? fault.part : strerror(-ret));
}

// The flat table of all, as OpenFlow switches with few tables get it. One that is too large is a result.
static int check_flat(struct checked *c, json_t *out, struct err *err)
{
	struct verify_flat_fault fault;
	struct flowtab ft;
	uint64_t start_ns;
	int ret;

	flowtab_init(&ft);
	ret = hft_compile(&c->tree, 0, COMPILE_ROWS_MAX, &ft, err);
	if (ret == 0)
		condense(&ft);
	start_ns = bench_now_ns();
	if (ret == 0)
		ret = verify_flat(&c->tree, &ft, 0, VERIFY_EFFORT, &fault);
	json_object_set_new(out, "flat_rows", json_integer(ft.n_rows));
	json_object_set_new(out, "flat_ms",
			    ret == 1 ? json_real((double)(bench_now_ns() - start_ns) / 1e6) : json_null());
	flowtab_fini(&ft);
	return ret == 0 ? err_set(err, EINVAL, "the flat table differs from the policy") : 0;
}

json_t *bench_verify(const struct bench_opts *opts, struct err *err)
{
	json_t *out = json_object();
	struct bench_policy policy = {0};
	struct checked c = {0};
	int ret = bench_policy_load(opts->file, &policy, err);

	tree_init(&c.tree);
	if (ret == 0)
		ret = load(&policy, &c, err);
	if (ret == 0) {
		json_object_set_new(out, "atoms", json_integer(c.tree.n_atoms));
		json_object_set_new(out, "rows", json_integer(parts_n_rows(c.parts)));
		bench_progress("one change after the other", 0, 0);
		ret = check_changes(&c, out, err);
	}
	bench_progress("the whole table", 0, 0);
	if (ret == 0)
		ret = check_all(&c, out, err);
	bench_progress("the flat table", 0, 0);
	if (ret == 0 && !opts->no_flat)
		ret = check_flat(&c, out, err);
	if (ret < 0) {
		json_decref(out);
		out = NULL;
	}
	checked_fini(&c);
	bench_policy_free(&policy);
	return out;
}
