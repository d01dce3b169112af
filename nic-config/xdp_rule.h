// SPDX-License-Identifier: Apache-2.0
// What the XDP program in front of an af_xdp port shares with the switch: the layout of its maps. Read by clang for BPF
// too: kernel types only.
#pragma once
#include <linux/types.h>

#define XDP_RULES_MAX 65536   // entries in each map of rules
#define XDP_TEMPLATES_MAX 8   // different sets of fields among the exact rules: each is one hash lookup a packet
#define XDP_CONFIG_PREFIXES 1 // flag: some prefix map is not empty

enum xdp_field {
	XDP_SRC = 1 << 0,
	XDP_DST = 1 << 1,
	XDP_PROTO = 1 << 2,
	XDP_SPORT = 1 << 3,
	XDP_DPORT = 1 << 4,
};

// A packet whose named fields are exactly these is denied. Fields not named are zero. Network byte order; an IPv4
// address is in [0].
struct xdp_exact {
	__u32 src_be[4], dst_be[4];
	__u16 sport_be, dport_be;
	__u8 family; // 4 or 6
	__u8 proto;
	__u8 fields; // set of enum xdp_field
	__u8 zero;
};

struct xdp_prefix4 {
	__u32 prefix_len, addr_be;
};

struct xdp_prefix6 {
	__u32 prefix_len, addr_be[4];
};

struct xdp_count {
	__u64 packets, bytes;
};

// What pane_total counts, by index.
enum xdp_total {
	XDP_TOTAL_DENIED,
	XDP_TOTAL_UNSERVED, // came by a queue that has no socket
	XDP_TOTALS,
};

struct xdp_config {
	__u32 flags;
	__u32 n_templates;
	__u8 templates[XDP_TEMPLATES_MAX]; // sets of fields
};
