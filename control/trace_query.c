// SPDX-License-Identifier: Apache-2.0
// The dataplane's half of `trace`. Rows of requests the speaker may not see are left out, as in explain.
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "explain_query.h"
#include "query.h"
#include "view.h"

static const char *const part_name[] = {
	[PART_ACCESS] = "access", [PART_RESERVE] = "reserve", [PART_LIMIT] = "limit",
	[PART_PATH] = "path",     [PART_SHARE] = "share",     [PART_BACKGROUND] = "background",
};

int query_trace(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct trace_question *q = NULL;

	if (s->ask_dataplane.fn == NULL)
		return reply_refuse(reply, REPLY_NETWORK, "there is no dataplane to ask; explain works without one");
	if (explain_begin(s, speaker, st, &q, reply) < 0)
		return -1;
	return s->ask_dataplane.fn(s->ask_dataplane.ctx, q, reply);
}

static bool sees(const struct state *s, const struct trace_question *q, const struct share *share)
{
	return share != NULL && view_through(s, &q->speaker, share, 0) != NULL;
}

static bool sees_request(const struct state *s, const struct trace_question *q, uint64_t id)
{
	const struct request *r = request_find(&s->requests, id);

	return r != NULL && sees(s, q, r->share);
}

static json_t *ids_json(const struct state *s, const struct trace_question *q, const struct idset *set)
{
	json_t *all = json_array();

	for (unsigned int i = 0; i < set->n; i++)
		if (sees_request(s, q, set->id[i]))
			json_array_append_new(all, json_integer((json_int_t)set->id[i]));
	return all;
}

static json_t *category_json(uint8_t category)
{
	return category == PARTS_NO_CATEGORY ? json_null() : json_integer(category);
}

static void put_row(const struct state *s, const struct trace_question *q, const struct proto_traced_row *row,
		    json_t *rows, struct reply *reply)
{
	const struct share *share = share_at(&s->shares, row->node);
	const char *part = row->part <= PART_BACKGROUND ? part_name[row->part] : "?";
	char key[24], layer[16], text[200];
	json_t *item;

	if (!sees(s, q, share))
		return;
	if (row->layer == PROTO_LAYER_BASE)
		snprintf(layer, sizeof(layer), "base");
	else
		snprintf(layer, sizeof(layer), "%s %u", row->layer == PROTO_LAYER_ARRAY ? "array" : "layer",
			 row->layer_idx);
	snprintf(key, sizeof(key), "%016" PRIx64, row->key);
	item = json_object();
	json_object_set_new(item, "key", json_string(key));
	json_object_set_new(item, "request", row->id == 0 ? json_null() : json_integer((json_int_t)row->id));
	json_object_set_new(item, "share", json_string(share->name));
	json_object_set_new(item, "part", json_string(part));
	json_object_set_new(item, "access", json_string(access_name(row->access)));
	json_object_set_new(item, "layer", json_string(layer));
	json_object_set_new(item, "access_category", category_json(row->access_category));
	json_object_set_new(item, "meter_category", category_json(row->meter_category));
	json_array_append_new(rows, item);
	snprintf(text, sizeof(text), "row %s request=%" PRIu64 " share=%s part=%s access=%s %s", key, row->id,
		 share->name, part, access_name(row->access), layer);
	reply_line(reply, text);
}

static bool same_ids(const struct idset *a, const struct idset *b)
{
	bool same = a->n == b->n;

	for (unsigned int i = 0; same && i < a->n; i++)
		same = a->id[i] == b->id[i];
	return same;
}

static bool in_background(const struct proto_traced *t)
{
	bool any = false;

	for (uint16_t i = 0; i < t->n_rows; i++)
		any |= t->row[i].part == PART_BACKGROUND;
	return any;
}

// The verdict is the same, the queue draws on the same, and nothing matches that should not. Rows that are hidden by
// others of their category, or need not be there, are not told.
static bool agrees(const struct trace_question *q, const struct proto_traced *t)
{
	if (t->drop != q->denied)
		return false;
	if (!t->drop && !(same_ids(&t->reservations, &q->reservations) && same_ids(&t->limits, &q->limits) &&
			  in_background(t) == q->background))
		return false;
	for (uint16_t i = 0; i < t->n_rows; i++) {
		uint32_t k = 0;

		while (k < q->n_requests && q->request[k] != t->row[i].id)
			k++;
		if (k == q->n_requests && t->row[i].part != PART_SHARE)
			return false;
	}
	return true;
}

// Port and class, as far as the speaker sees queues and, for the port, hosts.
static void put_queue(const struct state *s, const struct trace_question *q, const struct proto_traced *t, json_t *item)
{
	const struct nib_port *port = q->ask.port == PROTO_NO_PORT ? NULL : nib_port_find(s->nib, q->ask.port);
	const struct share *share = share_at(&s->shares, t->node);
	json_t *queue = json_object();

	json_object_set_new(queue, "port", port == NULL ? json_null() : json_string(port->name));
	json_object_set_new(queue, "class", t->queue == UINT32_MAX ? json_null() : json_integer(t->queue));
	json_object_set_new(queue, "share", sees(s, q, share) ? json_string(share->name) : json_null());
	json_object_set_new(queue, "reservations", ids_json(s, q, &t->reservations));
	json_object_set_new(queue, "limits", ids_json(s, q, &t->limits));
	if (in_background(t))
		json_object_set_new(queue, "background", json_true());
	json_object_set_new(item, "queue", queue);
}

void trace_complete(const struct state *s, const struct trace_question *q, const struct proto_traced *traced,
		    bool settled, struct reply *reply)
{
	json_t *item = json_object(), *rows = json_array();
	bool same = agrees(q, traced);
	char text[200], class[16] = "-";

	if (traced->queue != UINT32_MAX)
		snprintf(class, sizeof(class), "%" PRIu32, traced->queue);
	snprintf(text, sizeof(text), "dataplane %s class=%s agrees=%s settled=%s", traced->drop ? "drop" : "forward",
		 q->sees_queues ? class : "-", same ? "yes" : "no", settled ? "yes" : "no");
	reply_line(reply, text);
	json_object_set_new(item, "action", json_string(traced->drop ? "drop" : "forward"));
	json_object_set_new(item, "version", json_integer(traced->gen));
	for (uint16_t i = 0; i < traced->n_rows; i++)
		put_row(s, q, &traced->row[i], rows, reply);
	json_object_set_new(item, "rows", rows);
	if (!traced->drop && q->sees_queues)
		put_queue(s, q, traced, item);
	json_object_set_new(item, "agrees", json_boolean(same));
	json_object_set_new(item, "settled", json_boolean(settled));
	answer_put(reply, "dataplane", item);
}
