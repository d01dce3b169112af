// SPDX-License-Identifier: Apache-2.0
// The local dataplane as a member of the network of switches: which of its ports lead to ports of OpenFlow switches.
// Their probes pass through it, and it sees where they come from. A value. Thread: control only.
#pragma once
#include "nib.h"

#define MEMBER_LINKS_MAX 256

struct member_link {
	uint16_t port; // the dataplane's
	uint32_t sw;   // of the topology
	const struct topo_port *to;
	int64_t seen_ns; // since the epoch
};

// Up to MEMBER_LINKS_MAX, by (sw, port number). Their number.
unsigned int member_links(const struct nib *nib, struct member_link *out);
// Whether the dataplane has seen this one pass by on its way through the network: a switch's port, or a host of a
// switch.
bool member_passes(const struct nib *nib, const struct member_link *links, unsigned int n, const struct nib_seen *seen);
