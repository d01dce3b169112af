// SPDX-License-Identifier: Apache-2.0
// `explain(PACKET FIELDS).` Shares that the speaker may not look into are left out: of them only what becomes of the
// packet is told, which its sender sees anyway; and only of packets of a share of one's own.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "cmd_table.h"
#include "explain.h"
#include "explain_query.h"
#include "hft/parts.h"
#include "policy.h"
#include "query.h"
#include "trace.h"
#include "view.h"

struct question {
	struct state *s;
	const struct principal *speaker;
	struct match group; // users replaced, at the instant
	struct match_packet packet;
	struct explanation e;
	struct trace_question **trace; // NULL: nobody asks the dataplane
};

const char *access_name(enum access access)
{
	return access == ACCESS_DENY ? "deny" : access == ACCESS_ALLOW ? "allow" : "none";
}

static bool visible(const struct question *q, const struct share *share)
{
	return view_through(q->s, q->speaker, share, 0) != NULL;
}

static bool visible_request(const struct question *q, uint64_t id)
{
	const struct request *r = request_find(&q->s->requests, id);

	return r != NULL && visible(q, r->share);
}

static json_t *visible_ids(const struct question *q, const struct idset *set)
{
	json_t *all = json_array();

	for (unsigned int i = 0; i < set->n; i++)
		if (visible_request(q, set->id[i]))
			json_array_append_new(all, json_integer((json_int_t)set->id[i]));
	return all;
}

static json_t *packet_json(const struct match_packet *p)
{
	static const struct {
		const char *name;
		enum match_field field;
	} fields[] = {{"vlan", MATCH_VLAN},
		      {"transport", MATCH_PROTO},
		      {"srcPort", MATCH_SRC_PORT},
		      {"dstPort", MATCH_DST_PORT}};
	bool ip6 = (p->kind & MATCH_KINDS_V6) != 0;
	json_t *all = json_object();

	for (int side = 0; side < 2; side++) {
		uint64_t mac = p->f[side == 0 ? MATCH_SRC_ETH : MATCH_DST_ETH];
		struct ip_addr addr = {side == 0 ? p->src : p->dst, ip6};
		char text[20];

		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 255),
			 (unsigned)(mac >> 32 & 255), (unsigned)(mac >> 24 & 255), (unsigned)(mac >> 16 & 255),
			 (unsigned)(mac >> 8 & 255), (unsigned)(mac & 255));
		json_object_set_new(all, side == 0 ? "srcEth" : "dstEth", json_string(text));
		if (p->kind != MATCH_NONIP)
			json_object_set_new(all, side == 0 ? "srcHost" : "dstHost",
					    json_string(ip_addr_text(&addr).text));
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if ((fields[i].field == MATCH_PROTO && p->kind == MATCH_NONIP) ||
		    ((fields[i].field == MATCH_SRC_PORT || fields[i].field == MATCH_DST_PORT) &&
		     (p->kind & MATCH_KINDS_PORTS) == 0))
			continue;
		json_object_set_new(all, fields[i].name, json_integer((json_int_t)p->f[fields[i].field]));
	}
	return all;
}

// What the dataplane knows the matching box by.
static json_t *row_json(const struct question *q, const struct explain_atom *atom)
{
	const struct request *r = atom->request;
	struct part_row row = {.box = atom->box, .id = r->id, .node = r->share->number, .access = (uint8_t)r->access};
	char *group = answer_group(&q->s->users, &atom->box), key[24];
	json_t *item = json_object();

	for (const struct share *up = r->share->parent; up != NULL; up = up->parent)
		row.depth++;
	if (r->verb == VERB_HINT)
		row.part = r->rate_bps > 0 ? PART_RESERVE : PART_BACKGROUND;
	else if (r->verb == VERB_RESERVE)
		row.part = PART_RESERVE;
	else if (r->verb == VERB_RATELIMIT)
		row.part = PART_LIMIT;
	else if (r->verb == VERB_WAYPOINT || r->verb == VERB_AVOID)
		row.part = PART_PATH;
	else
		row.part = PART_ACCESS;
	snprintf(key, sizeof(key), "%016" PRIx64, part_row_key(&row));
	json_object_set_new(item, "key", json_string(key));
	json_object_set_new(item, "group", json_string(group == NULL ? "" : group));
	json_object_set_new(item, "start", answer_time_json(box_start_ns(&atom->box)));
	json_object_set_new(item, "end", answer_time_json(box_end_ns(&atom->box)));
	free(group);
	return item;
}

static json_t *atom_json(const struct question *q, const struct explain_atom *atom)
{
	const struct request *r = atom->request;
	json_t *item = json_object();

	json_object_set_new(item, "request", json_integer((json_int_t)r->id));
	json_object_set_new(item, "verb", json_string(cmd_table_get(r->verb)->name));
	json_object_set_new(item, "access", json_string(access_name(r->access)));
	if (r->rate_bps != RATE_UNLIMITED && (r->verb != VERB_HINT || r->rate_bps > 0))
		json_object_set_new(item, "rate", answer_number_json(r->rate_bps));
	if (hint_is_background(r))
		json_object_set_new(item, "background", json_true());
	if (r->addresses != NULL)
		json_object_set_new(item, "addresses", ip_list_json(r->addresses));
	if (r->unkept)
		json_object_set_new(item, "suspended", json_true());
	json_object_set_new(item, "row", row_json(q, atom));
	return item;
}

static json_t *step_json(const struct question *q, const struct explain_step *step)
{
	json_t *item = json_object();

	json_object_set_new(item, "access", json_string(access_name(step->action.access)));
	if (step->by != 0)
		json_object_set_new(item, "by", json_integer((json_int_t)step->by));
	json_object_set_new(item, "reservations", visible_ids(q, &step->action.reservations));
	json_object_set_new(item, "limits", visible_ids(q, &step->action.limits));
	if (step->background)
		json_object_set_new(item, "background", json_true());
	if (step->path.waypoint != 0)
		json_object_set_new(item, "waypoint", json_integer((json_int_t)step->path.waypoint));
	return item;
}

static void node_item(const struct question *q, const struct explain_node *node, struct reply *reply)
{
	json_t *item = json_object(), *atoms = json_array();
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	json_object_set_new(item, "share", json_string(node->share->name));
	json_object_set_new(item, "parent",
			    node->share->parent == NULL || !visible(q, node->share->parent)
				    ? json_null()
				    : json_string(node->share->parent->name));
	if (f != NULL)
		fprintf(f, "%s own=%s below=%s result=%s", node->share->name, access_name(node->own.action.access),
			access_name(node->below.action.access), access_name(node->result.action.access));
	for (uint32_t i = 0; i < node->n_atoms; i++) {
		const struct explain_atom *atom = &q->e.atoms[node->first_atom + i];

		json_array_append_new(atoms, atom_json(q, atom));
		if (f != NULL)
			fprintf(f, " %s:%" PRIu64, cmd_table_get(atom->request->verb)->name, atom->request->id);
	}
	json_object_set_new(item, "atoms", atoms);
	json_object_set_new(item, "own", step_json(q, &node->own));
	json_object_set_new(item, "below", step_json(q, &node->below));
	json_object_set_new(item, "result", step_json(q, &node->result));
	if (f != NULL)
		fclose(f);
	reply_item(reply, item, text == NULL ? "" : text);
	free(text);
}

// Every request that meets the group at that instant holds all of it: what is said holds for each of its packets. As
// far as the speaker may see.
static int is_uniform(const struct question *q, bool *uniform)
{
	const struct share *root = q->s->shares.root;

	*uniform = true;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		const struct request *r;

		if (TAILQ_EMPTY(&share->requests) || !visible(q, share))
			continue;
		TAILQ_FOREACH (r, &share->requests, link) {
			struct match real;
			int rc;

			if (r->start_ns > (int64_t)q->packet.f[MATCH_TIME] ||
			    r->end_ns <= (int64_t)q->packet.f[MATCH_TIME])
				continue;
			match_init(&real);
			rc = policy_expand(&q->s->users, &r->flows, &real);
			if (rc == 0 && match_overlaps(&real, &q->group) && !match_subset(&q->group, &real))
				*uniform = false;
			match_fini(&real);
			if (rc < 0 || !*uniform)
				return rc;
		}
	}
	return 0;
}

static void put_queue(const struct question *q, const struct explain_step *result, struct reply *reply)
{
	json_t *queue = json_object();

	json_object_set_new(queue, "reservations", visible_ids(q, &result->action.reservations));
	json_object_set_new(queue, "limits", visible_ids(q, &result->action.limits));
	if (result->background)
		json_object_set_new(queue, "background", json_true());
	answer_put(reply, "queue", queue);
}

// Requests that match the packet and that the network of switches does not keep now: [{"request", "why"}].
static json_t *suspended_json(const struct question *q)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < q->e.n_atoms; i++) {
		const struct request *r = q->e.atoms[i].request;
		json_t *item;

		if (request_suspended(r) == NULL || !visible(q, r->share))
			continue;
		item = json_object();
		json_object_set_new(item, "request", json_integer((json_int_t)r->id));
		json_object_set_new(item, "why", json_string(request_suspended(r)));
		json_array_append_new(all, item);
	}
	return all;
}

static bool is_fragment(const struct match_packet *p)
{
	uint64_t proto = p->f[MATCH_PROTO];

	return (p->kind == MATCH_IP4 || p->kind == MATCH_IP6) && (proto == 6 || proto == 17 || proto == 132);
}

// A request that decides: one of that access at a node below which nobody says anything. The lowest the speaker may
// see, or null.
static json_t *decider_json(const struct question *q, enum access access)
{
	uint64_t by = 0;

	for (uint32_t n = 0; n < q->e.n_nodes && access != ACCESS_NONE; n++) {
		const struct explain_node *node = &q->e.nodes[n];

		if (node->below.action.access != ACCESS_NONE || !visible(q, node->share))
			continue;
		for (uint32_t i = 0; i < node->n_atoms; i++) {
			const struct request *r = q->e.atoms[node->first_atom + i].request;

			by = r->access == access && (by == 0 || r->id < by) ? r->id : by;
		}
	}
	return by == 0 ? json_null() : json_integer((json_int_t)by);
}

// The port to which the destination answers, as far as the speaker may know it.
static uint16_t port_of(const struct question *q, uint32_t views)
{
	const struct match_packet *p = &q->packet;
	const struct nib_seen *seen, *latest = NULL;

	if (q->s->nib == NULL || (views & VIEW_HOSTS) == 0)
		return PROTO_NO_PORT;
	for (size_t i = 0; (seen = nib_seen_at(q->s->nib, i)) != NULL; i++) {
		bool is_addr = seen->has_ip && p->kind != MATCH_NONIP && seen->ip == p->dst &&
			       seen->ip6 == ((p->kind & MATCH_KINDS_V6) != 0);
		bool is_mac = seen->mac == p->f[MATCH_DST_ETH];

		if ((is_addr || is_mac) && (latest == NULL || seen->last_ns > latest->last_ns))
			latest = seen;
	}
	return latest == NULL ? PROTO_NO_PORT : latest->port;
}

static int begin_trace(const struct question *q, uint32_t views, bool denied, struct reply *reply)
{
	struct trace_question *t = calloc(1, sizeof(*t) + q->e.n_atoms * sizeof(t->request[0]));

	if (t == NULL)
		return reply_refuse(reply, REPLY_LIMIT, "out of memory");
	t->ask = (struct proto_trace){.port = port_of(q, views), .packet = q->packet};
	t->speaker = *q->speaker;
	t->sees_queues = (views & VIEW_QUEUES) != 0;
	t->denied = denied;
	t->background = q->e.nodes[0].result.background;
	t->reservations = q->e.nodes[0].result.action.reservations;
	t->limits = q->e.nodes[0].result.action.limits;
	for (uint32_t i = 0; i < q->e.n_atoms; i++)
		t->request[t->n_requests++] = q->e.atoms[i].request->id;
	*q->trace = t;
	return 0;
}

static int tell(const struct question *q, uint32_t views, struct reply *reply)
{
	const struct explain_step *result = &q->e.nodes[0].result;
	bool refused = q->s->drop_fragments && is_fragment(&q->packet), uniform;
	bool denied = refused || result->action.access == ACCESS_DENY;

	if (is_uniform(q, &uniform) < 0)
		return reply_refuse(reply, REPLY_LIMIT, "out of memory, or a user is bound to too many addresses");
	reply->is_list = true;
	answer_put(reply, "packet", packet_json(&q->packet));
	answer_put(reply, "at", answer_time_json((int64_t)q->packet.f[MATCH_TIME]));
	answer_put(reply, "action", json_string(denied ? "drop" : "forward"));
	answer_put(reply, "access", json_string(access_name(result->action.access)));
	answer_put(reply, "by", decider_json(q, result->action.access));
	answer_put(reply, "uniform", json_boolean(uniform));
	if (!denied && (views & VIEW_QUEUES) != 0)
		put_queue(q, result, reply);
	if (is_fragment(&q->packet))
		answer_put(reply, "note",
			   json_string(refused ? "the configuration has all fragments dropped"
					       : "a fragment that is not the first has no ports: no test on ports "
						 "matches it"));
	if (q->s->n_unkept > 0)
		answer_put(reply, "suspended", suspended_json(q));
	for (uint32_t i = 0; i < q->e.n_nodes; i++)
		if (visible(q, q->e.nodes[i].share))
			node_item(q, &q->e.nodes[i], reply);
	return q->trace == NULL ? 0 : begin_trace(q, views, denied, reply);
}

// A share of the speaker's own holds the packet. *views: what such shares may see.
static int check_view(const struct question *q, uint32_t *views, struct reply *reply)
{
	const struct share *root = q->s->shares.root;
	bool registered = state_registered(q->s, q->speaker), any = false, found = false;

	*views = 0;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		struct match real;

		if (!share->privileges.query || !share_speaks(share, q->speaker, registered))
			continue;
		any = true;
		match_init(&real);
		if (policy_expand(&q->s->users, &share->flows, &real) == 0 && match_covers(&real, &q->packet)) {
			found = true;
			*views |= share->privileges.view;
		}
		match_fini(&real);
	}
	if (found)
		return 0;
	if (!any)
		return reply_refuse(reply, REPLY_NO_PRIVILEGE, "%s speaks for no share that has query",
				    q->speaker->user);
	return reply_refuse(reply, REPLY_NOT_CONTAINED, "no share %s speaks for holds that packet", q->speaker->user);
}

static int ask(struct question *q, const struct statement *st, int64_t at_ns, struct reply *reply)
{
	uint32_t views = 0;
	int rc = policy_expand(&q->s->users, &st->flows, &q->group);

	if (rc == 0 && q->group.n_boxes == 0)
		return reply_refuse(reply, REPLY_NO_BINDING,
				    "the users named have no address, so there is no such packet");
	for (uint32_t i = 0; i < q->group.n_boxes && rc == 0; i++)
		q->group.boxes[i].f[MATCH_TIME] = (struct span){(uint64_t)at_ns, (uint64_t)at_ns};
	if (rc == 0) {
		q->packet = explain_sample(&q->group.boxes[0]);
		if (check_view(q, &views, reply) < 0)
			return -1;
		rc = explain_packet(q->s, &q->packet, &q->e);
	}
	if (rc < 0)
		return reply_refuse(reply, REPLY_LIMIT, "%s",
				    rc == -E2BIG ? "a user is bound to too many addresses" : "out of memory");
	return tell(q, views, reply);
}

int query_explain(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	return explain_begin(s, speaker, st, NULL, reply);
}

int explain_begin(struct state *s, const struct principal *speaker, const struct statement *st,
		  struct trace_question **out, struct reply *reply)
{
	struct question q = {.s = s, .speaker = speaker, .trace = out};
	int64_t at_ns;
	int rc;

	if (request_time(s, &st->to, s->now_ns, &at_ns, reply) < 0)
		return -1;
	if (at_ns < s->now_ns)
		return reply_refuse(reply, REPLY_BAD_TIME, "%s is over: only what stands now or later is known",
				    answer_instant(at_ns).text);
	match_init(&q.group);
	rc = ask(&q, st, at_ns, reply);
	match_fini(&q.group);
	explanation_fini(&q.e);
	return rc;
}
