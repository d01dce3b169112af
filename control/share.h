// SPDX-License-Identifier: Apache-2.0
// The share tree (SPEC 3): who may say what about which flows, and which accepted requests stand where.
// Owner: struct state. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "flow_index.h"
#include "hft/action.h"
#include "hft/err.h"
#include "hft/match.h"
#include "name_map.h"
#include "speaker.h"
#include "statement.h"
#include "timeline.h"

#define SHARE_ROOT "rootShare"

struct request;
TAILQ_HEAD(request_list, request);

struct share {
	char name[NAME_MAX_LEN];
	uint32_t number;      // 0: the root, then in order of creation; never another share's
	struct share *parent; // NULL: the root
	struct share **children;
	uint32_t n_children, cap_children;
	uint32_t child_idx;  // place among the parent's children
	uint32_t n_weighted; // children whose weight is not 1
	struct match flows;
	struct privileges privileges; // all resolved: defaults and inheritance applied
	struct principal *principals;
	uint32_t n_principals, cap_principals;
	bool granted_default; // every registered user
	struct timeline *timeline;
	struct flow_index *index;           // of all requests in the tree; the root's
	struct request_list requests;       // not over; request.h
	uint32_t n_waypoints, n_avoids;     // requests of this share and all below
	uint64_t n_paths_gone;              // how many of those ever ended
	uint32_t n_access[ACCESS_DENY + 1]; // requests of this share and all below, by the access their atoms carry
};

struct share_tree {
	struct share *root;
	struct name_map by_name;
	uint32_t next_number; // of a share to be added
	struct {              // ascending; a share that is dropped leaves NULL until there are as many of those
		uint32_t number;
		struct share *share;
	} * by_number;
	uint32_t n_numbers, cap_numbers, n_gaps;
	uint32_t n_weighted; // shares whose weight is not 1
};

int share_tree_init(struct share_tree *tree, int64_t now_ns);              // with rootShare; 0 or -ENOMEM
void share_tree_fini(struct share_tree *tree);                             // requests must have been taken out
struct share *share_find(const struct share_tree *tree, const char *name); // NULL when unknown
struct share *share_at(const struct share_tree *tree, uint32_t number);    // NULL when there is none (any more)
// Its place in tree->by_number, below n_numbers, until a share is added or dropped.
uint32_t share_place(const struct share_tree *tree, const struct share *share);
// It has a part of its own in what siblings divide by weight: its weight or a sibling's is not 1.
bool share_has_weight(const struct share *share);

// The share after `share` in preorder within top's subtree, NULL at the end. descend: go below `share` first.
const struct share *share_next(const struct share *top, const struct share *share, bool descend);

// A grant of the share covers the speaker (registered: the speaker's user is).
bool share_speaks(const struct share *share, const struct principal *speaker, bool registered);
// The nearest share from this one up to the root whose principal the speaker is; NULL: none.
const struct share *share_speaks_above(const struct share *share, const struct principal *speaker, bool registered);

// 1: granted before, nothing changed; 0; -ENOMEM.
int share_grant(struct share *share, const struct principal *principal);
int share_revoke(struct share *share, const struct principal *principal); // exactly this one; 0 or -ENOENT
uint32_t share_revoke_user(struct share *share, const char *user);        // all of one user's; how many

// What a child with the privileges `asked` (given bits and values) has below `parent`, defaults applied. -EPERM with
// the first privilege that the parent does not contain in err; -EINVAL where the asked ones contradict one another.
int privileges_resolve(const struct privileges *parent, const struct privileges *asked, struct privileges *out,
		       struct err *err);

// Adds a checked share (name free, flows and privileges contained) with one principal. NULL: out of memory, nothing
// changed.
struct share *share_add(struct share_tree *tree, struct share *parent, const char *name, const struct match *flows,
			const struct privileges *privileges, const struct principal *principal, int64_t now_ns);
// Takes out a share other than the root and all below it; their requests must have ended.
void share_drop(struct share_tree *tree, struct share *top);
