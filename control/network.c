// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addrs.h"
#include "alone.h"
#include "answer.h"
#include "dataplane/proto.h"
#include "metered.h"
#include "nib.h"
#include "policy.h"
#include "state.h"

static void put_note(struct reply *reply, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put_note(struct reply *reply, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	answer_put(reply, "note", json_string(text));
}

// Where nothing is there to keep a limit by: SPEC 4 asks the network about reservations alone.
static void note_limits(const struct state *s, struct reply *reply)
{
	const struct nib_net *net = s->nib == NULL ? NULL : nib_net(s->nib);
	uint64_t dpid = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; net != NULL && i < net->topo->n_switches; i++) {
		const struct topo_switch *sw = &net->topo->switches[i];

		if (!sw->up || sw->bridge || !sw->no_limits)
			continue;
		dpid = n++ == 0 ? sw->dpid : dpid;
	}
	if (n > 0)
		put_note(reply,
			 "%u of the switches, as %016" PRIx64
			 ", can keep no limit: it has no meters, nor queues (openflow_ovsdb)",
			 n, dpid);
}

static void note_rates(const struct state *s, const struct match *flows, struct reply *reply)
{
	const struct nib_port *port = s->nib == NULL ? NULL : alone_port_without_rate(s->nib, flows);

	if (port != NULL)
		put_note(reply,
			 "port %s has no rate (rate: of its configuration): where its device takes everything at once, "
			 "the reservation has no effect there",
			 port->name);
}

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
	if (verb == VERB_RATELIMIT)
		note_limits(s, reply);
	if (s->ask_network.fn == NULL || (verb != VERB_RESERVE && verb != VERB_WAYPOINT && verb != VERB_AVOID))
		return 0;
	d.kind = verb == VERB_RESERVE ? DEMAND_RESERVE : verb == VERB_WAYPOINT ? DEMAND_WAYPOINT : DEMAND_AVOID;
	match_init(&d.flows);
	rc = policy_expand(&s->users, &asked->flows, &d.flows);
	if (rc < 0)
		rc = reply_refuse(reply, REPLY_LIMIT, "out of memory");
	else if (s->ask_network.fn(s->ask_network.ctx, &d, &err) < 0)
		rc = reply_refuse(reply, REPLY_NETWORK, "the network cannot keep it: %s", err.msg);
	else if (verb == VERB_RESERVE)
		note_rates(s, &d.flows, reply);
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
