// SPDX-License-Identifier: Apache-2.0
// `pane-bench compile`: the policy of a command script, clock at 0, as rows by parts and as the flat table.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "control/engine.h"
#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/parts_compile.h"

struct runs {
	double *parts_ms, *flat_ms;
};

static int policy_tree(const struct bench_policy *policy, struct tree *tree, struct err *err)
{
	int ret = engine_policy(policy->engine, 0, tree);

	return ret < 0 ? err_set(err, -ret, "policy tree: %s", strerror(-ret)) : 0;
}

static void count_atoms(const struct tree *tree, json_t *out)
{
	static const char *const names[] = {"access", "reserve", "limit", "path"};
	json_int_t n[4] = {0};
	json_t *parts = json_object();

	for (uint32_t i = 0; i < tree->n_atoms; i++)
		n[tree->atoms[i].part]++;
	for (int i = 0; i < 4; i++)
		json_object_set_new(parts, names[i], json_integer(n[i]));
	json_object_set_new(out, "atoms", json_integer(tree->n_atoms));
	json_object_set_new(out, "atoms_by_part", parts);
}

static int count_row(void *ctx, const struct part_row *row)
{
	json_int_t *n = ctx;

	n[row->part]++;
	return 0;
}

static void count_rows(const struct parts *parts, json_t *out)
{
	static const char *const names[] = {"access", "reserve", "limit", "path"};
	json_int_t n[PART_SHARE + 1] = {0};
	json_t *by_part = json_object();

	parts_each(parts, count_row, n);
	for (int i = 0; i < PART_SHARE; i++)
		json_object_set_new(by_part, names[i], json_integer(n[i]));
	json_object_set_new(out, "rows_by_part", by_part);
	json_object_set_new(out, "categories", json_integer(parts_n_categories(parts)));
}

static int compile_parts(const struct tree *tree, double *ms, json_t *out, struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	struct parts_nodes *nodes = parts_nodes_create();
	struct parts *parts = nodes == NULL ? NULL : parts_create(nodes);
	int ret = parts == NULL ? err_set(err, ENOMEM, "out of memory") : parts_compile(tree, 0, nodes, parts, err);

	*ms = (double)(bench_now_ns() - start_ns) / 1e6;
	if (parts != NULL)
		count_rows(parts, out);
	parts_destroy(parts);
	parts_nodes_destroy(nodes);
	return ret;
}

// A flat table that is too large is a result, not an error.
static int compile_flat(const struct tree *tree, double *ms, json_t *out, struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	struct flowtab ft;
	int ret;

	flowtab_init(&ft);
	ret = hft_compile(tree, 0, COMPILE_ROWS_MAX, &ft, err);
	json_object_set_new(out, "rows_flat_before_condensing", ret == 0 ? json_integer(ft.n_rows) : json_null());
	if (ret == 0 && condense(&ft) < 0)
		ret = err_set(err, ENOMEM, "condense: out of memory");
	*ms = (double)(bench_now_ns() - start_ns) / 1e6;
	json_object_set_new(out, "rows_flat", ret == 0 ? json_integer(ft.n_rows) : json_null());
	if (ret == -E2BIG) {
		json_object_set_new(out, "flat_refused", json_string(err->msg));
		ret = 0;
	}
	flowtab_fini(&ft);
	return ret;
}

json_t *bench_compile(const struct bench_opts *opts, struct err *err)
{
	json_t *out = json_object();
	double *mem = calloc(2 * (size_t)opts->repeat, sizeof(double));
	struct runs runs = {mem, mem + opts->repeat};
	struct bench_policy policy = {0};
	struct tree tree;
	int ret = mem == NULL ? err_set(err, ENOMEM, "out of memory") : bench_policy_load(opts->file, &policy, err);

	tree_init(&tree);
	if (ret == 0)
		ret = policy_tree(&policy, &tree, err);
	if (ret == 0)
		count_atoms(&tree, out);
	for (uint32_t i = 0; i < opts->repeat && ret == 0; i++) {
		bench_progress("by parts, run", i + 1, opts->repeat);
		ret = compile_parts(&tree, &runs.parts_ms[i], out, err);
	}
	for (uint32_t i = 0; i < opts->repeat && ret == 0 && !opts->no_flat; i++) {
		bench_progress("flat, run", i + 1, opts->repeat);
		ret = compile_flat(&tree, &runs.flat_ms[i], out, err);
	}
	if (ret == 0) {
		bench_spread(out, "compile_ms", runs.parts_ms, opts->repeat);
		if (!opts->no_flat)
			bench_spread(out, "flat_ms", runs.flat_ms, opts->repeat);
	} else {
		json_decref(out);
		out = NULL;
	}
	tree_fini(&tree);
	bench_policy_free(&policy);
	free(mem);
	return out;
}
