// SPDX-License-Identifier: Apache-2.0
// Who has had least for its weight: a circular calendar of 64 slots over a window of virtual time, found by counting
// zeros (start-time fair queueing, Goyal 1996, on Eiffel's buckets). A tag is what an item has had, in bytes for its
// weight, 2^-20 exactly; the slot only orders, so nothing that is rounded adds up. Tags wrap and are compared by their
// distance. The window begins some way behind now, so that those who may make up for something have their order too.
// Items begin each struct of an array of the owner's. No allocation. Thread: the owner's.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define CALENDAR_SLOTS 64
#define CALENDAR_NONE UINT32_MAX

struct calendar_item {
	uint64_t tag;
	uint32_t next, prev;
	uint16_t at;     // slot
	uint16_t served; // the owner's, not looked at here
	int32_t deficit; // the owner's, too
};

struct calendar {
	uint64_t map;
	uint32_t head[CALENDAR_SLOTS];
};

struct calendar_items {
	char *base;
	uint32_t stride;
};

static inline struct calendar_item *calendar_item(struct calendar_items items, uint32_t id)
{
	return (struct calendar_item *)(items.base + (uint64_t)id * items.stride);
}

// from: where the window begins, the same for all functions at any time but never going back. What is before it comes
// into its first slot, what is too far ahead into its last.
static inline void calendar_add(struct calendar *c, struct calendar_items items, uint32_t id, uint64_t from,
				unsigned int shift)
{
	struct calendar_item *item = calendar_item(items, id), *head;
	int64_t ahead = (int64_t)(item->tag - from);
	uint64_t at = from >> shift;

	if (ahead > 0)
		at = (ahead >> shift) < CALENDAR_SLOTS - 2 ? item->tag >> shift : at + CALENDAR_SLOTS - 2;
	item->at = (uint16_t)(at % CALENDAR_SLOTS);
	if ((c->map >> item->at & 1) == 0) {
		c->map |= 1ULL << item->at;
		c->head[item->at] = item->next = item->prev = id;
		return;
	}
	head = calendar_item(items, c->head[item->at]);
	item->next = c->head[item->at];
	item->prev = head->prev;
	calendar_item(items, head->prev)->next = id;
	head->prev = id;
}

static inline void calendar_del(struct calendar *c, struct calendar_items items, uint32_t id)
{
	const struct calendar_item *item = calendar_item(items, id);

	if (item->next == id) {
		c->map &= ~(1ULL << item->at);
		return;
	}
	calendar_item(items, item->prev)->next = item->next;
	calendar_item(items, item->next)->prev = item->prev;
	if (c->head[item->at] == id)
		c->head[item->at] = item->next;
}

// The first in the calendar, which is not empty.
static inline uint32_t calendar_first(const struct calendar *c, uint64_t from, unsigned int shift)
{
	unsigned int at = from >> shift & (CALENDAR_SLOTS - 1);
	uint64_t rotated = at == 0 ? c->map : c->map >> at | c->map << (CALENDAR_SLOTS - at);

	return c->head[(at + (unsigned int)__builtin_ctzll(rotated)) % CALENDAR_SLOTS];
}

// What now is when this item, the first, is served: its tag, but not beyond its slot, where others may be.
static inline uint64_t calendar_reach(const struct calendar_item *item, uint64_t now, uint64_t from, unsigned int shift)
{
	uint64_t ahead = (item->at - (from >> shift)) % CALENDAR_SLOTS;
	uint64_t until = (((from >> shift) + ahead + 1) << shift) - 1;
	uint64_t tag = (int64_t)(item->tag - until) > 0 ? until : item->tag;

	return (int64_t)(tag - now) > 0 ? tag : now;
}
