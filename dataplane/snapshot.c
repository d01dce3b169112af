// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

// Working arrays of one build, one entry a row.
struct scratch {
	struct action *actions;
	uint32_t *class_slot;
	struct cls_verdict *verdict;
};

static int fill(struct snapshot *s, const struct snapshot_input *in, struct sched_slots *slots, struct scratch *tmp,
		struct err *err)
{
	for (uint32_t i = 0; i < in->n_rows; i++)
		tmp->actions[i] = in->rows[i]->action;
	s->plan = sched_plan_build(slots, in->gen, tmp->actions, in->n_rows, in->meters, in->n_meters, tmp->class_slot,
				   err);
	if (s->plan == NULL)
		return -1;
	for (uint32_t i = 0; i < in->n_rows; i++)
		tmp->verdict[i] = (struct cls_verdict){
			.class_slot = tmp->class_slot[i],
			.drop = tmp->actions[i].access == ACCESS_DENY,
			.has_row = 1,
		};
	s->cls = cls_build(in->rows, tmp->verdict, in->n_rows, in->gen, in->simd_max_bits, err);
	return s->cls == NULL ? -1 : 0;
}

struct snapshot *snapshot_build(const struct snapshot_input *in, struct sched_slots *slots, struct err *err)
{
	size_t n = (size_t)in->n_rows + 1;
	struct snapshot *s = calloc(1, sizeof(*s));
	struct scratch tmp = {
		.actions = calloc(n, sizeof(*tmp.actions)),
		.class_slot = calloc(n, sizeof(*tmp.class_slot)),
		.verdict = calloc(n, sizeof(*tmp.verdict)),
	};
	int ret = -1;

	if (s == NULL || tmp.actions == NULL || tmp.class_slot == NULL || tmp.verdict == NULL)
		err_set(err, ENOMEM, "no memory for a snapshot of %u rows", in->n_rows);
	else {
		s->gen = in->gen;
		ret = fill(s, in, slots, &tmp, err);
	}
	if (ret < 0) {
		snapshot_destroy(s);
		s = NULL;
	}
	free(tmp.actions);
	free(tmp.class_slot);
	free(tmp.verdict);
	return s;
}

void snapshot_destroy(struct snapshot *s)
{
	if (s == NULL)
		return;
	cls_destroy(s->cls);
	sched_plan_destroy(s->plan);
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

void snapshot_slot_fini(struct snapshot_slot *slot)
{
	struct snapshot *s;

	while ((s = STAILQ_FIRST(&slot->retired)) != NULL) {
		STAILQ_REMOVE_HEAD(&slot->retired, link);
		snapshot_destroy(s);
	}
	snapshot_destroy(atomic_exchange_explicit(&slot->live, NULL, memory_order_acq_rel));
}
