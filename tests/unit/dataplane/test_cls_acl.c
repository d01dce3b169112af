// SPDX-License-Identifier: Apache-2.0
// How intervals become rules of rte_acl. What its contexts answer is tested with the layers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/cls_acl.h"

static bool piece_has(const struct cls_piece *p, uint64_t hi16, uint64_t lo32)
{
	return hi16 >= p->lo[0] && hi16 <= p->hi[0] && lo32 >= p->lo[1] && lo32 <= p->hi[1];
}

static void split_covers_exactly_and_without_overlap(void **state)
{
	static const uint64_t edge[] = {0, 1, 2, 0xfffffffe, 0xffffffff};
	struct cls_piece out[CLS_PIECES_MAX];
	uint64_t value[25];
	int n_values = 0;

	for (int i = 0; i < 25; i++)
		value[n_values++] = (edge[i / 5] & 0xffff) << 32 | edge[i % 5];
	for (int i = 0; i < n_values; i++) {
		for (int j = 0; j < n_values; j++) {
			uint64_t lo = value[i], hi = value[j];
			uint32_t n;

			if (lo > hi)
				continue;
			n = cls_split(lo, hi, 48, out);
			assert_in_range(n, 1, 3);
			for (int k = 0; k < n_values; k++) {
				int covered = 0;

				for (uint32_t p = 0; p < n; p++)
					covered += piece_has(&out[p], value[k] >> 32, value[k] & UINT32_MAX);
				assert_int_equal(covered, value[k] >= lo && value[k] <= hi);
			}
		}
	}
}

static void prefix_is_one_piece(void **state)
{
	struct cls_piece out[CLS_PIECES_MAX];
	u128 addr = (u128)0x20010db8000000ff << 64 | 0xdeadbeefcafef00d;

	for (unsigned int len = 0; len <= 128; len++) {
		u128 host = len == 0 ? ~(u128)0 : len == 128 ? 0 : ((u128)1 << (128 - len)) - 1;

		assert_int_equal(cls_split(addr & ~host, addr | host, 128, out), 1);
	}
	assert_int_equal(cls_split(1, ~(u128)0 - 1, 128, out), CLS_PIECES_MAX);
	assert_int_equal(cls_split(7, 99, 32, out), 1);
	assert_int_equal(out[0].lo[0] * 1000 + out[0].hi[0], 7099);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_covers_exactly_and_without_overlap),
		cmocka_unit_test(prefix_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
