// SPDX-License-Identifier: Apache-2.0
// Finds the accepted requests that one between two hosts can meet without asking all: boxes hang in a hash table by
// source and destination where those are single hosts. Owner: the share tree. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"

struct request;
struct flow_index;

struct flow_entry { // of one box of a request; an array in the request
	struct flow_entry *next;
	struct request *request;
	uint32_t box, hash; // of the hosts: whose differs is not looked at
};

struct flow_index *flow_index_create(void); // NULL: out of memory
void flow_index_destroy(struct flow_index *index);

struct flow_entry *flow_index_prepare(struct flow_index *index,
				      uint32_t n_boxes);          // freed by the request; NULL: no memory
void flow_index_add(struct flow_index *index, struct request *r); // with its entries prepared
void flow_index_remove(struct flow_index *index, struct request *r);

uint64_t flow_index_mark(struct flow_index *index); // never the same twice, never 0: for request->mark
// Both ends of the box are single hosts, so flow_index_each need not ask all.
bool flow_index_covers(const struct box *box);
// Calls fn for each box of a request (its number there) that overlaps this one, some more than once, until it returns
// non-zero: that is returned, otherwise 0.
int flow_index_each(const struct flow_index *index, const struct box *box,
		    int (*fn)(void *ctx, struct request *r, uint32_t idx), void *ctx);
