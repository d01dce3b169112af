// SPDX-License-Identifier: Apache-2.0
// Changes and views. All of it happens in the link thread and takes no lock.
#include "layers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "layers_priv.h"

int slot_list_add(struct slot_list *list, uint32_t slot)
{
	if (list->n == list->cap) {
		uint32_t cap = list->cap == 0 ? 16 : 2 * list->cap;
		uint32_t *bigger = realloc(list->slot, cap * sizeof(*bigger));

		if (bigger == NULL)
			return -ENOMEM;
		list->slot = bigger;
		list->cap = cap;
	}
	list->slot[list->n++] = slot;
	return 0;
}

void slot_list_fini(struct slot_list *list)
{
	free(list->slot);
	*list = (struct slot_list){0};
}

struct layers *layers_create(const struct layers_conf *conf, struct err *err)
{
	struct layers *l = calloc(1, sizeof(*l));
	size_t cap = conf->max_slots != 0 ? conf->max_slots : LAYERS_SLOTS;

	if (l == NULL) {
		err_set(err, ENOMEM, "classifier: no memory");
		return NULL;
	}
	l->conf = *conf;
	l->kernel = row_kernel_choose(conf->simd_max_bits);
	l->retired_end = &l->retired;
	l->n_fresh = 1;
	l->epoch = 1;
	l->slots.cap = (uint32_t)cap;
	l->slots.slot = aligned_alloc(_Alignof(struct cls_slot), cap * sizeof(*l->slots.slot));
	l->slots.box = malloc(cap * sizeof(*l->slots.box)); // touched as far as it is used
	l->slots.mortal = calloc(cap / 64 + 1, sizeof(*l->slots.mortal));
	l->free_slot = malloc(cap * sizeof(*l->free_slot));
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->slots.slot == NULL || l->slots.box == NULL || l->slots.mortal == NULL || l->free_slot == NULL ||
	    l->fd < 0) {
		err_set(err, ENOMEM, "classifier: no memory for %zu rows", cap);
		layers_destroy(l);
		return NULL;
	}
	if (layers_builders_start(l, err) < 0) {
		layers_destroy(l);
		return NULL;
	}
	return l;
}

void layers_destroy_retired(struct retired *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->n_arrays; i++)
		row_array_destroy(r->array[i]);
	for (uint32_t i = 0; i < r->n_layers; i++)
		layer_destroy(r->layer[i]);
	slot_list_fini(&r->dropped);
	free(r);
}

void layers_destroy(struct layers *l)
{
	struct retired *r;

	if (l == NULL)
		return;
	layers_builders_stop(l);
	while ((r = l->retired) != NULL) {
		l->retired = r->next;
		layers_destroy_retired(r);
	}
	for (uint32_t i = 0; i < l->n_arrays; i++)
		row_array_destroy(l->array[i]);
	for (uint32_t i = 0; i < l->n_layers; i++)
		layer_destroy(l->layer[i]);
	if (l->fd >= 0)
		close(l->fd);
	free(l->slots.slot);
	free(l->slots.box);
	free(l->slots.mortal);
	free(l->free_slot);
	free(l);
}

bool layers_can_stop(struct layers *l)
{
	for (int i = 0; i < N_BUILDERS; i++) {
		struct builder *b = &l->builder[i];

		atomic_store_explicit(&b->stop, true, memory_order_release);
		sem_post(&b->wake);
	}
	for (int i = 0; i < N_BUILDERS; i++) {
		if (atomic_load_explicit(&l->builder[i].state, memory_order_acquire) == BUILD_ASKED)
			return false;
	}
	return true;
}

// --- slots

static uint32_t slot_alloc(struct layers *l)
{
	uint32_t slot;

	if (l->n_free > 0) {
		slot = l->free_slot[l->free_head];
		l->free_head = (l->free_head + 1) % l->slots.cap;
		l->n_free--;
		return slot;
	}
	return l->n_fresh < l->slots.cap ? l->n_fresh++ : CLS_NO_ROW;
}

void layers_free_slots(struct layers *l, const struct slot_list *slots)
{
	for (uint32_t i = 0; i < slots->n; i++)
		l->free_slot[(l->free_head + l->n_free++) % l->slots.cap] = slots->slot[i];
	if (slots->n > 0)
		l->epoch++;
}

const struct cls_slot *layers_slot(const struct layers *l, uint32_t slot)
{
	return &l->slots.slot[slot];
}

// --- batches

struct layers_batch *layers_batch_create(struct layers *l)
{
	struct layers_batch *b = calloc(1, sizeof(*b));

	if (b != NULL)
		b->l = l;
	return b;
}

void layers_batch_destroy(struct layers_batch *b)
{
	struct layers *l;

	if (b == NULL)
		return;
	l = b->l;
	if (b->builder != NULL) {
		b->builder->batch = NULL; // finishes for nobody: its rows are freed then
		b->builder->orphan = b->add;
		b->add = (struct slot_list){0};
	}
	if (b->layer != NULL) {
		struct retired *r = calloc(1, sizeof(*r));

		l->n_reserved--;
		if (r == NULL) {
			layer_destroy(b->layer); // rather wait for EAL's locks than keep it
		} else {
			r->layer[r->n_layers++] = b->layer;
			layers_retire(l, r);
		}
	}
	layers_free_slots(l, &b->add);
	slot_list_fini(&b->add);
	slot_list_fini(&b->del);
	slot_list_fini(&b->dropped);
	free(b);
}

uint32_t layers_batch_add(struct layers_batch *b, const struct cls_row *row, struct err *err)
{
	struct layers *l = b->l;
	uint32_t slot = slot_alloc(l);
	struct cls_slot *s = &l->slots.slot[slot];

	if (slot == CLS_NO_ROW) {
		err_set(err, E2BIG, "classifier: %u rows are the most it holds", l->slots.cap - 1);
		return CLS_NO_ROW;
	}
	if (slot_list_add(&b->add, slot) < 0) {
		layers_free_slots(l, &(struct slot_list){.slot = &slot, .n = 1});
		err_set(err, ENOMEM, "classifier: no memory for a row");
		return CLS_NO_ROW;
	}
	cls_set_dies(&l->slots, slot, CLS_FOREVER);
	s->rank = row->rank;
	s->access_category = row->access_category;
	s->meter_category = row->meter_category;
	s->hides = row->hides;
	s->payload = row->payload;
	l->slots.box[slot] = row->box;
	return slot;
}

int layers_batch_del(struct layers_batch *b, uint32_t slot, struct err *err)
{
	return slot_list_add(&b->del, slot) < 0 ? err_set(err, ENOMEM, "classifier: no memory for a change") : 0;
}

void layers_batch_cancel(struct layers_batch *b, uint32_t slot)
{
	cls_set_dies(&b->l->slots, slot, 0);
	b->n_cancelled++;
}

static uint32_t room_in_arrays(const struct layers *l)
{
	uint32_t room = 0;

	for (uint32_t i = 0; i < l->n_arrays; i++)
		room += l->array_by[i] == NULL ? ROW_ARRAY_MAX - l->array[i]->n : 0;
	return room;
}

uint32_t layers_room(const struct layers *l)
{
	return room_in_arrays(l) + (LAYERS_ARRAYS_MAX - l->n_arrays) * ROW_ARRAY_MAX;
}

int layers_batch_prepare(struct layers_batch *b, struct err *err)
{
	struct layers *l = b->l;

	if (b->layer != NULL)
		return 0;
	if (b->failed) {
		b->failed = false; // asked again, it is tried again
		return err_set(err, b->err.code, "%s", b->err.msg);
	}
	if (b->builder == NULL && b->add.n - b->n_cancelled <= LAYERS_ARRAY_ROWS) {
		if (layers_room(l) >= b->add.n - b->n_cancelled)
			return 0;
		l->stats.refused++;
		return -EAGAIN;
	}
	return b->builder != NULL ? -EAGAIN : layers_build_batch(b, err);
}

static int make_room(struct layers *l, uint32_t n)
{
	for (uint32_t room = room_in_arrays(l); room < n; room += ROW_ARRAY_MAX) {
		struct row_array *a = row_array_create();

		if (a == NULL)
			return -ENOMEM; // empty arrays do no harm
		l->array[l->n_arrays] = a;
		l->array_by[l->n_arrays++] = NULL;
	}
	return 0;
}

// The first array that takes one more.
static struct row_array *open_array(const struct layers *l)
{
	for (uint32_t i = 0; i < l->n_arrays; i++) {
		if (l->array_by[i] == NULL && l->array[i]->n < ROW_ARRAY_MAX)
			return l->array[i];
	}
	return NULL;
}

static void add_rows(struct layers *l, const struct layers_batch *b)
{
	struct row_array *a = NULL;

	for (uint32_t i = 0; i < b->add.n; i++) {
		uint32_t slot = b->add.slot[i], n_categories = cls_n_categories(&l->slots.slot[slot]);

		if (!cls_is_alive(&l->slots.slot[slot], 0)) {
			layers_free_slots(l, &(struct slot_list){.slot = &slot, .n = 1});
			continue;
		}
		if (a == NULL || a->n == ROW_ARRAY_MAX)
			a = open_array(l);
		row_array_add(a, slot, &l->slots.box[slot]);
		a->n_categories = n_categories > a->n_categories ? n_categories : a->n_categories;
	}
}

static void remove_rows(struct layers *l, const struct layers_batch *b)
{
	for (uint32_t i = 0; i < b->del.n; i++) {
		assert(cls_is_alive(&l->slots.slot[b->del.slot[i]], l->gen));
		cls_set_dies(&l->slots, b->del.slot[i], l->gen + 1);
	}
	l->n_alive -= b->del.n;
	l->n_dead += b->del.n;
	l->stats.removed += b->del.n;
}

int layers_commit(struct layers *l, struct layers_batch *b, struct layers_view *view, struct err *err)
{
	uint32_t n = b->add.n - b->n_cancelled;
	int rc = layers_batch_prepare(b, err);

	if (rc < 0)
		return rc;
	if (b->layer == NULL && make_room(l, n) < 0)
		return err_set(err, ENOMEM, "classifier: no memory for %u rows", n);
	if (b->layer != NULL) {
		l->layer[l->n_layers] = b->layer;
		l->layer_by[l->n_layers++] = NULL;
		l->n_reserved--;
		l->n_dead += b->n_cancelled - b->dropped.n;
		layers_free_slots(l, &b->dropped);
		b->layer = NULL;
	} else {
		add_rows(l, b);
	}
	l->n_alive += n;
	l->stats.added += n;
	remove_rows(l, b);
	l->gen++;
	l->commit_ns = l->now_ns;
	l->stats.commits++;
	layers_view(l, view);
	b->add.n = 0; // the slots are in use
	layers_batch_destroy(b);
	return 0;
}

// --- views

static void view_layers(const struct layers *l, struct layers_view *v)
{
	for (uint32_t i = 0; i < l->n_layers; i++) {
		uint32_t at = v->n_layers++;

		for (; at > 0 && v->layer[at - 1]->n_rows > l->layer[i]->n_rows; at--)
			v->layer[at] = v->layer[at - 1];
		v->layer[at] = l->layer[i];
	}
}

void layers_view(const struct layers *l, struct layers_view *v)
{
	uint32_t n_categories = 0;

	*v = (struct layers_view){.gen = l->gen, .epoch = l->epoch, .any_dead = l->n_dead > 0};
	view_layers(l, v);
	for (uint32_t i = 0; i < l->n_layers; i++)
		n_categories = l->layer[i]->n_categories > n_categories ? l->layer[i]->n_categories : n_categories;
	for (uint32_t i = 0; i < l->n_arrays; i++) {
		const struct row_array *a = l->array[i];

		if (a->n == 0)
			continue;
		n_categories = a->n_categories > n_categories ? a->n_categories : n_categories;
		v->array[v->n_arrays].rows = a;
		memcpy(v->array[v->n_arrays++].n_of, a->n_of, sizeof(a->n_of));
	}
	v->n_categories = layer_round_categories(n_categories);
}

// --- keeping house

void layers_retire(struct layers *l, struct retired *r)
{
	*l->retired_end = r;
	l->retired_end = &r->next;
}

static void give_away(struct layers *l, struct retired *r)
{
	r->next = atomic_load_explicit(&l->garbage, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&l->garbage, &r->next, r, memory_order_release,
						      memory_order_relaxed))
		;
	sem_post(&l->builder[BUILDER_SMALL].wake);
}

static void reap(struct layers *l)
{
	struct retired *r;

	for (r = l->retired; r != NULL; r = r->next) {
		if (!r->has_token) // by now the view without it is published
			r->token = rte_rcu_qsbr_start(l->conf.rcu);
		r->has_token = true;
	}
	while ((r = l->retired) != NULL && rte_rcu_qsbr_check(l->conf.rcu, r->token, false) == 1) {
		l->retired = r->next;
		if (l->retired == NULL)
			l->retired_end = &l->retired;
		layers_free_slots(l, &r->dropped);
		give_away(l, r);
	}
}

bool layers_poll(struct layers *l, int64_t now_ns)
{
	uint64_t n;

	if (read(l->fd, &n, sizeof(n)) < 0)
		n = 0; // nobody was done; the states say so, too
	l->now_ns = now_ns;
	reap(l);
	return layers_merges_poll(l);
}

int layers_fd(const struct layers *l)
{
	return l->fd;
}

void layers_stats(const struct layers *l, struct layers_stats *out)
{
	*out = l->stats;
	out->n_rows = l->n_alive;
	out->n_dead = l->n_dead;
	out->n_arrays = l->n_arrays;
	out->n_layers = l->n_layers;
	for (uint32_t i = 0; i < l->n_arrays; i++)
		out->n_array_rows += l->array[i]->n;
	for (uint32_t i = 0; i < l->n_layers; i++)
		out->n_largest = l->layer[i]->n_rows > out->n_largest ? l->layer[i]->n_rows : out->n_largest;
}
