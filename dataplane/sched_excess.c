// SPDX-License-Identifier: Apache-2.0
#include <assert.h>

#include "sched_live.h"

#define LATE_FRAMES 2    // what a class may make up for that a limit kept from its turns
#define TURN_SLOTS_LOG 4 // a frame, rounded up to a power of two, is 16 slots of weight 1

static void node_activate(struct sched *s, uint32_t node, bool woken);
static void node_settle(struct sched *s, uint32_t node);
static void turn_end(struct sched *s);

static struct calendar *kids_of(const struct sched *s, const struct sched_tree_node *parent, uint8_t group)
{
	return &s->calendar[(size_t)(parent - s->tree) * SCHED_WEIGHT_GROUPS + group];
}

static bool node_has_any(const struct sched_tree_node *n)
{
	return n->kid_map != 0 || n->classes.map != 0;
}

// The root has those whose node is not there.
static uint32_t node_of(const struct sched *s, const struct sched_queue *q)
{
	return s->tree[q->set_node].used ? q->set_node : SCHED_NODE_ROOT;
}

// What was not taken is not saved up. A tag far ahead is one that the others have passed by half of all tags.
static uint64_t catch_up(const struct sched *s, uint64_t tag, uint64_t now)
{
	int64_t ahead = (int64_t)(tag - now);

	return ahead < 0 || ahead >> s->shift > 2 * CALENDAR_SLOTS ? now : tag;
}

static uint64_t late_tag(const struct sched *s, uint8_t group)
{
	return (uint64_t)LATE_FRAMES * s->mtu_bytes << SCHED_WEIGHT_BITS >> group;
}

// Where a calendar begins.
static uint64_t from(const struct sched *s, uint64_t now, uint8_t group)
{
	return now - late_tag(s, group);
}

// Those that a limit stopped together catch up together, the first of them to what it may make up for and the others
// as far behind it as they were: else a limit would serve by chance whom it stops most of the time.
static uint64_t catch_up_together(const struct sched *s, uint64_t tag, const struct sched_herd *h, uint64_t now,
				  uint8_t group)
{
	int64_t step = (int64_t)(now - late_tag(s, h->group) - h->first);
	uint64_t most = now + late_tag(s, group);

	if (step <= 0 || (int64_t)(tag - now) >= 0)
		return catch_up(s, tag, from(s, now, group));
	tag += (uint64_t)step;
	return (int64_t)(tag - most) > 0 ? most : tag;
}

static void herd_note(const struct sched *s, struct sched_herd *h, uint64_t tag, uint8_t group)
{
	bool is_first = h->number != s->herd_number;

	if (is_first || (int64_t)(tag - h->first) < 0)
		h->first = tag;
	if (is_first || group > h->group)
		h->group = group;
	h->number = s->herd_number;
}

void sched_excess_note(struct sched *s, uint32_t slot)
{
	const struct sched_queue *q = &s->queue[slot];
	uint32_t node = node_of(s, q);
	struct sched_tree_node *n = &s->tree[node];

	herd_note(s, &n->classes_herd, q->item.tag, 0);
	if (n->n_kids > 0 && !n->own_active)
		herd_note(s, &n->kids_herd, s->kid[2 * node + 1].tag, 0);
	while (!n->active) {
		herd_note(s, &s->tree[n->parent].kids_herd, s->kid[2 * node].tag, n->group);
		node = n->parent;
		n = &s->tree[node];
	}
}

static void kid_add(struct sched *s, uint32_t parent_slot, uint32_t kid, uint8_t group, bool woken)
{
	struct sched_tree_node *parent = &s->tree[parent_slot];
	struct calendar_item *item = &s->kid[kid];

	if (woken)
		item->tag = catch_up_together(s, item->tag, &parent->kids_herd, parent->kids_now, group);
	else
		item->tag = catch_up(s, item->tag, parent->kids_now);
	calendar_add(kids_of(s, parent, group), s->kid_items, kid, from(s, parent->kids_now, group), s->shift - group);
	parent->kid_map |= (uint16_t)(1U << group);
}

static void kid_del(struct sched *s, uint32_t parent_slot, uint32_t kid, uint8_t group)
{
	struct sched_tree_node *parent = &s->tree[parent_slot];
	struct calendar *c = kids_of(s, parent, group);

	calendar_del(c, s->kid_items, kid);
	if (c->map == 0)
		parent->kid_map &= (uint16_t) ~(1U << group);
}

void sched_excess_init(struct sched *s)
{
	unsigned int bits = 1;

	while (1U << bits < s->mtu_bytes)
		bits++;
	s->shift = bits + SCHED_WEIGHT_BITS - TURN_SLOTS_LOG;
	s->class_items = (struct calendar_items){.base = (char *)s->queue, .stride = sizeof(s->queue[0])};
	s->kid_items = (struct calendar_items){.base = (char *)s->kid, .stride = sizeof(s->kid[0])};
	s->turn.class = SCHED_NO_SLOT;
	s->tree[SCHED_NODE_ROOT].used = s->tree[SCHED_BACKGROUND].used = true;
	s->tree[SCHED_NODE_ROOT].active = s->tree[SCHED_BACKGROUND].active =
		true; // they have no parent to be listed at
}

void sched_excess_enter(struct sched *s, uint32_t slot, bool woken)
{
	struct sched_queue *q = &s->queue[slot];
	struct sched_tree_node *n;

	s->n_active++;
	q->node = (uint16_t)node_of(s, q);
	n = &s->tree[q->node];
	if (woken)
		q->item.tag = catch_up_together(s, q->item.tag, &n->classes_herd, n->classes_now, 0);
	else
		q->item.tag = catch_up(s, q->item.tag, n->classes_now);
	calendar_add(&n->classes, s->class_items, slot, from(s, n->classes_now, 0), s->shift);
	node_activate(s, q->node, woken);
}

static void node_activate(struct sched *s, uint32_t node, bool woken)
{
	struct sched_tree_node *n = &s->tree[node];

	if (n->n_kids > 0 && !n->own_active && n->classes.map != 0) {
		n->own_active = true;
		kid_add(s, node, 2 * node + 1, 0, woken);
	}
	while (!n->active) {
		n->active = true;
		kid_add(s, n->parent, 2 * node, n->group, woken);
		node = n->parent;
		n = &s->tree[node];
	}
}

void sched_excess_leave(struct sched *s, uint32_t slot)
{
	uint32_t node = s->queue[slot].node;

	s->n_active--;
	if (s->turn.class == slot)
		turn_end(s);
	calendar_del(&s->tree[node].classes, s->class_items, slot);
	node_settle(s, node);
}

// Leaves the calendars that it has nothing for any more.
static void node_settle(struct sched *s, uint32_t node)
{
	struct sched_tree_node *n = &s->tree[node];

	if (n->own_active && (n->classes.map == 0 || n->n_kids == 0)) {
		n->own_active = false;
		kid_del(s, node, 2 * node + 1, 0);
	}
	while (n->active && !node_has_any(n) && node != SCHED_NODE_ROOT && node != SCHED_BACKGROUND) {
		n->active = false;
		kid_del(s, n->parent, 2 * node, n->group);
		node = n->parent;
		n = &s->tree[node];
	}
}

// Of the children of a node the one that has had least; each weight group offers its first.
static uint32_t first_kid(const struct sched *s, const struct sched_tree_node *n)
{
	uint32_t best = 0;
	bool found = false;

	for (uint32_t map = n->kid_map; map != 0; map &= map - 1) {
		uint8_t group = (uint8_t)__builtin_ctz(map);
		uint32_t kid = calendar_first(kids_of(s, n, group), from(s, n->kids_now, group), s->shift - group);

		if (!found || (int64_t)(s->kid[kid].tag - s->kid[best].tag) < 0)
			best = kid;
		found = true;
	}
	return best;
}

// Those whose turn is likely to come after this one: what the next will look at, and the one after it.
static void prefetch_next(const struct sched *s, uint32_t slot)
{
	const struct sched_queue *next = &s->queue[s->queue[slot].item.next], *after = &s->queue[next->item.next];

	rte_prefetch0(after);
	rte_prefetch0((const char *)after + RTE_CACHE_LINE_SIZE);
	if (next->head != SCHED_NO_PACKET)
		rte_prefetch0(&s->packet[next->head]);
	if (next->n_limits != 0 && !next->is_wide) {
		rte_prefetch0(&s->limits->limit[next->limit]);
		rte_prefetch0(&s->gate[next->limit]);
	}
}

static void turn_begin(struct sched *s, uint32_t node)
{
	struct sched_turn *t = &s->turn;
	const struct sched_tree_node *n = &s->tree[node];

	t->n_path = 0;
	t->used_bytes = 0;
	while (n->n_kids > 0 && t->n_path < SCHED_DEPTH_MAX) {
		uint32_t kid = first_kid(s, n);

		t->path[t->n_path++] = kid;
		if (kid & 1)
			break;
		n = &s->tree[kid / 2];
	}
	t->class = calendar_first(&n->classes, from(s, n->classes_now, 0), s->shift);
	prefetch_next(s, t->class);
}

static struct sched_tree_node *parent_of_kid(struct sched *s, uint32_t kid)
{
	return kid & 1 ? &s->tree[kid / 2] : &s->tree[s->tree[kid / 2].parent];
}

static uint8_t group_of_kid(const struct sched *s, uint32_t kid)
{
	return kid & 1 ? 0 : s->tree[kid / 2].group;
}

// Virtual time passes only for who does send: those who are asked and fall asleep keep their place.
static void turn_pass_time(struct sched *s)
{
	const struct sched_turn *t = &s->turn;
	const struct sched_queue *q = &s->queue[t->class];
	struct sched_tree_node *n = &s->tree[q->node];

	n->classes_now = calendar_reach(&q->item, n->classes_now, from(s, n->classes_now, 0), s->shift);
	for (uint32_t i = 0; i < t->n_path; i++) {
		uint32_t kid = t->path[i];
		uint8_t group = group_of_kid(s, kid);

		n = parent_of_kid(s, kid);
		n->kids_now = calendar_reach(&s->kid[kid], n->kids_now, from(s, n->kids_now, group), s->shift - group);
	}
}

static void turn_end(struct sched *s)
{
	struct sched_turn *t = &s->turn;
	struct sched_queue *q = &s->queue[t->class];
	struct sched_tree_node *n = &s->tree[q->node];
	uint64_t used = t->used_bytes << SCHED_WEIGHT_BITS;

	calendar_del(&n->classes, s->class_items, t->class);
	q->item.tag += used;
	calendar_add(&n->classes, s->class_items, t->class, from(s, n->classes_now, 0), s->shift);
	for (uint32_t i = t->n_path; i-- > 0;) {
		uint32_t kid = t->path[i];
		const struct sched_tree_node *parent = parent_of_kid(s, kid);
		uint8_t group = group_of_kid(s, kid);
		struct calendar *c = kids_of(s, parent, group);

		calendar_del(c, s->kid_items, kid);
		s->kid[kid].tag += kid & 1 ? used : t->used_bytes * s->tree[kid / 2].per_byte;
		calendar_add(c, s->kid_items, kid, from(s, parent->kids_now, group), s->shift - group);
	}
	t->class = SCHED_NO_SLOT;
}

static bool turn_is_background(const struct sched *s)
{
	return s->turn.n_path > 0 && s->tree[s->turn.path[0] / 2].parent == SCHED_BACKGROUND &&
	       (s->turn.path[0] & 1) == 0;
}

bool sched_excess_pick(struct sched *s, uint64_t now, uint32_t *slot)
{
	for (;;) {
		uint32_t limit;

		if (s->turn.class != SCHED_NO_SLOT && turn_is_background(s) && node_has_any(&s->tree[SCHED_NODE_ROOT]))
			turn_end(s);
		if (s->turn.class == SCHED_NO_SLOT) {
			if (node_has_any(&s->tree[SCHED_NODE_ROOT]))
				turn_begin(s, SCHED_NODE_ROOT);
			else if (node_has_any(&s->tree[SCHED_BACKGROUND]))
				turn_begin(s, SCHED_BACKGROUND);
			else
				return false;
		}
		*slot = s->turn.class;
		limit = sched_stopped_by(s, *slot, now, false);
		if (limit == SCHED_NO_SLOT) {
			if (s->turn.used_bytes == 0)
				turn_pass_time(s);
			return true;
		}
		sched_sleep_on(s, *slot, limit);
	}
}

void sched_excess_charge(struct sched *s, uint32_t slot, uint32_t bytes)
{
	s->turn.used_bytes += bytes;
	if (s->turn.used_bytes >= s->mtu_bytes) {
		turn_end(s);
		sched_release_limits(s, slot);
	}
}

static unsigned int depth_of(const struct sched *s, uint32_t node)
{
	unsigned int depth = 0;

	for (; node != SCHED_NODE_ROOT && node != SCHED_BACKGROUND; node = s->tree[node].parent)
		depth++;
	return depth;
}

static uint32_t parent_slot_of_kid(const struct sched *s, uint32_t kid)
{
	return kid & 1 ? kid / 2 : s->tree[kid / 2].parent;
}

bool sched_excess_before(const struct sched *s, uint32_t a, uint32_t b)
{
	uint32_t pa = node_of(s, &s->queue[a]), pb = node_of(s, &s->queue[b]);
	uint32_t ka = 2 * pa + 1, kb = 2 * pb + 1; // own classes, as a child of the node
	unsigned int da, db;

	if (pa == pb)
		return (int64_t)(s->queue[a].item.tag - s->queue[b].item.tag) < 0;
	da = depth_of(s, pa);
	db = depth_of(s, pb);
	while (pa != pb && (da > 0 || db > 0)) {
		bool lift_a = da >= db, lift_b = db >= da;

		if (lift_a) {
			ka = 2 * pa;
			pa = parent_slot_of_kid(s, ka);
			da--;
		}
		if (lift_b) {
			kb = 2 * pb;
			pb = parent_slot_of_kid(s, kb);
			db--;
		}
	}
	return pa == pb ? (int64_t)(s->kid[ka].tag - s->kid[kb].tag) < 0 : pa == SCHED_NODE_ROOT;
}

static uint32_t parent_of(const struct sched_change *c)
{
	return c->weight == SCHED_WEIGHT_BACKGROUND ? SCHED_BACKGROUND : c->parent_slot;
}

static void unlink_node(struct sched *s, uint32_t slot)
{
	struct sched_tree_node *n = &s->tree[slot], *parent = &s->tree[n->parent];

	if (n->active) {
		n->active = false;
		kid_del(s, n->parent, 2 * slot, n->group);
	}
	parent->n_kids--;
	node_settle(s, n->parent);
}

void sched_node_set(struct sched *s, const struct sched_change *c)
{
	struct sched_tree_node *n = &s->tree[c->slot];
	uint32_t weight = RTE_MAX(c->weight, 1U), parent = parent_of(c);
	bool is_new = !n->used;

	assert(s->tree[parent].used && weight <= SCHED_WEIGHT_MAX);
	if (s->turn.class != SCHED_NO_SLOT)
		turn_end(s);
	if (!is_new)
		unlink_node(s, c->slot);
	if (is_new || n->parent != parent)
		s->kid[2 * c->slot].tag = s->tree[parent].kids_now;
	n->used = true;
	n->parent = parent;
	n->share = (uint32_t)RTE_MIN(c->id, (uint64_t)UINT32_MAX);
	n->group = (uint8_t)(31 - __builtin_clz(weight));
	n->per_byte = ((1U << SCHED_WEIGHT_BITS) + weight / 2) / weight;
	s->tree[parent].n_kids++;
	if (node_has_any(&s->tree[parent]))
		node_activate(s, parent, false); // its own classes are one of its kids now
	if (node_has_any(n))
		node_activate(s, c->slot, false);
}

// Classes that still name it are the root's from now on.
void sched_node_del(struct sched *s, const struct sched_change *c)
{
	struct sched_tree_node *n = &s->tree[c->slot];

	if (!n->used)
		return;
	assert(n->n_kids == 0);
	if (s->turn.class != SCHED_NO_SLOT)
		turn_end(s);
	while (n->classes.map != 0) {
		uint32_t slot = calendar_first(&n->classes, from(s, n->classes_now, 0), s->shift);

		calendar_del(&n->classes, s->class_items, slot);
		s->queue[slot].item.tag = s->tree[SCHED_NODE_ROOT].classes_now;
		s->queue[slot].node = SCHED_NODE_ROOT;
		calendar_add(&s->tree[SCHED_NODE_ROOT].classes, s->class_items, slot,
			     from(s, s->tree[SCHED_NODE_ROOT].classes_now, 0), s->shift);
	}
	unlink_node(s, c->slot);
	n->used = false;
	n->own_active = false;
	node_activate(s, SCHED_NODE_ROOT, false);
}
