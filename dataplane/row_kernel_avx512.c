// SPDX-License-Identifier: Apache-2.0
// Compiled with AVX-512F; runs only where row_kernel_choose() has seen it.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 16
typedef __m512i vec;

static inline vec vec_load(const uint32_t *p)
{
	return _mm512_load_si512(p);
}

static inline vec vec_all(uint32_t x)
{
	return _mm512_set1_epi32((int)x);
}

static inline uint32_t vec_within(vec x, vec lo, vec span)
{
	return _mm512_cmple_epu32_mask(_mm512_sub_epi32(x, lo), span);
}

#include "row_kernel_impl.h"

const struct row_kernel row_kernel_avx512 = ROW_KERNEL("avx512", 512);
