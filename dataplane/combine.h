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
#include <string.h>

#include "cls_row.h"
#include "hft/err.h"
#include "names.h"
#include "sched_set.h"

// Answers are kept by words: a packet's results as they are, a word for each category, or, with more categories than
// this, the rows without the gaps. Packets that meet more rows are worked out anew.
#define COMBINE_WORDS_MAX 24
#define COMBINE_PORTS 4 // whose class is kept
#define COMBINE_NO_KEY 0

struct row_count {
	_Atomic uint64_t packets, bytes;
};

#define COMBINE_WORDS_NEAR 8 // of them, beside the answer
#define COMBINE_WORDS_FAR (COMBINE_WORDS_MAX - COMBINE_WORDS_NEAR)

struct combined_rest { // what is needed only for packets that are scheduled, met first, or of many categories
	alignas(64) uint32_t word[COMBINE_WORDS_FAR]; // those not near
	struct {
		uint32_t key, class;         // of a port; COMBINE_NO_KEY: none is kept
	} class_at[COMBINE_PORTS];           // the caller's
	struct sched_set set;                // sealed
	uint32_t counter[COMBINE_WORDS_MAX]; // of the distinct requests
};

// One cache line, close to the other answers: packets that nothing schedules need no more.
struct combined {
	alignas(64) uint64_t epoch; // of the slots in word; 0: empty
	uint64_t bytes;             // not yet in the counters, as packets
	struct combined_rest *rest;
	uint32_t packets;
	uint8_t n_words, n_counters;
	bool drop, best_effort; // best_effort: set is the empty one
	uint32_t word[COMBINE_WORDS_NEAR];
};

static_assert(sizeof(struct combined) == 64, "an answer is a cache line");

struct layers;

#define COMBINE_ENTRIES 16384 // answers that are kept, a power of two

struct combine { // open to what is inline
	const struct names_node *nodes;
	const struct layers *layers;
	struct row_count *counts;
	uint32_t next_flush;
	struct combined nothing, large; // of packets that meet no row, or too many
	struct combined_rest rest_of_nothing, rest_of_large;
	struct combined entry[COMBINE_ENTRIES];
	struct combined_rest rest[COMBINE_ENTRIES]; // touched as far as answers are kept
};

// nodes: names_nodes; layers: whose rows they are; counts: by counter slot, NULL: nothing is counted; all borrowed.
// NULL with err: -ENOMEM.
struct combine *combine_create(const struct names_node *nodes, const struct layers *layers, struct row_count *counts,
			       struct err *err);
void combine_destroy(struct combine *c); // accepts NULL

// rows: a packet's results of layers_run. epoch: not 0; changes when slots may stand for other rows. The answer is
// valid until the next call of combine_get.
struct combined *combine_get(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories);

// For two categories or more: what combine_get would say, if it is kept where it is found soon; else NULL. place:
// combine_place's.
struct combined *combine_of_many(struct combine *c, uint64_t epoch, const uint32_t *rows, uint32_t n_categories,
				 uint32_t place);
// Where combine_get looks first for the answer: that of a single category lies by row, others by all words. No branch
// depends on which categories a packet meets rows in: that differs from packet to packet. The multiplications do not
// wait for one another.
static inline uint32_t combine_place(const uint32_t *rows, uint32_t n_categories)
{
	uint64_t hash = 0, odd = UINT64_C(0x9e3779b97f4a7c15), word;

	if (n_categories == 1)
		return rows[0] % COMBINE_ENTRIES;
	for (uint32_t i = 0; i + 1 < n_categories; i += 2, odd *= UINT64_C(0xd1342543de82ef95)) {
		memcpy(&word, rows + i, sizeof(word));
		hash += word * odd;
	}
	hash ^= hash >> 32;
	return (uint32_t)(hash * UINT64_C(0xd6e8feb86659fd93) >> 40) % COMBINE_ENTRIES & ~1u;
}

static inline void combine_prefetch(const struct combine *c, uint32_t place, uint32_t n_categories)
{
	__builtin_prefetch(&c->entry[place]);
	__builtin_prefetch(&c->entry[place ^ 1]);
	if (n_categories > COMBINE_WORDS_NEAR) {
		__builtin_prefetch(c->rest[place].word);
		__builtin_prefetch(c->rest[place ^ 1].word);
	}
}

// For packets that can meet one row only: what combine_get would say, if it is kept; else NULL.
static inline struct combined *combine_of_one(struct combine *c, uint64_t epoch, uint32_t row)
{
	struct combined *e = &c->entry[row % COMBINE_ENTRIES];

	return e->epoch == epoch && e->n_words == 1 && e->word[0] == row ? e : NULL;
}

static inline void combine_prefetch_one(const struct combine *c, uint32_t row)
{
	__builtin_prefetch(&c->entry[row % COMBINE_ENTRIES]);
}

// Where the answer is expected at the place: what combined_rest says of classes.
static inline void combine_prefetch_class(const struct combine *c, uint32_t place)
{
	__builtin_prefetch(c->rest[place].class_at);
}

static inline void combine_count(struct combined *answer, uint32_t n_packets, uint64_t n_bytes)
{
	answer->packets += n_packets;
	answer->bytes += n_bytes;
}
// Brings some of what was counted into the counters; COMBINE_FLUSHES calls bring all.
#define COMBINE_FLUSHES 64
void combine_flush(struct combine *c);
