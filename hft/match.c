// SPDX-License-Identifier: Apache-2.0
// Set algebra on unions of boxes. Difference is the base of it: containment, equality and covers ask whether one is
// empty.
#include "match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Most pieces one box minus another can leave: other kinds, and two for each address and field.
#define PIECES_MAX (1 + 2 * 2 + 2 * MATCH_N_FIELDS)

void match_init(struct match *m)
{
	*m = (struct match){0};
}

void match_fini(struct match *m)
{
	free(m->boxes);
	match_init(m);
}

void match_move(struct match *dst, struct match *src)
{
	struct match moved = *src;

	match_init(src);
	*dst = moved;
}

static int match_reserve(struct match *m, uint32_t n_boxes)
{
	uint32_t cap = m->cap == 0 ? 1 : m->cap;
	struct box *boxes;

	if (n_boxes <= m->cap)
		return 0;
	while (cap < n_boxes) {
		if (cap > UINT32_MAX / 2)
			return -ENOMEM;
		cap *= 2;
	}
	boxes = reallocarray(m->boxes, cap, sizeof(*boxes));
	if (boxes == NULL)
		return -ENOMEM;
	m->boxes = boxes;
	m->cap = cap;
	return 0;
}

int match_add(struct match *m, const struct box *box)
{
	struct box copy = *box;

	if (!box_normalize(&copy))
		return 0;
	if (m->n_boxes == UINT32_MAX || match_reserve(m, m->n_boxes + 1) < 0) {
		match_fini(m);
		return -ENOMEM;
	}
	m->boxes[m->n_boxes++] = copy;
	return 0;
}

// As match_add, but a box that lies within one already there is left out.
static int match_add_new(struct match *m, const struct box *box)
{
	for (uint32_t i = 0; i < m->n_boxes; i++) {
		if (box_contains(&m->boxes[i], box))
			return 0;
	}
	return match_add(m, box);
}

int match_copy(struct match *out, const struct match *in)
{
	match_fini(out);
	if (in->n_boxes == 0)
		return 0;
	if (match_reserve(out, in->n_boxes) < 0)
		return -ENOMEM;
	memcpy(out->boxes, in->boxes, in->n_boxes * sizeof(*in->boxes));
	out->n_boxes = in->n_boxes;
	return 0;
}

int match_intersect(struct match *out, const struct match *a, const struct match *b)
{
	struct box common;

	match_fini(out);
	for (uint32_t i = 0; i < a->n_boxes; i++) {
		for (uint32_t j = 0; j < b->n_boxes; j++) {
			if (!box_overlaps(&a->boxes[i], &b->boxes[j]) ||
			    !box_intersect(&a->boxes[i], &b->boxes[j], &common))
				continue;
			if (match_add_new(out, &common) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int match_intersect_box(struct match *out, const struct match *a, const struct box *b)
{
	const struct match one = {.boxes = (struct box *)b, .n_boxes = 1, .cap = 1};

	return match_intersect(out, a, &one);
}

int match_union(struct match *out, const struct match *a, const struct match *b)
{
	match_fini(out);
	if (match_copy(out, a) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n_boxes; i++) {
		if (match_add_new(out, &b->boxes[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static uint32_t keep_piece(struct box *pieces, uint32_t n, const struct box *piece)
{
	pieces[n] = *piece;
	return box_normalize(&pieces[n]) ? n + 1 : n;
}

// Cuts from *rest what lies outside cut, below and above; adds the cuts to pieces.
static uint32_t split_address(struct box *rest, size_t offset, const struct span128 *cut, struct box *pieces,
			      uint32_t n)
{
	struct span128 *span = (struct span128 *)((char *)rest + offset);
	struct span128 whole = *span;

	if (whole.lo < cut->lo) {
		span->hi = cut->lo - 1;
		n = keep_piece(pieces, n, rest);
	}
	if (whole.hi > cut->hi) {
		*span = (struct span128){cut->hi + 1, whole.hi};
		n = keep_piece(pieces, n, rest);
	}
	span->lo = whole.lo > cut->lo ? whole.lo : cut->lo;
	span->hi = whole.hi < cut->hi ? whole.hi : cut->hi;
	return n;
}

static uint32_t split_field(struct box *rest, int field, const struct span *cut, struct box *pieces, uint32_t n)
{
	struct span whole = rest->f[field];

	if (whole.lo < cut->lo) {
		rest->f[field].hi = cut->lo - 1;
		n = keep_piece(pieces, n, rest);
	}
	if (whole.hi > cut->hi) {
		rest->f[field] = (struct span){cut->hi + 1, whole.hi};
		n = keep_piece(pieces, n, rest);
	}
	rest->f[field].lo = whole.lo > cut->lo ? whole.lo : cut->lo;
	rest->f[field].hi = whole.hi < cut->hi ? whole.hi : cut->hi;
	return n;
}

// box without cut as disjoint pieces; they must overlap. Kinds come first: then all that is split further is of kinds
// cut has, so that a piece never tests what one of its kinds lacks, nor addresses of two families.
static uint32_t box_subtract(const struct box *box, const struct box *cut, struct box pieces[PIECES_MAX])
{
	struct box rest = *box;
	uint32_t n = 0;

	if ((box->kinds & ~cut->kinds) != 0) {
		rest.kinds = box->kinds & ~cut->kinds;
		n = keep_piece(pieces, n, &rest);
		rest.kinds = box->kinds & cut->kinds;
	}
	n = split_address(&rest, offsetof(struct box, src), &cut->src, pieces, n);
	n = split_address(&rest, offsetof(struct box, dst), &cut->dst, pieces, n);
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		n = split_field(&rest, i, &cut->f[i], pieces, n);
	return n;
}

// A box from which the cuts before `next` are already taken.
struct rest {
	struct box box;
	uint32_t next;
};

struct rests {
	struct rest *rest;
	uint32_t n, cap;
};

static int rests_push(struct rests *stack, const struct box *pieces, uint32_t n_pieces, uint32_t next)
{
	if (stack->n + n_pieces > stack->cap) {
		uint32_t cap = (stack->n + n_pieces) * 2;
		struct rest *rest = reallocarray(stack->rest, cap, sizeof(*rest));

		if (rest == NULL)
			return -ENOMEM;
		stack->rest = rest;
		stack->cap = cap;
	}
	for (uint32_t i = n_pieces; i-- > 0;) // so that they come off in order
		stack->rest[stack->n++] = (struct rest){.box = pieces[i], .next = next};
	return 0;
}

// The first cut from `next` on that overlaps box, n_cuts if none; *swallowed when one holds all of box.
static uint32_t next_cut(const struct box *box, const struct box *const *cuts, uint32_t next, uint32_t n_cuts,
			 bool *swallowed)
{
	uint32_t first = n_cuts;

	*swallowed = false;
	for (uint32_t i = next; i < n_cuts; i++) {
		if (!box_overlaps(box, cuts[i]))
			continue;
		if (box_contains(cuts[i], box)) {
			*swallowed = true;
			return i;
		}
		if (first == n_cuts)
			first = i;
	}
	return first;
}

// Takes all cuts from box, depth first. What survives is added to out, or ends the work when out is NULL.
// 1: something survives (or effort ran out), 0: nothing does, -ENOMEM.
static int subtract_all(const struct box *box, const struct box *const *cuts, uint32_t n_cuts, uint32_t effort,
			struct match *out)
{
	struct box pieces[PIECES_MAX];
	struct rests stack = {0};
	struct rest top;
	bool swallowed;
	int left = 0;

	if (rests_push(&stack, box, 1, 0) < 0)
		return -ENOMEM;
	while (stack.n > 0) {
		top = stack.rest[--stack.n];
		top.next = next_cut(&top.box, cuts, top.next, n_cuts, &swallowed);
		if (swallowed)
			continue;
		if (top.next == n_cuts || effort == 0) {
			left = 1;
			if (out == NULL)
				break;
			if (match_add(out, &top.box) < 0) {
				left = -ENOMEM;
				break;
			}
			continue;
		}
		if (effort != UINT32_MAX)
			effort--;
		if (rests_push(&stack, pieces, box_subtract(&top.box, cuts[top.next], pieces), top.next + 1) < 0) {
			left = -ENOMEM;
			break;
		}
	}
	free(stack.rest);
	return left;
}

// The boxes of m that overlap box.
static uint32_t overlapping(const struct match *m, const struct box *box, const struct box **list)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_boxes; i++) {
		if (box_overlaps(&m->boxes[i], box))
			list[n++] = &m->boxes[i];
	}
	return n;
}

int match_subtract(struct match *out, const struct match *a, const struct match *b)
{
	const struct box **cuts = calloc(b->n_boxes == 0 ? 1 : b->n_boxes, sizeof(*cuts));
	int ret = cuts == NULL ? -ENOMEM : 0;

	match_fini(out);
	for (uint32_t i = 0; i < a->n_boxes && ret >= 0; i++)
		ret = subtract_all(&a->boxes[i], cuts, overlapping(b, &a->boxes[i], cuts), UINT32_MAX, out);
	free(cuts);
	if (ret < 0) {
		match_fini(out);
		return ret;
	}
	return 0;
}

int box_within(const struct box *box, const struct box *const *cover, uint32_t n_cover, uint32_t effort)
{
	int left = subtract_all(box, cover, n_cover, effort, NULL);

	return left < 0 ? left : left == 0;
}

bool match_is_empty(const struct match *m)
{
	for (uint32_t i = 0; i < m->n_boxes; i++) {
		struct box copy = m->boxes[i];

		if (box_normalize(&copy))
			return false;
	}
	return true;
}

bool match_overlaps(const struct match *a, const struct match *b)
{
	for (uint32_t i = 0; i < a->n_boxes; i++) {
		for (uint32_t j = 0; j < b->n_boxes; j++) {
			if (box_overlaps(&a->boxes[i], &b->boxes[j]))
				return true;
		}
	}
	return false;
}

bool match_subset(const struct match *inner, const struct match *outer)
{
	const struct box **cuts = NULL;
	bool within = true;

	for (uint32_t i = 0; i < inner->n_boxes && within; i++) {
		const struct box *box = &inner->boxes[i];
		uint32_t j = 0;

		while (j < outer->n_boxes && !box_contains(&outer->boxes[j], box))
			j++;
		if (j < outer->n_boxes)
			continue;
		if (cuts == NULL)
			cuts = calloc(outer->n_boxes == 0 ? 1 : outer->n_boxes, sizeof(*cuts));
		within = cuts != NULL && box_within(box, cuts, overlapping(outer, box, cuts), UINT32_MAX) == 1;
	}
	free(cuts);
	return within;
}

bool match_equal(const struct match *a, const struct match *b)
{
	return match_subset(a, b) && match_subset(b, a);
}

bool match_covers(const struct match *m, const struct match_packet *packet)
{
	for (uint32_t i = 0; i < m->n_boxes; i++) {
		if (box_covers(&m->boxes[i], packet))
			return true;
	}
	return false;
}
