// SPDX-License-Identifier: Apache-2.0
// Hints (SPEC 6): what a holder expects of traffic. A hint promises nothing and decides nothing: its atom carries no
// access, its reservation, if it gets one, stands in no token schedule, and it ends as soon as a request needs the
// room. Realised: `size` with `deadline`, as a reservation of size/deadline until then; `class = background`, by rows
// of their own (hft/parts.h), which need no room and give way to nobody. All else is kept and listed. Owner: struct
// state (the list) and the request (its part). Thread: control only. Time: ns since the epoch.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "hft/match.h"
#include "reply.h"
#include "statement.h"

struct request;
struct share;
struct state;

#define HINTS_REALISED_MAX 1000 // each is looked at again whenever a reservation is accepted

struct hint_part { // of a request with verb VERB_HINT
	struct hint said;
	int64_t deadline_ns; // of said.deadline
	struct request *request;
	uint64_t gave_way_to;        // a request's number, 0: to none
	TAILQ_ENTRY(hint_part) link; // of those with a reservation, ascending numbers
};
TAILQ_HEAD(hint_list, hint_part);

bool hint_is_background(const struct request *r); // a hint, and says so
bool hint_is_realised(const struct request *r);   // a hint, and the switch acts upon it

// The bandwidth that the hint asks to have reserved in [start_ns, deadline): size/deadline, rounded up; 0: none.
// UINT64_MAX: more than any rate.
uint64_t hint_rate_bps(const struct hint *said, int64_t start_ns, int64_t deadline_ns);
// Why a reservation of that rate cannot be had now beside what is accepted and all realised hints; NULL: it can.
// flows: with their interval. why is a sentence's part, valid until the share is dropped.
const char *hint_obstacle(struct state *s, struct share *share, const struct match *flows, int64_t start_ns,
			  int64_t end_ns, uint64_t rate_bps);
// The part of an accepted hint; r is numbered and has its rate (0: not realised). NULL: out of memory.
struct hint_part *hint_part_create(const struct hint *said, int64_t deadline_ns);
void hint_stand(struct state *s, struct request *r); // realised: joins the list
void hint_gone(struct state *s, struct request *r);  // about to end
// A reservation was accepted or prolonged: ends the realised hints that no longer fit beside it.
void hints_give_way(struct state *s, const struct request *to);

// What is done for an accepted one, into the reply's body. why_not: no reservation is made for it.
void hint_answer(const struct request *r, const char *why_not, struct reply *reply);

// {"size":"2000000000",...} as it was said, with the deadline as a time.
json_t *hint_json(const struct hint_part *part);
