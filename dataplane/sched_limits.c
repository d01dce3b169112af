// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include <sys/mman.h>

#include "sched_live.h"

#define LIMIT_BURST_PER_S 200       // 5 ms
#define LIMIT_GRACE_PER_S 2000      // 0.5 ms, well below the burst
#define STARVED_FRAMES 64           // a class that gets nothing waits for at most so many of others
#define CLOCK_STEP_MAX (1ULL << 56) // a jump cannot wrap the inner clock
#define WAKE_MAX 256                // classes of one limit at once: more must wait for the next slot of the wheel

static uint64_t limit_burst_ticks(const struct sched_limits *limits, uint64_t rate_bps);
static bool claim_limits(struct sched *s, uint32_t slot, uint64_t now, bool paid);
static uint32_t blocked_by(const struct sched *s, uint32_t slot, uint64_t now, bool paid);
static void gate_list(struct sched *s, uint32_t limit, uint64_t at);

struct sched_limits *sched_limits_create(uint64_t tsc_hz, uint32_t mtu_bytes, int socket_id, struct err *err)
{
	struct sched_limits *limits =
		mmap(NULL, sizeof(*limits), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (limits == MAP_FAILED) {
		err_set(err, ENOMEM, "scheduler: no memory for the limits (%zu bytes)", sizeof(*limits));
		return NULL;
	}
	limits->tsc_hz = tsc_hz;
	limits->mtu_bytes = mtu_bytes;
	limits->grace_ticks = tsc_hz / LIMIT_GRACE_PER_S;
	limits->now = SCHED_START_TSC;
	return limits;
}

void sched_limits_destroy(struct sched_limits *limits)
{
	if (limits != NULL)
		munmap(limits, sizeof(*limits));
}

uint64_t sched_clock(struct sched_limits *limits, uint64_t now_tsc)
{
	uint64_t step = 0;

	if (now_tsc == limits->last_tsc)
		return limits->now;
	if (limits->started && now_tsc > limits->last_tsc)
		step = RTE_MIN(now_tsc - limits->last_tsc, CLOCK_STEP_MAX);
	// Callers that are a little behind must not make time run twice; a clock set back by more starts anew.
	if (!limits->started || now_tsc > limits->last_tsc || limits->last_tsc - now_tsc > limits->tsc_hz)
		limits->last_tsc = now_tsc;
	limits->started = true;
	limits->now += step;
	return limits->now;
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
		l->owner = 0;
	}
	l->kept_ticks = RTE_MIN(bucket_cost(&l->bucket, limits->mtu_bytes), l->bucket.burst_ticks / 2);
}

// Classes that still name it find it open for ever, as zeroed memory is.
void sched_limit_del(struct sched_limits *limits, uint32_t slot, uint64_t now)
{
	struct sched_limit *l = &limits->limit[slot];

	l->bucket = (struct bucket){.full_at = now};
	l->kept_ticks = 0;
	l->id = 0;
}

// The last packet may overdraw the bucket by a frame, so the bucket itself is a frame smaller than the promised burst.
static uint64_t limit_burst_ticks(const struct sched_limits *limits, uint64_t rate_bps)
{
	struct bucket b = {.ticks_per_byte = bucket_ticks_per_byte(rate_bps, limits->tsc_hz)};
	uint64_t frame = bucket_cost(&b, limits->mtu_bytes);

	return RTE_MAX(2 * frame, limits->tsc_hz / LIMIT_BURST_PER_S) - frame;
}

// Many classes behind one limit are woken together: it fills a little before, the more the more they are, so that many
// packets pay for it.
// A queue that had its turn leaves some tokens to the others that wait: the queue asked first would get all otherwise.
uint64_t sched_limit_opens_at(const struct sched *s, uint32_t limit, bool urgent)
{
	const struct sched_limit *l = &s->limits->limit[limit];
	const struct sched_gate *g = &s->gate[limit];
	uint64_t opens = bucket_opens_at(&l->bucket);

	if (opens == BUCKET_NEVER)
		return opens;
	if (!urgent)
		opens += l->kept_ticks;
	if (g->n_asleep >= SCHED_HERD)
		opens += l->bucket.burst_ticks / 1024 * RTE_MIN(g->n_asleep, 256U);
	if (l->owner == s->number && l->turn_bytes <= 0 && l->n_waiting > (g->waiting != SCHED_NONE))
		opens += s->limits->grace_ticks;
	return opens;
}

void sched_limit_take(struct sched *s, uint32_t limit, uint32_t bytes, uint64_t now)
{
	struct sched_limit *l = &s->limits->limit[limit];

	bucket_settle(&l->bucket, now);
	bucket_take(&l->bucket, bytes);
	if (l->owner != s->number) {
		l->owner = s->number;
		l->turn_bytes = 2 * (int32_t)s->limits->mtu_bytes;
	}
	if (l->turn_bytes > 0)
		l->turn_bytes -= (int32_t)bytes;
}

uint32_t sched_stopped_by(struct sched *s, uint32_t slot, uint64_t now, bool paid)
{
	uint32_t limit;

	if (s->queue[slot].n_limits == 0)
		return SCHED_NO_SLOT;
	limit = blocked_by(s, slot, now, paid);
	if (limit != SCHED_NO_SLOT && claim_limits(s, slot, now, paid))
		limit = blocked_by(s, slot, now, paid);
	return limit;
}

// Kept tokens are for what a reservation pays, and for the class that claimed them, but not for its excess if it
// claimed them for its reservation.
static bool may_use_kept(const struct sched_gate *g, uint32_t slot, bool paid)
{
	return paid || (g->claimed_by == slot && !g->claim_paid);
}

static uint32_t blocked_by(const struct sched *s, uint32_t slot, uint64_t now, bool paid)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *limit = sched_limit_slots(s, q);
	uint32_t by = SCHED_NO_SLOT;
	uint64_t latest = now;

	for (unsigned int i = 0; i < q->n_limits; i++) {
		uint64_t opens = sched_limit_opens_at(s, limit[i], may_use_kept(&s->gate[limit[i]], slot, paid));

		if (opens > latest) {
			latest = opens;
			by = limit[i];
		}
	}
	return by;
}

void sched_served(struct sched_queue *q, uint64_t now)
{
	q->item.served = (uint16_t)(now >> SCHED_SERVED_SHIFT);
}

// Not served for a second, or for as long as the limit needs for 64 frames.
static bool is_starved(const struct sched *s, uint32_t limit, uint32_t slot, uint64_t now)
{
	uint64_t long_ticks = bucket_cost(&s->limits->limit[limit].bucket, STARVED_FRAMES * s->limits->mtu_bytes);
	uint16_t waited = (uint16_t)((now >> SCHED_SERVED_SHIFT) - s->queue[slot].item.served);

	long_ticks = RTE_MIN(RTE_MAX(long_ticks, s->tsc_hz), (uint64_t)INT16_MAX << SCHED_SERVED_SHIFT);
	return waited > long_ticks >> SCHED_SERVED_SHIFT;
}

// Which of two goes first at a limit: the one that has had least; but a limit across shares would leave out classes
// whose share does well elsewhere, for ever: who got nothing for long has one turn.
static bool precedes(const struct sched *s, uint32_t limit, uint32_t a, uint32_t b, uint64_t now)
{
	bool a_starved = is_starved(s, limit, a, now), b_starved = is_starved(s, limit, b, now);

	return a_starved != b_starved ? a_starved : sched_excess_before(s, a, b);
}

// A class of several limits must find them all open at once, while those of one limit take what they can get. So one
// stopped class claims the tokens that each limit keeps: the first that a reservation pays, else the one that has had
// least of the excess. True if it got a claim.
static bool claim_limits(struct sched *s, uint32_t slot, uint64_t now, bool paid)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *limit = sched_limit_slots(s, q);
	bool claimed = false;

	for (unsigned int i = 0; i < q->n_limits; i++) {
		struct sched_gate *g = &s->gate[limit[i]];

		if (g->claimed_by == slot) {
			g->claim_paid |= paid;
			continue;
		}
		if (g->claimed_by != SCHED_NONE &&
		    (g->claim_paid || (!paid && !precedes(s, limit[i], slot, g->claimed_by, now))))
			continue;
		g->claimed_by = slot;
		g->claim_paid = paid;
		claimed = true;
	}
	return claimed;
}

void sched_release_limits(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *limit = sched_limit_slots(s, q);

	for (unsigned int i = 0; i < q->n_limits; i++) {
		struct sched_gate *g = &s->gate[limit[i]];

		if (g->claimed_by == slot) {
			g->claimed_by = SCHED_NONE;
			g->claim_paid = false;
		}
	}
}

void sched_sleep_on(struct sched *s, uint32_t slot, uint32_t limit)
{
	struct sched_queue *q = &s->queue[slot];
	struct sched_gate *g = &s->gate[limit];
	bool urgent = g->claimed_by == slot;

	sched_excess_leave(s, slot);
	sched_res_leave(s, slot);
	q->state = SCHED_QUEUE_ASLEEP;
	g->n_asleep++;
	if (g->waiting == SCHED_NONE) {
		s->limits->limit[limit].n_waiting++;
		q->item.next = slot;
	} else {
		q->item.next = s->queue[g->waiting].item.next;
		s->queue[g->waiting].item.next = slot;
	}
	g->waiting = slot;
	if (!g->listed || (urgent && !g->urgent)) {
		g->urgent |= urgent;
		gate_list(s, limit, sched_limit_opens_at(s, limit, g->urgent));
	}
}

static void gate_list(struct sched *s, uint32_t limit, uint64_t at)
{
	struct sched_gate *g = &s->gate[limit];

	if (g->listed)
		wheel_del(&s->opening, limit);
	g->listed = at != BUCKET_NEVER;
	if (g->listed)
		wheel_add(&s->opening, limit, at);
}

void sched_limit_opens_anew(struct sched *s, uint32_t limit)
{
	if (s->gate[limit].waiting != SCHED_NONE)
		gate_list(s, limit, sched_limit_opens_at(s, limit, s->gate[limit].urgent));
}

static void wake_one(struct sched *s, struct sched_gate *g, uint32_t limit)
{
	uint32_t slot = s->queue[g->waiting].item.next;
	struct sched_queue *q = &s->queue[slot];

	if (slot == g->waiting) {
		g->waiting = SCHED_NONE;
		s->limits->limit[limit].n_waiting--;
	} else {
		s->queue[g->waiting].item.next = q->item.next;
	}
	g->n_asleep--;
	q->state = SCHED_QUEUE_ACTIVE;
	sched_excess_enter(s, slot, true);
	sched_res_enter(s, slot);
}

static void wake_limit(struct sched *s, uint32_t limit, uint32_t max, uint64_t now)
{
	struct sched_gate *g = &s->gate[limit];

	uint32_t slot = g->waiting;

	g->urgent = false;
	s->herd_number++;
	for (uint32_t n = 0; slot != SCHED_NONE && n < max; n++) {
		slot = s->queue[slot].item.next;
		sched_excess_note(s, slot);
		if (slot == g->waiting)
			break;
	}
	for (uint32_t n = 0; g->waiting != SCHED_NONE && n < max; n++)
		wake_one(s, g, limit);
	if (g->waiting != SCHED_NONE)
		gate_list(s, limit, now);
}

void sched_wake(struct sched *s, uint64_t now)
{
	uint32_t limit;

	while ((limit = wheel_pop_due(&s->opening, now)) != WHEEL_NONE) {
		struct sched_gate *g = &s->gate[limit];
		uint64_t opens = sched_limit_opens_at(s, limit, g->urgent); // other queues may have used it meanwhile

		g->listed = false;
		if (opens > now)
			gate_list(s, limit, opens);
		else
			wake_limit(s, limit, WAKE_MAX, now);
	}
}

uint32_t sched_take_waits(struct sched *s, uint32_t *limit, uint32_t max)
{
	uint32_t n = 0;

	for (; s->n_gates_taken < SCHED_METERS_MAX && n < max; s->n_gates_taken++) {
		if (s->gate[s->n_gates_taken].waiting != SCHED_NONE)
			limit[n++] = s->n_gates_taken;
	}
	return n;
}

void sched_limits_forget(struct sched_limits *limits, const uint32_t *limit, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		limits->limit[limit[i]].n_waiting--;
}

void sched_wake_all(struct sched *s)
{
	for (uint32_t limit = 0; limit < SCHED_METERS_MAX; limit++) {
		struct sched_gate *g = &s->gate[limit];

		if (g->listed)
			wheel_del(&s->opening, limit);
		g->listed = false;
		if (g->waiting != SCHED_NONE)
			wake_limit(s, limit, UINT32_MAX, 0);
	}
}
