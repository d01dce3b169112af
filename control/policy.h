// SPDX-License-Identifier: Apache-2.0
// Share tree -> policy tree: a node for each share with accepted requests at or below it, an atom for each request,
// users replaced by what the network binds to them. Thread: control only.
#pragma once
#include <stdint.h>

#include "demand.h"
#include "hft/tree.h"
#include "state.h"

// Requests over at now_ns, and those that no packet can match as users are bound now, are left out. tree is initialised
// by the caller. 0, -ENOMEM or -E2BIG (users bound to too many addresses); tree is then incomplete.
int policy_build(const struct state *s, int64_t now_ns, struct tree *tree);

// The same, with what the requests ask beside access (demands: NULL: not asked for): also waypoints and avoids that say
// nothing about access.
int policy_build_all(const struct state *s, int64_t now_ns, struct tree *tree, struct demands *demands);

// The same, for who wants the ways as well: atoms of waypoints and avoids say so, also where they say nothing about
// access (action.h: their requests' numbers).
int policy_build_ways(const struct state *s, int64_t now_ns, struct tree *tree);

// The atom of one request, users replaced; its node is left to the caller. out is overwritten; its match is the
// caller's, and empty when no packet can match as users are bound now, or when the request says nothing that a table
// could hold. 0, -ENOMEM or -E2BIG (out is then empty).
int policy_atom(const struct state *s, const struct request *r, struct atom *out);

// The same for what a hint says of it beside a reservation: the packets that are to be served as background.
int policy_background(const struct state *s, const struct request *r, struct match *out);

// Which packets the group matches depends on the bindings of this user.
bool policy_depends_on(const struct match *flows, uint32_t user);
// A request comes (in) or goes: notes it, and whether later bindings matter to it.
void policy_follow(struct state *s, struct request *r, bool in);

// A flow group of the source side as one of the destination side: its mirror.
struct box policy_mirrored(const struct box *box);
// The flow group with users replaced: traffic of a user is what matches one of the user's bindings; traffic of nobody
// matches no binding of the users the group leaves out. out is initialised by the caller. 0, -ENOMEM or -E2BIG.
int policy_expand(const struct users *users, const struct match *flows, struct match *out);
