// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

static uint32_t meter_of(const struct snapshot_input *in, const struct part_row *row)
{
	switch (row->part) {
	case PART_RESERVE:
	case PART_LIMIT:
		return sched_slots_meter(in->slots, row->id);
	case PART_SHARE:
		return sched_slots_node(in->slots, row->node);
	default:
		return 0;
	}
}

static int fill_row(const struct snapshot_input *in, const struct part_row *row, struct cls_row *out, struct err *err)
{
	*out = (struct cls_row){
		.box = row->box,
		.rank = part_row_rank(row),
		.access_category = row->access_category,
		.meter_category = row->meter_category,
		.hides = row->part == PART_SHARE,
		.payload = {.id = row->id,
			    .key = part_row_key(row),
			    .node = names_node(in->names, row->node),
			    .meter = meter_of(in, row),
			    .counter = row->part == PART_SHARE ? NAMES_NO_SLOT : names_counter(in->names, row->id),
			    .part = row->part,
			    .access = row->access},
	};
	if (out->payload.meter == SCHED_NO_SLOT || out->payload.node == NAMES_NO_SLOT)
		return err_set(err, ENOENT, "a row of request %" PRIu64 " names a share or meter that is not there",
			       row->id);
	return 0;
}

struct snapshot *snapshot_build(const struct snapshot_input *in, struct err *err)
{
	struct cls_row *rows = calloc((size_t)in->n_rows + 1, sizeof(*rows));
	struct snapshot *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (rows == NULL || s == NULL)
		rc = err_set(err, ENOMEM, "no memory for a snapshot of %" PRIu32 " rows", in->n_rows);
	for (uint32_t i = 0; i < in->n_rows && rc == 0; i++)
		rc = fill_row(in, in->rows[i], &rows[i], err);
	if (rc == 0) {
		s->gen = in->gen;
		s->cls = cls_build(rows, in->n_rows, in->gen, in->simd_max_bits, err);
	}
	free(rows);
	if (rc < 0 || s->cls == NULL) {
		snapshot_destroy(s);
		s = NULL;
	}
	return s;
}

void snapshot_destroy(struct snapshot *s)
{
	if (s == NULL)
		return;
	cls_destroy(s->cls);
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
