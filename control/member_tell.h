// SPDX-License-Identifier: Apache-2.0
// What the controller knows of the local dataplane (nib.h), told to the network of switches (of_member.h).
// Owner: the caller. Thread: control only. Times: monotonic.
#pragma once
#include "nib.h"
#include "of_net.h"

// The dataplane's session may be gone for so long; it forwards meanwhile.
#define MEMBER_AWAY_NS 5000000000LL

struct member_tell {
	uint64_t gen; // of the nib, as told
	int64_t told_ns;
	int64_t away_ns; // since when all its ports are down; 0: they are not
};

// Tells it when something is new, and once a second. Returns when to call again; INT64_MAX: when something is new.
int64_t member_tell(struct member_tell *m, const struct nib *nib, struct of_net *net, int64_t now_ns);
