// SPDX-License-Identifier: Apache-2.0
// How many of the accepted reservations and rate limits are active at each instant: the dataplane has room for
// PROTO_METERS_MAX at once, whenever they were asked for. Known only where there is a network, and not before
// metered_begin; without it any number may be. Reservations of hints are left out: the dataplane keeps room for them.
// Owner: struct state. Thread: control only. Time: ns since the epoch, half-open.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "statement.h"

struct request;
struct state;

int metered_begin(struct state *s); // from now on, with those that stand: 0 or -ENOMEM
void metered_end(struct state *s);

// false: one more in [start_ns, end_ns) would be too many, first at *at_ns.
bool metered_fits(const struct state *s, enum verb verb, int64_t start_ns, int64_t end_ns, int64_t *at_ns);
// The first start at or after *start_ns at which a reservation of that length fits; as timeline_earliest.
int metered_earliest(const struct state *s, int64_t len_ns, uint64_t *budget, int64_t *start_ns);
// Room, so that the next add cannot fail: 0 or -ENOMEM.
int metered_prepare(const struct state *s, enum verb verb);
void metered_add(struct state *s, const struct request *r);
void metered_remove(struct state *s, const struct request *r); // what is left of it, if it is not over
