// SPDX-License-Identifier: Apache-2.0
// Finds a thing by its name in constant time. Keys and values are borrowed: the key must live inside the value.
// Owner: the caller (name_map_init ... name_map_fini). Thread: control only.
#pragma once
#include <stddef.h>

struct name_map_slot {
	const char *key; // NULL: free
	void *value;
};

struct name_map {
	struct name_map_slot *slots;
	size_t n, cap; // cap is 0 or a power of two
};

void name_map_init(struct name_map *map);
void name_map_fini(struct name_map *map);
void *name_map_find(const struct name_map *map, const char *key);     // NULL when unknown
void name_map_remove(struct name_map *map, const char *key);          // must be there
int name_map_add(struct name_map *map, const char *key, void *value); // 0, -EEXIST or -ENOMEM (nothing changed)
