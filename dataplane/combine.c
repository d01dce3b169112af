// SPDX-License-Identifier: Apache-2.0
#include "combine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hft/parts.h"
#include "layers.h"

#define WAYS 2

// Rows in the order of their categories, without the gaps.
struct met {
	uint32_t n, hash;
	uint32_t row[CLS_CATEGORIES_MAX];
};

struct combine *combine_create(const struct names_node *nodes, const struct layers *layers, struct row_count *counts,
			       struct err *err)
{
	struct combine *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);

	if (c == NULL) {
		err_set(err, ENOMEM, "no memory for what packets meet");
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->nodes = nodes;
	c->layers = layers;
	c->counts = counts;
	for (uint32_t i = 0; i < COMBINE_ENTRIES; i++)
		c->entry[i].rest = &c->rest[i];
	c->nothing.rest = &c->rest_of_nothing;
	c->large.rest = &c->rest_of_large;
	sched_set_seal(&c->nothing.rest->set);
	c->nothing.best_effort = true;
	return c;
}

void combine_destroy(struct combine *c)
{
	free(c);
}

// --- the rule

// Only decides: the caller has left out nothing that matters.
static bool is_denied(const struct combine *c, const struct met *met)
{
	for (uint32_t i = 0; i < met->n; i++) {
		const struct cls_payload *deny = &layers_slot(c->layers, met->row[i])->payload;
		bool spoken_for = deny->access != ACCESS_DENY;

		for (uint32_t k = 0; k < met->n && !spoken_for; k++) {
			const struct cls_payload *allow = &layers_slot(c->layers, met->row[k])->payload;

			spoken_for = allow->access == ACCESS_ALLOW && names_below(c->nodes, allow->node, deny->node);
		}
		if (!spoken_for)
			return true;
	}
	return false;
}

// Ascending, none twice; those beyond the maximum are left out (admission lets no more meet).
static uint8_t add_slot(uint32_t *slot, uint8_t n, uint32_t one)
{
	for (uint8_t i = 0; i < n; i++) {
		if (slot[i] == one)
			return n;
	}
	if (n == ACTION_SET_MAX)
		return n;
	slot[n] = one;
	return (uint8_t)(n + 1);
}

static void add_counter(struct combined *e, uint32_t counter)
{
	for (uint32_t i = 0; i < e->n_counters; i++) {
		if (e->rest->counter[i] == counter)
			return;
	}
	if (e->n_counters < COMBINE_ROWS_MAX)
		e->rest->counter[e->n_counters++] = counter;
}

static void forget_classes(struct combined *e)
{
	for (int i = 0; i < COMBINE_PORTS; i++)
		e->rest->class_at[i].key = COMBINE_NO_KEY;
}

static void work_out(const struct combine *c, const struct met *met, struct combined *e)
{
	struct sched_set *set = &e->rest->set;
	bool background = false;

	e->drop = is_denied(c, met);
	e->n_counters = 0;
	*set = (struct sched_set){.node = SCHED_NODE_ROOT};
	for (uint32_t i = 0; i < met->n; i++) {
		const struct cls_payload *p = &layers_slot(c->layers, met->row[i])->payload;

		if (p->part == PART_RESERVE)
			set->n_reservations = add_slot(set->reservation, set->n_reservations, p->meter);
		else if (p->part == PART_LIMIT)
			set->n_limits = add_slot(set->limit, set->n_limits, p->meter);
		else if (p->part == PART_BACKGROUND || (p->part == PART_SHARE && !background))
			set->node = p->meter;
		background = background || p->part == PART_BACKGROUND;
		if (p->counter != NAMES_NO_SLOT)
			add_counter(e, p->counter);
	}
	sched_set_seal(set);
	e->best_effort = set->node == SCHED_NODE_ROOT && set->n_reservations == 0 && set->n_limits == 0;
	forget_classes(e);
}

// --- keeping

static void flush(struct combine *c, struct combined *e)
{
	for (uint32_t i = 0; i < e->n_counters && c->counts != NULL; i++) {
		struct row_count *count = &c->counts[e->rest->counter[i]];
		uint64_t packets = atomic_load_explicit(&count->packets, memory_order_relaxed);
		uint64_t bytes = atomic_load_explicit(&count->bytes, memory_order_relaxed);

		atomic_store_explicit(&count->packets, packets + e->packets, memory_order_relaxed);
		atomic_store_explicit(&count->bytes, bytes + e->bytes, memory_order_relaxed);
	}
	e->packets = 0;
	e->bytes = 0;
}

static uint32_t add_hash(uint32_t hash, uint32_t row)
{
	hash = (hash ^ row) * 0x9e3779b1u;
	return hash ^ hash >> 15;
}

// The places that an answer may have: those of packets that meet one row lie by row, others in either place of a set.
struct places {
	struct combined *first;
	uint32_t n;
};

static struct places places_of(const struct combine *c, uint32_t n_rows, uint32_t row, uint32_t hash)
{
	uint32_t at = n_rows == 1 ? row % COMBINE_ENTRIES : hash % (COMBINE_ENTRIES / WAYS) * WAYS;

	return (struct places){(struct combined *)(uintptr_t)&c->entry[at], n_rows == 1 ? 1 : WAYS};
}

static void collect(const uint32_t *rows, uint32_t n_categories, struct met *met)
{
	uint32_t n = 0, hash = 0;

	for (uint32_t i = 0; i < n_categories; i++) {
		if (rows[i] == CLS_NO_ROW)
			continue;
		met->row[n++] = rows[i];
		hash = add_hash(hash, rows[i]);
	}
	met->n = n;
	met->hash = hash;
}

static bool is_it(const struct combined *e, uint64_t epoch, const struct met *met)
{
	if (e->epoch != epoch || e->n_rows != met->n)
		return false;
	for (uint32_t i = 0; i < met->n && i < COMBINE_ROWS_NEAR; i++) {
		if (e->row[i] != met->row[i])
			return false;
	}
	for (uint32_t i = COMBINE_ROWS_NEAR; i < met->n; i++) {
		if (e->rest->row[i - COMBINE_ROWS_NEAR] != met->row[i])
			return false;
	}
	return true;
}

static void keep_rows(struct combined *e, const struct met *met)
{
	e->n_rows = met->n;
	for (uint32_t i = 0; i < met->n; i++) {
		if (i < COMBINE_ROWS_NEAR)
			e->row[i] = met->row[i];
		else
			e->rest->row[i - COMBINE_ROWS_NEAR] = met->row[i];
	}
}

// The entry to take: one of another epoch, else the one that counted least.
static struct combined *victim(struct places p, uint64_t epoch)
{
	struct combined *least = p.first;

	for (uint32_t i = 0; i < p.n; i++) {
		if (p.first[i].epoch != epoch)
			return &p.first[i];
		if (p.first[i].packets < least->packets)
			least = &p.first[i];
	}
	return least;
}

static struct combined *large(struct combine *c, const struct met *met)
{
	flush(c, &c->large);
	work_out(c, met, &c->large);
	return &c->large;
}

struct combined *combine_get(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories)
{
	struct combined *e;
	struct places p;
	struct met met;

	collect(rows, n_categories, &met);
	if (met.n == 0)
		return &c->nothing;
	p = places_of(c, met.n, met.row[0], met.hash);
	for (uint32_t i = 0; i < p.n; i++) {
		if (is_it(&p.first[i], epoch, &met))
			return &p.first[i];
	}
	if (met.n > COMBINE_ROWS_MAX)
		return large(c, &met);
	e = victim(p, epoch);
	flush(c, e);
	e->epoch = epoch;
	keep_rows(e, &met);
	work_out(c, &met, e);
	return e;
}

void combine_prefetch(const struct combine *c, const uint32_t *rows, uint32_t n_categories)
{
	uint32_t hash = 0, n = 0, row = 0;
	struct places p;

	for (uint32_t i = 0; i < n_categories; i++) {
		if (rows[i] == CLS_NO_ROW)
			continue;
		row = rows[i];
		hash = add_hash(hash, row);
		n++;
	}
	p = places_of(c, n, row, hash);
	for (uint32_t i = 0; i < p.n; i++)
		__builtin_prefetch(p.first + i);
}

void combine_flush(struct combine *c)
{
	uint32_t n = COMBINE_ENTRIES / COMBINE_FLUSHES;

	for (uint32_t i = 0; i < n; i++) {
		struct combined *e = &c->entry[c->next_flush + i];

		if (e->packets > 0)
			flush(c, e);
	}
	c->next_flush = (c->next_flush + n) % COMBINE_ENTRIES;
	flush(c, &c->large);
}
