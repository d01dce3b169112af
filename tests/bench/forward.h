// SPDX-License-Identifier: Apache-2.0
// What the parts of `pane-bench forward` share: rules in ClassBench's filter format, flows, capture files of them.
// Owner: pane-bench's main thread. Values in host byte order.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/match.h"

struct rule_range {
	uint32_t lo, hi; // closed
};

// One rule; the first one that covers a packet decides.
struct rule {
	struct rule_range src, dst, sport, dport, proto;
};

struct rules {
	struct rule *rule;
	uint32_t n, cap;
};

struct flow {
	uint32_t src, dst;
	uint16_t sport, dport;
	uint8_t proto;
};

struct flows {
	struct flow *flow;
	uint32_t n;
};

// @SRC/LEN DST/LEN LO : HI LO : HI PROTO/MASK [FLAGS/MASK] a line. 0; -errno with err: file, line, what was expected.
// "fw:N" instead: N firewall-like ones, made: many wildcards, ranges and overlaps; the same for the same seed.
int rules_load(const char *path, uint64_t seed, struct rules *out, struct err *err);
int rules_write(const struct rules *r, const char *path, struct err *err);
void rules_free(struct rules *r);
struct box rule_box(const struct rule *rule); // normalized
// Index of the first rule that covers the flow, of every step'th from first on, or -1. Linear: the reference.
int64_t rules_find(const struct rules *r, const struct flow *flow, uint32_t first, uint32_t step);

// n flows, each in a rule drawn at random (ranges that end a prefix or are wide: anywhere in them); without rules
// between 10.0.0.0/16 and 10.1.0.0/16, UDP. The same for the same seed. 0 or -ENOMEM.
int flows_make(const struct rules *rules, uint32_t n, uint64_t seed, struct flows *out);
// ClassBench's header trace: SRC DST SPORT DPORT PROTO ... a line.
int flows_load(const char *path, struct flows *out, struct err *err);
void flows_free(struct flows *f);

// The two sides of a link send the flows by turns: side (0 or 1) every second one. A flow that both sent would have one
// hash in both directions, and two entries in a peer's caches would throw each other out.
uint32_t flows_n_of_side(const struct flows *f, uint32_t side);
const struct flow *flows_of_side(const struct flows *f, uint32_t side, uint32_t i);
// A frame of each flow of the side, in order, to a capture file: frame_bytes without FCS (60 at least, as far as
// headers fit). Each side has n_hosts MAC addresses.
int flows_write(const struct flows *f, const char *path, uint32_t frame_bytes, uint32_t n_hosts, uint32_t side,
		struct err *err);
