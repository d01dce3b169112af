// SPDX-License-Identifier: Apache-2.0
// Compiled with AVX2; runs only where row_kernel_choose() has seen it.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 8
typedef __m256i vec;

static inline vec vec_load(const uint32_t *p)
{
	return _mm256_load_si256((const void *)p);
}

static inline vec vec_all(uint32_t x)
{
	return _mm256_set1_epi32((int)x);
}

static inline uint32_t vec_within(vec x, vec lo, vec span)
{
	vec d = _mm256_sub_epi32(x, lo);

	return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_min_epu32(d, span), d)));
}

#include "row_kernel_impl.h"

const struct row_kernel row_kernel_avx2 = ROW_KERNEL("avx2", 256);
