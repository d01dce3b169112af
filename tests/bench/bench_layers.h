// SPDX-License-Identifier: Apache-2.0
// Layers with the rows of a set in them, and whoever publishes their views. Owner: pane-bench's main thread, which is
// the link thread; one worker looks rows up.
#pragma once
#include "bench_set.h"
#include "dataplane/layers.h"

struct bench_view {
	struct layers_view view;
	struct bench_view *older;
};

struct bench_layers {
	const struct bench_set *set;
	struct rte_rcu_qsbr *rcu;
	struct layers *l;
	struct layers_reader *reader;
	_Atomic(struct bench_view *) live; // the older ones are freed at the end
	uint32_t *slot;                    // by row of the set; CLS_NO_ROW: it is not in
	uint32_t n_in;
};

// All rows in, and merged into one layer. manual: nothing else is ever merged. -errno with err.
int bench_layers_open(struct bench_layers *b, const struct bench_set *set, bool manual, struct err *err);
void bench_layers_close(struct bench_layers *b);
// Commits and publishes, waiting for room.
int bench_layers_commit(struct bench_layers *b, struct layers_batch *batch, struct err *err);
void bench_layers_poll(struct bench_layers *b); // layers_poll, and publishes what it asks for
int bench_layers_merge(struct bench_layers *b, struct err *err);
// One row in or out: one commit.
int bench_layers_change(struct bench_layers *b, uint32_t row, struct err *err);

static inline const struct layers_view *bench_layers_view(const struct bench_layers *b)
{
	return &atomic_load_explicit(&b->live, memory_order_acquire)->view;
}
