// SPDX-License-Identifier: Apache-2.0
// Why the table is right. Take the closure of all request boxes under intersection. For an element c of it let S(c) be
// the request boxes that contain c; c is their intersection. The row of c has rank |S(c)| and the action of SPEC 5 for
// exactly the atoms of S(c). Now take a packet p with the matching boxes M(p), not none. Their intersection c is not
// empty (p is in it), so it is an element. A box that contains c contains p, so S(c) = M(p): the row of c has p's
// action. Any other element e that holds p has S(e) within M(p), and not all of it, or e would be c: e ranks lower. So
// the matching row of the highest rank is p's, and no two rows of one rank compete. A row depends only on the boxes
// that contain it: a new request changes no row that does not lie within it. Time is a field of the boxes, so all this
// holds at every instant.
//
// The closure grows box by box. For a new box b and an element e that overlaps it, d = e & b. If d is e, S(e) gains b.
// Otherwise d is an element; if it is new, the smallest old element e that gives it has S(e) = all old boxes that
// contain d, so S(d) = S(e) + b. That e is the one with the largest S(e).
#include "compile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boxtree.h"

// S of one element: numbers of request boxes, a stretch of work.refs.
struct meet {
	uint32_t at, n, cap;
};

struct request_box {
	const struct box *box;
	uint32_t atom;
};

struct work {
	const struct tree *tree;
	uint32_t rows_max;
	struct err *err;
	struct request_box *requests;
	uint32_t n_requests;
	struct boxtree elements;
	struct meet *meets; // by element
	uint32_t *refs;
	uint64_t n_refs, cap_refs;
	uint32_t cap_meets;
	// Elements that overlap the box being added, and the same by falling |S|.
	uint32_t *found, *ordered;
	uint32_t n_found, cap_found, meet_max;
	uint32_t *n_of_size; // by |S|
	// Access at one element, by tree node; all none between uses.
	uint8_t *own, *children;
	bool *touched;
	uint32_t *touched_nodes;
};

static int out_of_memory(struct work *w)
{
	return err_set(w->err, ENOMEM, "out of memory while compiling %u requests", w->tree->n_atoms);
}

static int work_init(struct work *w, int64_t now_ns)
{
	const struct tree *tree = w->tree;
	size_t n_nodes = (size_t)tree->n_nodes + 1, n_boxes = 1;

	for (uint32_t i = 0; i < tree->n_atoms; i++)
		n_boxes += tree->atoms[i].match.n_boxes;
	if (n_boxes > UINT32_MAX / 2)
		return err_set(w->err, E2BIG, "the requests have over %u boxes", UINT32_MAX / 2);
	w->requests = calloc(n_boxes, sizeof(*w->requests));
	w->n_of_size = calloc(n_boxes + 1, sizeof(*w->n_of_size));
	w->own = calloc(n_nodes, sizeof(*w->own));
	w->children = calloc(n_nodes, sizeof(*w->children));
	w->touched = calloc(n_nodes, sizeof(*w->touched));
	w->touched_nodes = calloc(n_nodes, sizeof(*w->touched_nodes));
	if (w->requests == NULL || w->n_of_size == NULL || w->own == NULL || w->children == NULL ||
	    w->touched == NULL || w->touched_nodes == NULL)
		return out_of_memory(w);
	for (uint32_t i = 0; i < tree->n_atoms; i++) {
		const struct match *match = &tree->atoms[i].match;

		for (uint32_t j = 0; j < match->n_boxes; j++) {
			if (box_end_ns(&match->boxes[j]) > now_ns)
				w->requests[w->n_requests++] = (struct request_box){&match->boxes[j], i};
		}
	}
	return 0;
}

static void work_fini(struct work *w)
{
	boxtree_fini(&w->elements);
	free(w->requests);
	free(w->meets);
	free(w->refs);
	free(w->found);
	free(w->ordered);
	free(w->n_of_size);
	free(w->own);
	free(w->children);
	free(w->touched);
	free(w->touched_nodes);
}

static enum boxtree_step note_overlap(void *ctx, uint32_t idx)
{
	struct work *w = ctx;

	w->found[w->n_found++] = idx;
	return BOXTREE_BELOW;
}

// Fills w->ordered with the elements that overlap box, largest S first (counting sort).
static void find_overlaps(struct work *w, const struct box *box)
{
	uint32_t at = 0;

	w->n_found = 0;
	boxtree_walk(&w->elements, box, note_overlap, w);
	memset(w->n_of_size, 0, (w->meet_max + 1) * sizeof(*w->n_of_size));
	for (uint32_t i = 0; i < w->n_found; i++)
		w->n_of_size[w->meets[w->found[i]].n]++;
	for (uint32_t size = w->meet_max + 1; size-- > 0;) {
		uint32_t n = w->n_of_size[size];

		w->n_of_size[size] = at;
		at += n;
	}
	for (uint32_t i = 0; i < w->n_found; i++)
		w->ordered[w->n_of_size[w->meets[w->found[i]].n]++] = w->found[i];
}

// Room for one more number in m, which may move.
static int meet_reserve(struct work *w, struct meet *m, uint32_t cap)
{
	if (w->n_refs + cap > w->cap_refs) {
		uint64_t more = (w->n_refs + cap) * 2;
		uint32_t *refs = more > UINT32_MAX ? NULL : reallocarray(w->refs, more, sizeof(*refs));

		if (refs == NULL)
			return -ENOMEM;
		w->refs = refs;
		w->cap_refs = more;
	}
	if (m->n > 0)
		memcpy(&w->refs[w->n_refs], &w->refs[m->at], m->n * sizeof(*w->refs));
	m->at = (uint32_t)w->n_refs;
	m->cap = cap;
	w->n_refs += cap;
	return 0;
}

static int meet_add(struct work *w, uint32_t idx, uint32_t request)
{
	struct meet *m = &w->meets[idx];

	if (m->n == m->cap && meet_reserve(w, m, m->cap * 2) < 0)
		return out_of_memory(w);
	w->refs[m->at + m->n++] = request;
	if (m->n > w->meet_max)
		w->meet_max = m->n;
	return 0;
}

static int grow_elements(struct work *w)
{
	uint32_t cap = w->cap_meets == 0 ? 256 : w->cap_meets * 2;
	struct meet *meets = reallocarray(w->meets, cap, sizeof(*meets));
	uint32_t *found;

	if (meets == NULL)
		return -ENOMEM;
	w->meets = meets;
	found = reallocarray(w->found, cap, sizeof(*found));
	if (found == NULL)
		return -ENOMEM;
	w->found = found;
	found = reallocarray(w->ordered, cap, sizeof(*found));
	if (found == NULL)
		return -ENOMEM;
	w->ordered = found;
	w->cap_meets = cap;
	return 0;
}

// A new element: S is that of `from` (BOXTREE_NONE: empty) and the request.
static int add_element(struct work *w, const struct box *box, uint32_t from, uint32_t request)
{
	uint32_t idx = w->elements.n;
	struct meet m = {0};

	if (idx >= w->rows_max)
		return err_set(w->err, E2BIG, "the flow table of %u requests needs more than %u rows", w->tree->n_atoms,
			       w->rows_max);
	if (idx == w->cap_meets && grow_elements(w) < 0)
		return out_of_memory(w);
	if (from != BOXTREE_NONE)
		m = w->meets[from];
	if (meet_reserve(w, &m, m.n + 4) < 0 || boxtree_add(&w->elements, box, from) < 0)
		return out_of_memory(w);
	w->meets[idx] = m;
	return meet_add(w, idx, request);
}

static int add_request(struct work *w, uint32_t request)
{
	struct box box = *w->requests[request].box, common;
	int ret = 0;

	if (!box_normalize(&box))
		return 0;
	find_overlaps(w, &box);
	for (uint32_t i = 0; i < w->n_found && ret == 0; i++) {
		uint32_t idx = w->ordered[i];
		const struct box *element = &w->elements.boxes[idx];

		if (box_contains(&box, element))
			ret = meet_add(w, idx, request);
		else if (box_intersect(element, &box, &common) && boxtree_find(&w->elements, &common) == BOXTREE_NONE)
			ret = add_element(w, &common, idx, request);
	}
	if (ret == 0 && boxtree_find(&w->elements, &box) == BOXTREE_NONE)
		ret = add_element(w, &box, BOXTREE_NONE, request);
	return ret;
}

static int compare_falling(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x > y ? -1 : x < y;
}

// SPEC 5 for the access part: only nodes with an atom in S, and those above them, can contribute. A node's number is
// higher than its parent's, so falling numbers go from the leaves to the root.
static enum access meet_access(struct work *w, const struct meet *m)
{
	enum access result = ACCESS_NONE;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct atom *atom = &w->tree->atoms[w->requests[w->refs[m->at + i]].atom];

		if (atom->access == ACCESS_NONE)
			continue;
		if (atom->access > w->own[atom->node])
			w->own[atom->node] = (uint8_t)atom->access;
		for (uint32_t k = atom->node; k != TREE_NO_PARENT && !w->touched[k]; k = w->tree->nodes[k].parent) {
			w->touched[k] = true;
			w->touched_nodes[n++] = k;
		}
	}
	if (n > 1)
		qsort(w->touched_nodes, n, sizeof(*w->touched_nodes), compare_falling);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = w->touched_nodes[i], parent = w->tree->nodes[k].parent;

		result = w->children[k] != ACCESS_NONE ? w->children[k] : w->own[k];
		if (parent != TREE_NO_PARENT && result > w->children[parent])
			w->children[parent] = (uint8_t)result;
		w->own[k] = w->children[k] = ACCESS_NONE;
		w->touched[k] = false;
	}
	return result; // the root's, it comes last
}

static bool is_below(const struct tree *tree, uint32_t low, uint32_t high)
{
	for (low = tree->nodes[low].parent; low != TREE_NO_PARENT && low > high; low = tree->nodes[low].parent)
		;
	return low == high;
}

// The lowest request with a waypoint list below whose node there is no other one with a list: a child's result is heard
// before its parent's, and of siblings' results the lowest.
static uint64_t meet_waypoint(const struct work *w, const struct meet *m)
{
	const struct tree *tree = w->tree;
	uint64_t lowest = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct atom *atom = &tree->atoms[w->requests[w->refs[m->at + i]].atom];
		bool heard = atom->path == ATOM_WAYPOINT && (lowest == 0 || atom->id < lowest);

		for (uint32_t j = 0; j < m->n && heard; j++) {
			const struct atom *other = &tree->atoms[w->requests[w->refs[m->at + j]].atom];

			heard = other->path != ATOM_WAYPOINT || !is_below(tree, other->node, atom->node);
		}
		if (heard)
			lowest = atom->id;
	}
	return lowest;
}

static int refuse_overflow(struct work *w, const struct meet *m, enum atom_part part)
{
	static const char *const names[] = {
		[ATOM_RESERVE] = "reservations", [ATOM_LIMIT] = "limits", [ATOM_PATH] = "avoids"};
	char list[256] = "";
	size_t len = 0;
	uint64_t last = UINT64_MAX;

	for (uint32_t i = 0; i < m->n && len < sizeof(list) - 32; i++) {
		const struct atom *atom = &w->tree->atoms[w->requests[w->refs[m->at + i]].atom];

		if (atom->part != part || atom->path == ATOM_WAYPOINT || atom->id == last)
			continue;
		last = atom->id;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%" PRIu64, len == 0 ? "" : ", ", atom->id);
	}
	return err_set(w->err, E2BIG, "more than %d %s meet in one packet: requests %s", ACTION_SET_MAX, names[part],
		       list);
}

// The sets are joined by every operator alike, so they need no walk of the tree.
static int meet_action(struct work *w, const struct meet *m, struct action *action)
{
	bool has_waypoint = false;

	*action = action_none();
	for (uint32_t i = 0; i < m->n; i++) {
		const struct atom *atom = &w->tree->atoms[w->requests[w->refs[m->at + i]].atom];

		if (atom->part == ATOM_RESERVE)
			idset_add(&action->reservations, atom->id);
		else if (atom->part == ATOM_LIMIT)
			idset_add(&action->limits, atom->id);
		else if (atom->path == ATOM_AVOID)
			idset_add(&action->avoids, atom->id);
		has_waypoint |= atom->path == ATOM_WAYPOINT;
	}
	if (action->reservations.overflow)
		return refuse_overflow(w, m, ATOM_RESERVE);
	if (action->limits.overflow)
		return refuse_overflow(w, m, ATOM_LIMIT);
	if (action->avoids.overflow)
		return refuse_overflow(w, m, ATOM_PATH);
	if (has_waypoint)
		action->waypoint = meet_waypoint(w, m);
	action->access = meet_access(w, m);
	return 0;
}

static int emit_rows(struct work *w, struct flowtab *ft)
{
	int ret = 0;

	for (uint32_t i = 0; i < w->elements.n && ret == 0; i++) {
		struct row row = {.box = w->elements.boxes[i], .rank = w->meets[i].n};

		ret = meet_action(w, &w->meets[i], &row.action);
		if (ret == 0 && flowtab_add(ft, &row) < 0)
			ret = out_of_memory(w);
	}
	return ret;
}

int hft_compile(const struct tree *tree, int64_t now_ns, uint32_t rows_max, struct flowtab *ft, struct err *err)
{
	struct work w = {.tree = tree, .rows_max = rows_max, .err = err};
	int ret;

	flowtab_fini(ft);
	boxtree_init(&w.elements);
	ret = work_init(&w, now_ns);
	for (uint32_t i = 0; i < w.n_requests && ret == 0; i++)
		ret = add_request(&w, i);
	if (ret == 0)
		ret = emit_rows(&w, ft);
	if (ret == 0)
		flowtab_sort(ft);
	else
		flowtab_fini(ft);
	work_fini(&w);
	return ret;
}
