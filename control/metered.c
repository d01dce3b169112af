// SPDX-License-Identifier: Apache-2.0
// A token schedule of which each request drains one.
#include "metered.h"

#include <errno.h>

#include "dataplane/proto.h"
#include "state.h"

static bool counts(const struct state *s, enum verb verb)
{
	return s->metered != NULL && (verb == VERB_RESERVE || verb == VERB_RATELIMIT);
}

int metered_begin(struct state *s)
{
	const struct timeline_conf conf = {.max_bps = PROTO_METERS_MAX, .fill_bps = PROTO_METERS_MAX};

	metered_end(s);
	s->limits_metered = true;
	s->metered = timeline_create(&conf, s->now_ns);
	if (s->metered == NULL)
		return -ENOMEM;
	for (const struct request *r = request_from(&s->requests, 0); r != NULL;
	     r = request_from(&s->requests, r->id + 1)) {
		if (metered_prepare(s, r->verb) < 0) {
			metered_end(s);
			return -ENOMEM;
		}
		metered_add(s, r);
	}
	return 0;
}

void metered_end(struct state *s)
{
	timeline_destroy(s->metered);
	s->metered = NULL;
}

bool metered_fits(const struct state *s, enum verb verb, int64_t start_ns, int64_t end_ns, int64_t *at_ns)
{
	struct timeline_clash clash;

	if (!counts(s, verb))
		return true;
	timeline_advance(s->metered, s->now_ns);
	if (timeline_fits(s->metered, start_ns, end_ns, 1, &clash))
		return true;
	*at_ns = clash.at_ns;
	return false;
}

int metered_earliest(const struct state *s, int64_t len_ns, uint64_t *budget, int64_t *start_ns)
{
	if (!counts(s, VERB_RESERVE))
		return 0;
	timeline_advance(s->metered, s->now_ns);
	return timeline_earliest(s->metered, *start_ns, len_ns, 1, false, budget, start_ns);
}

int metered_prepare(const struct state *s, enum verb verb)
{
	return counts(s, verb) ? timeline_prepare(s->metered) : 0;
}

void metered_add(struct state *s, const struct request *r)
{
	if (counts(s, r->verb) && r->end_ns > s->now_ns)
		timeline_add(s->metered, r->start_ns, r->end_ns, 1);
}

void metered_remove(struct state *s, const struct request *r)
{
	if (!counts(s, r->verb) || r->end_ns <= s->now_ns)
		return;
	timeline_advance(s->metered, s->now_ns);
	timeline_remove(s->metered, r->start_ns, r->end_ns, 1);
}
