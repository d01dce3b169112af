// SPDX-License-Identifier: Apache-2.0
// The classes of the packets from one address to another: every test of ports, protocol or tag that can meet them cuts
// that field; a packet of the lowest value of each piece stands for all of the product. So within a pair nothing is
// missed, as long as masks are prefixes. Owner: the caller. Thread: control only.
#pragma once
#include "hft/tree.h"
#include "of_trace.h"

#define OF_CUTS_MAX 48

struct of_cuts {
	uint32_t at[OF_CUTS_MAX], n;
	uint32_t max;
	bool full; // there were more
};

struct of_classes {
	struct of_cuts proto, sport, dport, vlan;
	uint64_t n; // at least 1
	bool full;  // some field
};

// Of packets with p's addresses and EtherType, told apart by entries (rules) and atoms of the policy. src and dst: p's
// addresses, as match.h has them; 0 of what is not IP.
void of_classes_find(struct of_classes *c, const struct of_packet *p, u128 src, u128 dst, const struct tree *policy,
		     const struct of_rule *const *rules, uint32_t n_rules);
// Gives p the fields of class i < n. false: without ports it is as another class. Class 0 is always true.
bool of_classes_packet(const struct of_classes *c, uint64_t i, struct of_packet *p);
bool of_packet_has_ports(const struct of_packet *p); // TCP, UDP, SCTP
