// SPDX-License-Identifier: Apache-2.0
// What override.c and override_binding.c share: the requests that a change may be told to, and what they had lost
// before it. Thread: control only.
#pragma once
#include "override.h"
#include "region.h"

struct watched {
	uint64_t id;
	struct match lost; // where others decide, before
	bool failed;       // too intricate to be known
};

bool override_listened(const struct state *s); // somebody hears of something
void override_watch_init(struct override_watch *w);
void override_watch_fini(struct override_watch *w);
struct watched *override_watch_add(struct override_watch *w, uint64_t id); // NULL: out of memory
// out = more without less; out is initialised by the caller. 0, -ENOMEM, -E2BIG.
int override_difference(const struct match *more, const struct match *less, struct match *out);
