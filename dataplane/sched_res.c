// SPDX-License-Identifier: Apache-2.0
#include "sched_live.h"

static struct sched_member *member_of(struct sched *s, uint32_t member)
{
	if (member & SCHED_MEMBER_WIDE) {
		member &= ~SCHED_MEMBER_WIDE;
		return &s->wide[member / ACTION_SET_MAX].member[member % ACTION_SET_MAX];
	}
	return &s->queue[member].member;
}

static uint32_t class_of(const struct sched *s, uint32_t member)
{
	if (member & SCHED_MEMBER_WIDE)
		return s->wide[(member & ~SCHED_MEMBER_WIDE) / ACTION_SET_MAX].class;
	return member;
}

static int32_t *deficit_of(struct sched *s, uint32_t member)
{
	if (member & SCHED_MEMBER_WIDE) {
		member &= ~SCHED_MEMBER_WIDE;
		return &s->wide[member / ACTION_SET_MAX].deficit[member % ACTION_SET_MAX];
	}
	return &s->queue[member].item.deficit;
}

static uint32_t member_of_class(const struct sched_queue *q, uint32_t slot, unsigned int i)
{
	return q->is_wide ? SCHED_MEMBER_WIDE | (q->reservation * ACTION_SET_MAX + i) : slot;
}

void sched_res_join(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *r = sched_reservations(s, q);

	for (unsigned int i = 0; i < q->n_reservations; i++) {
		struct sched_res *res = &s->res[r[i]];
		struct sched_res_more *more = &s->res_more[r[i]];

		*deficit_of(s, member_of_class(q, slot, i)) = (int32_t)s->mtu_bytes;
		member_of(s, member_of_class(q, slot, i))->round = more->round + 1;
		if (more->n_backlogged++ == 0) // what nobody asked for is not saved up
			bucket_settle(&res->bucket, s->virtual_now);
	}
	sched_res_enter(s, slot);
}

void sched_res_part(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *r = sched_reservations(s, q);

	for (unsigned int i = 0; i < q->n_reservations; i++)
		s->res_more[r[i]].n_backlogged--;
}

void sched_res_enter(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *r = sched_reservations(s, q);

	for (unsigned int i = 0; i < q->n_reservations; i++) {
		struct sched_res *res = &s->res[r[i]];
		uint32_t id = member_of_class(q, slot, i);
		struct sched_member *m = member_of(s, id), *head;

		if (res->ring == SCHED_NONE) {
			// classes that a limit held back catch up, but not all that they missed
			bucket_settle(&res->bucket, s->virtual_now - s->lag_ticks / 2);
			res->ring = m->next = m->prev = id;
			sched_res_place(s, r[i]);
			continue;
		}
		head = member_of(s, res->ring);
		m->next = res->ring;
		m->prev = head->prev;
		member_of(s, head->prev)->next = id;
		head->prev = id;
		if ((int32_t)(m->round - s->res_more[r[i]].round) <=
		    0) { // it missed its turn: it is the first, else the last
			res->ring = id;
			sched_res_place(s, r[i]);
		}
	}
}

void sched_res_leave(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	const uint32_t *r = sched_reservations(s, q);

	for (unsigned int i = 0; i < q->n_reservations; i++) {
		struct sched_res *res = &s->res[r[i]];
		uint32_t id = member_of_class(q, slot, i);
		const struct sched_member *m = member_of(s, id);

		if (m->next == id) {
			res->ring = SCHED_NONE;
		} else {
			member_of(s, m->prev)->next = m->next;
			member_of(s, m->next)->prev = m->prev;
			if (res->ring != id)
				continue;
			res->ring = m->next;
		}
		sched_res_place(s, r[i]);
	}
}

static uint64_t deadline(const struct sched_res *res)
{
	return bucket_opens_at(&res->bucket) + bucket_cost(&res->bucket, res->head_bytes);
}

static void put(struct sched *s, uint32_t r, uint8_t in, uint64_t key)
{
	struct wheel *w = in == SCHED_RES_READY ? &s->ready : &s->future;

	if (w->levels == 0)
		w->cur = (s->virtual_now - s->lag_ticks) >> WHEEL_SHIFT;
	s->res[r].in = in;
	wheel_add(w, r, key);
}

// What it is placed by is kept: when it opens, its class and packet are not looked at, they would be cache misses. If
// the class sends its first packet by the excess meanwhile, the deadline is that of another of its packets.
void sched_res_place(struct sched *s, uint32_t r)
{
	struct sched_res *res = &s->res[r];
	uint64_t opens = bucket_opens_at(&res->bucket);

	if (res->in != SCHED_RES_NONE)
		wheel_del(res->in == SCHED_RES_READY ? &s->ready : &s->future, r);
	res->in = SCHED_RES_NONE;
	if (res->ring == SCHED_NONE || opens == BUCKET_NEVER || !res->there)
		return;
	res->head_bytes = s->packet[s->queue[class_of(s, res->ring)].head].len_bytes;
	if (opens > s->virtual_now)
		put(s, r, SCHED_RES_FUTURE, opens);
	else
		put(s, r, SCHED_RES_READY, deadline(res));
}

// Its turn is near.
static void put_ready(struct sched *s, uint32_t r)
{
	const char *q = (const char *)&s->queue[class_of(s, s->res[r].ring)];

	rte_prefetch0(q);
	rte_prefetch0(q + RTE_CACHE_LINE_SIZE);
	rte_prefetch0(&s->res_more[r]);
	put(s, r, SCHED_RES_READY, deadline(&s->res[r]));
}

void sched_virtual_clock(struct sched *s, uint64_t now)
{
	uint64_t next = s->virtual_now + (now - s->last_now), begins;
	uint32_t r;

	s->last_now = now;
	while ((r = wheel_pop_due(&s->future, next)) != WHEEL_NONE)
		put_ready(s, r);
	if (s->ready.levels != 0) {
		wheel_front(&s->ready, &begins);
		begins = (begins << WHEEL_SHIFT) + s->lag_ticks;
		if (begins < next) {
			begins = RTE_MAX(s->virtual_now, begins);
			s->held_back_ticks += next - begins;
			next = begins;
		}
	}
	s->virtual_now = next;
}

// The reservation that is likely to be next: the packet of its class, and that class's neighbours in the calendar.
static void prefetch_next(const struct sched *s, uint32_t r)
{
	uint32_t ring = s->res[s->res[r].item.next].ring;
	const struct sched_queue *q = &s->queue[class_of(s, ring)];

	rte_prefetch0(&s->packet[q->head]);
	rte_prefetch0(&s->queue[q->item.next]);
	rte_prefetch0(&s->queue[q->item.prev]);
}

bool sched_res_pick(struct sched *s, uint64_t now, uint32_t *slot, uint32_t *res)
{
	uint32_t r;

	while ((r = wheel_first(&s->ready, s->virtual_now)) != WHEEL_NONE) {
		uint32_t limit;

		if (bucket_opens_at(&s->res[r].bucket) > s->virtual_now) { // virtual time was held back
			sched_res_place(s, r);
			continue;
		}
		*res = r;
		*slot = class_of(s, s->res[r].ring);
		prefetch_next(s, r);
		limit = sched_stopped_by(s, *slot, now, true);
		if (limit == SCHED_NO_SLOT)
			return true;
		sched_sleep_on(s, *slot, limit);
	}
	return false;
}

// The ring is served by surplus round robin: its head sends until its deficit is used up, gets a frame more (so once is
// always enough) and is the last.
void sched_res_charge(struct sched *s, uint32_t r, uint32_t bytes)
{
	struct sched_res *res = &s->res[r];
	uint32_t id = res->ring;
	int32_t *left = deficit_of(s, id);

	bucket_take(&res->bucket, bytes);
	s->res_more[r].round = member_of(s, id)->round;
	*left -= (int32_t)bytes;
	if (*left <= 0) {
		*left += (int32_t)s->mtu_bytes;
		member_of(s, id)->round++;
		res->ring = member_of(s, id)->next;
	}
}
