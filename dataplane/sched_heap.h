// SPDX-License-Identifier: Apache-2.0
// Binary min-heap of ids by a 64-bit key, and circular doubly linked lists of ids, over arrays that the caller owns.
// No allocation: both have room for every id. Thread: the owner's.
#pragma once
#include <stdint.h>

#define SCHED_NONE UINT16_MAX

struct heap_entry {
	uint64_t key;
	uint16_t id;
};

struct heap {
	struct heap_entry *entry;
	uint16_t *pos; // of each id, SCHED_NONE: not in a heap; two heaps with disjoint ids may share it
	uint32_t n;
};

static inline void heap_put(struct heap *h, uint32_t i, struct heap_entry e)
{
	h->entry[i] = e;
	h->pos[e.id] = (uint16_t)i;
}

static inline void heap_sift_up(struct heap *h, uint32_t i, struct heap_entry e)
{
	while (i > 0 && h->entry[(i - 1) / 2].key > e.key) {
		heap_put(h, i, h->entry[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(h, i, e);
}

static inline void heap_sift_down(struct heap *h, uint32_t i, struct heap_entry e)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->entry[child + 1].key < h->entry[child].key)
			child++;
		if (h->entry[child].key >= e.key)
			break;
		heap_put(h, i, h->entry[child]);
		i = child;
	}
	heap_put(h, i, e);
}

static inline void heap_move(struct heap *h, uint32_t i, struct heap_entry e)
{
	if (i > 0 && h->entry[(i - 1) / 2].key > e.key)
		heap_sift_up(h, i, e);
	else
		heap_sift_down(h, i, e);
}

// Inserts id, or gives it another key.
static inline void heap_set(struct heap *h, uint16_t id, uint64_t key)
{
	struct heap_entry e = {.key = key, .id = id};

	if (h->pos[id] == SCHED_NONE)
		heap_sift_up(h, h->n++, e);
	else
		heap_move(h, h->pos[id], e);
}

// id must be in it.
static inline void heap_del(struct heap *h, uint16_t id)
{
	uint32_t i = h->pos[id];

	h->pos[id] = SCHED_NONE;
	h->n--;
	if (i < h->n)
		heap_move(h, i, h->entry[h->n]);
}

struct link {
	uint16_t next, prev;
};

// head: SCHED_NONE when empty.
static inline void list_add_tail(struct link *links, uint16_t *head, uint16_t id)
{
	uint16_t first = *head;

	if (first == SCHED_NONE) {
		links[id] = (struct link){.next = id, .prev = id};
		*head = id;
		return;
	}
	links[id] = (struct link){.next = first, .prev = links[first].prev};
	links[links[first].prev].next = id;
	links[first].prev = id;
}

static inline void list_add_head(struct link *links, uint16_t *head, uint16_t id)
{
	list_add_tail(links, head, id);
	*head = id;
}

static inline void list_del(struct link *links, uint16_t *head, uint16_t id)
{
	struct link l = links[id];

	if (l.next == id) {
		*head = SCHED_NONE;
		return;
	}
	links[l.prev].next = l.next;
	links[l.next].prev = l.prev;
	if (*head == id)
		*head = l.next;
}
