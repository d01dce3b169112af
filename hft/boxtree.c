// SPDX-License-Identifier: Apache-2.0
#include "boxtree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// The high bits of both addresses (all of an IPv4 address), ports and kinds: what tells most boxes apart, in little
// memory.
struct boxtree_node {
	uint32_t src_lo, src_hi, dst_lo, dst_hi;
	uint16_t src_port_lo, src_port_hi, dst_port_lo, dst_port_hi;
	uint32_t kinds;
	uint32_t first, next; // first box below, next below the same
};

// Level 1 hubs (parent BOXTREE_NONE) divide the topmost boxes by source, level 2 hubs those by destination. Boxes whose
// address is not a single host share the hub of the full span.
struct boxtree_hub {
	struct span128 span;
	uint32_t parent, first_hub, next_hub; // hubs of level 2
	uint32_t first;                       // boxes, level 2 only
	bool host;
};

static const struct span128 any_address = {0, ~(u128)0};

void boxtree_init(struct boxtree *t)
{
	*t = (struct boxtree){0};
}

void boxtree_fini(struct boxtree *t)
{
	free(t->boxes);
	free(t->nodes);
	free(t->hubs);
	free(t->box_slots);
	free(t->hub_slots);
	free(t->stack);
	boxtree_init(t);
}

static struct boxtree_node node_of(const struct box *box)
{
	return (struct boxtree_node){
		.src_lo = (uint32_t)(box->src.lo >> 96),
		.src_hi = (uint32_t)(box->src.hi >> 96),
		.dst_lo = (uint32_t)(box->dst.lo >> 96),
		.dst_hi = (uint32_t)(box->dst.hi >> 96),
		.src_port_lo = (uint16_t)box->f[MATCH_SRC_PORT].lo,
		.src_port_hi = (uint16_t)box->f[MATCH_SRC_PORT].hi,
		.dst_port_lo = (uint16_t)box->f[MATCH_DST_PORT].lo,
		.dst_port_hi = (uint16_t)box->f[MATCH_DST_PORT].hi,
		.kinds = box->kinds,
		.first = BOXTREE_NONE,
		.next = BOXTREE_NONE,
	};
}

// false: their boxes do not overlap.
static bool nodes_may_overlap(const struct boxtree_node *a, const struct boxtree_node *b)
{
	return (a->src_lo <= b->src_hi) & (b->src_lo <= a->src_hi) & (a->dst_lo <= b->dst_hi) &
	       (b->dst_lo <= a->dst_hi) & (a->src_port_lo <= b->src_port_hi) & (b->src_port_lo <= a->src_port_hi) &
	       (a->dst_port_lo <= b->dst_port_hi) & (b->dst_port_lo <= a->dst_port_hi) & ((a->kinds & b->kinds) != 0);
}

// Two different hosts of one family have nothing in common.
static bool is_host(const struct span128 *span, uint32_t kinds)
{
	u128 host_bits = (kinds & MATCH_KINDS_V4) != 0 ? ~(u128)0 >> 32 : 0;

	return span->hi - span->lo == host_bits && (span->lo & host_bits) == 0;
}

static uint64_t hash_hub(uint32_t parent, const struct span128 *span)
{
	uint64_t hash = parent;

	hash = (hash ^ (uint64_t)(span->lo >> 64)) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 29 ^ (uint64_t)span->lo) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 29 ^ (uint64_t)span->hi) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

// The slot that holds the hub or would hold it.
static uint32_t hub_slot(const struct boxtree *t, uint32_t parent, const struct span128 *span)
{
	uint32_t mask = t->n_hub_slots - 1;
	uint32_t at = (uint32_t)hash_hub(parent, span) & mask;

	for (; t->hub_slots[at] != BOXTREE_NONE; at = (at + 1) & mask) {
		const struct boxtree_hub *hub = &t->hubs[t->hub_slots[at]];

		if (hub->parent == parent && hub->span.lo == span->lo && hub->span.hi == span->hi)
			break;
	}
	return at;
}

static uint32_t hub_find(const struct boxtree *t, uint32_t parent, const struct span128 *span)
{
	return t->n_hub_slots == 0 ? BOXTREE_NONE : t->hub_slots[hub_slot(t, parent, span)];
}

static uint32_t box_slot(const struct boxtree *t, const struct box *box)
{
	uint32_t mask = t->n_box_slots - 1;
	uint32_t at = (uint32_t)(box_hash(box) >> 20) & mask;

	while (t->box_slots[at] != BOXTREE_NONE && !box_equal(&t->boxes[t->box_slots[at]], box))
		at = (at + 1) & mask;
	return at;
}

uint32_t boxtree_find(const struct boxtree *t, const struct box *box)
{
	return t->n_box_slots == 0 ? BOXTREE_NONE : t->box_slots[box_slot(t, box)];
}

static uint32_t *slots_create(uint32_t n)
{
	uint32_t *slots = reallocarray(NULL, n, sizeof(*slots));

	if (slots != NULL)
		memset(slots, 0xff, n * sizeof(*slots)); // BOXTREE_NONE
	return slots;
}

static int grow_boxes(struct boxtree *t)
{
	uint32_t cap = t->cap == 0 ? 64 : t->cap * 2;
	struct box *boxes = cap > INT32_MAX / 2 ? NULL : reallocarray(t->boxes, cap, sizeof(*boxes));
	struct boxtree_node *nodes;
	uint32_t *stack, *slots;

	if (boxes == NULL)
		return -ENOMEM;
	t->boxes = boxes;
	nodes = reallocarray(t->nodes, cap, sizeof(*nodes));
	if (nodes == NULL)
		return -ENOMEM;
	t->nodes = nodes;
	stack = reallocarray(t->stack, cap, sizeof(*stack));
	if (stack == NULL)
		return -ENOMEM;
	t->stack = stack;
	slots = slots_create(cap * 2);
	if (slots == NULL)
		return -ENOMEM;
	free(t->box_slots);
	t->box_slots = slots;
	t->n_box_slots = cap * 2;
	t->cap = cap;
	for (uint32_t i = 0; i < t->n; i++)
		t->box_slots[box_slot(t, &t->boxes[i])] = i;
	return 0;
}

static int grow_hubs(struct boxtree *t)
{
	uint32_t cap = t->cap_hubs == 0 ? 16 : t->cap_hubs * 2;
	struct boxtree_hub *hubs = reallocarray(t->hubs, cap, sizeof(*hubs));
	uint32_t *slots;

	if (hubs == NULL)
		return -ENOMEM;
	t->hubs = hubs;
	slots = slots_create(cap * 2);
	if (slots == NULL)
		return -ENOMEM;
	free(t->hub_slots);
	t->hub_slots = slots;
	t->n_hub_slots = cap * 2;
	t->cap_hubs = cap;
	for (uint32_t i = 0; i < t->n_hubs; i++)
		t->hub_slots[hub_slot(t, t->hubs[i].parent, &t->hubs[i].span)] = i;
	return 0;
}

// Finds or makes the hub for an address span. Hub 0 is the source hub of boxes without a single source; like every
// level 1 hub it hangs in the list that starts at hub 0. Needs room for one hub.
static uint32_t hub_get(struct boxtree *t, uint32_t parent, const struct span128 *span, bool host)
{
	uint32_t slot = hub_slot(t, parent, span);
	uint32_t hub = t->hub_slots[slot];

	if (hub != BOXTREE_NONE)
		return hub;
	hub = t->n_hubs++;
	t->hub_slots[slot] = hub;
	t->hubs[hub] = (struct boxtree_hub){
		.span = *span,
		.parent = parent,
		.first_hub = BOXTREE_NONE,
		.next_hub = BOXTREE_NONE,
		.first = BOXTREE_NONE,
		.host = host,
	};
	if (parent != BOXTREE_NONE) {
		t->hubs[hub].next_hub = t->hubs[parent].first_hub;
		t->hubs[parent].first_hub = hub;
	} else if (hub != 0) {
		t->hubs[hub].next_hub = t->hubs[0].next_hub;
		t->hubs[0].next_hub = hub;
	}
	return hub;
}

static uint32_t hub_of(struct boxtree *t, const struct box *box)
{
	bool src_host = is_host(&box->src, box->kinds), dst_host = is_host(&box->dst, box->kinds);
	uint32_t hub;

	hub_get(t, BOXTREE_NONE, &any_address, false);
	hub = hub_get(t, BOXTREE_NONE, src_host ? &box->src : &any_address, src_host);
	return hub_get(t, hub, dst_host ? &box->dst : &any_address, dst_host);
}

int boxtree_add(struct boxtree *t, const struct box *box, uint32_t below)
{
	uint32_t *list;

	if (t->n == t->cap && grow_boxes(t) < 0)
		return -ENOMEM;
	if (t->n_hubs + 3 > t->cap_hubs && grow_hubs(t) < 0)
		return -ENOMEM;
	list = below == BOXTREE_NONE ? &t->hubs[hub_of(t, box)].first : &t->nodes[below].first;
	t->box_slots[box_slot(t, box)] = t->n;
	t->boxes[t->n] = *box;
	t->nodes[t->n] = node_of(box);
	t->nodes[t->n].next = *list;
	*list = t->n++;
	return 0;
}

struct walk {
	const struct boxtree *tree;
	const struct box *box;
	struct boxtree_node key;
	boxtree_visit *visit;
	void *ctx;
};

// Visits box idx, which overlaps, and all below it that do. false: stopped.
static bool walk_box(const struct walk *w, uint32_t idx)
{
	const struct boxtree *t = w->tree;
	uint32_t n = 0;

	t->stack[n++] = idx;
	while (n > 0) {
		idx = t->stack[--n];
		if (w->visit(w->ctx, idx) == BOXTREE_STOP)
			return false;
		for (idx = t->nodes[idx].first; idx != BOXTREE_NONE; idx = t->nodes[idx].next) {
			if (nodes_may_overlap(&t->nodes[idx], &w->key) && box_overlaps(&t->boxes[idx], w->box))
				t->stack[n++] = idx;
		}
	}
	return true;
}

static bool walk_list(const struct walk *w, uint32_t idx)
{
	const struct boxtree *t = w->tree;

	for (; idx != BOXTREE_NONE; idx = t->nodes[idx].next) {
		if (nodes_may_overlap(&t->nodes[idx], &w->key) && box_overlaps(&t->boxes[idx], w->box) &&
		    !walk_box(w, idx))
			return false;
	}
	return true;
}

static bool spans_overlap(const struct span128 *a, const struct span128 *b)
{
	return a->lo <= b->hi && b->lo <= a->hi;
}

// All boxes of one source hub.
static bool walk_source(const struct walk *w, uint32_t source)
{
	const struct boxtree *t = w->tree;
	uint32_t hub;

	if (is_host(&w->box->dst, w->box->kinds)) {
		hub = hub_find(t, source, &w->box->dst);
		if (hub != BOXTREE_NONE && !walk_list(w, t->hubs[hub].first))
			return false;
		hub = hub_find(t, source, &any_address);
		return hub == BOXTREE_NONE || walk_list(w, t->hubs[hub].first);
	}
	for (hub = t->hubs[source].first_hub; hub != BOXTREE_NONE; hub = t->hubs[hub].next_hub) {
		if (spans_overlap(&t->hubs[hub].span, &w->box->dst) && !walk_list(w, t->hubs[hub].first))
			return false;
	}
	return true;
}

void boxtree_walk(const struct boxtree *t, const struct box *box, boxtree_visit *visit, void *ctx)
{
	const struct walk w = {.tree = t, .box = box, .key = node_of(box), .visit = visit, .ctx = ctx};
	uint32_t hub;

	if (t->n == 0)
		return;
	if (is_host(&box->src, box->kinds)) {
		hub = hub_find(t, BOXTREE_NONE, &box->src);
		if (hub != BOXTREE_NONE && !walk_source(&w, hub))
			return;
		walk_source(&w, 0);
		return;
	}
	for (hub = 0; hub != BOXTREE_NONE; hub = t->hubs[hub].next_hub) {
		if (spans_overlap(&t->hubs[hub].span, &box->src) && !walk_source(&w, hub))
			return;
	}
}
