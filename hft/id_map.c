// SPDX-License-Identifier: Apache-2.0
#include "id_map.h"

#include <errno.h>
#include <stdlib.h>

#define CAP_MIN 64

static uint32_t home(const struct id_map *map, uint64_t id)
{
	id = (id ^ id >> 32) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(id >> 32) & (map->cap - 1);
}

// The slot of id, or the free one where it would go. There is a free one.
static uint32_t slot_of(const struct id_map *map, uint64_t id)
{
	uint32_t i = home(map, id);

	while (map->slots[i].value != NULL && map->slots[i].id != id)
		i = (i + 1) & (map->cap - 1);
	return i;
}

static int grow(struct id_map *map)
{
	struct id_map next = {.n = map->n, .cap = map->cap == 0 ? CAP_MIN : map->cap * 2};

	next.slots = calloc(next.cap, sizeof(*next.slots));
	if (next.slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < map->cap; i++) {
		if (map->slots[i].value != NULL)
			next.slots[slot_of(&next, map->slots[i].id)] = map->slots[i];
	}
	free(map->slots);
	*map = next;
	return 0;
}

void id_map_fini(struct id_map *map)
{
	free(map->slots);
	*map = (struct id_map){0};
}

void *id_map_find(const struct id_map *map, uint64_t id)
{
	return map->n == 0 ? NULL : map->slots[slot_of(map, id)].value;
}

int id_map_put(struct id_map *map, uint64_t id, void *value)
{
	uint32_t i;

	if ((map->n + 1) * 2 > map->cap && grow(map) < 0)
		return -ENOMEM;
	i = slot_of(map, id);
	map->slots[i].id = id;
	map->slots[i].value = value;
	map->n++;
	return 0;
}

void *id_map_take(struct id_map *map, uint64_t id)
{
	uint32_t mask = map->cap - 1, hole;
	void *value;

	if (map->n == 0)
		return NULL;
	hole = slot_of(map, id);
	value = map->slots[hole].value;
	if (value == NULL)
		return NULL;
	for (uint32_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
		// The hole lies on its way from home.
		if (((i - home(map, map->slots[i].id)) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].value = NULL;
	map->n--;
	return value;
}

void *id_map_next(const struct id_map *map, uint32_t *at)
{
	while (*at < map->cap) {
		void *value = map->slots[(*at)++].value;

		if (value != NULL)
			return value;
	}
	return NULL;
}
