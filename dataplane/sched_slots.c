// SPDX-License-Identifier: Apache-2.0
#include "sched_slots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "sched_set.h"

// Two tables of one kind: numbers in hash chains, free slots in a queue.
struct entry {
	uint64_t id;
	uint64_t rate_bps;                      // meter
	uint32_t parent_slot, weight, n_childs; // node
	uint32_t next;                          // in its chain, or among the free
	bool used, is_limit;
};

struct table {
	struct entry *entry;
	uint32_t *chain; // n_slots of them
	uint32_t n_slots, n_used;
	uint32_t free_first, free_last; // oldest first
};

struct sched_slots {
	struct sched_log *log;
	struct table meters, nodes;
};

static int table_init(struct table *t, uint32_t first, uint32_t n_slots)
{
	t->entry = calloc(n_slots, sizeof(*t->entry));
	t->chain = malloc(n_slots * sizeof(*t->chain));
	if (t->entry == NULL || t->chain == NULL)
		return -ENOMEM;
	memset(t->chain, 0xff, n_slots * sizeof(*t->chain));
	for (uint32_t i = first; i < n_slots; i++)
		t->entry[i].next = i + 1 < n_slots ? i + 1 : SCHED_NO_SLOT;
	t->n_slots = n_slots;
	t->free_first = first;
	t->free_last = n_slots - 1;
	return 0;
}

struct sched_slots *sched_slots_create(struct sched_log *log, struct err *err)
{
	struct sched_slots *s = calloc(1, sizeof(*s));

	if (s == NULL || table_init(&s->meters, 0, SCHED_METERS_MAX) < 0 ||
	    table_init(&s->nodes, SCHED_NODE_ROOT + 1, SCHED_NODES_MAX) < 0) {
		err_set(err, ENOMEM, "scheduler: no memory for the slots");
		sched_slots_destroy(s);
		return NULL;
	}
	s->log = log;
	return s;
}

void sched_slots_destroy(struct sched_slots *slots)
{
	if (slots == NULL)
		return;
	free(slots->meters.entry);
	free(slots->meters.chain);
	free(slots->nodes.entry);
	free(slots->nodes.chain);
	free(slots);
}

static uint32_t *chain_of(const struct table *t, uint64_t id)
{
	return &t->chain[(id * 0x9e3779b97f4a7c15u >> 32) % t->n_slots];
}

static uint32_t table_find(const struct table *t, uint64_t id)
{
	uint32_t slot = *chain_of(t, id);

	while (slot != SCHED_NO_SLOT && t->entry[slot].id != id)
		slot = t->entry[slot].next;
	return slot;
}

static void table_take(struct table *t, uint64_t id, const struct entry *value)
{
	uint32_t slot = t->free_first, *chain = chain_of(t, id);

	t->free_first = t->entry[slot].next;
	if (t->free_first == SCHED_NO_SLOT)
		t->free_last = SCHED_NO_SLOT;
	t->entry[slot] = *value;
	t->entry[slot].id = id;
	t->entry[slot].used = true;
	t->entry[slot].next = *chain;
	*chain = slot;
	t->n_used++;
}

static void table_give(struct table *t, uint32_t slot)
{
	uint32_t *at = chain_of(t, t->entry[slot].id);

	while (*at != slot)
		at = &t->entry[*at].next;
	*at = t->entry[slot].next;
	t->entry[slot] = (struct entry){.next = SCHED_NO_SLOT};
	if (t->free_last == SCHED_NO_SLOT)
		t->free_first = slot;
	else
		t->entry[t->free_last].next = slot;
	t->free_last = slot;
	t->n_used--;
}

static int append(struct sched_slots *s, const struct sched_change *change, struct err *err)
{
	if (sched_log_append(s->log, change) < 0)
		return err_set(err, EAGAIN, "scheduler: the workers have not taken %d changes yet", SCHED_LOG_CHANGES);
	return 0;
}

int64_t sched_slots_meter_set(struct sched_slots *slots, uint64_t id, bool is_limit, uint64_t rate_bps, struct err *err)
{
	struct table *t = &slots->meters;
	uint32_t slot = table_find(t, id);
	struct sched_change change = {.kind = SCHED_METER_SET, .id = id, .is_limit = is_limit, .rate_bps = rate_bps};
	int r;

	if (slot != SCHED_NO_SLOT && t->entry[slot].is_limit != is_limit)
		return err_set(err, EINVAL, "scheduler: request %" PRIu64 " is a %s already", id,
			       is_limit ? "reservation" : "limit");
	if (slot == SCHED_NO_SLOT && t->free_first == SCHED_NO_SLOT)
		return err_set(err, ENOSPC, "scheduler: more than %d reservations and limits", SCHED_METERS_MAX);
	if (slot != SCHED_NO_SLOT && t->entry[slot].rate_bps == rate_bps)
		return slot;
	change.slot = slot != SCHED_NO_SLOT ? slot : t->free_first;
	r = append(slots, &change, err);
	if (r < 0)
		return r;
	if (slot == SCHED_NO_SLOT)
		table_take(t, id, &(struct entry){.is_limit = is_limit});
	t->entry[change.slot].rate_bps = rate_bps;
	return change.slot;
}

int64_t sched_slots_meter_del(struct sched_slots *slots, uint64_t id, struct err *err)
{
	struct table *t = &slots->meters;
	uint32_t slot = table_find(t, id);
	struct sched_change change = {.kind = SCHED_METER_DEL, .id = id, .slot = slot};
	int r;

	if (slot == SCHED_NO_SLOT)
		return err_set(err, ENOENT, "scheduler: no meter of request %" PRIu64, id);
	change.is_limit = t->entry[slot].is_limit;
	r = append(slots, &change, err);
	if (r < 0)
		return r;
	table_give(t, slot);
	return slot;
}

uint32_t sched_slots_meter(const struct sched_slots *slots, uint64_t id)
{
	return table_find(&slots->meters, id);
}

uint32_t sched_slots_node(const struct sched_slots *slots, uint64_t share)
{
	return share == 0 ? SCHED_NODE_ROOT : table_find(&slots->nodes, share);
}

static bool is_below(const struct table *t, uint32_t slot, uint32_t top)
{
	while (slot != SCHED_NODE_ROOT && slot != top)
		slot = t->entry[slot].parent_slot;
	return slot == top;
}

static unsigned int depth_of(const struct table *t, uint32_t slot)
{
	unsigned int depth = 0;

	for (; slot != SCHED_NODE_ROOT; slot = t->entry[slot].parent_slot)
		depth++;
	return depth;
}

// Nodes one above another from this one down, itself included. Only a node that moves can have some below it.
static unsigned int height_of(const struct table *t, uint32_t slot)
{
	unsigned int most = 1;

	if (slot == SCHED_NO_SLOT || t->entry[slot].n_childs == 0)
		return 1;
	for (uint32_t i = SCHED_NODE_ROOT + 1; i < t->n_slots; i++) {
		if (t->entry[i].used && is_below(t, i, slot))
			most = RTE_MAX(most, depth_of(t, i) - depth_of(t, slot) + 1);
	}
	return most;
}

static int vet_node(const struct sched_slots *s, uint64_t share, uint32_t slot, uint64_t parent, uint32_t weight,
		    struct err *err)
{
	const struct table *t = &s->nodes;
	uint32_t parent_slot = sched_slots_node(s, parent);

	if (share == 0)
		return err_set(err, EINVAL, "scheduler: the root node is always there");
	if (weight > SCHED_WEIGHT_MAX || (weight == SCHED_WEIGHT_BACKGROUND && parent != 0))
		return err_set(err, EINVAL, "scheduler: share %" PRIu64 " has weight %u, not 1 to %d%s", share, weight,
			       SCHED_WEIGHT_MAX, weight == 0 ? ", and is not in the root, for background" : "");
	if (parent_slot == SCHED_NO_SLOT)
		return err_set(err, ENOENT, "scheduler: share %" PRIu64 " has no parent node %" PRIu64, share, parent);
	if (slot != SCHED_NO_SLOT && is_below(t, parent_slot, slot))
		return err_set(err, ELOOP, "scheduler: share %" PRIu64 " cannot be below itself", share);
	if (depth_of(t, parent_slot) + height_of(t, slot) > SCHED_NODE_DEPTH_MAX)
		return err_set(err, E2BIG, "scheduler: share %" PRIu64 " would be deeper than %d shares with weights",
			       share, SCHED_NODE_DEPTH_MAX);
	if (slot == SCHED_NO_SLOT && t->free_first == SCHED_NO_SLOT)
		return err_set(err, ENOSPC, "scheduler: more than %d shares with weights", SCHED_NODES_MAX - 1);
	return 0;
}

int64_t sched_slots_node_set(struct sched_slots *slots, uint64_t share, uint64_t parent, uint32_t weight,
			     struct err *err)
{
	struct table *t = &slots->nodes;
	uint32_t slot = share == 0 ? SCHED_NO_SLOT : table_find(t, share),
		 parent_slot = sched_slots_node(slots, parent);
	struct sched_change change = {
		.kind = SCHED_NODE_SET, .id = share, .parent_slot = parent_slot, .weight = weight};
	int r = vet_node(slots, share, slot, parent, weight, err);

	if (r < 0)
		return r;
	if (slot != SCHED_NO_SLOT && t->entry[slot].parent_slot == parent_slot && t->entry[slot].weight == weight)
		return slot;
	change.slot = slot != SCHED_NO_SLOT ? slot : t->free_first;
	r = append(slots, &change, err);
	if (r < 0)
		return r;
	if (slot == SCHED_NO_SLOT)
		table_take(t, share, &(struct entry){0});
	else
		t->entry[t->entry[slot].parent_slot].n_childs--;
	t->entry[parent_slot].n_childs++;
	t->entry[change.slot].parent_slot = parent_slot;
	t->entry[change.slot].weight = weight;
	return change.slot;
}

int64_t sched_slots_node_del(struct sched_slots *slots, uint64_t share, struct err *err)
{
	struct table *t = &slots->nodes;
	uint32_t slot = share == 0 ? SCHED_NO_SLOT : table_find(t, share);
	struct sched_change change = {.kind = SCHED_NODE_DEL, .id = share, .slot = slot};
	int r;

	if (slot == SCHED_NO_SLOT)
		return err_set(err, ENOENT, "scheduler: no node of share %" PRIu64, share);
	if (t->entry[slot].n_childs > 0)
		return err_set(err, EBUSY, "scheduler: share %" PRIu64 " has nodes below it", share);
	r = append(slots, &change, err);
	if (r < 0)
		return r;
	t->entry[t->entry[slot].parent_slot].n_childs--;
	table_give(t, slot);
	return slot;
}

// After the nodes above it.
static void see_node(const struct table *t, uint32_t slot, bool *seen,
		     void (*see)(void *ctx, const struct sched_change *change), void *ctx)
{
	const struct entry *e = &t->entry[slot];

	if (slot == SCHED_NODE_ROOT || seen[slot])
		return;
	see_node(t, e->parent_slot, seen, see, ctx);
	seen[slot] = true;
	see(ctx, &(struct sched_change){.kind = SCHED_NODE_SET,
					.id = e->id,
					.slot = slot,
					.parent_slot = e->parent_slot,
					.weight = e->weight});
}

void sched_slots_each(const struct sched_slots *slots, void (*see)(void *ctx, const struct sched_change *change),
		      void *ctx)
{
	bool seen[SCHED_NODES_MAX] = {false};

	for (uint32_t i = 0; i < slots->nodes.n_slots; i++) {
		if (slots->nodes.entry[i].used)
			see_node(&slots->nodes, i, seen, see, ctx);
	}
	for (uint32_t i = 0; i < slots->meters.n_slots; i++) {
		const struct entry *e = &slots->meters.entry[i];

		if (e->used)
			see(ctx, &(struct sched_change){.kind = SCHED_METER_SET,
							.id = e->id,
							.slot = i,
							.is_limit = e->is_limit,
							.rate_bps = e->rate_bps});
	}
}

uint32_t sched_slots_n_meters(const struct sched_slots *slots)
{
	return slots->meters.n_used;
}

uint32_t sched_slots_n_nodes(const struct sched_slots *slots)
{
	return slots->nodes.n_used;
}
