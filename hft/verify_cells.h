// SPDX-License-Identifier: Apache-2.0
// Dividing a region of packets and times into cells. Inside hft/verify*.c only.
#pragma once
#include "match.h"

// A box as the cells see it. All that a packet of one kind can be is a product of intervals.
struct cell_box {
	struct span128 addr[2];
	struct span f[MATCH_N_FIELDS];
	struct span port_proto; // which of TCP, UDP and SCTP, 0..2: the protocol of packets with ports
	uint32_t kinds;
};

// A region: one kind, and for kinds with ports f[MATCH_PROTO] counts as port_proto does.
struct cell_region {
	struct span128 addr[2];
	struct span f[MATCH_N_FIELDS];
	uint32_t kind;
};

// One box in a region that it overlaps.
struct cell_entry {
	const struct cell_box *box; // the start of what the caller knows about it
	bool fills;                 // the region
	uint8_t mark;               // look's own
};

enum cell_verdict {
	CELL_EQUAL,
	CELL_FAULT,
	CELL_DIVIDE,
};

// Looks at a region and the boxes in it; may take entries out (*n) that do not matter there. Divides only if some
// entry does not fill the region.
typedef enum cell_verdict cell_look(void *ctx, const struct cell_region *region, struct cell_entry *entries,
				    uint32_t *n);

void cell_box_of(const struct box *box, struct cell_box *out);
// Whether both reach into the region and each other there; whether they are the same there.
bool cell_boxes_meet(const struct cell_region *region, const struct cell_box *a, const struct cell_box *b);
bool cell_boxes_equal(const struct cell_region *region, const struct cell_box *a, const struct cell_box *b);
struct match_packet cell_packet(const struct cell_region *region); // its first

// Divides box, from from_ns on, until look finds every region equal: 1; a fault: 0; -E2BIG when *effort (verify.h)
// is used up; -ENOMEM.
int cells_check(const struct box *box, int64_t from_ns, const struct cell_box *const *boxes, uint32_t n_boxes,
		cell_look *look, void *ctx, uint32_t *effort);
