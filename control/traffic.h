// SPDX-License-Identifier: Apache-2.0
// Time series of what requests count: packets and bytes that a row of the request decided about or metered, as the
// dataplane reports them. For each request that had traffic, also some time after it is over: the last 60 seconds by
// the second, 60 minutes by the minute, 24 hours by the hour. Memory: at most TRAFFIC_SERIES_MAX series of about 2.5
// kB, with TRAFFIC_BOXES_MAX boxes in their groups; the one counted longest ago makes room. Nothing survives a restart.
// Owner: struct state. Thread: control only. Time: ns since the epoch.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "hft/match.h"
#include "statement.h"

#define TRAFFIC_SERIES_MAX 16384
#define TRAFFIC_BOXES_MAX 131072
#define TRAFFIC_LAST_MAX_NS INT64_C(86400000000000)

struct request;
struct share;
struct traffic_series;
TAILQ_HEAD(traffic_list, traffic_series);

struct traffic {
	struct traffic_list all;       // the one counted longest ago first
	struct traffic_series **slots; // hash table by number; NULL until something is counted
	uint32_t n, n_boxes;
	int64_t since_ns; // when counting began; INT64_MAX: not yet
};

struct traffic_sum {
	uint64_t packets, bytes;
	int64_t from_ns; // what was counted from then on (a full second, minute or hour); 0: all
};

void traffic_init(struct traffic *t);
void traffic_fini(struct traffic *t);
// The dataplane counts from now on: what it says of older requests at first was counted before.
void traffic_begin(struct traffic *t, int64_t now_ns);
// The counters of a request stand at so many. They count from 0 again when they are lower than before. r: the request
// of that number, NULL when it is over (then only a series that is there goes on).
void traffic_count(struct traffic *t, uint64_t id, const struct request *r, uint64_t packets, uint64_t bytes,
		   int64_t now_ns);
void traffic_total(const struct traffic *t, uint64_t id, uint64_t *packets, uint64_t *bytes); // 0, 0: no series
void traffic_forget_share(struct traffic *t, const struct share *share); // it is dropped: its series with it

struct traffic_atom { // what a series is of; valid until the next call of a function above
	uint64_t id;
	const struct share *share;
	enum verb verb;
	const struct match *flows; // with its interval
	int64_t since_ns;          // whole from then on
};
// Series in no order; NULL after the last: start with NULL.
const struct traffic_series *traffic_next(const struct traffic *t, const struct traffic_series *series);
const struct traffic_series *traffic_find(const struct traffic *t, uint64_t id);
struct traffic_atom traffic_atom(const struct traffic_series *series);
// The last last_ns (0: all that was counted) up to now, in the finest grain that reaches so far back.
struct traffic_sum traffic_last(const struct traffic_series *series, int64_t last_ns, int64_t now_ns);
// From when on such a sum counts; 0: always.
int64_t traffic_window_ns(int64_t last_ns, int64_t now_ns);
