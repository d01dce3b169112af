// SPDX-License-Identifier: Apache-2.0
// What was asked for and what the table has, side by side, and the checks of a region. To find what is in a region each
// box has a thumb, a few words that a scan compares, on the shelf of its source host; boxes without one share a shelf.
#include "verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verify_impl.h"

#define N_SHELVES 1024 // of source hosts
#define WIDE N_SHELVES // the shelf of all others
#define MIN_BUCKETS 1024u

struct thumb {
	uint32_t src_lo, src_hi, dst_lo, dst_hi; // the high 32 bits
	uint16_t port_lo, port_hi;               // destination
	uint32_t kinds;
	struct verify_item *item;
};

struct shelf {
	struct thumb *thumb;
	uint32_t n, cap;
};

struct list {
	const struct cell_box **box;
	uint32_t n, cap;
};

enum { LIST_ACCESS, LIST_METERS, LIST_SHARE, LIST_BACKGROUND, N_LISTS };

struct verify {
	const struct parts_nodes *nodes;
	struct shelf shelf[N_SHELVES + 1];
	struct verify_item **buckets; // by key
	uint32_t n_buckets, n_items;
	struct list list[N_LISTS]; // of the region in hand
	uint32_t n_rows[PARTS_CATEGORIES_MAX][N_LISTS];
};

struct verify *verify_create(const struct parts_nodes *nodes)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->nodes = nodes;
	v->buckets = calloc(MIN_BUCKETS, sizeof(struct verify_item *));
	v->n_buckets = MIN_BUCKETS;
	if (v->buckets == NULL) {
		free(v);
		return NULL;
	}
	return v;
}

void verify_destroy(struct verify *v)
{
	if (v == NULL)
		return;
	for (uint32_t i = 0; i <= WIDE; i++) {
		for (uint32_t j = 0; j < v->shelf[i].n; j++)
			free(v->shelf[i].thumb[j].item);
		free(v->shelf[i].thumb);
	}
	for (int i = 0; i < N_LISTS; i++)
		free(v->list[i].box);
	free(v->buckets);
	free(v);
}

static struct thumb thumb_of(const struct box *box, struct verify_item *item)
{
	return (struct thumb){
		.src_lo = (uint32_t)(box->src.lo >> 96),
		.src_hi = (uint32_t)(box->src.hi >> 96),
		.dst_lo = (uint32_t)(box->dst.lo >> 96),
		.dst_hi = (uint32_t)(box->dst.hi >> 96),
		.port_lo = (uint16_t)box->f[MATCH_DST_PORT].lo,
		.port_hi = (uint16_t)box->f[MATCH_DST_PORT].hi,
		.kinds = box->kinds,
		.item = item,
	};
}

static uint32_t shelf_of(const struct box *box)
{
	u128 host = (box->kinds & ~MATCH_KINDS_V4) == 0 ? ~(u128)0 >> 32 : 0;
	uint64_t hash;

	if (box->src.hi - box->src.lo != host || (box->src.lo & host) != 0)
		return WIDE;
	hash = ((uint64_t)(box->src.lo >> 64) ^ (uint64_t)box->src.lo * 31) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(hash >> 54);
}

static int shelve(struct verify *v, const struct box *box, struct verify_item *item)
{
	struct shelf *shelf = &v->shelf[shelf_of(box)];

	if (shelf->n == shelf->cap) {
		uint32_t cap = shelf->cap == 0 ? 8 : shelf->cap * 2;
		struct thumb *thumb = reallocarray(shelf->thumb, cap, sizeof(*thumb));

		if (thumb == NULL)
			return -ENOMEM;
		shelf->thumb = thumb;
		shelf->cap = cap;
	}
	item->shelf = (uint32_t)(shelf - v->shelf);
	item->at = shelf->n;
	shelf->thumb[shelf->n++] = thumb_of(box, item);
	return 0;
}

static void unshelve(struct verify *v, struct verify_item *item)
{
	struct shelf *shelf = &v->shelf[item->shelf];

	shelf->thumb[item->at] = shelf->thumb[--shelf->n];
	shelf->thumb[item->at].item->at = item->at;
}

static struct verify_item **bucket_of(const struct verify *v, uint64_t key)
{
	return &v->buckets[(key ^ key >> 32) & (v->n_buckets - 1)];
}

static int grow_buckets(struct verify *v)
{
	uint32_t n_old = v->n_buckets;
	struct verify_item **old = v->buckets, **buckets = calloc((size_t)n_old * 2, sizeof(struct verify_item *));

	if (buckets == NULL)
		return -ENOMEM;
	v->buckets = buckets;
	v->n_buckets = n_old * 2;
	for (uint32_t i = 0; i < n_old; i++) {
		struct verify_item *item = old[i];

		while (item != NULL) {
			struct verify_item *next = item->next, **bucket = bucket_of(v, item->key);

			item->next = *bucket;
			*bucket = item;
			item = next;
		}
	}
	free(old);
	return 0;
}

// Adds a copy of item for the box.
static int add_item(struct verify *v, const struct verify_item *like, const struct box *box)
{
	struct verify_item *item;

	if (v->n_items >= v->n_buckets && grow_buckets(v) < 0)
		return -ENOMEM;
	item = malloc(sizeof(*item));
	if (item == NULL)
		return -ENOMEM;
	*item = *like;
	cell_box_of(box, &item->box);
	if (shelve(v, box, item) < 0) {
		free(item);
		return -ENOMEM;
	}
	item->next = *bucket_of(v, item->key);
	*bucket_of(v, item->key) = item;
	v->n_items++;
	return 0;
}

static bool same_thing(const struct verify_item *a, const struct verify_item *b)
{
	return a->key == b->key && a->is_row == b->is_row &&
	       (a->is_row || (a->part == b->part && a->id == b->id && a->node == b->node));
}

static unsigned int meter_list(const struct verify_item *item)
{
	if (part_hides(item->part))
		return item->part == PART_SHARE ? LIST_SHARE : LIST_BACKGROUND;
	return LIST_METERS;
}

static void count_row(struct verify *v, const struct verify_item *item, int by)
{
	if (item->access_category < PARTS_CATEGORIES_MAX)
		v->n_rows[item->access_category][LIST_ACCESS] += (uint32_t)by;
	if (item->meter_category < PARTS_CATEGORIES_MAX)
		v->n_rows[item->meter_category][meter_list(item)] += (uint32_t)by;
}

// A category is for one kind of row.
static bool category_is_fit(const struct verify *v, uint8_t category, unsigned int list)
{
	if (category >= PARTS_CATEGORIES_MAX)
		return category == PARTS_NO_CATEGORY;
	for (unsigned int i = 0; i < N_LISTS; i++) {
		if (i != list && v->n_rows[category][i] > 0)
			return false;
	}
	return true;
}

// All items that are the same thing as `like`. How many.
static uint32_t del_items(struct verify *v, const struct verify_item *like)
{
	struct verify_item **link = bucket_of(v, like->key);
	uint32_t n = 0;

	while (*link != NULL) {
		struct verify_item *item = *link;

		if (!same_thing(item, like)) {
			link = &item->next;
			continue;
		}
		*link = item->next;
		if (item->is_row)
			count_row(v, item, -1);
		unshelve(v, item);
		free(item);
		v->n_items--;
		n++;
	}
	return n;
}

static struct verify_item asked_item(enum part part, uint64_t id, uint32_t node)
{
	return (struct verify_item){
		.part = (uint8_t)part,
		.id = id,
		.node = node,
		.key = (id * 8 + part) * 0x9e3779b97f4a7c15ULL ^ (uint64_t)node * 0xd6e8feb86659fd93ULL,
	};
}

int verify_ask(struct verify *v, enum part part, uint64_t id, uint32_t node, enum access access,
	       const struct match *match)
{
	struct verify_item item = asked_item(part, id, node);
	uint32_t i = 0;

	item.slot = parts_nodes_find(v->nodes, node);
	if (item.slot == UINT32_MAX)
		return -ENOENT;
	item.access = (uint8_t)access;
	item.depth = v->nodes->node[item.slot].depth;
	while (i < match->n_boxes && add_item(v, &item, &match->boxes[i]) == 0)
		i++;
	if (i == match->n_boxes)
		return 0;
	del_items(v, &item);
	return -ENOMEM;
}

int verify_unask(struct verify *v, enum part part, uint64_t id, uint32_t node)
{
	const struct verify_item item = asked_item(part, id, node);

	return del_items(v, &item) == 0 ? -ENOENT : 0;
}

int verify_row(struct verify *v, const struct part_row *row)
{
	const struct verify_item item = {
		.is_row = true,
		.part = row->part,
		.access = row->access,
		.access_category = row->access_category,
		.meter_category = row->meter_category,
		.depth = row->depth,
		.node = row->node,
		.slot = parts_nodes_find(v->nodes, row->node),
		.id = row->id,
		.rank = part_row_rank(row),
		.key = part_row_key(row),
	};

	int ret;

	if (item.slot == UINT32_MAX)
		return -ENOENT;
	del_items(v, &item);
	if (!category_is_fit(v, item.access_category, LIST_ACCESS) ||
	    !category_is_fit(v, item.meter_category, meter_list(&item)) ||
	    (item.access_category == item.meter_category && item.access_category != PARTS_NO_CATEGORY))
		return -EINVAL;
	ret = add_item(v, &item, &row->box);
	if (ret == 0)
		count_row(v, &item, 1);
	return ret;
}

int verify_unrow(struct verify *v, uint64_t key)
{
	const struct verify_item item = {.is_row = true, .key = key};

	return del_items(v, &item) == 0 ? -ENOENT : 0;
}

static int list_add(struct list *list, const struct verify_item *item)
{
	if (list->n == list->cap) {
		uint32_t cap = list->cap == 0 ? 256 : list->cap * 2;
		const struct cell_box **box = reallocarray(list->box, cap, sizeof(*box));

		if (box == NULL)
			return -ENOMEM;
		list->box = box;
		list->cap = cap;
	}
	list->box[list->n++] = &item->box;
	return 0;
}

static int sort_item(struct verify *v, const struct verify_item *item)
{
	int ret = 0;

	if (item->access != ACCESS_NONE && (!item->is_row || item->access_category < PARTS_CATEGORIES_MAX))
		ret = list_add(&v->list[LIST_ACCESS], item);
	if (ret == 0 && part_has_meter_category(item->part) &&
	    (!item->is_row || item->meter_category < PARTS_CATEGORIES_MAX))
		ret = list_add(&v->list[meter_list(item)], item);
	return ret;
}

static int scan_shelf(struct verify *v, const struct shelf *shelf, const struct thumb *key)
{
	int ret = 0;

	for (uint32_t i = 0; i < shelf->n && ret == 0; i++) {
		const struct thumb *t = &shelf->thumb[i];

		if ((t->src_lo <= key->src_hi) & (t->src_hi >= key->src_lo) & (t->dst_lo <= key->dst_hi) &
		    (t->dst_hi >= key->dst_lo) & (t->port_lo <= key->port_hi) & (t->port_hi >= key->port_lo) &
		    ((t->kinds & key->kinds) != 0))
			ret = sort_item(v, t->item);
	}
	return ret;
}

// What may be in the box, into the lists.
static int collect(struct verify *v, const struct box *box)
{
	const struct thumb key = thumb_of(box, NULL);
	uint32_t home = shelf_of(box);
	int ret = 0;

	for (int i = 0; i < N_LISTS; i++)
		v->list[i].n = 0;
	if (home != WIDE)
		ret = scan_shelf(v, &v->shelf[home], &key);
	for (uint32_t i = home == WIDE ? 0 : WIDE; i <= WIDE && ret == 0; i++)
		ret = scan_shelf(v, &v->shelf[i], &key);
	return ret;
}

int verify_region(struct verify *v, const struct match *region, int64_t from_ns, uint32_t effort,
		  struct verify_fault *fault)
{
	static cell_look *const looks[N_LISTS] = {verify_look_access, verify_look_meters, verify_look_share,
						  verify_look_background};
	struct verify_look look = {.nodes = v->nodes, .fault = fault};
	int ret = 1;

	for (uint32_t i = 0; i < region->n_boxes && ret == 1; i++) {
		if (collect(v, &region->boxes[i]) < 0)
			return -ENOMEM;
		for (int j = 0; j < N_LISTS && ret == 1; j++)
			ret = cells_check(&region->boxes[i], from_ns, v->list[j].box, v->list[j].n, looks[j], &look,
					  &effort);
	}
	return ret;
}

int verify_all(struct verify *v, int64_t from_ns, uint32_t effort, struct verify_fault *fault)
{
	struct box any = box_any();
	const struct match all = {.boxes = &any, .n_boxes = 1, .cap = 1};

	return verify_region(v, &all, from_ns, effort, fault);
}
