// SPDX-License-Identifier: Apache-2.0
// A new plan for a live queue: classes and reservations that stay keep everything, the others give way.
#include <assert.h>
#include <string.h>

#include "sched_live.h"

#define CLASS_BYTES_MAX (4 * 1024 * 1024)

static void drain_to_best_effort(struct sched *s, uint16_t slot);
static void adopt_reservation(struct sched *s, const struct sched_meter *m);
static void adopt_class(struct sched *s, const struct sched_class *c);

void sched_adopt(struct sched *s, const struct sched_plan *plan, uint64_t now_tsc)
{
	sched_virtual_clock(s, sched_clock(s->limits, now_tsc));
	s->n_sent = 0;
	sched_wake_all(s); // limits may have changed; those still stopped go back to sleep at their turn
	for (uint32_t i = 0; i < plan->n_classes; i++) {
		struct sched_queue *q = &s->queue[plan->classes[i].slot];

		assert(plan->classes[i].slot > SCHED_BEST_EFFORT && plan->classes[i].slot < SCHED_CLASSES_MAX);
		q->kept = q->uid == plan->classes[i].uid;
	}
	for (uint32_t slot = 1; slot < s->n_slots; slot++) {
		if (s->queue[slot].uid != 0 && !s->queue[slot].kept)
			drain_to_best_effort(s, (uint16_t)slot);
		s->queue[slot].kept = false;
	}
	for (uint32_t i = 0; i < plan->n_meters; i++)
		adopt_reservation(s, &plan->meters[i]);
	for (uint32_t i = 0; i < plan->n_classes; i++)
		adopt_class(s, &plan->classes[i]);
}

static void drain_to_best_effort(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot], *to = &s->queue[SCHED_BEST_EFFORT];

	if (q->n_packets > 0) {
		sched_deactivate(s, slot);
		if (to->head == SCHED_NO_NODE)
			to->head = q->head;
		else
			s->node[to->tail].next = q->head;
		to->tail = q->tail;
		to->n_packets += q->n_packets;
		to->n_bytes += q->n_bytes;
		if (to->state == SCHED_QUEUE_IDLE)
			sched_activate(s, SCHED_BEST_EFFORT);
	}
	*q = (struct sched_queue){.head = SCHED_NO_NODE, .tail = SCHED_NO_NODE};
}

// A meter may be a limit: then nobody draws on it here, and the bucket is never looked at.
static void adopt_reservation(struct sched *s, const struct sched_meter *m)
{
	struct sched_res *res = &s->res[m->slot];

	if (res->uid == m->uid && res->bucket.rate_bps == m->rate_bps)
		return;
	if (res->uid == m->uid)
		bucket_change(&res->bucket, m->rate_bps, s->tsc_hz, 0, s->virtual_now);
	else
		bucket_init(&res->bucket, m->rate_bps, s->tsc_hz, s->virtual_now); // no burst: nothing is saved up
	res->uid = m->uid;
	sched_res_place(s, (uint16_t)m->slot);
}

static void adopt_class(struct sched *s, const struct sched_class *c)
{
	struct sched_queue *q = &s->queue[c->slot];
	bool active = q->state == SCHED_QUEUE_ACTIVE;

	for (uint32_t slot = s->n_slots; slot <= c->slot; slot++)
		s->queue[slot] = (struct sched_queue){.head = SCHED_NO_NODE, .tail = SCHED_NO_NODE};
	s->n_slots = RTE_MAX(s->n_slots, c->slot + 1);
	if (active && (q->n_reservations != c->n_reservations ||
		       memcmp(q->reservation, c->reservation, sizeof(c->reservation[0]) * c->n_reservations) != 0))
		sched_deactivate(s, (uint16_t)c->slot); // never from sched_plan_build: other meters are another class
	q->uid = c->uid;
	memcpy(q->reservation, c->reservation, sizeof(q->reservation));
	memcpy(q->limit, c->limit, sizeof(q->limit));
	q->n_reservations = c->n_reservations;
	q->n_limits = c->n_limits;
	q->quantum = (int32_t)(RTE_MAX(c->weight, 1U) * s->mtu_bytes);
	q->max_bytes = sched_queue_bytes(s, q);
	if (active && q->state == SCHED_QUEUE_IDLE)
		sched_activate(s, (uint16_t)c->slot);
}

// 100 ms at the slowest rate that is known: more is delay that nobody wants, and buffers that others need.
uint32_t sched_queue_bytes(const struct sched *s, const struct sched_queue *q)
{
	uint64_t rate_bps = s->line.rate_bps != 0 ? s->line.rate_bps : UINT64_MAX;

	for (unsigned int i = 0; i < q->n_limits; i++)
		rate_bps = RTE_MIN(rate_bps, s->limits->limit[q->limit[i]].bucket.rate_bps);
	rate_bps /= 8 * 10;
	return (uint32_t)RTE_MIN(RTE_MAX(rate_bps, (uint64_t)s->queue_bytes_min), (uint64_t)CLASS_BYTES_MAX);
}
