// SPDX-License-Identifier: Apache-2.0
#include "combine.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "hft/parts.h"
#include "layers.h"

// Rows in the order of their categories, without the gaps.
struct met {
	uint32_t n;
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
	memset(c, 0, offsetof(struct combine, rest));
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
	if (e->n_counters < COMBINE_WORDS_MAX)
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

static void collect(const uint32_t *rows, uint32_t n_categories, struct met *met)
{
	met->n = 0;
	for (uint32_t i = 0; i < n_categories; i++) {
		met->row[met->n] = rows[i];
		met->n += rows[i] != CLS_NO_ROW;
	}
}

static bool is_it(const struct combined *e, uint64_t epoch, const uint32_t *word, uint32_t n)
{
	uint32_t near = n < COMBINE_WORDS_NEAR ? n : COMBINE_WORDS_NEAR;

	return e->epoch == epoch && e->n_words == n && memcmp(e->word, word, near * sizeof(*word)) == 0 &&
	       memcmp(e->rest->word, word + near, (n - near) * sizeof(*word)) == 0;
}

static void keep_words(struct combined *e, const uint32_t *word, uint32_t n)
{
	uint32_t near = n < COMBINE_WORDS_NEAR ? n : COMBINE_WORDS_NEAR;

	e->n_words = (uint8_t)n;
	memcpy(e->word, word, near * sizeof(*word));
	memcpy(e->rest->word, word + near, (n - near) * sizeof(*word));
}

// The entry to take: one of another epoch, else the one that counted least.
static struct combined *victim(struct combined *first, struct combined *second, uint64_t epoch)
{
	if (first->epoch != epoch)
		return first;
	if (second->epoch != epoch)
		return second;
	return second->packets < first->packets ? second : first;
}

static struct combined *large(struct combine *c, const struct met *met)
{
	flush(c, &c->large);
	work_out(c, met, &c->large);
	return &c->large;
}

static struct combined *find_or_work_out(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories,
					 uint32_t place)
{
	struct combined *e = &c->entry[place], *other = &c->entry[place ^ 1];
	const uint32_t *word = rows;
	uint32_t n = n_categories;
	struct met met;

	collect(rows, n_categories, &met);
	if (n > COMBINE_WORDS_MAX) {
		if (met.n > COMBINE_WORDS_MAX)
			return large(c, &met);
		word = met.row;
		n = met.n;
	}
	if (is_it(e, epoch, word, n))
		return e;
	if (is_it(other, epoch, word, n))
		return other;
	e = victim(e, other, epoch);
	flush(c, e);
	e->epoch = epoch;
	keep_words(e, word, n);
	work_out(c, &met, e);
	return e;
}

struct combined *combine_get(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories)
{
	if (n_categories == 0)
		return &c->nothing;
	return find_or_work_out(c, epoch, rows, n_categories, combine_place(rows, n_categories));
}

static uint64_t differ(const uint32_t *a, const uint32_t *b, uint32_t n_words)
{
	uint64_t bits = 0, x, y;

	for (uint32_t i = 0; i < n_words; i += 2) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		bits |= x ^ y;
	}
	return bits;
}

struct combined *combine_of_many(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories,
				 uint32_t place)
{
	struct combined *a = &c->entry[place], *b = &c->entry[place ^ 1];
	uint32_t near = n_categories < COMBINE_WORDS_NEAR ? n_categories : COMBINE_WORDS_NEAR;
	uint64_t not_a = (a->epoch ^ epoch) | (a->n_words ^ n_categories) | differ(a->word, rows, near);
	uint64_t not_b = (b->epoch ^ epoch) | (b->n_words ^ n_categories) | differ(b->word, rows, near);

	a = not_a == 0 ? a : b; // no jump: it would be wrong half of the time
	if ((not_a == 0 || not_b == 0) &&
	    (n_categories <= COMBINE_WORDS_NEAR ||
	     differ(a->rest->word, rows + COMBINE_WORDS_NEAR, n_categories - COMBINE_WORDS_NEAR) == 0))
		return a;
	return NULL;
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
