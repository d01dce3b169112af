// SPDX-License-Identifier: Apache-2.0
// Share tree -> policy tree: a node for each share with accepted requests at or below it, an atom for each request,
// users replaced by what the network binds to them. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/tree.h"
#include "state.h"

// Requests over at now_ns, and those that no packet can match as users are bound now, are left out. tree is initialised
// by the caller. 0, -ENOMEM or -E2BIG (users bound to too many addresses); tree is then incomplete.
int policy_build(const struct state *s, int64_t now_ns, struct tree *tree);

// The flow group with users replaced: traffic of a user is what matches one of the user's bindings; traffic of nobody
// matches no binding of the users the group leaves out. out is initialised by the caller. 0, -ENOMEM or -E2BIG.
int policy_expand(const struct users *users, const struct match *flows, struct match *out);
