// SPDX-License-Identifier: Apache-2.0
// A hierarchical timing wheel that is also a priority queue: eight levels of 64 slots, one bitmap a level, so that the
// next slot is found by counting zeros (Varghese and Lauck's scheme 6; the bitmaps as in Eiffel, NSDI 2019). Insert and
// remove are O(1) (which item is in which wheel is the owner's to know); an item is moved down at most once a level.
// Items lie in an array of the owner's, each struct beginning with a struct wheel_item. Keys are ticks; two in one slot
// of the lowest level (2^10 ticks) are equal and first come first served, and farther ahead the order is the coarser
// the farther. No allocation. Thread: the owner's.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SHIFT 14
#define WHEEL_LEVELS 8
#define WHEEL_SLOTS 64
#define WHEEL_NONE UINT32_MAX
#define WHEEL_WHERE ((1U << WHEEL_SHIFT) - 1)

struct wheel_item {
	uint64_t key; // its low bits, too fine for a slot, hold the slot
	uint32_t next, prev;
};

struct wheel {
	uint64_t cur; // no key is below, in slots of the lowest level
	uint64_t levels, map[WHEEL_LEVELS];
	char *items;
	uint32_t stride;
	uint32_t head[WHEEL_LEVELS * WHEEL_SLOTS];
};

static inline struct wheel_item *wheel_item(const struct wheel *w, uint32_t id)
{
	return (struct wheel_item *)(w->items + (uint64_t)id * w->stride);
}

static inline void wheel_init(struct wheel *w, void *items, uint32_t stride, uint64_t now)
{
	*w = (struct wheel){.cur = now >> WHEEL_SHIFT, .items = items, .stride = stride};
}

static inline void wheel_add(struct wheel *w, uint32_t id, uint64_t key)
{
	struct wheel_item *item = wheel_item(w, id), *head;
	uint64_t at = key >> WHEEL_SHIFT;
	unsigned int level, where;

	if (at < w->cur)
		at = w->cur;
	level = at == w->cur ? 0 : (unsigned int)(63 - __builtin_clzll(at ^ w->cur)) / 6;
	if (level >= WHEEL_LEVELS) {
		level = WHEEL_LEVELS - 1; // years ahead
		at = w->cur | (uint64_t)63 << 6 * level;
	}
	where = level * WHEEL_SLOTS + (at >> 6 * level) % WHEEL_SLOTS;
	item->key = at << WHEEL_SHIFT | where;
	if ((w->map[level] >> where % WHEEL_SLOTS & 1) == 0) {
		w->map[level] |= 1ULL << where % WHEEL_SLOTS;
		w->levels |= 1ULL << level;
		w->head[where] = item->next = item->prev = id;
		return;
	}
	head = wheel_item(w, w->head[where]);
	item->next = w->head[where];
	item->prev = head->prev;
	wheel_item(w, head->prev)->next = id;
	head->prev = id;
}

static inline void wheel_del(struct wheel *w, uint32_t id)
{
	const struct wheel_item *item = wheel_item(w, id);
	unsigned int where = item->key & WHEEL_WHERE, level = where / WHEEL_SLOTS;

	if (item->next == id) {
		w->map[level] &= ~(1ULL << where % WHEEL_SLOTS);
		if (w->map[level] == 0)
			w->levels &= ~(1ULL << level);
		return;
	}
	wheel_item(w, item->prev)->next = item->next;
	wheel_item(w, item->next)->prev = item->prev;
	if (w->head[where] == id)
		w->head[where] = item->next;
}

// The first slot in use and when it begins; the wheel is not empty.
static inline unsigned int wheel_front(const struct wheel *w, uint64_t *begins)
{
	unsigned int level = (unsigned int)__builtin_ctzll(w->levels);
	unsigned int slot = (unsigned int)__builtin_ctzll(w->map[level]);

	*begins = (w->cur >> 6 * level >> 6 << 6 | slot) << 6 * level;
	return level * WHEEL_SLOTS + slot;
}

// The item with (about) the lowest key; WHEEL_NONE: empty. Slots that begin up to now are sorted, those beyond not yet.
static inline uint32_t wheel_first(struct wheel *w, uint64_t now)
{
	while (w->levels != 0) {
		uint64_t begins;
		unsigned int where = wheel_front(w, &begins);
		uint32_t id = w->head[where], last;

		if (begins > now >> WHEEL_SHIFT)
			return id;
		w->cur = begins;
		if (where < WHEEL_SLOTS)
			return id;
		last = wheel_item(w, id)->prev;
		w->map[where / WHEEL_SLOTS] &= ~(1ULL << where % WHEEL_SLOTS);
		if (w->map[where / WHEEL_SLOTS] == 0)
			w->levels &= ~(1ULL << where / WHEEL_SLOTS);
		for (bool more = true; more;) { // one level down at least
			uint32_t next = wheel_item(w, id)->next;

			more = id != last;
			__builtin_prefetch(wheel_item(w, next));
			wheel_add(w, id, wheel_item(w, id)->key);
			id = next;
		}
	}
	return WHEEL_NONE;
}

// An item whose whole slot is past, taken out; WHEEL_NONE: there is none.
static inline uint32_t wheel_pop_due(struct wheel *w, uint64_t now)
{
	uint64_t begins = 0;
	uint32_t id;

	if (w->levels == 0) {
		w->cur = now >> WHEEL_SHIFT > w->cur ? now >> WHEEL_SHIFT : w->cur;
		return WHEEL_NONE;
	}
	id = wheel_first(w, now);
	wheel_front(w, &begins);
	if (begins >= now >> WHEEL_SHIFT)
		return WHEEL_NONE;
	wheel_del(w, id);
	__builtin_prefetch(wheel_item(w, wheel_item(w, wheel_item(w, id)->next)->next)); // due soon, too
	return id;
}

// Not later than the instant at which wheel_pop_due has one; UINT64_MAX: empty. Exact if few wait in the first slot.
static inline uint64_t wheel_next(const struct wheel *w)
{
	uint64_t begins, least = UINT64_MAX;
	unsigned int where, n = 0;
	uint32_t id;

	if (w->levels == 0)
		return UINT64_MAX;
	where = wheel_front(w, &begins);
	id = w->head[where];
	if (where < WHEEL_SLOTS)
		return (begins + 1) << WHEEL_SHIFT;
	do {
		uint64_t at = wheel_item(w, id)->key >> WHEEL_SHIFT;

		least = at < least ? at : least;
		id = wheel_item(w, id)->next;
	} while (++n < 16 && id != w->head[where]);
	return id == w->head[where] ? (least + 1) << WHEEL_SHIFT : begins << WHEEL_SHIFT;
}
