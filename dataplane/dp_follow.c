// SPDX-License-Identifier: Apache-2.0
#include "dp_follow.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "dp_log.h"
#include "hft/id_map.h"

// A share or meter that may not be as the table has it: looked at when no worker meets rows of snapshot last_gen.
struct leaving {
	uint64_t id;
	uint32_t last_gen;
	STAILQ_ENTRY(leaving) link;
};

struct leaving_list {
	STAILQ_HEAD(, leaving) head;
	uint32_t n;
};

struct bound { // a reservation or limit with a slot
	uint32_t n_rows, last_gen;
	bool leaves; // is on the list
};

struct dp_follow {
	const struct table *table;
	struct sched_slots *slots;
	struct names *names;
	struct id_map bound; // of struct bound, by request
	struct leaving_list nodes, meters;
};

struct dp_follow *dp_follow_create(const struct table *table, struct sched_log *log, struct err *err)
{
	struct dp_follow *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		err_set(err, ENOMEM, "no memory for the policy");
		return NULL;
	}
	STAILQ_INIT(&f->nodes.head);
	STAILQ_INIT(&f->meters.head);
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

static void forget_leaving(struct leaving_list *list)
{
	struct leaving *l;

	while ((l = STAILQ_FIRST(&list->head)) != NULL) {
		STAILQ_REMOVE_HEAD(&list->head, link);
		free(l);
	}
}

void dp_follow_destroy(struct dp_follow *f)
{
	struct bound *bound;

	if (f == NULL)
		return;
	forget_leaving(&f->nodes);
	forget_leaving(&f->meters);
	for (uint32_t at = 0; (bound = id_map_next(&f->bound, &at)) != NULL;)
		free(bound);
	id_map_fini(&f->bound);
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

static bool look_later(struct leaving_list *list, uint64_t id, uint32_t last_gen)
{
	struct leaving *l = calloc(1, sizeof(*l));

	if (l == NULL) { // it keeps its slot: a waste, no harm
		dp_warning("no memory to take back the slot of share or request %" PRIu64, id);
		return false;
	}
	*l = (struct leaving){.id = id, .last_gen = last_gen};
	STAILQ_INSERT_TAIL(&list->head, l, link);
	list->n++;
	return true;
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
		look_later(&c->f->nodes, number, c->gen);
	return node == NULL ? 0 : set_node(c->f, node, c->err);
}

// One that is new or gone is the business of the rows that name it.
static int follow_meter(struct commit *c, uint64_t id)
{
	const struct proto_meter *meter = table_meter(c->f->table, id);

	return meter == NULL || id_map_find(&c->f->bound, id) == NULL ? 0 : set_meter(c->f, meter, c->err);
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
	if (change->kind == TABLE_NODE)
		look_later(&c->f->nodes, change->key, c->gen);
	else if (change->kind == TABLE_METER)
		look_later(&c->f->meters, change->key, c->gen);
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

static enum look look_at_node(struct dp_follow *f, const struct leaving *l, uint32_t oldest_gen)
{
	const struct proto_node *node = table_node(f->table, (uint32_t)l->id);
	struct err err;
	int64_t ret = 0;

	if (node != NULL && node->weight > 0)
		return set_node(f, node, &err) == -EAGAIN ? LOOK_WAIT : LOOK_DONE;
	if (l->last_gen >= oldest_gen)
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

static enum look look_at_meter(struct dp_follow *f, const struct leaving *l, uint32_t oldest_gen)
{
	struct bound *bound = id_map_find(&f->bound, l->id);
	const struct proto_meter *meter = table_meter(f->table, l->id);
	struct err err;

	if (bound == NULL)
		return LOOK_DONE;
	if (bound->n_rows > 0) { // as the table has it, also after a commit that was undone
		bound->leaves = false;
		return meter != NULL && set_meter(f, meter, &err) == -EAGAIN ? LOOK_WAIT : LOOK_DONE;
	}
	if (bound->last_gen >= oldest_gen)
		return l->last_gen >= oldest_gen ? LOOK_WAIT : LOOK_AGAIN;
	if (sched_slots_meter_del(f->slots, l->id, &err) == -EAGAIN)
		return LOOK_WAIT;
	free(id_map_take(&f->bound, l->id));
	return LOOK_DONE;
}

int dp_follow_meter_take(struct dp_follow *f, uint64_t id, struct err *err)
{
	const struct proto_meter *meter = table_meter(f->table, id);
	struct bound *bound = id_map_find(&f->bound, id);
	int rc;

	if (meter == NULL)
		return err_set(err, ENOENT, "request %" PRIu64 " has no meter", id);
	rc = set_meter(f, meter, err);
	if (rc < 0)
		return rc;
	if (bound == NULL) {
		bound = calloc(1, sizeof(*bound));
		if (bound == NULL || id_map_put(&f->bound, id, bound) < 0) {
			struct err ignored;

			sched_slots_meter_del(f->slots, id, &ignored);
			free(bound);
			return err_set(err, ENOMEM, "no memory for a reservation or limit");
		}
	}
	bound->n_rows++;
	return 0;
}

void dp_follow_meter_give(struct dp_follow *f, uint64_t id, uint32_t last_gen)
{
	struct bound *bound = id_map_find(&f->bound, id);

	assert(bound != NULL && bound->n_rows > 0);
	bound->last_gen = last_gen;
	if (--bound->n_rows == 0 && !bound->leaves)
		bound->leaves = look_later(&f->meters, id, last_gen);
}

static void turn_list(struct dp_follow *f, struct leaving_list *list, uint32_t oldest_gen,
		      enum look (*look_at)(struct dp_follow *f, const struct leaving *l, uint32_t oldest_gen))
{
	for (uint32_t n = list->n; n > 0; n--) {
		struct leaving *l = STAILQ_FIRST(&list->head);
		enum look look = look_at(f, l, oldest_gen);

		if (look == LOOK_WAIT)
			break;
		STAILQ_REMOVE_HEAD(&list->head, link);
		if (look == LOOK_AGAIN) {
			STAILQ_INSERT_TAIL(&list->head, l, link);
			continue;
		}
		list->n--;
		free(l);
	}
}

void dp_follow_turn(struct dp_follow *f, uint32_t oldest_gen, int64_t now_ns, bool settled)
{
	turn_list(f, &f->meters, oldest_gen, look_at_meter);
	if (!settled)
		return;
	turn_list(f, &f->nodes, oldest_gen, look_at_node);
	names_reap(f->names, oldest_gen, now_ns);
}
