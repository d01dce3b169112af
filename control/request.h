// SPDX-License-Identifier: Apache-2.0
// Accepted requests: admission, expiry, cancelling (SPEC 4). A refusal changes nothing.
// Owner: struct state. Thread: control only. Time: ns since the epoch, half-open [start_ns, end_ns).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "flow_index.h"
#include "hft/match.h"
#include "reply.h"
#include "share.h"
#include "statement.h"

struct hint_part;
struct state;

struct request {
	uint64_t id; // from 1, never used twice
	struct share *share;
	enum verb verb;     // VERB_ALLOW, VERB_DENY, VERB_RESERVE, VERB_RATELIMIT, VERB_WAYPOINT, VERB_AVOID, VERB_HINT
	enum access access; // what its atom carries
	uint64_t rate_bps;  // as granted; of a hint: reserved for it, 0 when it is not realised
	int64_t start_ns, end_ns;
	bool partial;
	bool suspended;            // of a waypoint: nothing of it is in force (route.h)
	bool unkept;               // the network of switches cannot keep it now; its holder knows
	char *unkept_why;          // NULL: there was no memory for it
	struct ip_list *addresses; // of a waypoint, in order, or the set of an avoid
	struct hint_part *hint;    // of a hint
	int64_t *renewed_ns;       // the ends it had before: each stretch is a drain of its own
	uint32_t n_renewed;
	uint32_t holder;            // number of the user who asked
	size_t heap_idx;            // in request_book.by_end, unless for ever
	struct match flows;         // with its interval
	struct flow_entry *entries; // one a box, in the index
	uint64_t mark;              // strict.c: the check that has seen it
	TAILQ_ENTRY(request) link;  // in its share
	bool names_users;
	TAILQ_ENTRY(request) naming_users_link; // in struct state
};

struct request_book {
	struct { // ascending ids; a request that is over leaves NULL until there are as many of those as others
		uint64_t id;
		struct request *request;
	} * by_id;
	size_t n, cap, n_gone;
	struct request_end { // with its key: a look at the request would be a cache miss
		int64_t end_ns;
		struct request *request;
	} * by_end; // binary heap, earliest end first; those for ever are not in it
	size_t n_by_end, cap_by_end;
	uint64_t next_id;
};

void request_book_init(struct request_book *book);
void request_book_fini(struct request_book *book);                          // frees the requests; before the share tree
struct request *request_find(const struct request_book *book, uint64_t id); // NULL: unknown or over
// Requests that are not over, ascending: the first with number >= id, or NULL.
struct request *request_from(const struct request_book *book, uint64_t id);

// Why it stands without being kept now (SPEC 5, 7), a sentence's part that lasts as long as the request is as it is;
// NULL: it is kept.
const char *request_suspended(const struct request *r);

// For admission. Prepare makes room for one more, so that the next add cannot fail: 0 or -ENOMEM.
int request_book_prepare(struct request_book *book);
void request_book_add(struct request_book *book, struct request *r); // numbers it
void request_book_remove(struct request_book *book, struct request *r);
void request_book_move_end(struct request_book *book, struct request *r, int64_t end_ns); // later than it was
void request_destroy(struct request *r);

// The statement's verb is one of the seven. Accepted: the reply's body says id, start, end and what was granted.
int request_admit(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// The instant a statement names; unspecified: when it names none. 0, or -1 refused.
int request_time(const struct state *s, const struct time_spec *spec, int64_t unspecified, int64_t *out,
		 struct reply *reply);
int request_cancel(struct state *s, const struct principal *speaker, uint64_t id, struct reply *reply);
// Prolongs: st->number to st->to. The reply as of request_admit.
int request_renew(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);

// Coming and going. Room for one that has its share and group, everywhere but in the schedules: 0 or -ENOMEM.
int request_prepare(struct state *s, struct request *r);
// Takes it in; room has been prepared. Its drain is the caller's business.
void request_stand(struct state *s, struct request *r);
void request_count_access(const struct request *r, bool add); // at its share and above
// Ends a request that is not over, and its drains with it.
void request_withdraw(struct state *s, struct request *r);
// One that was accepted in an earlier life stands again, with all its fields set; it gets the next number. 0; -ENOMEM
// or -EINVAL (its drains go beyond a share's maximum): it is still the caller's, and the schedules are of no more use.
int request_restore(struct state *s, struct request *r);
// Ends all requests of the share and those below it.
void request_end_below(struct state *s, struct share *top);
// Ends what ended at or before now_ns.
void request_expire(struct state *s, int64_t now_ns);
int64_t request_next_end(const struct state *s); // INT64_MAX: never
