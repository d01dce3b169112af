// SPDX-License-Identifier: Apache-2.0
#include "dp_follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "dp_log.h"

// A share or meter that may not be as the table has it: looked at when no worker meets rows of snapshot last_gen.
struct leaving {
	enum table_change_kind kind; // TABLE_NODE or TABLE_METER
	uint64_t id;
	uint32_t last_gen;
	STAILQ_ENTRY(leaving) link;
};

struct dp_follow {
	const struct table *table;
	struct sched_slots *slots;
	struct names *names;
	STAILQ_HEAD(, leaving) leaving;
	uint32_t n_leaving;
};

struct dp_follow *dp_follow_create(const struct table *table, struct sched_log *log, struct err *err)
{
	struct dp_follow *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		err_set(err, ENOMEM, "no memory for the policy");
		return NULL;
	}
	STAILQ_INIT(&f->leaving);
	f->table = table;
	f->slots = sched_slots_create(log, err);
	if (f->slots != NULL &&
	    sched_slots_node_set(f->slots, SCHED_BACKGROUND_SHARE, 0, SCHED_WEIGHT_BACKGROUND, err) >= 0)
		f->names = names_create(err);
	if (f->names == NULL) {
		dp_follow_destroy(f);
		f = NULL;
	}
	return f;
}

void dp_follow_destroy(struct dp_follow *f)
{
	struct leaving *l;

	if (f == NULL)
		return;
	while ((l = STAILQ_FIRST(&f->leaving)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->leaving, link);
		free(l);
	}
	names_destroy(f->names);
	sched_slots_destroy(f->slots);
	free(f);
}

struct names *dp_follow_names(const struct dp_follow *f)
{
	return f->names;
}

const struct sched_slots *dp_follow_slots(const struct dp_follow *f)
{
	return f->slots;
}

static void look_later(struct dp_follow *f, enum table_change_kind kind, uint64_t id, uint32_t last_gen)
{
	struct leaving *l = calloc(1, sizeof(*l));

	if (l == NULL) { // it keeps its slot: a waste, no harm
		dp_warning("no memory to take back the slot of %s %" PRIu64, kind == TABLE_NODE ? "share" : "request",
			   id);
		return;
	}
	*l = (struct leaving){.kind = kind, .id = id, .last_gen = last_gen};
	STAILQ_INSERT_TAIL(&f->leaving, l, link);
	f->n_leaving++;
}

// --- what comes

static int set_meter(struct dp_follow *f, const struct proto_meter *meter, struct err *err)
{
	int64_t slot =
		sched_slots_meter_set(f->slots, meter->id, meter->kind == PROTO_METER_LIMIT, meter->rate_bps, err);

	return slot < 0 ? (int)slot : 0;
}

// Parents first.
static int set_node(struct dp_follow *f, const struct proto_node *node, struct err *err)
{
	const struct proto_node *parent = table_node(f->table, node->parent);
	int64_t slot = parent == NULL ? 0 : set_node(f, parent, err);

	if (slot >= 0)
		slot = names_node_set(f->names, node->number, node->parent, err);
	if (slot >= 0 && node->weight > 0)
		slot = sched_slots_node_set(f->slots, node->number, node->parent, node->weight, err);
	return slot < 0 ? (int)slot : 0;
}

struct commit {
	struct dp_follow *f;
	uint32_t gen;
	int64_t now_ns;
	struct err *err;
	uint32_t n_done, n; // of changes: how many were followed; undoing: seen
	int ret;
};

static int follow_node(struct commit *c, uint32_t number)
{
	const struct proto_node *node = table_node(c->f->table, number);

	if (node == NULL || node->weight == 0)
		look_later(c->f, TABLE_NODE, number, c->gen);
	return node == NULL ? 0 : set_node(c->f, node, c->err);
}

static int follow_meter(struct commit *c, uint64_t id)
{
	const struct proto_meter *meter = table_meter(c->f->table, id);

	if (meter == NULL)
		look_later(c->f, TABLE_METER, id, c->gen);
	return meter == NULL ? 0 : set_meter(c->f, meter, c->err);
}

static void follow_change(void *ctx, const struct table_change *change)
{
	struct commit *c = ctx;
	int64_t ret = 0;

	if (c->ret < 0)
		return;
	if (change->kind == TABLE_NODE)
		ret = follow_node(c, (uint32_t)change->key);
	else if (change->kind == TABLE_METER)
		ret = follow_meter(c, change->key);
	else if (part_hides(change->row->part))
		ret = 0;
	else if (change->kind == TABLE_ROW_ADDED)
		ret = names_counter_take(c->f->names, change->row->id, c->err);
	else
		names_counter_drop(c->f->names, change->row->id, c->gen, c->now_ns);
	c->ret = ret < 0 ? (int)ret : 0;
	c->n_done += ret >= 0;
}

static void undo_change(void *ctx, const struct table_change *change)
{
	struct commit *c = ctx;

	if (c->n++ >= c->n_done)
		return;
	if (change->kind == TABLE_NODE || change->kind == TABLE_METER)
		look_later(c->f, change->kind, change->key, c->gen);
	else if (part_hides(change->row->part))
		return;
	else if (change->kind == TABLE_ROW_ADDED)
		names_counter_drop(c->f->names, change->row->id, c->gen, c->now_ns);
	else
		names_counter_take(c->f->names, change->row->id, c->err); // it rests: it is there
}

int dp_follow_commit(struct dp_follow *f, uint32_t gen, int64_t now_ns, struct err *err)
{
	struct commit c = {.f = f, .gen = gen, .now_ns = now_ns, .err = err};

	table_each_change(f->table, follow_change, &c);
	if (c.ret < 0) {
		struct err ignored;

		c.err = &ignored;
		table_each_change(f->table, undo_change, &c);
	}
	return c.ret;
}

void dp_follow_undo(struct dp_follow *f, uint32_t gen, int64_t now_ns)
{
	struct err ignored;
	struct commit c = {.f = f, .gen = gen, .now_ns = now_ns, .err = &ignored, .n_done = UINT32_MAX};

	table_each_change(f->table, undo_change, &c);
}

void dp_follow_expired(struct dp_follow *f, const struct part_row *row, uint32_t gen, int64_t now_ns)
{
	if (!part_hides(row->part))
		names_counter_drop(f->names, row->id, gen, now_ns);
}

// --- what goes

enum look {
	LOOK_DONE,
	LOOK_WAIT,  // not yet
	LOOK_AGAIN, // after others
};

static enum look look_at_node(struct dp_follow *f, const struct leaving *l, bool unseen)
{
	const struct proto_node *node = table_node(f->table, (uint32_t)l->id);
	struct err err;
	int64_t ret = 0;

	if (node != NULL && node->weight > 0)
		return set_node(f, node, &err) == -EAGAIN ? LOOK_WAIT : LOOK_DONE;
	if (!unseen)
		return LOOK_WAIT;
	if (sched_slots_node(f->slots, l->id) != SCHED_NO_SLOT)
		ret = sched_slots_node_del(f->slots, l->id, &err);
	if (ret == -EBUSY)
		return LOOK_AGAIN;
	if (ret < 0)
		return LOOK_WAIT;
	if (node == NULL)
		names_node_del(f->names, (uint32_t)l->id, l->last_gen);
	return LOOK_DONE;
}

static enum look look_at_meter(struct dp_follow *f, const struct leaving *l, bool unseen)
{
	const struct proto_meter *meter = table_meter(f->table, l->id);
	struct err err;

	if (meter != NULL)
		return set_meter(f, meter, &err) == -EAGAIN ? LOOK_WAIT : LOOK_DONE;
	if (!unseen)
		return LOOK_WAIT;
	if (sched_slots_meter(f->slots, l->id) == SCHED_NO_SLOT)
		return LOOK_DONE;
	return sched_slots_meter_del(f->slots, l->id, &err) < 0 ? LOOK_WAIT : LOOK_DONE;
}

void dp_follow_turn(struct dp_follow *f, uint32_t oldest_gen, int64_t now_ns)
{
	for (uint32_t n = f->n_leaving; n > 0; n--) {
		struct leaving *l = STAILQ_FIRST(&f->leaving);
		bool unseen = l->last_gen < oldest_gen;
		enum look look = l->kind == TABLE_NODE ? look_at_node(f, l, unseen) : look_at_meter(f, l, unseen);

		if (look == LOOK_WAIT)
			break;
		STAILQ_REMOVE_HEAD(&f->leaving, link);
		if (look == LOOK_AGAIN) {
			STAILQ_INSERT_TAIL(&f->leaving, l, link);
			continue;
		}
		f->n_leaving--;
		free(l);
	}
	names_reap(f->names, oldest_gen, now_ns);
}
