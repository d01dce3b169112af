// SPDX-License-Identifier: Apache-2.0
// A change of policy for the live queues: what stays keeps everything, what goes is no more obeyed.
#include <assert.h>

#include "sched_live.h"

#define CLASS_BYTES_MAX (4 * 1024 * 1024)

static void apply_reservation(struct sched *s, const struct sched_change *c);

// A slot that another request had before: no class may take the one for the other.
static void disown(struct sched_limits *limits, const struct sched_change *c)
{
	for (struct sched *s = limits->queues; s != NULL; s = s->next_queue) {
		if (s->n_users[c->slot] > 0 &&
		    (c->is_limit ? limits->limit[c->slot].id : s->res_more[c->slot].id) != c->id)
			sched_class_disown(s, c->slot);
	}
}

static void apply(struct sched_limits *limits, const struct sched_change *c, uint64_t now)
{
	bool is_meter = c->kind == SCHED_METER_SET || c->kind == SCHED_METER_DEL;

	assert(c->slot < (is_meter ? SCHED_METERS_MAX : SCHED_NODES_MAX));
	if (c->kind == SCHED_METER_SET)
		disown(limits, c);
	if (c->kind == SCHED_METER_SET && c->is_limit)
		sched_limit_set(limits, c, now);
	else if (c->kind == SCHED_METER_DEL && c->is_limit)
		sched_limit_del(limits, c->slot, now);
	for (struct sched *s = limits->queues; s != NULL; s = s->next_queue) {
		if (is_meter && c->is_limit)
			sched_limit_opens_anew(s, c->slot);
		else if (is_meter)
			apply_reservation(s, c);
		else if (c->kind == SCHED_NODE_SET)
			sched_node_set(s, c);
		else
			sched_node_del(s, c);
	}
}

void sched_apply(struct sched_limits *limits, const struct sched_change *changes, uint32_t n, uint64_t now_tsc)
{
	uint64_t now = sched_clock(limits, now_tsc);

	if (n == 0)
		return;
	for (struct sched *s = limits->queues; s != NULL; s = s->next_queue)
		sched_virtual_clock(s, now);
	for (uint32_t i = 0; i < n; i++)
		apply(limits, &changes[i], now);
}

void sched_catch_up(struct sched *s, const struct sched_change *changes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct sched_change *c = &changes[i];

		if (c->kind == SCHED_NODE_SET)
			sched_node_set(s, c);
		else if (c->kind == SCHED_METER_SET && !c->is_limit) // limits are not the queue's
			apply_reservation(s, c);
	}
}

static void apply_reservation(struct sched *s, const struct sched_change *c)
{
	struct sched_res *res = &s->res[c->slot];
	struct sched_res_more *more = &s->res_more[c->slot];
	uint64_t rate_bps = c->kind == SCHED_METER_DEL ? 0 : c->rate_bps;

	s->stats.promised_bps += rate_bps - res->bucket.rate_bps;
	if (more->id == c->id)
		bucket_change(&res->bucket, rate_bps, s->tsc_hz, 0, s->virtual_now);
	else
		bucket_init(&res->bucket, rate_bps, s->tsc_hz, s->virtual_now); // no burst: nothing is saved up
	more->id = c->kind == SCHED_METER_DEL ? 0 : c->id;
	res->there = more->id != 0;
	sched_res_place(s, c->slot);
}
