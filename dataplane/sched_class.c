// SPDX-License-Identifier: Apache-2.0
// The classes of one queue: a hash table of sets over a fixed pool. A class is named by its slot and the life of the
// slot, so that a name kept too long is seen to be old.
#include <assert.h>

#include "sched_live.h"

#define SWEEPS_PER_S 1000 // a whole look through the pool takes a second, however few there are
#define SWEEP_URGENT 64   // slots to look at when the pool is empty
#define ROOM_PER_S 10     // 100 ms of its rate
#define ROOM_MAX (UINT16_MAX << SCHED_ROOM_SHIFT)

uint32_t sched_class_name(const struct sched *s, uint32_t slot)
{
	return (uint32_t)s->queue[slot].life << SCHED_SLOT_BITS | slot;
}

static uint32_t *chain_of(struct sched *s, uint32_t hash)
{
	return &s->chain[hash & s->chain_mask];
}

// 100 ms at the slowest rate that is known: more is delay that nobody wants, and buffers that others need.
void sched_class_refresh(struct sched *s, uint32_t slot)
{
	struct sched_queue *q = &s->queue[slot];
	const uint32_t *limit = sched_limit_slots(s, q);
	uint64_t rate_bps = s->line.rate_bps != 0 ? s->line.rate_bps : UINT64_MAX, bytes;

	for (unsigned int i = 0; i < q->n_limits; i++) {
		const struct sched_limit *l = &s->limits->limit[limit[i]];

		if (l->id != 0)
			rate_bps = RTE_MIN(rate_bps, l->bucket.rate_bps);
	}
	bytes = RTE_MAX(rate_bps / (8 * ROOM_PER_S), (uint64_t)s->queue_bytes_min);
	q->room = (uint16_t)(RTE_MIN(bytes, (uint64_t)ROOM_MAX) >> SCHED_ROOM_SHIFT);
}

void sched_class_init(struct sched *s)
{
	struct sched_queue *q = &s->queue[SCHED_BEST_EFFORT];

	s->n_classes = s->n_fresh_classes = 1;
	s->sweep_slot = SCHED_BEST_EFFORT + 1;
	s->sweep_ticks = s->tsc_hz / SWEEPS_PER_S;
	q->used = true;
	q->has_flows = true;
	q->head = q->tail = SCHED_NO_PACKET;
	sched_flow_begin(s, SCHED_BEST_EFFORT);
	sched_class_refresh(s, SCHED_BEST_EFFORT);
}

void sched_activate(struct sched *s, uint32_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	sched_class_refresh(s, slot);
	q->state = SCHED_QUEUE_ACTIVE;
	sched_excess_enter(s, slot, false);
	sched_res_join(s, slot);
}

void sched_deactivate(struct sched *s, uint32_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	sched_excess_leave(s, slot);
	sched_res_leave(s, slot);
	sched_res_part(s, slot);
	sched_release_limits(s, slot);
	q->state = SCHED_QUEUE_IDLE;
	if (q->has_flows)
		sched_flow_forget(s, slot);
}

static bool is_set_of(const struct sched *s, const struct sched_queue *q, const struct sched_set *set)
{
	const uint32_t *reservation = sched_reservations(s, q), *limit = sched_limit_slots(s, q);

	return q->hash == set->hash && q->set_node == set->node && q->n_reservations == set->n_reservations &&
	       q->n_limits == set->n_limits &&
	       memcmp(reservation, set->reservation, set->n_reservations * sizeof(reservation[0])) == 0 &&
	       memcmp(limit, set->limit, set->n_limits * sizeof(limit[0])) == 0;
}

static void count_users(struct sched *s, const struct sched_queue *q, uint32_t one)
{
	const uint32_t *reservation = sched_reservations(s, q), *limit = sched_limit_slots(s, q);

	for (unsigned int i = 0; i < q->n_reservations; i++)
		s->n_users[reservation[i]] += one;
	for (unsigned int i = 0; i < q->n_limits; i++)
		s->n_users[limit[i]] += one;
}

static void free_class(struct sched *s, uint32_t slot)
{
	struct sched_queue *q = &s->queue[slot];
	uint32_t *at = chain_of(s, q->hash);

	while (*at != slot)
		at = &s->queue[*at].next;
	*at = q->next;
	count_users(s, q, UINT32_MAX);
	if (q->is_wide) {
		s->wide[q->reservation].class = s->free_wide;
		s->free_wide = q->reservation;
	}
	*q = (struct sched_queue){.life = (uint16_t)(q->life + 1), .next = s->free_class};
	s->free_class = slot;
	s->n_classes--;
}

static bool sweep_one(struct sched *s, bool urgent)
{
	uint32_t slot = s->sweep_slot;
	struct sched_queue *q = &s->queue[slot];
	bool idle = q->used && q->state == SCHED_QUEUE_IDLE && (urgent || !q->touched);

	s->sweep_slot = slot + 1 < s->n_fresh_classes ? slot + 1 : SCHED_BEST_EFFORT + 1;
	q->touched = false;
	if (idle)
		free_class(s, slot);
	return idle;
}

void sched_class_sweep(struct sched *s, uint64_t now)
{
	if (now < s->sweep_at || s->n_fresh_classes == 1)
		return;
	s->sweep_at = now + s->sweep_ticks;
	for (unsigned int i = 0; i < s->n_fresh_classes / SWEEPS_PER_S + 1; i++) {
		sweep_one(s, false);
		if (s->sweep_slot == SCHED_BEST_EFFORT + 1 && s->n_fresh_classes < SWEEPS_PER_S) {
			s->sweep_at = now + s->tsc_hz;
			return;
		}
	}
}

// What is empty now goes first when there is no room.
static void make_room(struct sched *s)
{
	for (unsigned int i = 0; i < SWEEP_URGENT && !sweep_one(s, true); i++)
		;
}

// SCHED_NONE: none is left.
static uint32_t take_class(struct sched *s)
{
	uint32_t slot = s->free_class;

	if (slot == SCHED_NONE && s->n_fresh_classes < s->classes_max)
		return s->n_fresh_classes++;
	if (slot == SCHED_NONE)
		make_room(s);
	slot = s->free_class;
	if (slot != SCHED_NONE)
		s->free_class = s->queue[slot].next;
	return slot;
}

static bool take_wide(struct sched *s, uint32_t *wide)
{
	if (s->free_wide == SCHED_NONE && s->n_fresh_wide == s->n_wide_max)
		make_room(s);
	if (s->free_wide != SCHED_NONE) {
		*wide = s->free_wide;
		s->free_wide = s->wide[*wide].class;
	} else if (s->n_fresh_wide < s->n_wide_max) {
		*wide = ++s->n_fresh_wide;
	} else {
		return false;
	}
	return true;
}

static void name_meters(struct sched *s, struct sched_queue *q, uint32_t slot, const struct sched_set *set,
			uint32_t wide)
{
	q->n_reservations = set->n_reservations & 0xf;
	q->n_limits = set->n_limits & 0xf;
	q->is_wide = wide != SCHED_NONE;
	if (q->is_wide) {
		struct sched_wide *w = &s->wide[wide];

		q->reservation = wide;
		w->class = slot;
		memcpy(w->reservation, set->reservation, sizeof(w->reservation));
		memcpy(w->limit, set->limit, sizeof(w->limit));
	} else {
		q->reservation = set->reservation[0];
		q->limit = set->limit[0];
	}
	count_users(s, q, 1);
}

static bool is_sound(const struct sched_set *set)
{
	bool sound =
		set->node < SCHED_NODES_MAX && set->n_reservations <= ACTION_SET_MAX && set->n_limits <= ACTION_SET_MAX;

	for (unsigned int i = 0; sound && i < set->n_reservations; i++)
		sound = set->reservation[i] < SCHED_METERS_MAX;
	for (unsigned int i = 0; sound && i < set->n_limits; i++)
		sound = set->limit[i] < SCHED_METERS_MAX;
	return sound;
}

static uint32_t class_add(struct sched *s, const struct sched_set *set)
{
	uint32_t slot = take_class(s), wide = SCHED_NONE, *chain;
	struct sched_queue *q = &s->queue[slot];

	assert(is_sound(set));
	if (slot == SCHED_NONE)
		return SCHED_NONE;
	if ((set->n_reservations > 1 || set->n_limits > 1) && !take_wide(s, &wide)) {
		q->next = s->free_class;
		s->free_class = slot;
		return SCHED_NONE;
	}
	chain = chain_of(s, set->hash);
	*q = (struct sched_queue){.life = q->life,
				  .used = true,
				  .touched = true,
				  .has_flows = set->n_reservations + set->n_limits == 0,
				  .head = SCHED_NO_PACKET,
				  .tail = SCHED_NO_PACKET,
				  .set_node = (uint16_t)set->node,
				  .hash = set->hash,
				  .next = *chain};
	*chain = slot;
	s->n_classes++;
	name_meters(s, q, slot, set, wide);
	if (q->has_flows)
		sched_flow_begin(s, slot);
	sched_class_refresh(s, slot);
	return slot;
}

static bool is_best_effort(const struct sched_set *set)
{
	return set->node == SCHED_NODE_ROOT && set->n_reservations + set->n_limits == 0;
}

static uint32_t find_slot(const struct sched *s, const struct sched_set *set)
{
	uint32_t slot = s->chain[set->hash & s->chain_mask];

	while (slot != SCHED_NONE && !is_set_of(s, &s->queue[slot], set))
		slot = s->queue[slot].next;
	return slot;
}

uint32_t sched_class_find(const struct sched *s, const struct sched_set *set)
{
	uint32_t slot = find_slot(s, set);

	if (is_best_effort(set))
		return SCHED_BEST_EFFORT;
	return slot == SCHED_NONE ? SCHED_POLICED : sched_class_name(s, slot);
}

uint32_t sched_class(struct sched *s, const struct sched_set *set, uint64_t now_tsc)
{
	uint32_t slot;

	if (is_best_effort(set))
		return SCHED_BEST_EFFORT;
	slot = find_slot(s, set);
	if (slot == SCHED_NONE)
		slot = class_add(s, set);
	if (slot != SCHED_NONE)
		return sched_class_name(s, slot);
	s->stats.pool_full++;
	s->policed = *set;
	return SCHED_POLICED;
}

bool sched_class_is_live(const struct sched *s, uint32_t class)
{
	uint32_t slot = class & ((1U << SCHED_SLOT_BITS) - 1);

	return slot < s->classes_max && s->queue[slot].used && sched_class_name(s, slot) == class;
}

// Keeps its packets and what else it has; only the name of its set is gone.
static void disown(struct sched *s, uint32_t slot, uint32_t meter)
{
	struct sched_queue *q = &s->queue[slot];
	struct sched_set set = {.node = q->set_node};
	uint32_t *at = chain_of(s, q->hash);
	bool active = q->state == SCHED_QUEUE_ACTIVE;

	if (active)
		sched_deactivate(s, slot);
	while (*at != slot)
		at = &s->queue[*at].next;
	*at = q->next;
	count_users(s, q, UINT32_MAX);
	for (unsigned int i = 0; i < q->n_reservations; i++) {
		if (sched_reservations(s, q)[i] != meter)
			set.reservation[set.n_reservations++] = sched_reservations(s, q)[i];
	}
	for (unsigned int i = 0; i < q->n_limits; i++) {
		if (sched_limit_slots(s, q)[i] != meter)
			set.limit[set.n_limits++] = sched_limit_slots(s, q)[i];
	}
	q->hash = ~q->hash; // found by nobody
	q->next = *chain_of(s, q->hash);
	*chain_of(s, q->hash) = slot;
	name_meters(s, q, slot, &set, q->is_wide ? q->reservation : SCHED_NONE);
	if (active)
		sched_activate(s, slot);
}

void sched_class_disown(struct sched *s, uint32_t meter)
{
	sched_wake_all(s);
	for (uint32_t slot = SCHED_BEST_EFFORT + 1; slot < s->n_fresh_classes; slot++) {
		const struct sched_queue *q = &s->queue[slot];
		bool names = false;

		for (unsigned int i = 0; q->used && i < q->n_limits; i++)
			names |= sched_limit_slots(s, q)[i] == meter;
		for (unsigned int i = 0; q->used && i < q->n_reservations; i++)
			names |= sched_reservations(s, q)[i] == meter;
		if (names)
			disown(s, slot, meter);
	}
}
