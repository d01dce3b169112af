// SPDX-License-Identifier: Apache-2.0
// mbuf -> what the switch needs to know of a frame: forwarding fields and the classifier's key, written in place.
// Thread: any, values only. No allocation.
#pragma once
#include <stdint.h>

struct rte_mbuf;

#define PKT_BURST 32

enum pkt_verdict {
	PKT_OK,
	PKT_RUNT, // shorter than an Ethernet header (or its tag)
	PKT_OVERSIZE, // longer than the port's largest frame
	PKT_BAD_SOURCE, // group bit set in the source address
	PKT_LINK_LOCAL, // 01:80:c2:00:00:0x: not forwarded by a bridge (IEEE 802.1D 7.12.6)
};

enum pkt_family {
	PKT_NONIP,
	PKT_IP4,
	PKT_IP6,
	PKT_N_FAMILIES,
};

// Keys in network order, first one byte, then 4-byte groups, as rte_acl wants. One layout for each family; the MAC
// addresses come last.
// A malformed IP header (short, bad lengths) makes the frame "nonip": forwarded as plain Ethernet, never matching an IP
// test. A later fragment, and a header too short for its ports, has no ports.
struct pkt; // DEFINED BY THE OWNER OF pkt.[ch]
