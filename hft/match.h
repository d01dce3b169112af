// SPDX-License-Identifier: Apache-2.0
// Flow groups: finite unions of boxes, with exact set operations (SPEC 1).
// A box holds one closed interval per field; a packet is one point. Time is a field like any other, so a request's
// interval, a strictness check and a table's past and future rows need no case of their own.
// Owner: the caller (match_init ... match_fini). Thread: any, values only. No I/O, no clock, no globals.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 u128;

// What a packet has. One bit each; a box holds a set of them.
enum match_kind {
	MATCH_NONIP = 1 << 0,
	MATCH_IP4 = 1 << 1, // IPv4 without ports (also a non-first fragment of TCP)
	MATCH_IP6 = 1 << 2,
	MATCH_IP4PORTS = 1 << 3, // IPv4 with TCP, UDP or SCTP ports
	MATCH_IP6PORTS = 1 << 4,
	MATCH_KINDS_V4 = MATCH_IP4 | MATCH_IP4PORTS,
	MATCH_KINDS_V6 = MATCH_IP6 | MATCH_IP6PORTS,
	MATCH_KINDS_IP = MATCH_KINDS_V4 | MATCH_KINDS_V6,
	MATCH_KINDS_PORTS = MATCH_IP4PORTS | MATCH_IP6PORTS,
	MATCH_KINDS_ALL = 0x1f,
};

enum match_field {
	MATCH_TIME,    // ns since the epoch; forever is MATCH_TIME_MAX
	MATCH_SRC_ETH, // 48 bits
	MATCH_DST_ETH,
	MATCH_VLAN, // 0: untagged
	MATCH_PROTO,
	MATCH_SRC_PORT,
	MATCH_DST_PORT,
	MATCH_SRC_USER, // user number, 0: nobody
	MATCH_DST_USER,
	MATCH_N_FIELDS,
};

#define MATCH_TIME_MAX ((uint64_t)INT64_MAX)
#define MATCH_USER_MAX ((uint64_t)UINT32_MAX)

struct span {
	uint64_t lo, hi; // closed
};

struct span128 {
	u128 lo, hi; // closed
};

// Addresses lie in 128 bits; an IPv4 address is the top 32 of them (a v4 interval ends in 96 one bits), so the full
// span means "any" in both families. An address span that is not full appears only with kinds of one family.
// Invariant of every non-empty box (box_normalize): kinds with ports only where proto can be TCP, UDP or SCTP; port
// spans other than full only where all kinds have ports; proto span other than full only without MATCH_NONIP.
struct box {
	struct span128 src, dst;
	struct span f[MATCH_N_FIELDS];
	uint32_t kinds; // set of enum match_kind
};

struct match_packet {
	u128 src, dst;
	uint64_t f[MATCH_N_FIELDS];
	uint32_t kind; // exactly one bit
};

// Largest value of a field (its full span is [0, max]).
uint64_t match_field_max(enum match_field field);

struct box box_any(void);
// Gives the one form of the box's set: drops kinds that cannot be (ports without a port protocol), and where all kinds
// have ports narrows proto to TCP, UDP, SCTP (all three: full span). false: the box is empty. Every box handed to the
// other functions is normalized; match_add does it.
bool box_normalize(struct box *box);
// false when the intersection is empty (*out is then unspecified).
bool box_intersect(const struct box *a, const struct box *b, struct box *out);
bool box_overlaps(const struct box *a, const struct box *b);
bool box_contains(const struct box *outer, const struct box *inner); // inner within outer
bool box_equal(const struct box *a, const struct box *b);
// Does the union of cover[0..n_cover) hold all of box? 1: yes; 0: no, or not found out within `effort` cuts
// (UINT32_MAX: no bound); -ENOMEM.
int box_within(const struct box *box, const struct box *const *cover, uint32_t n_cover, uint32_t effort);
uint64_t box_hash(const struct box *box); // of the content: the same on every run
bool box_covers(const struct box *box, const struct match_packet *packet);
// Half-open [start_ns, end_ns) into the time field; end_ns INT64_MAX is forever. false when empty.
bool box_set_time(struct box *box, int64_t start_ns, int64_t end_ns);
int64_t box_start_ns(const struct box *box);
int64_t box_end_ns(const struct box *box); // exclusive; INT64_MAX: forever

u128 match_ip4(uint32_t addr); // host byte order -> the 128-bit form
struct span128 match_ip4_prefix(uint32_t addr, unsigned int prefix_len);
struct span128 match_ip6_prefix(const uint8_t addr[16], unsigned int prefix_len);

struct match {
	struct box *boxes;
	uint32_t n_boxes, cap;
};

void match_init(struct match *m);
void match_fini(struct match *m);
void match_move(struct match *dst, struct match *src); // dst is overwritten (not freed), src left empty
// All: 0, or -ENOMEM (out is then empty, as is m of match_add). out must be initialised; it is replaced; it may not
// alias an input.
int match_add(struct match *m, const struct box *box); // appends a box (union); ignores an empty one
int match_copy(struct match *out, const struct match *in);
int match_intersect(struct match *out, const struct match *a, const struct match *b);
int match_intersect_box(struct match *out, const struct match *a, const struct box *b);
int match_union(struct match *out, const struct match *a, const struct match *b);
// Exact; out's boxes are disjoint if a's are.
int match_subtract(struct match *out, const struct match *a, const struct match *b);
bool match_is_empty(const struct match *m); // exact
bool match_overlaps(const struct match *a, const struct match *b);
// Exact, as sets of packets; false if out of memory.
bool match_subset(const struct match *inner, const struct match *outer);
bool match_equal(const struct match *a, const struct match *b); // as sets
bool match_covers(const struct match *m, const struct match_packet *packet);

// Text in SPEC 1's syntax, one box: "(srcHost=10.0.0.0/8, dstPort=80)" or "(*)". Time is left out. user_name (may be
// NULL) gives the name of a user number, NULL beyond the last; many users, or those yet to come, are told as #8-#90.
// Returns the length the text needs, like snprintf.
size_t box_format(const struct box *box, const char *(*user_name)(void *ctx, uint32_t user), void *ctx, char *buf,
		  size_t size);
// A packet in the same syntax, its time as a span of one instant.
size_t match_packet_format(const struct match_packet *packet, char *buf, size_t size);
