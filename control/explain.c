// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include <errno.h>
#include <stdlib.h>

#include "policy.h"

#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_SCTP 132

void explanation_fini(struct explanation *e)
{
	free(e->nodes);
	free(e->atoms);
	*e = (struct explanation){0};
}

static int add_node(struct explanation *e, const struct share *share, uint32_t parent)
{
	if (e->n_nodes == e->cap_nodes) {
		uint32_t cap = e->cap_nodes == 0 ? 16 : e->cap_nodes * 2;
		struct explain_node *nodes = reallocarray(e->nodes, cap, sizeof(*nodes));

		if (nodes == NULL)
			return -ENOMEM;
		e->nodes = nodes;
		e->cap_nodes = cap;
	}
	e->nodes[e->n_nodes++] = (struct explain_node){.share = share, .parent = parent, .first_atom = e->n_atoms};
	return 0;
}

static int add_atom(struct explanation *e, const struct request *r, const struct box *box)
{
	if (e->n_atoms == e->cap_atoms) {
		uint32_t cap = e->cap_atoms == 0 ? 16 : e->cap_atoms * 2;
		struct explain_atom *atoms = reallocarray(e->atoms, cap, sizeof(*atoms));

		if (atoms == NULL)
			return -ENOMEM;
		e->atoms = atoms;
		e->cap_atoms = cap;
	}
	e->atoms[e->n_atoms++] = (struct explain_atom){r, *box};
	e->nodes[e->n_nodes - 1].n_atoms++;
	return 0;
}

// 1 and the box (users replaced) if the request's group holds the packet, 0 if not.
static int find_box(const struct users *users, const struct request *r, const struct match_packet *packet,
		    struct box *out)
{
	int found = 0;

	for (uint32_t i = 0; i < r->flows.n_boxes && found == 0; i++) {
		struct box any = r->flows.boxes[i], *box = &r->flows.boxes[i];
		struct match one = {.boxes = box, .n_boxes = 1}, real;

		any.f[MATCH_SRC_USER] = any.f[MATCH_DST_USER] = (struct span){0, MATCH_USER_MAX};
		if (!box_covers(&any, packet))
			continue;
		match_init(&real);
		found = policy_expand(users, &one, &real);
		for (uint32_t k = 0; k < real.n_boxes && found == 0; k++)
			if (box_covers(&real.boxes[k], packet)) {
				*out = real.boxes[k];
				found = 1;
			}
		match_fini(&real);
	}
	return found;
}

static bool stands(const struct request *r)
{
	return (r->verb != VERB_HINT || hint_is_realised(r)) && !r->suspended;
}

static int find_atoms(const struct state *s, const struct share *share, const struct match_packet *packet,
		      struct explanation *e)
{
	const struct request *r;
	struct box box;

	TAILQ_FOREACH (r, &share->requests, link) {
		int rc = stands(r) ? find_box(&s->users, r, packet, &box) : 0;

		if (rc > 0)
			rc = add_atom(e, r, &box);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static struct explain_step step_of(const struct request *r)
{
	struct explain_step step = {.action = action_none()};

	step.action.access = r->access;
	step.by = r->access == ACCESS_NONE ? 0 : r->id;
	step.background = hint_is_background(r);
	if (r->verb == VERB_RESERVE || (r->verb == VERB_HINT && r->rate_bps > 0))
		idset_add(&step.action.reservations, r->id);
	else if (r->verb == VERB_RATELIMIT)
		idset_add(&step.action.limits, r->id);
	else if (r->verb == VERB_WAYPOINT)
		step.path.waypoint = r->id;
	else if (r->verb == VERB_AVOID)
		step.path.avoids = true;
	return step;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

// +D and +S.
static struct explain_step join(const struct explain_step *a, const struct explain_step *b)
{
	struct explain_step out = {.action = action_join(&a->action, &b->action)};

	if (a->action.access == b->action.access)
		out.by = least(a->by, b->by);
	else
		out.by = a->action.access > b->action.access ? a->by : b->by;
	out.path.waypoint = least(a->path.waypoint, b->path.waypoint);
	out.path.avoids = a->path.avoids || b->path.avoids;
	out.background = a->background || b->background;
	return out;
}

// +P.
static struct explain_step over(const struct explain_step *child, const struct explain_step *parent)
{
	struct explain_step out = {.action = action_over(&child->action, &parent->action)};

	out.by = child->action.access != ACCESS_NONE ? child->by : parent->by;
	out.path.waypoint = child->path.waypoint != 0 ? child->path.waypoint : parent->path.waypoint;
	out.path.avoids = child->path.avoids || parent->path.avoids;
	out.background = child->background || parent->background;
	return out;
}

// From the leaves up: a child stands behind its parent.
static void combine(struct explanation *e)
{
	for (uint32_t i = e->n_nodes; i-- > 0;) {
		struct explain_node *node = &e->nodes[i];

		for (uint32_t a = 0; a < node->n_atoms; a++) {
			struct explain_step one = step_of(e->atoms[node->first_atom + a].request);

			node->own = join(&node->own, &one);
		}
		node->result = over(&node->below, &node->own);
		if (node->parent != UINT32_MAX)
			e->nodes[node->parent].below = join(&e->nodes[node->parent].below, &node->result);
	}
}

static bool has_requests(const struct share *share)
{
	return share->n_access[ACCESS_NONE] + share->n_access[ACCESS_ALLOW] + share->n_access[ACCESS_DENY] > 0;
}

// Takes out the nodes that say nothing, except for the root. What is left keeps its order.
static void drop_silent(struct explanation *e, uint32_t *place)
{
	uint32_t kept = 0;

	for (uint32_t i = e->n_nodes; i-- > 1;) { // place: first whether it is kept
		place[i] = place[i] || e->nodes[i].n_atoms > 0;
		if (place[i])
			place[e->nodes[i].parent] = 1;
	}
	place[0] = 1;
	for (uint32_t i = 0; i < e->n_nodes; i++) {
		if (!place[i])
			continue;
		place[i] = kept;
		e->nodes[kept] = e->nodes[i];
		if (i > 0)
			e->nodes[kept].parent = place[e->nodes[i].parent];
		kept++;
	}
	e->n_nodes = kept;
}

int explain_packet(const struct state *s, const struct match_packet *packet, struct explanation *e)
{
	const struct share *root = s->shares.root, *share = root;
	uint32_t parent = UINT32_MAX, *place;
	int rc = 0;

	*e = (struct explanation){0};
	while (share != NULL && rc == 0) {
		if (share != root && !has_requests(share)) {
			share = share_next(root, share, false);
			continue;
		}
		// Preorder: the parent is the last node or one above it.
		while (parent != UINT32_MAX && e->nodes[parent].share != share->parent)
			parent = e->nodes[parent].parent;
		rc = add_node(e, share, parent);
		if (rc == 0)
			rc = find_atoms(s, share, packet, e);
		parent = e->n_nodes - 1;
		share = share_next(root, share, true);
	}
	place = rc < 0 ? NULL : calloc(e->n_nodes, sizeof(*place));
	if (rc == 0 && place == NULL)
		rc = -ENOMEM;
	if (rc < 0) {
		explanation_fini(e);
		return rc;
	}
	drop_silent(e, place);
	free(place);
	combine(e);
	return 0;
}

static bool holds(const struct span *span, uint64_t value)
{
	return span->lo <= value && value <= span->hi;
}

struct match_packet explain_sample(const struct box *box)
{
	static const uint32_t kinds[] = {MATCH_IP4PORTS, MATCH_IP4, MATCH_IP6PORTS, MATCH_IP6, MATCH_NONIP};
	struct match_packet packet = {.src = box->src.lo, .dst = box->dst.lo, .kind = MATCH_NONIP};
	const struct span *proto = &box->f[MATCH_PROTO];

	for (int f = 0; f < MATCH_N_FIELDS; f++)
		packet.f[f] = box->f[f].lo;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((box->kinds & kinds[i]) != 0) {
			packet.kind = kinds[i];
			break;
		}
	if ((packet.kind & MATCH_KINDS_PORTS) != 0)
		packet.f[MATCH_PROTO] = holds(proto, PROTO_TCP)   ? PROTO_TCP
					: holds(proto, PROTO_UDP) ? PROTO_UDP
								  : PROTO_SCTP;
	packet.f[MATCH_SRC_USER] = packet.f[MATCH_DST_USER] = 0;
	return packet;
}
