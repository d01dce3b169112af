// SPDX-License-Identifier: Apache-2.0
// The classifier: small layers that take a change in microseconds over large ones that are built in the background.
//   arrays   up to 8 of 256 rows (row_array.h); the last one takes what is added
//   layers   rte_acl (layer.h), merged geometrically: array rows into small ones, those into the largest, the base
// A lookup asks all of them and, category by category, the visible row of the highest rank wins; the order of layers
// does not matter. A commit appends rows and marks others dead under the next generation; whoever publishes the view of
// that generation makes it all visible at once. A dead row keeps answering for its layer until the next merge drops it:
// where the rows of a category never overlap nothing else could match there; elsewhere (access, shares) the next best
// row is searched for, and remembered (layers_reader).
// Owner: the link thread, for all functions but layers_run. Views are given to readers behind one pointer, released
// and acquired; a view is replaced after layers_commit and whenever layers_poll says so, and before the next
// layers_poll. Readers report to the RCU variable between views. Two builder threads do what takes long.
// Bounded: LAYERS_SLOTS rows, arrays and layers by number; when they are full, -EAGAIN until a merge is through.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cls_row.h"
#include "hft/err.h"
#include "layer.h"
#include "pkt.h"
#include "row_array.h"
#include "row_kernel.h"

#define LAYERS_ARRAYS_MAX 8
#define LAYERS_MAX 6
#define LAYERS_SLOTS (1u << 19)
#define LAYERS_ERR_MAX 160
#define LAYERS_ARRAY_ROWS 1024 // a batch of more gets a layer of its own

struct rte_rcu_qsbr;
struct layers;
struct layers_batch;
struct layers_reader;

struct layers_conf {
	struct rte_rcu_qsbr *rcu; // borrowed
	uint32_t simd_max_bits;   // 512, 256, 128, 0: the widest to use where the CPU has it
	uint32_t max_slots;       // 0: LAYERS_SLOTS
	bool manual;              // tests: merges only by layers_merge_all
};

// What a reader looks rows up in; a value, valid until the grace period after the next view is published.
struct layers_view {
	uint64_t gen;
	uint64_t epoch; // not 0; changes when slots may have been given to other rows: forget what was kept by slot
	uint32_t n_categories; // results of a packet: 0, 1 or a multiple of four
	bool any_dead;         // rows in layers may be dead
	uint8_t n_arrays, n_layers;
	const struct layer *layer[LAYERS_MAX]; // ascending size
	struct {
		const struct row_array *rows;
		uint32_t n_of[PKT_N_FAMILIES];
	} array[LAYERS_ARRAYS_MAX];
};

struct layers_stats {
	uint32_t n_rows;       // visible
	uint32_t n_dead;       // marked, and not yet dropped
	uint32_t n_array_rows; // in arrays
	uint32_t n_arrays, n_layers, n_largest;
	uint64_t commits, added, removed;
	uint64_t merges, merge_failures, merged_rows;
	uint64_t refused;                  // commits that found no room
	char last_failure[LAYERS_ERR_MAX]; // why the last failed merge did
};

// NULL with err: -ENOMEM.
struct layers *layers_create(const struct layers_conf *conf, struct err *err);
// Tells the builders to stop. Whether none is busy: then layers_destroy does not wait. A build cannot be cut short.
bool layers_can_stop(struct layers *l);
// No reader runs any more. Accepts NULL.
void layers_destroy(struct layers *l);

// --- changes: prepared one by one, then committed as a whole. Several batches may be in preparation.

struct layers_batch *layers_batch_create(struct layers *l); // NULL: -ENOMEM
void layers_batch_destroy(struct layers_batch *b);          // accepts NULL; not committed: nothing of it happens
// The row's slot, which names it from now on, or CLS_NO_ROW with err: -ENOMEM, -E2BIG (no slot is free).
uint32_t layers_batch_add(struct layers_batch *b, const struct cls_row *row, struct err *err);
// slot is that of a committed row, removed once. 0 or -ENOMEM.
int layers_batch_del(struct layers_batch *b, uint32_t slot, struct err *err);
// Takes a row back that this batch adds.
void layers_batch_cancel(struct layers_batch *b, uint32_t slot);
// Gets everything ready that takes long, so that layers_commit will not. 0: ready. -EAGAIN: being built, or no room at
// the moment; poll and ask again. -ENOMEM, -E2BIG with err: it cannot be, now.
int layers_batch_prepare(struct layers_batch *b, struct err *err);
// How many rows batches without a layer of their own may add at the moment.
uint32_t layers_room(const struct layers *l);
// The batch becomes generation view->gen, and is destroyed; publish the view. As layers_batch_prepare if it is not
// ready; nothing has changed then.
int layers_commit(struct layers *l, struct layers_batch *b, struct layers_view *view, struct err *err);

// --- keeping house

// The view as it is.
void layers_view(const struct layers *l, struct layers_view *view);
// Takes what the builders have done and gives them work, frees what no reader sees any more. true: publish a new
// view (layers_view). now_ns: any steady clock.
bool layers_poll(struct layers *l, int64_t now_ns);
int layers_fd(const struct layers *l);          // readable: a builder is done, layers_poll has something to do
int64_t layers_next_ns(const struct layers *l); // when layers_poll wants to be called at the latest; INT64_MAX
// Starts folding everything into one layer; true while it is under way or could not begin. For tests and benchmarks,
// and before a long quiet time.
bool layers_merge_all(struct layers *l);
void layers_stats(const struct layers *l, struct layers_stats *out);
// Payload and the like of a row that a view yields; valid as long as the view.
const struct cls_slot *layers_slot(const struct layers *l, uint32_t slot);

// --- lookup

struct layers_reader_stats {
	uint64_t dead_hits; // results whose row was dead and hid others
	uint64_t searches;  // of them not remembered
};

// One for each worker. NULL: out of memory.
struct layers_reader *layers_reader_create(const struct layers *l);
void layers_reader_destroy(struct layers_reader *r); // accepts NULL
const struct layers_reader_stats *layers_reader_stats(const struct layers_reader *r);
// n <= PKT_BURST. out[i * view->n_categories + c]: slot of the row that packet i meets in category c, or CLS_NO_ROW.
// Packets whose verdict is not PKT_OK get none. Never allocates.
void layers_run(const struct layers_view *view, struct layers_reader *r, const struct pkt *pkts, uint32_t n,
		uint32_t *out);
