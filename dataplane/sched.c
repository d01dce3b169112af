// SPDX-License-Identifier: Apache-2.0
#include "sched.h"

#include <assert.h>
#include <errno.h>

#include <sys/mman.h>

#include "sched_live.h"

#define PACKETS_DEFAULT 65536
#define QUEUE_BYTES_MIN (64 * 1024)
#define CLASS_PACKETS_MAX 16384
#define LINE_BURST_PER_S 5000 // 200 us: the worker may wake that late and still fill the line
#define LAG_PER_S 100         // 10 ms
#define RETRY_PER_S 20000     // 50 us, before a device that took nothing is asked again
#define WIDE_PART 4           // of the classes one in so many may have more than one reservation or limit
#define PIECE_ALIGN 64

static bool map_memory(struct sched *s);
static void init(struct sched *s, const struct sched_conf *conf);
static void set_clock(struct sched *s, uint64_t now);
static uint32_t packet_get(struct sched *s, struct rte_mbuf *m, uint32_t len_bytes, uint32_t time);
static bool police(struct sched *s, uint32_t len_bytes, uint64_t now);
static uint32_t send_one(struct sched *s, uint32_t slot, uint32_t res, bool is_paid, uint64_t now);
static void count_delay(struct sched_queue *q, unsigned int step);
static uint16_t give_returned(struct sched *s, struct rte_mbuf **out, uint16_t max);
static uint16_t give_direct(struct sched *s, struct rte_mbuf **out, uint16_t max);

struct sched *sched_create(const struct sched_conf *conf, struct sched_limits *limits, struct err *err)
{
	struct sched *s = sched_create_apart(conf, limits, err);

	if (s != NULL)
		sched_join(s);
	return s;
}

struct sched *sched_create_apart(const struct sched_conf *conf, struct sched_limits *limits, struct err *err)
{
	struct sched *s = NULL, head = {.limits = limits};

	head.packets_max = conf->packets_max != 0 ? conf->packets_max : PACKETS_DEFAULT;
	head.classes_max = conf->classes_max != 0 ? conf->classes_max : SCHED_CLASSES_MAX;
	head.classes_max = RTE_MIN(head.classes_max, (uint32_t)SCHED_CLASSES_MAX);
	if (!map_memory(&head)) {
		err_set(err, ENOMEM, "scheduler: no memory for a queue of %u packets and %u classes", head.packets_max,
			head.classes_max);
		return NULL;
	}
	s = head.base;
	*s = head;
	init(s, conf);
	return s;
}

void sched_join(struct sched *s)
{
	s->number = ++s->limits->last_number;
	set_clock(s, s->limits->now);
	s->next_queue = s->limits->queues;
	s->limits->queues = s;
}

void sched_leave(struct sched *s)
{
	for (struct sched **at = &s->limits->queues; *at != NULL; at = &(*at)->next_queue) {
		if (*at == s) {
			*at = s->next_queue;
			break;
		}
	}
}

// Gives a piece of the mapping, or counts what it will take while there is none.
static void *piece(char *base, size_t *used, size_t size)
{
	void *at = base == NULL ? NULL : base + *used;

	*used += (size + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
	return at;
}

static size_t lay_out(struct sched *s, char *base)
{
	size_t used = (sizeof(*s) + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);

	s->queue = piece(base, &used, s->classes_max * sizeof(s->queue[0]));
	s->wide = piece(base, &used, (s->n_wide_max + 1) * sizeof(s->wide[0]));
	s->chain = piece(base, &used, (s->chain_mask + 1) * sizeof(s->chain[0]));
	s->stats.bytes_per_class = (used - sizeof(*s)) / s->classes_max;
	s->n_users = piece(base, &used, SCHED_METERS_MAX * sizeof(s->n_users[0]));
	s->res = piece(base, &used, SCHED_METERS_MAX * sizeof(s->res[0]));
	s->res_more = piece(base, &used, SCHED_METERS_MAX * sizeof(s->res_more[0]));
	s->gate = piece(base, &used, SCHED_METERS_MAX * sizeof(s->gate[0]));
	s->tree = piece(base, &used, SCHED_TREE_NODES * sizeof(s->tree[0]));
	s->kid = piece(base, &used, 2 * SCHED_TREE_NODES * sizeof(s->kid[0]));
	s->calendar = piece(base, &used, (size_t)SCHED_TREE_NODES * SCHED_WEIGHT_GROUPS * sizeof(s->calendar[0]));
	s->flow = piece(base, &used, SCHED_FLOWS * sizeof(s->flow[0]));
	s->flow_lists = piece(base, &used, SCHED_NODES_MAX * sizeof(s->flow_lists[0]));
	s->packet = piece(base, &used, ((size_t)s->packets_max + 1) * sizeof(s->packet[0]));
	s->telling = piece(base, &used, sizeof(*s->telling));
	return used;
}

// From the kernel, not from the EAL's heap: it costs memory only where it has been used, and zeroed is empty.
static bool map_memory(struct sched *s)
{
	void *base;

	s->n_wide_max = s->classes_max / WIDE_PART;
	s->chain_mask = 1;
	while (s->chain_mask < s->classes_max)
		s->chain_mask = s->chain_mask << 1 | 1;
	s->n_bytes_mapped = lay_out(s, NULL);
	base = mmap(NULL, s->n_bytes_mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (base == MAP_FAILED)
		return false;
	lay_out(s, base);
	s->base = base;
	return true;
}

static void init(struct sched *s, const struct sched_conf *conf)
{
	s->tsc_hz = conf->tsc_hz;
	s->virtual_now = SCHED_START_TSC;
	s->lag_ticks = conf->tsc_hz / LAG_PER_S;
	s->mtu_bytes = conf->mtu_bytes;
	s->queue_bytes_min = conf->queue_bytes_min != 0 ? conf->queue_bytes_min : QUEUE_BYTES_MIN;
	s->line.rate_bps = conf->rate_bps;
	set_clock(s, SCHED_START_TSC);
	s->n_free = s->packets_max;
	s->free_packet = SCHED_NO_PACKET;
	wheel_init(&s->ready, s->res, sizeof(s->res[0]), s->virtual_now);
	wheel_init(&s->future, s->res, sizeof(s->res[0]), s->virtual_now);
	s->stats.n_classes_max = s->classes_max;
	s->stats.bytes_per_meter =
		sizeof(s->res[0]) + sizeof(s->res_more[0]) + sizeof(s->gate[0]) + sizeof(s->n_users[0]);
	sched_flow_init(s);
	sched_excess_init(s);
	sched_class_init(s);
}

// Of a queue that is empty.
static void set_clock(struct sched *s, uint64_t now)
{
	struct bucket *line = &s->line;

	s->last_now = now;
	bucket_init(line, line->rate_bps, s->tsc_hz, now);
	line->burst_ticks = RTE_MAX(2 * bucket_cost(line, s->mtu_bytes), s->tsc_hz / LINE_BURST_PER_S);
	wheel_init(&s->opening, s->gate, sizeof(s->gate[0]), now);
}

void sched_destroy(struct sched *s)
{
	uint32_t limit[64], n;

	if (s == NULL)
		return;
	sched_leave(s);
	while ((n = sched_take_waits(s, limit, RTE_DIM(limit))) > 0)
		sched_limits_forget(s->limits, limit, n);
	for (uint32_t i = 0; i < s->n_fresh; i++) {
		if (s->packet[i].len_bytes != 0)
			rte_pktmbuf_free(sched_mbuf(&s->packet[i]));
	}
	rte_pktmbuf_free_bulk(s->returned + s->first_returned, s->n_returned);
	rte_pktmbuf_free_bulk(s->direct + s->first_direct, s->n_direct);
	munmap(s, s->n_bytes_mapped);
}

static uint32_t slot_of(const struct sched *s, uint32_t class)
{
	return sched_class_is_live(s, class) ? class & ((1U << SCHED_SLOT_BITS) - 1) : SCHED_BEST_EFFORT;
}

// Buffers are shared: a class may hold as many as are still free, so some always are for a class that held none.
static bool has_buffers(const struct sched *s, const struct sched_queue *q)
{
	return s->n_free > 0 && q->n_packets <= s->n_free && q->n_packets < CLASS_PACKETS_MAX;
}

static bool refuse(struct sched_queue *q, uint32_t len_bytes, enum sched_drop why)
{
	q->dropped[why]++;
	q->dropped_bytes += len_bytes;
	return false;
}

// Nobody else wants the line, and neither it nor a limit is shut: the packet would be the next to leave.
static bool may_go_directly(const struct sched *s, const struct sched_queue *q, uint32_t class, uint64_t now)
{
	const uint32_t *limit = sched_limit_slots(s, q);

	if (s->n_active != 0 || q->state != SCHED_QUEUE_IDLE || s->n_returned != 0 || class == SCHED_POLICED ||
	    s->first_direct + s->n_direct == SCHED_BURST_MAX)
		return false;
	if (s->line.rate_bps != 0 && bucket_opens_at(&s->line) > now)
		return false;
	for (unsigned int i = 0; i < q->n_limits; i++) {
		const struct sched_limit *l = &s->limits->limit[limit[i]];

		if (l->n_waiting != 0 || l->bucket.ticks_per_byte == BUCKET_NEVER ||
		    bucket_opens_at(&l->bucket) + l->kept_ticks > now)
			return false;
	}
	return true;
}

static void go_directly(struct sched *s, struct sched_queue *q, struct rte_mbuf *m, uint32_t len_bytes, uint64_t now)
{
	const uint32_t *limit = sched_limit_slots(s, q);

	q->sent_packets++;
	q->sent_bytes += len_bytes;
	count_delay(q, 0);
	bucket_settle(&s->line, now);
	bucket_take(&s->line, len_bytes);
	for (unsigned int i = 0; i < q->n_limits; i++)
		sched_limit_take(s, limit[i], len_bytes, now);
	s->direct[s->first_direct + s->n_direct++] = m;
}

bool sched_enqueue(struct sched *s, struct rte_mbuf *m, uint32_t class, uint32_t flow_hash, uint64_t now_tsc)
{
	uint32_t slot = slot_of(s, class), len_bytes = rte_pktmbuf_pkt_len(m), id;
	struct sched_queue *q = &s->queue[slot];
	uint64_t now = sched_clock(s->limits, now_tsc);

	q->touched = true;
	if (may_go_directly(s, q, class, now)) {
		go_directly(s, q, m, len_bytes, now);
		return true;
	}
	if (!has_buffers(s, q))
		return refuse(q, len_bytes, SCHED_DROP_BUFFERS);
	if (!q->has_flows && (q->n_bytes + len_bytes) >> SCHED_ROOM_SHIFT > q->room)
		return refuse(q, len_bytes, SCHED_DROP_FULL);
	if (class == SCHED_POLICED && !police(s, len_bytes, now))
		return refuse(q, len_bytes, SCHED_DROP_POLICED);
	id = packet_get(s, m, len_bytes, (uint32_t)(now >> SCHED_TIME_SHIFT));
	if (q->has_flows) {
		if (!sched_flow_enqueue(s, slot, id, flow_hash)) {
			sched_packet_free(s, id);
			return refuse(q, len_bytes, SCHED_DROP_FULL);
		}
	} else if (q->head == SCHED_NO_PACKET) {
		q->head = id;
		q->tail = id;
	} else {
		s->packet[q->tail].next = id;
		q->tail = id;
	}
	q->n_packets++;
	q->n_bytes += len_bytes;
	s->n_packets++;
	if (q->state == SCHED_QUEUE_IDLE) {
		sched_served(q, now);
		sched_virtual_clock(s, now);
		sched_activate(s, slot);
	}
	return true;
}

// A packet that has no class takes its limits' tokens at once, or has to go.
static bool police(struct sched *s, uint32_t len_bytes, uint64_t now)
{
	for (unsigned int i = 0; i < s->policed.n_limits; i++) {
		if (sched_limit_opens_at(s, s->policed.limit[i], false) > now)
			return false;
	}
	for (unsigned int i = 0; i < s->policed.n_limits; i++)
		sched_limit_take(s, s->policed.limit[i], len_bytes, now);
	return true;
}

static uint32_t packet_get(struct sched *s, struct rte_mbuf *m, uint32_t len_bytes, uint32_t time)
{
	uint32_t id = s->free_packet;
	struct sched_packet *p;

	assert(s->n_free > 0 && len_bytes <= UINT16_MAX);
	if (id == SCHED_NO_PACKET)
		id = s->n_fresh++;
	else
		s->free_packet = s->packet[id].next;
	p = &s->packet[id];
	s->n_free--;
	p->m = (uintptr_t)m & 0xffffffffffff;
	p->len_bytes = len_bytes & 0xffff;
	p->next = SCHED_NO_PACKET;
	p->time = time;
	return id;
}

uint32_t sched_packet_free(struct sched *s, uint32_t packet)
{
	uint32_t next = s->packet[packet].next;

	s->packet[packet].next = s->free_packet;
	s->packet[packet].len_bytes = 0;
	s->free_packet = packet;
	s->n_free++;
	return next;
}

// A queued packet; its buffer is still to be freed by the caller (sched_packet_free).
void sched_drop(struct sched *s, struct sched_queue *q, uint32_t packet, enum sched_drop why)
{
	const struct sched_packet *p = &s->packet[packet];

	q->n_packets--;
	q->n_bytes -= p->len_bytes;
	q->dropped[why]++;
	q->dropped_bytes += p->len_bytes;
	s->n_packets--;
	s->stats.dropped_inside++;
	s->stats.dropped_inside_bytes += p->len_bytes;
	rte_pktmbuf_free(sched_mbuf(p));
}

uint16_t sched_dequeue(struct sched *s, struct rte_mbuf **out, uint16_t max, uint64_t now_tsc)
{
	uint64_t now = sched_clock(s->limits, now_tsc);
	uint32_t slot, res = 0;
	uint16_t n;

	max = RTE_MIN(max, (uint16_t)SCHED_BURST_MAX);
	n = give_returned(s, out, max);
	n += give_direct(s, out + n, max - n);
	sched_virtual_clock(s, now);
	sched_wake(s, now);
	sched_class_sweep(s, now);
	while (n < max && (s->line.rate_bps == 0 || bucket_opens_at(&s->line) <= now)) {
		bool is_paid = sched_res_pick(s, now, &slot, &res);
		uint32_t id;

		if (!is_paid && !sched_excess_pick(s, now, &slot))
			break;
		id = send_one(s, slot, res, is_paid, now);
		if (id == SCHED_NO_PACKET)
			continue; // CoDel dropped the last it had
		out[n++] = sched_mbuf(&s->packet[id]);
		sched_packet_free(s, id);
	}
	return n;
}

static uint16_t give_returned(struct sched *s, struct rte_mbuf **out, uint16_t max)
{
	uint16_t n = (uint16_t)RTE_MIN(s->n_returned, (uint32_t)max);

	if (likely(n == 0))
		return 0;
	memcpy(out, s->returned + s->first_returned, n * sizeof(out[0]));
	s->first_returned += n;
	s->n_returned -= n;
	return n;
}

static uint16_t give_direct(struct sched *s, struct rte_mbuf **out, uint16_t max)
{
	uint16_t n = (uint16_t)RTE_MIN(s->n_direct, (uint32_t)max);

	memcpy(out, s->direct + s->first_direct, n * sizeof(out[0]));
	s->n_direct -= n;
	s->first_direct = s->n_direct == 0 ? 0 : s->first_direct + n;
	return n;
}

static unsigned int delay_step(const struct sched *s, uint32_t time)
{
	uint64_t us = time * s->us_per_time >> 32;
	unsigned int log;

	if (us < 8)
		return 0;
	log = (unsigned int)(63 - __builtin_clzll(us));
	log = 2 * (log - 3) + 1 + (us >> (log - 1) & 1);
	return RTE_MIN(log, SCHED_DELAY_STEPS - 1U);
}

static void count_delay(struct sched_queue *q, unsigned int step)
{
	if (unlikely(++q->delay[step] == UINT16_MAX)) {
		for (unsigned int i = 0; i < SCHED_DELAY_STEPS; i++)
			q->delay[i] /= 2;
	}
}

static void record(const struct sched *s, struct sched_queue *q, const struct sched_packet *p, uint64_t now)
{
	q->sent_packets++;
	q->sent_bytes += p->len_bytes;
	count_delay(q, delay_step(s, (uint32_t)(now >> SCHED_TIME_SHIFT) - p->time));
}

static uint32_t send_one(struct sched *s, uint32_t slot, uint32_t res, bool is_paid, uint64_t now)
{
	struct sched_queue *q = &s->queue[slot];
	uint32_t id = q->head, len_bytes = 0;
	const uint32_t *limit = sched_limit_slots(s, q);

	if (q->has_flows) {
		id = sched_flow_dequeue(s, slot, (uint32_t)(now >> SCHED_TIME_SHIFT));
	} else {
		q->head = s->packet[id].next;
		rte_prefetch0(sched_mbuf(&s->packet[id])); // who sends it, looks at it
	}
	if (likely(id != SCHED_NO_PACKET)) {
		len_bytes = s->packet[id].len_bytes;
		q->n_packets--;
		q->n_bytes -= len_bytes;
		s->n_packets--;
		record(s, q, &s->packet[id], now);
		sched_served(q, now);
		bucket_settle(&s->line, now);
		bucket_take(&s->line, len_bytes);
		for (unsigned int i = 0; i < q->n_limits; i++)
			sched_limit_take(s, limit[i], len_bytes, now);
	}
	if (is_paid) {
		sched_release_limits(s, slot);
		sched_res_charge(s, res, len_bytes);
	} else {
		sched_excess_charge(s, slot, len_bytes);
	}
	if (q->n_packets == 0)
		sched_deactivate(s, slot);
	if (is_paid)
		sched_res_place(s, res);
	return id;
}

void sched_unsend(struct sched *s, struct rte_mbuf **m, uint16_t n)
{
	assert(s->n_returned + n <= SCHED_BURST_MAX);
	if (s->first_returned < n) {
		memmove(s->returned + n, s->returned + s->first_returned, s->n_returned * sizeof(m[0]));
		s->first_returned = n;
	}
	s->first_returned -= n;
	memcpy(s->returned + s->first_returned, m, n * sizeof(m[0]));
	s->n_returned += n;
	s->retry_at = s->limits->now + s->tsc_hz / RETRY_PER_S;
}

bool sched_may_bypass(const struct sched *s, uint32_t class)
{
	const struct sched_queue *q = &s->queue[slot_of(s, class)];

	if (s->line.rate_bps != 0 || s->queue[SCHED_BEST_EFFORT].n_packets != 0 || s->n_returned != 0 ||
	    s->n_direct != 0 || class == SCHED_POLICED)
		return false;
	return q->n_limits == 0 && q->n_packets == 0;
}

void sched_count_bypass(struct sched *s, uint32_t class, uint32_t len_bytes)
{
	struct sched_queue *q = &s->queue[slot_of(s, class)];

	q->touched = true;
	q->sent_packets++;
	q->sent_bytes += len_bytes;
}

uint32_t sched_backlog_packets(const struct sched *s)
{
	return s->n_packets + s->n_returned + s->n_direct;
}

uint64_t sched_next_tsc(const struct sched *s, uint64_t now_tsc)
{
	uint64_t now = s->limits->now, at;

	if (s->n_direct != 0 && s->n_returned == 0)
		return 0;
	if (s->n_packets + s->n_returned == 0)
		return UINT64_MAX;
	if (now_tsc > s->limits->last_tsc)
		now += now_tsc - s->limits->last_tsc;
	at = s->n_active != 0 ? now : wheel_next(&s->opening);
	if (s->n_returned != 0)
		at = s->retry_at;
	if (at == UINT64_MAX)
		return UINT64_MAX;
	if (s->line.rate_bps != 0)
		at = RTE_MAX(at, bucket_opens_at(&s->line));
	return at > now ? at - now : 0;
}

void sched_prefetch(const struct sched *s, const uint32_t *class, uint16_t n)
{
	const uint32_t mask = (1U << SCHED_SLOT_BITS) - 1;

	for (uint16_t i = 0; i < n; i++) {
		const char *q = (const char *)&s->queue[class[i] & mask];

		rte_prefetch0(q);
		rte_prefetch0(q + RTE_CACHE_LINE_SIZE);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct sched_queue *q = &s->queue[class[i] & mask];

		if (q->n_limits != 0 && !q->is_wide)
			rte_prefetch0(&s->limits->limit[q->limit]);
		if (q->n_packets != 0)
			rte_prefetch0(&s->packet[q->tail]);
		if (s->n_active != 0 && q->n_packets == 0 && q->n_reservations != 0 && !q->is_wide) {
			rte_prefetch0(&s->res[q->reservation]);
			rte_prefetch0(&s->res_more[q->reservation]);
		}
	}
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
		.dropped_bytes = q->dropped_bytes,
		.marked = q->marked,
		.backlog_packets = q->n_packets,
		.backlog_bytes = q->n_bytes,
	};
	for (unsigned int i = 0; i < SCHED_N_DROPS; i++)
		out->dropped[i] = q->dropped[i];
	memcpy(out->delay, q->delay, sizeof(out->delay));
}

void sched_stats(const struct sched *s, struct sched_stats *out)
{
	*out = s->stats;
	out->n_classes = s->n_classes;
	out->held_back_us = (uint64_t)((unsigned __int128)s->held_back_ticks * 1000000 / s->tsc_hz);
}

uint64_t sched_new_drops(struct sched *s)
{
	uint64_t n = s->stats.dropped_inside - s->drops_told;

	s->drops_told += n;
	return n;
}

uint64_t sched_delay_us(const struct sched_class_stats *stats, unsigned int permille)
{
	uint64_t all = 0, below = 0;

	for (unsigned int i = 0; i < SCHED_DELAY_STEPS; i++)
		all += stats->delay[i];
	for (unsigned int i = 0; i < SCHED_DELAY_STEPS && all > 0; i++) {
		below += stats->delay[i];
		if (below * 1000 >= all * permille) // the end of step i: 8, 12, 16, 24, 32, ... us
			return i % 2 == 0 ? 8ULL << i / 2 : 12ULL << i / 2;
	}
	return 0;
}
