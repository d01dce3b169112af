// SPDX-License-Identifier: Apache-2.0
#include "sched.h"

#include <assert.h>
#include <errno.h>

#include <rte_malloc.h>

#include "sched_live.h"

#define PACKETS_DEFAULT 65536
#define QUEUE_BYTES_MIN (64 * 1024)
#define CLASS_PACKETS_MAX 16384
#define LINE_BURST_PER_S 5000 // 200 us: the worker may wake that late and still fill the line
#define LAG_PER_S 100         // 10 ms
#define BEST_EFFORT_PACKETS_MIN 64

static void init_best_effort(struct sched *s);
static bool has_room(const struct sched *s, const struct sched_queue *q, uint32_t len_bytes);
static bool police(struct sched *s, uint32_t len_bytes, uint64_t now_tsc);
static uint32_t node_get(struct sched *s, struct rte_mbuf *m, uint32_t len_bytes);
static struct sched_sent *send_one(struct sched *s, uint16_t slot, uint16_t res, uint64_t now);
static void put_back(struct sched *s, uint16_t slot, struct rte_mbuf *m, uint32_t len_bytes);

struct sched *sched_create(const struct sched_conf *conf, struct sched_limits *limits, struct err *err)
{
	uint32_t n = conf->packets_max != 0 ? conf->packets_max : PACKETS_DEFAULT;
	size_t size = sizeof(struct sched) + ((size_t)n + SCHED_BURST_MAX) * sizeof(struct sched_node);
	struct sched *s = rte_zmalloc_socket("sched", size, 64, conf->socket_id);
	struct bucket *line;

	if (s == NULL) {
		err_set(err, ENOMEM, "scheduler: no memory for a queue of %u packets (%zu bytes)", n, size);
		return NULL;
	}
	s->limits = limits;
	s->tsc_hz = conf->tsc_hz;
	s->virtual_now = SCHED_START_TSC;
	s->last_now = limits->now;
	s->lag_ticks = conf->tsc_hz / LAG_PER_S;
	s->mtu_bytes = conf->mtu_bytes;
	s->packets_max = n;
	s->queue_bytes_min = conf->queue_bytes_min != 0 ? conf->queue_bytes_min : QUEUE_BYTES_MIN;
	line = &s->line;
	bucket_init(line, conf->rate_bps, conf->tsc_hz, limits->now);
	line->burst_ticks = RTE_MAX(2 * bucket_cost(line, conf->mtu_bytes), conf->tsc_hz / LINE_BURST_PER_S);
	for (s->n_free = 0; s->n_free < n + SCHED_BURST_MAX; s->n_free++)
		s->node[s->n_free].next = s->n_free + 1;
	s->ring = SCHED_NONE;
	for (uint32_t i = 0; i < SCHED_METERS_MAX; i++)
		bucket_init(&s->res[i].bucket, 0, conf->tsc_hz, s->virtual_now);
	for (uint32_t i = 0; i < SCHED_METERS_MAX; i++)
		s->res[i].ring = s->waiting[i] = s->res_pos[i] = s->limit_pos[i] = s->claim[i].by = SCHED_NONE;
	for (uint32_t i = 0; i < SCHED_CLASSES_MAX; i++)
		s->due_pos[i] = SCHED_NONE;
	s->due = (struct heap){.entry = s->due_entry, .pos = s->due_pos};
	s->ready = (struct heap){.entry = s->ready_entry, .pos = s->res_pos};
	s->future = (struct heap){.entry = s->future_entry, .pos = s->res_pos};
	s->opening = (struct heap){.entry = s->opening_entry, .pos = s->limit_pos};
	sched_class_init(s);
	init_best_effort(s);
	s->next_queue = limits->queues;
	limits->queues = s;
	return s;
}

// Short on purpose: everything without a promise shares one queue, and a ping waits for all of it.
static void init_best_effort(struct sched *s)
{
	struct sched_queue *q = &s->queue[SCHED_BEST_EFFORT];
	uint32_t room = sched_queue_bytes(s, q);

	q->used = true;
	q->head = q->tail = SCHED_NO_NODE;
	q->quantum = (int32_t)s->mtu_bytes;
	q->min_packets = BEST_EFFORT_PACKETS_MIN;
	q->max_bytes = s->line.rate_bps == 0 ? room : RTE_MIN((uint64_t)room, s->line.rate_bps / 8 * 30 / 1000);
}

void sched_destroy(struct sched *s)
{
	if (s == NULL)
		return;
	sched_wake_all(s); // the limits count those who wait
	for (struct sched **at = &s->limits->queues; *at != NULL; at = &(*at)->next_queue) {
		if (*at == s) {
			*at = s->next_queue;
			break;
		}
	}
	for (uint32_t slot = 0; slot < SCHED_CLASSES_MAX; slot++) {
		for (uint32_t n = s->queue[slot].head; s->queue[slot].n_packets > 0; s->queue[slot].n_packets--) {
			rte_pktmbuf_free(s->node[n].m);
			n = s->node[n].next;
		}
	}
	rte_free(s);
}

static uint16_t slot_of(const struct sched *s, uint32_t class)
{
	return sched_class_is_live(s, class) ? class & ((1U << SCHED_SLOT_BITS) - 1) : SCHED_BEST_EFFORT;
}

bool sched_enqueue(struct sched *s, struct rte_mbuf *m, uint32_t class, uint32_t flow_hash, uint64_t now_tsc)
{
	uint16_t slot = slot_of(s, class);
	struct sched_queue *q = &s->queue[slot];
	uint32_t len_bytes = rte_pktmbuf_pkt_len(m), n;

	q->touched = true;
	if (!has_room(s, q, len_bytes) || (class == SCHED_POLICED && !police(s, len_bytes, now_tsc))) {
		q->dropped_packets++;
		q->dropped_bytes += len_bytes;
		return false;
	}
	n = node_get(s, m, len_bytes);
	s->node[n].next = SCHED_NO_NODE;
	if (q->head == SCHED_NO_NODE)
		q->head = n;
	else
		s->node[q->tail].next = n;
	q->tail = n;
	if (q->state == SCHED_QUEUE_IDLE) {
		sched_virtual_clock(s, sched_clock(s->limits, now_tsc));
		sched_activate(s, slot);
	}
	q->n_packets++;
	q->n_bytes += len_bytes;
	s->n_packets++;
	return true;
}

// Nodes are shared: a class may hold as many as are still free, so some always are for a class that held none.
static bool has_room(const struct sched *s, const struct sched_queue *q, uint32_t len_bytes)
{
	if (s->n_free <= SCHED_BURST_MAX || q->n_packets > s->n_free - SCHED_BURST_MAX)
		return false;
	if (q->n_packets < q->min_packets)
		return true;
	return q->n_bytes + len_bytes <= q->max_bytes && q->n_packets < CLASS_PACKETS_MAX;
}

// A packet that has no class takes its limits' tokens at once, or has to go.
static bool police(struct sched *s, uint32_t len_bytes, uint64_t now_tsc)
{
	uint64_t now = sched_clock(s->limits, now_tsc);
	struct sched_queue q = {.n_limits = s->policed.n_limits};

	for (unsigned int i = 0; i < q.n_limits; i++) {
		q.limit[i] = (uint16_t)s->policed.limit[i];
		if (sched_limit_opens_at(s, q.limit[i], false) > now)
			return false;
	}
	sched_limits_take(s, &q, len_bytes, now);
	return true;
}

static uint32_t node_get(struct sched *s, struct rte_mbuf *m, uint32_t len_bytes)
{
	uint32_t n = s->free_node;

	assert(s->n_free > 0);
	s->free_node = s->node[n].next;
	s->n_free--;
	s->node[n].m = m;
	s->node[n].len_bytes = len_bytes;
	return n;
}

uint16_t sched_dequeue(struct sched *s, struct rte_mbuf **out, uint16_t max, uint64_t now_tsc)
{
	uint64_t now = sched_clock(s->limits, now_tsc);
	uint16_t slot, res;

	sched_virtual_clock(s, now);
	sched_wake(s, now);
	sched_class_sweep(s, now);
	s->n_sent = 0;
	if (max > SCHED_BURST_MAX)
		max = SCHED_BURST_MAX;
	while (s->n_sent < max && (s->line.rate_bps == 0 || bucket_opens_at(&s->line) <= now) &&
	       sched_pick(s, now, &slot, &res)) {
		const struct sched_sent *sent = send_one(s, slot, res, now);

		out[s->n_sent - 1] = sent->m;
	}
	return (uint16_t)s->n_sent;
}

static struct sched_sent *send_one(struct sched *s, uint16_t slot, uint16_t res, uint64_t now)
{
	struct sched_queue *q = &s->queue[slot];
	struct sched_sent *sent = &s->sent[s->n_sent++];
	uint32_t n = q->head;

	*sent = (struct sched_sent){s->node[n].m, s->node[n].len_bytes, slot, res};
	q->head = s->node[n].next;
	s->node[n].next = s->free_node;
	s->free_node = n;
	s->n_free++;
	s->n_packets--;
	q->n_packets--;
	q->n_bytes -= sent->len_bytes;
	q->sent_packets++;
	q->sent_bytes += sent->len_bytes;
	bucket_settle(&s->line, now);
	bucket_take(&s->line, sent->len_bytes);
	sched_limits_take(s, q, sent->len_bytes, now);
	sched_charge(s, slot, res, sent->len_bytes);
	return sent;
}

void sched_unsend(struct sched *s, struct rte_mbuf **m, uint16_t n)
{
	while (n-- > 0) {
		struct sched_sent sent = {.m = m[n], .len_bytes = rte_pktmbuf_pkt_len(m[n]), .res = SCHED_NONE};
		struct sched_queue *q;

		if (s->n_sent > 0 && s->sent[s->n_sent - 1].m == m[n])
			sent = s->sent[--s->n_sent];
		q = &s->queue[sent.slot];
		put_back(s, sent.slot, m[n], sent.len_bytes);
		q->sent_packets--;
		q->sent_bytes -= sent.len_bytes;
		bucket_give(&s->line, sent.len_bytes);
		sched_refund(s, sent.slot, sent.res, sent.len_bytes);
	}
}

static void put_back(struct sched *s, uint16_t slot, struct rte_mbuf *m, uint32_t len_bytes)
{
	struct sched_queue *q = &s->queue[slot];
	uint32_t n = node_get(s, m, len_bytes);

	s->node[n].next = q->head;
	if (q->head == SCHED_NO_NODE)
		q->tail = n;
	q->head = n;
	q->n_packets++;
	q->n_bytes += len_bytes;
	s->n_packets++;
}

bool sched_may_bypass(const struct sched *s, uint32_t class)
{
	const struct sched_queue *q = &s->queue[slot_of(s, class)];

	if (s->line.rate_bps != 0 || s->queue[SCHED_BEST_EFFORT].n_packets != 0 || class == SCHED_POLICED)
		return false;
	return q->n_limits == 0 && q->n_packets == 0;
}

uint32_t sched_backlog_packets(const struct sched *s)
{
	return s->n_packets;
}

uint64_t sched_next_tsc(const struct sched *s, uint64_t now_tsc)
{
	uint64_t now = s->limits->now, at;

	if (s->n_packets == 0)
		return UINT64_MAX;
	if (now_tsc > s->limits->last_tsc)
		now += now_tsc - s->limits->last_tsc;
	at = s->ring != SCHED_NONE || s->due.n > 0 ? now : s->opening.entry[0].key;
	if (at == BUCKET_NEVER)
		return UINT64_MAX;
	if (s->line.rate_bps != 0)
		at = RTE_MAX(at, bucket_opens_at(&s->line));
	return at > now ? at - now : 0;
}

void sched_class_stats(const struct sched *s, uint32_t class, struct sched_class_stats *out)
{
	const struct sched_queue *q = &s->queue[slot_of(s, class)];

	*out = (struct sched_class_stats){0};
	if (!sched_class_is_live(s, class))
		return;
	*out = (struct sched_class_stats){
		.packets = q->sent_packets,
		.bytes = q->sent_bytes,
		.dropped_packets = q->dropped_packets,
		.dropped_bytes = q->dropped_bytes,
		.backlog_packets = q->n_packets,
		.backlog_bytes = q->n_bytes,
	};
}

void sched_stats(const struct sched *s, struct sched_stats *out)
{
	*out = (struct sched_stats){
		.n_classes = s->n_classes, .n_classes_max = SCHED_CLASSES_MAX, .pool_full = s->pool_full};
}
