// SPDX-License-Identifier: Apache-2.0
// The local dataplane as a member of the network of switches (of_member.h), for who asks: which of its ports lead to
// ports of OpenFlow switches. Values. Thread: control only.
#pragma once
#include "nib.h"

#define MEMBER_LINKS_MAX 256

struct member_link {
	uint16_t port; // the dataplane's
	uint32_t sw;   // of the topology
	const struct topo_port *to;
	int64_t seen_ns; // since the epoch
};

// Up to MEMBER_LINKS_MAX, by the dataplane's ports. Their number.
unsigned int member_links(const struct nib *nib, struct member_link *out);
// Whether the dataplane has seen this one on its way through the network: by a port with a switch behind it.
bool member_passes(const struct nib *nib, const struct nib_seen *seen);
