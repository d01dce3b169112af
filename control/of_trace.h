// SPDX-License-Identifier: Apache-2.0
// A packet followed through the installed tables of a network, entry by entry, as OpenFlow 1.0.0 (section 3.4) and
// 1.3.5 (section 5.3) have it; through the bridge (topo.h) as it has learnt, untagged ones, others everywhere. Shares
// no code with what makes entries. No I/O. Owner: the caller. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "of_bridge.h"
#include "of_groups.h"
#include "topo.h"

struct of_packet {
	uint8_t eth_dst[6], eth_src[6];
	uint16_t eth_type;
	uint16_t vlan;             // 0: untagged
	uint32_t ip4_src, ip4_dst; // also ARP's
	uint8_t ip6_src[16], ip6_dst[16];
	uint8_t ip_proto, icmp_type, icmp_code;
	uint16_t arp_op, l4_src, l4_dst;
};

bool of_packet_matches(const struct of_packet *p, uint32_t in_port, const struct of_match *m);

enum of_trace_event {
	OF_TRACE_EDGE,      // left by a port with hosts
	OF_TRACE_LOOP,      // comes to a port by which it came before, on the same way and as it was there
	OF_TRACE_TWICE,     // a second copy comes to a port
	OF_TRACE_DROP,      // an entry without output
	OF_TRACE_MISS,      // no entry
	OF_TRACE_NOWHERE,   // left by a port that is down, unknown, or a link that is not verified
	OF_TRACE_MOVED,     // the bridge had seen the sender elsewhere
	OF_TRACE_UNCHECKED, // a switch whose tables are not known, or an action that only the switch understands
};

struct of_hop {
	uint32_t sw, port; // came in here
};

#define OF_TRACE_CHOICES 32 // select groups that one packet meets
#define OF_TRACE_WAYS 256   // combinations of their buckets

struct of_trace {
	const struct topo *topo;
	const struct of_rules *const *tables;  // by switch, sorted; NULL: not known
	const struct of_groups *const *groups; // by switch; NULL: none, as after of_trace_init
	void (*event)(void *ctx, enum of_trace_event what, uint32_t sw, uint32_t port);
	void *ctx;
	struct of_bridge *bridge;                                   // NULL: it knows nobody
	bool forgetful;                                             // it learns nothing more
	bool (*lets_in)(void *ctx, const struct of_packet *packet); // the bridge of its own hosts; NULL: everything
	// The way of the copy that event is about, valid inside it.
	const struct of_hop *path;
	uint32_t depth;
	const struct of_packet *packet; // of EDGE and NOWHERE: as it leaves, valid inside event
	uint64_t n_compared;            // entries looked at so far
	bool skips;                     // there were more: not all were taken; the caller's to set back
	// private
	uint32_t *first, *stamp; // first port of each switch among all; of each port
	struct of_hop *hops;
	struct of_packet *packets; // as they came there
	uint32_t n_ports, run;
	uint8_t chosen[OF_TRACE_CHOICES], of[OF_TRACE_CHOICES]; // buckets, of how many, in the order met
	unsigned int n_chosen, n_given, n_ways;                 // so far; so many of them are given; combinations
	unsigned int nested;                                    // groups in groups
};

// topo and tables may not change in between. 0 or -ENOMEM.
int of_trace_init(struct of_trace *t, const struct topo *topo, const struct of_rules *const *tables);
void of_trace_fini(struct of_trace *t);
// A packet comes in by a port that is known. A switch sends it as its entries say; what happens is told by event.
void of_trace_run(struct of_trace *t, const struct of_packet *p, uint32_t sw, uint32_t port);
// A select group sends a packet by one of its buckets, by a hash that only the switch knows. What was run since this
// was called last took one for each such group that it met. true: there is a combination that was not taken yet; the
// same runs, made again, take it. false: that was all; what is run next is another packet.
bool of_trace_again(struct of_trace *t);
