// SPDX-License-Identifier: Apache-2.0
#include "of_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/verify_flat.h"

void of_policy_init(struct of_policy *p)
{
	memset(p, 0, sizeof(*p));
	flowtab_init(&p->flat);
	flowtab_init(&p->access);
	flowtab_init(&p->paths);
	demands_init(&p->demands);
}

void of_policy_fini(struct of_policy *p)
{
	flowtab_fini(&p->flat);
	flowtab_fini(&p->access);
	flowtab_fini(&p->paths);
	free(p->parents);
	demands_fini(&p->demands);
	free(p->colours);
	free(p->sources);
	of_policy_init(p);
}

void of_policy_move(struct of_policy *to, struct of_policy *from)
{
	*to = *from;
	of_policy_init(from);
}

static int add_nodes(const struct tree *tree, struct tree *out)
{
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		if (tree_add_node(out, tree->nodes[i].parent) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_atom(struct tree *out, const struct atom *like, enum atom_part part, enum access access,
		    const struct match *flows)
{
	struct atom atom = *like;
	int rc;

	atom.part = part;
	atom.access = access;
	match_init(&atom.match);
	rc = match_copy(&atom.match, flows);
	if (rc == 0)
		rc = tree_add_atom(out, &atom);
	match_fini(&atom.match);
	return rc;
}

// What the atoms say about access alone, or with limits as well.
static int add_access(const struct tree *tree, bool limits, struct tree *out)
{
	int rc = 0;

	for (uint32_t i = 0; i < tree->n_atoms && rc == 0; i++) {
		const struct atom *a = &tree->atoms[i];

		if (limits && a->part == ATOM_LIMIT)
			rc = add_atom(out, a, ATOM_LIMIT, a->access, &a->match);
		else if (a->access != ACCESS_NONE)
			rc = add_atom(out, a, ATOM_ACCESS, a->access, &a->match);
	}
	return rc;
}

static struct box mirrored(const struct box *box)
{
	struct box out = *box;

	out.src = box->dst;
	out.dst = box->src;
	for (int i = 0; i < 3; i++) {
		static const enum match_field pairs[][2] = {{MATCH_SRC_ETH, MATCH_DST_ETH},
							    {MATCH_SRC_PORT, MATCH_DST_PORT},
							    {MATCH_SRC_USER, MATCH_DST_USER}};

		out.f[pairs[i][0]] = box->f[pairs[i][1]];
		out.f[pairs[i][1]] = box->f[pairs[i][0]];
	}
	return out;
}

static int add_path(const struct demand *d, struct tree *out)
{
	const struct atom like = {.id = d->id, .node = d->node};
	struct match both;
	int rc;

	match_init(&both);
	rc = match_copy(&both, &d->flows);
	for (uint32_t i = 0; d->kind == DEMAND_WAYPOINT && i < d->flows.n_boxes && rc == 0; i++) {
		struct box box = mirrored(&d->flows.boxes[i]);

		rc = match_add(&both, &box);
	}
	if (rc == 0)
		rc = add_atom(out, &like, ATOM_RESERVE, ACCESS_NONE, &both);
	match_fini(&both);
	return rc;
}

static int add_paths(const struct demands *demands, struct tree *out)
{
	int rc = 0;

	for (uint32_t i = 0; i < demands->n && rc == 0; i++) {
		if (demands->all[i].kind != DEMAND_LIMIT)
			rc = add_path(&demands->all[i], out);
	}
	return rc;
}

static int prove(struct of_policy_proof *proof, const struct tree *tree, const struct flowtab *ft, int64_t now_ns,
		 struct err *err)
{
	struct verify_flat_fault fault;
	char packet[256];
	int rc;

	if (proof == NULL || proof->effort == 0)
		return 0;
	rc = verify_flat(tree, ft, now_ns, proof->effort, &fault);
	proof->proven += rc == 1;
	proof->undecided += rc == -E2BIG;
	proof->faults += rc == 0;
	if (rc != 0)
		return 0;
	match_packet_format(&fault.packet, packet, sizeof(packet));
	return err_set(err, EPROTO, "the table for switches differs from the policy for the packet %s", packet);
}

static int compile(const struct tree *tree, int64_t now_ns, struct of_policy_proof *proof, struct flowtab *ft,
		   struct err *err)
{
	int rc = hft_compile(tree, now_ns, COMPILE_ROWS_MAX, ft, err);

	if (rc == 0)
		condense(ft); // without memory for it the table is only longer
	return rc < 0 ? rc : prove(proof, tree, ft, now_ns, err);
}

enum form { FORM_ACCESS, FORM_PATHS, FORM_FLAT };

static int compile_form(const struct of_policy *p, const struct tree *tree, enum form form, int64_t now_ns,
			struct of_policy_proof *proof, struct flowtab *ft, struct err *err)
{
	struct tree part;
	int rc;

	tree_init(&part);
	rc = add_nodes(tree, &part);
	if (rc == 0 && form != FORM_PATHS)
		rc = add_access(tree, form == FORM_FLAT, &part);
	if (rc == 0 && form != FORM_ACCESS)
		rc = add_paths(&p->demands, &part);
	rc = rc < 0 ? err_set(err, ENOMEM, "no memory for the policy of switches")
		    : compile(&part, now_ns, proof, ft, err);
	tree_fini(&part);
	return rc;
}

static int take_demands(struct of_policy *p, const struct tree *tree, struct demands *demands, struct err *err)
{
	p->demands = *demands;
	demands_init(demands);
	p->colours = malloc(p->demands.n + 1U);
	p->parents = malloc((tree->n_nodes + 1U) * sizeof(*p->parents));
	if (p->colours == NULL || p->parents == NULL)
		return err_set(err, ENOMEM, "no memory for the policy of switches");
	memset(p->colours, OF_POLICY_UNSAID, p->demands.n + 1U);
	for (uint32_t i = 0; i < tree->n_nodes; i++)
		p->parents[i] = tree->nodes[i].parent;
	return 0;
}

// --- sources of denials

bool of_policy_source(const struct box *box, struct of_source *out)
{
	*out = (struct of_source){.ip = box->src.lo, .ip6 = (box->kinds & MATCH_KINDS_V6) != 0};
	if (out->ip6)
		return box->src.lo == box->src.hi;
	return box->src.lo << 32 == 0 && box->src.hi == match_ip4_prefix((uint32_t)(out->ip >> 96), 32).hi;
}

static int compare_sources(const void *a, const void *b)
{
	const struct of_source *x = a, *y = b;

	if (x->ip6 != y->ip6)
		return x->ip6 ? 1 : -1;
	return x->ip < y->ip ? -1 : x->ip > y->ip;
}

static int find_sources(struct of_policy *p, struct err *err)
{
	uint32_t n = 0;

	p->sources = malloc((p->access.n_rows + 1U) * sizeof(*p->sources));
	if (p->sources == NULL)
		return err_set(err, ENOMEM, "no memory for the policy of switches");
	for (uint32_t i = 0; i < p->access.n_rows; i++) {
		if (p->access.rows[i].action.access == ACCESS_DENY &&
		    of_policy_source(&p->access.rows[i].box, &p->sources[n]))
			n++;
	}
	qsort(p->sources, n, sizeof(*p->sources), compare_sources);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || compare_sources(&p->sources[p->n_sources - 1], &p->sources[i]) != 0)
			p->sources[p->n_sources++] = p->sources[i];
	}
	return 0;
}

bool of_policy_names(const struct of_policy *p, const struct of_source *source)
{
	return p->n_sources > 0 &&
	       bsearch(source, p->sources, p->n_sources, sizeof(*p->sources), compare_sources) != NULL;
}

int of_policy_build(struct of_policy *p, const struct tree *tree, struct demands *demands, int64_t now_ns,
		    struct of_policy_proof *proof, struct err *err)
{
	int rc;

	of_policy_init(p);
	rc = take_demands(p, tree, demands, err);
	if (rc == 0)
		rc = compile_form(p, tree, FORM_ACCESS, now_ns, proof, &p->access, err);
	if (rc == 0)
		rc = compile_form(p, tree, FORM_PATHS, now_ns, proof, &p->paths, err);
	if (rc == 0)
		rc = compile_form(p, tree, FORM_FLAT, now_ns, proof, &p->flat, err);
	if (rc == 0)
		rc = find_sources(p, err);
	if (rc < 0)
		of_policy_fini(p);
	return rc;
}

// The child of `top` above, or at, `node`; TREE_NO_PARENT: node is not strictly below top.
static uint32_t child_towards(const struct of_policy *p, uint32_t top, uint32_t node)
{
	while (node != TREE_NO_PARENT && p->parents[node] != top)
		node = p->parents[node];
	return node;
}

static uint64_t ruling_below(const struct of_policy *p, const struct idset *ids, uint32_t top)
{
	uint64_t own = 0, below = 0;

	for (unsigned int i = 0; i < ids->n; i++) {
		const struct demand *d = demands_find(&p->demands, ids->id[i]);
		uint32_t child =
			d == NULL || d->kind != DEMAND_WAYPOINT ? TREE_NO_PARENT : child_towards(p, top, d->node);
		uint64_t rules;

		if (d == NULL || d->kind != DEMAND_WAYPOINT)
			continue;
		if (d->node == top && own == 0)
			own = d->id; // ascending: the lowest
		if (child == TREE_NO_PARENT)
			continue;
		rules = ruling_below(p, ids, child);
		if (below == 0 || rules < below)
			below = rules;
	}
	return below != 0 ? below : own;
}

uint64_t of_policy_ruling(const struct of_policy *p, const struct idset *ids)
{
	return ids->n == 0 ? 0 : ruling_below(p, ids, 0);
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
