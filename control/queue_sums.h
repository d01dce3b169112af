// SPDX-License-Identifier: Apache-2.0
// What the queues of all ports (queue_book.h) come to for each request and each share. A queue that several requests
// draw on counts for each of them. A share has the queues of its scheduling node and those of its requests, and of the
// shares below it, each once. Thread: control only.
#pragma once
#include "dataplane/proto.h"
#include "state.h"

struct queue_sums;

struct queue_sum {
	uint64_t id; // request or share number
	uint32_t n_queues;
	uint64_t rate_bps, backlog_bytes, dropped, marked;
	uint32_t delay_us[PROTO_QUEUE_PERCENTILES]; // of the queue where it is longest
	uint64_t promised_bps;                      // by all reservations in force of a share and those below it
};

struct queue_sums *queue_sums_create(const struct state *s); // NULL: no memory; good until s changes
void queue_sums_destroy(struct queue_sums *sums);            // accepts NULL
// All zero but the id where there is none.
struct queue_sum queue_sums_request(const struct queue_sums *sums, uint64_t id);
struct queue_sum queue_sums_share(const struct queue_sums *sums, const struct share *share);
