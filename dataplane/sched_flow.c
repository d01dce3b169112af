// SPDX-License-Identifier: Apache-2.0
// The packets of best effort: a queue for each flow, served in turn, new flows first (RFC 8290), each watched by CoDel
// (RFC 8289), which marks or drops when packets have stayed longer than the target for an interval.
// Unlike RFC 8290 the flows are told apart by their whole hash, not by a bucket of it, and all classes share the pool.
#include "sched_live.h"

#define TARGET_PER_S 200  // 5 ms
#define INTERVAL_PER_S 10 // 100 ms
#define PROBES 8          // places where a flow may be
#define IDLE 0
#define FRESH 1
#define OLD 2

static uint32_t isqrt_q16(uint32_t n) // sqrt(n) * 2^16
{
	uint64_t want = (uint64_t)n << 32, root = 0;

	for (uint64_t bit = 1ULL << 31; bit != 0; bit >>= 1) {
		if ((root + bit) * (root + bit) <= want)
			root += bit;
	}
	return (uint32_t)root;
}

void sched_flow_init(struct sched *s)
{
	uint64_t per_s = s->tsc_hz >> SCHED_TIME_SHIFT;

	s->codel_target = (uint32_t)(per_s / TARGET_PER_S);
	s->codel_interval = (uint32_t)(per_s / INTERVAL_PER_S);
	for (uint32_t n = 1; n < SCHED_CODEL_LAW; n++)
		s->codel_law[n] = (uint32_t)(((uint64_t)s->codel_interval << 16) / isqrt_q16(n));
	s->codel_law[0] = s->codel_interval;
	s->us_per_time = (1000000ULL << (SCHED_TIME_SHIFT + 32)) / s->tsc_hz;
}

static struct sched_flow_lists *lists_of(struct sched *s, uint32_t slot)
{
	return &s->flow_lists[s->queue[slot].set_node];
}

void sched_flow_begin(struct sched *s, uint32_t slot)
{
	struct sched_flow_list empty = {SCHED_NO_PACKET, SCHED_NO_PACKET};

	*lists_of(s, slot) = (struct sched_flow_lists){.fresh = empty, .old = empty};
}

static void list_add(struct sched *s, struct sched_flow_list *list, uint32_t id)
{
	s->flow[id].next = SCHED_NO_PACKET;
	if (list->head == SCHED_NO_PACKET)
		list->head = id;
	else
		s->flow[list->tail].next = id;
	list->tail = id;
}

static uint32_t list_pop(struct sched *s, struct sched_flow_list *list)
{
	uint32_t id = list->head;

	list->head = s->flow[id].next;
	return id;
}

void sched_flow_forget(struct sched *s, uint32_t slot)
{
	struct sched_flow_lists *lists = lists_of(s, slot);

	while (lists->fresh.head != SCHED_NO_PACKET)
		s->flow[list_pop(s, &lists->fresh)].state = IDLE;
	while (lists->old.head != SCHED_NO_PACKET)
		s->flow[list_pop(s, &lists->old)].state = IDLE;
}

// SCHED_FLOWS: no place for it.
static uint32_t find_flow(const struct sched *s, uint32_t slot, uint32_t hash)
{
	uint32_t at = (hash ^ slot * 0x9e3779b1u) * 0x85ebca6bu >> 16, idle = SCHED_FLOWS, shared = SCHED_FLOWS;

	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t id = (at + i) % SCHED_FLOWS;
		const struct sched_flow *f = &s->flow[id];

		if (f->class == slot && f->hash == hash && (f->state != IDLE || idle == SCHED_FLOWS))
			return id;
		if (f->state == IDLE && idle == SCHED_FLOWS)
			idle = id;
		if (f->state != IDLE && f->class == slot)
			shared = id;
	}
	return idle != SCHED_FLOWS ? idle : shared;
}

// Makes room by the head of the flow that has most. false: that is the one that asks.
static bool drop_of_fattest(struct sched *s, uint32_t slot, uint32_t id)
{
	struct sched_queue *q = &s->queue[slot];
	const struct sched_flow_lists *lists = lists_of(s, slot);
	struct sched_flow *fat = &s->flow[lists->fattest];

	if (lists->fattest == id || fat->state == IDLE || fat->class != slot || fat->n_bytes == 0)
		return false;
	if (s->flow[id].state != IDLE && s->flow[id].n_bytes >= fat->n_bytes)
		return false;
	fat->n_bytes -= s->packet[fat->head].len_bytes;
	sched_drop(s, q, fat->head, SCHED_DROP_FULL);
	fat->head = sched_packet_free(s, fat->head);
	return true;
}

bool sched_flow_enqueue(struct sched *s, uint32_t slot, uint32_t packet, uint32_t flow_hash)
{
	struct sched_queue *q = &s->queue[slot];
	struct sched_flow_lists *lists = lists_of(s, slot);
	uint32_t id = find_flow(s, slot, flow_hash), len_bytes = s->packet[packet].len_bytes;
	struct sched_flow *f = &s->flow[id];

	if (id == SCHED_FLOWS)
		return false;
	while ((q->n_bytes + len_bytes) >> SCHED_ROOM_SHIFT > q->room || q->n_packets == UINT16_MAX) {
		if (!drop_of_fattest(s, slot, id))
			return false;
	}
	if (f->state == IDLE) {
		if (f->class != slot || f->hash != flow_hash)
			*f = (struct sched_flow){.class = slot, .hash = flow_hash};
		f->head = SCHED_NO_PACKET;
		f->n_bytes = 0;
		f->deficit = (int32_t)s->mtu_bytes;
		f->state = FRESH;
		list_add(s, &lists->fresh, id);
	}
	if (f->head == SCHED_NO_PACKET)
		f->head = packet;
	else
		s->packet[f->tail].next = packet;
	f->tail = packet;
	f->n_bytes += len_bytes;
	if (s->flow[lists->fattest].class != slot || f->n_bytes > s->flow[lists->fattest].n_bytes)
		lists->fattest = id;
	return true;
}

// Takes the first packet off the flow; *is_late: it may be dropped.
static uint32_t take(struct sched *s, struct sched_flow *f, uint32_t time, bool *is_late)
{
	uint32_t id = f->head;

	*is_late = false;
	if (id == SCHED_NO_PACKET) {
		f->first_above_time = 0;
		return id;
	}
	f->head = s->packet[id].next;
	f->n_bytes -= s->packet[id].len_bytes;
	if (time - s->packet[id].time < s->codel_target || f->n_bytes <= s->mtu_bytes)
		f->first_above_time = 0;
	else if (f->first_above_time == 0)
		f->first_above_time = (time + s->codel_interval) | 1;
	else
		*is_late = (int32_t)(time - f->first_above_time) >= 0;
	return id;
}

static uint32_t control_law(const struct sched *s, uint32_t time, uint32_t count)
{
	return time + s->codel_law[RTE_MIN(count, (uint32_t)SCHED_CODEL_LAW - 1)];
}

// True: the packet is marked and stays. Else it is gone.
static bool mark_or_drop(struct sched *s, uint32_t slot, uint32_t id)
{
	struct sched_queue *q = &s->queue[slot];

	if (sched_ecn_mark(sched_mbuf(&s->packet[id]))) {
		q->marked++;
		return true;
	}
	sched_drop(s, q, id, SCHED_DROP_DELAY);
	sched_packet_free(s, id);
	return false;
}

// RFC 8289, 5.5, with marking.
static uint32_t codel(struct sched *s, uint32_t slot, struct sched_flow *f, uint32_t time)
{
	bool is_late;
	uint32_t id = take(s, f, time, &is_late);

	if (f->dropping) {
		f->dropping = is_late;
		while (f->dropping && (int32_t)(time - f->drop_next) >= 0) {
			f->count++;
			f->drop_next = control_law(s, f->drop_next, f->count);
			if (mark_or_drop(s, slot, id))
				return id;
			id = take(s, f, time, &is_late);
			f->dropping = is_late;
		}
	} else if (is_late) {
		uint32_t delta = f->count - f->lastcount;
		bool was_recent = time - f->drop_next < 16 * s->codel_interval;

		f->dropping = true;
		f->count = delta > 1 && was_recent ? delta : 1;
		f->lastcount = f->count;
		f->drop_next = control_law(s, time, f->count);
		if (!mark_or_drop(s, slot, id))
			id = take(s, f, time, &is_late);
	}
	return id;
}

uint32_t sched_flow_dequeue(struct sched *s, uint32_t slot, uint32_t time)
{
	struct sched_flow_lists *lists = lists_of(s, slot);

	for (;;) {
		bool is_fresh = lists->fresh.head != SCHED_NO_PACKET;
		struct sched_flow_list *list = is_fresh ? &lists->fresh : &lists->old;
		uint32_t id = list->head, packet;
		struct sched_flow *f = &s->flow[id];

		if (id == SCHED_NO_PACKET)
			return SCHED_NO_PACKET;
		if (f->deficit <= 0) {
			f->deficit += (int32_t)s->mtu_bytes;
			f->state = OLD;
			list_pop(s, list);
			list_add(s, &lists->old, id);
			continue;
		}
		packet = codel(s, slot, f, time);
		if (packet != SCHED_NO_PACKET) {
			f->deficit -= (int32_t)s->packet[packet].len_bytes;
			return packet;
		}
		list_pop(s, list);
		if (is_fresh) { // it must not come back as a new one at once
			f->state = OLD;
			list_add(s, &lists->old, id);
		} else {
			f->state = IDLE;
		}
	}
}
