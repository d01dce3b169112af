// SPDX-License-Identifier: Apache-2.0
// What the owner says of its classes to another thread: a ring of values, so that packets never write what others read.
#include "sched_live.h"

#define ROUNDS_PER_S 1
#define TOLD_AT_ONCE 16 // 65,536 classes take some seconds
#define LOOKED_AT_ONCE 256

static void tell_meters(const struct sched *s, const struct sched_queue *q, struct sched_told *t)
{
	const uint32_t *reservation = sched_reservations(s, q), *limit = sched_limit_slots(s, q);

	t->n_reservations = t->n_limits = 0;
	for (unsigned int i = 0; i < q->n_reservations; i++) {
		if (s->res_more[reservation[i]].id != 0)
			t->reservation[t->n_reservations++] = s->res_more[reservation[i]].id;
	}
	for (unsigned int i = 0; i < q->n_limits; i++) {
		if (s->limits->limit[limit[i]].id != 0)
			t->limit[t->n_limits++] = s->limits->limit[limit[i]].id;
	}
}

static void tell_class(struct sched *s, uint32_t slot, struct sched_told *t)
{
	struct sched_queue *q = &s->queue[slot];

	t->class = sched_class_name(s, slot);
	t->share = s->tree[q->set_node].used ? s->tree[q->set_node].share : 0;
	tell_meters(s, q, t);
	sched_class_stats(s, t->class, &t->of_class);
	memset(q->delay, 0, sizeof(q->delay));
}

static void tell_queue(const struct sched *s, struct sched_told *t)
{
	t->class = SCHED_TOLD_QUEUE;
	sched_stats(s, &t->of_queue);
}

void sched_tell(struct sched *s, uint64_t now_tsc)
{
	struct sched_telling *t = s->telling;
	uint64_t now = sched_clock(s->limits, now_tsc);
	uint32_t head = atomic_load_explicit(&t->head, memory_order_relaxed), n = 0;
	uint32_t room = SCHED_TOLD_MAX - (head - atomic_load_explicit(&t->tail, memory_order_acquire));

	sched_class_sweep(s, now); // also of a queue where nothing waits
	room = RTE_MIN(room, (uint32_t)TOLD_AT_ONCE);
	if (room == 0 || (t->slot == 0 && now < t->next_at))
		return;
	if (t->slot == 0)
		t->next_at = now + s->tsc_hz / ROUNDS_PER_S;
	for (unsigned int looked = 0; n < room && looked < LOOKED_AT_ONCE; looked++) {
		struct sched_told *told = &t->told[(head + n) % SCHED_TOLD_MAX];

		told->now_tsc = now_tsc;
		if (t->slot >= s->n_fresh_classes) {
			tell_queue(s, told);
			n++;
			t->slot = 0;
			break;
		}
		if (s->queue[t->slot].used) {
			tell_class(s, t->slot, told);
			n++;
		}
		t->slot++;
	}
	atomic_store_explicit(&t->head, head + n, memory_order_release);
}

bool sched_next_told(struct sched *s, struct sched_told *out)
{
	struct sched_telling *t = s->telling;
	uint32_t tail = atomic_load_explicit(&t->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&t->head, memory_order_acquire))
		return false;
	*out = t->told[tail % SCHED_TOLD_MAX];
	atomic_store_explicit(&t->tail, tail + 1, memory_order_release);
	return true;
}
