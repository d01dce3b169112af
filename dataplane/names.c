// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "hft/id_map.h"

#define REST_NS INT64_C(2000000000) // of a counter: workers hold back what they counted for some 100 ms at most

// Slots of one kind: those never used yet, and those given back.
struct pool {
	uint32_t *free; // a stack
	uint32_t n_free, next, max;
};

struct node_entry {
	uint32_t number, slot, last_gen;
	bool gone; // rests
	STAILQ_ENTRY(node_entry) link;
};

struct counter_entry {
	struct names_count count;
	uint32_t n_rows, last_gen;
	int64_t rest_ns; // until then
	bool resting;    // on the list
	STAILQ_ENTRY(counter_entry) link;
};

struct names {
	struct names_node *nodes;
	struct pool node_pool, counter_pool;
	struct base {
		uint64_t packets, bytes;
	} * base;                           // by counter slot: what it was seen at last
	struct counter_entry **counter_at;  // by counter slot
	struct id_map by_share, by_request; // of node_entry, counter_entry
	STAILQ_HEAD(, node_entry) nodes_resting;
	STAILQ_HEAD(, counter_entry) counters_resting;
};

static int pool_init(struct pool *pool, uint32_t first, uint32_t max)
{
	*pool = (struct pool){.free = calloc(max, sizeof(*pool->free)), .next = first, .max = max};
	return pool->free == NULL ? -ENOMEM : 0;
}

static uint32_t pool_take(struct pool *pool)
{
	if (pool->n_free > 0)
		return pool->free[--pool->n_free];
	return pool->next < pool->max ? pool->next++ : NAMES_NO_SLOT;
}

static void pool_give(struct pool *pool, uint32_t slot)
{
	pool->free[pool->n_free++] = slot;
}

struct names *names_create(struct err *err)
{
	struct names *n = calloc(1, sizeof(*n));

	if (n != NULL) {
		STAILQ_INIT(&n->nodes_resting);
		STAILQ_INIT(&n->counters_resting);
		n->nodes = calloc(NAMES_NODES_MAX, sizeof(*n->nodes));
	}
	if (n == NULL || n->nodes == NULL || pool_init(&n->node_pool, NAMES_ROOT + 1, NAMES_NODES_MAX) < 0 ||
	    pool_init(&n->counter_pool, 0, NAMES_COUNTERS_MAX) < 0 ||
	    (n->base = calloc(NAMES_COUNTERS_MAX, sizeof(*n->base))) == NULL ||
	    (n->counter_at = calloc(NAMES_COUNTERS_MAX, sizeof(*n->counter_at))) == NULL) {
		err_set(err, ENOMEM, "no memory for the names of shares and requests");
		names_destroy(n);
		return NULL;
	}
	return n;
}

void names_destroy(struct names *n)
{
	struct node_entry *node;
	void *entry;

	if (n == NULL)
		return;
	while ((node = STAILQ_FIRST(&n->nodes_resting)) != NULL) {
		STAILQ_REMOVE_HEAD(&n->nodes_resting, link);
		free(node);
	}
	for (uint32_t at = 0; (entry = id_map_next(&n->by_share, &at)) != NULL;)
		free(entry);
	for (uint32_t at = 0; (entry = id_map_next(&n->by_request, &at)) != NULL;)
		free(entry);
	id_map_fini(&n->by_share);
	id_map_fini(&n->by_request);
	free(n->node_pool.free);
	free(n->counter_pool.free);
	free(n->base);
	free(n->counter_at);
	free(n->nodes);
	free(n);
}

const struct names_node *names_nodes(const struct names *n)
{
	return n->nodes;
}

// --- nodes

uint32_t names_node(const struct names *n, uint32_t number)
{
	const struct node_entry *e = number == 0 ? NULL : id_map_find(&n->by_share, number);

	if (number == 0)
		return NAMES_ROOT;
	return e == NULL ? NAMES_NO_SLOT : e->slot;
}

int64_t names_node_set(struct names *n, uint32_t number, uint32_t parent, struct err *err)
{
	uint32_t above = names_node(n, parent), slot = names_node(n, number);
	struct node_entry *e;

	if (slot != NAMES_NO_SLOT)
		return slot;
	if (above == NAMES_NO_SLOT)
		return err_set(err, ENOENT, "share %u has no parent %u", number, parent);
	e = calloc(1, sizeof(*e));
	if (e == NULL || id_map_put(&n->by_share, number, e) < 0) {
		free(e);
		return err_set(err, ENOMEM, "no memory for a share");
	}
	slot = pool_take(&n->node_pool);
	if (slot == NAMES_NO_SLOT) {
		free(id_map_take(&n->by_share, number));
		return err_set(err, ENOSPC, "more than %u shares", NAMES_NODES_MAX);
	}
	e->number = number;
	e->slot = slot;
	n->nodes[slot] = (struct names_node){number, above, n->nodes[above].depth + 1};
	return slot;
}

void names_node_del(struct names *n, uint32_t number, uint32_t last_gen)
{
	struct node_entry *e = id_map_take(&n->by_share, number);

	if (e == NULL)
		return;
	e->last_gen = last_gen;
	STAILQ_INSERT_TAIL(&n->nodes_resting, e, link);
}

// --- counters

uint32_t names_counter(const struct names *n, uint64_t id)
{
	const struct counter_entry *e = id_map_find(&n->by_request, id);

	return e == NULL ? NAMES_NO_SLOT : e->count.slot;
}

int64_t names_counter_take(struct names *n, uint64_t id, struct err *err)
{
	struct counter_entry *e = id_map_find(&n->by_request, id);
	uint32_t slot;

	if (e != NULL) { // perhaps one that rests: it goes on
		e->n_rows++;
		return e->count.slot;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL || id_map_put(&n->by_request, id, e) < 0) {
		free(e);
		return err_set(err, ENOMEM, "no memory for a counter");
	}
	slot = pool_take(&n->counter_pool);
	if (slot == NAMES_NO_SLOT) {
		free(id_map_take(&n->by_request, id));
		return err_set(err, ENOSPC, "more than %u requests", NAMES_COUNTERS_MAX);
	}
	e->n_rows = 1;
	n->counter_at[slot] = e;
	e->count = (struct names_count){.id = id,
					.slot = slot,
					.base_packets = n->base[slot].packets,
					.base_bytes = n->base[slot].bytes,
					.seen_packets = n->base[slot].packets,
					.seen_bytes = n->base[slot].bytes};
	return slot;
}

void names_counter_drop(struct names *n, uint64_t id, uint32_t last_gen, int64_t now_ns)
{
	struct counter_entry *e = id_map_find(&n->by_request, id);

	if (e == NULL)
		return;
	assert(e->n_rows > 0);
	e->last_gen = last_gen;
	e->rest_ns = now_ns + REST_NS;
	if (--e->n_rows > 0 || e->resting)
		return;
	e->resting = true;
	STAILQ_INSERT_TAIL(&n->counters_resting, e, link);
}

void names_counter_dropped(struct names *n, uint64_t id, uint64_t packets, uint64_t bytes)
{
	struct counter_entry *e = id_map_find(&n->by_request, id);

	if (e == NULL)
		return;
	e->count.dropped_packets += packets;
	e->count.dropped_bytes += bytes;
	// what rests is not looked at again for sure
	e->count.seen_packets += e->resting ? packets : 0;
	e->count.seen_bytes += e->resting ? bytes : 0;
}

// --- rest

void names_reap(struct names *n, uint32_t oldest_gen, int64_t now_ns)
{
	struct counter_entry *c;
	struct node_entry *e;

	while ((e = STAILQ_FIRST(&n->nodes_resting)) != NULL && e->last_gen < oldest_gen) {
		STAILQ_REMOVE_HEAD(&n->nodes_resting, link);
		pool_give(&n->node_pool, e->slot);
		free(e);
	}
	while ((c = STAILQ_FIRST(&n->counters_resting)) != NULL &&
	       (c->n_rows > 0 || (c->last_gen < oldest_gen && c->rest_ns <= now_ns))) {
		STAILQ_REMOVE_HEAD(&n->counters_resting, link);
		c->resting = false;
		if (c->n_rows > 0)
			continue;
		n->base[c->count.slot] = (struct base){c->count.seen_packets - c->count.dropped_packets,
						       c->count.seen_bytes - c->count.dropped_bytes};
		n->counter_at[c->count.slot] = NULL;
		pool_give(&n->counter_pool, c->count.slot);
		free(id_map_take(&n->by_request, c->count.id));
	}
}

struct names_count *names_counter_at(struct names *n, uint32_t slot)
{
	struct counter_entry *e = n->counter_at[slot];

	return e == NULL ? NULL : &e->count;
}

uint32_t names_counters_end(const struct names *n)
{
	return n->counter_pool.next;
}
