// SPDX-License-Identifier: Apache-2.0
#include "span_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct span_set span_set_any(void)
{
	return (struct span_set){.any = true};
}

void span_set_fini(struct span_set *set)
{
	free(set->spans);
	*set = (struct span_set){0};
}

int span_set_add(struct span_set *set, u128 lo, u128 hi)
{
	if (set->n == set->cap) {
		uint32_t cap = set->cap == 0 ? 4 : set->cap * 2;
		struct span128 *spans = realloc(set->spans, cap * sizeof(*spans));

		if (spans == NULL)
			return -ENOMEM;
		set->spans = spans;
		set->cap = cap;
	}
	set->spans[set->n++] = (struct span128){lo, hi};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct span128 *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

void span_set_normalize(struct span_set *set)
{
	uint32_t n = 0;

	if (set->any || set->n < 2)
		return;
	qsort(set->spans, set->n, sizeof(*set->spans), compare);
	for (uint32_t i = 1; i < set->n; i++) {
		struct span128 *last = &set->spans[n], *next = &set->spans[i];

		if (next->lo > last->hi && next->lo - last->hi > 1)
			set->spans[++n] = *next;
		else if (next->hi > last->hi)
			last->hi = next->hi;
	}
	set->n = n + 1;
}

int span_set_complement(struct span_set *set, u128 max)
{
	struct span_set out = {0};
	u128 next = 0;
	bool more = true; // something may lie above the last interval seen
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < span_set_n(set); i++) {
		struct span128 span = span_set_at(set, i, max);

		if (span.lo > next)
			rc = span_set_add(&out, next, span.lo - 1);
		more = span.hi < max;
		next = span.hi + 1;
	}
	if (rc == 0 && more)
		rc = span_set_add(&out, next, max);
	if (rc < 0) {
		span_set_fini(&out);
		return rc;
	}
	span_set_fini(set);
	*set = out;
	return 0;
}

int span_set_intersect(struct span_set *set, const struct span_set *with)
{
	struct span_set out = {0};

	if (with->any)
		return 0;
	if (set->any)
		return span_set_copy(set, with);
	for (uint32_t i = 0, j = 0; i < set->n && j < with->n;) {
		const struct span128 *a = &set->spans[i], *b = &with->spans[j];
		u128 lo = a->lo > b->lo ? a->lo : b->lo, hi = a->hi < b->hi ? a->hi : b->hi;

		if (lo <= hi && span_set_add(&out, lo, hi) < 0) {
			span_set_fini(&out);
			return -ENOMEM;
		}
		if (a->hi < b->hi)
			i++;
		else
			j++;
	}
	span_set_fini(set);
	*set = out;
	return 0;
}

int span_set_copy(struct span_set *out, const struct span_set *in)
{
	struct span128 *spans = NULL;

	if (in->n > 0) {
		spans = malloc(in->n * sizeof(*spans));
		if (spans == NULL)
			return -ENOMEM;
		memcpy(spans, in->spans, in->n * sizeof(*spans));
	}
	span_set_fini(out);
	*out = (struct span_set){.spans = spans, .n = in->n, .cap = in->n, .any = in->any};
	return 0;
}

bool span_set_is_empty(const struct span_set *set)
{
	return !set->any && set->n == 0;
}

bool span_set_has(const struct span_set *set, u128 value)
{
	if (set->any)
		return true;
	for (uint32_t i = 0; i < set->n; i++)
		if (set->spans[i].lo <= value && value <= set->spans[i].hi)
			return true;
	return false;
}

bool span_set_equal(const struct span_set *a, const struct span_set *b)
{
	if (a->any || b->any)
		return a->any == b->any;
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->spans[i].lo != b->spans[i].lo || a->spans[i].hi != b->spans[i].hi)
			return false;
	return true;
}

uint32_t span_set_n(const struct span_set *set)
{
	return set->any ? 1 : set->n;
}

struct span128 span_set_at(const struct span_set *set, uint32_t i, u128 max)
{
	return set->any ? (struct span128){0, max} : set->spans[i];
}
