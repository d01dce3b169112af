// SPDX-License-Identifier: Apache-2.0
// A change of policy for the live queues: what stays keeps everything, what goes is no more obeyed.
#include <assert.h>

#include "sched_live.h"

#define CLASS_BYTES_MAX (4 * 1024 * 1024)

static void apply_meter(struct sched *s, const struct sched_change *c);
static void apply_node(struct sched *s, const struct sched_change *c);

// A slot that another request had before: no class may take the one for the other.
static void disown(struct sched_limits *limits, const struct sched_change *c)
{
	for (struct sched *s = limits->queues; s != NULL; s = s->next_queue) {
		if (s->n_users[c->slot] > 0 && (c->is_limit ? limits->limit[c->slot].id : s->res[c->slot].id) != c->id)
			sched_class_disown(s, (uint16_t)c->slot, c->is_limit);
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
		if (is_meter)
			apply_meter(s, c);
		else
			apply_node(s, c);
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

static void apply_meter(struct sched *s, const struct sched_change *c)
{
	struct sched_res *res = &s->res[c->slot];

	if (c->is_limit) {
		sched_limit_opens_anew(s, (uint16_t)c->slot);
		return;
	}
	if (c->kind == SCHED_METER_DEL)
		bucket_init(&res->bucket, 0, s->tsc_hz, s->virtual_now);
	else if (res->id == c->id)
		bucket_change(&res->bucket, c->rate_bps, s->tsc_hz, 0, s->virtual_now);
	else
		bucket_init(&res->bucket, c->rate_bps, s->tsc_hz, s->virtual_now); // no burst: nothing is saved up
	res->id = c->kind == SCHED_METER_DEL ? 0 : c->id;
	sched_res_place(s, (uint16_t)c->slot);
}

// Classes of a node that is gone go on with the weight they had.
static void apply_node(struct sched *s, const struct sched_change *c)
{
	struct sched_share_node *node = &s->tree[c->slot];

	node->parent = c->parent_slot;
	node->weight = c->kind == SCHED_NODE_DEL ? 0 : c->weight;
}

// 100 ms at the slowest rate that is known: more is delay that nobody wants, and buffers that others need.
uint32_t sched_queue_bytes(const struct sched *s, const struct sched_queue *q)
{
	uint64_t rate_bps = s->line.rate_bps != 0 ? s->line.rate_bps : UINT64_MAX;

	for (unsigned int i = 0; i < q->n_limits; i++)
		rate_bps = RTE_MIN(rate_bps, s->limits->limit[q->limit[i]].bucket.rate_bps);
	rate_bps /= 8 * 10;
	return (uint32_t)RTE_MIN(RTE_MAX(rate_bps, (uint64_t)s->queue_bytes_min), (uint64_t)CLASS_BYTES_MAX);
}
