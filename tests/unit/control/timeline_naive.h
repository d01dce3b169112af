// SPDX-License-Identifier: Apache-2.0
// The oracle of control/timeline.h: the same answers from a sorted list of the instants at which the sum changes,
// walked from end to end. Owner: one test. Thread: any one.
#pragma once
#include "control/timeline.h"

struct timeline_naive;

struct timeline_naive *timeline_naive_create(const struct timeline_conf *conf, int64_t now_ns);
void timeline_naive_destroy(struct timeline_naive *tl);
void timeline_naive_advance(struct timeline_naive *tl, int64_t now_ns);
bool timeline_naive_fits(const struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps,
			 struct timeline_clash *clash);
uint64_t timeline_naive_max_rate(const struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t asked_bps);
int timeline_naive_prepare(struct timeline_naive *tl);
void timeline_naive_add(struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps);
void timeline_naive_remove(struct timeline_naive *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps);
int timeline_naive_each(const struct timeline_naive *tl, int (*fn)(void *ctx, const struct timeline_point *point),
			void *ctx);
