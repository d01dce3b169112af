// SPDX-License-Identifier: Apache-2.0
// Share and request numbers -> slots that workers can index with: the node of a share (who is below whom), the counter
// of a request. A number keeps its slot while something names it; a slot that is given back rests until no worker can
// meet it any more.
// Owner and writer: the link thread. Workers read nodes: a node does not change while a row that a worker may meet
// names it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

#define NAMES_NODES_MAX (1u << 17)
#define NAMES_COUNTERS_MAX (1u << 18)
#define NAMES_ROOT 0 // the root share's slot
#define NAMES_NO_SLOT UINT32_MAX

struct names_node {
	uint32_t number; // share
	uint32_t parent; // slot
	uint32_t depth;
};

struct names;

struct names *names_create(struct err *err);
void names_destroy(struct names *names); // accepts NULL

const struct names_node *names_nodes(const struct names *names); // by slot
static inline bool names_below(const struct names_node *nodes, uint32_t low, uint32_t high)
{
	uint32_t depth = nodes[high].depth;

	if (nodes[low].depth <= depth)
		return false;
	while (nodes[low].depth > depth)
		low = nodes[low].parent;
	return low == high;
}

// A share that is below `parent` (a share number that has a node, or 0: the root). The slot, or -errno with err:
// -ENOENT no such parent, -ENOSPC, -ENOMEM. It is there already: its slot.
int64_t names_node_set(struct names *names, uint32_t number, uint32_t parent, struct err *err);
// No row names it after snapshot last_gen, and no node is below it any more.
void names_node_del(struct names *names, uint32_t number, uint32_t last_gen);
uint32_t names_node(const struct names *names, uint32_t number); // NAMES_NO_SLOT: none

// One row more of a request: its counter's slot, or -errno with err: -ENOSPC, -ENOMEM.
int64_t names_counter_take(struct names *names, uint64_t id, struct err *err);
// One row less; the request may be met up to snapshot last_gen.
void names_counter_drop(struct names *names, uint64_t id, uint32_t last_gen, int64_t now_ns);
uint32_t names_counter(const struct names *names, uint64_t id); // NAMES_NO_SLOT: none

// What a counter slot stood at when its request got it. What it was seen at last is the caller's to keep, more often
// than slots rest: the next request begins there.
struct names_count {
	uint64_t id;
	uint32_t slot;
	uint64_t base_packets, base_bytes;
	uint64_t seen_packets, seen_bytes;
	uint64_t dropped_packets, dropped_bytes; // before a worker could count them; in what was seen
};

// Of a request that has a counter, more packets that no worker saw.
void names_counter_dropped(struct names *names, uint64_t id, uint64_t packets, uint64_t bytes);

// Slots whose last snapshot is older than oldest_gen may be given out again, counters also not before they have rested
// so long that workers have counted all they had.
void names_reap(struct names *names, uint32_t oldest_gen, int64_t now_ns);
// The counter in this slot, in use or resting; NULL: none. What was seen is the caller's to change.
struct names_count *names_counter_at(struct names *names, uint32_t slot);
uint32_t names_counters_end(const struct names *names); // no slot from this one on was ever used
