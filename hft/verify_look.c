// SPDX-License-Identifier: Apache-2.0
// Whether policy and table are the same all over a region, part by part.
#include "verify_impl.h"

static const struct verify_item *item_of(const struct cell_entry *e)
{
	return (const struct verify_item *)e->box;
}

static bool all_fill(const struct cell_entry *entries, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!entries[i].fills)
			return false;
	}
	return true;
}

static enum cell_verdict fault_at(const struct verify_look *look, const struct cell_region *region, const char *part,
				  const struct parts_decision *want, const struct parts_decision *got)
{
	if (look->fault != NULL)
		*look->fault =
			(struct verify_fault){.packet = cell_packet(region), .part = part, .want = *want, .got = *got};
	return CELL_FAULT;
}

static bool strictly_below(const struct verify_look *look, const struct verify_item *low,
			   const struct verify_item *high)
{
	return low->slot != high->slot && slots_in_line(look->nodes, high->slot, low->slot);
}

enum denied {
	DENIED_NOWHERE,
	DENIED_EVERYWHERE,
	DENIED_PERHAPS,
};

// Where an entry counts, its mark.
enum seen {
	SEEN_NOT,
	SEEN_MAYBE,  // perhaps somewhere
	SEEN_EITHER, // all over the region it, or one of equal rank, which then says the same but at another node
	SEEN_SURELY, // all over the region
};

// How far allows strictly below the deny are seen.
static enum seen overridden(const struct verify_look *look, const struct cell_entry *entries, uint32_t n,
			    const struct verify_item *deny)
{
	enum seen best = SEEN_NOT;

	for (uint32_t i = 0; i < n && best != SEEN_SURELY; i++) {
		const struct verify_item *allow = item_of(&entries[i]);

		if (allow->is_row == deny->is_row && allow->access == ACCESS_ALLOW && entries[i].mark > best &&
		    strictly_below(look, allow, deny))
			best = entries[i].mark;
	}
	return best;
}

static bool is_tie(const struct verify_item *a, const struct verify_item *b)
{
	return a->is_row && b->is_row && a->access_category == b->access_category && a->rank == b->rank &&
	       a->slot != b->slot;
}

// Whether none of those that may be seen in the deny's place is overridden anywhere.
static bool stands_in_any_case(const struct verify_look *look, const struct cell_entry *entries, uint32_t n,
			       const struct verify_item *deny)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *other = item_of(&entries[i]);

		if (is_tie(deny, other) && overridden(look, entries, n, other) != SEEN_NOT)
			return false;
	}
	return true;
}

// A packet is denied iff a deny that matches has no allow strictly below it that matches.
static enum denied denied_in(const struct verify_look *look, const struct cell_entry *entries, uint32_t n, bool rows)
{
	enum denied result = DENIED_NOWHERE;

	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *deny = item_of(&entries[i]);
		enum seen by;

		if (deny->is_row != rows || deny->access != ACCESS_DENY || entries[i].mark == SEEN_NOT)
			continue;
		by = overridden(look, entries, n, deny);
		if (by == SEEN_NOT && (entries[i].mark == SEEN_SURELY ||
				       (entries[i].mark == SEEN_EITHER && stands_in_any_case(look, entries, n, deny))))
			return DENIED_EVERYWHERE;
		if (by != SEEN_SURELY)
			result = DENIED_PERHAPS;
	}
	return result;
}

// What others of its category leave of each row.
static void see_rows(struct cell_entry *entries, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *row = item_of(&entries[i]);
		enum seen seen = entries[i].fills ? SEEN_SURELY : SEEN_MAYBE;

		for (uint32_t j = 0; row->is_row && j < n && seen != SEEN_NOT; j++) {
			const struct verify_item *other = item_of(&entries[j]);

			if (!other->is_row || other->access_category != row->access_category)
				continue;
			if (other->rank > row->rank)
				seen = entries[j].fills ? SEEN_NOT : SEEN_MAYBE;
			else if (is_tie(row, other) && seen == SEEN_SURELY)
				seen = SEEN_EITHER;
		}
		entries[i].mark = (uint8_t)seen;
	}
}

static bool is_below_a_deny(const struct verify_look *look, const struct cell_entry *entries, uint32_t n,
			    const struct verify_item *allow)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		if (item->access == ACCESS_DENY && item->is_row == allow->is_row && strictly_below(look, allow, item))
			return true;
	}
	return false;
}

// Leaves out allows that make no difference: those asked for that have no deny above them, and of the rows the
// categories that hold nothing else. Returns how many entries stay.
static uint32_t drop_idle_allows(const struct verify_look *look, struct cell_entry *entries, uint32_t n)
{
	uint64_t busy[PARTS_CATEGORIES_MAX / 64] = {0};
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		entries[i].mark = item->access == ACCESS_DENY || is_below_a_deny(look, entries, n, item);
		if (item->is_row && entries[i].mark)
			busy[item->access_category / 64] |= 1ULL << item->access_category % 64;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		if (item->is_row ? (busy[item->access_category / 64] >> item->access_category % 64 & 1) != 0
				 : entries[i].mark != 0)
			entries[kept++] = entries[i];
	}
	return kept;
}

static bool has_deny(const struct cell_entry *entries, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (item_of(&entries[i])->access == ACCESS_DENY)
			return true;
	}
	return false;
}

enum cell_verdict verify_look_access(void *ctx, const struct cell_region *region, struct cell_entry *entries,
				     uint32_t *n)
{
	const struct verify_look *look = ctx;
	struct parts_decision want = {0}, got = {0};
	enum denied asked, table;

	if (!has_deny(entries, *n))
		return CELL_EQUAL;
	if (*n > VERIFY_CROWD && !all_fill(entries, *n))
		return CELL_DIVIDE;
	*n = drop_idle_allows(look, entries, *n);
	if (*n > VERIFY_PAIRS && !all_fill(entries, *n))
		return CELL_DIVIDE;
	see_rows(entries, *n);
	asked = denied_in(look, entries, *n, false);
	table = denied_in(look, entries, *n, true);
	if (asked == table && asked != DENIED_PERHAPS)
		return CELL_EQUAL;
	if ((asked == DENIED_PERHAPS || table == DENIED_PERHAPS) && !all_fill(entries, *n))
		return CELL_DIVIDE;
	want.action.access = asked == DENIED_EVERYWHERE ? ACCESS_DENY : ACCESS_ALLOW;
	got.action.access = asked == DENIED_EVERYWHERE ? ACCESS_ALLOW : ACCESS_DENY;
	return fault_at(look, region, "access", &want, &got);
}

static bool same_meter(const struct verify_item *a, const struct verify_item *b)
{
	return a->part == b->part && a->id == b->id && a->node == b->node &&
	       (a->part != PART_SHARE || a->depth == b->depth);
}

// Each entry has one of the other side that is the same in the region.
static bool sides_pair_up(const struct cell_region *region, const struct cell_entry *entries, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = 0;

		while (j < n && (item_of(&entries[j])->is_row == item_of(&entries[i])->is_row ||
				 !same_meter(item_of(&entries[i]), item_of(&entries[j])) ||
				 !cell_boxes_equal(region, entries[i].box, entries[j].box)))
			j++;
		if (j == n)
			return false;
	}
	return true;
}

static bool rows_hide_rows(const struct cell_region *region, const struct cell_entry *entries, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *a = item_of(&entries[i]);

		for (uint32_t j = 0; a->is_row && j < i; j++) {
			const struct verify_item *b = item_of(&entries[j]);

			if (b->is_row && a->meter_category == b->meter_category && !same_meter(a, b) &&
			    cell_boxes_meet(region, entries[i].box, entries[j].box))
				return true;
		}
	}
	return false;
}

// Where all entries fill the region: whether another row of the category may stand in for this one.
static bool row_is_hidden(const struct cell_entry *entries, uint32_t n, const struct verify_item *row)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *other = item_of(&entries[i]);

		if (other != row && other->is_row && other->meter_category == row->meter_category &&
		    !same_meter(other, row) && other->rank >= row->rank)
			return true;
	}
	return false;
}

static void add_meter(struct action *action, const struct verify_item *item)
{
	idset_add(item->part == PART_RESERVE ? &action->reservations : &action->limits, item->id);
}

static bool is_asked_and_seen(const struct cell_entry *entries, uint32_t n, const struct verify_item *item)
{
	bool asked = false, seen = false;

	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *other = item_of(&entries[i]);

		if (other->part != item->part || other->id != item->id)
			continue;
		asked |= !other->is_row;
		seen |= other->is_row && !row_is_hidden(entries, n, other);
	}
	return asked && seen;
}

enum cell_verdict verify_look_meters(void *ctx, const struct cell_region *region, struct cell_entry *entries,
				     uint32_t *n)
{
	const struct verify_look *look = ctx;
	struct parts_decision want = {0}, got = {0};
	bool equal = true;

	if (*n <= VERIFY_PAIRS && sides_pair_up(region, entries, *n) && !rows_hide_rows(region, entries, *n))
		return CELL_EQUAL;
	if (!all_fill(entries, *n))
		return CELL_DIVIDE;
	for (uint32_t i = 0; i < *n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		if (!item->is_row)
			add_meter(&want.action, item);
		else if (!row_is_hidden(entries, *n, item))
			add_meter(&got.action, item);
		equal &= (item->is_row && row_is_hidden(entries, *n, item)) || is_asked_and_seen(entries, *n, item);
	}
	return equal ? CELL_EQUAL : fault_at(look, region, "meters", &want, &got);
}

static bool one_category(const struct cell_entry *entries, uint32_t n)
{
	const struct verify_item *first = NULL;

	for (uint32_t i = 0; i < n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		if (!item->is_row)
			continue;
		if (first != NULL && item->meter_category != first->meter_category)
			return false;
		first = item;
	}
	return true;
}

enum cell_verdict verify_look_share(void *ctx, const struct cell_region *region, struct cell_entry *entries,
				    uint32_t *n)
{
	const struct verify_look *look = ctx;
	struct parts_decision want = {0}, got = {0};
	const struct verify_item *asked = NULL, *seen = NULL;
	bool tie = false;

	if (*n <= VERIFY_PAIRS && one_category(entries, *n) && sides_pair_up(region, entries, *n))
		return CELL_EQUAL;
	if (!all_fill(entries, *n))
		return CELL_DIVIDE;
	for (uint32_t i = 0; i < *n; i++) {
		const struct verify_item *item = item_of(&entries[i]);

		if (!item->is_row) {
			if (asked == NULL || item->depth > asked->depth ||
			    (item->depth == asked->depth && item->node < asked->node))
				asked = item;
		} else if (seen == NULL || item->meter_category > seen->meter_category ||
			   (item->meter_category == seen->meter_category && item->rank > seen->rank)) {
			seen = item; // the last category counts, see parts_decide
			tie = false;
		} else if (item->meter_category == seen->meter_category && item->rank == seen->rank) {
			tie |= item->node != seen->node;
		}
	}
	want.node = asked == NULL ? PARTS_ROOT : asked->node;
	got.node = seen == NULL ? PARTS_ROOT : seen->node;
	return want.node == got.node && !tie ? CELL_EQUAL : fault_at(look, region, "share", &want, &got);
}

enum cell_verdict verify_look_background(void *ctx, const struct cell_region *region, struct cell_entry *entries,
					 uint32_t *n)
{
	const struct verify_look *look = ctx;
	struct parts_decision want = {0}, got = {0};

	if (*n <= VERIFY_PAIRS && sides_pair_up(region, entries, *n))
		return CELL_EQUAL;
	for (uint32_t i = 0; i < *n; i++) {
		if (!entries[i].fills)
			continue;
		want.background |= !item_of(&entries[i])->is_row;
		got.background |= item_of(&entries[i])->is_row;
	}
	if (want.background && got.background)
		return CELL_EQUAL;
	if (!all_fill(entries, *n))
		return CELL_DIVIDE;
	return want.background == got.background ? CELL_EQUAL : fault_at(look, region, "background", &want, &got);
}
