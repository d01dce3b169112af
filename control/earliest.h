// SPDX-License-Identifier: Apache-2.0
// The earliest start of a reserve that its schedule refused (SPEC 4): from now on, the duration kept, and every check
// of an admission passed. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/action.h"
#include "hft/match.h"
#include "share.h"

struct state;

struct earliest_query {
	struct share *share;
	enum access access;        // that the atom will carry
	const struct match *flows; // whatever their interval
	uint64_t rate_bps;
	int64_t len_ns; // INT64_MAX: for ever
	bool partial;   // any rate up to rate_bps will do, and no strict check
};

// 0; -ENOENT: there is none; -E2BIG: unknown, the search was given up; -ENOMEM. Changes nothing but that the timelines
// are advanced to now.
int earliest_start(const struct state *s, const struct earliest_query *q, int64_t *start_ns);
