// SPDX-License-Identifier: Apache-2.0
// Open addressing, linear probing, at most half full.
#include "name_map.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIN_SLOTS 16

static size_t slot_of(const struct name_map *map, const char *key)
{
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (const char *c = key; *c != '\0'; c++)
		h = (h ^ (unsigned char)*c) * 1099511628211u;
	i = (size_t)(h ^ (h >> 32)) & (map->cap - 1);
	while (map->slots[i].key != NULL && strcmp(map->slots[i].key, key) != 0)
		i = (i + 1) & (map->cap - 1);
	return i;
}

static int grow(struct name_map *map)
{
	struct name_map next = {.n = map->n, .cap = map->cap == 0 ? MIN_SLOTS : map->cap * 2};

	next.slots = calloc(next.cap, sizeof(*next.slots));
	if (next.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < map->cap; i++)
		if (map->slots[i].key != NULL)
			next.slots[slot_of(&next, map->slots[i].key)] = map->slots[i];
	free(map->slots);
	*map = next;
	return 0;
}

void name_map_init(struct name_map *map)
{
	memset(map, 0, sizeof(*map));
}

void name_map_fini(struct name_map *map)
{
	free(map->slots);
	name_map_init(map);
}

void *name_map_find(const struct name_map *map, const char *key)
{
	return map->cap == 0 ? NULL : map->slots[slot_of(map, key)].value;
}

int name_map_add(struct name_map *map, const char *key, void *value)
{
	size_t i;

	if (name_map_find(map, key) != NULL)
		return -EEXIST;
	if (2 * (map->n + 1) > map->cap && grow(map) < 0)
		return -ENOMEM;
	i = slot_of(map, key);
	map->slots[i] = (struct name_map_slot){key, value};
	map->n++;
	return 0;
}

// What follows in the same run moves up, so that no search stops short at the hole.
void name_map_remove(struct name_map *map, const char *key)
{
	size_t hole = slot_of(map, key), i = hole;

	assert(map->slots[hole].key != NULL);
	map->slots[hole] = (struct name_map_slot){0};
	map->n--;
	for (;;) {
		struct name_map_slot moved;

		i = (i + 1) & (map->cap - 1);
		moved = map->slots[i];
		if (moved.key == NULL)
			return;
		map->slots[i] = (struct name_map_slot){0};
		map->slots[slot_of(map, moved.key)] = moved;
	}
}
