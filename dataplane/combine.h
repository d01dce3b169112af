// SPDX-License-Identifier: Apache-2.0
// What becomes of a packet, from the rows it meets (hft/parts.h has the rule and its proof): dropped iff some deny has
// no allow strictly below it; else it goes into the class of its reservations, limits and weight node (that of
// background before any share's). Packets that meet the same rows share the answer: it is worked out once and kept,
// with the class it has at each port and with what was counted, in a table of fixed size. Owner: one worker (or the
// link thread, for questions). Never allocates after combine_create.
#pragma once
#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cls_row.h"
#include "hft/err.h"
#include "names.h"
#include "sched_set.h"

#define COMBINE_ROWS_MAX 24 // that an answer which is kept may come from; packets that meet more are worked out anew
#define COMBINE_PORTS 4     // whose class is kept
#define COMBINE_NO_KEY 0

struct row_count {
	_Atomic uint64_t packets, bytes;
};

#define COMBINE_ROWS_NEAR 6 // of them, beside the answer

struct combined_rest { // what is needed only for packets that are scheduled, or met first
	struct {
		uint32_t key, class;        // of a port; COMBINE_NO_KEY: none is kept
	} class_at[COMBINE_PORTS];          // the caller's
	struct sched_set set;               // sealed
	uint32_t row[COMBINE_ROWS_MAX];     // from the COMBINE_ROWS_NEAR'th on
	uint32_t counter[COMBINE_ROWS_MAX]; // of the distinct requests
};

// One cache line, close to the other answers: packets that nothing schedules need no more.
struct combined {
	alignas(64) uint64_t epoch; // of the slots in row; 0: empty
	uint64_t packets, bytes;    // not yet in the counters
	struct combined_rest *rest;
	uint32_t n_rows;
	bool drop, best_effort; // best_effort: set is the empty one
	uint8_t n_counters;
	uint32_t row[COMBINE_ROWS_NEAR];
};

static_assert(sizeof(struct combined) == 64, "an answer is a cache line");

struct layers;

#define COMBINE_ENTRIES 8192 // answers that are kept, a power of two

struct combine { // open to combine_of_one only
	const struct names_node *nodes;
	const struct layers *layers;
	struct row_count *counts;
	uint32_t next_flush;
	struct combined nothing, large; // of packets that meet no row, or too many
	struct combined entry[COMBINE_ENTRIES];
	struct combined_rest rest[COMBINE_ENTRIES], rest_of_nothing, rest_of_large;
};

// nodes: names_nodes; layers: whose rows they are; counts: by counter slot, NULL: nothing is counted; all borrowed.
// NULL with err: -ENOMEM.
struct combine *combine_create(const struct names_node *nodes, const struct layers *layers, struct row_count *counts,
			       struct err *err);
void combine_destroy(struct combine *c); // accepts NULL

// rows: a packet's results of layers_run. epoch: not 0; changes when slots may stand for other rows. The answer is
// valid until the next call.
struct combined *combine_get(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories);
// The same arguments are about to be asked for.
void combine_prefetch(const struct combine *c, const uint32_t *rows, uint32_t n_categories);
// What combine_get would say for packets that meet this row and no other, if it is kept; else NULL.
static inline struct combined *combine_of_one(struct combine *c, uint64_t epoch, uint32_t row)
{
	struct combined *e = &c->entry[row % COMBINE_ENTRIES];

	return e->epoch == epoch && e->n_rows == 1 && e->row[0] == row ? e : NULL;
}

static inline void combine_prefetch_one(const struct combine *c, uint32_t row)
{
	__builtin_prefetch(&c->entry[row % COMBINE_ENTRIES]);
}

static inline void combine_count(struct combined *answer, uint32_t n_packets, uint64_t n_bytes)
{
	answer->packets += n_packets;
	answer->bytes += n_bytes;
}
// Brings some of what was counted into the counters; COMBINE_FLUSHES calls bring all.
#define COMBINE_FLUSHES 64
void combine_flush(struct combine *c);
