// SPDX-License-Identifier: Apache-2.0
// The table's settled rows in the classifier: those that are in force lie in its layers, those that start later wait
// for their instant. A commit becomes one batch of the layers; at an instant all rows that start and end then change
// together, as one view. Where many rows start together, their layer is built beforehand.
// A commit that the builders have no room for is under way until they have: the caller takes no further changes
// meanwhile. Instants do not wait for it, they have some room of their own.
// Owner and only thread: the link thread. Time: ns since the epoch, never going back.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "layers.h"
#include "names.h"
#include "sched_slots.h"
#include "table.h"

struct dp_rows;

struct dp_rows_conf { // all borrowed
	struct table *table;
	const struct sched_slots *slots; // the shares that rows name are there before a commit
	const struct names *names;
	// A row of this reservation or limit is about to be given to the classifier (0: it has a slot; or -errno with
	// err), or no view after the one published last has it.
	int (*meter_take)(void *ctx, uint64_t id, struct err *err);
	void (*meter_give)(void *ctx, uint64_t id);
	struct rte_rcu_qsbr *rcu;
	uint32_t simd_max_bits;
	void (*ended)(void *ctx, uint64_t key); // at its instant, before the view without it; NULL: nobody asks
	void *ctx;
};

struct dp_rows_stats {
	uint64_t waited;       // commits that had to wait for builders
	uint64_t late;         // instants whose starts had to, for builders or slots
	uint64_t not_prepared; // many rows that start together, whose layer could not be built beforehand
	uint32_t n_late;       // rows that should be in force and are not
	int64_t building_ns;   // of rows that start together and whose layer is being built; INT64_MAX: none
};

// NULL with err: -ENOMEM.
struct dp_rows *dp_rows_create(const struct dp_rows_conf *conf, struct err *err);
// wait: until builders have ended, which may take seconds; otherwise all memory is left to them if one is busy, and the
// answer is false. Accepts NULL.
bool dp_rows_destroy(struct dp_rows *r, bool wait);
struct layers *dp_rows_layers(const struct dp_rows *r);

// Time is what a clock shows that may be set back: rows that have started then stay, those that are over stay over.
// The table's commits that are not settled. 0: layers_view has them: publish it before anything else. -EAGAIN: under
// way, call again after dp_rows_turn; other errors, with err: nothing of it happens.
int dp_rows_commit(struct dp_rows *r, int64_t now_ns, struct err *err);
// What is under way is given up.
void dp_rows_cancel(struct dp_rows *r);
// Rows whose instant has come. true: publish layers_view, before dp_rows_turn.
bool dp_rows_cross(struct dp_rows *r, int64_t now_ns);
// Keeps house and prepares the next instant. true: publish layers_view, before this is called again.
bool dp_rows_turn(struct dp_rows *r, int64_t now_ns);
// When one of these has something to do at the latest; also when layers_fd is readable.
int64_t dp_rows_next_ns(const struct dp_rows *r);
// Takes rows that are over out of the table, which is settled; fn is told each before.
void dp_rows_drop_over(struct dp_rows *r, void (*fn)(void *ctx, const struct part_row *row), void *ctx);
void dp_rows_stats(const struct dp_rows *r, struct dp_rows_stats *out);
