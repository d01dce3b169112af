// SPDX-License-Identifier: Apache-2.0
// Layers, whoever publishes their views, and a reader.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/layers.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/random_net.h"

#define MAX_FRAME 1522
#define MODEL_ROWS 6000
#define MS INT64_C(1000000)

struct view_box {
	struct layers_view view;
	struct view_box *next;
};

struct fixture {
	struct rte_rcu_qsbr *rcu;
	struct layers *l;
	_Atomic(struct view_box *) live;
	struct view_box *all; // freed at the end
	struct layers_reader *reader;
	struct rnd r;
	int64_t now_ns;
	struct model_row {
		struct cls_row row;
		uint32_t slot;
	} row[MODEL_ROWS];
	uint32_t n;
};

static struct fixture fx;

static inline void publish(struct fixture *f, const struct layers_view *view)
{
	struct view_box *next = malloc(sizeof(*next));

	assert_non_null(next);
	next->view = *view;
	next->next = f->all;
	f->all = next;
	atomic_store_explicit(&f->live, next, memory_order_release);
}

static inline void poll_layers(struct fixture *f, int64_t ns)
{
	struct layers_view view;

	f->now_ns += ns;
	if (layers_poll(f->l, f->now_ns)) {
		layers_view(f->l, &view);
		publish(f, &view);
	}
}

static inline void fixture_open(struct fixture *f, const struct layers_conf *how)
{
	struct layers_conf conf = *how;
	struct layers_view view;
	struct err err;

	f->rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	assert_non_null(f->rcu);
	rte_rcu_qsbr_init(f->rcu, 1);
	rte_rcu_qsbr_thread_register(f->rcu, 0);
	rte_rcu_qsbr_thread_online(f->rcu, 0);
	conf.rcu = f->rcu;
	f->l = layers_create(&conf, &err);
	assert_non_null(f->l);
	f->reader = layers_reader_create(f->l);
	assert_non_null(f->reader);
	f->all = NULL;
	f->n = 0;
	layers_view(f->l, &view);
	publish(f, &view);
}

static inline void fixture_close(struct fixture *f)
{
	struct view_box *next;

	layers_destroy(f->l);
	layers_reader_destroy(f->reader);
	rte_free(f->rcu);
	for (; f->all != NULL; f->all = next) {
		next = f->all->next;
		free(f->all);
	}
}

static inline void merge_fully(struct fixture *f)
{
	for (int i = 0; layers_merge_all(f->l) && i < 100000; i++) {
		usleep(50);
		poll_layers(f, 1);
		rte_rcu_qsbr_quiescent(f->rcu, 0);
	}
	if (layers_merge_all(f->l)) {
		struct layers_stats stats;

		layers_stats(f->l, &stats);
		fail_msg("not merged: %u layers, %u in arrays, %u dead, %s", stats.n_layers, stats.n_array_rows,
			 stats.n_dead, stats.last_failure);
	}
}

// Until there is room.
static inline void commit(struct fixture *f, struct layers_batch *b)
{
	struct layers_view view;
	struct err err;
	int rc;

	for (int i = 0; (rc = layers_commit(f->l, b, &view, &err)) == -EAGAIN && i < 100000; i++) {
		usleep(50);
		poll_layers(f, 1);
		rte_rcu_qsbr_quiescent(f->rcu, 0);
	}
	if (rc < 0)
		fail_msg("%s", err.msg);
	publish(f, &view);
}

static inline struct cls_row wide_row(uint32_t rank)
{
	return (struct cls_row){
		.box = box_any(), .rank = rank, .access_category = 0, .meter_category = CLS_NO_CATEGORY};
}
