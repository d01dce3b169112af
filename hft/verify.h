// SPDX-License-Identifier: Apache-2.0
// Does a table mean what the policy means, for every packet at every time? Found out without the compiler: not by its
// index, its intersections or its theorem about categories, but by dividing the space of packets and times into cells.
// A region is divided, at a boundary of some box in it, until policy and table are each the same all over it; then one
// look compares them. That ends, because there are finitely many boundaries, and it is exact. What keeps it short:
//   access, reservations and limits, shares, and background are checked apart, for they decide apart;
//   an allow that overlaps no deny above it in the region is left out there;
//   "denied" and "not denied" are often plain before every box fills the region: a deny that fills it and has no allow
//   below it; for each deny an allow below it that fills it;
//   where every box asked for has its row, the same as far as the region goes, and no row of it hides another, the
//   rows are the set asked for.
// Checking one change means checking the region of its boxes.
//
// Use, in the controller: one struct verify next to the table. Tell it each accepted request, by what was asked for
// (verify_ask), and each row that goes over the link (verify_row), then verify_region for the boxes of what changed,
// before the change is committed. `always`: that for each change, and on a fault neither commit nor keep: take the
// change back on both sides. What is over may be forgotten at any time later. `sample`: tell it everything, check some.
// After a reconnect, and now and then: verify_all. Owner: the caller. Thread: one at a time.
#pragma once
#include "parts.h"
#include "tree.h"

struct verify;

struct verify_fault {
	struct match_packet packet; // with its time: a counterexample
	const char *part;           // "access", "meters", "share", "background", "action"
	struct parts_decision want, got;
};

struct verify *verify_create(const struct parts_nodes *nodes); // nodes: borrowed; NULL: out of memory
void verify_destroy(struct verify *v);

// What the policy says: a request of a part at a node, or for PART_SHARE (id 0, access none) the flow group of a share
// that the scheduler tells apart. 0; -ENOENT: no such node; -ENOMEM, then nothing has changed.
int verify_ask(struct verify *v, enum part part, uint64_t id, uint32_t node, enum access access,
	       const struct match *match);
int verify_unask(struct verify *v, enum part part, uint64_t id, uint32_t node); // 0 or -ENOENT
// What the table says. One with the key of another takes its place. 0; -EINVAL: of its categories one is not a number
// or holds rows of another kind (access, meters, shares, background), so take out before putting in; -ENOENT: no such
// node; -ENOMEM.
int verify_row(struct verify *v, const struct part_row *row);
int verify_unrow(struct verify *v, uint64_t key); // 0 or -ENOENT

// What may be done before giving up, in steps of about 10 ns.
#define VERIFY_EFFORT 1000000000u
#define VERIFY_EFFORT_SHORT 60000u

// Compares policy and table for all packets in region from from_ns on. 1: equal. 0: they differ, *fault (may be NULL)
// says where. -E2BIG: not decided, over `effort`. -ENOMEM.
int verify_region(struct verify *v, const struct match *region, int64_t from_ns, uint32_t effort,
		  struct verify_fault *fault);
int verify_all(struct verify *v, int64_t from_ns, uint32_t effort, struct verify_fault *fault);
