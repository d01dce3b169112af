// SPDX-License-Identifier: Apache-2.0
// The loops of row_kernel.h, compiled once for each SIMD width. The includer defines LANES, vec, vec_load (aligned to
// the vector), vec_all and vec_within (bit i: lane i of x lies in the span that begins at lo).
#include "row_kernel.h"

static inline uint32_t packets_within(const uint32_t *col, struct row_span s)
{
	const vec lo = vec_all(s.lo), span = vec_all(s.span);
	uint32_t mask = 0;

	for (unsigned int i = 0; i < PKT_BURST; i += LANES)
		mask |= vec_within(vec_load(col + i), lo, span) << i;
	return mask;
}

// The first columns sort most rows out.
static inline __attribute__((always_inline)) uint32_t match(const void *rows, uint32_t n, const struct row_packets *p,
							    struct row_hit *hits, unsigned int n_cols,
							    unsigned int stride)
{
	const uint32_t all = p->n == PKT_BURST ? UINT32_MAX : (1u << p->n) - 1;
	uint32_t n_hits = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct row_line *row = (const void *)((const char *)rows + (size_t)i * stride);
		uint32_t mask = all & packets_within(p->col[0], row->col[0]) & packets_within(p->col[1], row->col[1]);

		for (unsigned int c = 2; c < n_cols && mask != 0; c++)
			mask &= packets_within(p->col[c], row->col[c]);
		if (mask != 0)
			hits[n_hits++] = (struct row_hit){.idx = i, .packets = mask};
	}
	return n_hits;
}

static uint32_t match_ip4(const void *rows, uint32_t n, const struct row_packets *p, struct row_hit *hits)
{
	return match(rows, n, p, hits, ROW_COLS_IP4, ROW_STRIDE_64);
}

static uint32_t match_ip6(const void *rows, uint32_t n, const struct row_packets *p, struct row_hit *hits)
{
	return match(rows, n, p, hits, ROW_COLS_IP6, ROW_STRIDE_128);
}

static uint32_t match_nonip(const void *rows, uint32_t n, const struct row_packets *p, struct row_hit *hits)
{
	return match(rows, n, p, hits, ROW_COLS_NONIP, ROW_STRIDE_64);
}

static uint32_t find(const struct row_columns *rows, const uint32_t *packet, uint32_t from)
{
	uint32_t skip = from % LANES;

	for (uint32_t at = from - skip; at < rows->n; at += LANES) {
		uint32_t mask = ((LANES == 32 ? 0 : 1u << LANES) - 1) & (UINT32_MAX << skip);

		skip = 0;
		for (uint32_t c = 0; c < rows->n_cols && mask != 0; c++)
			mask &= vec_within(vec_all(packet[c]), vec_load(rows->lo[c] + at),
					   vec_load(rows->span[c] + at));
		if (mask != 0) {
			at += (uint32_t)__builtin_ctz(mask);
			return at < rows->n ? at : rows->n;
		}
	}
	return rows->n;
}

#define ROW_KERNEL(name_, bits_) \
	{ \
		.name = (name_), .bits = (bits_), .find = find, \
		.match = {[PKT_IP4] = match_ip4, [PKT_IP6] = match_ip6, [PKT_NONIP] = match_nonip}, \
	}
