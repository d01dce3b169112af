// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include <rte_malloc.h>

#include "sched_live.h"

#define LIMIT_BURST_PER_S 200       // 5 ms
#define LIMIT_GRACE_PER_S 2000      // 0.5 ms, well below the burst
#define CLOCK_STEP_MAX (1ULL << 56) // a jump cannot wrap the inner clock

struct sched_limits *sched_limits_create(uint64_t tsc_hz, uint32_t mtu_bytes, int socket_id, struct err *err)
{
	struct sched_limits *limits = rte_zmalloc_socket("sched_limits", sizeof(*limits), 64, socket_id);

	if (limits == NULL) {
		err_set(err, ENOMEM, "scheduler: no memory for the limits (%zu bytes)", sizeof(*limits));
		return NULL;
	}
	limits->tsc_hz = tsc_hz;
	limits->mtu_bytes = mtu_bytes;
	limits->grace_ticks = tsc_hz / LIMIT_GRACE_PER_S;
	limits->now = SCHED_START_TSC;
	for (uint32_t slot = 0; slot < SCHED_METERS_MAX; slot++)
		sched_limit_del(limits, slot, limits->now);
	return limits;
}

void sched_limits_destroy(struct sched_limits *limits)
{
	rte_free(limits);
}

// The last packet may overdraw the bucket by a frame, so the bucket itself is a frame smaller than the promised burst.
static uint64_t limit_burst_ticks(const struct sched_limits *limits, uint64_t rate_bps)
{
	struct bucket b = {.ticks_per_byte = bucket_ticks_per_byte(rate_bps, limits->tsc_hz)};
	uint64_t frame = bucket_cost(&b, limits->mtu_bytes);

	return RTE_MAX(2 * frame, limits->tsc_hz / LIMIT_BURST_PER_S) - frame;
}

void sched_limit_set(struct sched_limits *limits, const struct sched_change *c, uint64_t now)
{
	struct sched_limit *l = &limits->limit[c->slot];

	if (l->id == c->id) {
		bucket_change(&l->bucket, c->rate_bps, limits->tsc_hz, limit_burst_ticks(limits, c->rate_bps), now);
	} else {
		bucket_init(&l->bucket, c->rate_bps, limits->tsc_hz, now);
		l->bucket.burst_ticks = limit_burst_ticks(limits, c->rate_bps);
		l->id = c->id;
		l->owner = NULL;
	}
	l->kept_ticks = RTE_MIN(bucket_cost(&l->bucket, limits->mtu_bytes), l->bucket.burst_ticks / 2);
}

// Classes that still name it find it open for ever.
void sched_limit_del(struct sched_limits *limits, uint32_t slot, uint64_t now)
{
	struct sched_limit *l = &limits->limit[slot];

	l->bucket = (struct bucket){.full_at = now, .rate_bps = UINT64_MAX};
	l->kept_ticks = 0;
	l->id = 0;
}

uint64_t sched_clock(struct sched_limits *limits, uint64_t now_tsc)
{
	uint64_t step = 0;

	if (limits->started && now_tsc > limits->last_tsc)
		step = RTE_MIN(now_tsc - limits->last_tsc, CLOCK_STEP_MAX);
	// Callers that are a little behind must not make time run twice; a clock set back by more starts anew.
	if (!limits->started || now_tsc > limits->last_tsc || limits->last_tsc - now_tsc > limits->tsc_hz)
		limits->last_tsc = now_tsc;
	limits->started = true;
	limits->now += step;
	return limits->now;
}

// Many classes behind one limit are woken together: it fills a little before, the more the more they are, so that many
// packets pay for it.
// A queue that had its turn leaves some tokens to the others that wait: the queue asked first would get all otherwise.
uint64_t sched_limit_opens_at(const struct sched *s, uint16_t limit, bool urgent)
{
	const struct sched_limit *l = &s->limits->limit[limit];
	uint64_t opens = bucket_opens_at(&l->bucket);
	bool self_waits = s->waiting[limit] != SCHED_NONE;

	if (opens == BUCKET_NEVER)
		return opens;
	if (!urgent)
		opens += l->kept_ticks;
	if (s->n_asleep[limit] >= SCHED_HERD)
		opens += l->bucket.burst_ticks / 1024 * RTE_MIN(s->n_asleep[limit], 256);
	if (l->owner == s && l->turn_bytes <= 0 && l->n_waiting > self_waits)
		opens += s->limits->grace_ticks;
	return opens;
}

uint16_t sched_blocked_by(const struct sched *s, uint16_t slot, uint64_t now)
{
	const struct sched_queue *q = &s->queue[slot];
	uint64_t latest = now;
	uint16_t by = SCHED_NONE;

	for (unsigned int i = 0; i < q->n_limits; i++) {
		uint64_t opens = sched_limit_opens_at(s, q->limit[i], s->claim[q->limit[i]].by == slot);

		if (opens > latest) {
			latest = opens;
			by = q->limit[i];
		}
	}
	return by;
}

void sched_limits_take(struct sched *s, const struct sched_queue *q, uint32_t bytes, uint64_t now)
{
	for (unsigned int i = 0; i < q->n_limits; i++) {
		struct sched_limit *l = &s->limits->limit[q->limit[i]];

		bucket_settle(&l->bucket, now);
		bucket_take(&l->bucket, bytes);
		if (l->owner != s) {
			l->owner = s;
			l->turn_bytes = 2 * (int32_t)s->limits->mtu_bytes;
		}
		if (l->turn_bytes > 0)
			l->turn_bytes -= (int32_t)bytes;
	}
}

void sched_limits_give(struct sched *s, const struct sched_queue *q, uint32_t bytes)
{
	for (unsigned int i = 0; i < q->n_limits; i++)
		bucket_give(&s->limits->limit[q->limit[i]].bucket, bytes);
}
