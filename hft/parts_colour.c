// SPDX-License-Identifier: Apache-2.0
// Which categories a row gets: first fit among those whose overlapping rows allow it; parked or final rows when the
// first plane is full.
#include <errno.h>
#include <stdlib.h>

#include "parts_impl.h"

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

struct search {
	struct parts *p;
	const struct parts_entry *entry; // around which
	u128 open;                       // categories not known to be closed, of those that rows could close
	int rc;
};

bool parts_has_category(const struct parts_entry *e)
{
	return tags_of(&e->row) != 0;
}

struct parts_entry *parts_entry_of(struct boxtrie_leaf *leaf)
{
	return (struct parts_entry *)((char *)leaf - offsetof(struct parts_entry, leaf));
}

struct parts_entry *parts_entry_of_access(struct boxtrie_leaf *leaf)
{
	return (struct parts_entry *)((char *)leaf - offsetof(struct parts_entry, access_leaf));
}

static int close_categories(void *ctx, struct boxtrie_leaf *leaf)
{
	struct search *search = ctx;
	const struct parts_entry *other = parts_entry_of(leaf);

	if (other->row.meter_category < PARTS_CATEGORIES_MAX)
		search->open &= ~bit(other->row.meter_category);
	if (other->row.access_category < PARTS_CATEGORIES_MAX &&
	    !nodes_comparable(search->p, other->node, search->entry->node))
		search->open &= ~bit(other->row.access_category);
	return 0;
}

// An allow strictly below a deny: it overrides it where they overlap.
static bool overrides(const struct parts *p, const struct parts_entry *a, const struct parts_entry *b)
{
	const struct parts_entry *allow = a->row.access == ACCESS_ALLOW ? a : b, *deny = allow == a ? b : a;

	return allow->row.access == ACCESS_ALLOW && deny->row.access == ACCESS_DENY && allow->node != deny->node &&
	       slots_in_line(p->nodes, deny->node, allow->node);
}

#define DEPTHS 64 // the last one stands for all below, too
const u128 parts_relieved = ~(u128)0 << DEPTHS;

static unsigned int depth_of(const struct parts_entry *e)
{
	return e->row.depth < DEPTHS ? e->row.depth : DEPTHS - 1;
}

static bool is_relieved(const struct parts_entry *e)
{
	return e->parked || e->row.access_category == PARTS_FINAL_CATEGORY;
}

// A row's tag in parts.access.
static u128 depth_tag(const struct parts_entry *e)
{
	return bit(depth_of(e) + (is_relieved(e) ? DEPTHS : 0));
}

// Of the rows that override e, or that e overrides.
static u128 override_tags(const struct parts_entry *e)
{
	uint64_t depths = UINT64_MAX << depth_of(e); // below

	if (e->row.access == ACCESS_ALLOW)
		depths = ~depths | (depth_of(e) == DEPTHS - 1 ? bit(DEPTHS - 1) : 0); // above
	return (u128)depths << DEPTHS | depths;
}

static struct boxtrie *access_trie(struct parts *p, bool allow)
{
	return &p->access[allow ? 0 : 1];
}

static int find_override(void *ctx, struct boxtrie_leaf *leaf)
{
	const struct search *search = ctx;

	return overrides(search->p, search->entry, parts_entry_of_access(leaf));
}

static bool has_override(struct parts *p, const struct parts_entry *e)
{
	struct search search = {.p = p, .entry = e};
	const u128 tags = override_tags(e);

	return boxtrie_walk(access_trie(p, e->row.access == ACCESS_DENY), &e->row.box, &tags, find_override, &search) !=
	       0;
}

static enum use meter_use(const struct part_row *row)
{
	static const enum use uses[PART_N] = {
		[PART_RESERVE] = USE_METER,
		[PART_LIMIT] = USE_METER,
		[PART_SHARE] = USE_SHARE,
		[PART_BACKGROUND] = USE_BACKGROUND,
	};

	return uses[row->part];
}

static uint32_t lowest(u128 set)
{
	uint64_t low = (uint64_t)set, high = (uint64_t)(set >> 64);

	if (low != 0)
		return (uint32_t)__builtin_ctzll(low);
	return high != 0 ? 64 + (uint32_t)__builtin_ctzll(high) : PARTS_NO_CATEGORY;
}

// The wish, if it is among those that do or are free, otherwise the lowest that does, otherwise the lowest free one.
static uint8_t pick(u128 fit, u128 free_ones, uint32_t wish)
{
	if (wish < PARTS_CATEGORIES_MAX && ((fit | free_ones) & bit(wish)) != 0)
		return (uint8_t)wish;
	return (uint8_t)lowest(fit != 0 ? fit : free_ones);
}

// When the ordinary category chosen is beyond the first plane and not what was wished for: parked or final instead, if
// that is possible.
static bool relieve(struct parts *p, struct parts_entry *e, uint8_t wish)
{
	bool content = e->row.access_category != PARTS_NO_CATEGORY &&
		       (e->row.access_category < PARTS_PLANE || e->row.access_category == wish);

	if ((content && wish != PARTS_FINAL_CATEGORY) || has_override(p, e))
		return false;
	e->parked = e->row.access == ACCESS_ALLOW;
	e->row.access_category = e->parked ? PARTS_NO_CATEGORY : PARTS_FINAL_CATEGORY;
	return true;
}

// What choosing categories for one row depends on.
struct survey {
	u128 of_use[N_USES]; // none: free ones
	u128 access, meter;  // that do
};

static void survey(struct parts *p, const struct parts_entry *e, bool access, bool meter, struct survey *v)
{
	struct search search = {.p = p, .entry = e};
	u128 sure = 0;

	*v = (struct survey){0};
	for (uint32_t c = 0; c < PARTS_CATEGORIES_MAX; c++) {
		const struct category *category = &p->category[c];

		v->of_use[category->use] |= bit(c);
		if (access && category->use == USE_ACCESS && category_in_line(p, category, e->node))
			sure |= bit(c);
	}
	v->of_use[USE_NONE] &= ~bit(PARTS_FINAL_CATEGORY);
	search.open = (access ? v->of_use[USE_ACCESS] & ~sure : 0) | (meter ? v->of_use[USE_METER] : 0);
	if (search.open != 0)
		boxtrie_walk(&p->index, &e->row.box, &search.open, close_categories, &search);
	v->access = sure | (search.open & v->of_use[USE_ACCESS]);
	v->meter = search.open & v->of_use[USE_METER];
}

// Fills the categories of e->row. false: there are not enough.
bool parts_choose(struct parts *p, struct parts_entry *e, const struct part_row *wish)
{
	bool access = e->row.access != ACCESS_NONE;
	enum use meter = meter_use(&e->row);
	struct survey v;

	survey(p, e, access, meter == USE_METER, &v);
	e->row.access_category = e->row.meter_category = PARTS_NO_CATEGORY;
	e->parked = false;
	if (part_hides(e->row.part) && v.of_use[meter] != 0)
		e->row.meter_category = (uint8_t)lowest(v.of_use[meter]);
	else if (meter != USE_NONE)
		e->row.meter_category = pick(v.meter, v.of_use[USE_NONE], wish->meter_category);
	if (meter != USE_NONE && e->row.meter_category == PARTS_NO_CATEGORY)
		return false;
	if (!access)
		return true;
	if (e->row.meter_category != PARTS_NO_CATEGORY)
		v.of_use[USE_NONE] &= ~bit(e->row.meter_category);
	e->row.access_category = pick(v.access, v.of_use[USE_NONE], wish->access_category);
	return relieve(p, e, wish->access_category) || e->row.access_category != PARTS_NO_CATEGORY;
}

static void categories_add(struct parts *p, const struct parts_entry *e)
{
	if (e->row.access_category != PARTS_NO_CATEGORY)
		category_add(p, e->row.access_category,
			     e->row.access_category == PARTS_FINAL_CATEGORY ? USE_FINAL : USE_ACCESS, e->node);
	if (e->row.meter_category != PARTS_NO_CATEGORY)
		category_add(p, e->row.meter_category, meter_use(&e->row), e->node);
}

static void categories_del(struct parts *p, const struct parts_entry *e)
{
	if (e->row.access_category != PARTS_NO_CATEGORY)
		category_del(p, e->row.access_category, e->node);
	if (e->row.meter_category != PARTS_NO_CATEGORY)
		category_del(p, e->row.meter_category, e->node);
}

int parts_hang(struct parts *p, struct parts_entry *e)
{
	u128 tags = tags_of(&e->row);

	if (tags != 0 && boxtrie_add(&p->index, &e->leaf, &e->row.box, tags) < 0)
		return -ENOMEM;
	if (e->row.access != ACCESS_NONE && boxtrie_add(access_trie(p, e->row.access == ACCESS_ALLOW), &e->access_leaf,
							&e->row.box, depth_tag(e)) < 0) {
		if (tags != 0)
			boxtrie_del(&p->index, &e->leaf);
		return -ENOMEM;
	}
	categories_add(p, e);
	return 0;
}

void parts_unhang(struct parts *p, struct parts_entry *e)
{
	if (tags_of(&e->row) != 0)
		boxtrie_del(&p->index, &e->leaf);
	if (e->row.access != ACCESS_NONE)
		boxtrie_del(access_trie(p, e->row.access == ACCESS_ALLOW), &e->access_leaf);
	categories_del(p, e);
}

static int note_moving(void *ctx, struct boxtrie_leaf *leaf)
{
	struct search *search = ctx;
	struct parts *p = search->p;
	struct parts_entry *e = parts_entry_of_access(leaf);

	if (!overrides(p, search->entry, e))
		return 0;
	if (p->n_moving == p->cap_moving) {
		uint32_t cap = p->cap_moving == 0 ? 64 : p->cap_moving * 2;
		struct parts_entry **moving = reallocarray(p->moving, cap, sizeof(struct parts_entry *));

		if (moving == NULL)
			return -ENOMEM;
		p->moving = moving;
		p->cap_moving = cap;
	}
	p->moving[p->n_moving++] = e;
	return 0;
}

// Gives a parked or final row an ordinary category. -E2BIG, -ENOMEM: it is as it was.
static int move(struct parts *p, struct parts_entry *e)
{
	uint8_t before = e->row.access_category;
	struct survey v;

	survey(p, e, true, false, &v);
	e->row.access_category = pick(v.access, v.of_use[USE_NONE], PARTS_NO_CATEGORY);
	if (e->row.access_category == PARTS_NO_CATEGORY) {
		e->row.access_category = before;
		return -E2BIG;
	}
	if (before != PARTS_NO_CATEGORY || e->row.meter_category != PARTS_NO_CATEGORY) {
		boxtrie_set_tags(&e->leaf, tags_of(&e->row));
	} else if (boxtrie_add(&p->index, &e->leaf, &e->row.box, tags_of(&e->row)) < 0) {
		e->row.access_category = before;
		return -ENOMEM;
	}
	if (!e->parked)
		category_del(p, before, e->node);
	e->parked = false;
	boxtrie_set_tags(&e->access_leaf, depth_tag(e));
	category_add(p, e->row.access_category, USE_ACCESS, e->node);
	return 0;
}

// Rows that e, which is not in yet, makes unfit for relief get ordinary categories. They keep them, also if this or
// something later fails.
int parts_move_for(struct parts *p, const struct parts_entry *e)
{
	struct search search = {.p = p, .entry = e};
	const u128 tags = override_tags(e) & parts_relieved;
	int ret = 0;

	p->n_moving = 0;
	if (e->row.access != ACCESS_NONE)
		ret = boxtrie_walk(access_trie(p, e->row.access == ACCESS_DENY), &e->row.box, &tags, note_moving,
				   &search);
	for (uint32_t i = 0; i < p->n_moving && ret == 0; i++) {
		ret = move(p, p->moving[i]);
		if (ret == 0 && p->moved != NULL)
			p->moved(p->moved_ctx, &p->moving[i]->row);
	}
	return ret;
}
