// SPDX-License-Identifier: Apache-2.0
// Circuits: the paths of traffic that has a reservation, a waypoint list or something to avoid, from one host to
// another. A reservation holds its rate on every port that a circuit of it leaves by, over all its time; so links are
// never promised twice. Frames of a circuit carry a tag (a VLAN id) between its switches, another one for each way that
// a circuit ever takes: a new way is laid beside the old one, and the switch where frames enter changes over with one
// entry. The bridge (topo.h) gets frames without a tag, and sends them by their addresses: the last switch before it
// takes the tag off, the first one behind it puts another on; a circuit crosses it from the side of its Ethernet source
// to that of its destination only, and what it sends of its own hosts goes to the side of the last destination.
// A function from values to a value; what the circuits of before were are hints only.
// Owner: the caller. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "addrs.h"
#include "hft/err.h"
#include "of_policy.h"
#include "topo.h"

#define CIRCUIT_TAG_FIRST 2048 // hosts may not use these VLAN ids themselves
#define CIRCUIT_TAG_LAST 4094
#define CIRCUIT_PAIRS_MAX 256 // of hosts, in one row, of each family of addresses
#define CIRCUIT_VIA_MAX 16    // middleboxes in one list
#define CIRCUIT_IPS_MAX 32    // addresses of one host that a circuit is about
#define CIRCUIT_SEGMENTS_MAX (3 * (CIRCUIT_VIA_MAX + 1))

struct circuit_hop {
	uint32_t sw, in_port, out_port; // in_port of a segment's first hop: where the frames come from
	uint8_t segment; // from one host, or middlebox, to the next; what leads over the bridge (topo.h) is three
};

struct circuit {
	uint32_t key; // hash of ids and the two hosts: the same in every life of the controller
	struct idset ids;
	bool live;            // a row of it is in force (circuits_live)
	uint64_t reservation; // whose queue it takes: that of the highest rate; 0: none
	bool ip6;
	uint8_t src[6], dst[6]; // hosts
	struct circuit_ips {    // theirs, of the family: those that its first row is about, then the latest
		u128 ip[CIRCUIT_IPS_MAX];
		uint32_t n;
		bool more; // there may be others (of_discover.c: CLAIMS_MAX)
	} src_ips, dst_ips;
	uint8_t n_segments, n_via;
	uint16_t tags[CIRCUIT_SEGMENTS_MAX];      // by segment; 0: within one switch, without a tag
	uint8_t eth_dst[CIRCUIT_SEGMENTS_MAX][6]; // whom the segment leads to
	uint8_t eth_src[CIRCUIT_SEGMENTS_MAX][6]; // from whom, where it leads over the bridge; else 0
	struct circuit_hop *hops;
	uint32_t n_hops;
};

struct circuit_hold { // of a reservation on a port
	uint64_t id;
	uint32_t sw, port;
	uint64_t rate_bps;
	int64_t start_ns, end_ns;
};

struct circuit_failure { // a request that cannot be kept
	uint64_t id;
	char why[160];
};

struct circuits {
	struct circuit *all;
	uint32_t n, cap;
	struct circuit_hold *holds;
	uint32_t n_holds, cap_holds;
	struct circuit_failure *failures; // each request once
	uint32_t n_failures, cap_failures;
};

struct circuit_in {
	const struct topo *topo;
	const struct addrs *addrs; // IPv6 addresses of hosts; NULL: none
	const uint32_t *tree;      // topo_tree; NULL where there is no bridge
	const struct of_policy *policy;
	int64_t now_ns; // since the epoch: what is over is left out
	const struct circuits *before;
	// What switches have (NULL: not asked): a circuit of this key leaves sw by the port; a tag is in use there by
	// other keys, or by this key in another way (hops NULL: at all).
	bool (*leaves)(void *ctx, uint32_t key, uint32_t sw, uint32_t port);
	uint16_t (*tag)(void *ctx, uint32_t key, const struct circuit_hop *hops, uint32_t n_hops); // 0: none yet
	bool (*tag_in_use)(void *ctx, uint16_t tag);
	void *ctx;
};

void circuits_init(struct circuits *c);
void circuits_fini(struct circuits *c);
// Fills c, which is initialised. Circuits between hosts that are not known yet are left out. 0 or -ENOMEM.
int circuits_place(struct circuits *c, const struct circuit_in *in);
// Says of each circuit whether a row of it is in force at now_ns.
void circuits_live(struct circuits *c, const struct of_policy *policy, int64_t now_ns);
// Whether one more could be kept beside those placed. 0; -EBUSY with err: it cannot; -ENOMEM. What is not known yet
// (hosts that were never heard of) does not speak against it, but a middlebox must be known.
int circuits_fit(const struct circuits *c, const struct circuit_in *in, const struct demand *probe, struct err *err);
// The queue of a reservation on all ports that it holds: never 0, which is the ports' queue for everything else.
uint32_t circuit_queue(uint64_t reservation);

// The cheapest way from switch `from` to `to`, as hops without the first in_port: for each switch the port it comes in
// by and leaves by, the last one leaves by out_port. cost: of leaving sw by port; 0: not that way. The number of hops;
// -ENOENT: there is none; -ENOMEM. hops has room for n_switches.
int circuit_path(const struct topo *t, uint32_t from, uint32_t to,
		 uint32_t (*cost)(void *ctx, uint32_t sw, uint32_t port), void *ctx, struct circuit_hop *hops);
