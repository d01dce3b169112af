// SPDX-License-Identifier: Apache-2.0
#include "calendar.h"

#include <errno.h>
#include <stdlib.h>

void calendar_fini(struct calendar *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->heap[i]);
	free(c->heap);
	id_map_fini(&c->by_ns);
	*c = (struct calendar){0};
}

static void put(struct calendar *c, uint32_t place, struct calendar_instant *at)
{
	c->heap[place] = at;
	at->place = place;
}

static void sift_up(struct calendar *c, uint32_t place)
{
	struct calendar_instant *at = c->heap[place];

	for (; place > 0 && c->heap[(place - 1) / 2]->ns > at->ns; place = (place - 1) / 2)
		put(c, place, c->heap[(place - 1) / 2]);
	put(c, place, at);
}

static void sift_down(struct calendar *c, uint32_t place)
{
	struct calendar_instant *at = c->heap[place];

	for (uint32_t child; (child = 2 * place + 1) < c->n; place = child) {
		if (child + 1 < c->n && c->heap[child + 1]->ns < c->heap[child]->ns)
			child++;
		if (c->heap[child]->ns >= at->ns)
			break;
		put(c, place, c->heap[child]);
	}
	put(c, place, at);
}

static int reserve(struct calendar *c)
{
	uint32_t cap = c->cap == 0 ? 64 : 2 * c->cap;
	struct calendar_instant **heap;

	if (c->n < c->cap)
		return 0;
	heap = reallocarray(c->heap, cap, sizeof(struct calendar_instant *));
	if (heap == NULL)
		return -ENOMEM;
	c->heap = heap;
	c->cap = cap;
	return 0;
}

static struct calendar_instant *instant(struct calendar *c, int64_t ns)
{
	struct calendar_instant *at = id_map_find(&c->by_ns, (uint64_t)ns);

	if (at != NULL)
		return at;
	at = reserve(c) < 0 ? NULL : calloc(1, sizeof(*at));
	if (at == NULL || id_map_put(&c->by_ns, (uint64_t)ns, at) < 0) {
		free(at);
		return NULL;
	}
	at->ns = ns;
	TAILQ_INIT(&at->starts);
	TAILQ_INIT(&at->ends);
	put(c, c->n++, at);
	sift_up(c, at->place);
	return at;
}

int calendar_add(struct calendar *c, struct calendar_item *item, int64_t ns, bool is_start)
{
	struct calendar_instant *at = instant(c, ns);

	if (at == NULL)
		return -ENOMEM;
	item->at = at;
	item->is_start = is_start;
	*(is_start ? &at->n_starts : &at->n_ends) += 1;
	TAILQ_INSERT_TAIL(is_start ? &at->starts : &at->ends, item, link);
	return 0;
}

void calendar_del(struct calendar *c, struct calendar_item *item)
{
	struct calendar_instant *at = item->at, *last;

	if (at == NULL)
		return;
	TAILQ_REMOVE(item->is_start ? &at->starts : &at->ends, item, link);
	*(item->is_start ? &at->n_starts : &at->n_ends) -= 1;
	item->at = NULL;
	if (!TAILQ_EMPTY(&at->starts) || !TAILQ_EMPTY(&at->ends))
		return;
	id_map_take(&c->by_ns, (uint64_t)at->ns);
	last = c->heap[--c->n];
	if (last != at) {
		put(c, at->place, last);
		sift_up(c, last->place);
		sift_down(c, last->place);
	}
	free(at);
}

const struct calendar_instant *calendar_first(const struct calendar *c)
{
	return c->n == 0 ? NULL : c->heap[0];
}
