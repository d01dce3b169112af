// SPDX-License-Identifier: Apache-2.0
// `queues.`: ports, the share tree, requests and the dataplane's queues, each with what was promised and what it
// received. An item's first member says what it is of; other kinds of queues are further items.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "ovsdb.h"
#include "query.h"
#include "queue_book.h"
#include "queue_sums.h"
#include "view.h"

#define SHOWN_MAX 1024 // queues of a port: those that send most

struct ask {
	const struct state *s;
	const struct principal *speaker;
	const struct queue_sums *sums;
	struct reply *reply;
};

static void number(json_t *item, const char *name, uint64_t value)
{
	json_object_set_new(item, name, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static bool is_seen(const struct ask *a, const struct share *share)
{
	return view_through(a->s, a->speaker, share, VIEW_QUEUES) != NULL;
}

// All queues of a port together.
static void port_item(const struct ask *a, const struct nib_port *port)
{
	struct queue_port queues = queue_book_port(nib_queues(a->s->nib), port->port);
	uint64_t packets = nib_port_counter(port, "tx_packets"), bytes = nib_port_counter(port, "tx_bytes"),
		 backlog = 0, rate = 0;
	uint64_t lost = nib_port_counter(port, "queue_full") + nib_port_counter(port, "queue_dropped");
	json_t *item = json_object();
	char text[256];

	for (uint32_t i = 0; i < queues.n; i++) {
		backlog += queues.entry[i].told.backlog_bytes;
		rate += queues.entry[i].rate_bps;
	}
	json_object_set_new(item, "port", json_string(port->name));
	json_object_set_new(item, "rate", port->rate_bps == 0 ? json_null() : answer_number_json(port->rate_bps));
	number(item, "received", rate);
	number(item, "queues", queues.told.n_queues);
	number(item, "backlog_bytes", backlog);
	number(item, "packets", packets);
	number(item, "bytes", bytes);
	number(item, "dropped", lost);
	number(item, "late_us", queues.late_us);
	snprintf(text, sizeof(text), "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, port->name,
		 port->rate_bps == 0 ? "no-rate" : answer_number(port->rate_bps).text, packets, bytes, lost, rate);
	reply_item(a->reply, item, text);
}

static void sum_members(json_t *item, const struct queue_sum *sum)
{
	number(item, "backlog_bytes", sum->backlog_bytes);
	number(item, "dropped", sum->dropped);
	number(item, "marked", sum->marked);
	number(item, "delay_p50_us", sum->delay_us[0]);
	number(item, "delay_p99_us", sum->delay_us[1]);
	number(item, "delay_max_us", sum->delay_us[2]);
}

static bool has_meter(const struct request *r, int64_t now_ns)
{
	return (r->verb == VERB_RESERVE || r->verb == VERB_RATELIMIT || hint_is_realised(r)) && r->start_ns <= now_ns;
}

static void request_item(const struct ask *a, const struct request *r)
{
	struct queue_sum sum = queue_sums_request(a->sums, r->id);
	uint64_t packets, bytes;
	bool background = hint_is_background(r);
	json_t *item = json_object();
	char text[256];

	traffic_total(&a->s->traffic, r->id, &packets, &bytes);
	number(item, "request", r->id);
	json_object_set_new(item, "verb", json_string(cmd_table_get(r->verb)->name));
	json_object_set_new(item, "share", json_string(r->share->name));
	json_object_set_new(item, "rate", r->rate_bps == 0 ? json_null() : answer_number_json(r->rate_bps));
	if (r->rate_bps != 0)
		number(item, "received", sum.rate_bps);
	number(item, "packets", packets);
	number(item, "bytes", bytes);
	if (r->rate_bps != 0)
		sum_members(item, &sum);
	if (background)
		json_object_set_new(item, "background", json_true());
	if (r->unkept)
		json_object_set_new(item, "suspended", json_true());
	snprintf(text, sizeof(text), "%" PRIu64 " %s %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 "%s%s", r->id,
		 cmd_table_get(r->verb)->name, r->share->name,
		 r->rate_bps == 0 ? "no-rate" : answer_number(r->rate_bps).text, packets, bytes, sum.rate_bps,
		 background ? " background" : "", r->unkept ? " suspended" : "");
	reply_item(a->reply, item, text);
}

static void share_item(const struct ask *a, const struct share *share)
{
	struct queue_sum sum = queue_sums_share(a->sums, share);
	const char *parent = share->parent != NULL && is_seen(a, share->parent) ? share->parent->name : NULL;
	json_t *item = json_object();
	char text[256];

	json_object_set_new(item, "share", json_string(share->name));
	json_object_set_new(item, "parent", parent != NULL ? json_string(parent) : json_null());
	number(item, "weight", share->privileges.weight);
	number(item, "promised", sum.promised_bps);
	number(item, "received", sum.rate_bps);
	number(item, "queues", sum.n_queues);
	sum_members(item, &sum);
	snprintf(text, sizeof(text), "share %s %u %" PRIu64 " %" PRIu64, share->name, share->privileges.weight,
		 sum.promised_bps, sum.rate_bps);
	reply_item(a->reply, item, text);
}

// --- queues one by one

// A queue is shown to who may see every request that it is of, and its share; best effort of the root is everybody's.
// Who sees the root sees also what is left of requests and shares that are gone.
static bool may_see(const struct ask *a, const struct proto_queue *q)
{
	const struct idset *const sets[] = {&q->reservations, &q->limits};
	const struct share *share = share_at(&a->s->shares, q->node);

	if (is_seen(a, a->s->shares.root))
		return true;
	if (q->node != 0 && (share == NULL || !is_seen(a, share))) // background: hints of any share
		return false;
	for (size_t k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < sets[k]->n; i++) {
			const struct request *r = request_find(&a->s->requests, sets[k]->id[i]);

			if (r == NULL || !is_seen(a, r->share))
				return false;
		}
	}
	return true;
}

static json_t *numbers(const struct idset *ids)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < ids->n; i++)
		json_array_append_new(array, json_integer((json_int_t)ids->id[i]));
	return array;
}

static void queue_item(const struct ask *a, const struct nib_port *port, const struct queue_entry *e)
{
	static const char *const reason[PROTO_QUEUE_DROPS] = {"full", "buffers", "delay", "policed"};
	static const char *const delay[PROTO_QUEUE_PERCENTILES] = {"delay_p50_us", "delay_p99_us", "delay_max_us"};
	const struct proto_queue *q = &e->told;
	const struct share *share = share_at(&a->s->shares, q->node);
	json_t *item = json_object(), *drops = json_object();
	char text[256];

	number(item, "queue", q->number & PROTO_QUEUE_PLACE);
	json_object_set_new(item, "port", json_string(port->name));
	json_object_set_new(item, "share", share != NULL ? json_string(share->name) : json_null());
	if (q->node == PROTO_QUEUE_BACKGROUND)
		json_object_set_new(item, "background", json_true());
	json_object_set_new(item, "reservations", numbers(&q->reservations));
	json_object_set_new(item, "limits", numbers(&q->limits));
	number(item, "received", e->rate_bps);
	number(item, "backlog_packets", q->backlog_packets);
	number(item, "backlog_bytes", q->backlog_bytes);
	number(item, "packets", q->packets);
	number(item, "bytes", q->bytes);
	for (int i = 0; i < PROTO_QUEUE_DROPS; i++)
		number(drops, reason[i], q->dropped[i]);
	json_object_set_new(item, "dropped", drops);
	number(item, "dropped_pps", e->drop_pps);
	number(item, "marked", q->marked);
	for (int i = 0; i < PROTO_QUEUE_PERCENTILES; i++)
		number(item, delay[i], q->delay_us[i]);
	snprintf(text, sizeof(text), "queue %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, port->name,
		 q->number & PROTO_QUEUE_PLACE, q->packets, q->bytes, q->backlog_bytes, e->rate_bps);
	reply_item(a->reply, item, text);
}

static int by_rate(const void *a, const void *b)
{
	const struct queue_entry *x = *(const struct queue_entry *const *)a, *y = *(const struct queue_entry *const *)b;

	if (x->rate_bps != y->rate_bps)
		return x->rate_bps > y->rate_bps ? -1 : 1;
	return x->told.number < y->told.number ? -1 : x->told.number > y->told.number;
}

static int queue_items(const struct ask *a, const struct nib_port *port)
{
	struct queue_port queues = queue_book_port(nib_queues(a->s->nib), port->port);
	const struct queue_entry **seen = calloc(queues.n + 1, sizeof(*seen));
	uint32_t n = 0;

	if (seen == NULL)
		return reply_refuse(a->reply, REPLY_LIMIT, "no memory for an answer about %u queues", queues.n);
	for (uint32_t i = 0; i < queues.n; i++) {
		if (may_see(a, &queues.entry[i].told))
			seen[n++] = &queues.entry[i];
	}
	if (n > SHOWN_MAX)
		qsort(seen, n, sizeof(*seen), by_rate);
	for (uint32_t i = 0; i < n && i < SHOWN_MAX; i++)
		queue_item(a, port, seen[i]);
	free(seen);
	return 0;
}

// --- switches

static void switch_queue(const struct ask *a, const struct nib_net *net, const struct ovsdb_queue *q)
{
	const struct request *r = request_find(&a->s->requests, q->request);
	const struct user *holder = r == NULL ? NULL : users_at(&a->s->users, r->holder);
	uint32_t sw = topo_find_switch(net->topo, q->dpid);
	const struct topo_port *port = topo_port(net->topo, sw, q->port);
	json_t *item;
	char text[256];

	if (r == NULL || port == NULL || !is_seen(a, r->share))
		return;
	item = json_object();
	json_object_set_new(item, "switch", json_string(query_dpid(net->topo, sw).text));
	json_object_set_new(item, "port", json_string(port->name));
	number(item, "queue", q->queue);
	number(item, "request", q->request);
	json_object_set_new(item, "owner", holder == NULL ? json_null() : json_string(holder->name));
	json_object_set_new(item, q->max_bps != 0 ? "max_rate" : "min_rate",
			    answer_number_json(q->max_bps != 0 ? q->max_bps : q->min_bps));
	json_object_set_new(item, "ignored", json_boolean(net->topo->switches[sw].no_queues));
	snprintf(text, sizeof(text), "%s/%s queue %" PRIu32 " request %" PRIu64 " %s %s %s%s",
		 query_dpid(net->topo, sw).text, port->name, q->queue, q->request, holder == NULL ? "-" : holder->name,
		 q->max_bps != 0 ? "max" : "min", answer_number(q->max_bps != 0 ? q->max_bps : q->min_bps).text,
		 net->topo->switches[sw].no_queues ? " ignored" : "");
	reply_item(a->reply, item, text);
}

static void switch_queues(const struct ask *a)
{
	const struct nib_net *net = nib_net(a->s->nib);

	for (uint32_t i = 0; net != NULL && i < net->n_queues; i++)
		switch_queue(a, net, &net->queues[i]);
}

// --- all of it

static void policy_items(const struct ask *a)
{
	const struct share *root = a->s->shares.root;

	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		const struct request *r;

		if (TAILQ_EMPTY(&share->requests) || !is_seen(a, share))
			continue;
		TAILQ_FOREACH (r, &share->requests, link)
			if (has_meter(r, a->s->now_ns))
				request_item(a, r);
	}
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		if (is_seen(a, share))
			share_item(a, share);
	}
}

int query_queues(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct ask a = {.s = s, .speaker = speaker, .reply = reply};
	struct queue_sums *sums;
	int rc = 0;

	if (view_anywhere(s, speaker, VIEW_QUEUES, reply) < 0)
		return -1;
	sums = queue_sums_create(s);
	if (sums == NULL)
		return reply_refuse(reply, REPLY_LIMIT, "no memory for an answer about queues");
	a.sums = sums;
	reply->is_list = true;
	for (size_t p = 0; p < nib_n_ports(s->nib); p++)
		port_item(&a, nib_port_at(s->nib, p));
	policy_items(&a);
	for (size_t p = 0; p < nib_n_ports(s->nib) && rc == 0; p++)
		rc = queue_items(&a, nib_port_at(s->nib, p));
	switch_queues(&a);
	queue_sums_destroy(sums);
	return rc;
}
