// SPDX-License-Identifier: Apache-2.0
#include "sched_log.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct reader {
	_Alignas(64) _Atomic uint64_t tail; // reader writes: changes taken so far
};

struct sched_log {
	_Alignas(64) _Atomic uint64_t head; // writer writes: changes appended so far
	uint64_t tail_seen;                 // writer only: no reader was behind this
	uint32_t n_readers;
	struct reader reader[SCHED_LOG_READERS];
	struct sched_change change[SCHED_LOG_CHANGES]; // [number % SCHED_LOG_CHANGES]
};

static_assert((SCHED_LOG_CHANGES & (SCHED_LOG_CHANGES - 1)) == 0, "a power of two");

struct sched_log *sched_log_create(uint32_t n_readers, struct err *err)
{
	struct sched_log *log;

	if (n_readers == 0 || n_readers > SCHED_LOG_READERS) {
		err_set(err, EINVAL, "scheduler: %u readers of changes, at most %d", n_readers, SCHED_LOG_READERS);
		return NULL;
	}
	log = aligned_alloc(_Alignof(struct sched_log), sizeof(*log));
	if (log == NULL) {
		err_set(err, ENOMEM, "scheduler: no memory for the ring of changes");
		return NULL;
	}
	atomic_init(&log->head, 0);
	log->tail_seen = 0;
	log->n_readers = n_readers;
	for (uint32_t i = 0; i < SCHED_LOG_READERS; i++)
		atomic_init(&log->reader[i].tail, 0);
	return log;
}

void sched_log_destroy(struct sched_log *log)
{
	free(log);
}

uint32_t sched_log_room(struct sched_log *log)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed), slowest = head;

	for (uint32_t i = 0; i < log->n_readers; i++) {
		uint64_t tail = atomic_load_explicit(&log->reader[i].tail, memory_order_acquire);

		slowest = tail < slowest ? tail : slowest;
	}
	log->tail_seen = slowest;
	return (uint32_t)(SCHED_LOG_CHANGES - (head - slowest));
}

int sched_log_append(struct sched_log *log, const struct sched_change *change)
{
	uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);

	if (head - log->tail_seen == SCHED_LOG_CHANGES && sched_log_room(log) == 0)
		return -EAGAIN;
	log->change[head % SCHED_LOG_CHANGES] = *change;
	atomic_store_explicit(&log->head, head + 1, memory_order_release);
	return 0;
}

uint32_t sched_log_read(struct sched_log *log, uint32_t reader, struct sched_change *out, uint32_t max)
{
	uint64_t tail = atomic_load_explicit(&log->reader[reader].tail, memory_order_relaxed);
	uint64_t left = atomic_load_explicit(&log->head, memory_order_acquire) - tail;
	uint32_t n = left < max ? (uint32_t)left : max;

	for (uint32_t i = 0; i < n; i++)
		out[i] = log->change[(tail + i) % SCHED_LOG_CHANGES];
	if (n > 0)
		atomic_store_explicit(&log->reader[reader].tail, tail + n, memory_order_release);
	return n;
}

bool sched_log_is_read(const struct sched_log *log, uint32_t reader)
{
	return atomic_load_explicit(&log->reader[reader].tail, memory_order_acquire) ==
	       atomic_load_explicit(&log->head, memory_order_acquire);
}
