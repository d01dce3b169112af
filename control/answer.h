// SPDX-License-Identifier: Apache-2.0
// Quantities as an answer shows them (SPEC 2): times as decimal seconds, rates and token amounts as integers or "inf"
// in lists and JSON, and with a unit in sentences. Thread: control only.
#pragma once
#include <stdint.h>

#include "hft/match.h"
#include "reply.h"
#include "user.h"

struct quantity { // text of a quantity, by value so that it can be an argument
	char text[40];
};

struct quantity answer_time(int64_t ns);       // 160, 0.5, up to nine decimals; INT64_MAX: forever
struct quantity answer_instant(int64_t ns);    // 2026-11-20T10:00:00.5Z; INT64_MAX: forever
struct quantity answer_duration(int64_t ns);   // 5 min, 10 s; INT64_MAX: forever
struct quantity answer_rate(uint64_t bps);     // 600 Mb, 1500 kb, 7 b; UINT64_MAX: inf
struct quantity answer_number(uint64_t value); // UINT64_MAX: inf

json_t *answer_time_json(int64_t ns);       // string; null for ever
json_t *answer_number_json(uint64_t value); // integer, 2^63-1 at most; "inf" for UINT64_MAX

// A sum of rates that is to be shown: no more than answers can say.
static inline uint64_t answer_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) || sum > INT64_MAX ? INT64_MAX : sum;
}

// Sets a member of the answer (the reference is stolen).
void answer_put(struct reply *reply, const char *key, json_t *value);
// A box with user names in SPEC 1's syntax; malloc'ed, NULL when out of memory.
char *answer_group(const struct users *users, const struct box *box);
// Array of {"group", "start", "end"}, one for each box that is not only of users yet to come.
json_t *answer_boxes_json(const struct users *users, const struct match *match);
// Refuses a group that is not contained in that of a share (outer): not_contained, and which part lies outside. -1.
int answer_not_contained(struct reply *reply, const struct users *users, const struct match *flows,
			 const struct match *outer, const char *share);
