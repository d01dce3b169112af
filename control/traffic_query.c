// SPDX-License-Identifier: Apache-2.0
// Sums of traffic over requests. Requests overlap, and a packet may have been counted for several; so a sum is taken
// over requests with groups that are disjoint, the largest ones first: never more than there was. It is exact where
// those requests cover all that was asked about, for all of the time, and nobody else can have decided about their
// packets (a request that only allows or denies counts what it decides; reservations and limits count all of theirs).
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "cmd_table.h"
#include "query.h"
#include "request.h"
#include "view.h"

#define ATOMS_MAX 2000 // every two are compared
#define COVER_MAX 200  // of which a cover is looked for

struct atom_count {
	uint64_t id;
	const struct share *share;
	enum verb verb;
	struct match seen; // its group within the window
	int64_t since_ns;
	uint64_t packets, bytes;
	bool inside; // of what is asked about
	bool nested; // in another one that is inside
	bool added;
};

struct counting {
	struct state *s;
	const struct principal *speaker;
	const struct share *top;
	const struct match *group; // within the window
	int64_t last_ns, from_ns;
	struct atom_count *atoms;
	uint32_t n;
	int rc; // -ENOMEM, -E2BIG: too many
};

static bool has_meter(enum verb verb)
{
	return verb == VERB_RESERVE || verb == VERB_RATELIMIT || verb == VERB_HINT;
}

static bool is_below(const struct share *share, const struct share *top)
{
	while (share != NULL && share != top)
		share = share->parent;
	return share != NULL;
}

static int clip(const struct match *flows, int64_t from_ns, int64_t to_ns, struct match *out)
{
	struct box window = box_any();

	box_set_time(&window, from_ns, to_ns > from_ns ? to_ns : from_ns + 1);
	return match_intersect_box(out, flows, &window);
}

static void add_atom(struct counting *c, uint64_t id, const struct share *share, enum verb verb,
		     const struct match *flows, int64_t since_ns)
{
	const struct traffic_series *series = traffic_find(&c->s->traffic, id);
	struct atom_count *a = &c->atoms[c->n];
	struct traffic_sum sum = {0};

	if (c->rc < 0 || !is_below(share, c->top) || !match_overlaps(flows, c->group) ||
	    view_through(c->s, c->speaker, share, VIEW_TRAFFIC) == NULL)
		return;
	if (c->n == ATOMS_MAX) {
		c->rc = -E2BIG;
		return;
	}
	if (series != NULL)
		sum = traffic_last(series, c->last_ns, c->s->now_ns);
	*a = (struct atom_count){.id = id, .share = share, .verb = verb, .packets = sum.packets, .bytes = sum.bytes};
	a->since_ns = series != NULL ? traffic_atom(series).since_ns : since_ns;
	match_init(&a->seen);
	c->rc = clip(flows, c->from_ns, c->s->now_ns, &a->seen);
	a->inside = c->rc == 0 && match_subset(&a->seen, c->group);
	c->n++;
}

static void collect(struct counting *c)
{
	const struct traffic_series *series = NULL;

	for (const struct share *share = c->top; share != NULL; share = share_next(c->top, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link)
			if ((r->verb != VERB_HINT || r->rate_bps > 0) && r->start_ns <= c->s->now_ns)
				add_atom(c, r->id, share, r->verb, &r->flows, r->start_ns);
	}
	while ((series = traffic_next(&c->s->traffic, series)) != NULL) {
		struct traffic_atom a = traffic_atom(series);

		if (request_find(&c->s->requests, a.id) == NULL)
			add_atom(c, a.id, a.share, a.verb, a.flows, a.since_ns);
	}
}

static void find_nested(struct counting *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t j = 0; j < c->n && !c->atoms[i].nested; j++) {
			struct atom_count *a = &c->atoms[i], *b = &c->atoms[j];

			if (i == j || !a->inside || !b->inside || !match_overlaps(&a->seen, &b->seen) ||
			    !match_subset(&a->seen, &b->seen))
				continue;
			// Of two with the same group the one with a meter counts for both, then the first one.
			a->nested = !match_subset(&b->seen, &a->seen) || has_meter(b->verb) > has_meter(a->verb) ||
				    (has_meter(b->verb) == has_meter(a->verb) && j < i);
		}
}

static int best_first(const void *a, const void *b)
{
	const struct atom_count *x = a, *y = b;

	if (x->inside != y->inside)
		return x->inside ? -1 : 1;
	if (x->nested != y->nested)
		return x->nested ? 1 : -1;
	if (has_meter(x->verb) != has_meter(y->verb))
		return has_meter(x->verb) ? -1 : 1;
	if (x->packets != y->packets)
		return x->packets > y->packets ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b)
{
	const struct atom_count *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void choose(struct counting *c)
{
	find_nested(c);
	qsort(c->atoms, c->n, sizeof(*c->atoms), best_first);
	for (uint32_t i = 0; i < c->n && c->atoms[i].inside; i++) {
		bool meets = false;

		for (uint32_t j = 0; j < i && !meets; j++)
			meets = c->atoms[j].added && match_overlaps(&c->atoms[i].seen, &c->atoms[j].seen);
		c->atoms[i].added = !meets;
	}
}

// Some request that only allows or denies may have lost packets to another one.
static bool may_be_hidden(const struct counting *c, const struct atom_count *a)
{
	const struct share *root = c->s->shares.root;
	const struct traffic_series *series = NULL;
	const struct request *r;

	if (has_meter(a->verb))
		return false;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		TAILQ_FOREACH (r, &share->requests, link)
			if (r->id != a->id && r->access != ACCESS_NONE && match_overlaps(&r->flows, &a->seen))
				return true;
	while ((series = traffic_next(&c->s->traffic, series)) != NULL) {
		struct traffic_atom other = traffic_atom(series);

		if (other.id != a->id && match_overlaps(other.flows, &a->seen))
			return true;
	}
	return false;
}

static bool is_exact(const struct counting *c)
{
	struct match all;
	uint32_t n = 0;
	bool exact = c->from_ns >= c->s->traffic.since_ns;

	match_init(&all);
	for (uint32_t i = 0; i < c->n && exact; i++) {
		const struct atom_count *a = &c->atoms[i];

		if (!a->added)
			continue;
		exact = ++n <= COVER_MAX && a->since_ns <= (int64_t)box_start_ns(&a->seen.boxes[0]) &&
			!may_be_hidden(c, a);
		for (uint32_t b = 0; b < a->seen.n_boxes && exact; b++)
			exact = match_add(&all, &a->seen.boxes[b]) == 0;
	}
	exact = exact && match_subset(c->group, &all);
	match_fini(&all);
	return exact;
}

struct total {
	uint64_t packets, bytes;
	bool exact;
};

static json_t *atom_json(const struct atom_count *a)
{
	json_t *item = json_object();

	json_object_set_new(item, "request", json_integer((json_int_t)a->id));
	json_object_set_new(item, "verb", json_string(cmd_table_get(a->verb)->name));
	json_object_set_new(item, "share", json_string(a->share->name));
	json_object_set_new(item, "packets", json_integer((json_int_t)a->packets));
	json_object_set_new(item, "bytes", json_integer((json_int_t)a->bytes));
	json_object_set_new(item, "inside", json_boolean(a->inside));
	json_object_set_new(item, "added", json_boolean(a->added));
	return item;
}

// Sums what is counted in the group (without time) at `top` and below. requests: NULL, or an array to add to.
static int sum_traffic(struct counting *c, const struct match *group, struct total *total, json_t *requests)
{
	struct match clipped;
	int rc;

	match_init(&clipped);
	c->from_ns = c->last_ns != 0 ? traffic_window_ns(c->last_ns, c->s->now_ns) : c->s->traffic.since_ns;
	if (c->from_ns < c->s->traffic.since_ns)
		c->from_ns = c->s->traffic.since_ns; // nothing is known of before
	if (c->from_ns > c->s->now_ns)
		c->from_ns = c->s->now_ns; // nothing was ever counted
	c->group = &clipped;
	c->atoms = calloc(ATOMS_MAX, sizeof(*c->atoms));
	rc = c->atoms == NULL ? -ENOMEM : clip(group, c->from_ns, c->s->now_ns, &clipped);
	if (rc == 0) {
		collect(c);
		rc = c->rc;
	}
	if (rc == 0)
		choose(c);
	*total = (struct total){.exact = rc == 0 && is_exact(c)};
	if (rc == 0 && c->n > 0)
		qsort(c->atoms, c->n, sizeof(*c->atoms), by_id);
	for (uint32_t i = 0; i < c->n; i++) {
		total->packets += c->atoms[i].added ? c->atoms[i].packets : 0;
		total->bytes += c->atoms[i].added ? c->atoms[i].bytes : 0;
		if (rc == 0 && requests != NULL)
			json_array_append_new(requests, atom_json(&c->atoms[i]));
		match_fini(&c->atoms[i].seen);
	}
	free(c->atoms);
	c->atoms = NULL;
	c->group = NULL;
	match_fini(&clipped);
	return rc;
}

static int refuse(int rc, struct reply *reply)
{
	return reply_refuse(reply, REPLY_LIMIT, "%s",
			    rc == -E2BIG ? "too many requests count these flows: ask about fewer" : "out of memory");
}

static void put_total(const struct total *t, json_t *into)
{
	json_object_set_new(into, "packets", json_integer((json_int_t)t->packets));
	json_object_set_new(into, "bytes", json_integer((json_int_t)t->bytes));
	json_object_set_new(into, "exact", json_boolean(t->exact));
}

int query_traffic(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = share_find(&s->shares, st->share);
	struct counting c = {.s = s, .speaker = speaker, .top = share, .last_ns = st->last_ns};
	struct total total;
	struct match group;
	json_t *requests;
	char text[100];
	int rc;

	if (share == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->share);
	if (view_share(s, speaker, share, VIEW_TRAFFIC, reply) == NULL)
		return -1;
	match_init(&group);
	rc = match_intersect(&group, &st->flows, &share->flows);
	if (rc == 0 && match_is_empty(&group)) {
		match_fini(&group);
		return reply_refuse(reply, REPLY_NOT_CONTAINED,
				    "the flow group and that of share %s have no packet in "
				    "common",
				    share->name);
	}
	requests = json_array();
	if (rc == 0)
		rc = sum_traffic(&c, &group, &total, requests);
	match_fini(&group);
	if (rc < 0) {
		json_decref(requests);
		return refuse(rc, reply);
	}
	reply->is_list = true;
	put_total(&total, reply->body);
	answer_put(reply, "from", answer_time_json(c.from_ns));
	answer_put(reply, "to", answer_time_json(s->now_ns));
	answer_put(reply, "requests", requests);
	snprintf(text, sizeof(text), "%" PRIu64 ",%" PRIu64 ",%s", total.bytes, total.packets,
		 total.exact ? "exact" : "at-least");
	requests = json_object();
	put_total(&total, requests);
	reply_item(reply, requests, text);
	return 0;
}

int query_between(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct ip_addr *ends = st->addresses->at;

	if (view_anywhere(s, speaker, VIEW_TRAFFIC, reply) < 0)
		return -1;
	if (ends[0].ip6 != ends[1].ip6)
		return reply_refuse(reply, REPLY_FAMILY_MIX, "IPv4 and IPv6 do not mix in one packet");
	reply->is_list = true;
	for (int way = 0; way < 2; way++) {
		struct counting c = {.s = s, .speaker = speaker, .top = s->shares.root};
		const struct ip_addr *src = &ends[way], *dst = &ends[1 - way];
		struct box box = box_any();
		struct total total;
		struct match group;
		u128 host = src->ip6 ? 0 : ((u128)1 << 96) - 1;
		char text[200];
		json_t *item;
		int rc;

		box.src = (struct span128){src->addr, src->addr | host};
		box.dst = (struct span128){dst->addr, dst->addr | host};
		box.kinds = src->ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
		match_init(&group);
		rc = match_add(&group, &box);
		if (rc == 0)
			rc = sum_traffic(&c, &group, &total, NULL);
		match_fini(&group);
		if (rc < 0)
			return refuse(rc, reply);
		item = json_object();
		json_object_set_new(item, "src", json_string(ip_addr_text(src).text));
		json_object_set_new(item, "dst", json_string(ip_addr_text(dst).text));
		put_total(&total, item);
		snprintf(text, sizeof(text), "%s,%s,%" PRIu64 ",%" PRIu64 ",%s", ip_addr_text(src).text,
			 ip_addr_text(dst).text, total.bytes, total.packets, total.exact ? "exact" : "at-least");
		reply_item(reply, item, text);
	}
	return 0;
}
