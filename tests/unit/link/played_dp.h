// SPDX-License-Identifier: Apache-2.0
// A dataplane's end of the link (link, table) whose building and workers are played. Owner: a test's fixture. Thread:
// one.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/link.h"
#include "dataplane/table.h"

struct played_dp {
	char dir[64], path[96];
	struct table *table;
	struct link *link; // NULL: it does not run
	uint32_t gen, adopted_gen;
	const char *build_fails; // what the next builds say, NULL: they succeed
	bool worker_sleeps;      // takes over no snapshot
};

#define PLAYED_IN_FORCE_NS 4242 // when all comes into force

int64_t clock_ns(void);
void played_dp_init(struct played_dp *dp); // in a directory of its own; running
void played_dp_fini(struct played_dp *dp);
void played_dp_start(struct played_dp *dp, uint64_t boot_id); // with an empty table
void played_dp_stop(struct played_dp *dp);
void played_dp_turn(struct played_dp *dp); // never waits
uint32_t played_dp_n_rows(const struct played_dp *dp);
uint32_t played_dp_n_meters(const struct played_dp *dp);
