// SPDX-License-Identifier: Apache-2.0
// Token bucket in the time domain: instead of a level it keeps the instant at which it would be full again. A packet
// moves that instant by its cost in ticks, so both "may it go" and "when may it go" are one subtraction, and neither a
// long gap nor a jump of the clock can overflow anything.
// Owner: whoever embeds it. Thread: that owner's. Time: ticks. Costs are Q24 ticks a byte: at 1 GHz 400 Gb/s is
// 0.02 tick a byte (error 1e-6), 1 b/s 8e9 ticks a byte (8e9 << 24 < 2^63); the product with a length needs 128 bits.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BUCKET_FRAC_BITS 24
#define BUCKET_NEVER UINT64_MAX

struct bucket {
	uint64_t full_at;
	uint64_t burst_ticks;    // capacity: time to fill it
	uint64_t ticks_per_byte; // Q24; BUCKET_NEVER: rate 0
	uint64_t rate_bps;
	uint32_t frac; // of full_at, Q24
};

// The only divisions; once for each change of a rate.
static inline uint64_t bucket_ticks_per_byte(uint64_t rate_bps, uint64_t tsc_hz)
{
	unsigned __int128 ticks = ((unsigned __int128)tsc_hz * 8) << BUCKET_FRAC_BITS;

	if (rate_bps == 0)
		return BUCKET_NEVER;
	ticks = (ticks + rate_bps - 1) / rate_bps; // up: a limit must not be exceeded
	return ticks < BUCKET_NEVER ? (uint64_t)ticks : BUCKET_NEVER;
}

static inline uint64_t bucket_cost(const struct bucket *b, uint32_t bytes)
{
	if (b->ticks_per_byte == BUCKET_NEVER)
		return 0;
	return (uint64_t)(((unsigned __int128)b->ticks_per_byte * bytes) >> BUCKET_FRAC_BITS);
}

// Full at now.
static inline void bucket_init(struct bucket *b, uint64_t rate_bps, uint64_t tsc_hz, uint64_t now)
{
	*b = (struct bucket){.full_at = now, .rate_bps = rate_bps};
	b->ticks_per_byte = bucket_ticks_per_byte(rate_bps, tsc_hz);
}

// The rate from now on. What is in the bucket (or overdrawn) stays the same in bytes, but never more than the new
// burst.
static inline void bucket_change(struct bucket *b, uint64_t rate_bps, uint64_t tsc_hz, uint64_t burst_ticks,
				 uint64_t now)
{
	uint64_t ticks_per_byte = bucket_ticks_per_byte(rate_bps, tsc_hz);
	__int128 level = (__int128)now + b->burst_ticks - b->full_at;

	if (b->ticks_per_byte == BUCKET_NEVER || ticks_per_byte == BUCKET_NEVER)
		level = 0;
	else if (b->ticks_per_byte != 0)
		level = level * ticks_per_byte / b->ticks_per_byte;
	if (level > (__int128)burst_ticks)
		level = burst_ticks;
	b->full_at = (uint64_t)(now + burst_ticks - level);
	b->frac = 0;
	b->ticks_per_byte = ticks_per_byte;
	b->burst_ticks = burst_ticks;
	b->rate_bps = rate_bps;
}

// The instant from which a packet may go; it may overdraw the bucket, so the length of a packet decides nothing and
// small packets cannot starve large ones.
static inline uint64_t bucket_opens_at(const struct bucket *b)
{
	return b->ticks_per_byte == BUCKET_NEVER ? BUCKET_NEVER : b->full_at - b->burst_ticks;
}

// Forgets what flowed over the rim before now.
static inline void bucket_settle(struct bucket *b, uint64_t now)
{
	if (b->full_at < now) {
		b->full_at = now;
		b->frac = 0;
	}
}

static inline void bucket_take(struct bucket *b, uint32_t bytes)
{
	unsigned __int128 cost;

	if (b->ticks_per_byte == BUCKET_NEVER)
		return;
	cost = (unsigned __int128)b->ticks_per_byte * bytes + b->frac;
	b->full_at += (uint64_t)(cost >> BUCKET_FRAC_BITS);
	b->frac = (uint32_t)cost & ((1U << BUCKET_FRAC_BITS) - 1);
}

static inline void bucket_give(struct bucket *b, uint32_t bytes)
{
	b->full_at -= bucket_cost(b, bytes);
}
