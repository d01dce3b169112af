// SPDX-License-Identifier: Apache-2.0
#include "of_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hft/compile.h"
#include "hft/condense.h"

void of_policy_init(struct of_policy *p)
{
	memset(p, 0, sizeof(*p));
	flowtab_init(&p->flat);
	flowtab_init(&p->access);
	demands_init(&p->demands);
}

void of_policy_fini(struct of_policy *p)
{
	flowtab_fini(&p->flat);
	flowtab_fini(&p->access);
	demands_fini(&p->demands);
	free(p->colours);
	of_policy_init(p);
}

void of_policy_move(struct of_policy *to, struct of_policy *from)
{
	*to = *from;
	of_policy_init(from);
}

// The tree's nodes, and of its atoms the access.
static int access_tree(const struct tree *tree, struct tree *out)
{
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		if (tree_add_node(out, tree->nodes[i].parent) < 0)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < tree->n_atoms; i++) {
		struct atom atom = tree->atoms[i];
		int rc;

		if (atom.access == ACCESS_NONE)
			continue;
		atom.part = ATOM_ACCESS;
		match_init(&atom.match);
		rc = match_copy(&atom.match, &tree->atoms[i].match);
		if (rc == 0)
			rc = tree_add_atom(out, &atom);
		match_fini(&atom.match);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compile(const struct tree *tree, int64_t now_ns, struct flowtab *ft, struct err *err)
{
	int rc = hft_compile(tree, now_ns, COMPILE_ROWS_MAX, ft, err);

	if (rc == 0)
		condense(ft); // without memory for it the table is only longer
	return rc;
}

int of_policy_build(struct of_policy *p, const struct tree *tree, struct demands *demands, int64_t now_ns,
		    struct err *err)
{
	struct tree access;
	int rc;

	of_policy_init(p);
	tree_init(&access);
	rc = access_tree(tree, &access) < 0 ? err_set(err, ENOMEM, "no memory for the policy of switches") : 0;
	if (rc == 0)
		rc = compile(&access, now_ns, &p->access, err);
	if (rc == 0)
		rc = compile(tree, now_ns, &p->flat, err);
	tree_fini(&access);
	p->demands = *demands;
	demands_init(demands);
	p->colours = malloc(p->demands.n + 1U);
	if (rc == 0 && p->colours == NULL)
		rc = err_set(err, ENOMEM, "no memory for the policy of switches");
	if (rc < 0)
		of_policy_fini(p);
	else
		memset(p->colours, OF_POLICY_UNSAID, p->demands.n + 1U);
	return rc;
}

static bool is_free(const struct of_policy *p, uint32_t idx, uint8_t colour)
{
	for (uint32_t i = 0; i < p->demands.n; i++) {
		const struct demand *d = &p->demands.all[i];

		if (d->kind == DEMAND_LIMIT && i != idx && p->colours[i] == colour &&
		    match_overlaps(&d->flows, &p->demands.all[idx].flows))
			return false;
	}
	return true;
}

uint32_t of_policy_colour(struct of_policy *p, uint8_t (*hint)(void *ctx, uint64_t id), void *ctx)
{
	uint32_t unsaid = 0;

	memset(p->colours, OF_POLICY_UNSAID, p->demands.n + 1U);
	for (uint32_t i = 0; i < p->demands.n; i++) { // those that have one keep it
		uint8_t wish =
			p->demands.all[i].kind == DEMAND_LIMIT ? hint(ctx, p->demands.all[i].id) : OF_POLICY_UNSAID;

		if (wish < OF_POLICY_COLOURS && is_free(p, i, wish))
			p->colours[i] = wish;
	}
	for (uint32_t i = 0; i < p->demands.n; i++) {
		if (p->demands.all[i].kind != DEMAND_LIMIT || p->colours[i] != OF_POLICY_UNSAID)
			continue;
		for (uint8_t c = 0; c < OF_POLICY_COLOURS && p->colours[i] == OF_POLICY_UNSAID; c++) {
			if (is_free(p, i, c))
				p->colours[i] = c;
		}
		unsaid += p->colours[i] == OF_POLICY_UNSAID;
	}
	return unsaid;
}
