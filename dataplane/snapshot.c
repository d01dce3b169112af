// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

void snapshot_slot_init(struct snapshot_slot *slot, struct rte_rcu_qsbr *rcu, uint32_t n_readers)
{
	assert(n_readers > 0 && n_readers <= SNAPSHOT_READERS_MAX);
	atomic_init(&slot->live, NULL);
	for (uint32_t i = 0; i < SNAPSHOT_READERS_MAX; i++)
		atomic_init(&slot->adopted_gen[i], 0);
	slot->n_readers = n_readers;
	slot->rcu = rcu;
	STAILQ_INIT(&slot->retired);
	STAILQ_INIT(&slot->spare);
}

static void free_all(struct snapshot_list *list)
{
	struct snapshot *s;

	while ((s = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		free(s);
	}
}

void snapshot_slot_fini(struct snapshot_slot *slot)
{
	free_all(&slot->retired);
	free_all(&slot->spare);
	free(atomic_exchange_explicit(&slot->live, NULL, memory_order_acq_rel));
}

int snapshot_reserve(struct snapshot_slot *slot)
{
	struct snapshot *s = STAILQ_FIRST(&slot->spare);

	if (s != NULL)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	STAILQ_INSERT_HEAD(&slot->spare, s, link);
	return 0;
}

void snapshot_publish(struct snapshot_slot *slot, uint32_t gen, const struct layers_view *view)
{
	struct snapshot *old = atomic_load_explicit(&slot->live, memory_order_relaxed); // sole writer
	struct snapshot *next = STAILQ_FIRST(&slot->spare);

	assert(next != NULL);
	STAILQ_REMOVE_HEAD(&slot->spare, link);
	next->gen = gen;
	next->view = *view;
	atomic_store_explicit(&slot->live, next, memory_order_release);
	if (old == NULL)
		return;
	old->retire_token = rte_rcu_qsbr_start(slot->rcu);
	STAILQ_INSERT_TAIL(&slot->retired, old, link);
}

unsigned int snapshot_reap(struct snapshot_slot *slot)
{
	struct snapshot *s;
	unsigned int n = 0;

	while ((s = STAILQ_FIRST(&slot->retired)) != NULL &&
	       rte_rcu_qsbr_check(slot->rcu, s->retire_token, false) == 1) {
		STAILQ_REMOVE_HEAD(&slot->retired, link);
		STAILQ_INSERT_HEAD(&slot->spare, s, link);
	}
	STAILQ_FOREACH (s, &slot->retired, link)
		n++;
	return n;
}

uint32_t snapshot_adopted_gen(const struct snapshot_slot *slot)
{
	uint32_t least = atomic_load_explicit(&slot->adopted_gen[0], memory_order_acquire);

	for (uint32_t i = 1; i < slot->n_readers; i++) {
		uint32_t gen = atomic_load_explicit(&slot->adopted_gen[i], memory_order_acquire);

		if (gen == 0 || (int32_t)(gen - least) < 0)
			least = gen;
		if (gen == 0)
			break;
	}
	return least;
}

uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot)
{
	const struct snapshot *s = STAILQ_FIRST(&slot->retired);

	if (s == NULL)
		s = atomic_load_explicit(&slot->live, memory_order_relaxed);
	return s == NULL ? 0 : s->gen;
}
