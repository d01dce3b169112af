// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <errno.h>
#include <string.h>

#include "flow_spec.h"

// More boxes than this one request may not become: both sides of user=!{...} multiply by the bindings of all others.
// What names no users may have as many as can be said.
#define EXPANDED_BOXES_MAX FLOW_SPEC_BOXES_MAX

// A binding speaks of the source; as a destination it is its mirror.
struct box policy_mirrored(const struct box *box)
{
	struct box out = *box;

	out.src = box->dst;
	out.dst = box->src;
	out.f[MATCH_SRC_ETH] = box->f[MATCH_DST_ETH];
	out.f[MATCH_DST_ETH] = box->f[MATCH_SRC_ETH];
	out.f[MATCH_SRC_PORT] = box->f[MATCH_DST_PORT];
	out.f[MATCH_DST_PORT] = box->f[MATCH_SRC_PORT];
	return out;
}

static int binding_at_side(const struct match *binding, enum match_field side, struct match *out)
{
	int rc = 0;

	for (uint32_t i = 0; i < binding->n_boxes && rc == 0; i++) {
		struct box box = side == MATCH_SRC_USER ? binding->boxes[i] : policy_mirrored(&binding->boxes[i]);

		rc = match_add(out, &box);
	}
	return rc;
}

// Adds box and binding to out.
static int add_bound(const struct box *box, const struct match *binding, struct match *out)
{
	int rc = 0;

	for (uint32_t i = 0; i < binding->n_boxes && rc == 0; i++) {
		struct box both;

		if (box_intersect(box, &binding->boxes[i], &both))
			rc = match_add(out, &both);
	}
	return rc;
}

static int take_away(struct match *region, const struct match *binding)
{
	struct match rest;
	int rc;

	match_init(&rest);
	rc = match_subtract(&rest, region, binding);
	if (rc == 0) {
		match_fini(region);
		match_move(region, &rest);
	}
	match_fini(&rest);
	return rc;
}

// Replaces one side's user of one box; appends what it becomes to out.
static int expand_box(const struct users *users, const struct box *box, enum match_field side, struct match *out)
{
	struct span asked = box->f[side];
	bool nobody_too = asked.lo == 0;
	uint64_t from = nobody_too ? asked.hi + 1 : asked.lo;
	uint64_t to = nobody_too || asked.hi > users->n ? users->n : asked.hi;
	struct match region;
	struct box any = *box;
	int rc;

	if (nobody_too && asked.hi == MATCH_USER_MAX)
		return match_add(out, box);
	any.f[side] = (struct span){0, MATCH_USER_MAX};
	match_init(&region);
	rc = match_add(&region, &any);
	for (uint64_t number = from; number <= to && rc == 0; number++) {
		const struct user *user = users_at(users, (uint32_t)number);

		for (uint32_t b = 0; b < user->n_bindings && rc == 0; b++) {
			struct match binding;

			match_init(&binding);
			rc = binding_at_side(&user->bindings[b], side, &binding);
			if (rc == 0)
				rc = nobody_too ? take_away(&region, &binding) : add_bound(&any, &binding, out);
			match_fini(&binding);
		}
	}
	for (uint32_t i = 0; nobody_too && i < region.n_boxes && rc == 0; i++)
		rc = match_add(out, &region.boxes[i]);
	match_fini(&region);
	return rc;
}

int policy_expand(const struct users *users, const struct match *flows, struct match *out)
{
	struct match by_source;
	int rc = 0;

	match_init(&by_source);
	for (uint32_t i = 0; i < flows->n_boxes && rc == 0; i++)
		rc = by_source.n_boxes > EXPANDED_BOXES_MAX
			     ? -E2BIG
			     : expand_box(users, &flows->boxes[i], MATCH_SRC_USER, &by_source);
	for (uint32_t i = 0; i < by_source.n_boxes && rc == 0; i++)
		rc = out->n_boxes > EXPANDED_BOXES_MAX ? -E2BIG
						       : expand_box(users, &by_source.boxes[i], MATCH_DST_USER, out);
	match_fini(&by_source);
	return rc;
}

static bool span_names_users(const struct span *span)
{
	return span->lo > 0 || span->hi < MATCH_USER_MAX;
}

static bool names_users(const struct match *flows)
{
	for (uint32_t i = 0; i < flows->n_boxes; i++) {
		if (span_names_users(&flows->boxes[i].f[MATCH_SRC_USER]) ||
		    span_names_users(&flows->boxes[i].f[MATCH_DST_USER]))
			return true;
	}
	return false;
}

void policy_follow(struct state *s, struct request *r, bool in)
{
	if (in)
		r->names_users = names_users(&r->flows);
	if (r->names_users && in)
		TAILQ_INSERT_TAIL(&s->naming_users, r, naming_users_link);
	else if (r->names_users)
		TAILQ_REMOVE(&s->naming_users, r, naming_users_link);
	delta_request(&s->delta, r->id);
}

// A span from nobody on is what the bindings of all users beyond it leave.
static bool span_depends_on(const struct span *span, uint32_t user)
{
	return span->lo == 0 ? user > span->hi : user >= span->lo && user <= span->hi;
}

bool policy_depends_on(const struct match *flows, uint32_t user)
{
	for (uint32_t i = 0; i < flows->n_boxes; i++) {
		if (span_depends_on(&flows->boxes[i].f[MATCH_SRC_USER], user) ||
		    span_depends_on(&flows->boxes[i].f[MATCH_DST_USER], user))
			return true;
	}
	return false;
}

// What a policy tree is to hold.
struct wanted {
	struct tree *tree;
	struct demands *demands; // NULL, or to be filled as well
	bool ways;
};

int policy_atom(const struct state *s, const struct request *r, struct atom *out)
{
	int rc;

	*out = (struct atom){.id = r->id, .access = r->access, .rate_bps = r->rate_bps};
	if (r->verb == VERB_RESERVE || r->verb == VERB_HINT)
		out->part = ATOM_RESERVE;
	else if (r->verb == VERB_RATELIMIT)
		out->part = ATOM_LIMIT;
	else if (r->verb == VERB_WAYPOINT || r->verb == VERB_AVOID)
		out->part = ATOM_PATH;
	else
		out->part = ATOM_ACCESS;
	match_init(&out->match);
	if (out->part == ATOM_PATH && out->access == ACCESS_NONE)
		return 0;
	if ((r->verb == VERB_HINT && r->rate_bps == 0) || r->suspended)
		return 0; // not realised; not in force
	rc = policy_expand(&s->users, &r->flows, &out->match);
	if (rc < 0)
		match_fini(&out->match);
	return rc;
}

int policy_background(const struct state *s, const struct request *r, struct match *out)
{
	int rc;

	match_init(out);
	if (!hint_is_background(r))
		return 0;
	rc = policy_expand(&s->users, &r->flows, out);
	if (rc < 0)
		match_fini(out);
	return rc;
}

// The atom with the way its request asks for.
static int add_way(const struct state *s, const struct request *r, struct atom *atom)
{
	if (atom->part != ATOM_PATH || r->suspended)
		return 0;
	atom->path = r->verb == VERB_WAYPOINT ? ATOM_WAYPOINT : ATOM_AVOID;
	return atom->access == ACCESS_NONE ? policy_expand(&s->users, &r->flows, &atom->match) : 0;
}

static int add_atom(const struct state *s, const struct request *r, uint32_t node, const struct wanted *wanted)
{
	struct tree *tree = wanted->tree;
	struct atom atom;
	int rc = policy_atom(s, r, &atom);

	if (rc == 0 && wanted->ways)
		rc = add_way(s, r, &atom);
	atom.node = node;
	if (rc == 0 && atom.match.n_boxes > 0)
		rc = tree_add_atom(tree, &atom);
	match_fini(&atom.match);
	return rc;
}

static int add_demand(const struct state *s, const struct request *r, uint32_t node, struct demands *demands)
{
	struct demand d = {.id = r->id,
			   .node = node,
			   .rate_bps = r->rate_bps,
			   .start_ns = r->start_ns,
			   .end_ns = r->end_ns,
			   .addresses = r->addresses};
	int rc;

	if (r->verb == VERB_RATELIMIT)
		d.kind = DEMAND_LIMIT;
	else if (r->verb == VERB_RESERVE || (r->verb == VERB_HINT && r->rate_bps > 0))
		d.kind = DEMAND_RESERVE;
	else if (r->verb == VERB_WAYPOINT && !r->suspended)
		d.kind = DEMAND_WAYPOINT;
	else if (r->verb == VERB_AVOID)
		d.kind = DEMAND_AVOID;
	else
		return 0;
	match_init(&d.flows);
	rc = policy_expand(&s->users, &r->flows, &d.flows);
	if (rc == 0 && d.flows.n_boxes > 0)
		rc = demands_add(demands, &d);
	match_fini(&d.flows);
	return rc;
}

static bool has_requests(const struct share *share)
{
	return share->n_access[ACCESS_NONE] + share->n_access[ACCESS_ALLOW] + share->n_access[ACCESS_DENY] > 0;
}

static int build(const struct state *s, int64_t now_ns, const struct wanted *wanted)
{
	struct tree *tree = wanted->tree;
	const struct share *share = s->shares.root, *last = NULL;
	int node = TREE_NO_PARENT, rc = 0;

	while (share != NULL && rc == 0) {
		const struct request *r;

		if (!has_requests(share) && share->parent != NULL) {
			share = share_next(s->shares.root, share, false);
			continue;
		}
		// Preorder: the parent is the last share added or one of its ancestors.
		for (; last != NULL && last != share->parent; last = last->parent)
			node = (int)tree->nodes[node].parent;
		node = tree_add_node(tree, (uint32_t)node);
		last = share;
		rc = node < 0 ? node : 0;
		if (rc == 0)
			tree->nodes[node].number = share->number;
		TAILQ_FOREACH (r, &share->requests, link) {
			if (rc == 0 && r->end_ns > now_ns)
				rc = add_atom(s, r, (uint32_t)node, wanted);
			if (rc == 0 && r->end_ns > now_ns && wanted->demands != NULL)
				rc = add_demand(s, r, (uint32_t)node, wanted->demands);
		}
		share = share_next(s->shares.root, share, true);
	}
	return rc;
}

int policy_build(const struct state *s, int64_t now_ns, struct tree *tree)
{
	return build(s, now_ns, &(struct wanted){.tree = tree});
}

int policy_build_ways(const struct state *s, int64_t now_ns, struct tree *tree)
{
	return build(s, now_ns, &(struct wanted){.tree = tree, .ways = true});
}

int policy_build_all(const struct state *s, int64_t now_ns, struct tree *tree, struct demands *demands)
{
	int rc = build(s, now_ns, &(struct wanted){.tree = tree, .demands = demands});

	if (demands != NULL)
		demands_sort(demands);
	return rc;
}
