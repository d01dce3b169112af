// SPDX-License-Identifier: Apache-2.0
#include "hand_ring.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct hand_ring {
	alignas(64) _Atomic uint32_t head; // giver writes: put so far
	uint32_t tail_seen;                // giver only: the taker was at least there
	alignas(64) _Atomic uint32_t tail; // taker writes: taken so far
	alignas(64) uint32_t mask;
	uint32_t elt_bytes;
	uint8_t slot[];
};

struct hand_ring *hand_ring_create(uint32_t n, uint32_t elt_bytes)
{
	size_t size = (sizeof(struct hand_ring) + (size_t)n * elt_bytes + 63) & ~(size_t)63;
	struct hand_ring *r = aligned_alloc(64, size);

	assert(n > 0 && (n & (n - 1)) == 0);
	if (r == NULL)
		return NULL;
	memset(r, 0, size);
	r->mask = n - 1;
	r->elt_bytes = elt_bytes;
	return r;
}

void hand_ring_destroy(struct hand_ring *r)
{
	free(r);
}

// The place of an element, and how many more follow it before the ring begins anew.
static uint8_t *place(struct hand_ring *r, uint32_t at, uint32_t *n_more)
{
	*n_more = r->mask + 1 - (at & r->mask);
	return r->slot + (size_t)(at & r->mask) * r->elt_bytes;
}

uint32_t hand_ring_put(struct hand_ring *r, const void *elts, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed), n_more, size = r->mask + 1;
	uint8_t *to;

	if (size - (head - r->tail_seen) < n)
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
	if (size - (head - r->tail_seen) < n)
		n = size - (head - r->tail_seen);
	to = place(r, head, &n_more);
	n_more = n_more < n ? n_more : n;
	memcpy(to, elts, (size_t)n_more * r->elt_bytes);
	memcpy(r->slot, (const uint8_t *)elts + (size_t)n_more * r->elt_bytes, (size_t)(n - n_more) * r->elt_bytes);
	atomic_store_explicit(&r->head, head + n, memory_order_release);
	return n;
}

uint32_t hand_ring_count(const struct hand_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_acquire) -
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
}

uint32_t hand_ring_get(struct hand_ring *r, void *elts, uint32_t max)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), n = hand_ring_count(r), n_more;
	const uint8_t *from = place(r, tail, &n_more);

	n = n < max ? n : max;
	if (n == 0)
		return 0;
	n_more = n_more < n ? n_more : n;
	memcpy(elts, from, (size_t)n_more * r->elt_bytes);
	memcpy((uint8_t *)elts + (size_t)n_more * r->elt_bytes, r->slot, (size_t)(n - n_more) * r->elt_bytes);
	atomic_store_explicit(&r->tail, tail + n, memory_order_release);
	return n;
}
