// SPDX-License-Identifier: Apache-2.0
// A request on its way in, and what is checked before it is accepted (SPEC 4). Nothing in the state is changed. Each
// check returns 0, or -1 with the refusal in reply. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"
#include "reply.h"
#include "share.h"
#include "statement.h"
#include "strict.h"

struct state;

// A request on its way in: what the checks found so far.
struct candidate {
	struct share *share;
	enum access access;
	uint64_t rate_bps;
	int64_t start_ns, end_ns;
	bool partial;
	uint64_t id;                // UINT64_MAX: a new one
	struct match flows;         // with its interval
	struct conflicts conflicts; // of a partial one
	struct match not_in_force;  // their union
	int64_t deadline_ns;        // of a hint
	const char *why_not;        // a hint is not realised
};

void candidate_init(struct candidate *c, struct share *share, uint64_t id, uint64_t rate_bps);
void candidate_fini(struct candidate *c);

// What the access of a request's atom is: that of its share and verb.
enum access candidate_access(const struct candidate *c, enum verb verb);
// What follows the choice of share and the interval; sets the access the atom will carry and the group with its time.
int candidate_check(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply);
// Last of all checks: rather a clear no than an acceptance that cannot be put in force.
int candidate_check_network(const struct state *s, const struct candidate *c, const struct statement *st,
			    struct reply *reply);
// Parts of candidate_check, for one that is prolonged. The schedule grants the highest admissible rate of a partial
// reserve; the rate of a strict one stays as asked. The group is the one with its time, which is set here.
int candidate_check_privilege(const struct candidate *c, const struct statement *st, struct reply *reply);
int candidate_check_schedule(const struct state *s, struct candidate *c, struct reply *reply);
int candidate_check_group(const struct state *s, struct candidate *c, const struct statement *st, struct reply *reply);
int candidate_no_memory(struct reply *reply); // refuses: -1
