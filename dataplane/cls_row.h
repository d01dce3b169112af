// SPDX-License-Identifier: Apache-2.0
// A row as the classifier knows it, and the table of what is known of each published row, by slot.
// A row is visible under generation G from the publication that names it until G reaches its dies_gen; so a commit is
// one store of a pointer, however many rows it adds and removes.
// Owner: struct layers. Writer: the link thread; readers: workers and builders. A slot is used again only after a grace
// period in which nobody could still meet its row.
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"

#define CLS_CATEGORIES_MAX 128 // 8 planes of 16
#define CLS_PLANE 16           // categories that one rte_acl lookup answers
#define CLS_PLANES_MAX (CLS_CATEGORIES_MAX / CLS_PLANE)
#define CLS_NO_CATEGORY 0xff
#define CLS_NO_ROW 0 // a slot that no row has
#define CLS_FOREVER UINT64_MAX

// What the row means to who looks it up (combine.h); the classifier does not read it.
struct cls_payload {
	uint64_t id, key; // request number; part_row_key
	uint32_t node;    // slot of the share (names.h)
	uint32_t meter; // the scheduler's slot of the reservation or limit; of the node, for parts SHARE and BACKGROUND
	uint32_t counter; // of the request (names.h); NAMES_NO_SLOT for parts that hide
	uint8_t part, access;
};

// A category is either an access or a meter category. In an access category the visible row of the highest rank is the
// one that is found, and rows hide one another. In a meter category the visible rows never overlap, unless they hide.
struct cls_row {
	struct box box;                          // time is ignored: the owner adds and removes rows at their instants
	uint64_t rank;                           // part_row_rank
	uint8_t access_category, meter_category; // CLS_NO_CATEGORY: in none
	bool hides;                              // rows of its meter category hide one another, too (part_hides)
	struct cls_payload payload;
};

struct cls_slot {
	alignas(64) _Atomic uint64_t dies_gen; // first generation without the row
	uint64_t rank;                         // part_row_rank
	uint8_t access_category, meter_category;
	bool hides;
	struct cls_payload payload;
};

struct cls_slots {
	struct cls_slot *slot; // [cap], 0 is never used
	struct box *box;       // [cap]
	// A bit for each slot whose dies_gen is not CLS_FOREVER: so that a lookup reads the slots of few rows.
	_Atomic uint64_t *mortal;
	uint32_t cap;
};

static inline bool cls_is_alive(const struct cls_slot *slot, uint64_t gen)
{
	return atomic_load_explicit(&slot->dies_gen, memory_order_relaxed) > gen;
}

static inline bool cls_is_mortal(const struct cls_slots *slots, uint32_t slot)
{
	return (atomic_load_explicit(&slots->mortal[slot / 64], memory_order_relaxed) >> slot % 64 & 1) != 0;
}

// Writer only.
static inline void cls_set_dies(struct cls_slots *slots, uint32_t slot, uint64_t gen)
{
	uint64_t word = atomic_load_explicit(&slots->mortal[slot / 64], memory_order_relaxed);
	uint64_t bit = UINT64_C(1) << slot % 64;

	atomic_store_explicit(&slots->slot[slot].dies_gen, gen, memory_order_relaxed);
	atomic_store_explicit(&slots->mortal[slot / 64], gen == CLS_FOREVER ? word & ~bit : word | bit,
			      memory_order_relaxed);
}

// May other rows of the category lie behind this one?
static inline bool cls_hides_in(const struct cls_slot *slot, uint32_t category)
{
	return slot->access_category == category || (slot->hides && slot->meter_category == category);
}

// Of the row's categories, the highest and one.
static inline uint32_t cls_n_categories(const struct cls_slot *slot)
{
	uint32_t a = slot->access_category == CLS_NO_CATEGORY ? 0 : slot->access_category + 1u;
	uint32_t m = slot->meter_category == CLS_NO_CATEGORY ? 0 : slot->meter_category + 1u;

	return a > m ? a : m;
}
