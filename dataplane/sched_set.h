// SPDX-License-Identifier: Apache-2.0
// What decides the class of a packet: its scheduling node, the reservations it may draw on and the limits it counts
// against, all as slots (sched_slots.h). Values. Thread: any.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hft/action.h"

#define SCHED_NODE_ROOT 0

struct sched_set {
	uint32_t node; // slot; SCHED_NODE_ROOT without one
	uint8_t n_reservations, n_limits;
	uint32_t reservation[ACTION_SET_MAX], limit[ACTION_SET_MAX]; // meter slots, ascending, none twice
	uint32_t hash;                                               // sched_set_seal's
};

static inline bool sched_set_equal(const struct sched_set *a, const struct sched_set *b)
{
	return a->node == b->node && a->n_reservations == b->n_reservations && a->n_limits == b->n_limits &&
	       memcmp(a->reservation, b->reservation, a->n_reservations * sizeof(a->reservation[0])) == 0 &&
	       memcmp(a->limit, b->limit, a->n_limits * sizeof(a->limit[0])) == 0;
}

static inline void sched_set_sort(uint32_t *slot, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		uint32_t at = slot[i];
		unsigned int k = i;

		for (; k > 0 && slot[k - 1] > at; k--)
			slot[k] = slot[k - 1];
		slot[k] = at;
	}
}

// Sorts the slots and fills in the hash: once for each set, before it is used.
static inline void sched_set_seal(struct sched_set *set)
{
	uint64_t h = set->node + ((uint64_t)set->n_reservations << 32) + ((uint64_t)set->n_limits << 40);

	sched_set_sort(set->reservation, set->n_reservations);
	sched_set_sort(set->limit, set->n_limits);
	h *= 0x9e3779b97f4a7c15u;
	for (unsigned int i = 0; i < set->n_reservations; i++)
		h = ((h ^ (h >> 29)) + set->reservation[i]) * 0xbf58476d1ce4e5b9u;
	for (unsigned int i = 0; i < set->n_limits; i++)
		h = ((h ^ (h >> 29)) + set->limit[i]) * 0x94d049bb133111ebu;
	set->hash = (uint32_t)(h >> 32);
}
