// SPDX-License-Identifier: Apache-2.0
// Classify a burst: keys in, rows out, one for each category. Immutable after cls_build; part of a snapshot.
// Built by: link thread. Read by: workers.
#pragma once
#include <stdint.h>

#include "cls_row.h"
#include "hft/err.h"
#include "pkt.h"

struct cls;

// Classifier for rows in force at the same instant (their time is ignored; no packet has a user); copied. In a category
// the row of the highest rank that covers a packet is the one that is found. gen must be new in this process.
// simd_max_bits: 512, 256, 128 or 0 (scalar), the widest rte_acl algorithm to use if the CPU has it.
// NULL with err: -ENOMEM, -E2BIG: rte_acl refused.
struct cls *cls_build(const struct cls_row *rows, uint32_t n_rows, uint64_t gen, uint32_t simd_max_bits,
		      struct err *err);
void cls_destroy(struct cls *cls); // accepts NULL

// Results of a packet: 0, 1, or a multiple of four, at most CLS_CATEGORIES_MAX.
uint32_t cls_n_results(const struct cls *cls);
// n <= PKT_BURST. out[i * n_results + c]: slot of the row that pkts[i] meets in category c, or CLS_NO_ROW. Packets
// whose verdict is not PKT_OK get none.
void cls_run(const struct cls *cls, const struct pkt *pkts, uint32_t n, uint32_t *out);
// Of a row that cls_run found: row i of cls_build is slot i + 1.
const struct cls_row *cls_row(const struct cls *cls, uint32_t slot);
