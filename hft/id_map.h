// SPDX-License-Identifier: Apache-2.0
// Numbers (request, share, content hash) -> pointers: open addressing, no tombstones.
// Owner: the caller. Thread: one.
#pragma once
#include <stdint.h>

struct id_map {
	struct {
		uint64_t id;
		void *value; // NULL: free
	} * slots;
	uint32_t n, cap; // cap: a power of two, or 0
};

void id_map_fini(struct id_map *map);                     // the values are the caller's; a zeroed map is an empty one
void *id_map_find(const struct id_map *map, uint64_t id); // NULL: not there
int id_map_put(struct id_map *map, uint64_t id, void *value); // id is not there, value not NULL; 0 or -ENOMEM
void *id_map_take(struct id_map *map, uint64_t id);           // out of the map; NULL: not there
// All values, in no order: *at starts as 0; NULL: no more. The map may not change meanwhile.
void *id_map_next(const struct id_map *map, uint32_t *at);
