// SPDX-License-Identifier: Apache-2.0
// What the files of circuits share. Thread: control only.
#pragma once
#include "circuit.h"

// A tag for each segment of c that leads over a link. 0; -ENOSPC: all are in use.
int circuit_give_tags(const struct circuits *all, const struct circuit_in *in, struct circuit *c);

// Hosts by address: the IPv4 address that a host was last seen with, and the IPv6 ones that it says it has.
struct circuit_ends {
	struct circuit_end {
		const struct topo_host *host;
		u128 ip;
		bool ip6;
		int64_t seen_ns;
	} * all;
	uint32_t n;
};

int circuit_ends_init(struct circuit_ends *e, const struct topo *t, const struct addrs *a); // 0 or -ENOMEM
void circuit_ends_fini(struct circuit_ends *e);
// The first one with this address; NULL: none is known.
const struct topo_host *circuit_ends_host(const struct circuit_ends *e, const struct ip_addr *ip);
// Whether one of the host's addresses of a family lies in the span.
bool circuit_ends_within(const struct circuit_ends *e, const struct topo_host *h, bool ip6, const struct span128 *s);
// Sets the byte of each host (by index) of which that is so.
void circuit_ends_mark(const struct circuit_ends *e, const struct topo *t, bool ip6, const struct span128 *s,
		       uint8_t *marks);
// Those in the span first, then those that were claimed last.
void circuit_ends_ips(const struct circuit_ends *e, const struct topo_host *h, bool ip6, const struct span128 *s,
		      struct circuit_ips *out);

// A row being placed.
struct circuit_place {
	const struct circuit_in *in;
	struct circuits *c;
	const struct demand *probe;    // of circuits_fit, else NULL
	const struct circuits *placed; // of circuits_fit: without the probe
	struct circuit_met {           // of circuits_fit: what a request has in common with the row, in the family
		uint64_t id;
		struct box box;
	} * met;
	uint32_t n_met, cap_met;
	struct circuit_ends ends;
	uint8_t *is_src, *is_dst; // of the row, by host
	// the row and pair at hand
	struct idset row_ids; // all of the row's
	struct idset ids;     // those that can be kept
	const struct box *box;
	bool ip6;
	const struct topo_host *src, *dst;
	uint32_t key;
	uint32_t from_side, to_side; // of the bridge, by which the segment may cross it
	const struct demand *list;   // the waypoint list that rules, NULL: none
	bool backwards;              // against the list's direction
	bool full;                   // some link had no room
};

const struct demand *circuit_demand(const struct circuit_place *p, uint64_t id); // NULL: it is no more
bool circuit_holds(const struct circuits *c, uint64_t id, uint32_t sw, uint32_t port);
bool circuit_has_failed(const struct circuits *c, uint64_t id);
// Whether the port has room for what the row's requests do not hold there yet, at every instant; else p->full is set.
bool circuit_has_room(struct circuit_place *p, uint32_t sw, uint32_t port);
