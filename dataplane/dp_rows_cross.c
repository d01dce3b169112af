// SPDX-License-Identifier: Apache-2.0
// Instants. What starts and ends together is one generation, or two that are published as one: rows that were prepared
// come as a batch of their own.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "dp_log.h"
#include "dp_rows_priv.h"

#define MS INT64_C(1000000)
#define TOGETHER 256         // rows of a batch that needs no layer of its own; more that start together are prepared
#define NEAR_NS (10000 * MS) // and not long before
#define RETRY_NS (1000 * MS)
#define LATE_NS (MS / 2)

static struct held *of_start(const struct calendar_item *item)
{
	return (struct held *)((uintptr_t)item - offsetof(struct held, start));
}

static struct held *of_end(const struct calendar_item *item)
{
	return (struct held *)((uintptr_t)item - offsetof(struct held, end));
}

static void be_late(struct dp_rows *r, struct held *h)
{
	h->state = HELD_LATE;
	TAILQ_INSERT_TAIL(&r->late, h, link);
	r->late_ns = r->now_ns;
}

static void in_force(struct dp_rows *r, struct held *h, uint32_t slot)
{
	if (h->state == HELD_LATE)
		TAILQ_REMOVE(&r->late, h, link);
	h->state = HELD;
	h->slot = slot;
	calendar_del(&r->calendar, &h->start);
}

static void end(struct dp_rows *r, struct held *h)
{
	if (h->state == HELD_LATE)
		TAILQ_REMOVE(&r->late, h, link);
	dp_rows_unprepare(r, h);
	h->state = HELD_OVER;
	if (h->slot != CLS_NO_ROW)
		dp_rows_give(r, h->row);
	if (r->conf.ended != NULL)
		r->conf.ended(r->conf.ctx, h->key);
	TAILQ_INSERT_TAIL(&r->over, h, link);
	h->slot = CLS_NO_ROW;
	calendar_del(&r->calendar, &h->start);
	calendar_del(&r->calendar, &h->end);
}

// --- rows that are prepared

void dp_rows_unprepare(struct dp_rows *r, struct held *h)
{
	if (h->prepared == CLS_NO_ROW)
		return;
	layers_batch_cancel(r->prepared.batch, h->prepared);
	dp_rows_give(r, h->row);
	r->prepared.rows[h->prepared_at] = NULL;
	h->prepared = CLS_NO_ROW;
}

void dp_rows_forget_prepared(struct dp_rows *r)
{
	for (uint32_t i = 0; i < r->prepared.n; i++) {
		struct held *h = r->prepared.rows[i];

		if (h == NULL)
			continue;
		h->prepared = CLS_NO_ROW;
		dp_rows_give(r, h->row);
	}
	layers_batch_destroy(r->prepared.batch);
	free(r->prepared.rows);
	r->prepared.batch = NULL;
	r->prepared.rows = NULL;
	r->prepared.n = 0;
}

static void not_prepared(struct dp_rows *r, const struct err *err)
{
	dp_warning("%u rows that start together cannot be prepared: %s", r->prepared.n, err->msg);
	r->stats.not_prepared++;
	r->prepare_ns = r->now_ns + RETRY_NS;
	dp_rows_forget_prepared(r);
}

static int add_prepared(struct dp_rows *r, struct held *h, struct err *err)
{
	struct cls_row row;

	if (dp_rows_fill(r, h->row, &row, err) < 0)
		return -err->code;
	h->prepared = layers_batch_add(r->prepared.batch, &row, err);
	if (h->prepared == CLS_NO_ROW) {
		dp_rows_give(r, h->row);
		return -err->code;
	}
	h->prepared_at = r->prepared.n;
	r->prepared.rows[r->prepared.n++] = h;
	return 0;
}

static void prepare(struct dp_rows *r, const struct calendar_instant *at)
{
	const struct calendar_item *item;
	struct err err;
	int rc = 0;

	r->prepared.ns = at->ns;
	r->prepared.is_ready = false;
	r->prepared.n = 0;
	r->prepared.batch = layers_batch_create(r->layers);
	r->prepared.rows = calloc(at->n_starts, sizeof(*r->prepared.rows));
	if (r->prepared.batch == NULL || r->prepared.rows == NULL)
		rc = err_set(&err, ENOMEM, "no memory");
	TAILQ_FOREACH (item, &at->starts, link) {
		if (rc == 0)
			rc = add_prepared(r, of_start(item), &err);
	}
	if (rc < 0)
		not_prepared(r, &err);
}

// The prepared batch, whose instant has come. Returns whether its rows are in force.
static bool start_prepared(struct dp_rows *r)
{
	struct layers_view view;
	struct err err;
	int rc = layers_commit(r->layers, r->prepared.batch, &view, &err);

	if (rc < 0 && rc != -EAGAIN)
		not_prepared(r, &err);
	if (rc < 0)
		return false;
	r->prepared.batch = NULL;
	for (uint32_t i = 0; i < r->prepared.n; i++) {
		struct held *h = r->prepared.rows[i];

		if (h == NULL)
			continue;
		in_force(r, h, h->prepared);
		h->prepared = CLS_NO_ROW;
	}
	r->prepared.n = 0;
	dp_rows_forget_prepared(r);
	return true;
}

// Looks ahead to the next instant, and drives what is being built.
static void look_ahead(struct dp_rows *r)
{
	const struct calendar_instant *at = calendar_first(&r->calendar);
	struct err err;
	int rc;

	if (r->prepared.batch != NULL && at != NULL && at->ns < r->prepared.ns && at->n_starts > TOGETHER)
		dp_rows_forget_prepared(r); // one that comes first
	if (r->prepared.batch == NULL && at != NULL && at->n_starts > TOGETHER && at->ns - r->now_ns < NEAR_NS &&
	    r->now_ns >= r->prepare_ns)
		prepare(r, at);
	if (r->prepared.batch == NULL)
		return;
	rc = layers_batch_prepare(r->prepared.batch, &err);
	r->prepared.is_ready = rc == 0;
	if (rc < 0 && rc != -EAGAIN)
		not_prepared(r, &err);
}

// --- an instant

// A row that starts, into the batch. *slot: CLS_NO_ROW, if what it names has no slot at present.
static int add_start(struct dp_rows *r, struct layers_batch *b, const struct part_row *from, uint32_t *slot,
		     struct err *err)
{
	struct cls_row row;
	int rc = dp_rows_fill(r, from, &row, err);

	if (rc == -ENOSPC || rc == -EAGAIN || rc == -ENOENT) // on their way back, or the row is about to be deleted
		return 0;
	if (rc < 0)
		return rc;
	*slot = layers_batch_add(b, &row, err);
	if (*slot != CLS_NO_ROW)
		return 0;
	dp_rows_give(r, from);
	return -err->code;
}

// Commits rows that start (slots: theirs, filled in; CLS_NO_ROW: that one cannot yet) and rows that end.
static int change(struct dp_rows *r, struct held *const *starts, uint32_t n_starts, struct held *const *ends,
		  uint32_t n_ends, uint32_t *slots)
{
	struct layers_batch *b = layers_batch_create(r->layers);
	struct layers_view view;
	struct err err;
	int rc = b == NULL ? err_set(&err, ENOMEM, "no memory for a change") : 0;

	for (uint32_t i = 0; i < n_starts; i++) {
		slots[i] = CLS_NO_ROW;
		if (rc == 0)
			rc = add_start(r, b, starts[i]->row, &slots[i], &err);
	}
	for (uint32_t i = 0; i < n_ends && rc == 0; i++) {
		if (ends[i]->slot != CLS_NO_ROW)
			rc = layers_batch_del(b, ends[i]->slot, &err);
	}
	if (rc == 0)
		rc = layers_commit(r->layers, b, &view, &err);
	if (rc < 0)
		layers_batch_destroy(b);
	for (uint32_t i = 0; i < n_starts && rc < 0; i++) {
		if (slots[i] != CLS_NO_ROW)
			dp_rows_give(r, starts[i]->row);
	}
	if (rc < 0 && rc != -EAGAIN)
		dp_error("rows that start or end now are not in force, trying again: %s", err.msg);
	return rc;
}

static int gather(struct dp_rows *r, const struct calendar_instant *at)
{
	const struct calendar_item *item;
	uint32_t n = 0;

	if (at->n_starts + at->n_ends > r->cap_due) {
		struct held **due = reallocarray(r->due, at->n_starts + at->n_ends, sizeof(struct held *));

		if (due == NULL)
			return -ENOMEM;
		r->due = due;
		r->cap_due = at->n_starts + at->n_ends;
	}
	TAILQ_FOREACH (item, &at->starts, link)
		r->due[n++] = of_start(item);
	TAILQ_FOREACH (item, &at->ends, link)
		r->due[n++] = of_end(item);
	return 0;
}

// The first instant of the calendar. Returns whether it is done: then nothing is left there. Rows that there is no room
// for at present are late.
static bool cross(struct dp_rows *r, const struct calendar_instant *at)
{
	uint32_t n_starts = at->n_starts, n_ends = at->n_ends, n_now = 0, slots[TOGETHER];
	int64_t ns = at->ns;
	int rc;

	if (gather(r, at) < 0)
		return false;
	if (r->prepared.batch != NULL && r->prepared.ns == ns)
		start_prepared(r);
	for (uint32_t i = 0; i < n_starts; i++) { // those to start now come first
		struct held *h = r->due[i];

		if (h->slot != CLS_NO_ROW || h->prepared != CLS_NO_ROW || n_now == TOGETHER)
			continue;
		r->due[i] = r->due[n_now];
		r->due[n_now++] = h;
	}
	rc = change(r, r->due, n_now, r->due + n_starts, n_ends, slots);
	if (rc == -EAGAIN && n_now > 0) {
		n_now = 0;
		rc = change(r, NULL, 0, r->due + n_starts, n_ends, slots);
	}
	if (rc < 0)
		return false;
	for (uint32_t i = 0; i < n_starts; i++) {
		if (i < n_now && slots[i] != CLS_NO_ROW) {
			in_force(r, r->due[i], slots[i]);
		} else if (r->due[i]->slot == CLS_NO_ROW) {
			calendar_del(&r->calendar, &r->due[i]->start);
			be_late(r, r->due[i]);
		}
	}
	r->stats.late += !TAILQ_EMPTY(&r->late);
	for (uint32_t i = 0; i < n_ends; i++)
		end(r, r->due[n_starts + i]);
	return true;
}

// Some of those that are late, if there is room. Returns whether something has changed.
static bool start_some(struct dp_rows *r)
{
	uint32_t n = 0, n_started = 0, slots[TOGETHER];
	struct held *rows[TOGETHER], *h;

	TAILQ_FOREACH (h, &r->late, link) {
		if (n == TOGETHER)
			break;
		if (h->prepared == CLS_NO_ROW)
			rows[n++] = h;
	}
	if (n == 0 || change(r, rows, n, NULL, 0, slots) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (slots[i] != CLS_NO_ROW) {
			in_force(r, rows[i], slots[i]);
			n_started++;
			continue;
		}
		TAILQ_REMOVE(&r->late, rows[i], link); // behind those that may have what they name
		TAILQ_INSERT_TAIL(&r->late, rows[i], link);
	}
	return n_started > 0;
}

static bool catch_up(struct dp_rows *r)
{
	bool changed = r->prepared.batch != NULL && r->prepared.ns <= r->now_ns && start_prepared(r);

	for (int i = 0; i < LAYERS_ARRAYS_MAX && start_some(r); i++)
		changed = true;
	r->late_ns = TAILQ_EMPTY(&r->late) ? INT64_MAX : r->now_ns + LATE_NS;
	return changed;
}

bool dp_rows_cross(struct dp_rows *r, int64_t now_ns)
{
	const struct calendar_instant *at;
	bool changed = false;

	dp_rows_see(r, now_ns);
	while ((at = calendar_first(&r->calendar)) != NULL && at->ns <= r->now_ns) {
		if (!cross(r, at)) {
			r->late_ns = r->now_ns + LATE_NS;
			break;
		}
		changed = true;
	}
	if (r->now_ns >= r->late_ns)
		changed = catch_up(r) || changed;
	return changed;
}

bool dp_rows_turn(struct dp_rows *r, int64_t now_ns)
{
	bool changed;

	dp_rows_see(r, now_ns);
	changed = layers_poll(r->layers, r->now_ns + r->back_ns);
	look_ahead(r);
	return changed;
}

int64_t dp_rows_next_ns(const struct dp_rows *r)
{
	const struct calendar_instant *at = calendar_first(&r->calendar);
	int64_t next_ns = layers_next_ns(r->layers), look_ns = INT64_MAX;

	if (next_ns != INT64_MAX)
		next_ns -= r->back_ns;
	if (at != NULL && r->prepared.batch == NULL && at->n_starts > TOGETHER)
		look_ns = at->ns - NEAR_NS > r->prepare_ns ? at->ns - NEAR_NS : r->prepare_ns;
	if (at != NULL && at->ns < next_ns && (at->ns > r->now_ns || r->late_ns == INT64_MAX))
		next_ns = at->ns;
	if (look_ns > r->now_ns && look_ns < next_ns)
		next_ns = look_ns;
	return r->late_ns < next_ns ? r->late_ns : next_ns;
}
