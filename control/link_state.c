// SPDX-License-Identifier: Apache-2.0
#include "link_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A row over for less than this is deleted all the same: the dataplane's clock may lag, and its meter may go now.
#define GRACE_NS 2000000000LL

static int compare_rows(const void *a, const void *b)
{
	const struct link_row *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int compare_meters(const void *a, const void *b)
{
	const struct proto_meter *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static uint32_t sort_rows(struct link_row *rows, uint32_t n)
{
	uint32_t distinct = 0;

	if (n > 0)
		qsort(rows, n, sizeof(*rows), compare_rows);
	for (uint32_t i = 0; i < n; i++) {
		if (distinct == 0 || rows[i].key != rows[distinct - 1].key)
			rows[distinct++] = rows[i];
	}
	return distinct;
}

static uint32_t sort_meters(struct proto_meter *meters, uint32_t n)
{
	uint32_t distinct = 0;

	if (n > 0)
		qsort(meters, n, sizeof(*meters), compare_meters);
	for (uint32_t i = 0; i < n; i++) {
		if (distinct == 0 || meters[i].id != meters[distinct - 1].id)
			meters[distinct++] = meters[i];
	}
	return distinct;
}

void link_state_init(struct link_state *s)
{
	*s = (struct link_state){0};
}

void link_state_fini(struct link_state *s)
{
	flowtab_fini(&s->want_rows);
	free(s->want);
	free(s->have);
	free(s->want_meters);
	free(s->have_meters);
	link_state_init(s);
}

// Rows in normal form, as the link asks for; an empty one is left out.
static int copy_rows(struct link_state *next, const struct flowtab *table)
{
	next->want = malloc(((size_t)table->n_rows + 1) * sizeof(*next->want));
	if (next->want == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->n_rows; i++) {
		struct row row = table->rows[i];

		if (!box_normalize(&row.box))
			continue;
		next->want[next->n_want] = (struct link_row){row_key(&row), box_end_ns(&row.box), next->n_want};
		if (flowtab_add(&next->want_rows, &row) < 0)
			return -ENOMEM;
		next->n_want++;
	}
	next->n_want = sort_rows(next->want, next->n_want);
	return 0;
}

int link_state_want(struct link_state *s, const struct flowtab *table, const struct proto_meter *meters,
		    uint32_t n_meters, struct err *err)
{
	struct link_state next = {0};

	for (uint32_t i = 0; i < n_meters; i++) {
		if (meters[i].rate_bps == 0 || meters[i].rate_bps > INT64_MAX)
			return err_set(err, EINVAL, "request %llu: a rate of %llu bit/s cannot be enforced",
				       (unsigned long long)meters[i].id, (unsigned long long)meters[i].rate_bps);
	}
	next.want_meters = malloc(((size_t)n_meters + 1) * sizeof(*meters));
	if (next.want_meters == NULL || copy_rows(&next, table) < 0) {
		link_state_fini(&next);
		return err_set(err, ENOMEM, "no memory for a table of %u rows", table->n_rows);
	}
	if (n_meters > 0)
		memcpy(next.want_meters, meters, n_meters * sizeof(*meters));
	flowtab_fini(&s->want_rows);
	free(s->want);
	free(s->want_meters);
	s->want_rows = next.want_rows;
	s->want = next.want;
	s->n_want = next.n_want;
	s->want_meters = next.want_meters;
	s->n_want_meters = sort_meters(s->want_meters, n_meters);
	return 0;
}

void link_state_forget(struct link_state *s)
{
	s->n_have = 0;
	s->n_have_meters = 0;
}

int link_state_have_row(struct link_state *s, uint64_t key)
{
	if (s->n_have == s->cap_have) {
		uint32_t cap = s->cap_have == 0 ? 64 : s->cap_have * 2;
		struct link_row *have = reallocarray(s->have, cap, sizeof(*have));

		if (have == NULL)
			return -ENOMEM;
		s->have = have;
		s->cap_have = cap;
	}
	s->have[s->n_have++] = (struct link_row){.key = key, .end_ns = INT64_MAX};
	return 0;
}

int link_state_have_meter(struct link_state *s, const struct proto_meter *meter)
{
	if (s->n_have_meters == s->cap_have_meters) {
		uint32_t cap = s->cap_have_meters == 0 ? 64 : s->cap_have_meters * 2;
		struct proto_meter *have = reallocarray(s->have_meters, cap, sizeof(*have));

		if (have == NULL)
			return -ENOMEM;
		s->have_meters = have;
		s->cap_have_meters = cap;
	}
	s->have_meters[s->n_have_meters++] = *meter;
	return 0;
}

void link_state_have_end(struct link_state *s)
{
	s->n_have = sort_rows(s->have, s->n_have);
	s->n_have_meters = sort_meters(s->have_meters, s->n_have_meters);
}

struct sender {
	void (*send)(void *ctx, const struct proto_msg *msg);
	void *ctx;
	struct link_diff_stats *stats;
};

static void send_meter(struct sender *to, enum proto_type type, const struct proto_meter *meter)
{
	struct proto_msg msg = {.type = type, .meter = *meter};

	to->send(to->ctx, &msg);
	*(type == PROTO_METER_SET ? &to->stats->meters_set : &to->stats->meters_deleted) += 1;
}

// Meters to set come before the rows that name them, meters to delete after.
static void diff_meters(const struct link_state *s, enum proto_type type, struct sender *to)
{
	uint32_t w = 0, h = 0;

	while (w < s->n_want_meters || h < s->n_have_meters) {
		const struct proto_meter *want = w < s->n_want_meters ? &s->want_meters[w] : NULL;
		const struct proto_meter *have = h < s->n_have_meters ? &s->have_meters[h] : NULL;

		if (want != NULL && (have == NULL || want->id < have->id)) {
			if (type == PROTO_METER_SET)
				send_meter(to, type, want);
			w++;
		} else if (want != NULL && want->id == have->id) {
			if (type == PROTO_METER_SET && (want->rate_bps != have->rate_bps || want->kind != have->kind))
				send_meter(to, type, want);
			w++;
			h++;
		} else if (have != NULL) {
			if (type == PROTO_METER_DEL)
				send_meter(to, type, have);
			h++;
		}
	}
}

static void diff_rows(const struct link_state *s, int64_t now_ns, struct sender *to)
{
	struct proto_msg msg;

	for (uint32_t w = 0, h = 0; w < s->n_want || h < s->n_have;) {
		const struct link_row *want = w < s->n_want ? &s->want[w] : NULL;
		const struct link_row *have = h < s->n_have ? &s->have[h] : NULL;

		if (want != NULL && (have == NULL || want->key < have->key)) {
			if (want->end_ns > now_ns) {
				msg = (struct proto_msg){.type = PROTO_ROW_ADD,
							 .row = s->want_rows.rows[want->row_idx]};
				to->send(to->ctx, &msg);
				to->stats->rows_added++;
			}
			w++;
		} else if (want != NULL && want->key == have->key) {
			w++;
			h++;
		} else if (have != NULL) {
			if (have->end_ns == INT64_MAX || have->end_ns > now_ns - GRACE_NS) {
				msg = (struct proto_msg){.type = PROTO_ROW_DEL, .row_key = have->key};
				to->send(to->ctx, &msg);
				to->stats->rows_deleted++;
			}
			h++;
		}
	}
}

int link_state_diff(struct link_state *s, int64_t now_ns, void (*send)(void *ctx, const struct proto_msg *msg),
		    void *ctx, struct link_diff_stats *stats)
{
	struct link_row *have = malloc(((size_t)s->n_want + 1) * sizeof(*have));
	struct proto_meter *meters = malloc(((size_t)s->n_want_meters + 1) * sizeof(*meters));
	struct sender to = {send, ctx, stats};

	if (have == NULL || meters == NULL) {
		free(have);
		free(meters);
		return -ENOMEM;
	}
	diff_meters(s, PROTO_METER_SET, &to);
	diff_rows(s, now_ns, &to);
	diff_meters(s, PROTO_METER_DEL, &to);

	free(s->have);
	free(s->have_meters);
	s->have = have;
	s->have_meters = meters;
	s->cap_have = s->n_want + 1;
	s->cap_have_meters = s->n_want_meters + 1;
	s->n_have = 0;
	for (uint32_t i = 0; i < s->n_want; i++) {
		if (s->want[i].end_ns > now_ns)
			have[s->n_have++] = s->want[i];
	}
	s->n_have_meters = s->n_want_meters;
	if (s->n_want_meters > 0)
		memcpy(meters, s->want_meters, s->n_want_meters * sizeof(*meters));
	return 0;
}
