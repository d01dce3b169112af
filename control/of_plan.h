// SPDX-License-Identifier: Apache-2.0
// The flow entries that one switch should have: shortest paths to hosts, flooding along a tree, and the policy where
// traffic enters the network. A function from values to a value.
//
// 1.3, three tables: 0 asks the policy (only of what comes from hosts), 1 learns (unknown sources and ARP also go to
// the controller), 2 forwards. 1.0, one table: rows of the policy times forwarding. Invariants: a frame from a port
// that is not settled, or from a link that is not verified, goes nowhere; a frame is flooded along a spanning tree
// only; a frame is judged by the policy at the switch where it enters, before it is forwarded. Thread: control only.
#pragma once
#include "hft/flowtab.h"
#include "of_rules.h"
#include "topo.h"

#define OF_COOKIE (0x50414e45ULL << 32) // "PANE": entries of this controller
// Low half: the IPv4 address of the host that an entry sends to at its own switch, so that a restarted controller finds
// it there.

struct of_plan_in {
	const struct topo *topo;
	const uint32_t *tree;        // topo_tree
	const uint32_t *const *next; // by destination switch: topo_paths_to
	const struct flowtab *policy;
	int64_t now_ns;    // monotonic, the topology's
	int64_t policy_ns; // since the epoch: rows in force then
	uint8_t version;
	uint8_t n_tables;
};

struct of_plan_stats {
	uint32_t rows_unsayable; // rows of the policy that OpenFlow cannot express
	char why[160];           // of one of them
};

// Rules are appended to out and sorted. 0, -ENOMEM, or -E2BIG: more ports to flood to than OF_ACTIONS_MAX.
int of_plan(const struct of_plan_in *in, uint32_t sw, struct of_rules *out, struct of_plan_stats *stats);
// The meter of a request's limit on a switch of 1.3: never 0 nor a reserved one.
uint32_t of_plan_meter(uint64_t request);
