// SPDX-License-Identifier: Apache-2.0
// Builders, and what is merged when. A merge takes arrays and layers, any of them, as order does not matter, and puts
// one layer in their place; rows that were dead when it began are dropped. What a lookup costs while rows change is the
// number of rte_acl contexts (each a lookup of its own) and the rows in arrays. So both builders merge all the time,
// and rest in between:
//   small  arrays of SMALL_MIN rows or more, with the layers of up to SMALL_ROWS in all: one small layer, mostly;
//          rests as long as it took
//   large  everything; rests as long as it took, longer where that is long (REST_*): a large layer costs the builder's
//          core a bounded part of its time. At once when layers or places get scarce.
// So lookups ask two rte_acl contexts, or three while the large one is built, and about a hundred rows in arrays.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_common.h>

#include "layers_priv.h"

#define MS INT64_C(1000000)
#define SMALL_ROWS 4096
#define SMALL_MIN 64
#define SMALL_GROWTH 4   // a layer of more than this many times what is new is not built again,
#define SMALL_AGAIN 1024 // unless both together are so few
#define LARGE_PART 4     // dead rows of a fourth of all
#define LARGE_ROWS 2048  // ... and at least so many
#define QUIET_NS (200 * MS)
#define REST_MIN_NS (20 * MS) // a new context is cold in the worker's cache
#define REST_SHORT_NS (100 * MS)
#define REST_LONG_NS (1000 * MS)
#define TOOK_MAX_NS (60000 * MS)
#define RETRY_NS (1000 * MS)
#define NICENESS 10 // the link thread shares the builders' core

static _Atomic uint64_t last_uid;

// --- builder threads

// A dead row may overlap a living one of its meter category: none may stay.
static int drop_dead(struct builder *b)
{
	const struct cls_slots *slots = &b->l->slots;
	uint32_t n = 0;
	int rc = 0;

	b->dropped.n = 0;
	for (uint32_t i = 0; i < b->n_rows && rc == 0; i++) {
		if (cls_is_alive(&slots->slot[b->rows[i]], b->gen))
			b->rows[n++] = b->rows[i];
		else
			rc = slot_list_add(&b->dropped, b->rows[i]);
	}
	b->n_rows = n;
	return rc;
}

static void build(struct builder *b)
{
	struct layer_conf conf = {.slots = &b->l->slots, .uid = b->uid, .simd_max_bits = b->l->conf.simd_max_bits};

	b->layer = NULL;
	b->failed = drop_dead(b) < 0;
	if (b->failed) {
		err_set(&b->err, ENOMEM, "classifier: no memory for a merge");
	} else if (b->n_rows > 0) {
		b->layer = layer_build(&conf, b->rows, b->n_rows, &b->err);
		b->failed = b->layer == NULL;
		b->rows = NULL;
	}
	free(b->rows);
	b->rows = NULL;
}

static void destroy_garbage(struct layers *l)
{
	struct retired *r = atomic_exchange_explicit(&l->garbage, NULL, memory_order_acquire), *next;

	for (; r != NULL; r = next) {
		next = r->next;
		layers_destroy_retired(r);
	}
}

static void *builder_main(void *arg)
{
	struct builder *b = arg;
	struct layers *l = b->l;

	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}); // also where the link thread is a real-time one
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);          // refused: it works without
	while (!atomic_load_explicit(&b->stop, memory_order_acquire)) {
		while (sem_wait(&b->wake) < 0)
			;
		if (atomic_load_explicit(&b->state, memory_order_acquire) == BUILD_ASKED) {
			build(b);
			atomic_store_explicit(&b->state, BUILD_DONE, memory_order_release);
			eventfd_write(l->fd, 1);
		}
		if (b == &l->builder[BUILDER_SMALL])
			destroy_garbage(l);
	}
	return NULL;
}

int layers_builders_start(struct layers *l, struct err *err)
{
	for (int i = 0; i < N_BUILDERS; i++) {
		struct builder *b = &l->builder[i];

		b->l = l;
		sem_init(&b->wake, 0, 0);
		if (pthread_create(&b->thread, NULL, builder_main, b) != 0)
			return err_set(err, EAGAIN, "classifier: no thread for a builder");
		b->started = true;
		pthread_setname_np(b->thread, i == BUILDER_SMALL ? "build-small" : "build-large");
	}
	return 0;
}

void layers_builders_stop(struct layers *l)
{
	for (int i = 0; i < N_BUILDERS; i++) {
		struct builder *b = &l->builder[i];

		if (!b->started)
			continue;
		atomic_store_explicit(&b->stop, true, memory_order_release);
		sem_post(&b->wake);
		pthread_join(b->thread, NULL);
		sem_destroy(&b->wake);
		if (atomic_load_explicit(&b->state, memory_order_acquire) == BUILD_DONE)
			layer_destroy(b->layer);
		free(b->rows);
		slot_list_fini(&b->dropped);
		slot_list_fini(&b->orphan);
	}
	destroy_garbage(l);
}

static void ask(struct builder *b, bool adds_layer)
{
	struct layers *l = b->l;

	// apart from whatever else makes contexts in this process
	b->uid = UINT64_C(1) << 63 | (1 + atomic_fetch_add_explicit(&last_uid, 1, memory_order_relaxed));
	b->gen = l->gen;
	b->adds_layer = adds_layer;
	b->asked_ns = l->now_ns;
	l->n_reserved += adds_layer;
	atomic_store_explicit(&b->state, BUILD_ASKED, memory_order_release);
	sem_post(&b->wake);
}

static bool is_idle(const struct builder *b)
{
	return atomic_load_explicit(&b->state, memory_order_acquire) == BUILD_IDLE;
}

static bool has_place(const struct layers *l)
{
	return l->n_layers + l->n_reserved < LAYERS_MAX;
}

int layers_build_batch(struct layers_batch *batch, struct err *err)
{
	struct layers *l = batch->l;
	struct builder *b = &l->builder[BUILDER_LARGE];

	if (!is_idle(b))
		b = &l->builder[BUILDER_SMALL];
	if (!is_idle(b) || !has_place(l)) {
		l->stats.refused++;
		return -EAGAIN;
	}
	b->rows = malloc(batch->add.n * sizeof(*b->rows));
	if (b->rows == NULL)
		return err_set(err, ENOMEM, "classifier: no memory for %u rows", batch->add.n);
	memcpy(b->rows, batch->add.slot, batch->add.n * sizeof(*b->rows));
	b->n_rows = batch->add.n;
	b->is_merge = false;
	b->batch = batch;
	batch->builder = b;
	ask(b, true);
	return -EAGAIN;
}

// --- choosing

struct choice {
	bool array[LAYERS_ARRAYS_MAX], layer[LAYERS_MAX];
	uint32_t n_rows, n_layers, n_arrays;
};

static void choose_array(const struct layers *l, struct choice *c, uint32_t i)
{
	c->array[i] = true;
	c->n_rows += l->array[i]->n;
	c->n_arrays++;
}

static void choose_layer(const struct layers *l, struct choice *c, uint32_t i)
{
	c->layer[i] = true;
	c->n_rows += l->layer[i]->n_rows;
	c->n_layers++;
}

// The smallest layer that nobody merges and that is not chosen; LAYERS_MAX: none.
static uint32_t smallest_free(const struct layers *l, const struct choice *c)
{
	uint32_t best = LAYERS_MAX;

	for (uint32_t i = 0; i < l->n_layers; i++) {
		if (l->layer_by[i] == NULL && !c->layer[i] &&
		    (best == LAYERS_MAX || l->layer[i]->n_rows < l->layer[best]->n_rows))
			best = i;
	}
	return best;
}

static bool goes_along(const struct choice *c, uint32_t n_rows)
{
	return (n_rows <= SMALL_GROWTH * c->n_rows || n_rows + c->n_rows <= SMALL_AGAIN) &&
	       n_rows + c->n_rows <= SMALL_ROWS;
}

static struct choice choose_small(const struct layers *l)
{
	struct choice c = {0};
	uint32_t next;

	for (uint32_t i = 0; i < l->n_arrays; i++) {
		if (l->array_by[i] == NULL && l->array[i]->n > 0)
			choose_array(l, &c, i);
	}
	if (c.n_rows < SMALL_MIN)
		return (struct choice){0};
	while ((next = smallest_free(l, &c)) != LAYERS_MAX && goes_along(&c, l->layer[next]->n_rows))
		choose_layer(l, &c, next);
	return c;
}

static struct choice choose_all(const struct layers *l, bool arrays)
{
	struct choice c = {0};

	for (uint32_t i = 0; i < l->n_arrays && arrays; i++) {
		if (l->array_by[i] == NULL && l->array[i]->n > 0)
			choose_array(l, &c, i);
	}
	for (uint32_t i = 0; i < l->n_layers; i++) {
		if (l->layer_by[i] == NULL)
			choose_layer(l, &c, i);
	}
	return c;
}

static int start_merge(struct layers *l, struct builder *b, const struct choice *c)
{
	uint32_t n = 0;

	b->rows = malloc(((size_t)c->n_rows + 1) * sizeof(*b->rows));
	if (b->rows == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_arrays; i++) {
		if (!c->array[i])
			continue;
		l->array_by[i] = b;
		memcpy(b->rows + n, l->array[i]->slot, l->array[i]->n * sizeof(*b->rows));
		n += l->array[i]->n;
	}
	for (uint32_t i = 0; i < l->n_layers; i++) {
		if (!c->layer[i])
			continue;
		l->layer_by[i] = b;
		memcpy(b->rows + n, l->layer[i]->slot, l->layer[i]->n_rows * sizeof(*b->rows));
		n += l->layer[i]->n_rows;
	}
	b->n_rows = n;
	b->is_merge = true;
	ask(b, c->n_layers == 0);
	return 0;
}

static bool is_merged(const struct layers *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n_arrays; i++)
		n += l->array[i]->n;
	return n == 0 && l->n_layers <= 1 && l->n_dead == 0;
}

// It must be, however much of the time it takes.
static bool need_large(const struct layers *l)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < l->n_layers; i++)
		rows += l->layer[i]->n_rows;
	return l->n_layers + 2 > LAYERS_MAX || (l->n_dead >= LARGE_ROWS && l->n_dead >= rows / LARGE_PART);
}

// Enough is new, or it has been quiet for a while.
static bool want_large(const struct layers *l)
{
	uint32_t n = l->n_dead;

	for (uint32_t i = 0; i < l->n_arrays; i++)
		n += l->array[i]->n;
	if (is_merged(l) || l->now_ns < l->large_ns)
		return false;
	return n >= SMALL_MIN || l->n_layers > 1 || l->now_ns >= l->commit_ns + QUIET_NS;
}

// No more than half of the places for arrays may wait.
static bool arrays_full(const struct layers *l)
{
	return l->n_arrays > LAYERS_ARRAYS_MAX / 2;
}

static void start_merges(struct layers *l)
{
	struct builder *small = &l->builder[BUILDER_SMALL], *large = &l->builder[BUILDER_LARGE];
	struct choice c;

	if (is_idle(large) && l->now_ns >= l->retry_ns[BUILDER_LARGE]) {
		c = choose_all(l, true);
		if ((want_large(l) || need_large(l)) && c.n_arrays + c.n_layers > 0 &&
		    (c.n_layers > 0 || has_place(l)) && start_merge(l, large, &c) < 0)
			l->retry_ns[BUILDER_LARGE] = l->now_ns + RETRY_NS;
	}
	if (is_idle(small) && l->now_ns >= l->retry_ns[BUILDER_SMALL] && (l->now_ns >= l->small_ns || arrays_full(l))) {
		c = choose_small(l);
		if (c.n_arrays > 0 && (c.n_layers > 0 || has_place(l)) && start_merge(l, small, &c) < 0)
			l->retry_ns[BUILDER_SMALL] = l->now_ns + RETRY_NS;
	}
}

// --- what is done

static void note_failure(struct layers *l, struct builder *b)
{
	l->stats.merge_failures++;
	memcpy(l->stats.last_failure, b->err.msg, sizeof(l->stats.last_failure));
	l->stats.last_failure[sizeof(l->stats.last_failure) - 1] = '\0';
}

// Takes the merged arrays and layers out of the lists; into *r, if r is not NULL.
static void take_inputs(struct layers *l, const struct builder *b, struct retired *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n_arrays; i++) {
		if (l->array_by[i] == b && r != NULL) {
			r->array[r->n_arrays++] = l->array[i];
			continue;
		}
		l->array[n] = l->array[i];
		l->array_by[n++] = l->array_by[i] == b ? NULL : l->array_by[i];
	}
	l->n_arrays = n;
	n = 0;
	for (uint32_t i = 0; i < l->n_layers; i++) {
		if (l->layer_by[i] == b && r != NULL) {
			r->layer[r->n_layers++] = l->layer[i];
			continue;
		}
		l->layer[n] = l->layer[i];
		l->layer_by[n++] = l->layer_by[i] == b ? NULL : l->layer_by[i];
	}
	l->n_layers = n;
}

static void rest(struct layers *l, const struct builder *b, int64_t took_ns)
{
	int64_t times = took_ns < REST_SHORT_NS ? 1 : took_ns < REST_LONG_NS ? 2 : 4;

	if (b == &l->builder[BUILDER_LARGE])
		l->large_ns = l->now_ns + RTE_MAX(times * took_ns, REST_MIN_NS);
	else
		l->small_ns = l->now_ns + RTE_MAX(took_ns, REST_MIN_NS);
}

static bool merge_done(struct layers *l, struct builder *b)
{
	struct retired *r = b->failed ? NULL : calloc(1, sizeof(*r));

	if (!b->failed && r == NULL)
		return false; // next time
	l->n_reserved -= b->adds_layer;
	take_inputs(l, b, r);
	if (b->failed) {
		note_failure(l, b);
		l->retry_ns[b - l->builder] = l->now_ns + RETRY_NS;
	} else {
		r->dropped = b->dropped;
		b->dropped = (struct slot_list){0};
		l->n_dead -= r->dropped.n;
		l->stats.merges++;
		if (b->layer != NULL) {
			l->stats.merged_rows += b->layer->n_rows;
			l->layer[l->n_layers] = b->layer;
			l->layer_by[l->n_layers++] = NULL;
		}
		layers_retire(l, r);
	}
	rest(l, b, RTE_MIN(l->now_ns - b->asked_ns, TOOK_MAX_NS));
	atomic_store_explicit(&b->state, BUILD_IDLE, memory_order_relaxed);
	return !b->failed;
}

static void batch_done(struct layers *l, struct builder *b)
{
	struct layers_batch *batch = b->batch;

	if (batch == NULL) { // gone meanwhile: its layer was never seen
		struct layers_batch *heir = layers_batch_create(l);

		if (heir == NULL)
			return; // next time
		heir->add = b->orphan;
		heir->layer = b->layer;
		b->orphan = (struct slot_list){0};
		l->n_reserved -= b->layer == NULL;
		layers_batch_destroy(heir);
	} else {
		batch->builder = NULL;
		batch->layer = b->layer;
		batch->failed = b->failed;
		batch->err = b->err;
		l->n_reserved -= b->layer == NULL;
		if (b->failed) {
			note_failure(l, b);
		} else {
			batch->dropped = b->dropped;
			b->dropped = (struct slot_list){0};
		}
	}
	atomic_store_explicit(&b->state, BUILD_IDLE, memory_order_relaxed);
}

bool layers_merges_poll(struct layers *l)
{
	bool changed = false;

	for (int i = 0; i < N_BUILDERS; i++) {
		struct builder *b = &l->builder[i];

		if (atomic_load_explicit(&b->state, memory_order_acquire) != BUILD_DONE)
			continue;
		if (b->is_merge)
			changed = merge_done(l, b) || changed;
		else
			batch_done(l, b);
	}
	if (!l->conf.manual)
		start_merges(l);
	return changed;
}

bool layers_merge_all(struct layers *l)
{
	struct choice c = choose_all(l, true);

	if (is_merged(l))
		return false;
	if (is_idle(&l->builder[BUILDER_LARGE]) && is_idle(&l->builder[BUILDER_SMALL]) &&
	    (c.n_layers > 0 || has_place(l)))
		start_merge(l, &l->builder[BUILDER_LARGE], &c);
	return true;
}

int64_t layers_next_ns(const struct layers *l)
{
	int64_t next = INT64_MAX;

	if (l->retired != NULL)
		return l->now_ns + MS;
	if (is_merged(l) || l->conf.manual)
		return INT64_MAX;
	if (is_idle(&l->builder[BUILDER_LARGE])) // the other one's layers_fd will say
		next = RTE_MAX(RTE_MAX(l->commit_ns + QUIET_NS, l->large_ns), l->retry_ns[BUILDER_LARGE]);
	return next;
}
