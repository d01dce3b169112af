// SPDX-License-Identifier: Apache-2.0
#include "realize.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/proto.h"
#include "hft/compile.h"
#include "hft/condense.h"

#define RETRY_NS 10000000000LL

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

// The distinct numbers the rows name, ascending; malloc'ed. 0 or -ENOMEM.
static int named_ids(const struct flowtab *ft, uint64_t **ids, size_t *n_ids)
{
	size_t n = 0, distinct = 0;

	for (uint32_t i = 0; i < ft->n_rows; i++)
		n += ft->rows[i].action.reservations.n + ft->rows[i].action.limits.n;
	*ids = malloc((n + 1) * sizeof(**ids));
	if (*ids == NULL)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = 0; i < ft->n_rows; i++) {
		const struct idset *sets[] = {&ft->rows[i].action.reservations, &ft->rows[i].action.limits};

		for (int s = 0; s < 2; s++) {
			for (unsigned int k = 0; k < sets[s]->n; k++)
				(*ids)[n++] = sets[s]->id[k];
		}
	}
	qsort(*ids, n, sizeof(**ids), compare_ids);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || (*ids)[i] != (*ids)[i - 1])
			(*ids)[distinct++] = (*ids)[i];
	}
	*n_ids = distinct;
	return 0;
}

// The rate of each reservation and limit that a row names.
static int meters_of(const struct tree *tree, const struct flowtab *ft, struct proto_meter **meters, uint32_t *n_meters)
{
	size_t n_ids = 0;
	uint64_t *ids;

	*n_meters = 0;
	*meters = malloc((tree->n_atoms + 1) * sizeof(**meters));
	if (*meters == NULL || named_ids(ft, &ids, &n_ids) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < tree->n_atoms; i++) {
		const struct atom *atom = &tree->atoms[i];

		if (atom->part != ATOM_ACCESS && bsearch(&atom->id, ids, n_ids, sizeof(*ids), compare_ids) != NULL)
			(*meters)[(*n_meters)++] = (struct proto_meter){
				.id = atom->id,
				.rate_bps = atom->rate_bps,
				.kind = atom->part == ATOM_RESERVE ? PROTO_METER_RESERVATION : PROTO_METER_LIMIT,
			};
	}
	free(ids);
	return 0;
}

static int realize_tree(struct realize *r, const struct tree *tree, int64_t now_ns, struct err *err)
{
	struct proto_meter *meters = NULL;
	uint32_t n_meters = 0;
	struct flowtab ft;
	int ret;

	flowtab_init(&ft);
	ret = hft_compile(tree, now_ns, COMPILE_ROWS_MAX, &ft, err);
	if (ret == 0) {
		condense(&ft); // without memory for it the table is only longer
		ret = meters_of(tree, &ft, &meters, &n_meters);
		if (ret < 0)
			err_set(err, ENOMEM, "no memory to send the policy");
		else
			ret = dp_link_want(r->link, &ft, meters, n_meters, err);
	}
	free(meters);
	flowtab_fini(&ft);
	return ret;
}

int realize_run(struct realize *r, int64_t now_ns, struct err *err)
{
	uint64_t gen = engine_policy_gen(r->engine);
	struct tree tree;
	int ret;

	if (gen == r->policy_gen && (r->retry_ns != 0 ? now_ns < r->retry_ns : r->done))
		return 0;
	tree_init(&tree);
	ret = engine_policy(r->engine, now_ns, &tree);
	if (ret < 0)
		err_set(err, -ret, "%s",
			ret == -E2BIG ? "a request's users are bound to too many addresses"
				      : "no memory for the policy tree");
	else
		ret = realize_tree(r, &tree, now_ns, err);
	tree_fini(&tree);
	r->policy_gen = gen;
	if (ret < 0) {
		r->failures++;
		r->retry_ns = now_ns + RETRY_NS;
	} else {
		r->done = true;
		r->retry_ns = 0;
	}
	return ret;
}
