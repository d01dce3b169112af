// SPDX-License-Identifier: Apache-2.0
#include "verify_cells.h"

#include <errno.h>
#include <stdlib.h>

#define N_DIMS (MATCH_N_FIELDS + 2) // fields, then source and destination address
#define SAMPLE 32                   // boundaries that a cut is chosen from

static const uint64_t port_protos[] = {6, 17, 132}; // TCP, UDP, SCTP

void cell_box_of(const struct box *box, struct cell_box *out)
{
	struct span proto = box->f[MATCH_PROTO];

	*out = (struct cell_box){.addr = {box->src, box->dst}, .kinds = box->kinds, .port_proto = {1, 0}};
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		out->f[i] = box->f[i];
	for (unsigned int i = 0; i < 3; i++) {
		if (port_protos[i] < proto.lo || port_protos[i] > proto.hi)
			continue;
		if (out->port_proto.lo > out->port_proto.hi)
			out->port_proto.lo = i;
		out->port_proto.hi = i;
	}
	if (out->port_proto.lo > out->port_proto.hi)
		out->kinds &= ~(uint32_t)MATCH_KINDS_PORTS;
}

static const struct span *span_of(const struct cell_region *region, const struct cell_box *box, unsigned int field)
{
	bool ports = field == MATCH_PROTO && (region->kind & MATCH_KINDS_PORTS) != 0;

	return ports ? &box->port_proto : &box->f[field];
}

// -1: no common point; 0: some; 1: the box fills the region.
static int relation(const struct cell_region *region, const struct cell_box *box)
{
	bool fills = true;

	if ((region->kind & box->kinds) == 0)
		return -1;
	for (unsigned int i = 0; i < 2; i++) {
		const struct span128 *r = &region->addr[i], *b = &box->addr[i];

		if (b->lo > r->hi || b->hi < r->lo)
			return -1;
		fills &= b->lo <= r->lo && b->hi >= r->hi;
	}
	for (unsigned int i = 0; i < MATCH_N_FIELDS; i++) {
		const struct span *r = &region->f[i], *b = span_of(region, box, i);

		if (b->lo > r->hi || b->hi < r->lo)
			return -1;
		fills &= b->lo <= r->lo && b->hi >= r->hi;
	}
	return fills;
}

#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define HIGHER(a, b) ((a) > (b) ? (a) : (b))

bool cell_boxes_meet(const struct cell_region *region, const struct cell_box *a, const struct cell_box *b)
{
	if ((region->kind & a->kinds & b->kinds) == 0)
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		if (HIGHER(a->addr[i].lo, b->addr[i].lo) > LOWER(a->addr[i].hi, b->addr[i].hi))
			return false;
	}
	for (unsigned int i = 0; i < MATCH_N_FIELDS; i++) {
		const struct span *x = span_of(region, a, i), *y = span_of(region, b, i), *r = &region->f[i];

		if (HIGHER(HIGHER(x->lo, y->lo), r->lo) > LOWER(LOWER(x->hi, y->hi), r->hi))
			return false;
	}
	return true;
}

bool cell_boxes_equal(const struct cell_region *region, const struct cell_box *a, const struct cell_box *b)
{
	for (unsigned int i = 0; i < 2; i++) {
		const struct span128 *x = &a->addr[i], *y = &b->addr[i], *r = &region->addr[i];

		if (HIGHER(x->lo, r->lo) != HIGHER(y->lo, r->lo) || LOWER(x->hi, r->hi) != LOWER(y->hi, r->hi))
			return false;
	}
	for (unsigned int i = 0; i < MATCH_N_FIELDS; i++) {
		const struct span *x = span_of(region, a, i), *y = span_of(region, b, i), *r = &region->f[i];

		if (HIGHER(x->lo, r->lo) != HIGHER(y->lo, r->lo) || LOWER(x->hi, r->hi) != LOWER(y->hi, r->hi))
			return false;
	}
	return (region->kind & a->kinds) == (region->kind & b->kinds);
}

struct match_packet cell_packet(const struct cell_region *region)
{
	struct match_packet packet = {.src = region->addr[0].lo, .dst = region->addr[1].lo, .kind = region->kind};

	for (unsigned int i = 0; i < MATCH_N_FIELDS; i++)
		packet.f[i] = region->f[i].lo;
	if ((region->kind & MATCH_KINDS_PORTS) != 0)
		packet.f[MATCH_PROTO] = port_protos[region->f[MATCH_PROTO].lo];
	return packet;
}

#define CROWD 768 // boxes up to which a look may take the square of their number

struct work {
	cell_look *look;
	void *ctx;
	uint32_t *effort;
	struct cell_entry *stack; // entries of the region in hand and of those above it
	size_t cap;
};

static struct span128 region_span(const struct cell_region *region, unsigned int dim)
{
	if (dim >= MATCH_N_FIELDS)
		return region->addr[dim - MATCH_N_FIELDS];
	return (struct span128){region->f[dim].lo, region->f[dim].hi};
}

static struct span128 box_span(const struct cell_region *region, const struct cell_box *box, unsigned int dim)
{
	if (dim >= MATCH_N_FIELDS)
		return box->addr[dim - MATCH_N_FIELDS];
	return (struct span128){span_of(region, box, dim)->lo, span_of(region, box, dim)->hi};
}

// The dimension in which the most boxes end inside the region.
static unsigned int busiest_dim(const struct cell_region *region, const struct cell_entry *entries, uint32_t n)
{
	uint32_t n_inside[N_DIMS] = {0};
	unsigned int best = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (entries[i].fills)
			continue;
		for (unsigned int dim = 0; dim < N_DIMS; dim++) {
			struct span128 r = region_span(region, dim), b = box_span(region, entries[i].box, dim);

			n_inside[dim] += b.lo > r.lo || b.hi < r.hi;
		}
	}
	for (unsigned int dim = 1; dim < N_DIMS; dim++) {
		if (n_inside[dim] > n_inside[best])
			best = dim;
	}
	return best;
}

// The first value of the upper half: about the median of the boundaries of some boxes.
static u128 choose_cut(const struct cell_region *region, const struct cell_entry *entries, uint32_t n, unsigned int dim)
{
	struct span128 r = region_span(region, dim);
	u128 cut[SAMPLE];
	uint32_t n_cut = 0, step = 1 + n / SAMPLE;

	for (uint32_t start = 0; start < step && n_cut == 0; start++) {
		for (uint32_t i = start; i < n && n_cut < SAMPLE; i += step) {
			struct span128 b = box_span(region, entries[i].box, dim);
			uint32_t at = n_cut;
			u128 value = b.lo > r.lo ? b.lo : b.hi + 1;

			if (b.lo <= r.lo && b.hi >= r.hi)
				continue;
			for (; at > 0 && cut[at - 1] > value; at--)
				cut[at] = cut[at - 1];
			cut[at] = value;
			n_cut++;
		}
	}
	return cut[n_cut / 2];
}

static void narrow(struct cell_region *region, unsigned int dim, u128 lo, u128 hi)
{
	if (dim >= MATCH_N_FIELDS)
		region->addr[dim - MATCH_N_FIELDS] = (struct span128){lo, hi};
	else
		region->f[dim] = (struct span){(uint64_t)lo, (uint64_t)hi};
}

static int reserve(struct work *w, size_t n)
{
	size_t cap = n * 2 + 256;
	struct cell_entry *stack;

	if (n <= w->cap)
		return 0;
	stack = reallocarray(w->stack, cap, sizeof(*stack));
	if (stack == NULL)
		return -ENOMEM;
	w->stack = stack;
	w->cap = cap;
	return 0;
}

// The region's entries are stack[at .. at + n). Every division leaves fewer boundaries inside, so it ends.
static int check(struct work *w, const struct cell_region *region, size_t at, uint32_t n)
{
	struct span128 whole;
	unsigned int dim;
	uint32_t cost;
	u128 cut;
	int ret = 1;

	cost = n <= CROWD ? 1 + n + n * n / 8 : 16 * n; // pair by pair; to be divided
	if (*w->effort < cost) {
		*w->effort = 0;
		return -E2BIG;
	}
	*w->effort -= cost;
	switch (w->look(w->ctx, region, &w->stack[at], &n)) {
	case CELL_EQUAL:
		return 1;
	case CELL_FAULT:
		return 0;
	case CELL_DIVIDE:
		break;
	}
	dim = busiest_dim(region, &w->stack[at], n);
	cut = choose_cut(region, &w->stack[at], n, dim);
	whole = region_span(region, dim);
	for (unsigned int half = 0; half < 2 && ret == 1; half++) {
		struct cell_region part = *region;
		uint32_t n_part = 0;

		if (reserve(w, at + 2 * (size_t)n) < 0)
			return -ENOMEM;
		narrow(&part, dim, half == 0 ? whole.lo : cut, half == 0 ? cut - 1 : whole.hi);
		for (uint32_t i = 0; i < n; i++) {
			struct cell_entry e = w->stack[at + i];
			int rel = e.fills ? 1 : relation(&part, e.box);

			if (rel < 0)
				continue;
			e.fills = rel == 1;
			w->stack[at + n + n_part++] = e;
		}
		ret = check(w, &part, at + n, n_part);
	}
	return ret;
}

// false: the box has no packets of that kind from from_ns on.
static bool region_of(const struct box *box, int64_t from_ns, uint32_t kind, struct cell_region *region)
{
	struct cell_box b;

	cell_box_of(box, &b);
	*region = (struct cell_region){.addr = {b.addr[0], b.addr[1]}, .kind = kind};
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		region->f[i] = b.f[i];
	if ((kind & MATCH_KINDS_PORTS) != 0)
		region->f[MATCH_PROTO] = b.port_proto;
	if (from_ns > 0 && region->f[MATCH_TIME].lo < (uint64_t)from_ns)
		region->f[MATCH_TIME].lo = (uint64_t)from_ns;
	return (b.kinds & kind) != 0 && region->f[MATCH_TIME].lo <= region->f[MATCH_TIME].hi;
}

int cells_check(const struct box *box, int64_t from_ns, const struct cell_box *const *boxes, uint32_t n_boxes,
		cell_look *look, void *ctx, uint32_t *effort)
{
	struct work w = {.look = look, .ctx = ctx, .effort = effort};
	int ret = reserve(&w, n_boxes) < 0 ? -ENOMEM : 1;

	for (uint32_t kind = 1; kind <= MATCH_KINDS_ALL && ret == 1; kind <<= 1) {
		struct cell_region region;
		uint32_t n = 0;

		if (!region_of(box, from_ns, kind, &region))
			continue;
		for (uint32_t i = 0; i < n_boxes; i++) {
			int rel = relation(&region, boxes[i]);

			if (rel >= 0)
				w.stack[n++] = (struct cell_entry){.box = boxes[i], .fills = rel == 1};
		}
		ret = check(&w, &region, 0, n);
	}
	free(w.stack);
	return ret;
}
