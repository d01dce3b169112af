// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boxtrie.h"
#include "parts_impl.h"

#define KNOWN_NODES 8 // of one category; with more nobody keeps count

enum use {
	USE_NONE,
	USE_ACCESS,
	USE_METER,
	USE_SHARE,
};

struct category {
	enum use use;
	uint32_t n_rows;
	// Slots of the nodes that its rows stand at, for access: comparable with all of them needs no look at boxes.
	uint32_t node[KNOWN_NODES], n_at[KNOWN_NODES], n_nodes;
	bool more; // nodes than these
};

struct entry {
	struct part_row row;
	struct boxtrie_leaf leaf; // its tags are the row's categories
	uint64_t key;
	struct entry *next; // of one hash bucket
	uint32_t idx;       // in parts.entries
	uint32_t end_idx;   // in parts.by_end, unless for ever
	uint32_t node;      // slot
};

struct parts {
	const struct parts_nodes *nodes;
	struct boxtrie index;
	struct entry **entries, **buckets;
	struct entry **by_end; // binary heap, earliest end first
	uint32_t n, cap, n_by_end;
	struct category category[PARTS_CATEGORIES_MAX];
};

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

static u128 bit(uint32_t category)
{
	return (u128)1 << category;
}

static u128 tags_of(const struct part_row *row)
{
	u128 tags = 0;

	if (row->access_category < PARTS_CATEGORIES_MAX)
		tags |= bit(row->access_category);
	if (row->meter_category < PARTS_CATEGORIES_MAX)
		tags |= bit(row->meter_category);
	return tags;
}

struct parts *parts_create(const struct parts_nodes *nodes)
{
	struct parts *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->nodes = nodes;
	boxtrie_init(&p->index);
	return p;
}

void parts_destroy(struct parts *p)
{
	if (p == NULL)
		return;
	boxtrie_fini(&p->index);
	for (uint32_t i = 0; i < p->n; i++)
		free(p->entries[i]);
	free(p->entries);
	free(p->buckets);
	free(p->by_end);
	free(p);
}

static struct entry **bucket_of(const struct parts *p, uint64_t key)
{
	return &p->buckets[key & (p->cap - 1)];
}

static struct entry *find(const struct parts *p, uint64_t key)
{
	struct entry *e = p->cap == 0 ? NULL : *bucket_of(p, key);

	while (e != NULL && e->key != key)
		e = e->next;
	return e;
}

const struct part_row *parts_get(const struct parts *p, uint64_t key)
{
	const struct entry *e = find(p, key);

	return e == NULL ? NULL : &e->row;
}

static int grow(struct parts *p)
{
	uint32_t cap = p->cap == 0 ? 256 : p->cap * 2;
	struct entry **entries = cap > INT32_MAX / 2 ? NULL : reallocarray(p->entries, cap, sizeof(struct entry *));
	struct entry **buckets;

	if (entries == NULL)
		return -ENOMEM;
	p->entries = entries;
	entries = reallocarray(p->by_end, cap, sizeof(struct entry *));
	if (entries == NULL)
		return -ENOMEM;
	p->by_end = entries;
	buckets = calloc(cap, sizeof(struct entry *));
	if (buckets == NULL)
		return -ENOMEM;
	free(p->buckets);
	p->buckets = buckets;
	p->cap = cap;
	for (uint32_t i = 0; i < p->n; i++) {
		struct entry **bucket = bucket_of(p, p->entries[i]->key);

		p->entries[i]->next = *bucket;
		*bucket = p->entries[i];
	}
	return 0;
}

static uint64_t last_ns(const struct entry *e)
{
	return e->row.box.f[MATCH_TIME].hi;
}

static void heap_put(struct parts *p, uint32_t at, struct entry *e)
{
	p->by_end[at] = e;
	e->end_idx = at;
}

static void heap_up(struct parts *p, uint32_t at, struct entry *e)
{
	for (; at > 0 && last_ns(p->by_end[(at - 1) / 2]) > last_ns(e); at = (at - 1) / 2)
		heap_put(p, at, p->by_end[(at - 1) / 2]);
	heap_put(p, at, e);
}

static void heap_del(struct parts *p, struct entry *e)
{
	uint32_t at = e->end_idx, child;
	struct entry *last = p->by_end[--p->n_by_end];

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

static bool nodes_comparable(const struct parts *p, uint32_t a, uint32_t b)
{
	return slots_in_line(p->nodes, a, b) || slots_in_line(p->nodes, b, a);
}

static void category_add(struct parts *p, uint32_t number, enum use use, uint32_t node)
{
	struct category *c = &p->category[number];
	uint32_t i = 0;

	c->use = use;
	c->n_rows++;
	while (i < c->n_nodes && c->node[i] != node)
		i++;
	if (i == KNOWN_NODES) {
		c->more = true;
		return;
	}
	if (i == c->n_nodes) {
		c->n_nodes++;
		c->node[i] = node;
		c->n_at[i] = 0;
	}
	c->n_at[i]++;
}

static void category_del(struct parts *p, uint32_t number, uint32_t node)
{
	struct category *c = &p->category[number];
	uint32_t i = 0;

	if (--c->n_rows == 0) {
		*c = (struct category){0};
		return;
	}
	while (i < c->n_nodes && c->node[i] != node)
		i++;
	if (i == c->n_nodes || --c->n_at[i] > 0)
		return;
	c->n_nodes--;
	c->node[i] = c->node[c->n_nodes];
	c->n_at[i] = c->n_at[c->n_nodes];
}

static bool category_in_line(const struct parts *p, const struct category *c, uint32_t node)
{
	for (uint32_t i = 0; i < c->n_nodes; i++) {
		if (!nodes_comparable(p, c->node[i], node))
			return false;
	}
	return !c->more;
}

struct choice {
	const struct parts *p;
	const struct entry *entry;
	u128 open; // categories not known to be closed, of those that rows could close
};

static int close_categories(void *ctx, struct boxtrie_leaf *leaf)
{
	struct choice *choice = ctx;
	const struct entry *other = (struct entry *)((char *)leaf - offsetof(struct entry, leaf));

	if (other->row.meter_category < PARTS_CATEGORIES_MAX)
		choice->open &= ~bit(other->row.meter_category);
	if (other->row.access_category < PARTS_CATEGORIES_MAX &&
	    !nodes_comparable(choice->p, other->node, choice->entry->node))
		choice->open &= ~bit(other->row.access_category);
	return 0;
}

static enum use meter_use(const struct part_row *row)
{
	if (row->part == PART_SHARE)
		return USE_SHARE;
	return row->part == PART_RESERVE || row->part == PART_LIMIT ? USE_METER : USE_NONE;
}

static uint32_t lowest(u128 set)
{
	uint64_t low = (uint64_t)set, high = (uint64_t)(set >> 64);

	if (low != 0)
		return (uint32_t)__builtin_ctzll(low);
	return high != 0 ? 64 + (uint32_t)__builtin_ctzll(high) : PARTS_NO_CATEGORY;
}

// The row's wish, if there is one and it is among those that do, otherwise the lowest.
static uint8_t pick(u128 fit, uint32_t wish)
{
	if (wish < PARTS_CATEGORIES_MAX && (fit & bit(wish)) != 0)
		return (uint8_t)wish;
	return (uint8_t)lowest(fit);
}

// Fills the categories of e->row. false: there are not enough.
static bool choose(const struct parts *p, struct entry *e, const struct part_row *wish)
{
	struct choice choice = {.p = p, .entry = e};
	u128 of_use[USE_SHARE + 1] = {0}, sure = 0;
	bool access = e->row.access != ACCESS_NONE;
	enum use meter = meter_use(&e->row);

	for (uint32_t c = 0; c < PARTS_CATEGORIES_MAX; c++) {
		const struct category *category = &p->category[c];

		of_use[category->use] |= bit(c);
		if (access && category->use == USE_ACCESS && category_in_line(p, category, e->node))
			sure |= bit(c);
	}
	choice.open = (access ? of_use[USE_ACCESS] & ~sure : 0) | (meter == USE_METER ? of_use[USE_METER] : 0);
	if (choice.open != 0)
		boxtrie_walk(&p->index, &e->row.box, &choice.open, close_categories, &choice);
	e->row.access_category = e->row.meter_category = PARTS_NO_CATEGORY;
	if (access) {
		u128 fit = sure | (choice.open & of_use[USE_ACCESS]);
		bool wished = wish->access_category < PARTS_CATEGORIES_MAX &&
			      (of_use[USE_NONE] & bit(wish->access_category)) != 0;

		e->row.access_category = pick(fit == 0 || wished ? of_use[USE_NONE] | fit : fit, wish->access_category);
		if (e->row.access_category == PARTS_NO_CATEGORY)
			return false;
		of_use[USE_NONE] &= ~bit(e->row.access_category);
	}
	if (meter != USE_NONE) {
		u128 fit = meter == USE_SHARE ? of_use[USE_SHARE] : choice.open & of_use[USE_METER];
		bool wished = meter == USE_METER && wish->meter_category < PARTS_CATEGORIES_MAX &&
			      (of_use[USE_NONE] & bit(wish->meter_category)) != 0;

		e->row.meter_category = pick(fit == 0 || wished ? of_use[USE_NONE] | fit : fit, wish->meter_category);
		if (e->row.meter_category == PARTS_NO_CATEGORY)
			return false;
	}
	return true;
}

static int vet(const struct parts *p, const struct part_row *row, struct entry *e, struct err *err)
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
	if (!choose(p, e, row))
		return err_set(err, E2BIG,
			       "request %" PRIu64
			       ": it overlaps too many requests of shares side by side: over %u categories",
			       row->id, PARTS_CATEGORIES_MAX);
	return 0;
}

static int insert(struct parts *p, struct entry *e)
{
	if (p->n == p->cap && grow(p) < 0)
		return -ENOMEM;
	if (boxtrie_add(&p->index, &e->leaf, &e->row.box, tags_of(&e->row)) < 0)
		return -ENOMEM;
	e->next = *bucket_of(p, e->key);
	*bucket_of(p, e->key) = e;
	e->idx = p->n;
	p->entries[p->n++] = e;
	if (last_ns(e) < MATCH_TIME_MAX)
		heap_up(p, p->n_by_end++, e);
	if (e->row.access_category != PARTS_NO_CATEGORY)
		category_add(p, e->row.access_category, USE_ACCESS, e->node);
	if (e->row.meter_category != PARTS_NO_CATEGORY)
		category_add(p, e->row.meter_category, meter_use(&e->row), e->node);
	return 0;
}

int parts_add(struct parts *p, const struct part_row *row, struct part_row *out, struct err *err)
{
	struct entry *e = malloc(sizeof(*e));
	int ret;

	if (e == NULL)
		return err_set(err, ENOMEM, "out of memory");
	ret = vet(p, row, e, err);
	if (ret == 0 && insert(p, e) < 0)
		ret = err_set(err, ENOMEM, "out of memory");
	if (ret < 0)
		free(e);
	else if (out != NULL)
		*out = e->row;
	return ret;
}

static void take_out(struct parts *p, struct entry *e)
{
	struct entry **link = bucket_of(p, e->key);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	boxtrie_del(&p->index, &e->leaf);
	p->entries[e->idx] = p->entries[--p->n];
	p->entries[e->idx]->idx = e->idx;
	if (last_ns(e) < MATCH_TIME_MAX)
		heap_del(p, e);
	if (e->row.access_category != PARTS_NO_CATEGORY)
		category_del(p, e->row.access_category, e->node);
	if (e->row.meter_category != PARTS_NO_CATEGORY)
		category_del(p, e->row.meter_category, e->node);
	free(e);
}

int parts_del(struct parts *p, uint64_t key)
{
	struct entry *e = find(p, key);

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

	return call->fn(call->ctx, &((struct entry *)((char *)leaf - offsetof(struct entry, leaf)))->row);
}

int parts_each_overlap(const struct parts *p, const struct box *box, int (*fn)(void *ctx, const struct part_row *row),
		       void *ctx)
{
	struct overlap_call call = {fn, ctx};
	const u128 all = ~(u128)0;

	return boxtrie_walk(&p->index, box, &all, call_overlap, &call);
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
