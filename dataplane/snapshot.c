// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

// One build: what the rows mean, and the sets found so far by hash.
struct build {
	struct cls_verdict *verdict; // one a row
	struct sched_set *sets;
	uint32_t *bucket; // of sets: index + 1, 0: empty
	uint32_t n_sets, mask;
};

static int name_meters(const struct sched_slots *slots, const struct idset *ids, uint32_t *slot, struct err *err)
{
	if (ids->overflow || ids->n > ACTION_SET_MAX)
		return err_set(err, E2BIG, "more than %d reservations or limits on one packet", ACTION_SET_MAX);
	for (unsigned int i = 0; i < ids->n; i++) {
		slot[i] = sched_slots_meter(slots, ids->id[i]);
		if (slot[i] == SCHED_NO_SLOT)
			return err_set(err, ENOENT, "a row names request %" PRIu64 ", which has no meter", ids->id[i]);
	}
	return ids->n;
}

static uint32_t find_set(struct build *b, const struct sched_set *set)
{
	uint32_t at = set->hash & b->mask;

	while (b->bucket[at] != 0 && !sched_set_equal(&b->sets[b->bucket[at] - 1], set))
		at = (at + 1) & b->mask;
	if (b->bucket[at] == 0) {
		b->sets[b->n_sets++] = *set;
		b->bucket[at] = b->n_sets;
	}
	return b->bucket[at] - 1;
}

static int add_row(struct build *b, const struct sched_slots *slots, const struct action *a,
		   struct cls_verdict *verdict, struct err *err)
{
	struct sched_set set = {.node = SCHED_NODE_ROOT};
	int n_reservations = name_meters(slots, &a->reservations, set.reservation, err), n_limits;

	if (n_reservations < 0)
		return n_reservations;
	n_limits = name_meters(slots, &a->limits, set.limit, err);
	if (n_limits < 0)
		return n_limits;
	set.n_reservations = (uint8_t)n_reservations;
	set.n_limits = (uint8_t)n_limits;
	sched_set_seal(&set);
	*verdict =
		(struct cls_verdict){.class_slot = find_set(b, &set), .drop = a->access == ACCESS_DENY, .has_row = 1};
	return 0;
}

static int fill(struct snapshot *s, const struct snapshot_input *in, const struct sched_slots *slots, struct build *b,
		struct err *err)
{
	struct sched_set none = {.node = SCHED_NODE_ROOT};
	int ret = 0;

	sched_set_seal(&none);
	find_set(b, &none); // SNAPSHOT_BEST_EFFORT
	for (uint32_t i = 0; i < in->n_rows && ret == 0; i++)
		ret = add_row(b, slots, &in->rows[i]->action, &b->verdict[i], err);
	s->n_sets = b->n_sets;
	if (ret < 0)
		return ret;
	s->cls = cls_build(in->rows, b->verdict, in->n_rows, in->gen, in->simd_max_bits, err);
	return s->cls == NULL ? -1 : 0;
}

struct snapshot *snapshot_build(const struct snapshot_input *in, const struct sched_slots *slots, struct err *err)
{
	size_t n = (size_t)in->n_rows + 1, n_buckets = 2;
	struct snapshot *s = calloc(1, sizeof(*s));
	struct build b = {0};
	int ret = -1;

	while (n_buckets < 2 * n)
		n_buckets *= 2;
	b.mask = (uint32_t)n_buckets - 1;
	b.verdict = calloc(n, sizeof(*b.verdict));
	b.sets = calloc(n, sizeof(*b.sets));
	b.bucket = calloc(n_buckets, sizeof(*b.bucket));
	if (s == NULL || b.verdict == NULL || b.sets == NULL || b.bucket == NULL) {
		err_set(err, ENOMEM, "no memory for a snapshot of %u rows", in->n_rows);
		free(b.sets);
	} else {
		s->gen = in->gen;
		s->sets = b.sets;
		ret = fill(s, in, slots, &b, err);
	}
	if (ret < 0) {
		snapshot_destroy(s);
		s = NULL;
	}
	free(b.verdict);
	free(b.bucket);
	return s;
}

void snapshot_destroy(struct snapshot *s)
{
	if (s == NULL)
		return;
	cls_destroy(s->cls);
	free(s->sets);
	free(s);
}

void snapshot_publish(struct snapshot_slot *slot, struct snapshot *next)
{
	struct snapshot *old = atomic_load_explicit(&slot->live, memory_order_relaxed); // sole writer

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
		snapshot_destroy(s);
	}
	STAILQ_FOREACH (s, &slot->retired, link)
		n++;
	return n;
}

uint32_t snapshot_oldest_gen(const struct snapshot_slot *slot)
{
	const struct snapshot *s = STAILQ_FIRST(&slot->retired);

	if (s == NULL)
		s = atomic_load_explicit(&slot->live, memory_order_relaxed);
	return s == NULL ? 0 : s->gen;
}

void snapshot_slot_fini(struct snapshot_slot *slot)
{
	struct snapshot *s;

	while ((s = STAILQ_FIRST(&slot->retired)) != NULL) {
		STAILQ_REMOVE_HEAD(&slot->retired, link);
		snapshot_destroy(s);
	}
	snapshot_destroy(atomic_exchange_explicit(&slot->live, NULL, memory_order_acq_rel));
}
