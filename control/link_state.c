// SPDX-License-Identifier: Apache-2.0
#include "link_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A row over for less than this is deleted all the same: the dataplane's clock may lag, and its meter may go now.
#define GRACE_NS 2000000000LL

struct link_item {
	STAILQ_ENTRY(link_item) next; // of the changed ones, if changed
	struct id_map *map;           // that it is in
	uint64_t id;
	bool wanted, there, changed;
	int64_t end_ns; // of a row that is there; INT64_MAX: for ever, or not known
	uint32_t parts; // of a meter: its rate is divided by so many; 0: it is not
	union {
		struct proto_have_row row;
		struct proto_node node;
		struct proto_meter meter;
	} have;
	union {
		struct part_row row;
		struct proto_node node;
		struct proto_meter meter;
	} want;
};

void link_state_init(struct link_state *s)
{
	*s = (struct link_state){0};
	STAILQ_INIT(&s->changed);
}

static void fini_map(struct id_map *map)
{
	struct link_item *item;
	uint32_t at = 0;

	while ((item = id_map_next(map, &at)) != NULL)
		free(item);
	id_map_fini(map);
}

void link_state_fini(struct link_state *s)
{
	fini_map(&s->rows);
	fini_map(&s->nodes);
	fini_map(&s->meters);
	link_state_init(s);
}

// The item of id, made if need be; NULL: out of memory.
static struct link_item *item_of(struct id_map *map, uint64_t id)
{
	struct link_item *item = id_map_find(map, id);

	if (item != NULL)
		return item;
	item = calloc(1, sizeof(*item));
	if (item == NULL || id_map_put(map, id, item) < 0) {
		free(item);
		return NULL;
	}
	item->map = map;
	item->id = id;
	return item;
}

static void mark(struct link_state *s, struct link_item *item)
{
	if (!item->changed)
		STAILQ_INSERT_TAIL(&s->changed, item, next);
	item->changed = true;
}

// --- what is wanted

int link_state_want_row(struct link_state *s, const struct part_row *row)
{
	struct link_item *item = item_of(&s->rows, part_row_key(row));

	if (item == NULL)
		return -ENOMEM;
	item->want.row = *row;
	item->wanted = true;
	mark(s, item);
	return 0;
}

int link_state_want_node(struct link_state *s, const struct proto_node *node)
{
	struct link_item *item = item_of(&s->nodes, node->number);

	if (item == NULL)
		return -ENOMEM;
	item->want.node = *node;
	item->wanted = true;
	mark(s, item);
	return 0;
}

int link_state_want_meter(struct link_state *s, const struct proto_meter *meter)
{
	struct link_item *item = item_of(&s->meters, meter->id);

	if (item == NULL)
		return -ENOMEM;
	item->want.meter = *meter;
	item->wanted = true;
	mark(s, item);
	return 0;
}

bool link_state_part_meter(struct link_state *s, uint64_t id, uint32_t parts)
{
	struct link_item *item = id_map_find(&s->meters, id);

	parts = parts == 1 ? 0 : parts;
	if (item == NULL || !item->wanted || item->parts == parts)
		return false;
	item->parts = parts;
	mark(s, item);
	return true;
}

static void drop(struct link_state *s, struct link_item *item)
{
	if (item == NULL || !item->wanted)
		return;
	item->wanted = false;
	mark(s, item);
}

void link_state_drop_row(struct link_state *s, uint64_t key)
{
	drop(s, id_map_find(&s->rows, key));
}

void link_state_drop_node(struct link_state *s, uint32_t number)
{
	drop(s, id_map_find(&s->nodes, number));
}

void link_state_drop_meter(struct link_state *s, uint64_t id)
{
	drop(s, id_map_find(&s->meters, id));
}

void link_state_drop_all(struct link_state *s)
{
	struct id_map *maps[] = {&s->rows, &s->nodes, &s->meters};
	struct link_item *item;

	for (int i = 0; i < 3; i++) {
		for (uint32_t at = 0; (item = id_map_next(maps[i], &at)) != NULL;)
			drop(s, item);
	}
}

// --- what is there

void link_state_forget(struct link_state *s)
{
	struct id_map *maps[] = {&s->rows, &s->nodes, &s->meters};
	struct link_item *item;

	for (int i = 0; i < 3; i++) {
		for (uint32_t at = 0; (item = id_map_next(maps[i], &at)) != NULL;) {
			item->there = false;
			mark(s, item);
		}
	}
	s->n_rows_there = 0;
	s->n_meters_there = 0;
}

int link_state_have_row(struct link_state *s, const struct proto_have_row *row)
{
	struct link_item *item = item_of(&s->rows, row->key);

	if (item == NULL)
		return -ENOMEM;
	item->have.row = *row;
	item->end_ns = INT64_MAX;
	item->there = true;
	s->n_rows_there++;
	mark(s, item);
	return 0;
}

int link_state_have_node(struct link_state *s, const struct proto_node *node)
{
	struct link_item *item = item_of(&s->nodes, node->number);

	if (item == NULL)
		return -ENOMEM;
	item->have.node = *node;
	item->there = true;
	mark(s, item);
	return 0;
}

int link_state_have_meter(struct link_state *s, const struct proto_meter *meter)
{
	struct link_item *item = item_of(&s->meters, meter->id);

	if (item == NULL)
		return -ENOMEM;
	item->have.meter = *meter;
	item->there = true;
	s->n_meters_there++;
	mark(s, item);
	return 0;
}

bool link_state_categories(const struct link_state *s, uint64_t key, uint8_t *access_category, uint8_t *meter_category)
{
	const struct link_item *item = id_map_find(&s->rows, key);

	if (item == NULL || !item->there)
		return false;
	*access_category = item->have.row.access_category;
	*meter_category = item->have.row.meter_category;
	return true;
}

// --- the difference

struct sender {
	void (*send)(void *ctx, const struct proto_msg *msg);
	void *ctx;
	int64_t now_ns;
};

static void send_row(const struct sender *to, struct link_item *item, enum proto_type type, uint64_t *n)
{
	struct proto_msg msg;

	msg.type = type;
	if (type == PROTO_ROW_ADD)
		msg.row = item->want.row;
	else
		msg.row_key = item->id;
	to->send(to->ctx, &msg);
	(*n)++;
}

static void diff_row_gone(struct link_item *item, const struct sender *to, struct link_diff_stats *stats)
{
	bool same = item->wanted && item->have.row.access_category == item->want.row.access_category &&
		    item->have.row.meter_category == item->want.row.meter_category;

	if (!item->there || same)
		return;
	item->there = false;
	if (item->end_ns == INT64_MAX || item->end_ns > to->now_ns - GRACE_NS)
		send_row(to, item, PROTO_ROW_DEL, &stats->rows_deleted);
}

static void diff_row_new(struct link_item *item, const struct sender *to, struct link_diff_stats *stats)
{
	if (!item->wanted)
		return;
	item->end_ns = box_end_ns(&item->want.row.box);
	if (item->there || item->end_ns <= to->now_ns)
		return;
	send_row(to, item, PROTO_ROW_ADD, &stats->rows_added);
	item->there = true;
	item->have.row =
		(struct proto_have_row){item->id, item->want.row.access_category, item->want.row.meter_category};
}

static bool node_equal(const struct proto_node *a, const struct proto_node *b)
{
	return a->parent == b->parent && a->depth == b->depth && a->weight == b->weight;
}

// Never 0, which is no rate.
static struct proto_meter divided(const struct link_item *item)
{
	struct proto_meter meter = item->want.meter;

	if (item->parts > 0)
		meter.rate_bps = meter.rate_bps / item->parts == 0 ? 1 : meter.rate_bps / item->parts;
	return meter;
}

static void diff_set(struct link_state *s, struct link_item *item, const struct sender *to,
		     struct link_diff_stats *stats)
{
	struct proto_msg msg;

	if (!item->wanted)
		return;
	if (item->map == &s->nodes) {
		if (item->there && node_equal(&item->want.node, &item->have.node))
			return;
		msg.type = PROTO_NODE_SET;
		msg.node = item->have.node = item->want.node;
		stats->nodes_set++;
	} else {
		msg.type = PROTO_METER_SET;
		msg.meter = divided(item);
		if (item->there && msg.meter.rate_bps == item->have.meter.rate_bps &&
		    msg.meter.kind == item->have.meter.kind)
			return;
		item->have.meter = msg.meter;
		stats->meters_set++;
	}
	item->there = true;
	to->send(to->ctx, &msg);
}

static void diff_unset(struct link_state *s, struct link_item *item, const struct sender *to,
		       struct link_diff_stats *stats)
{
	struct proto_msg msg;

	if (item->wanted || !item->there)
		return;
	if (item->map == &s->nodes) {
		msg.type = PROTO_NODE_DEL;
		msg.node = (struct proto_node){.number = (uint32_t)item->id};
		stats->nodes_deleted++;
	} else {
		msg.type = PROTO_METER_DEL;
		msg.meter = (struct proto_meter){.id = item->id};
		stats->meters_deleted++;
	}
	item->there = false;
	to->send(to->ctx, &msg);
}

// Nodes and meters come before the rows that name them and go after them; a row that gets other categories goes before
// it comes.
void link_state_diff(struct link_state *s, int64_t now_ns, void (*send)(void *ctx, const struct proto_msg *msg),
		     void *ctx, struct link_diff_stats *stats)
{
	struct sender to = {send, ctx, now_ns};
	struct link_item *item;

	STAILQ_FOREACH (item, &s->changed, next) {
		if (item->map == &s->rows)
			diff_row_gone(item, &to, stats);
		else
			diff_set(s, item, &to, stats);
	}
	STAILQ_FOREACH (item, &s->changed, next) {
		if (item->map == &s->rows)
			diff_row_new(item, &to, stats);
	}
	STAILQ_FOREACH (item, &s->changed, next) {
		if (item->map != &s->rows)
			diff_unset(s, item, &to, stats);
	}
	while ((item = STAILQ_FIRST(&s->changed)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->changed, next);
		item->changed = false;
		if (!item->wanted && !item->there) {
			id_map_take(item->map, item->id);
			free(item);
		}
	}
}
