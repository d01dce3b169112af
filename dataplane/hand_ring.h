// SPDX-License-Identifier: Apache-2.0
// A ring from one thread to another, of elements of one size, copied in and out. Neither end ever waits. (rte_ring does
// the same on x86 with barriers that ThreadSanitizer does not understand.)
#pragma once
#include <stdint.h>

struct hand_ring;

// n: a power of two. NULL: out of memory.
struct hand_ring *hand_ring_create(uint32_t n, uint32_t elt_bytes);
void hand_ring_destroy(struct hand_ring *r); // accepts NULL
// The giver. How many of the first of the n there was room for.
uint32_t hand_ring_put(struct hand_ring *r, const void *elts, uint32_t n);
// The taker. How many there are; whatever their giver had seen before it put them there is seen from here on.
uint32_t hand_ring_count(const struct hand_ring *r);
// The taker. Up to max of them, oldest first; how many.
uint32_t hand_ring_get(struct hand_ring *r, void *elts, uint32_t max);
