// SPDX-License-Identifier: Apache-2.0
#include "sched_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Two tables of one kind: classes by their sets of meters, meters by their number. A slot's entry is in its table from
// the plan that first needs it until REST_PLANS plans did without; hash chains and the list of free slots are indices.
#define REST_PLANS 2
#define N_CHAINS 8192
#define NO_SLOT UINT16_MAX
#define IDS_MAX (2 * ACTION_SET_MAX)

struct slot_key {
	uint64_t id[IDS_MAX]; // class: reservations, then limits; meter: one
	uint8_t n_first, n;
};

struct slot_entry {
	struct slot_key key;
	uint64_t hash, uid;
	uint64_t wanted; // attempt that last needed it
	uint64_t used;   // plan that last had it; 0: none yet
	uint16_t next;   // in its chain or among the free
};

struct slot_table {
	struct slot_entry *entry;
	uint16_t chain[N_CHAINS];
	uint16_t free_first, free_last; // oldest first: slots rest as long as they can
	uint16_t n_slots, n_created;
	uint16_t *created; // by this attempt
};

struct sched_slots {
	struct slot_table classes, meters;
	uint64_t n_attempts, n_plans, next_uid;
};

static int table_init(struct slot_table *t, uint16_t first, uint16_t n_slots)
{
	t->entry = calloc(n_slots, sizeof(*t->entry));
	t->created = calloc(n_slots, sizeof(*t->created));
	t->n_slots = n_slots;
	memset(t->chain, 0xff, sizeof(t->chain));
	if (t->entry == NULL || t->created == NULL)
		return -ENOMEM;
	for (uint16_t i = first; i < n_slots; i++)
		t->entry[i].next = i + 1 < n_slots ? i + 1 : NO_SLOT;
	t->free_first = first;
	t->free_last = n_slots - 1;
	return 0;
}

struct sched_slots *sched_slots_create(struct err *err)
{
	struct sched_slots *s = calloc(1, sizeof(*s));

	if (s == NULL || table_init(&s->classes, SCHED_BEST_EFFORT + 1, SCHED_CLASSES_MAX) < 0 ||
	    table_init(&s->meters, 0, SCHED_METERS_MAX) < 0) {
		err_set(err, ENOMEM, "scheduler plan: no memory for the slots");
		sched_slots_destroy(s);
		return NULL;
	}
	return s;
}

void sched_slots_destroy(struct sched_slots *slots)
{
	if (slots == NULL)
		return;
	free(slots->classes.entry);
	free(slots->classes.created);
	free(slots->meters.entry);
	free(slots->meters.created);
	free(slots);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

static uint64_t key_hash(const struct slot_key *key)
{
	uint64_t h = mix(key->n, key->n_first);

	for (unsigned int i = 0; i < key->n; i++)
		h = mix(h, key->id[i]);
	return h;
}

static bool key_equal(const struct slot_key *a, const struct slot_key *b)
{
	return a->n == b->n && a->n_first == b->n_first && memcmp(a->id, b->id, a->n * sizeof(a->id[0])) == 0;
}

static uint16_t table_find(const struct slot_table *t, const struct slot_key *key, uint64_t hash)
{
	uint16_t slot = t->chain[hash % N_CHAINS];

	while (slot != NO_SLOT && !(t->entry[slot].hash == hash && key_equal(&t->entry[slot].key, key)))
		slot = t->entry[slot].next;
	return slot;
}

// NO_SLOT: none is free.
static uint16_t table_add(struct slot_table *t, const struct slot_key *key, uint64_t hash, uint64_t uid)
{
	uint16_t slot = t->free_first, *chain = &t->chain[hash % N_CHAINS];

	if (slot == NO_SLOT)
		return NO_SLOT;
	t->free_first = t->entry[slot].next;
	if (t->free_first == NO_SLOT)
		t->free_last = NO_SLOT;
	t->entry[slot] = (struct slot_entry){.key = *key, .hash = hash, .uid = uid, .next = *chain};
	*chain = slot;
	t->created[t->n_created++] = slot;
	return slot;
}

static void table_unchain(struct slot_table *t, uint16_t slot)
{
	uint16_t *at = &t->chain[t->entry[slot].hash % N_CHAINS];

	while (*at != slot)
		at = &t->entry[*at].next;
	*at = t->entry[slot].next;
	t->entry[slot].uid = 0;
	t->entry[slot].next = NO_SLOT;
}

static void table_rollback(struct slot_table *t)
{
	while (t->n_created > 0) {
		uint16_t slot = t->created[--t->n_created];

		table_unchain(t, slot);
		t->entry[slot].next = t->free_first;
		t->free_first = slot;
		if (t->free_last == NO_SLOT)
			t->free_last = slot;
	}
}

// Marks what this attempt wanted, frees what rested long enough.
static void table_commit(struct slot_table *t, uint64_t attempt, uint64_t plan)
{
	t->n_created = 0;
	for (uint16_t slot = 0; slot < t->n_slots; slot++) {
		struct slot_entry *e = &t->entry[slot];

		if (e->uid == 0)
			continue;
		if (e->wanted == attempt) {
			e->used = plan;
		} else if (plan - e->used > REST_PLANS) {
			table_unchain(t, slot);
			if (t->free_last == NO_SLOT)
				t->free_first = slot;
			else
				t->entry[t->free_last].next = slot;
			t->free_last = slot;
		}
	}
}

// The meters of one call by number: an open hash of indices.
struct meter_index {
	const struct sched_meter *meters;
	uint32_t *at; // index + 1, 0: empty
	uint32_t mask;
};

static int meter_index_init(struct meter_index *x, const struct sched_meter *meters, uint32_t n)
{
	uint32_t size = 16;

	while (size < 2 * n)
		size *= 2;
	*x = (struct meter_index){.meters = meters, .at = calloc(size, sizeof(*x->at)), .mask = size - 1};
	if (x->at == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t h = (uint32_t)mix(1, meters[i].id) & x->mask;

		while (x->at[h] != 0)
			h = (h + 1) & x->mask;
		x->at[h] = i + 1;
	}
	return 0;
}

static const struct sched_meter *meter_index_find(const struct meter_index *x, uint64_t id)
{
	for (uint32_t h = (uint32_t)mix(1, id) & x->mask; x->at[h] != 0; h = (h + 1) & x->mask) {
		if (x->meters[x->at[h] - 1].id == id)
			return &x->meters[x->at[h] - 1];
	}
	return NULL;
}

struct build { // one attempt
	struct sched_slots *slots;
	struct meter_index index;
	uint64_t uid; // next
	struct err *err;
};

static int want_meter(struct build *b, uint64_t id)
{
	struct slot_table *t = &b->slots->meters;
	struct slot_key key = {.id = {id}, .n = 1};
	uint64_t hash = key_hash(&key);
	uint16_t slot = table_find(t, &key, hash);

	if (meter_index_find(&b->index, id) == NULL)
		return err_set(b->err, ENOENT, "scheduler plan: meter %" PRIu64 " has no rate", id);
	if (slot == NO_SLOT)
		slot = table_add(t, &key, hash, ++b->uid);
	if (slot == NO_SLOT)
		return err_set(b->err, ENOSPC, "scheduler plan: more than %d reservations and limits",
			       SCHED_METERS_MAX);
	t->entry[slot].wanted = b->slots->n_attempts;
	return 0;
}

static int want_class(struct build *b, const struct action *a, uint32_t *class_slot)
{
	struct slot_table *t = &b->slots->classes;
	struct slot_key key = {.n_first = a->reservations.n, .n = a->reservations.n + a->limits.n};
	uint64_t hash;
	uint16_t slot;

	*class_slot = SCHED_BEST_EFFORT;
	if (a->reservations.overflow || a->limits.overflow || a->reservations.n > ACTION_SET_MAX ||
	    a->limits.n > ACTION_SET_MAX)
		return err_set(b->err, E2BIG, "scheduler plan: more than %d reservations or limits on one packet",
			       ACTION_SET_MAX);
	if (key.n == 0)
		return 0;
	memcpy(key.id, a->reservations.id, a->reservations.n * sizeof(key.id[0]));
	memcpy(key.id + key.n_first, a->limits.id, a->limits.n * sizeof(key.id[0]));
	hash = key_hash(&key);
	slot = table_find(t, &key, hash);
	if (slot == NO_SLOT)
		slot = table_add(t, &key, hash, ++b->uid);
	if (slot == NO_SLOT)
		return err_set(b->err, ENOSPC, "scheduler plan: more than %d classes", SCHED_CLASSES_MAX - 1);
	*class_slot = slot;
	if (t->entry[slot].wanted == b->slots->n_attempts)
		return 0;
	t->entry[slot].wanted = b->slots->n_attempts;
	for (unsigned int i = 0; i < key.n; i++) {
		int r = want_meter(b, key.id[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static uint16_t meter_slot(const struct sched_slots *slots, uint64_t id)
{
	struct slot_key key = {.id = {id}, .n = 1};

	return table_find(&slots->meters, &key, key_hash(&key));
}

static void fill_class(const struct sched_slots *slots, uint16_t slot, struct sched_class *c)
{
	const struct slot_entry *e = &slots->classes.entry[slot];

	*c = (struct sched_class){.uid = e->uid, .slot = slot, .weight = 1};
	c->n_reservations = e->key.n_first;
	c->n_limits = e->key.n - e->key.n_first;
	for (unsigned int i = 0; i < c->n_reservations; i++)
		c->reservation[i] = meter_slot(slots, e->key.id[i]);
	for (unsigned int i = 0; i < c->n_limits; i++)
		c->limit[i] = meter_slot(slots, e->key.id[c->n_reservations + i]);
}

// After the tables are committed: copies what this attempt wanted.
static void fill(const struct build *b, struct sched_plan *plan)
{
	const struct sched_slots *slots = b->slots;

	for (uint16_t slot = 0; slot < SCHED_CLASSES_MAX; slot++) {
		if (slots->classes.entry[slot].uid != 0 && slots->classes.entry[slot].wanted == slots->n_attempts)
			fill_class(slots, slot, &plan->classes[plan->n_classes++]);
	}
	for (uint16_t slot = 0; slot < SCHED_METERS_MAX; slot++) {
		const struct slot_entry *e = &slots->meters.entry[slot];

		if (e->uid == 0 || e->wanted != slots->n_attempts)
			continue;
		plan->meters[plan->n_meters++] = (struct sched_meter){
			.id = e->key.id[0],
			.uid = e->uid,
			.rate_bps = meter_index_find(&b->index, e->key.id[0])->rate_bps,
			.slot = slot,
		};
	}
}

static uint32_t count_wanted(const struct slot_table *t, uint64_t attempt)
{
	uint32_t n = 0;

	for (uint16_t slot = 0; slot < t->n_slots; slot++)
		n += t->entry[slot].uid != 0 && t->entry[slot].wanted == attempt;
	return n;
}

static struct sched_plan *plan_alloc(uint32_t gen, uint32_t n_classes, uint32_t n_meters)
{
	struct sched_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return NULL;
	plan->gen = gen;
	plan->classes = calloc(n_classes + 1, sizeof(*plan->classes));
	plan->meters = calloc(n_meters + 1, sizeof(*plan->meters));
	if (plan->classes == NULL || plan->meters == NULL) {
		sched_plan_destroy(plan);
		return NULL;
	}
	return plan;
}

struct sched_plan *sched_plan_build(struct sched_slots *slots, uint32_t gen, const struct action *actions,
				    uint32_t n_actions, const struct sched_meter *meters, uint32_t n_meters,
				    uint32_t *class_slot, struct err *err)
{
	struct build b = {.slots = slots, .uid = slots->next_uid, .err = err};
	struct sched_plan *plan = NULL;
	int r = meter_index_init(&b.index, meters, n_meters);

	slots->n_attempts++;
	for (uint32_t i = 0; i < n_actions && r == 0; i++)
		r = want_class(&b, &actions[i], &class_slot[i]);
	if (r == 0)
		plan = plan_alloc(gen, count_wanted(&slots->classes, slots->n_attempts),
				  count_wanted(&slots->meters, slots->n_attempts));
	if (r == -ENOMEM || (r == 0 && plan == NULL))
		err_set(err, ENOMEM, "scheduler plan %u: out of memory", gen);
	if (plan == NULL) {
		table_rollback(&slots->classes);
		table_rollback(&slots->meters);
	} else {
		slots->next_uid = b.uid;
		slots->n_plans++;
		table_commit(&slots->classes, slots->n_attempts, slots->n_plans);
		table_commit(&slots->meters, slots->n_attempts, slots->n_plans);
		fill(&b, plan);
	}
	free(b.index.at);
	return plan;
}

void sched_plan_destroy(struct sched_plan *plan)
{
	if (plan == NULL)
		return;
	free(plan->classes);
	free(plan->meters);
	free(plan);
}
