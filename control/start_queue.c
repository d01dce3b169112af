// SPDX-License-Identifier: Apache-2.0
#include "start_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

#define SWEEP_MIN 64 // entries under which a sweep is not worth it

void start_queue_fini(struct start_queue *q)
{
	free(q->heap);
	memset(q, 0, sizeof(*q));
}

int start_queue_prepare(struct start_queue *q)
{
	size_t cap = q->cap == 0 ? 64 : q->cap * 2;
	struct start_entry *heap;

	if (q->n < q->cap)
		return 0;
	heap = realloc(q->heap, cap * sizeof(*heap));
	if (heap == NULL)
		return -ENOMEM;
	q->heap = heap;
	q->cap = cap;
	return 0;
}

// Requests that start together do so in the order of their numbers.
static bool before(const struct start_entry *a, const struct start_entry *b)
{
	return a->start_ns != b->start_ns ? a->start_ns < b->start_ns : a->id < b->id;
}

static void sink_down(struct start_queue *q, size_t i, struct start_entry entry)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < q->n && before(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (child >= q->n || !before(&q->heap[child], &entry))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	q->heap[i] = entry;
}

void start_queue_add(struct start_queue *q, int64_t start_ns, uint64_t id)
{
	struct start_entry entry = {start_ns, id};
	size_t i = q->n++;

	assert(q->n <= q->cap);
	for (; i > 0 && before(&entry, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = entry;
}

void start_queue_gone(struct start_queue *q, const struct request_book *book)
{
	size_t kept = 0;

	if (++q->n_gone * 2 < q->n || q->n < SWEEP_MIN)
		return;
	for (size_t i = 0; i < q->n; i++)
		if (request_find(book, q->heap[i].id) != NULL)
			q->heap[kept++] = q->heap[i];
	q->n = kept;
	q->n_gone = 0;
	for (size_t i = kept / 2; i-- > 0;)
		sink_down(q, i, q->heap[i]);
}

int64_t start_queue_next(const struct start_queue *q)
{
	return q->n == 0 ? INT64_MAX : q->heap[0].start_ns;
}

uint64_t start_queue_take(struct start_queue *q, int64_t now_ns)
{
	uint64_t id;

	if (q->n == 0 || q->heap[0].start_ns > now_ns)
		return 0;
	id = q->heap[0].id;
	q->n--;
	if (q->n > 0)
		sink_down(q, 0, q->heap[q->n]);
	if (q->n_gone > q->n)
		q->n_gone = q->n;
	return id;
}
