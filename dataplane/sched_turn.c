// SPDX-License-Identifier: Apache-2.0
#include "sched_live.h"

#define ROUNDS_LATE 2 // turns missed because of a limit that a class may make up for
#define FIRST_ROUND 16

static void sleep_on(struct sched *s, uint16_t slot, uint16_t limit);
static void wake_limit(struct sched *s, uint16_t limit);
static bool pick_guaranteed(struct sched *s, uint64_t now, uint16_t *slot, uint16_t *res);
static void enter_rings(struct sched *s, uint16_t slot);
static void leave_rings(struct sched *s, uint16_t slot);
static bool claim_limits(struct sched *s, uint16_t slot, bool paid);
static void release_limits(struct sched *s, uint16_t slot);
static uint16_t stopped_by(struct sched *s, uint16_t slot, uint64_t now, bool paid);
static uint64_t turn_number(struct sched *s, uint64_t round);
static uint64_t turn_round(uint64_t turn);
static void enter_excess(struct sched *s, uint16_t slot);
static void leave_excess(struct sched *s, uint16_t slot);

void sched_activate(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	if (s->n_packets == 0)
		s->round = FIRST_ROUND;
	sched_class_refresh(s, slot);
	q->deficit = q->quantum;
	q->turn = turn_number(s, s->round + 1);
	for (unsigned int i = 0; i < q->n_reservations; i++) {
		struct sched_res *res = &s->res[q->reservation[i]];

		s->res_share[slot * ACTION_SET_MAX + i] =
			(struct sched_share){.deficit = (int32_t)s->mtu_bytes, .round = res->round + 1};
		if (res->n_backlogged++ == 0) // what nobody asked for is not saved up
			bucket_settle(&res->bucket, s->virtual_now);
	}
	enter_rings(s, slot);
}

static void enter_rings(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	q->state = SCHED_QUEUE_ACTIVE;
	enter_excess(s, slot);
	for (unsigned int i = 0; i < q->n_reservations; i++) {
		uint16_t r = q->reservation[i], member = (uint16_t)(slot * ACTION_SET_MAX + i);
		bool first = s->res[r].ring == SCHED_NONE;

		if (first) // classes that a limit held back catch up, but not all that they missed
			bucket_settle(&s->res[r].bucket, s->virtual_now - s->lag_ticks / 2);
		if ((int32_t)(s->res_share[member].round - s->res[r].round) <= 0)
			list_add_head(s->res_link, &s->res[r].ring, member);
		else
			list_add_tail(s->res_link, &s->res[r].ring, member);
		if (s->res[r].ring == member)
			sched_res_place(s, r);
	}
}

void sched_deactivate(struct sched *s, uint16_t slot)
{
	const struct sched_queue *q = &s->queue[slot];

	leave_rings(s, slot);
	release_limits(s, slot);
	for (unsigned int i = 0; i < q->n_reservations; i++)
		s->res[q->reservation[i]].n_backlogged--;
}

// Turns are ordered by round, then by when they were given out. 2^48 rounds of a frame at 100 Gb/s are a year, and each
// idle moment starts anew; when the lower half wraps, a turn comes a little early.
static uint64_t turn_number(struct sched *s, uint64_t round)
{
	return round << 16 | ++s->n_turns;
}

static uint64_t turn_round(uint64_t turn)
{
	return turn >> 16;
}

static void enter_excess(struct sched *s, uint16_t slot)
{
	uint64_t turn = s->queue[slot].turn;

	if (s->ring == SCHED_NONE || s->queue[s->link[s->ring].prev].turn < turn)
		list_add_tail(s->link, &s->ring, slot);
	else
		heap_set(&s->due, slot, turn);
}

static void leave_excess(struct sched *s, uint16_t slot)
{
	if (s->due_pos[slot] != SCHED_NONE)
		heap_del(&s->due, slot);
	else
		list_del(s->link, &s->ring, slot);
}

static void leave_rings(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	q->state = SCHED_QUEUE_IDLE;
	leave_excess(s, slot);
	for (unsigned int i = 0; i < q->n_reservations; i++) {
		struct sched_res *res = &s->res[q->reservation[i]];
		uint16_t member = (uint16_t)(slot * ACTION_SET_MAX + i);
		bool was_head = res->ring == member;

		list_del(s->res_link, &res->ring, member);
		if (was_head)
			sched_res_place(s, q->reservation[i]);
	}
}

static void sleep_on(struct sched *s, uint16_t slot, uint16_t limit)
{
	struct sched_queue *q = &s->queue[slot];
	bool urgent = s->claim[limit].by == slot;

	leave_rings(s, slot);
	q->state = SCHED_QUEUE_ASLEEP;
	q->asleep_on = limit;
	s->n_asleep[limit]++;
	if (s->waiting[limit] == SCHED_NONE)
		s->limits->limit[limit].n_waiting++;
	list_add_tail(s->link, &s->waiting[limit], slot);
	if (s->limit_pos[limit] == SCHED_NONE || (urgent && !s->urgent[limit])) {
		s->urgent[limit] |= urgent;
		heap_set(&s->opening, limit, sched_limit_opens_at(s, limit, s->urgent[limit]));
	}
}

void sched_wake(struct sched *s, uint64_t now)
{
	while (s->opening.n > 0 && s->opening.entry[0].key <= now) {
		uint16_t limit = s->opening.entry[0].id;
		uint64_t opens =
			sched_limit_opens_at(s, limit, s->urgent[limit]); // other queues may have used it meanwhile

		if (opens > now)
			heap_set(&s->opening, limit, opens);
		else
			wake_limit(s, limit);
	}
}

void sched_limit_opens_anew(struct sched *s, uint16_t limit)
{
	if (s->limit_pos[limit] != SCHED_NONE)
		heap_set(&s->opening, limit, sched_limit_opens_at(s, limit, s->urgent[limit]));
}

void sched_wake_all(struct sched *s)
{
	while (s->opening.n > 0)
		wake_limit(s, s->opening.entry[0].id);
}

static void wake_limit(struct sched *s, uint16_t limit)
{
	heap_del(&s->opening, limit);
	s->limits->limit[limit].n_waiting--;
	s->n_asleep[limit] = 0;
	s->urgent[limit] = false;
	while (s->waiting[limit] != SCHED_NONE) {
		uint16_t slot = s->waiting[limit];

		list_del(s->link, &s->waiting[limit], slot);
		enter_rings(s, slot);
	}
}

void sched_res_place(struct sched *s, uint16_t r)
{
	struct sched_res *res = &s->res[r];
	uint64_t opens = bucket_opens_at(&res->bucket);
	bool wanted = res->ring != SCHED_NONE && opens != BUCKET_NEVER;
	bool ready = opens <= s->virtual_now;
	const struct sched_queue *q;

	if (s->res_pos[r] != SCHED_NONE && (!wanted || ready != res->ready))
		heap_del(res->ready ? &s->ready : &s->future, r);
	if (!wanted)
		return;
	res->ready = ready;
	if (!ready) {
		heap_set(&s->future, r, opens);
		return;
	}
	q = &s->queue[res->ring / ACTION_SET_MAX];
	heap_set(&s->ready, r, opens + bucket_cost(&res->bucket, s->node[q->head].len_bytes));
}

void sched_virtual_clock(struct sched *s, uint64_t now)
{
	uint64_t next = s->virtual_now + (now - s->last_now);

	s->last_now = now;
	while (s->future.n > 0 && s->future.entry[0].key <= next) {
		uint16_t r = s->future.entry[0].id;
		const struct sched_queue *q = &s->queue[s->res[r].ring / ACTION_SET_MAX];
		uint64_t opens = s->future.entry[0].key;

		heap_del(&s->future, r);
		s->res[r].ready = true;
		heap_set(&s->ready, r, opens + bucket_cost(&s->res[r].bucket, s->node[q->head].len_bytes));
	}
	if (s->ready.n > 0)
		next = RTE_MIN(next, RTE_MAX(s->virtual_now, s->ready.entry[0].key + s->lag_ticks));
	s->virtual_now = next;
}

bool sched_pick(struct sched *s, uint64_t now, uint16_t *slot, uint16_t *res)
{
	uint16_t limit;

	if (pick_guaranteed(s, now, slot, res))
		return true;
	*res = SCHED_NONE;
	while (s->ring != SCHED_NONE || s->due.n > 0) {
		const struct sched_queue *q;

		*slot = s->ring;
		if (s->due.n > 0 && (s->ring == SCHED_NONE || s->due.entry[0].key < s->queue[s->ring].turn))
			*slot = s->due.entry[0].id;
		q = &s->queue[*slot];
		limit = stopped_by(s, *slot, now, false);
		if (limit == SCHED_NONE) {
			s->round = RTE_MAX(s->round, turn_round(q->turn));
			return true;
		}
		sleep_on(s, *slot, limit);
	}
	return false;
}

// A class of several limits must find them all open at once, while those of one limit take what they can get. So one
// stopped class claims the tokens that each limit keeps: the first that a reservation pays, else the one whose turn is
// earliest. True if it got a claim.
static bool claim_limits(struct sched *s, uint16_t slot, bool paid)
{
	const struct sched_queue *q = &s->queue[slot];
	bool claimed = false;

	for (unsigned int i = 0; i < q->n_limits; i++) {
		struct sched_claim *c = &s->claim[q->limit[i]];

		if (c->by == slot)
			c->paid |= paid;
		if (c->by == slot || (c->by != SCHED_NONE && (c->paid || (!paid && s->queue[c->by].turn <= q->turn))))
			continue;
		*c = (struct sched_claim){.by = slot, .paid = paid};
		claimed = true;
	}
	return claimed;
}

static void release_limits(struct sched *s, uint16_t slot)
{
	const struct sched_queue *q = &s->queue[slot];

	for (unsigned int i = 0; i < q->n_limits; i++) {
		if (s->claim[q->limit[i]].by == slot)
			s->claim[q->limit[i]] = (struct sched_claim){.by = SCHED_NONE};
	}
}

// Claims what stops the class if it may. SCHED_NONE: it may send.
static uint16_t stopped_by(struct sched *s, uint16_t slot, uint64_t now, bool paid)
{
	uint16_t limit = sched_blocked_by(s, slot, now);

	if (limit != SCHED_NONE && claim_limits(s, slot, paid))
		limit = sched_blocked_by(s, slot, now);
	return limit;
}

static bool pick_guaranteed(struct sched *s, uint64_t now, uint16_t *slot, uint16_t *res)
{
	while (s->ready.n > 0) {
		uint16_t r = s->ready.entry[0].id, limit;

		if (bucket_opens_at(&s->res[r].bucket) > s->virtual_now) { // virtual time was held back
			sched_res_place(s, r);
			continue;
		}
		*res = r;
		*slot = s->res[r].ring / ACTION_SET_MAX;
		limit = stopped_by(s, *slot, now, true);
		if (limit == SCHED_NONE)
			return true;
		sleep_on(s, *slot, limit);
	}
	return false;
}

// The rings of surplus round robin: true when the turn is over.
static bool use_up(int32_t *deficit, int32_t quantum, uint32_t bytes)
{
	*deficit -= (int32_t)bytes;
	if (*deficit > 0)
		return false;
	*deficit += quantum;
	return true;
}

void sched_charge(struct sched *s, uint16_t slot, uint16_t res, uint32_t bytes)
{
	struct sched_queue *q = &s->queue[slot];

	if (res == SCHED_NONE) {
		if (use_up(&q->deficit, q->quantum, bytes)) {
			leave_excess(s, slot);
			release_limits(s, slot);
			q->turn = turn_number(s, RTE_MAX(turn_round(q->turn) + 1, s->round - ROUNDS_LATE));
			enter_excess(s, slot);
		}
	} else {
		struct sched_res *paid = &s->res[res];
		struct sched_share *share = &s->res_share[paid->ring];

		release_limits(s, slot);
		bucket_take(&paid->bucket, bytes);
		paid->round = share->round;
		if (use_up(&share->deficit, (int32_t)s->mtu_bytes, bytes)) {
			share->round++;
			paid->ring = s->res_link[paid->ring].next;
		}
	}
	if (q->n_packets == 0) {
		sched_deactivate(s, slot);
		if (res != SCHED_NONE)
			sched_res_place(s, res);
		return;
	}
	for (unsigned int i = 0; i < q->n_reservations; i++) { // another packet is next, with another deadline
		uint16_t r = q->reservation[i];

		if (r == res || s->res[r].ring == slot * ACTION_SET_MAX + i)
			sched_res_place(s, r);
	}
}

void sched_refund(struct sched *s, uint16_t slot, uint16_t res, uint32_t bytes)
{
	struct sched_queue *q = &s->queue[slot];

	sched_limits_give(s, q, bytes);
	for (unsigned int i = 0; i < q->n_limits; i++) {
		if (s->limit_pos[q->limit[i]] != SCHED_NONE)
			heap_set(&s->opening, q->limit[i],
				 sched_limit_opens_at(s, q->limit[i], s->urgent[q->limit[i]]));
	}
	if (res == SCHED_NONE)
		q->deficit += (int32_t)bytes;
	else
		bucket_give(&s->res[res].bucket, bytes);
	if (q->state == SCHED_QUEUE_IDLE)
		sched_activate(s, slot);
	for (unsigned int i = 0; i < q->n_reservations; i++)
		sched_res_place(s, q->reservation[i]);
}
