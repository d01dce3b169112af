// SPDX-License-Identifier: Apache-2.0
// The flow entries that one switch should have: shortest paths to hosts, flooding along a tree, and the policy where
// traffic enters the network. Among several ports that are equally near, flows are spread by a select group where the
// switch has groups; else a host's port is the one of the highest hash of address, switch and port (Thaler and
// Ravishankar, "Using name-based mappings", 1998): what comes and goes moves only the hosts that it must. A function
// from values to a value.
//
// With OF_PLAN_TABLES tables (1.3): the first asks whether what comes from hosts may pass, the next ones meter it (a
// table for each colour of limits), then one learns (unknown sources and ARP also go to the controller), one puts
// frames on circuits, one forwards. With fewer, or 1.0, one table: rows of the policy times forwarding, the
// denials among them wherever hosts are. Invariants: a
// frame from a port that is not settled, or from a link that is not verified, goes nowhere; a frame is flooded along a
// spanning tree only; a frame is judged by the policy at the switch where it enters, before it is forwarded; where a
// denial is left out because its source is known to be elsewhere, what comes from that address goes to the controller
// and no further (a watch), until it is known to come from there, too. Thread: control only.
#pragma once
#include "circuit.h"
#include "of_groups.h"
#include "of_policy.h"
#include "of_rules.h"
#include "topo.h"

#define OF_COOKIE (0x50414e45ULL << 32) // "PANE": entries of this controller
// Low half, so that a restarted controller finds it there: of an entry that sends to a host at its own switch the
// host's IPv4 address, of one that meters the number of the limit, of
// a circuit's its key.

#define OF_PLAN_GROUPS 0x50000000U // groups have no cookies: those of these ids, 2^28, are this controller's

enum of_plan_table {
	OF_PLAN_POLICY,
	OF_PLAN_LIMIT, // of colour 0
	OF_PLAN_LEARN = OF_PLAN_LIMIT + OF_POLICY_COLOURS,
	OF_PLAN_PATH, // circuits start here
	OF_PLAN_FORWARD,
	OF_PLAN_TABLES,
};

struct of_plan_in {
	const struct topo *topo;
	const uint32_t *tree;        // topo_tree
	const uint16_t *const *dist; // by destination switch: topo_distances
	const struct of_policy *policy;
	const struct circuits *circuits; // NULL: none
	const struct addrs *addrs;       // which host says that it has which address; NULL: none
	const struct addrs *strays; // that denials name, seen of a host that has not said so (of_net.h); NULL: none
	int64_t now_ns;             // monotonic, the topology's
	int64_t policy_ns;          // since the epoch: rows in force then
	// Entries of circuits and limits whose request has no end are made for half of this to all of it (ways for half
	// more than what leads there), and said again in time by the next plan but one within OF_PLAN_LEASE_PARTS of
	// it: without a controller they end. When is a function of policy_ns and the cookie: it is the same in every
	// life of the controller. 0: they stay. What denies never ends so.
	int64_t lease_ns;
	uint32_t groups_max; // select groups of ours that the switch can have at a time, 0: none
	// Those that it has, wanted or not: they take room, and are used before others. NULL: none.
	const struct of_groups *groups;
	bool queues;    // 1.0 has no meters: limits become queues with a most rate (ovsdb.h)
	bool no_meters; // though 1.3: limits are unsayable
	uint8_t version;
	uint8_t n_tables;
};

#define OF_PLAN_LEASE_PARTS 16

#define OF_PLAN_QUEUES_MAX 256 // of a switch

struct of_plan_stats {
	uint32_t rows_unsayable;    // rows of the policy that OpenFlow cannot express
	uint32_t denials_unsayable; // among them: what they deny goes through there
	char why[160];              // of one of them, of a denial if there is one
	uint32_t groups_short;      // there was no room for so many
	uint32_t n_queues;          // of limits
	struct of_plan_queue {
		uint64_t request, max_bps;
		uint32_t port;
	} queues[OF_PLAN_QUEUES_MAX];
};

// Rules are appended to out and sorted, and the meters and groups that they name. 0, -ENOMEM, or -E2BIG: more ports to
// flood to than OF_ACTIONS_MAX. A limit on what comes in at several switches is divided among them, so that it always
// bounds the aggregate: a flow group has one meter at each of them, and OpenFlow has none for all.
int of_plan(const struct of_plan_in *in, uint32_t sw, struct of_rules *out, struct of_meters *meters,
	    struct of_groups *groups, struct of_plan_stats *stats);
// The bridge (topo.h) keeps one part in so many of a limit on these flows, 1: all of it. It is one of the switches that
// a limit is divided among where own hosts may send such packets and others, too; but for those that all end at its own
// ports, as it limits what passes it anyway. Of `in` only the topology, addresses and now_ns.
uint32_t of_plan_parts(const struct of_plan_in *in, const struct match *flows);
bool of_plan_is_group(uint32_t id); // of this controller
// An entry that frames of a circuit pass, or come back to from a middlebox: it must be there before the entry that puts
// them on the circuit, and stay until nothing is on it any more.
bool of_plan_is_ahead(const struct of_rule *rule);
// An entry about what comes in by a port towards another switch: that it is let in, or (false) that it is not.
bool of_plan_lets_in(const struct of_rule *rule);
bool of_plan_keeps_out(const struct of_rule *rule);
// An entry that only says which address the host of an Ethernet address has: for who reads it later. *stray: the host
// has not said so, but was seen to use it.
bool of_plan_tells(const struct of_rule *rule, struct of_source *what, bool *stray);
// Whether a host at this switch has the address, by these claims. *known is set when one anywhere has.
bool of_plan_has(const struct topo *t, const struct addrs *claims, const struct of_source *source, uint32_t sw,
		 bool *known);
