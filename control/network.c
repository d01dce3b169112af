// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addrs.h"
#include "answer.h"
#include "dataplane/proto.h"
#include "metered.h"
#include "policy.h"
#include "state.h"

int network_check(const struct state *s, enum verb verb, const struct demand *asked, struct reply *reply)
{
	struct demand d = *asked;
	struct err err;
	int64_t at_ns;
	int rc;

	if (s->network_why[0] != '\0')
		return reply_refuse(reply, REPLY_NETWORK, "not now: the network cannot take more: %s", s->network_why);
	if (!metered_fits(s, verb, asked->start_ns, asked->end_ns, &at_ns)) {
		reply_refuse(reply, REPLY_NETWORK, "more than %d reservations and rate limits would be active at %s",
			     PROTO_METERS_MAX, answer_instant(at_ns).text);
		answer_put(reply, "at", answer_time_json(at_ns));
		return -1;
	}
	if (s->ask_network.fn == NULL || (verb != VERB_RESERVE && verb != VERB_WAYPOINT && verb != VERB_AVOID))
		return 0;
	d.kind = verb == VERB_RESERVE ? DEMAND_RESERVE : verb == VERB_WAYPOINT ? DEMAND_WAYPOINT : DEMAND_AVOID;
	match_init(&d.flows);
	rc = policy_expand(&s->users, &asked->flows, &d.flows);
	if (rc < 0)
		rc = reply_refuse(reply, REPLY_LIMIT, "out of memory");
	else if (s->ask_network.fn(s->ask_network.ctx, &d, &err) < 0)
		rc = reply_refuse(reply, REPLY_NETWORK, "the network cannot keep it: %s", err.msg);
	match_fini(&d.flows);
	return rc;
}

void network_set(struct state *s, const char *why)
{
	snprintf(s->network_why, sizeof(s->network_why), "%.*s", (int)sizeof(s->network_why) - 1,
		 why != NULL ? why : "");
}

void network_kept(struct state *s, uint64_t id, const char *why)
{
	struct request *r = request_find(&s->requests, id);

	if (r == NULL || r->unkept == (why != NULL))
		return;
	free(r->unkept_why);
	r->unkept_why = why != NULL ? strdup(why) : NULL;
	r->unkept = why != NULL;
	s->n_unkept += r->unkept ? 1u : -1u;
	if (why != NULL)
		event_unkept(s, r, why);
	else
		event_resumed(s, r);
}

struct network_saved {
	uint32_t n;
	struct {
		uint64_t id;
		char *why;
	} at[];
};

struct network_saved *network_save(const struct state *s)
{
	const struct share *root = s->shares.root;
	struct network_saved *saved = calloc(1, sizeof(*saved) + s->n_unkept * sizeof(saved->at[0]));

	for (const struct share *share = root; share != NULL && saved != NULL; share = share_next(root, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link) {
			if (!r->unkept || saved->n == s->n_unkept)
				continue;
			saved->at[saved->n].id = r->id;
			saved->at[saved->n++].why = r->unkept_why != NULL ? strdup(r->unkept_why) : NULL;
		}
	}
	return saved;
}

void network_load(struct state *s, struct network_saved *saved)
{
	for (uint32_t i = 0; i < saved->n; i++) {
		struct request *r = request_find(&s->requests, saved->at[i].id);

		if (r == NULL || r->unkept) {
			free(saved->at[i].why);
			continue;
		}
		r->unkept = true;
		r->unkept_why = saved->at[i].why;
		s->n_unkept++;
	}
	free(saved);
}

static bool is_about(const struct request *r, const struct addr_contest *c)
{
	uint32_t kinds = c->ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	struct span128 one = c->ip6 ? (struct span128){c->ip, c->ip} : match_ip4_prefix((uint32_t)(c->ip >> 96), 32);

	for (uint32_t i = 0; i < r->flows.n_boxes; i++) {
		const struct box *box = &r->flows.boxes[i];

		if ((box->kinds & kinds) != 0 && ((box->src.lo == one.lo && box->src.hi == one.hi) ||
						  (box->dst.lo == one.lo && box->dst.hi == one.hi)))
			return true;
	}
	return false;
}

void network_contested(const struct state *s, const struct addr_contest *c)
{
	const struct share *root = s->shares.root;

	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link)
			if (is_about(r, c))
				event_contested(s, r, c);
	}
}
