// SPDX-License-Identifier: Apache-2.0
#include "flowtab.h"

#include <errno.h>
#include <stdlib.h>

void flowtab_init(struct flowtab *ft)
{
	*ft = (struct flowtab){0};
}

void flowtab_fini(struct flowtab *ft)
{
	free(ft->rows);
	flowtab_init(ft);
}

int flowtab_add(struct flowtab *ft, const struct row *row)
{
	if (ft->n_rows == ft->cap) {
		uint32_t cap = ft->cap == 0 ? 16 : ft->cap * 2;
		struct row *rows = cap > ft->cap ? reallocarray(ft->rows, cap, sizeof(*rows)) : NULL;

		if (rows == NULL)
			return -ENOMEM;
		ft->rows = rows;
		ft->cap = cap;
	}
	ft->rows[ft->n_rows++] = *row;
	return 0;
}

static int compare_rank_key(uint32_t rank_a, uint64_t key_a, uint32_t rank_b, uint64_t key_b)
{
	if (rank_a != rank_b)
		return rank_a > rank_b ? -1 : 1;
	return key_a < key_b ? -1 : key_a > key_b;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return compare_rank_key(x->rank, row_key(x), y->rank, row_key(y));
}

// A row's place in the order, computed once.
struct place {
	uint64_t key;
	uint32_t rank, idx;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return compare_rank_key(x->rank, x->key, y->rank, y->key);
}

void flowtab_sort(struct flowtab *ft)
{
	struct place *places = calloc(ft->n_rows + 1, sizeof(*places));
	struct row *sorted = calloc(ft->n_rows + 1, sizeof(*sorted));

	if (places == NULL || sorted == NULL) { // slower, but it needs no memory of ours
		if (ft->n_rows > 1)
			qsort(ft->rows, ft->n_rows, sizeof(*ft->rows), compare_rows);
		free(sorted);
	} else {
		for (uint32_t i = 0; i < ft->n_rows; i++) {
			const struct row *row = &ft->rows[i];

			places[i] = (struct place){.key = row_key(row), .rank = row->rank, .idx = i};
		}
		qsort(places, ft->n_rows, sizeof(*places), compare_places);
		for (uint32_t i = 0; i < ft->n_rows; i++)
			sorted[i] = ft->rows[places[i].idx];
		free(ft->rows);
		ft->rows = sorted;
		ft->cap = ft->n_rows + 1;
	}
	free(places);
}

const struct row *flowtab_find(const struct flowtab *ft, const struct match_packet *packet)
{
	for (uint32_t i = 0; i < ft->n_rows; i++) {
		if (box_covers(&ft->rows[i].box, packet))
			return &ft->rows[i];
	}
	return NULL;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static uint64_t mix_idset(uint64_t hash, const struct idset *set)
{
	hash = mix(hash, (uint64_t)set->n << 1 | set->overflow);
	for (unsigned int i = 0; i < set->n; i++)
		hash = mix(hash, set->id[i]);
	return hash;
}

uint64_t row_key(const struct row *row)
{
	uint64_t hash = mix(box_hash(&row->box), row->rank);

	hash = mix(hash, (uint64_t)row->action.access);
	hash = mix_idset(hash, &row->action.reservations);
	hash = mix_idset(hash, &row->action.limits);
	if (row->action.avoids.n > 0 || row->action.waypoint != 0) // without, as it was before there were paths
		hash = mix(mix_idset(hash, &row->action.avoids), row->action.waypoint);
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}
