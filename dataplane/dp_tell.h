// SPDX-License-Identifier: Apache-2.0
// What the dataplane tells its controller without being asked: counters of ports and of requests, figures and queues
// each second, hosts when they come, move and go. A new session is told all of it. What was counted is kept in names,
// so that a request that takes over a slot begins at 0. Owner and only thread: the link thread. Time: any steady clock,
// in ns.
#pragma once
#include <stdint.h>

#include "hft/err.h"

struct dp;
struct dp_filter;
struct dp_tell;
struct link;
struct names;
struct workers;

struct dp_tell_conf { // all borrowed
	struct link *link;
	struct names *names;
	struct workers *workers;
	struct dp *dp;            // for its figures and ports
	struct dp_filter *filter; // NULL: none
	uint32_t host_ageing_s;
};

// NULL with err: -ENOMEM.
struct dp_tell *dp_tell_create(const struct dp_tell_conf *conf, struct err *err);
void dp_tell_destroy(struct dp_tell *t); // accepts NULL
void dp_tell_turn(struct dp_tell *t, int64_t mono_ns);
int64_t dp_tell_next_ns(const struct dp_tell *t); // when dp_tell_turn has something to do at the latest
