// SPDX-License-Identifier: Apache-2.0
// The loops without SIMD, and the choice.
#include <stddef.h>
#include <stdint.h>

#define LANES 1
typedef uint32_t vec;

static inline vec vec_load(const uint32_t *p)
{
	return *p;
}

static inline vec vec_all(uint32_t x)
{
	return x;
}

static inline uint32_t vec_within(vec x, vec lo, vec span)
{
	return x - lo <= span;
}

#include "row_kernel_impl.h"

const struct row_kernel row_kernel_scalar = ROW_KERNEL("scalar", 0);

const struct row_kernel *row_kernel_choose(uint32_t max_bits)
{
#ifdef __x86_64__
	if (max_bits >= 512 && __builtin_cpu_supports("avx512f"))
		return &row_kernel_avx512;
	if (max_bits >= 256 && __builtin_cpu_supports("avx2"))
		return &row_kernel_avx2;
	if (max_bits >= 128 && __builtin_cpu_supports("sse4.1"))
		return &row_kernel_sse;
#endif
	return &row_kernel_scalar;
}
