// SPDX-License-Identifier: Apache-2.0
// The classes of one queue: a hash table of sets over a fixed pool. A class is named by its slot and the life of the
// slot, so that a name kept too long is seen to be old.
#include <assert.h>

#include "sched_live.h"

#define SWEEPS_PER_S 1000 // a whole look through the pool takes a second
#define SWEEP_SLOTS (SCHED_CLASSES_MAX / SWEEPS_PER_S + 1)
#define SWEEP_URGENT 64 // slots to look at when the pool is empty

static uint32_t name_of(const struct sched *s, uint16_t slot)
{
	return (uint32_t)s->queue[slot].life << SCHED_SLOT_BITS | slot;
}

static uint16_t *chain_of(struct sched *s, uint32_t hash)
{
	return &s->chain[hash % SCHED_CHAINS];
}

void sched_class_init(struct sched *s)
{
	for (uint32_t i = 0; i < SCHED_CHAINS; i++)
		s->chain[i] = SCHED_NONE;
	for (uint32_t i = SCHED_BEST_EFFORT + 1; i < SCHED_CLASSES_MAX; i++)
		s->queue[i].next = i + 1 < SCHED_CLASSES_MAX ? (uint16_t)(i + 1) : SCHED_NONE;
	s->free_class = SCHED_BEST_EFFORT + 1;
	s->n_classes = 1;
	s->sweep_slot = SCHED_BEST_EFFORT + 1;
	s->tree[SCHED_NODE_ROOT].weight = 1;
}

static bool is_set_of(const struct sched_queue *q, const struct sched_set *set)
{
	if (q->hash != set->hash || q->node != set->node || q->n_reservations != set->n_reservations ||
	    q->n_limits != set->n_limits)
		return false;
	for (unsigned int i = 0; i < set->n_reservations; i++) {
		if (q->reservation[i] != set->reservation[i])
			return false;
	}
	for (unsigned int i = 0; i < set->n_limits; i++) {
		if (q->limit[i] != set->limit[i])
			return false;
	}
	return true;
}

static void unchain(struct sched *s, uint16_t slot)
{
	uint16_t *at = chain_of(s, s->queue[slot].hash);

	while (*at != slot)
		at = &s->queue[*at].next;
	*at = s->queue[slot].next;
}

static void free_class(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	unchain(s, slot);
	for (unsigned int i = 0; i < q->n_reservations; i++)
		s->n_users[q->reservation[i]]--;
	for (unsigned int i = 0; i < q->n_limits; i++)
		s->n_users[q->limit[i]]--;
	*q = (struct sched_queue){.life = (uint16_t)(q->life + 1), .next = s->free_class};
	s->free_class = slot;
	s->n_classes--;
}

static bool sweep_one(struct sched *s, bool urgent)
{
	uint16_t slot = s->sweep_slot;
	struct sched_queue *q = &s->queue[slot];
	bool idle = q->used && q->state == SCHED_QUEUE_IDLE && (urgent || !q->touched);

	s->sweep_slot = slot + 1 < SCHED_CLASSES_MAX ? slot + 1 : SCHED_BEST_EFFORT + 1;
	q->touched = false;
	if (idle)
		free_class(s, slot);
	return idle;
}

void sched_class_sweep(struct sched *s, uint64_t now)
{
	if (now < s->sweep_at)
		return;
	s->sweep_at = now + s->tsc_hz / SWEEPS_PER_S;
	for (unsigned int i = 0; i < SWEEP_SLOTS; i++)
		sweep_one(s, false);
}

// What is empty now goes first when there is no room.
static void make_room(struct sched *s)
{
	s->n_sent = 0; // nothing comes back to a class that goes
	for (unsigned int i = 0; i < SWEEP_URGENT && !sweep_one(s, true); i++)
		;
}

void sched_class_refresh(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot];

	if (slot == SCHED_BEST_EFFORT)
		return;
	q->quantum = (int32_t)(RTE_MAX(s->tree[q->node].weight, 1U) * s->mtu_bytes);
	q->max_bytes = sched_queue_bytes(s, q);
}

static uint16_t class_add(struct sched *s, const struct sched_set *set)
{
	uint16_t slot, *chain = chain_of(s, set->hash);
	struct sched_queue *q;

	if (s->free_class == SCHED_NONE)
		make_room(s);
	slot = s->free_class;
	if (slot == SCHED_NONE)
		return SCHED_NONE;
	q = &s->queue[slot];
	assert(set->node < SCHED_NODES_MAX);
	s->free_class = q->next;
	s->n_classes++;
	*q = (struct sched_queue){.life = q->life,
				  .used = true,
				  .touched = true,
				  .head = SCHED_NO_NODE,
				  .tail = SCHED_NO_NODE,
				  .node = (uint16_t)set->node,
				  .hash = set->hash,
				  .next = *chain};
	*chain = slot;
	for (; q->n_reservations < set->n_reservations; q->n_reservations++) {
		assert(set->reservation[q->n_reservations] < SCHED_METERS_MAX);
		q->reservation[q->n_reservations] = (uint16_t)set->reservation[q->n_reservations];
		s->n_users[q->reservation[q->n_reservations]]++;
	}
	for (; q->n_limits < set->n_limits; q->n_limits++) {
		assert(set->limit[q->n_limits] < SCHED_METERS_MAX);
		q->limit[q->n_limits] = (uint16_t)set->limit[q->n_limits];
		s->n_users[q->limit[q->n_limits]]++;
	}
	sched_class_refresh(s, slot);
	return slot;
}

uint32_t sched_class(struct sched *s, const struct sched_set *set, uint64_t now_tsc)
{
	uint16_t slot = *chain_of(s, set->hash);

	if (set->node == SCHED_NODE_ROOT && set->n_reservations + set->n_limits == 0)
		return SCHED_BEST_EFFORT;
	while (slot != SCHED_NONE && !is_set_of(&s->queue[slot], set))
		slot = s->queue[slot].next;
	if (slot == SCHED_NONE)
		slot = class_add(s, set);
	if (slot != SCHED_NONE)
		return name_of(s, slot);
	s->pool_full++;
	s->policed = *set;
	return SCHED_POLICED;
}

bool sched_class_is_live(const struct sched *s, uint32_t class)
{
	uint32_t slot = class & ((1U << SCHED_SLOT_BITS) - 1);

	return slot < SCHED_CLASSES_MAX && s->queue[slot].used && name_of(s, (uint16_t)slot) == class;
}

static void become_best_effort(struct sched *s, uint16_t slot)
{
	struct sched_queue *q = &s->queue[slot], *to = &s->queue[SCHED_BEST_EFFORT];

	if (q->n_packets == 0)
		return;
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

void sched_class_disown(struct sched *s, uint16_t meter, bool is_limit)
{
	sched_wake_all(s);
	s->n_sent = 0;
	for (uint16_t slot = SCHED_BEST_EFFORT + 1; slot < SCHED_CLASSES_MAX; slot++) {
		const struct sched_queue *q = &s->queue[slot];
		bool names = false;

		for (unsigned int i = 0; q->used && i < q->n_limits; i++)
			names |= q->limit[i] == meter;
		for (unsigned int i = 0; q->used && i < q->n_reservations; i++)
			names |= q->reservation[i] == meter;
		if (!names)
			continue;
		become_best_effort(s, slot);
		free_class(s, slot);
	}
}
