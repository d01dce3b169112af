// SPDX-License-Identifier: Apache-2.0
// The instants at which a sum of drains changes: an AVL tree over time. Each node carries what a whole subtree says, so
// that a change to a range of time touches only the two steps at its ends, and extremes over a range, the first or last
// stretch out of bounds, and the tokens after any number of stretches take O(log n). A stretch is the time from one
// step to the next. Tokens over a run of stretches are x -> min(cap, x + net), their lowest value min(low_cap, x +
// low_net): both compose in O(1) (but the drain is part of net, so a change recomputes the steps inside its range; a
// tree without tokens spares that). Owner: a timeline. Thread: any one. Units: ns, bit/s, tokens in bit*ns/s. Drains
// lie in 0..INT64_MAX; `drain` arguments are the sum before the first step, the same for all calls until it is changed.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_TREE_HEIGHT_MAX 64

__extension__ typedef __int128 step_tokens;

struct step_flow {
	step_tokens cap, net, low_cap, low_net;
};

struct step {
	struct step *left, *right;
	int64_t at_ns, delta_bps;
	int64_t sum, most, least; // of the subtree's deltas; the extremes are over its steps, of the sums up to each
	uint32_t n_drains; // that start or end here; the step stays while there is one, even when they cancel out
	uint32_t height;
	struct step_run { // only in a tree with tokens: from the subtree's first step to its last
		int64_t first_ns, last_ns;
		struct step_flow flow;
	} run[];
};

struct step_tree {
	struct step *root, *spare; // spare: for insertion, linked by right
	void *slabs;               // what all steps lie in
	uint32_t n_spare;
	bool with_tokens;
	int64_t fill_bps;
	step_tokens capacity;
};

void step_tree_init(struct step_tree *tree, bool with_tokens, int64_t fill_bps, step_tokens capacity);
void step_tree_fini(struct step_tree *tree);
int step_tree_prepare(struct step_tree *tree, uint32_t n); // room for n more steps: 0 or -ENOMEM

// One drain more (rate > 0, room for two steps prepared) or less (rate < 0) in [start, end). A start of INT64_MIN lies
// before the tree: the caller has changed `drain` by rate already, and passes the new one. INT64_MAX: for ever.
void step_tree_add(struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t rate_bps);
void step_tree_undo(struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t rate_bps);
const struct step *step_tree_first(const struct step_tree *tree);
const struct step *step_tree_after(const struct step_tree *tree, int64_t at_ns); // the first after it; NULL: none
// Takes the first step out; drain is the sum from it on.
void step_tree_drop_first(struct step_tree *tree, int64_t drain);

struct step_range {
	int64_t most, least;
};
// Extremes of the drain over [start, end).
struct step_range step_tree_range(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns);
struct step_clash {
	int64_t at_ns, drain;
};
// The first (last) instant in [start, end) at which a stretch begins, or start, whose drain is outside lo..hi.
bool step_tree_first_outside(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t lo,
			     int64_t hi, struct step_clash *clash);
bool step_tree_last_outside(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t lo,
			    int64_t hi, struct step_clash *clash);

// Where a walk over the tokens is.
struct step_cursor {
	int64_t at_ns, drain;
	step_tokens tokens, lowest; // lowest: so far, at the ends of stretches
};
// Onward at the cursor's drain. Not beyond the next step.
void step_cursor_run(const struct step_tree *tree, struct step_cursor *cursor, int64_t to_ns);
// From before the first step (cursor and its drain) to to_ns, steps at to_ns included. Needs tokens.
void step_tree_run(const struct step_tree *tree, struct step_cursor *cursor, int64_t to_ns);
// Over all steps at or after from_ns; the cursor lies there. stop: at the first stretch at whose end the tokens are
// negative, the cursor then standing at its start, and false. Needs tokens.
bool step_tree_finish(const struct step_tree *tree, struct step_cursor *cursor, int64_t drain, int64_t from_ns,
		      bool stop);

// The steps after an instant, ascending, as long as the tree stays.
struct step_iter {
	const struct step *stack[STEP_TREE_HEIGHT_MAX];
	uint32_t n;
};
void step_iter_seek(struct step_iter *iter, const struct step_tree *tree, int64_t after_ns);
const struct step *step_iter_next(struct step_iter *iter); // NULL: no more
