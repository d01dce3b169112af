// SPDX-License-Identifier: Apache-2.0
// Invariant: search order by at_ns, heights of siblings differ by at most one (hence the recursions are shallow), and
// each node's sums and run are those of its subtree. pull restores a node from its children; what a run needs beside
// them, the drain before the subtree, comes down with the recursion.
#include "step_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void step_tree_init(struct step_tree *tree, bool with_tokens, int64_t fill_bps, step_tokens capacity)
{
	*tree = (struct step_tree){.with_tokens = with_tokens, .fill_bps = fill_bps, .capacity = capacity};
}

// A step without tokens is a cache line: two of a slab never share one. The first line of a slab links it to the next.
#define LINE 64
#define FIRST_SLAB 7 // steps; most shares have few
#define NEXT_SLAB 63

static_assert(sizeof(struct step) == LINE, "a step is a cache line");

static size_t step_size(const struct step_tree *tree)
{
	return sizeof(struct step) + (tree->with_tokens ? sizeof(struct step_run) : 0);
}

void step_tree_fini(struct step_tree *tree)
{
	while (tree->slabs != NULL) {
		void *next = *(void **)tree->slabs;

		free(tree->slabs);
		tree->slabs = next;
	}
	memset(tree, 0, sizeof(*tree));
}

static void put_spare(struct step_tree *tree, struct step *step)
{
	step->right = tree->spare;
	tree->spare = step;
	tree->n_spare++;
}

int step_tree_prepare(struct step_tree *tree, uint32_t n)
{
	while (tree->n_spare < n) {
		unsigned int n_steps = tree->slabs == NULL ? FIRST_SLAB : NEXT_SLAB;
		size_t size = LINE + n_steps * step_size(tree);
		char *slab = aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE);

		if (slab == NULL)
			return -ENOMEM;
		*(void **)slab = tree->slabs;
		tree->slabs = slab;
		for (unsigned int i = n_steps; i > 0; i--)
			put_spare(tree, (struct step *)(slab + LINE + (i - 1) * step_size(tree)));
	}
	return 0;
}

static step_tokens least_of(step_tokens a, step_tokens b)
{
	return a < b ? a : b;
}

static struct step_flow flow_compose(const struct step_flow *f, const struct step_flow *g)
{
	return (struct step_flow){
		.cap = least_of(g->cap, f->cap + g->net),
		.net = f->net + g->net,
		.low_cap = least_of(f->low_cap, least_of(g->low_cap, f->cap + g->low_net)),
		.low_net = least_of(f->low_net, f->net + g->low_net),
	};
}

static step_tokens net_of(const struct step_tree *tree, int64_t drain, int64_t len_ns)
{
	return (step_tokens)(tree->fill_bps - drain) * len_ns;
}

static struct step_flow flow_stretch(const struct step_tree *tree, int64_t drain, int64_t len_ns)
{
	step_tokens net = net_of(tree, drain, len_ns);

	return (struct step_flow){tree->capacity, net, tree->capacity, net};
}

static int64_t sum_of(const struct step *n)
{
	return n == NULL ? 0 : n->sum;
}

static uint32_t height_of(const struct step *n)
{
	return n == NULL ? 0 : n->height;
}

// The drain from this step on, drain being that before its subtree.
static int64_t drain_at(const struct step *n, int64_t drain)
{
	return drain + sum_of(n->left) + n->delta_bps;
}

static void pull_run(const struct step_tree *tree, struct step *n, int64_t drain)
{
	struct step_run *run = n->run;
	struct step_flow gap;

	run->first_ns = run->last_ns = n->at_ns;
	run->flow = (struct step_flow){tree->capacity, 0, tree->capacity, 0};
	if (n->left != NULL) {
		gap = flow_stretch(tree, drain + n->left->sum, n->at_ns - n->left->run->last_ns);
		run->first_ns = n->left->run->first_ns;
		run->flow = flow_compose(&n->left->run->flow, &gap);
	}
	if (n->right != NULL) {
		gap = flow_stretch(tree, drain_at(n, drain), n->right->run->first_ns - n->at_ns);
		run->last_ns = n->right->run->last_ns;
		run->flow = flow_compose(&run->flow, &gap);
		run->flow = flow_compose(&run->flow, &n->right->run->flow);
	}
}

static void pull(const struct step_tree *tree, struct step *n, int64_t drain)
{
	uint32_t left = height_of(n->left), right = height_of(n->right);

	n->height = (left > right ? left : right) + 1;
	n->most = n->least = n->sum = drain_at(n, 0);
	if (n->left != NULL) {
		n->most = n->left->most > n->most ? n->left->most : n->most;
		n->least = n->left->least < n->least ? n->left->least : n->least;
	}
	if (n->right != NULL) {
		n->most = n->sum + n->right->most > n->most ? n->sum + n->right->most : n->most;
		n->least = n->sum + n->right->least < n->least ? n->sum + n->right->least : n->least;
		n->sum += n->right->sum;
	}
	if (tree->with_tokens)
		pull_run(tree, n, drain);
}

static struct step *rotate_right(const struct step_tree *tree, struct step *n, int64_t drain)
{
	struct step *top = n->left;

	n->left = top->right;
	top->right = n;
	pull(tree, n, drain_at(top, drain));
	pull(tree, top, drain);
	return top;
}

static struct step *rotate_left(const struct step_tree *tree, struct step *n, int64_t drain)
{
	struct step *top = n->right;

	n->right = top->left;
	top->left = n;
	pull(tree, n, drain);
	pull(tree, top, drain);
	return top;
}

static struct step *balance(const struct step_tree *tree, struct step *n, int64_t drain)
{
	uint32_t left = height_of(n->left), right = height_of(n->right);

	if (left > right + 1) {
		if (height_of(n->left->left) < height_of(n->left->right))
			n->left = rotate_left(tree, n->left, drain);
		return rotate_right(tree, n, drain);
	}
	if (right > left + 1) {
		if (height_of(n->right->right) < height_of(n->right->left))
			n->right = rotate_right(tree, n->right, drain_at(n, drain));
		return rotate_left(tree, n, drain);
	}
	pull(tree, n, drain);
	return n;
}

// A step of no change yet.
static struct step *insert(struct step_tree *tree, struct step *n, int64_t at_ns, int64_t drain)
{
	if (n == NULL) {
		n = tree->spare;
		assert(n != NULL);
		tree->spare = n->right;
		tree->n_spare--;
		*n = (struct step){.at_ns = at_ns};
		pull(tree, n, drain);
		return n;
	}
	if (at_ns < n->at_ns)
		n->left = insert(tree, n->left, at_ns, drain);
	else
		n->right = insert(tree, n->right, at_ns, drain_at(n, drain));
	return balance(tree, n, drain);
}

// drain: the sum from the first step of n's subtree on, in which its change is included.
static struct step *take_first(const struct step_tree *tree, struct step *n, int64_t drain, struct step **first)
{
	if (n->left == NULL) {
		*first = n;
		return n->right;
	}
	n->left = take_first(tree, n->left, drain, first);
	return balance(tree, n, drain);
}

// The step at at_ns, which changes nothing any more.
static struct step *erase(struct step_tree *tree, struct step *n, int64_t at_ns, int64_t drain)
{
	struct step *heir;

	assert(n != NULL);
	if (at_ns < n->at_ns) {
		n->left = erase(tree, n->left, at_ns, drain);
	} else if (at_ns > n->at_ns) {
		n->right = erase(tree, n->right, at_ns, drain_at(n, drain));
	} else {
		assert(n->delta_bps == 0);
		if (n->left == NULL || n->right == NULL) {
			heir = n->left != NULL ? n->left : n->right;
			put_spare(tree, n);
			return heir;
		}
		for (heir = n->right; heir->left != NULL;)
			heir = heir->left;
		n->right = take_first(tree, n->right, drain + n->left->sum + heir->delta_bps, &heir);
		heir->left = n->left;
		heir->right = n->right;
		put_spare(tree, n);
		n = heir;
	}
	return balance(tree, n, drain);
}

struct change {
	int64_t start_ns, end_ns, rate_bps;
};

// Changes the steps at both ends, and restores all nodes on the way; has_*: that step is in this subtree.
static void apply(const struct step_tree *tree, struct step *n, int64_t drain, const struct change *c, bool has_start,
		  bool has_end)
{
	for (int side = 0; side < 2; side++) {
		struct step *child = side == 0 ? n->left : n->right;
		bool start = has_start && (side == 0 ? c->start_ns < n->at_ns : c->start_ns > n->at_ns);
		bool end = has_end && (side == 0 ? c->end_ns < n->at_ns : c->end_ns > n->at_ns);
		bool inside = tree->with_tokens && child != NULL && child->run->first_ns < c->end_ns &&
			      child->run->last_ns > c->start_ns;

		if (child != NULL && (start || end || inside))
			apply(tree, child, side == 0 ? drain : drain_at(n, drain), c, start, end);
		if (side == 0 && has_start && n->at_ns == c->start_ns)
			n->delta_bps += c->rate_bps;
		if (side == 0 && has_end && n->at_ns == c->end_ns)
			n->delta_bps -= c->rate_bps;
	}
	pull(tree, n, drain);
}

static struct step *find(const struct step_tree *tree, int64_t at_ns)
{
	struct step *n = tree->root;

	while (n != NULL && n->at_ns != at_ns)
		n = at_ns < n->at_ns ? n->left : n->right;
	return n;
}

static void use(struct step_tree *tree, int64_t drain, int64_t at_ns)
{
	struct step *n = find(tree, at_ns);

	if (n == NULL) {
		tree->root = insert(tree, tree->root, at_ns, drain);
		n = find(tree, at_ns);
	}
	n->n_drains++;
}

static void change(struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t rate_bps)
{
	struct change c = {start_ns, end_ns, rate_bps};

	if (tree->root != NULL)
		apply(tree, tree->root, drain, &c, start_ns != INT64_MIN, end_ns != INT64_MAX);
}

void step_tree_add(struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t rate_bps)
{
	int64_t before = start_ns == INT64_MIN ? drain - rate_bps : drain;

	if (start_ns != INT64_MIN)
		use(tree, before, start_ns);
	if (end_ns != INT64_MAX)
		use(tree, before, end_ns);
	change(tree, drain, start_ns, end_ns, rate_bps);
}

static void disuse(struct step_tree *tree, int64_t drain, int64_t at_ns)
{
	struct step *n = find(tree, at_ns);

	assert(n != NULL && n->n_drains > 0);
	if (--n->n_drains == 0)
		tree->root = erase(tree, tree->root, at_ns, drain);
}

void step_tree_undo(struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t rate_bps)
{
	change(tree, drain, start_ns, end_ns, -rate_bps);
	if (start_ns != INT64_MIN)
		disuse(tree, drain, start_ns);
	if (end_ns != INT64_MAX)
		disuse(tree, drain, end_ns);
}

const struct step *step_tree_first(const struct step_tree *tree)
{
	const struct step *n = tree->root;

	while (n != NULL && n->left != NULL)
		n = n->left;
	return n;
}

const struct step *step_tree_after(const struct step_tree *tree, int64_t at_ns)
{
	const struct step *n = tree->root, *found = NULL;

	while (n != NULL) {
		if (n->at_ns > at_ns) {
			found = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return found;
}

void step_tree_drop_first(struct step_tree *tree, int64_t drain)
{
	struct step *first;

	tree->root = take_first(tree, tree->root, drain, &first);
	put_spare(tree, first);
}

// Widens r by the drains of the steps strictly between lo and hi (INT64_MIN, INT64_MAX: all).
static void widen(const struct step *n, int64_t drain, int64_t lo, int64_t hi, struct step_range *r)
{
	while (n != NULL) {
		int64_t here = drain_at(n, drain), most = here, least = here;

		if (n->at_ns <= lo) {
			drain = here;
			n = n->right;
			continue;
		}
		if (n->at_ns >= hi) {
			n = n->left;
			continue;
		}
		if (lo == INT64_MIN && hi == INT64_MAX) {
			most = drain + n->most;
			least = drain + n->least;
		}
		r->most = most > r->most ? most : r->most;
		r->least = least < r->least ? least : r->least;
		if (lo == INT64_MIN && hi == INT64_MAX)
			return;
		widen(n->left, drain, lo, INT64_MAX, r);
		drain = here;
		n = n->right;
		lo = INT64_MIN;
	}
}

static int64_t drain_from(const struct step_tree *tree, int64_t drain, int64_t at_ns)
{
	for (const struct step *n = tree->root; n != NULL;) {
		if (n->at_ns <= at_ns) {
			drain = drain_at(n, drain);
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return drain;
}

struct step_range step_tree_range(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns)
{
	int64_t first = drain_from(tree, drain, start_ns);
	struct step_range r = {first, first};

	widen(tree->root, drain, start_ns, end_ns, &r);
	return r;
}

struct bounds {
	int64_t start_ns, end_ns, lo, hi;
};

// The first (last) step strictly between start and end whose drain is out of bounds.
static bool outside(const struct step *n, int64_t drain, const struct bounds *b, bool last, struct step_clash *clash)
{
	int64_t here;

	if (n == NULL || (drain + n->most <= b->hi && drain + n->least >= b->lo))
		return false;
	here = drain_at(n, drain);
	for (int turn = 0; turn < 2; turn++) {
		if ((turn == 0) != last) { // the earlier side
			if (n->at_ns > b->start_ns && outside(n->left, drain, b, last, clash))
				return true;
		} else if (n->at_ns < b->end_ns && outside(n->right, here, b, last, clash)) {
			return true;
		}
		if (turn == 0 && n->at_ns > b->start_ns && n->at_ns < b->end_ns && (here > b->hi || here < b->lo)) {
			*clash = (struct step_clash){n->at_ns, here};
			return true;
		}
	}
	return false;
}

bool step_tree_first_outside(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t lo,
			     int64_t hi, struct step_clash *clash)
{
	int64_t first = drain_from(tree, drain, start_ns);
	struct bounds b = {start_ns, end_ns, lo, hi};

	if (first <= hi && first >= lo)
		return outside(tree->root, drain, &b, false, clash);
	*clash = (struct step_clash){start_ns, first};
	return true;
}

bool step_tree_last_outside(const struct step_tree *tree, int64_t drain, int64_t start_ns, int64_t end_ns, int64_t lo,
			    int64_t hi, struct step_clash *clash)
{
	int64_t first = drain_from(tree, drain, start_ns);
	struct bounds b = {start_ns, end_ns, lo, hi};

	if (outside(tree->root, drain, &b, true, clash))
		return true;
	*clash = (struct step_clash){start_ns, first};
	return first > hi || first < lo;
}

void step_cursor_run(const struct step_tree *tree, struct step_cursor *cursor, int64_t to_ns)
{
	cursor->tokens = least_of(tree->capacity, cursor->tokens + net_of(tree, cursor->drain, to_ns - cursor->at_ns));
	cursor->lowest = least_of(cursor->lowest, cursor->tokens);
	cursor->at_ns = to_ns;
}

// Over a whole subtree.
static void run_subtree(const struct step_tree *tree, const struct step *n, struct step_cursor *cursor)
{
	const struct step_flow *f = &n->run->flow;

	step_cursor_run(tree, cursor, n->run->first_ns);
	cursor->lowest = least_of(cursor->lowest, least_of(f->low_cap, cursor->tokens + f->low_net));
	cursor->tokens = least_of(f->cap, cursor->tokens + f->net);
	cursor->at_ns = n->run->last_ns;
	cursor->drain += n->sum;
}

void step_tree_run(const struct step_tree *tree, struct step_cursor *cursor, int64_t to_ns)
{
	for (const struct step *n = tree->root; n != NULL;) {
		if (n->at_ns > to_ns) {
			n = n->left;
			continue;
		}
		if (n->left != NULL)
			run_subtree(tree, n->left, cursor);
		step_cursor_run(tree, cursor, n->at_ns);
		cursor->drain += n->delta_bps;
		n = n->right;
	}
	step_cursor_run(tree, cursor, to_ns);
}

// The steps of a subtree that come after lo (INT64_MIN: all).
static bool finish(const struct step_tree *tree, const struct step *n, struct step_cursor *cursor, int64_t drain,
		   int64_t lo, bool stop)
{
	struct step_cursor next = *cursor;

	if (n == NULL)
		return true;
	if (n->at_ns <= lo)
		return finish(tree, n->right, cursor, drain_at(n, drain), lo, stop);
	if (lo == INT64_MIN) {
		next.lowest = INT64_MAX;
		run_subtree(tree, n, &next);
		if (!stop || next.lowest >= 0) {
			next.lowest = least_of(next.lowest, cursor->lowest);
			*cursor = next;
			return true;
		}
	}
	if (!finish(tree, n->left, cursor, drain, lo, stop))
		return false;
	next = *cursor;
	step_cursor_run(tree, &next, n->at_ns);
	if (stop && next.tokens < 0)
		return false;
	*cursor = next;
	cursor->drain += n->delta_bps;
	return finish(tree, n->right, cursor, drain_at(n, drain), INT64_MIN, stop);
}

bool step_tree_finish(const struct step_tree *tree, struct step_cursor *cursor, int64_t drain, int64_t from_ns,
		      bool stop)
{
	return finish(tree, tree->root, cursor, drain, from_ns - 1, stop);
}

void step_iter_seek(struct step_iter *iter, const struct step_tree *tree, int64_t after_ns)
{
	iter->n = 0;
	for (const struct step *n = tree->root; n != NULL;) {
		if (n->at_ns > after_ns) {
			iter->stack[iter->n++] = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
}

const struct step *step_iter_next(struct step_iter *iter)
{
	const struct step *step;

	if (iter->n == 0)
		return NULL;
	step = iter->stack[--iter->n];
	for (const struct step *n = step->right; n != NULL; n = n->left)
		iter->stack[iter->n++] = n;
	return step;
}
