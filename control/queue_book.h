// SPDX-License-Identifier: Apache-2.0
// The queues of the dataplane's ports, as it told of them last (dataplane/proto.h, QUEUES): what leaves, waits and is
// lost in each. A round of a port shows when it is complete. Owner: the nib. Thread: control only.
#pragma once
#include <stdint.h>

#include "dataplane/proto.h"

#define QUEUE_PORTS_MAX 256

struct queue_book;

struct queue_entry {
	struct proto_queue told;
	uint64_t rate_bps; // sent, between the last two rounds
	uint64_t drop_pps; // likewise, for whatever reason
};

struct queue_port {
	const struct queue_entry *entry; // ascending by what names them; valid until the next message
	uint32_t n;
	struct proto_port_queues told;
	uint64_t late_us; // by so much held_back_us grew in the last round
};

struct queue_book *queue_book_create(void);       // NULL: no memory
void queue_book_destroy(struct queue_book *book); // accepts NULL
// A message came; true: the port's round is complete. Out of memory: what there is no room for is left out of the
// round. Ports from QUEUE_PORTS_MAX on are not kept.
bool queue_book_tell(struct queue_book *book, const struct proto_queues *queues);
void queue_book_forget(struct queue_book *book); // the dataplane is gone
// Of a port of which nothing was told: no queues.
struct queue_port queue_book_port(const struct queue_book *book, uint16_t port);
