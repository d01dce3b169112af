// SPDX-License-Identifier: Apache-2.0
// Accepted requests that have not started, by start: a binary heap of numbers. What has no future start is never in it.
// Owner: struct state. Thread: control only. Time: ns since the epoch.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct request_book;

struct start_queue {
	struct start_entry {
		int64_t start_ns;
		uint64_t id;
	} * heap;
	size_t n, cap;
	size_t n_gone; // of requests that ended before they started: skipped when their turn comes, swept when many
};

void start_queue_fini(struct start_queue *q);
int start_queue_prepare(struct start_queue *q); // so that the next add cannot fail; 0 or -ENOMEM
void start_queue_add(struct start_queue *q, int64_t start_ns, uint64_t id); // room has been prepared
// A request in the queue has ended; it is out of the book.
void start_queue_gone(struct start_queue *q, const struct request_book *book);
int64_t start_queue_next(const struct start_queue *q); // INT64_MAX: never; may be that of one that is gone
// Takes out the first that starts at or before now_ns. 0: there is none.
uint64_t start_queue_take(struct start_queue *q, int64_t now_ns);
