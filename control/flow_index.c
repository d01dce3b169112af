// SPDX-License-Identifier: Apache-2.0
#include "flow_index.h"

#include <stdlib.h>

#include "request.h"

#define MIN_SLOTS 64

struct flow_index {
	struct flow_entry **slots;
	uint64_t n_slots, n; // n_slots is a power of two
	uint64_t n_sides[4]; // of them, by which ends are single hosts: 1 the source, 2 the destination
	uint64_t last_mark;
};

struct flow_index *flow_index_create(void)
{
	struct flow_index *index = calloc(1, sizeof(*index));

	if (index != NULL)
		index->slots = calloc(MIN_SLOTS, sizeof(struct flow_entry *));
	if (index == NULL || index->slots == NULL) {
		free(index);
		return NULL;
	}
	index->n_slots = MIN_SLOTS;
	return index;
}

void flow_index_destroy(struct flow_index *index)
{
	if (index != NULL)
		free(index->slots);
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
	uint64_t h = mix_host(mix_host(0, (sides & 1) != 0, box->src.lo), (sides & 2) != 0, box->dst.lo);

	return (uint32_t)(h ^ (h >> 32));
}

static unsigned int sides_of(const struct box *box)
{
	return (is_host(box, &box->src) ? 1u : 0) | (is_host(box, &box->dst) ? 2u : 0);
}

static struct flow_entry **slot(const struct flow_index *index, uint32_t hash)
{
	return &index->slots[hash & (index->n_slots - 1)];
}

static void insert(struct flow_index *index, struct flow_entry *e)
{
	struct flow_entry **at = slot(index, e->hash);

	e->next = *at;
	*at = e;
}

// Without memory for more slots the chains are only longer.
static void grow(struct flow_index *index, uint64_t n_slots)
{
	struct flow_entry **old = index->slots, **slots = calloc(n_slots, sizeof(struct flow_entry *));
	uint64_t n_old = index->n_slots;

	if (slots == NULL)
		return;
	index->slots = slots;
	index->n_slots = n_slots;
	for (uint64_t i = 0; i < n_old; i++)
		for (struct flow_entry *e = old[i], *next; e != NULL; e = next) {
			next = e->next;
			insert(index, e);
		}
	free(old);
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
		insert(index, &r->entries[i]);
	}
	index->n += r->flows.n_boxes;
}

void flow_index_remove(struct flow_index *index, struct request *r)
{
	for (uint32_t i = 0; i < r->flows.n_boxes; i++) {
		struct flow_entry **at = slot(index, r->entries[i].hash);

		while (*at != &r->entries[i])
			at = &(*at)->next;
		*at = (*at)->next;
		index->n_sides[sides_of(&r->flows.boxes[i])]--;
	}
	index->n -= r->flows.n_boxes;
}

uint64_t flow_index_mark(struct flow_index *index)
{
	return ++index->last_mark;
}

bool flow_index_covers(const struct box *box)
{
	return is_host(box, &box->src) && is_host(box, &box->dst);
}

static int look(const struct flow_entry *e, const struct box *box,
		int (*fn)(void *ctx, struct request *r, uint32_t idx), void *ctx)
{
	return box_overlaps(&e->request->flows.boxes[e->box], box) ? fn(ctx, e->request, e->box) : 0;
}

int flow_index_each(const struct flow_index *index, const struct box *box,
		    int (*fn)(void *ctx, struct request *r, uint32_t idx), void *ctx)
{
	int rc = 0;

	if (!flow_index_covers(box)) {
		for (uint64_t i = 0; i < index->n_slots && rc == 0; i++)
			for (const struct flow_entry *e = index->slots[i]; e != NULL && rc == 0; e = e->next)
				rc = look(e, box, fn, ctx);
		return rc;
	}
	for (unsigned int sides = 0; sides < 4; sides++) {
		uint32_t hash = hash_of(box, sides);

		if (index->n_sides[sides] == 0)
			continue;
		for (const struct flow_entry *e = *slot(index, hash); e != NULL && rc == 0; e = e->next)
			if (e->hash == hash)
				rc = look(e, box, fn, ctx);
	}
	return rc;
}
