// SPDX-License-Identifier: Apache-2.0
// What happens to a packet and why (SPEC 5 and 6): the requests that match, share by share, and how they combine on
// the way to the root. Written apart from hft/eval.c, against which it is tested. Thread: control only.
#pragma once
#include "hft/action.h"
#include "hft/match.h"
#include "request.h"
#include "state.h"

struct explain_path { // of middleboxes; numbers of requests, 0: none
	uint64_t waypoint;
	bool avoids; // some avoid matches
};

struct explain_step {
	struct action action;
	uint64_t by; // the request whose access that is, 0: none
	struct explain_path path;
	bool background; // some hint says so
};

struct explain_node { // a share with a matching request at or below it
	const struct share *share;
	uint32_t parent; // index, UINT32_MAX: the root
	uint32_t first_atom, n_atoms;
	struct explain_step own;    // of its own requests
	struct explain_step below;  // of its children together
	struct explain_step result; // of both
};

struct explain_atom {
	const struct request *request;
	struct box box; // the row that matches: of its group, users replaced
};

struct explanation {
	struct explain_node *nodes; // parents before children; node 0 is the root
	struct explain_atom *atoms; // by node
	uint32_t n_nodes, cap_nodes, n_atoms, cap_atoms;
};

// packet->f[MATCH_TIME] says when; it has no users. e is overwritten, explanation_fini frees it. 0, -ENOMEM, -E2BIG.
int explain_packet(const struct state *s, const struct match_packet *packet, struct explanation *e);
void explanation_fini(struct explanation *e);

// A packet of the group (users replaced): TCP where the group leaves the protocol open, otherwise the least of each
// field.
struct match_packet explain_sample(const struct box *box);
