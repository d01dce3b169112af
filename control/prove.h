// SPDX-License-Identifier: Apache-2.0
// Proof, by hft/verify, that the rows for the dataplane mean what the accepted requests mean: told of both, it checks
// the regions of what has changed before they are sent. Owner: part_book. Thread: control only.
//   always  each change, however long it takes: what fails is not sent
//   sample  one run in PROVE_SAMPLE, with bounded effort
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/parts.h"

#define PROVE_SAMPLE 16

enum prove_mode {
	PROVE_OFF,
	PROVE_SAMPLED,
	PROVE_ALWAYS,
};

struct prove_stats {
	uint64_t proven, undecided, faults; // runs
};

struct prove;

int prove_mode_parse(const char *text, enum prove_mode *mode); // 0; -EINVAL, also for NULL: *mode is as before
// nodes: borrowed. NULL: out of memory. All that follows accepts NULL, and does nothing then (mode off).
struct prove *prove_create(enum prove_mode mode, const struct parts_nodes *nodes);
void prove_destroy(struct prove *p);

// What is asked of a part at a node, in the place of what was (hft/verify.h); match NULL or empty: nothing.
void prove_ask(struct prove *p, enum part part, uint64_t id, uint32_t node, enum access access,
	       const struct match *match);
void prove_row(struct prove *p, const struct part_row *row);   // it is there, with these categories
void prove_unrow(struct prove *p, const struct part_row *row); // it is gone

// Checks what has changed since the run before, from now_ns on. 0: it is right, or not found out; -EPROTO with a packet
// for which it is wrong in err; -ENOMEM.
int prove_run(struct prove *p, int64_t now_ns, struct err *err);
void prove_stats(const struct prove *p, struct prove_stats *out);
