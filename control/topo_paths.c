// SPDX-License-Identifier: Apache-2.0
// Distances and trees.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topo.h"

// --- paths

// Breadth first from `from` over links that pass the filter (NULL: all): next[sw]: the port of sw towards `from`,
// dist[sw]: how far; each may be NULL. reached: bytes, one a switch, set for all that were reached. Switches are taken
// in the order of (distance, dpid): a tie is decided by the lowest dpid, between parallel links by the lowest port.
struct spread {
	const struct topo *t;
	bool (*passes)(void *ctx, uint32_t sw, uint32_t port, uint32_t peer);
	void *ctx;
	uint32_t *next;
	uint16_t *dist;
	uint8_t *reached;
	uint32_t *queue, head, tail;
};

// One level, lowest dpid first (levels are short: insertion sort).
static void sort_level(const struct spread *s)
{
	for (uint32_t i = s->head + 1; i < s->tail; i++) {
		uint32_t sw = s->queue[i], k = i;

		for (; k > s->head && s->t->switches[s->queue[k - 1]].dpid > s->t->switches[sw].dpid; k--)
			s->queue[k] = s->queue[k - 1];
		s->queue[k] = sw;
	}
}

static void spread_on(struct spread *s, uint32_t at, uint16_t level)
{
	const struct topo_switch *sw = &s->t->switches[at];

	for (uint32_t i = 0; i < sw->n_ports; i++) {
		uint32_t peer, peer_port;

		if (!topo_link(s->t, at, sw->ports[i].no, &peer, &peer_port) ||
		    (s->passes != NULL && !s->passes(s->ctx, at, sw->ports[i].no, peer)))
			continue;
		if (s->reached[peer]) {
			const struct topo_port *p = s->next == NULL || s->next[peer] == TOPO_NONE
							    ? NULL
							    : topo_port(s->t, peer, s->next[peer]);

			if (p != NULL && p->peer == at && peer_port < s->next[peer])
				s->next[peer] = peer_port;
			continue;
		}
		s->reached[peer] = 1;
		if (s->next != NULL)
			s->next[peer] = peer_port;
		if (s->dist != NULL)
			s->dist[peer] = level;
		s->queue[s->tail++] = peer;
	}
}

static void spread_from(struct spread *s, uint32_t from)
{
	s->head = s->tail = 0;
	s->reached[from] = 1;
	s->queue[s->tail++] = from;
	for (uint16_t level = 1; s->head < s->tail; level += level < TOPO_FAR - 1) {
		uint32_t level_end = s->tail;

		sort_level(s);
		while (s->head < level_end)
			spread_on(s, s->queue[s->head++], level);
	}
}

static int spread_init(struct spread *s, const struct topo *t)
{
	*s = (struct spread){.t = t};
	s->reached = calloc(t->n_switches + 1U, sizeof(*s->reached));
	s->queue = calloc(t->n_switches + 1U, sizeof(*s->queue));
	return s->reached == NULL || s->queue == NULL ? -ENOMEM : 0;
}

static void spread_fini(struct spread *s)
{
	free(s->reached);
	free(s->queue);
}

bool topo_is_shared(const struct topo *t, uint32_t sw, uint32_t port)
{
	const struct topo_port *p = topo_port(t, sw, port), *q = topo_port(t, p->peer, p->peer_port);

	return p->shared || (q != NULL && q->shared);
}

// Whether `sw` is on the way from `below` to the root.
static bool is_above(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t below)
{
	uint32_t peer, peer_port;

	while (below != sw && tree[below] != TOPO_NONE && topo_link(t, below, tree[below], &peer, &peer_port))
		below = peer;
	return below == sw;
}

uint32_t topo_side(const struct topo *t, const uint32_t *tree, uint32_t sw)
{
	uint32_t peer, peer_port, at = sw;

	if (t->bridge == TOPO_NONE || sw == t->bridge)
		return t->bridge;
	while (tree[at] != TOPO_NONE && topo_link(t, at, tree[at], &peer, &peer_port)) {
		if (peer == t->bridge)
			return at;
		at = peer;
	}
	if (!is_above(t, tree, at, t->bridge) || !topo_link(t, t->bridge, tree[t->bridge], &peer, &peer_port))
		return TOPO_NONE;
	return peer; // the bridge is below the root, and sw is not below the bridge
}

// By the sides of the bridge: see the header.
static bool keeps_sides(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t port, uint32_t peer,
			uint32_t to)
{
	uint32_t from = topo_side(t, tree, sw), into = topo_side(t, tree, peer), end = topo_side(t, tree, to);

	if (from == into)
		return true;
	if (peer == t->bridge)
		return end != from && topo_on_tree(t, tree, sw, port);
	return into == end;
}

bool topo_leads(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t port, uint32_t to)
{
	uint32_t peer, peer_port;

	if (!topo_link(t, sw, port, &peer, &peer_port))
		return false;
	if (t->bridge != TOPO_NONE && !keeps_sides(t, tree, sw, port, peer, to))
		return false;
	if (sw == t->bridge || peer == t->bridge || !topo_is_shared(t, sw, port))
		return true;
	if (tree[sw] == port)
		return !is_above(t, tree, sw, to);
	return tree[peer] == peer_port && is_above(t, tree, peer, to);
}

struct toward {
	const struct topo *t;
	const uint32_t *tree;
	uint32_t to;
};

static bool comes_from(void *ctx, uint32_t sw, uint32_t port, uint32_t peer)
{
	const struct toward *w = ctx;
	uint32_t peer_port;

	return topo_link(w->t, sw, port, &peer, &peer_port) && topo_leads(w->t, w->tree, peer, peer_port, w->to);
}

int topo_distances(const struct topo *t, const uint32_t *tree, uint32_t to, uint16_t *dist)
{
	struct toward w = {t, tree, to};
	struct spread s;
	int rc = spread_init(&s, t);

	for (uint32_t i = 0; i < t->n_switches; i++)
		dist[i] = i == to ? 0 : TOPO_FAR;
	s.dist = dist;
	s.passes = comes_from;
	s.ctx = &w;
	if (rc == 0)
		spread_from(&s, to);
	spread_fini(&s);
	return rc;
}

// --- the tree

struct joined {
	const struct topo *t;
	uint32_t *part;     // union-find
	uint32_t *first_on; // of each switch: where the bits of its ports begin
	uint8_t *on;        // a byte for each port
};

static uint32_t part_of(struct joined *j, uint32_t sw)
{
	while (j->part[sw] != sw)
		sw = j->part[sw] = j->part[j->part[sw]];
	return sw;
}

void topo_parts(const struct topo *t, uint32_t *part)
{
	struct joined j = {.t = t, .part = part};

	for (uint32_t sw = 0; sw < t->n_switches; sw++)
		part[sw] = sw;
	for (uint32_t sw = 0; sw < t->n_switches; sw++) {
		for (uint32_t i = 0; i < t->switches[sw].n_ports; i++) {
			uint32_t peer, peer_port, a, b;

			if (!topo_link(t, sw, t->switches[sw].ports[i].no, &peer, &peer_port))
				continue;
			a = part_of(&j, sw);
			b = part_of(&j, peer);
			part[a < b ? b : a] = a < b ? a : b;
		}
	}
	for (uint32_t sw = 0; sw < t->n_switches; sw++)
		part[sw] = part_of(&j, sw);
}

static uint8_t *on_of(const struct joined *j, uint32_t sw, uint32_t port)
{
	return &j->on[j->first_on[sw] + (uint32_t)(topo_port(j->t, sw, port) - j->t->switches[sw].ports)];
}

static void join(struct joined *j, uint32_t sw, uint32_t port, uint32_t peer, uint32_t peer_port)
{
	uint32_t a = part_of(j, sw), b = part_of(j, peer);

	if (a == b)
		return;
	j->part[a] = b;
	*on_of(j, sw, port) = *on_of(j, peer, peer_port) = 1;
}

static bool is_on(void *ctx, uint32_t sw, uint32_t port, uint32_t peer)
{
	const struct joined *j = ctx;

	(void)peer;
	return *on_of(j, sw, port);
}

static void join_kept(struct joined *j, bool (*keeps)(void *ctx, uint32_t sw, uint32_t port), void *ctx)
{
	for (uint32_t sw = 0; sw < j->t->n_switches; sw++) {
		for (uint32_t i = 0; i < j->t->switches[sw].n_ports; i++) {
			uint32_t port = j->t->switches[sw].ports[i].no, peer, peer_port;

			if (topo_link(j->t, sw, port, &peer, &peer_port) && peer > sw && keeps(ctx, sw, port) &&
			    keeps(ctx, peer, peer_port))
				join(j, sw, port, peer, peer_port);
		}
	}
}

static void join_bridge(struct joined *j)
{
	const struct topo_switch *bridge = j->t->bridge == TOPO_NONE ? NULL : &j->t->switches[j->t->bridge];
	uint32_t peer, peer_port;

	for (uint32_t i = 0; bridge != NULL && i < bridge->n_ports; i++) {
		if (topo_link(j->t, j->t->bridge, bridge->ports[i].no, &peer, &peer_port))
			join(j, j->t->bridge, bridge->ports[i].no, peer, peer_port);
	}
}

static void join_shared(struct joined *j)
{
	for (uint32_t sw = 0; sw < j->t->n_switches; sw++) {
		for (uint32_t i = 0; i < j->t->switches[sw].n_ports; i++) {
			uint32_t port = j->t->switches[sw].ports[i].no, peer, peer_port;

			if (topo_link(j->t, sw, port, &peer, &peer_port) && peer > sw && topo_is_shared(j->t, sw, port))
				join(j, sw, port, peer, peer_port);
		}
	}
}

static void spread_all(struct spread *s)
{
	const struct topo *t = s->t;

	memset(s->reached, 0, t->n_switches);
	for (uint32_t i = 0; i < t->n_switches; i++)
		s->next[i] = TOPO_NONE;
	for (;;) {
		uint32_t root = TOPO_NONE;

		for (uint32_t i = 0; i < t->n_switches; i++) {
			if (!s->reached[i] && (root == TOPO_NONE || t->switches[i].dpid < t->switches[root].dpid))
				root = i;
		}
		if (root == TOPO_NONE)
			return;
		spread_from(s, root);
	}
}

int topo_tree(const struct topo *t, bool (*keeps)(void *ctx, uint32_t sw, uint32_t port), void *ctx, uint32_t *tree)
{
	struct joined j = {.t = t};
	struct spread s;
	uint32_t n_ports = 0;
	int rc = spread_init(&s, t);

	j.part = calloc(t->n_switches + 1U, sizeof(*j.part));
	j.first_on = calloc(t->n_switches + 1U, sizeof(*j.first_on));
	for (uint32_t i = 0; j.part != NULL && j.first_on != NULL && i < t->n_switches; i++) {
		j.part[i] = i;
		j.first_on[i] = n_ports;
		n_ports += t->switches[i].n_ports;
	}
	j.on = calloc(n_ports + 1U, 1);
	rc = j.part == NULL || j.first_on == NULL || j.on == NULL ? -ENOMEM : rc;
	s.next = tree;
	if (rc == 0) {
		join_bridge(&j);
		join_shared(&j);
		if (keeps != NULL)
			join_kept(&j, keeps, ctx);
		spread_all(&s); // the breadth-first forest adds what is missing, and then leads through what was chosen
		for (uint32_t sw = 0; sw < t->n_switches; sw++) {
			uint32_t peer, peer_port;

			if (tree[sw] != TOPO_NONE && topo_link(t, sw, tree[sw], &peer, &peer_port))
				join(&j, sw, tree[sw], peer, peer_port);
		}
		s.passes = is_on;
		s.ctx = &j;
		spread_all(&s);
	}
	spread_fini(&s);
	free(j.part);
	free(j.first_on);
	free(j.on);
	return rc;
}

bool topo_on_tree(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t port)
{
	uint32_t peer, peer_port;

	if (!topo_link(t, sw, port, &peer, &peer_port))
		return false;
	return tree[sw] == port || tree[peer] == peer_port;
}
