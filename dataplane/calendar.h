// SPDX-License-Identifier: Apache-2.0
// Instants at which something starts or ends, the next one first: a heap of instants, and what starts and ends at each.
// Owner: the caller, who also owns the items. Thread: one. Time: ns since the epoch.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "hft/id_map.h"

struct calendar_instant;

struct calendar_item {
	struct calendar_instant *at; // NULL: in no calendar
	bool is_start;
	TAILQ_ENTRY(calendar_item) link;
};

TAILQ_HEAD(calendar_items, calendar_item);

struct calendar_instant {
	int64_t ns;
	uint32_t place; // in the heap
	uint32_t n_starts, n_ends;
	struct calendar_items starts, ends; // in the order in which they were added
};

struct calendar { // a zeroed one is empty
	struct calendar_instant **heap;
	uint32_t n, cap;
	struct id_map by_ns;
};

void calendar_fini(struct calendar *c); // items need not be taken out before
// 0 or -ENOMEM. The item is in no calendar.
int calendar_add(struct calendar *c, struct calendar_item *item, int64_t ns, bool is_start);
void calendar_del(struct calendar *c, struct calendar_item *item); // an item that is in none is left alone
// The earliest instant, valid until one of its items is taken out; NULL: none.
const struct calendar_instant *calendar_first(const struct calendar *c);
