// SPDX-License-Identifier: Apache-2.0
// The network flow table by parts: one row for each box of a request, no intersections (docs/decisions/0008).
//
// Access. SPEC 5 says: a packet is denied iff some matching deny has no matching allow strictly below it in the share
// tree. (The deepest matching nodes speak; deny wins inside a node and among siblings; a parent is heard where its
// children say nothing.) Rows are coloured with categories so that two rows of one access category that overlap, in
// packets and time, stand at comparable nodes: the same, or one above the other. Inside a category the rank is
// 2 * depth + (deny ? 1 : 0), and the highest row of each category is enough. Let t hide h.
//   h is a deny: an allow below t is below h, and otherwise t, as an allow, speaks for h's packets, or, as a deny,
//   denies. h is an allow, over a deny d above it: t, at or below h, is below d; if t is a deny, then it decides
//   instead of d.
// Equal ranks that overlap are rows of one node that say the same.
// Reservations and limits. Rows of one meter category do not overlap at all, so the highest rows of all meter
// categories are exactly the set that matches.
// Shares that the scheduler tells apart. Their rows have one category; the deepest share is the packet's node.
// Background has one category, too: whichever row is seen, it says the same.
//
// So the row of a request depends on nothing else but its categories: adding yields the request's rows, ending takes
// exactly them. Relief, when the first plane of categories has no room for a row that says something about access:
//   an allow that overlaps no deny above it says nothing and is parked, that is, it has no access category;
//   a deny that overlaps no allow below it is final: all final ones share PARTS_FINAL_CATEGORY, for where one of them
//   matches the packet is denied, whatever else it hides.
// A deny that comes over a parked allow, or an allow that comes below a final deny, gives those rows ordinary
// categories first: they are moved, see parts_on_moved. Nothing else ever changes a category, save parts_recolour.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "action.h"
#include "err.h"
#include "match.h"

enum part {
	PART_ACCESS,
	PART_RESERVE,
	PART_LIMIT,
	PART_PATH,       // for its access only
	PART_SHARE,      // a share's flow group: only says to which node of the scheduler a packet belongs
	PART_BACKGROUND, // of a hint: its packets get only the bandwidth that nobody else wants
	PART_N,
};

#define PARTS_CATEGORIES_MAX 128 // 8 planes of 16
#define PARTS_NO_CATEGORY 0xff
#define PARTS_PLANE 16
#define PARTS_FINAL_CATEGORY (PARTS_PLANE - 1)
#define PARTS_ROOT 0 // the root share's number

// Has an access category iff access is not none and it is not parked, a meter category iff part_has_meter_category. One
// without any category need not be in the dataplane.
struct part_row {
	struct box box; // with its time; normalized
	uint64_t id;    // request number, 0 for PART_SHARE
	uint32_t node;  // share number
	uint16_t depth; // of the node, 0: the root
	uint8_t part;   // enum part
	uint8_t access; // enum access
	uint8_t access_category;
	uint8_t meter_category;
};

static inline bool part_has_meter_category(unsigned int part)
{
	return part != PART_ACCESS && part != PART_PATH;
}

// Rows of its meter category may overlap, and then hide one another: so they say nothing about how much there was.
static inline bool part_hides(unsigned int part)
{
	return part == PART_SHARE || part == PART_BACKGROUND;
}

// Content hash of box, id, node, depth, part and access, not of the categories: the same on every run.
uint64_t part_row_key(const struct part_row *row);
// The higher one of two rows that match hides the other in a category that both have. Rows of a meter category never
// match together; there the rank says nothing.
uint64_t part_row_rank(const struct part_row *row);

// The share tree as far as "strictly below" needs it. Owner: the caller. Thread: any, one at a time while it changes.
struct parts_nodes;

struct parts_nodes *parts_nodes_create(void); // with the root; NULL: out of memory
void parts_nodes_destroy(struct parts_nodes *nodes);
// A share never moves. 0; also when it is there already as told; -EEXIST: there with another parent; -ENOENT: no such
// parent; -E2BIG: deeper than UINT16_MAX; -ENOMEM.
int parts_nodes_set(struct parts_nodes *nodes, uint32_t number, uint32_t parent);
// No row may name it any more. 0; -ENOENT; -EBUSY: it has children, or is the root.
int parts_nodes_del(struct parts_nodes *nodes, uint32_t number);
int parts_nodes_depth(const struct parts_nodes *nodes, uint32_t number);              // -ENOENT
bool parts_nodes_below(const struct parts_nodes *nodes, uint32_t low, uint32_t high); // strictly; false if unknown

// What a lookup yields: by category the row of the highest rank, or NULL.
struct parts_visible {
	const struct part_row *row[PARTS_CATEGORIES_MAX];
	uint32_t n; // categories from this one on are empty
};

struct parts_decision {
	struct action action; // access, reservations, limits
	uint32_t node;        // the share by whose weight it is scheduled; PARTS_ROOT: none
	bool background;      // after all others, whatever the node
};

// The combination rule: pure. Only ACCESS_DENY counts: an allow may be parked, then access is none.
struct parts_decision parts_decide(const struct parts_nodes *nodes, const struct parts_visible *visible);

// All rows. Owner: the caller. Thread: one at a time.
struct parts;

struct parts *parts_create(const struct parts_nodes *nodes); // nodes: borrowed; NULL: out of memory
void parts_destroy(struct parts *p);
// Chooses the row's categories, the lowest that do: *out (may be NULL) is the row with them. Those that row names are
// taken where they may be (PARTS_NO_CATEGORY: no wish). Costs about as much as rows overlap this one.
// -EEXIST: an equal row is there; -ENOENT: unknown node, or another depth than its node's; -EINVAL: an empty box;
// -E2BIG: more categories would be needed than there are, named in err; -ENOMEM. Then it is not in (rows may have
// moved).
int parts_add(struct parts *p, const struct part_row *row, struct part_row *out, struct err *err);
int parts_del(struct parts *p, uint64_t key); // 0 or -ENOENT
// fn is told each row that parts_add gives other categories (those it has now are in the row; its key stays), also if
// it fails afterwards. What holds rows must take the new categories before, or together with, the added row.
void parts_on_moved(struct parts *p, void (*fn)(void *ctx, const struct part_row *row), void *ctx);
const struct part_row *parts_get(const struct parts *p, uint64_t key); // NULL: none; valid until it is deleted
// Takes out the rows that ended at or before now_ns; gone (may be NULL) is told each before. Returns how many.
uint32_t parts_expire(struct parts *p, int64_t now_ns, void (*gone)(void *ctx, const struct part_row *row), void *ctx);
int64_t parts_next_end_ns(const struct parts *p); // INT64_MAX: never
uint32_t parts_n_rows(const struct parts *p);
uint32_t parts_n_categories(const struct parts *p); // the highest in use + 1
// Every row, in no order, until fn returns non-zero: that is returned, otherwise 0. fn changes no rows.
int parts_each(const struct parts *p, int (*fn)(void *ctx, const struct part_row *row), void *ctx);
// Every row that overlaps box, likewise.
int parts_each_overlap(const struct parts *p, const struct box *box, int (*fn)(void *ctx, const struct part_row *row),
		       void *ctx);
// Gives all rows new categories: those a hint names (fn fills the row's categories and returns true) as far as they are
// legal, and free ones to the others. So a controller takes over what its dataplane already has.
// -E2BIG, -ENOMEM: nothing has changed.
int parts_recolour(struct parts *p,
		   bool (*hint)(void *ctx, uint64_t key, uint8_t *access_category, uint8_t *meter_category), void *ctx,
		   struct err *err);
// What a lookup of the packet at packet->f[MATCH_TIME] must yield. Linear: the reference for every classifier.
void parts_find(const struct parts *p, const struct match_packet *packet, struct parts_visible *out);
// The same for an array of rows.
void parts_find_among(const struct part_row *rows, uint32_t n_rows, const struct match_packet *packet,
		      struct parts_visible *out);
