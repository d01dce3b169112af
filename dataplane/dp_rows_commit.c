// SPDX-License-Identifier: Apache-2.0
// A commit: first what may fail and is easily taken back (rows into a batch, memory), last the classifier's commit,
// after which nothing fails.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dp_rows_priv.h"

#define SPARE_ROWS 256 // room that commits leave to rows that start at an instant

static int note_key(struct dp_rows *r, uint64_t key)
{
	if (r->n_changes == r->cap_changes) {
		uint32_t cap = r->cap_changes == 0 ? 64 : 2 * r->cap_changes;
		struct change *more = reallocarray(r->changes, cap, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->changes = more;
		r->cap_changes = cap;
	}
	r->changes[r->n_changes++] = (struct change){.key = key, .slot = CLS_NO_ROW};
	return 0;
}

struct noting {
	struct dp_rows *r;
	int rc;
};

static void note_change(void *ctx, const struct table_change *change)
{
	struct noting *n = ctx;

	if (n->rc == 0 && (change->kind == TABLE_ROW_ADDED || change->kind == TABLE_ROW_DELETED))
		n->rc = note_key(n->r, change->key);
}

static int compare_keys(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static bool is_in_force(const struct part_row *row, int64_t now_ns)
{
	return box_start_ns(&row->box) <= now_ns && now_ns < box_end_ns(&row->box);
}

// What becomes of the row of a key; false: nothing.
static bool look_at(struct dp_rows *r, struct change *c)
{
	const struct held *old = id_map_find(&r->held, c->key);

	c->row = table_row(r->conf.table, c->key);
	if (old == NULL)
		return c->row != NULL;
	c->stays = c->row != NULL && c->row->access_category == old->row->access_category &&
		   c->row->meter_category == old->row->meter_category;
	return c->row != old->row;
}

static int begin(struct dp_rows *r, struct err *err)
{
	struct noting noting = {.r = r};
	struct cls_row row;
	uint32_t n = 0;

	r->n_changes = 0;
	table_each_change(r->conf.table, note_change, &noting);
	r->batch = layers_batch_create(r->layers);
	if (noting.rc < 0 || r->batch == NULL)
		return err_set(err, ENOMEM, "no memory for a commit");
	if (r->n_changes > 1)
		qsort(r->changes, r->n_changes, sizeof(*r->changes), compare_keys);
	for (uint32_t i = 0; i < r->n_changes; i++) {
		struct change c = r->changes[i];

		if ((n > 0 && r->changes[n - 1].key == c.key) || !look_at(r, &c))
			continue;
		if (c.row != NULL && !c.stays && is_in_force(c.row, r->now_ns)) {
			if (dp_rows_fill(r, c.row, &row, err) < 0)
				return -err->code;
			c.slot = layers_batch_add(r->batch, &row, err);
			if (c.slot == CLS_NO_ROW) {
				dp_rows_give(r, c.row);
				return -err->code;
			}
		}
		r->changes[n++] = c;
	}
	r->n_changes = n;
	return 0;
}

// --- the end

static int hold(struct dp_rows *r, struct change *c)
{
	int64_t start_ns = box_start_ns(&c->row->box), end_ns = box_end_ns(&c->row->box);
	struct held *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	*h = (struct held){.key = c->key, .row = c->row, .slot = c->slot};
	c->next = h;
	// one that has started since the commit began is due
	if (c->slot == CLS_NO_ROW && calendar_add(&r->calendar, &h->start, start_ns, true) < 0)
		return -ENOMEM;
	if (end_ns != INT64_MAX && calendar_add(&r->calendar, &h->end, end_ns, false) < 0)
		return -ENOMEM;
	return id_map_find(&r->held, c->key) != NULL ? 0 : id_map_put(&r->held, c->key, h);
}

static int take(struct dp_rows *r, struct change *c, struct err *err)
{
	const struct held *old = id_map_find(&r->held, c->key);
	int rc = 0;

	if (c->stays)
		return 0;
	if (old != NULL && old->slot != CLS_NO_ROW)
		rc = layers_batch_del(r->batch, old->slot, err);
	if (rc == 0 && c->row != NULL && hold(r, c) < 0)
		rc = err_set(err, ENOMEM, "no memory for a row");
	return rc;
}

static void give_back(struct dp_rows *r)
{
	for (uint32_t i = 0; i < r->n_changes; i++) {
		struct change *c = &r->changes[i];

		if (c->next == NULL)
			continue;
		if (id_map_find(&r->held, c->key) == c->next)
			id_map_take(&r->held, c->key);
		dp_rows_forget(r, c->next);
		c->next = NULL;
	}
}

// The classifier has it.
static void apply(struct dp_rows *r, struct change *c)
{
	struct held *old = id_map_find(&r->held, c->key);

	if (c->stays) {
		old->row = c->row;
		return;
	}
	if (old == c->next)
		return;
	if (old->slot != CLS_NO_ROW)
		dp_rows_give(r, old->row);
	id_map_take(&r->held, c->key);
	dp_rows_forget(r, old);
	if (c->next != NULL)
		id_map_put(&r->held, c->key, c->next); // there is room: one was taken out
}

static int finish(struct dp_rows *r, struct err *err)
{
	struct layers_view view;
	int rc = 0;

	for (uint32_t i = 0; i < r->n_changes && rc == 0; i++)
		rc = take(r, &r->changes[i], err);
	if (rc == 0)
		rc = layers_commit(r->layers, r->batch, &view, err);
	if (rc < 0) {
		give_back(r);
		return rc;
	}
	r->batch = NULL;
	for (uint32_t i = 0; i < r->n_changes; i++)
		apply(r, &r->changes[i]);
	r->n_changes = 0;
	return 0;
}

// A batch that needs a layer of its own asks for no room.
static bool has_room(const struct dp_rows *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_changes; i++)
		n += r->changes[i].slot != CLS_NO_ROW;
	return n == 0 || n > LAYERS_ARRAY_ROWS || layers_room(r->layers) >= n + SPARE_ROWS;
}

int dp_rows_commit(struct dp_rows *r, int64_t now_ns, struct err *err)
{
	bool begins = r->batch == NULL;
	int rc = 0;

	dp_rows_see(r, now_ns);
	if (begins)
		rc = begin(r, err);
	if (rc == -EAGAIN) // begins anew then
		dp_rows_cancel(r);
	if (rc == 0)
		rc = has_room(r) ? layers_batch_prepare(r->batch, err) : -EAGAIN;
	if (rc == 0)
		rc = finish(r, err);
	r->stats.waited += begins && rc == -EAGAIN;
	if (rc < 0 && rc != -EAGAIN)
		dp_rows_cancel(r);
	return rc;
}

void dp_rows_cancel(struct dp_rows *r)
{
	layers_batch_destroy(r->batch);
	r->batch = NULL;
	for (uint32_t i = 0; i < r->n_changes; i++) {
		if (r->changes[i].slot != CLS_NO_ROW)
			dp_rows_give(r, r->changes[i].row);
	}
	r->n_changes = 0;
}
