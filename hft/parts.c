// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "parts_impl.h"

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

uint64_t part_row_key(const struct part_row *row)
{
	uint64_t hash = mix(box_hash(&row->box), row->id);

	hash = mix(hash,
		   (uint64_t)row->node << 32 | (uint32_t)row->depth << 16 | (uint32_t)row->part << 8 | row->access);
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

uint64_t part_row_rank(const struct part_row *row)
{
	if (row->part == PART_SHARE) // of equal depth the lower number
		return (uint64_t)row->depth << 32 | ~row->node;
	return 2 * (uint64_t)row->depth + (row->access == ACCESS_DENY);
}

struct parts *parts_create(const struct parts_nodes *nodes)
{
	struct parts *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->nodes = nodes;
	boxtrie_init(&p->index);
	boxtrie_init(&p->access[0]);
	boxtrie_init(&p->access[1]);
	return p;
}

void parts_destroy(struct parts *p)
{
	if (p == NULL)
		return;
	boxtrie_fini(&p->index);
	boxtrie_fini(&p->access[0]);
	boxtrie_fini(&p->access[1]);
	for (uint32_t i = 0; i < p->n; i++)
		free(p->entries[i]);
	free(p->entries);
	free(p->buckets);
	free(p->by_end);
	free(p->moving);
	free(p);
}

static struct parts_entry **bucket_of(const struct parts *p, uint64_t key)
{
	return &p->buckets[key & (p->cap - 1)];
}

static struct parts_entry *find(const struct parts *p, uint64_t key)
{
	struct parts_entry *e = p->cap == 0 ? NULL : *bucket_of(p, key);

	while (e != NULL && e->key != key)
		e = e->next;
	return e;
}

const struct part_row *parts_get(const struct parts *p, uint64_t key)
{
	const struct parts_entry *e = find(p, key);

	return e == NULL ? NULL : &e->row;
}

static int grow(struct parts *p)
{
	uint32_t cap = p->cap == 0 ? 256 : p->cap * 2;
	struct parts_entry **entries =
		cap > INT32_MAX / 2 ? NULL : reallocarray(p->entries, cap, sizeof(struct parts_entry *));
	struct parts_entry **buckets;

	if (entries == NULL)
		return -ENOMEM;
	p->entries = entries;
	entries = reallocarray(p->by_end, cap, sizeof(struct parts_entry *));
	if (entries == NULL)
		return -ENOMEM;
	p->by_end = entries;
	buckets = calloc(cap, sizeof(struct parts_entry *));
	if (buckets == NULL)
		return -ENOMEM;
	free(p->buckets);
	p->buckets = buckets;
	p->cap = cap;
	for (uint32_t i = 0; i < p->n; i++) {
		struct parts_entry **bucket = bucket_of(p, p->entries[i]->key);

		p->entries[i]->next = *bucket;
		*bucket = p->entries[i];
	}
	return 0;
}

static uint64_t last_ns(const struct parts_entry *e)
{
	return e->row.box.f[MATCH_TIME].hi;
}

static void heap_put(struct parts *p, uint32_t at, struct parts_entry *e)
{
	p->by_end[at] = e;
	e->end_idx = at;
}

static void heap_up(struct parts *p, uint32_t at, struct parts_entry *e)
{
	for (; at > 0 && last_ns(p->by_end[(at - 1) / 2]) > last_ns(e); at = (at - 1) / 2)
		heap_put(p, at, p->by_end[(at - 1) / 2]);
	heap_put(p, at, e);
}

static void heap_del(struct parts *p, struct parts_entry *e)
{
	uint32_t at = e->end_idx, child;
	struct parts_entry *last = p->by_end[--p->n_by_end];

	if (last == e)
		return;
	while ((child = 2 * at + 1) < p->n_by_end) {
		if (child + 1 < p->n_by_end && last_ns(p->by_end[child + 1]) < last_ns(p->by_end[child]))
			child++;
		if (last_ns(p->by_end[child]) >= last_ns(last))
			break;
		heap_put(p, at, p->by_end[child]);
		at = child;
	}
	heap_up(p, at, last);
}

static int vet(struct parts *p, const struct part_row *row, struct parts_entry *e, struct err *err)
{
	const struct parts_nodes *nodes = p->nodes;

	e->row = *row;
	if (!box_normalize(&e->row.box))
		return err_set(err, EINVAL, "request %" PRIu64 ": an empty box", row->id);
	e->node = parts_nodes_find(nodes, row->node);
	if (e->node == UINT32_MAX || nodes->node[e->node].depth != row->depth)
		return err_set(err, ENOENT, "request %" PRIu64 ": no share %u at depth %u", row->id, row->node,
			       row->depth);
	e->key = part_row_key(&e->row);
	if (find(p, e->key) != NULL)
		return err_set(err, EEXIST, "request %" PRIu64 ": an equal row is there", row->id);
	return 0;
}

static int insert(struct parts *p, struct parts_entry *e)
{
	if ((p->n == p->cap && grow(p) < 0) || parts_hang(p, e) < 0)
		return -ENOMEM;
	e->next = *bucket_of(p, e->key);
	*bucket_of(p, e->key) = e;
	e->idx = p->n;
	p->entries[p->n++] = e;
	if (last_ns(e) < MATCH_TIME_MAX)
		heap_up(p, p->n_by_end++, e);
	return 0;
}

int parts_add(struct parts *p, const struct part_row *row, struct part_row *out, struct err *err)
{
	struct parts_entry *e = malloc(sizeof(*e));
	int ret;

	if (e == NULL)
		return err_set(err, ENOMEM, "out of memory");
	ret = vet(p, row, e, err);
	if (ret == 0) {
		ret = parts_move_for(p, e);
		if (ret == 0)
			ret = parts_choose(p, e, row) ? insert(p, e) : -E2BIG;
		if (ret == -E2BIG)
			err_set(err, E2BIG,
				"request %" PRIu64
				" overlaps too many requests of shares side by side: over %u categories",
				row->id, PARTS_CATEGORIES_MAX);
		else if (ret < 0)
			err_set(err, -ret, "out of memory");
	}
	if (ret < 0)
		free(e);
	else if (out != NULL)
		*out = e->row;
	return ret;
}

void parts_on_moved(struct parts *p, void (*fn)(void *ctx, const struct part_row *row), void *ctx)
{
	p->moved = fn;
	p->moved_ctx = ctx;
}

static void take_out(struct parts *p, struct parts_entry *e)
{
	struct parts_entry **link = bucket_of(p, e->key);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	parts_unhang(p, e);
	p->entries[e->idx] = p->entries[--p->n];
	p->entries[e->idx]->idx = e->idx;
	if (last_ns(e) < MATCH_TIME_MAX)
		heap_del(p, e);
	free(e);
}

int parts_del(struct parts *p, uint64_t key)
{
	struct parts_entry *e = find(p, key);

	if (e == NULL)
		return -ENOENT;
	take_out(p, e);
	return 0;
}

uint32_t parts_expire(struct parts *p, int64_t now_ns, void (*gone)(void *ctx, const struct part_row *row), void *ctx)
{
	uint32_t n = 0;

	for (; p->n_by_end > 0 && box_end_ns(&p->by_end[0]->row.box) <= now_ns; n++) {
		if (gone != NULL)
			gone(ctx, &p->by_end[0]->row);
		take_out(p, p->by_end[0]);
	}
	return n;
}

int64_t parts_next_end_ns(const struct parts *p)
{
	return p->n_by_end == 0 ? INT64_MAX : box_end_ns(&p->by_end[0]->row.box);
}

uint32_t parts_n_rows(const struct parts *p)
{
	return p->n;
}

uint32_t parts_n_categories(const struct parts *p)
{
	uint32_t n = PARTS_CATEGORIES_MAX;

	while (n > 0 && p->category[n - 1].use == USE_NONE)
		n--;
	return n;
}

int parts_each(const struct parts *p, int (*fn)(void *ctx, const struct part_row *row), void *ctx)
{
	int ret = 0;

	for (uint32_t i = 0; i < p->n && ret == 0; i++)
		ret = fn(ctx, &p->entries[i]->row);
	return ret;
}

struct overlap_call {
	int (*fn)(void *ctx, const struct part_row *row);
	void *ctx;
};

static int call_overlap(void *ctx, struct boxtrie_leaf *leaf)
{
	const struct overlap_call *call = ctx;

	return call->fn(call->ctx, &parts_entry_of(leaf)->row);
}

static int call_parked_overlap(void *ctx, struct boxtrie_leaf *leaf)
{
	const struct overlap_call *call = ctx;
	const struct parts_entry *e = parts_entry_of_access(leaf);

	return parts_has_category(e) ? 0 : call->fn(call->ctx, &e->row); // else call_overlap saw it
}

int parts_each_overlap(const struct parts *p, const struct box *box, int (*fn)(void *ctx, const struct part_row *row),
		       void *ctx)
{
	struct overlap_call call = {fn, ctx};
	const u128 all = ~(u128)0;
	int ret = boxtrie_walk(&p->index, box, &all, call_overlap, &call);

	return ret != 0 ? ret : boxtrie_walk(&p->access[0], box, &parts_relieved, call_parked_overlap, &call);
}

struct hinted {
	uint8_t access_category, meter_category;
	bool is;
};

// Adds old's rows to p, those with hints or those without.
static int take_over(struct parts *p, const struct parts *old, const struct hinted *hints, bool hinted, struct err *err)
{
	int ret = 0;

	for (uint32_t i = 0; i < old->n && ret == 0; i++) {
		struct part_row row = old->entries[i]->row;

		if (hints[i].is != hinted)
			continue;
		row.access_category = hints[i].access_category;
		row.meter_category = hints[i].meter_category;
		ret = parts_add(p, &row, NULL, err);
	}
	return ret;
}

int parts_recolour(struct parts *p,
		   bool (*hint)(void *ctx, uint64_t key, uint8_t *access_category, uint8_t *meter_category), void *ctx,
		   struct err *err)
{
	struct hinted *hints = calloc((size_t)p->n + 1, sizeof(*hints));
	struct parts *fresh = parts_create(p->nodes), old;
	int ret = hints == NULL || fresh == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	for (uint32_t i = 0; i < p->n && ret == 0; i++) {
		struct hinted *h = &hints[i];

		h->access_category = h->meter_category = PARTS_NO_CATEGORY;
		h->is = hint(ctx, p->entries[i]->key, &h->access_category, &h->meter_category);
	}
	if (ret == 0)
		ret = take_over(fresh, p, hints, true, err);
	if (ret == 0)
		ret = take_over(fresh, p, hints, false, err);
	if (ret == 0) {
		old = *p;
		*p = *fresh;
		p->moved = old.moved;
		p->moved_ctx = old.moved_ctx;
		*fresh = old;
	}
	parts_destroy(fresh);
	free(hints);
	return ret;
}

void parts_find(const struct parts *p, const struct match_packet *packet, struct parts_visible *out)
{
	*out = (struct parts_visible){0};
	for (uint32_t i = 0; i < p->n; i++) {
		if (box_covers(&p->entries[i]->row.box, packet))
			parts_see(out, &p->entries[i]->row);
	}
}
