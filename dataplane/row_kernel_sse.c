// SPDX-License-Identifier: Apache-2.0
// Compiled with SSE4.1; runs only where row_kernel_choose() has seen it.
#include <smmintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 4
typedef __m128i vec;

static inline vec vec_load(const uint32_t *p)
{
	return _mm_load_si128((const void *)p);
}

static inline vec vec_all(uint32_t x)
{
	return _mm_set1_epi32((int)x);
}

static inline uint32_t vec_within(vec x, vec lo, vec span)
{
	vec d = _mm_sub_epi32(x, lo);

	return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_min_epu32(d, span), d)));
}

#include "row_kernel_impl.h"

const struct row_kernel row_kernel_sse = ROW_KERNEL("sse", 128);
