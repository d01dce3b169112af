// SPDX-License-Identifier: Apache-2.0
#include "dp_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "cls_fill.h"
#include "dp_rows_priv.h"

struct dp_rows *dp_rows_create(const struct dp_rows_conf *conf, struct err *err)
{
	struct layers_conf lc = {.rcu = conf->rcu, .simd_max_bits = conf->simd_max_bits};
	struct dp_rows *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		err_set(err, ENOMEM, "no memory for rows");
		return NULL;
	}
	r->conf = *conf;
	r->now_ns = INT64_MIN;
	r->prepare_ns = INT64_MIN;
	r->late_ns = INT64_MAX;
	TAILQ_INIT(&r->late);
	TAILQ_INIT(&r->over);
	r->layers = layers_create(&lc, err);
	if (r->layers == NULL) {
		free(r);
		r = NULL;
	}
	return r;
}

void dp_rows_see(struct dp_rows *r, int64_t now_ns)
{
	if (now_ns < r->now_ns) {
		r->back_ns += r->now_ns - now_ns;
		r->prepare_ns = now_ns;
		if (r->late_ns != INT64_MAX)
			r->late_ns = now_ns;
	}
	r->now_ns = now_ns;
}

bool dp_rows_destroy(struct dp_rows *r, bool wait)
{
	struct held *h;

	if (r == NULL)
		return true;
	if (!wait && !layers_can_stop(r->layers))
		return false;
	dp_rows_cancel(r);
	dp_rows_forget_prepared(r);
	layers_destroy(r->layers);
	calendar_fini(&r->calendar);
	for (uint32_t at = 0; (h = id_map_next(&r->held, &at)) != NULL;)
		free(h);
	id_map_fini(&r->held);
	free(r->changes);
	free(r->due);
	free(r);
	return true;
}

struct layers *dp_rows_layers(const struct dp_rows *r)
{
	return r->layers;
}

static bool has_meter(const struct part_row *row)
{
	return row->part == PART_RESERVE || row->part == PART_LIMIT;
}

int dp_rows_fill(struct dp_rows *r, const struct part_row *row, struct cls_row *out, struct err *err)
{
	int rc = has_meter(row) ? r->conf.meter_take(r->conf.ctx, row->id, err) : 0;

	if (rc < 0)
		return rc;
	rc = cls_fill(row, r->conf.slots, r->conf.names, out, err);
	if (rc < 0)
		dp_rows_give(r, row);
	return rc;
}

void dp_rows_give(struct dp_rows *r, const struct part_row *row)
{
	if (has_meter(row))
		r->conf.meter_give(r->conf.ctx, row->id);
}

void dp_rows_forget(struct dp_rows *r, struct held *h)
{
	calendar_del(&r->calendar, &h->start);
	calendar_del(&r->calendar, &h->end);
	dp_rows_unprepare(r, h);
	if (h->state != HELD)
		TAILQ_REMOVE(h->state == HELD_LATE ? &r->late : &r->over, h, link);
	free(h);
}

void dp_rows_drop_over(struct dp_rows *r, void (*fn)(void *ctx, const struct part_row *row), void *ctx)
{
	struct held *h;

	while ((h = TAILQ_FIRST(&r->over)) != NULL) {
		fn(ctx, h->row);
		table_drop(r->conf.table, h->key);
		id_map_take(&r->held, h->key);
		dp_rows_forget(r, h);
	}
}

void dp_rows_stats(const struct dp_rows *r, struct dp_rows_stats *out)
{
	const struct held *h;

	*out = r->stats;
	TAILQ_FOREACH (h, &r->late, link)
		out->n_late++;
	out->building_ns = r->prepared.batch == NULL || r->prepared.is_ready ? INT64_MAX : r->prepared.ns;
}
