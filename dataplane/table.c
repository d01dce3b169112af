// SPDX-License-Identifier: Apache-2.0
// Two hash tables with open addressing (linear probing, deletion by shifting back, so there are no tombstones): rows by
// key, meters by number. Every change leaves an undo entry, whose memory is taken before the change: undoing cannot
// fail.
//
// A meter entry also counts the rows that name it; it stays, without a meter, while rows do. A table is whole when no
// entry is bad, so the check at the end of a commit costs nothing.
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct row_slot {
	uint64_t key;
	struct row *row; // NULL: free
};

struct meter_entry {
	struct proto_meter meter;         // kind 0: no meter, only rows that name it
	uint32_t n_reserving, n_limiting; // rows that name it as reservation, as limit
	bool used;                        // the slot
};

enum undo_kind {
	UNDO_ROW_ADD, // row was added: take it out
	UNDO_ROW_DEL, // row was taken out: put it back
	UNDO_METER,   // the meter had this value
};

struct undo {
	enum undo_kind kind;
	uint64_t key;
	struct row *row; // UNDO_ROW_DEL: owned by the entry
	struct proto_meter meter;
};

struct staged {
	enum proto_type type;
	uint64_t key;
	struct row *row; // ROW_ADD: owned
	struct proto_meter meter;
};

struct table {
	struct row_slot *rows;
	struct meter_entry *meters;
	uint32_t rows_cap, meters_cap; // powers of two
	uint32_t n_rows, n_meters;
	uint32_t n_entries, n_bad; // of meters: in use; named by rows without a meter of that kind
	struct undo *undo;
	uint32_t n_undo, cap_undo;
	struct staged *staged;
	uint32_t n_staged, cap_staged;
	uint64_t unknown_dels, expired;
};

static uint32_t hash(uint64_t key)
{
	key = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(key >> 32);
}

// --- rows by key

// The slot of key, or the free one where it would go.
static uint32_t row_slot(const struct table *t, uint64_t key)
{
	uint32_t i = hash(key) & (t->rows_cap - 1);

	while (t->rows[i].row != NULL && t->rows[i].key != key)
		i = (i + 1) & (t->rows_cap - 1);
	return i;
}

// Room for one more at half load, undo included: taken out rows may come back only to slots that were there.
static int rows_reserve(struct table *t)
{
	struct row_slot *old = t->rows;
	uint32_t old_cap = t->rows_cap;

	if ((t->n_rows + t->n_undo + 1) * 2 <= old_cap)
		return 0;
	t->rows = calloc((size_t)old_cap * 2, sizeof(*t->rows));
	if (t->rows == NULL) {
		t->rows = old;
		return -ENOMEM;
	}
	t->rows_cap = old_cap * 2;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].row != NULL)
			t->rows[row_slot(t, old[i].key)] = old[i];
	}
	free(old);
	return 0;
}

static struct row *rows_take(struct table *t, uint32_t slot)
{
	uint32_t mask = t->rows_cap - 1, hole = slot;
	struct row *row = t->rows[slot].row;

	for (uint32_t i = (slot + 1) & mask; t->rows[i].row != NULL; i = (i + 1) & mask) {
		uint32_t home = hash(t->rows[i].key) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) { // the hole lies on its way from home
			t->rows[hole] = t->rows[i];
			hole = i;
		}
	}
	t->rows[hole].row = NULL;
	t->n_rows--;
	return row;
}

static void rows_put(struct table *t, uint64_t key, struct row *row)
{
	uint32_t slot = row_slot(t, key);

	assert(t->rows[slot].row == NULL);
	t->rows[slot] = (struct row_slot){key, row};
	t->n_rows++;
}

// --- meters by number

static struct meter_entry *meter_slot(const struct table *t, uint64_t id)
{
	uint32_t i = hash(id) & (t->meters_cap - 1);

	while (t->meters[i].used && t->meters[i].meter.id != id)
		i = (i + 1) & (t->meters_cap - 1);
	return &t->meters[i];
}

// Room for n more entries at half load. Undoing goes back through states that all had room, so it needs no more.
static int meters_reserve(struct table *t, uint32_t n)
{
	struct meter_entry *old = t->meters;
	uint32_t old_cap = t->meters_cap;

	if ((t->n_entries + n) * 2 <= old_cap)
		return 0;
	t->meters = calloc((size_t)old_cap * 2, sizeof(*t->meters));
	if (t->meters == NULL) {
		t->meters = old;
		return -ENOMEM;
	}
	t->meters_cap = old_cap * 2;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].used)
			*meter_slot(t, old[i].meter.id) = old[i];
	}
	free(old);
	return 0;
}

static bool meter_is_bad(const struct meter_entry *e)
{
	return (e->n_reserving > 0 && e->meter.kind != PROTO_METER_RESERVATION) ||
	       (e->n_limiting > 0 && e->meter.kind != PROTO_METER_LIMIT);
}

// The entry of id, made if need be (meters_reserve has made room).
static struct meter_entry *meter_entry(struct table *t, uint64_t id)
{
	struct meter_entry *e = meter_slot(t, id);

	if (!e->used) {
		*e = (struct meter_entry){.meter = {.id = id}, .used = true};
		t->n_entries++;
	}
	return e;
}

// Gives the slot back when it holds neither a meter nor rows.
static void meter_release(struct table *t, struct meter_entry *e)
{
	uint32_t mask = t->meters_cap - 1, hole = (uint32_t)(e - t->meters);

	if (e->meter.kind != 0 || e->n_reserving > 0 || e->n_limiting > 0)
		return;
	for (uint32_t i = (hole + 1) & mask; t->meters[i].used; i = (i + 1) & mask) {
		uint32_t home = hash(t->meters[i].meter.id) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->meters[hole] = t->meters[i];
			hole = i;
		}
	}
	t->meters[hole].used = false;
	t->n_entries--;
}

static void meter_assign(struct table *t, const struct proto_meter *meter)
{
	struct meter_entry *e = meter_entry(t, meter->id);

	t->n_bad -= meter_is_bad(e);
	t->n_meters += (meter->kind != 0) - (e->meter.kind != 0);
	e->meter = *meter;
	t->n_bad += meter_is_bad(e);
	meter_release(t, e);
}

static void meters_count(struct table *t, const struct idset *set, bool reserving, int by)
{
	for (unsigned int i = 0; i < set->n; i++) {
		struct meter_entry *e = meter_entry(t, set->id[i]);

		t->n_bad -= meter_is_bad(e);
		if (reserving)
			e->n_reserving += by;
		else
			e->n_limiting += by;
		t->n_bad += meter_is_bad(e);
		meter_release(t, e);
	}
}

// --- one change, with its undo entry

static int undo_reserve(struct table *t)
{
	uint32_t cap = t->cap_undo == 0 ? 64 : t->cap_undo * 2;
	struct undo *undo;

	if (t->n_undo < t->cap_undo)
		return 0;
	undo = reallocarray(t->undo, cap, sizeof(*undo));
	if (undo == NULL)
		return -ENOMEM;
	t->undo = undo;
	t->cap_undo = cap;
	return 0;
}

static void row_in(struct table *t, uint64_t key, struct row *row)
{
	rows_put(t, key, row);
	meters_count(t, &row->action.reservations, true, 1);
	meters_count(t, &row->action.limits, false, 1);
}

static struct row *row_out(struct table *t, uint64_t key)
{
	struct row *row = rows_take(t, row_slot(t, key));

	meters_count(t, &row->action.reservations, true, -1);
	meters_count(t, &row->action.limits, false, -1);
	return row;
}

static int row_add(struct table *t, struct staged *change, int64_t now_ns, struct err *err)
{
	if (box_end_ns(&change->row->box) <= now_ns) {
		t->expired++;
		return 0;
	}
	if (t->rows[row_slot(t, change->key)].row != NULL)
		return err_set(err, EEXIST, "row %016llx is there already", (unsigned long long)change->key);
	if (t->n_rows >= TABLE_ROWS_MAX)
		return err_set(err, E2BIG, "more than %u rows", TABLE_ROWS_MAX);
	row_in(t, change->key, change->row);
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_ROW_ADD, .key = change->key};
	change->row = NULL;
	return 0;
}

static int row_del(struct table *t, uint64_t key)
{
	if (t->rows[row_slot(t, key)].row == NULL) {
		t->unknown_dels++;
		return 0;
	}
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_ROW_DEL, .key = key, .row = row_out(t, key)};
	return 0;
}

static int meter_change(struct table *t, const struct proto_meter *meter, struct err *err)
{
	const struct meter_entry *e = meter_slot(t, meter->id);
	struct proto_meter before = e->used ? e->meter : (struct proto_meter){.id = meter->id};

	if (meter->kind == 0 && before.kind == 0)
		return err_set(err, ENOENT, "meter %llu is not there", (unsigned long long)meter->id);
	if (meter->kind != 0 && before.kind == 0 && t->n_meters >= TABLE_METERS_MAX)
		return err_set(err, E2BIG, "more than %u meters", TABLE_METERS_MAX);
	t->undo[t->n_undo++] = (struct undo){.kind = UNDO_METER, .meter = before};
	meter_assign(t, meter);
	return 0;
}

static int apply(struct table *t, struct staged *change, int64_t now_ns, struct err *err)
{
	if (undo_reserve(t) < 0 || rows_reserve(t) < 0 || meters_reserve(t, 2 * ACTION_SET_MAX) < 0)
		return err_set(err, ENOMEM, "no memory for the table");
	switch (change->type) {
	case PROTO_ROW_ADD:
		return row_add(t, change, now_ns, err);
	case PROTO_ROW_DEL:
		return row_del(t, change->key);
	default:
		return meter_change(t, &change->meter, err);
	}
}

static void undo_to(struct table *t, uint32_t n_undo)
{
	while (t->n_undo > n_undo) {
		struct undo *u = &t->undo[--t->n_undo];

		switch (u->kind) {
		case UNDO_ROW_ADD:
			free(row_out(t, u->key));
			break;
		case UNDO_ROW_DEL:
			row_in(t, u->key, u->row);
			break;
		case UNDO_METER:
			meter_assign(t, &u->meter);
			break;
		}
	}
}

// --- the contract

struct table *table_create(struct err *err)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		t->rows_cap = 256;
		t->meters_cap = 256;
		t->rows = calloc(t->rows_cap, sizeof(*t->rows));
		t->meters = calloc(t->meters_cap, sizeof(*t->meters));
	}
	if (t == NULL || t->rows == NULL || t->meters == NULL) {
		err_set(err, ENOMEM, "no memory for the table");
		table_destroy(t);
		t = NULL;
	}
	return t;
}

void table_destroy(struct table *t)
{
	if (t == NULL)
		return;
	table_unstage(t);
	table_settle(t);
	for (uint32_t i = 0; t->rows != NULL && i < t->rows_cap; i++)
		free(t->rows[i].row);
	free(t->rows);
	free(t->meters);
	free(t->undo);
	free(t->staged);
	free(t);
}

int table_stage(struct table *t, const struct proto_msg *change, struct err *err)
{
	struct staged *s;

	if (t->n_staged >= TABLE_STAGED_MAX)
		return err_set(err, E2BIG, "more than %u changes without a commit", TABLE_STAGED_MAX);
	if (t->n_staged == t->cap_staged) {
		uint32_t cap = t->cap_staged == 0 ? 64 : t->cap_staged * 2;

		s = reallocarray(t->staged, cap, sizeof(*s));
		if (s == NULL)
			return err_set(err, ENOMEM, "no memory for a change");
		t->staged = s;
		t->cap_staged = cap;
	}
	s = &t->staged[t->n_staged];
	*s = (struct staged){.type = change->type};
	switch (change->type) {
	case PROTO_ROW_ADD:
		s->row = malloc(sizeof(*s->row));
		if (s->row == NULL)
			return err_set(err, ENOMEM, "no memory for a row");
		*s->row = change->row;
		s->key = row_key(s->row);
		break;
	case PROTO_ROW_DEL:
		s->key = change->row_key;
		break;
	case PROTO_METER_SET:
		s->meter = change->meter;
		break;
	case PROTO_METER_DEL:
		s->meter.id = change->meter.id; // kind 0: none
		break;
	default:
		return err_set(err, EINVAL, "message type %d is no change", change->type);
	}
	t->n_staged++;
	return 0;
}

void table_unstage(struct table *t)
{
	for (uint32_t i = 0; i < t->n_staged; i++)
		free(t->staged[i].row);
	t->n_staged = 0;
}

int table_commit(struct table *t, int64_t now_ns, struct err *err)
{
	uint32_t mark = t->n_undo;
	uint64_t unknown_dels = t->unknown_dels, expired = t->expired;
	int ret = 0;

	for (uint32_t i = 0; i < t->n_staged && ret == 0; i++)
		ret = apply(t, &t->staged[i], now_ns, err);
	if (ret == 0 && t->n_bad > 0)
		ret = err_set(err, ENOENT, "%u requests named by rows have no meter of that kind", t->n_bad);
	if (ret < 0) {
		undo_to(t, mark);
		t->unknown_dels = unknown_dels;
		t->expired = expired;
	}
	table_unstage(t);
	return ret;
}

void table_settle(struct table *t)
{
	for (uint32_t i = 0; i < t->n_undo; i++) {
		if (t->undo[i].kind == UNDO_ROW_DEL)
			free(t->undo[i].row);
	}
	t->n_undo = 0;
}

void table_undo(struct table *t)
{
	undo_to(t, 0);
}

uint32_t table_expire(struct table *t, int64_t now_ns)
{
	uint32_t n = 0;

	assert(t->n_undo == 0);
	for (uint32_t i = 0; i < t->rows_cap;) {
		const struct row_slot *s = &t->rows[i];

		// Taking one out may move another one here.
		if (s->row != NULL && box_end_ns(&s->row->box) <= now_ns) {
			free(row_out(t, s->key));
			n++;
		} else
			i++;
	}
	t->expired += n;
	return n;
}

static int compare_slots(const void *a, const void *b)
{
	const struct row_slot *x = a, *y = b;

	if (x->row->rank != y->row->rank)
		return x->row->rank > y->row->rank ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

int table_rows(const struct table *t, int64_t from_ns, int64_t to_ns, const struct row ***rows, uint32_t *n_rows)
{
	struct row_slot *found = calloc(t->n_rows + 1, sizeof(*found));
	const struct row **out = calloc(t->n_rows + 1, sizeof(*out));
	uint32_t n = 0;

	*rows = NULL;
	*n_rows = 0;
	if (found == NULL || out == NULL) {
		free(found);
		free(out);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->rows_cap; i++) {
		const struct row *row = t->rows[i].row;

		if (row != NULL && box_start_ns(&row->box) <= to_ns && box_end_ns(&row->box) > from_ns)
			found[n++] = t->rows[i];
	}
	qsort(found, n, sizeof(*found), compare_slots);
	for (uint32_t i = 0; i < n; i++)
		out[i] = found[i].row;
	free(found);
	*rows = out;
	*n_rows = n;
	return 0;
}

int64_t table_next_ns(const struct table *t, int64_t now_ns)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < t->rows_cap; i++) {
		const struct row *row = t->rows[i].row;
		int64_t start, end;

		if (row == NULL)
			continue;
		start = box_start_ns(&row->box);
		end = box_end_ns(&row->box);
		if (start > now_ns && start < next)
			next = start;
		if (end > now_ns && end < next)
			next = end;
	}
	return next;
}

void table_each_row(const struct table *t, void (*fn)(void *ctx, uint64_t key, const struct row *row), void *ctx)
{
	for (uint32_t i = 0; i < t->rows_cap; i++) {
		if (t->rows[i].row != NULL)
			fn(ctx, t->rows[i].key, t->rows[i].row);
	}
}

void table_each_meter(const struct table *t, void (*fn)(void *ctx, const struct proto_meter *meter), void *ctx)
{
	for (uint32_t i = 0; i < t->meters_cap; i++) {
		if (t->meters[i].used && t->meters[i].meter.kind != 0)
			fn(ctx, &t->meters[i].meter);
	}
}

void table_stats(const struct table *t, struct table_stats *out)
{
	*out = (struct table_stats){
		.n_rows = t->n_rows,
		.n_meters = t->n_meters,
		.n_staged = t->n_staged,
		.n_slots = t->rows_cap + t->meters_cap,
		.unknown_dels = t->unknown_dels,
		.expired = t->expired,
	};
}
