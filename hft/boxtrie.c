// SPDX-License-Identifier: Apache-2.0
#include "boxtrie.h"

#include <errno.h>
#include <stdlib.h>

#define BOXTRIE_LEAF UINT16_MAX
#define DEPTH_MAX 2048 // more than there are bits to tell boxes apart

// The bits of a box in the order in which they divide the set: those of source, destination and destination port in
// turn, then the words of word_of one after the other.
#define N_TURNS 3
#define PORT_TURN 16 // of the port's first bit: it divides beside the last bits of IPv4 addresses, and not before them
#define N_TURN_BITS (128 * N_TURNS)
#define N_WORDS (2 * MATCH_N_FIELDS + 6)

static uint64_t word_of(const struct boxtrie_leaf *leaf, unsigned int word)
{
	const struct box *box = leaf->box;

	if (word < MATCH_N_FIELDS)
		return box->f[word].lo;
	if (word < 2 * MATCH_N_FIELDS)
		return box->f[word - MATCH_N_FIELDS].hi;
	switch (word - 2 * MATCH_N_FIELDS) {
	case 0:
		return (uint64_t)(box->src.hi >> 64);
	case 1:
		return (uint64_t)box->src.hi;
	case 2:
		return (uint64_t)(box->dst.hi >> 64);
	case 3:
		return (uint64_t)box->dst.hi;
	case 4:
		return box->kinds;
	default:
		return leaf->number;
	}
}

static unsigned int clz128(u128 x)
{
	uint64_t high = (uint64_t)(x >> 64);

	return (unsigned int)(high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)x));
}

// The first bit in which two leaves differ.
static uint16_t first_difference(const struct boxtrie_leaf *a, const struct boxtrie_leaf *b)
{
	u128 differ[N_TURNS] = {
		a->box->src.lo ^ b->box->src.lo,
		a->box->dst.lo ^ b->box->dst.lo,
		(u128)(a->box->f[MATCH_DST_PORT].lo ^ b->box->f[MATCH_DST_PORT].lo) << (112 - PORT_TURN),
	};
	unsigned int first = UINT16_MAX, word = 0;

	for (unsigned int i = 0; i < N_TURNS; i++) {
		unsigned int at = differ[i] == 0 ? first : clz128(differ[i]) * N_TURNS + i;

		first = at < first ? at : first;
	}
	if (first != UINT16_MAX)
		return (uint16_t)first;
	while (word_of(a, word) == word_of(b, word))
		word++;
	return (uint16_t)(N_TURN_BITS + 64 * word + (unsigned int)__builtin_clzll(word_of(a, word) ^ word_of(b, word)));
}

static unsigned int bit_of(const struct boxtrie_leaf *leaf, unsigned int at)
{
	unsigned int idx = at / N_TURNS;

	if (at >= N_TURN_BITS)
		return word_of(leaf, (at - N_TURN_BITS) / 64) >> (63 - (at - N_TURN_BITS) % 64) & 1;
	switch (at % N_TURNS) {
	case 0:
		return (unsigned int)(leaf->box->src.lo >> (127 - idx)) & 1;
	case 1:
		return (unsigned int)(leaf->box->dst.lo >> (127 - idx)) & 1;
	default:
		return (unsigned int)(leaf->box->f[MATCH_DST_PORT].lo >> (PORT_TURN + 15 - idx)) & 1;
	}
}

static struct boxtrie_hull hull_of(const struct box *box)
{
	return (struct boxtrie_hull){
		.src = box->src,
		.dst = box->dst,
		.time_lo = box->f[MATCH_TIME].lo,
		.time_hi = box->f[MATCH_TIME].hi,
		.src_port_lo = (uint16_t)box->f[MATCH_SRC_PORT].lo,
		.src_port_hi = (uint16_t)box->f[MATCH_SRC_PORT].hi,
		.dst_port_lo = (uint16_t)box->f[MATCH_DST_PORT].lo,
		.dst_port_hi = (uint16_t)box->f[MATCH_DST_PORT].hi,
		.kinds = box->kinds,
	};
}

// false: no box in the one overlaps one in the other.
static bool hulls_meet(const struct boxtrie_hull *a, const struct boxtrie_hull *b)
{
	return (a->src.lo <= b->src.hi) & (b->src.lo <= a->src.hi) & (a->dst.lo <= b->dst.hi) &
	       (b->dst.lo <= a->dst.hi) & (a->time_lo <= b->time_hi) & (b->time_lo <= a->time_hi) &
	       (a->src_port_lo <= b->src_port_hi) & (b->src_port_lo <= a->src_port_hi) &
	       (a->dst_port_lo <= b->dst_port_hi) & (b->dst_port_lo <= a->dst_port_hi) & ((a->kinds & b->kinds) != 0);
}

#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define HIGHER(a, b) ((a) > (b) ? (a) : (b))

static void hull_join(struct boxtrie_hull *a, const struct boxtrie_hull *b)
{
	a->src = (struct span128){LOWER(a->src.lo, b->src.lo), HIGHER(a->src.hi, b->src.hi)};
	a->dst = (struct span128){LOWER(a->dst.lo, b->dst.lo), HIGHER(a->dst.hi, b->dst.hi)};
	a->time_lo = LOWER(a->time_lo, b->time_lo);
	a->time_hi = HIGHER(a->time_hi, b->time_hi);
	a->src_port_lo = LOWER(a->src_port_lo, b->src_port_lo);
	a->src_port_hi = HIGHER(a->src_port_hi, b->src_port_hi);
	a->dst_port_lo = LOWER(a->dst_port_lo, b->dst_port_lo);
	a->dst_port_hi = HIGHER(a->dst_port_hi, b->dst_port_hi);
	a->kinds |= b->kinds;
}

// 0: anything (also either family), 1: a network, 2: a host or nearly.
static unsigned int width_of(const struct span128 *span, uint32_t kinds)
{
	u128 width = span->hi - span->lo;

	if (width == ~(u128)0)
		return 0;
	return width >> ((kinds & MATCH_KINDS_V4) != 0 ? 104 : 64) == 0 ? 2 : 1;
}

static unsigned int shape_of(const struct box *box)
{
	unsigned int family = (box->kinds & ~MATCH_KINDS_V4) == 0 ? 0 : (box->kinds & ~MATCH_KINDS_V6) == 0 ? 1 : 2;
	unsigned int port = box->f[MATCH_DST_PORT].hi - box->f[MATCH_DST_PORT].lo < 64;

	return ((family * 3 + width_of(&box->src, box->kinds)) * 3 + width_of(&box->dst, box->kinds)) * 2 + port;
}

void boxtrie_init(struct boxtrie *t)
{
	*t = (struct boxtrie){0};
}

void boxtrie_fini(struct boxtrie *t)
{
	for (unsigned int i = 0; i < BOXTRIE_SHAPES; i++) {
		struct boxtrie_node *node = t->root[i];

		while (node != NULL) {
			struct boxtrie_node *done = node;

			if (node->at != BOXTRIE_LEAF && (node->child[0] != NULL || node->child[1] != NULL)) {
				unsigned int side = node->child[0] == NULL;

				node = node->child[side];
				done->child[side] = NULL;
				continue;
			}
			node = node->parent;
			if (done->at != BOXTRIE_LEAF)
				free(done);
		}
	}
	boxtrie_init(t);
}

// Hull and tags of node from its children; the same for all above it.
static void refresh(struct boxtrie_node *node)
{
	for (; node != NULL; node = node->parent) {
		node->hull = node->child[0]->hull;
		hull_join(&node->hull, &node->child[1]->hull);
		node->tags = node->child[0]->tags | node->child[1]->tags;
	}
}

int boxtrie_add(struct boxtrie *t, struct boxtrie_leaf *leaf, const struct box *box, u128 tags)
{
	struct boxtrie_node **root = &t->root[shape_of(box)], *node = *root, *fork;
	uint16_t at;
	unsigned int side;

	*leaf = (struct boxtrie_leaf){
		.node = {.hull = hull_of(box), .tags = tags, .at = BOXTRIE_LEAF},
		.box = box,
		.number = t->n_added,
	};
	if (node == NULL) {
		*root = &leaf->node;
		t->n_added++;
		return 0;
	}
	fork = malloc(sizeof(*fork));
	if (fork == NULL)
		return -ENOMEM;
	t->n_added++;
	while (node->at != BOXTRIE_LEAF)
		node = node->child[bit_of(leaf, node->at)];
	at = first_difference(leaf, (struct boxtrie_leaf *)node);
	while (node->parent != NULL && node->parent->at > at)
		node = node->parent;
	side = bit_of(leaf, at);
	*fork = (struct boxtrie_node){.parent = node->parent, .at = at};
	fork->child[side] = &leaf->node;
	fork->child[1 - side] = node;
	if (node->parent == NULL)
		*root = fork;
	else
		node->parent->child[node->parent->child[1] == node] = fork;
	node->parent = fork;
	leaf->node.parent = fork;
	fork->hull = node->hull;
	fork->tags = node->tags;
	for (node = fork; node != NULL; node = node->parent) {
		hull_join(&node->hull, &leaf->node.hull);
		node->tags |= tags;
	}
	return 0;
}

void boxtrie_del(struct boxtrie *t, struct boxtrie_leaf *leaf)
{
	struct boxtrie_node *fork = leaf->node.parent, *other;

	if (fork == NULL) {
		t->root[shape_of(leaf->box)] = NULL;
		return;
	}
	other = fork->child[fork->child[0] == &leaf->node];
	other->parent = fork->parent;
	if (fork->parent == NULL)
		t->root[shape_of(leaf->box)] = other;
	else
		fork->parent->child[fork->parent->child[1] == fork] = other;
	refresh(fork->parent);
	free(fork);
}

void boxtrie_set_tags(struct boxtrie_leaf *leaf, u128 tags)
{
	leaf->node.tags = tags;
	refresh(leaf->node.parent);
}

int boxtrie_walk(const struct boxtrie *t, const struct box *box, const u128 *wanted,
		 int (*visit)(void *ctx, struct boxtrie_leaf *leaf), void *ctx)
{
	const struct boxtrie_hull hull = hull_of(box);
	struct boxtrie_node *stack[DEPTH_MAX];
	uint32_t n = 0;
	int ret;

	for (unsigned int i = 0; i < BOXTRIE_SHAPES; i++) {
		if (t->root[i] != NULL)
			stack[n++] = t->root[i];
		while (n > 0) {
			struct boxtrie_node *node = stack[--n];

			if ((node->tags & *wanted) == 0 || !hulls_meet(&node->hull, &hull))
				continue;
			if (node->at != BOXTRIE_LEAF) {
				stack[n++] = node->child[0];
				stack[n++] = node->child[1];
				continue;
			}
			if (!box_overlaps(((struct boxtrie_leaf *)node)->box, box))
				continue;
			ret = visit(ctx, (struct boxtrie_leaf *)node);
			if (ret != 0)
				return ret;
		}
	}
	return 0;
}
