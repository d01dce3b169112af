// SPDX-License-Identifier: Apache-2.0
// What a metrics_source is made of, without a dataplane. Thread: one.
#pragma once
#include <stdlib.h>

#include <event2/event.h>

#include "control/dp_link.h"
#include "control/engine.h"
#include "control/metrics.h"
#include "control/nib.h"
#include "control/realize.h"

struct metrics_fixture {
	struct event_base *base;
	struct nib *nib;
	struct engine *engine;
	struct dp_link *link;
	struct realize *realize;
	struct metrics_source src;
};

static inline void metrics_fixture_init(struct metrics_fixture *f, int64_t now_ns)
{
	const struct engine_conf conf = {0};
	struct err err = {0};

	f->base = event_base_new();
	f->nib = nib_create();
	f->engine = engine_create(&conf, f->nib, now_ns);
	f->link = dp_link_create(f->base, "/nonexistent/link.sock", f->nib, &err);
	f->realize = realize_create(f->engine, f->link, &err);
	f->src = (struct metrics_source){f->nib, f->engine, f->link, f->realize, NULL, 0};
}

static inline void metrics_fixture_fini(struct metrics_fixture *f)
{
	realize_destroy(f->realize);
	dp_link_destroy(f->link);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	event_base_free(f->base);
}
