// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of the packet path classify: rows and packets, from a ClassBench rule set or a command script.
// Owner: pane-bench's main thread; read by its workers.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/cls_row.h"
#include "dataplane/pkt.h"
#include "hft/err.h"

struct bench_set {
	struct cls_row *rows;
	uint32_t n_rows;
	struct pkt *pkts;
	uint32_t n_pkts;
	bool is_rules; // one category, IPv4 5-tuples: a plain rte_acl context says the same
};

// PATH.rules: the rules in order, with the headers of PATH.trace, if there is one, as packets. PATH.pane: the table by
// parts of the script's policy, clock at 0. Without a trace n_pkts packets are drawn from the rows (seed fixed).
// 0 or -errno with err, which names file and line.
int bench_set_load(const char *path, uint32_t n_pkts, struct bench_set *set, struct err *err);
void bench_set_free(struct bench_set *set);
// The rows' results for a packet by looking at every row: best[c] for category c < n_categories is a row's index plus
// one, 0: none. skip (may be NULL): rows that do not count.
void bench_set_find(const struct bench_set *set, const struct pkt *pkt, const bool *skip, uint32_t n_categories,
		    uint32_t *best);

// xorshift64*: the same numbers on every run.
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}
