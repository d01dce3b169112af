// SPDX-License-Identifier: Apache-2.0
#include "bench_layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "bench.h"

static int publish(struct bench_layers *b, const struct layers_view *view, struct err *err)
{
	struct bench_view *next = malloc(sizeof(*next));

	if (next == NULL)
		return err_set(err, ENOMEM, "out of memory");
	next->view = *view;
	next->older = atomic_load_explicit(&b->live, memory_order_relaxed);
	atomic_store_explicit(&b->live, next, memory_order_release);
	return 0;
}

void bench_layers_poll(struct bench_layers *b)
{
	struct layers_view view;

	if (layers_poll(b->l, (int64_t)bench_now_ns())) {
		layers_view(b->l, &view);
		publish(b, &view, NULL);
	}
}

int bench_layers_commit(struct bench_layers *b, struct layers_batch *batch, struct err *err)
{
	struct layers_view view;
	int ret;

	while ((ret = layers_commit(b->l, batch, &view, err)) == -EAGAIN) {
		usleep(20);
		bench_layers_poll(b);
	}
	return ret < 0 ? ret : publish(b, &view, err);
}

int bench_layers_merge(struct bench_layers *b, struct err *err)
{
	struct layers_stats stats;

	for (uint32_t i = 0; layers_merge_all(b->l) && i < 600000; i++) {
		usleep(100);
		bench_layers_poll(b);
	}
	layers_stats(b->l, &stats);
	return layers_merge_all(b->l) ? err_set(err, ETIMEDOUT, "the rows are not merged: %s", stats.last_failure) : 0;
}

int bench_layers_change(struct bench_layers *b, uint32_t row, struct err *err)
{
	struct layers_batch *batch = layers_batch_create(b->l);
	int ret;

	if (batch == NULL)
		return err_set(err, ENOMEM, "out of memory");
	if (b->slot[row] == CLS_NO_ROW) {
		b->slot[row] = layers_batch_add(batch, &b->set->rows[row], err);
		ret = b->slot[row] == CLS_NO_ROW ? -err->code : 0;
		b->n_in++;
	} else {
		ret = layers_batch_del(batch, b->slot[row], err);
		b->slot[row] = CLS_NO_ROW;
		b->n_in--;
	}
	if (ret == 0)
		ret = bench_layers_commit(b, batch, err);
	if (ret < 0)
		layers_batch_destroy(batch);
	return ret;
}

static int add_all(struct bench_layers *b, struct err *err)
{
	struct layers_batch *batch = layers_batch_create(b->l);
	int ret = batch == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	for (uint32_t i = 0; i < b->set->n_rows && ret == 0; i++) {
		b->slot[i] = layers_batch_add(batch, &b->set->rows[i], err);
		ret = b->slot[i] == CLS_NO_ROW ? -err->code : 0;
	}
	if (ret == 0)
		ret = bench_layers_commit(b, batch, err);
	if (ret < 0)
		layers_batch_destroy(batch);
	b->n_in = b->set->n_rows;
	return ret < 0 ? ret : bench_layers_merge(b, err);
}

int bench_layers_open(struct bench_layers *b, const struct bench_set *set, bool manual, struct err *err)
{
	struct layers_conf conf = {.simd_max_bits = 512, .manual = manual};
	struct layers_view view;

	*b = (struct bench_layers){.set = set, .slot = calloc(set->n_rows, sizeof(*b->slot))};
	b->rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	if (b->rcu == NULL || b->slot == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rte_rcu_qsbr_init(b->rcu, 1);
	rte_rcu_qsbr_thread_register(b->rcu, 0); // online while a worker runs
	conf.rcu = b->rcu;
	b->l = layers_create(&conf, err);
	if (b->l == NULL)
		return -err->code;
	b->reader = layers_reader_create(b->l);
	if (b->reader == NULL)
		return err_set(err, ENOMEM, "out of memory");
	layers_view(b->l, &view);
	return publish(b, &view, err) < 0 ? -err->code : add_all(b, err);
}

void bench_layers_close(struct bench_layers *b)
{
	struct bench_view *v = atomic_load(&b->live), *older;

	layers_destroy(b->l);
	layers_reader_destroy(b->reader);
	rte_free(b->rcu);
	free(b->slot);
	for (; v != NULL; v = older) {
		older = v->older;
		free(v);
	}
	*b = (struct bench_layers){0};
}
