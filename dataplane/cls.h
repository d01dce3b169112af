// SPDX-License-Identifier: Apache-2.0
// Classify a burst: keys in, row verdicts out. Immutable after cls_build; part of a snapshot.
// Built by: link thread (cls_build.c). Read by: workers.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/flowtab.h"
#include "pkt.h"

// What a row means to the worker, 8 bytes: read once per packet.
struct cls_verdict {
	uint32_t class_slot; // of the snapshot's sets; SNAPSHOT_BEST_EFFORT without reservation or limit
	uint16_t drop;       // access is deny
	uint16_t has_row;    // 0: the default action
};

struct cls;

// Classifier for the n_rows rows (rank descending, all in force at the same instant; the time field and rows that need
// a user are ignored: no packet has one). verdict[i] belongs to rows[i] and is copied. gen must be new in this process.
// simd_max_bits: 512, 256, 128 or 0 (scalar), the widest rte_acl algorithm to use if the CPU has it.
// -ENOMEM, -E2BIG: rte_acl refused (in err).
struct cls *cls_build(const struct row *const *rows, const struct cls_verdict *verdict, uint32_t n_rows, uint64_t gen,
		      uint32_t simd_max_bits, struct err *err);
void cls_destroy(struct cls *cls); // accepts NULL

// n <= PKT_BURST. verdict[i] for pkts[i]. Packets whose pkt verdict is not PKT_OK are skipped (verdict untouched).
void cls_run(const struct cls *cls, const struct pkt *pkts, uint32_t n, struct cls_verdict *verdict);
