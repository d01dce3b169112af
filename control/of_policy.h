// SPDX-License-Identifier: Apache-2.0
// The policy in the forms that switches take. Values. Owner: the caller. Thread: control only.
//
// A switch with a table for each part of the action gets each part by itself: access as the flat table of access alone,
// limits by colour (two limits of one colour have no packet in common, so that each colour is one table with a meter a
// row and no cross products). A switch with few tables gets the flat table of everything.
#pragma once
#include "demand.h"
#include "hft/err.h"
#include "hft/flowtab.h"
#include "hft/tree.h"

#define OF_POLICY_COLOURS 8   // SPEC 5: at most so many limits meet in one packet
#define OF_POLICY_UNSAID 0xff // a colour: there was none left

struct of_source {
	u128 ip; // as in hft/match.h
	bool ip6;
};

struct of_policy {
	struct flowtab flat, access;
	// Reservations, waypoint lists and what is to be avoided: the rows' set of reservations has the numbers of all
	// of them. So in flat. A waypoint list also has the mirror of its flow group: both directions go the same way.
	struct flowtab paths;
	uint32_t *parents; // of the policy tree's nodes
	struct demands demands;
	uint8_t *colours;          // of demands that are limits: by index
	struct of_source *sources; // that denials name, one address each; ascending
	uint32_t n_sources;
};

// Proof (hft/verify_flat.h) that each table is what the tree says: how much may be done for one, and what came of it.
struct of_policy_proof {
	uint32_t effort;                    // as verify_flat's; 0: nothing is proven
	uint64_t proven, undecided, faults; // tables
};

void of_policy_init(struct of_policy *p);
void of_policy_fini(struct of_policy *p);
void of_policy_move(struct of_policy *to, struct of_policy *from); // to is overwritten, from left empty

// Takes the demands over. proof: is counted in, NULL: nothing is proven. 0, or the compiler's error, or -EPROTO: a
// table is not what the tree says for the packet in err (p is then empty).
int of_policy_build(struct of_policy *p, const struct tree *tree, struct demands *demands, int64_t now_ns,
		    struct of_policy_proof *proof, struct err *err);
// The one address that packets of the box come from; false: they come from several, or any.
bool of_policy_source(const struct box *box, struct of_source *out);
// Some denial is about what comes from this address and no other.
bool of_policy_names(const struct of_policy *p, const struct of_source *source);
// Gives every limit a colour: the one the hint names (OF_POLICY_UNSAID: none) where it may have it, else the lowest
// that is free. Those that get none are counted and returned.
uint32_t of_policy_colour(struct of_policy *p, uint8_t (*hint)(void *ctx, uint64_t id), void *ctx);
// Which waypoint list of the set rules (SPEC 5): a child's before its parent's, else the lowest number; 0: there is
// none.
uint64_t of_policy_ruling(const struct of_policy *p, const struct idset *ids);
