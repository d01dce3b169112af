// SPDX-License-Identifier: Apache-2.0
// Is what the switches have installed what the policy says? Packets between all hosts that are known, one of each class
// that some entry or request tells from the others, packets made for each entry, and broadcasts are followed through
// the tables (of_trace.h); what becomes of them is compared with the policy's own evaluation (hft/eval.h). What is
// denied is also sent in at another switch than its source's, a different one for each packet.
// The bridge (topo.h) is followed as it has been told where hosts are. Of its own hosts it judges what they send, by
// the same policy, before it forwards it. Loops, black holes and denied packets that arrive are found. Owner: the
// caller. Thread: control only.
#pragma once
#include "addrs.h"
#include "hft/tree.h"
#include "of_trace.h"

struct of_verify;

struct of_verify_in { // borrowed, not to be changed while the checker lives
	const struct topo *topo;
	const struct addrs *addrs;
	const struct of_rules *const *tables; // by switch, sorted; NULL: not known
	const struct tree *policy;
	int64_t wall_ns;                       // since the epoch: when tables and policy were those
	const struct of_groups *const *groups; // by switch; NULL: none
};

enum of_finding_kind {
	OF_FINDING_LEAK,       // the policy denies it, and it arrives
	OF_FINDING_BLACK_HOLE, // the policy lets it pass, there is a way of links, and it does not arrive
	OF_FINDING_LOOP,
	OF_FINDING_TWICE,     // two copies on different ways
	OF_FINDING_MOVED,     // the bridge is made to look for the sender where it is not
	OF_FINDING_UNCHECKED, // depends on a switch that did not answer, or on what only that switch decides
	OF_N_FINDINGS,
};

#define OF_FINDING_HOPS 12

struct of_finding {
	enum of_finding_kind kind;
	struct of_packet packet;
	struct of_hop from, at;              // where it came in; where it was seen, or seen last
	struct of_hop hops[OF_FINDING_HOPS]; // its way
	uint32_t n_hops;                     // also over OF_FINDING_HOPS
};

struct of_verify_result {
	uint64_t n_packets, n_pairs;
	uint64_t n_sampled;        // pairs with more classes, or equal ways, than are tried: not all were
	uint64_t n_sampled_others; // entries and broadcasts with more equal ways than are tried
	uint64_t n_unconnected;    // pairs that the policy lets through, with no way of links between them: no finding
	const uint32_t *part;      // topo_parts
	uint64_t n_of[OF_N_FINDINGS];
	const struct of_finding *findings; // the first ones; at most one of a kind for a pair or a place
	uint32_t n_findings;
};

// NULL: out of memory.
struct of_verify *of_verify_create(const struct of_verify_in *in);
void of_verify_destroy(struct of_verify *v); // accepts NULL
// Works on, about until so many entries were looked at, of switches and of the policy, which each packet is judged by
// anew; the last packet is followed to its end, on one way. true: done.
bool of_verify_step(struct of_verify *v, uint64_t n_entries);
void of_verify_result(const struct of_verify *v, struct of_verify_result *out);
const char *of_finding_name(enum of_finding_kind kind); // "black_hole"
#define OF_PACKET_TRIED 0x88b5                          // an EtherType for experiments (IEEE 802): neither IP nor ARP
// A packet that the match covers, whatever its port: what it leaves open is 0, or of nobody.
void of_packet_for(const struct of_match *m, struct of_packet *p);
// The packet as fields that `explain` takes. Returns as snprintf.
size_t of_packet_format(const struct of_packet *p, char *buf, size_t size);
