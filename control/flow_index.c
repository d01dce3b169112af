// SPDX-License-Identifier: Apache-2.0
#include "flow_index.h"

#include <errno.h>
#include <stdlib.h>

#include "region.h"
#include "request.h"

#define MIN_SLOTS 64

LIST_HEAD(flow_list, flow_entry);

enum { WIDE, BY_SRC, BY_DST, BETWEEN, N_SIDES }; // which ends are single hosts

struct flow_index {
	struct flow_list *whole;
	struct flow_list *half[2]; // NULL until somebody asks about one host: they cost who does not
	uint64_t n_slots, n;       // n_slots, of each table, is a power of two
	uint64_t n_sides[N_SIDES];
	struct flow_list only[N_SIDES]; // of BY_SRC and BY_DST
	uint64_t last_mark;
};

struct flow_index *flow_index_create(void)
{
	struct flow_index *index = calloc(1, sizeof(*index));

	if (index != NULL)
		index->whole = calloc(MIN_SLOTS, sizeof(*index->whole));
	if (index == NULL || index->whole == NULL) {
		free(index);
		return NULL;
	}
	index->n_slots = MIN_SLOTS;
	return index;
}

void flow_index_destroy(struct flow_index *index)
{
	if (index == NULL)
		return;
	free(index->whole);
	free(index->half[0]);
	free(index->half[1]);
	free(index);
}

// One address of one family. A span like that of an IPv4 host is a whole prefix in IPv6.
static bool is_host(const struct box *box, const struct span128 *span)
{
	if ((box->kinds & ~(uint32_t)MATCH_KINDS_V4) == 0)
		return (span->lo ^ span->hi) == ((u128)1 << 96) - 1;
	return (box->kinds & ~(uint32_t)MATCH_KINDS_V6) == 0 && span->lo == span->hi;
}

static uint64_t mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 29);
}

static uint64_t mix_host(uint64_t h, bool is_one, u128 addr)
{
	return is_one ? mix(mix(h, (uint64_t)(addr >> 64)), (uint64_t)addr) : mix(h, 1);
}

static uint32_t hash_of(const struct box *box, unsigned int sides)
{
	uint64_t h = mix_host(mix_host(0, (sides & BY_SRC) != 0, box->src.lo), (sides & BY_DST) != 0, box->dst.lo);

	return (uint32_t)(h ^ (h >> 32));
}

static unsigned int sides_of(const struct box *box)
{
	return (is_host(box, &box->src) ? BY_SRC : 0) | (is_host(box, &box->dst) ? BY_DST : 0);
}

static struct flow_list *slot(const struct flow_index *index, struct flow_list *table, uint32_t hash)
{
	return &table[hash & (index->n_slots - 1)];
}

static void insert_halves(struct flow_index *index, struct flow_entry *e)
{
	const struct box *box = &e->request->flows.boxes[e->box];

	if (sides_of(box) != BETWEEN)
		return;
	LIST_INSERT_HEAD(slot(index, index->half[0], hash_of(box, BY_SRC)), e, half[0]);
	LIST_INSERT_HEAD(slot(index, index->half[1], hash_of(box, BY_DST)), e, half[1]);
}

// The tables by one end, of all that is there. Without memory for them all are asked.
static void make_halves(struct flow_index *index)
{
	free(index->half[0]);
	free(index->half[1]);
	index->half[0] = calloc(index->n_slots, sizeof(*index->half[0]));
	index->half[1] = calloc(index->n_slots, sizeof(*index->half[1]));
	if (index->half[0] == NULL || index->half[1] == NULL) {
		free(index->half[0]);
		free(index->half[1]);
		index->half[0] = index->half[1] = NULL;
		return;
	}
	for (uint64_t i = 0; i < index->n_slots; i++) {
		struct flow_entry *e;

		LIST_FOREACH (e, &index->whole[i], whole)
			insert_halves(index, e);
	}
}

// Without memory for more slots the chains are only longer.
static void grow(struct flow_index *index, uint64_t n_slots)
{
	struct flow_list *old = index->whole, *whole = calloc(n_slots, sizeof(*whole));
	uint64_t n_old = index->n_slots;

	if (whole == NULL)
		return;
	index->whole = whole;
	index->n_slots = n_slots;
	for (uint64_t i = 0; i < n_old; i++)
		for (struct flow_entry *e = LIST_FIRST(&old[i]), *next; e != NULL; e = next) {
			next = LIST_NEXT(e, whole);
			LIST_INSERT_HEAD(slot(index, whole, e->hash), e, whole);
		}
	free(old);
	if (index->half[0] != NULL)
		make_halves(index);
}

struct flow_entry *flow_index_prepare(struct flow_index *index, uint32_t n_boxes)
{
	if (index->n + n_boxes > index->n_slots)
		grow(index, index->n_slots * 2);
	return calloc(n_boxes > 0 ? n_boxes : 1, sizeof(struct flow_entry));
}

void flow_index_add(struct flow_index *index, struct request *r)
{
	for (uint32_t i = 0; i < r->flows.n_boxes; i++) {
		const struct box *box = &r->flows.boxes[i];
		unsigned int sides = sides_of(box);

		r->entries[i].request = r;
		r->entries[i].box = i;
		r->entries[i].hash = hash_of(box, sides);
		index->n_sides[sides]++;
		LIST_INSERT_HEAD(slot(index, index->whole, r->entries[i].hash), &r->entries[i], whole);
		if (index->half[0] != NULL)
			insert_halves(index, &r->entries[i]);
		if (sides == BY_SRC || sides == BY_DST)
			LIST_INSERT_HEAD(&index->only[sides], &r->entries[i], half[0]);
	}
	index->n += r->flows.n_boxes;
}

void flow_index_remove(struct flow_index *index, struct request *r)
{
	for (uint32_t i = 0; i < r->flows.n_boxes; i++) {
		unsigned int sides = sides_of(&r->flows.boxes[i]);

		LIST_REMOVE(&r->entries[i], whole);
		if (sides == BY_SRC || sides == BY_DST || (sides == BETWEEN && index->half[0] != NULL))
			LIST_REMOVE(&r->entries[i], half[0]);
		if (sides == BETWEEN && index->half[0] != NULL)
			LIST_REMOVE(&r->entries[i], half[1]);
		index->n_sides[sides]--;
	}
	index->n -= r->flows.n_boxes;
}

uint64_t flow_index_mark(struct flow_index *index)
{
	return ++index->last_mark;
}

bool flow_index_covers(const struct box *box)
{
	return sides_of(box) != WIDE;
}

struct asking {
	const struct box *box;
	uint64_t *work;
	int (*fn)(void *ctx, struct request *r, uint32_t idx);
	void *ctx;
};

static int look(const struct asking *a, const struct flow_entry *e)
{
	if (++*a->work > REGION_WORK_MAX)
		return -E2BIG;
	return box_overlaps(&e->request->flows.boxes[e->box], a->box) ? a->fn(a->ctx, e->request, e->box) : 0;
}

static int look_at_all(const struct flow_index *index, const struct asking *a)
{
	const struct flow_entry *e;
	int rc = 0;

	for (uint64_t i = 0; i < index->n_slots && rc == 0; i++)
		for (e = LIST_FIRST(&index->whole[i]); e != NULL && rc == 0; e = LIST_NEXT(e, whole))
			rc = look(a, e);
	return rc;
}

// Those with exactly the hosts that the box has at these ends.
static int look_at_whole(const struct flow_index *index, const struct asking *a, unsigned int sides)
{
	uint32_t hash = hash_of(a->box, sides);
	const struct flow_entry *e;
	int rc = 0;

	if (index->n_sides[sides] == 0)
		return 0;
	for (e = LIST_FIRST(slot(index, index->whole, hash)); e != NULL && rc == 0; e = LIST_NEXT(e, whole))
		if (e->hash == hash)
			rc = look(a, e);
	return rc;
}

// One end is a host: those between it and another, and those that have a host at the other end only.
static int look_at_half(const struct flow_index *index, const struct asking *a, unsigned int side)
{
	const int end = side == BY_SRC ? 0 : 1;
	const struct flow_entry *e = LIST_FIRST(slot(index, index->half[end], hash_of(a->box, side)));
	int rc = 0;

	for (; e != NULL && rc == 0; e = LIST_NEXT(e, half[end]))
		rc = look(a, e);
	for (e = LIST_FIRST(&index->only[BETWEEN - side]); e != NULL && rc == 0; e = LIST_NEXT(e, half[0]))
		rc = look(a, e);
	return rc;
}

int flow_index_each(struct flow_index *index, const struct box *box, uint64_t *work,
		    int (*fn)(void *ctx, struct request *r, uint32_t idx), void *ctx)
{
	const struct asking a = {box, work, fn, ctx};
	unsigned int sides = sides_of(box);
	int rc = 0;

	if (sides != BETWEEN && sides != WIDE && index->half[0] == NULL)
		make_halves(index);
	if (sides == WIDE || (sides != BETWEEN && index->half[0] == NULL))
		return look_at_all(index, &a);
	for (unsigned int i = 0; i < N_SIDES && rc == 0; i++)
		if ((i & ~sides) == 0) // it has a host wherever they have one
			rc = look_at_whole(index, &a, i);
	return rc == 0 && sides != BETWEEN ? look_at_half(index, &a, sides) : rc;
}
