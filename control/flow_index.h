// SPDX-License-Identifier: Apache-2.0
// Finds the accepted requests that one from or to a single host can meet without asking all: boxes hang in hash tables
// by source and destination where those are single hosts. Owner: the share tree. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "hft/match.h"

struct request;
struct flow_index;

struct flow_entry { // of one box of a request; an array in the request
	struct request *request;
	uint32_t box, hash;           // of the hosts: whose differs is not looked at
	LIST_ENTRY(flow_entry) whole; // by both ends, a wide one standing for itself
	LIST_ENTRY(flow_entry)
	half[2]; // between two hosts: by the source, by the destination; [0] of a box with one
		 // host: among all such
};

struct flow_index *flow_index_create(void); // NULL: out of memory
void flow_index_destroy(struct flow_index *index);

struct flow_entry *flow_index_prepare(struct flow_index *index,
				      uint32_t n_boxes);          // freed by the request; NULL: no memory
void flow_index_add(struct flow_index *index, struct request *r); // with its entries prepared
void flow_index_remove(struct flow_index *index, struct request *r);

uint64_t flow_index_mark(struct flow_index *index); // never the same twice, never 0: for request->mark
// An end of the box is a single host, so flow_index_each need not ask all.
bool flow_index_covers(const struct box *box);
// Calls fn for each box of a request (its number there) that overlaps this one until it returns non-zero: that is
// returned, otherwise 0; -E2BIG once *work, which counts the comparisons, is over REGION_WORK_MAX. Between two hosts it
// asks those that have one of these hosts, or none; of one host, those that have it, and those that have another one at
// the other end only.
int flow_index_each(struct flow_index *index, const struct box *box, uint64_t *work,
		    int (*fn)(void *ctx, struct request *r, uint32_t idx), void *ctx);
