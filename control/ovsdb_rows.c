// SPDX-License-Identifier: Apache-2.0
// For each port with reservations one QoS of type linux-htb, with a Queue for each of them and queue 0 for everything
// else: without that one HTB would send the rest past all queues.
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ovsdb_priv.h"

#define REST_BPS 1000000ULL // queue 0 may borrow all that is not in use

struct rows {
	const json_t *tables;
	json_t *ops;
	json_t *used; // uuids of rows of ours that stay: a set
	uint32_t n_new;
	char *why;
	size_t size;
};

static const json_t *row_of(const json_t *tables, const char *table, const char *uuid)
{
	return uuid == NULL ? NULL : json_object_get(json_object_get(tables, table), uuid);
}

// ["uuid", "..."], or NULL.
static const char *uuid_of(const json_t *value)
{
	const char *tag = json_string_value(json_array_get(value, 0));

	return tag != NULL && strcmp(tag, "uuid") == 0 ? json_string_value(json_array_get(value, 1)) : NULL;
}

// The i-th uuid of a set: one by itself, or ["set", [...]].
static const char *uuid_at(const json_t *set, size_t i)
{
	const char *tag = json_string_value(json_array_get(set, 0));

	if (tag != NULL && strcmp(tag, "set") == 0)
		return uuid_of(json_array_get(json_array_get(set, 1), i));
	return i == 0 ? uuid_of(set) : NULL;
}

// The value of a key of ["map", [[key, value], ...]].
static const json_t *map_get(const json_t *map, const json_t *key)
{
	const json_t *pairs = json_array_get(map, 1);

	for (size_t i = 0; i < json_array_size(pairs); i++) {
		if (json_equal(json_array_get(json_array_get(pairs, i), 0), key))
			return json_array_get(json_array_get(pairs, i), 1);
	}
	return NULL;
}

static const char *map_text(const json_t *map, const char *key)
{
	json_t *name = json_string(key);
	const char *text = json_string_value(map_get(map, name));

	json_decref(name);
	return text;
}

static bool is_ours(const json_t *row)
{
	const char *owner = map_text(json_object_get(row, "external_ids"), "owner");

	return owner != NULL && strcmp(owner, "pane") == 0;
}

uint32_t ovsdb_count_ours(const json_t *tables, const char *table)
{
	const char *uuid;
	uint32_t n = 0;
	json_t *row;

	json_object_foreach(json_object_get(tables, table), uuid, row) n += is_ours(row);
	return n;
}

// The port row that is this OpenFlow port.
static const char *find_port(const json_t *tables, uint64_t dpid, uint32_t port)
{
	const char *uuid, *at;
	char text[17];
	json_t *bridge;

	snprintf(text, sizeof(text), "%016" PRIx64, dpid);
	json_object_foreach(json_object_get(tables, "Bridge"), uuid, bridge)
	{
		const char *is = json_string_value(json_object_get(bridge, "datapath_id"));

		if (is == NULL || strcmp(is, text) != 0)
			continue;
		for (size_t i = 0; (at = uuid_at(json_object_get(bridge, "ports"), i)) != NULL; i++) {
			const json_t *interfaces = json_object_get(row_of(tables, "Port", at), "interfaces");
			const json_t *first = row_of(tables, "Interface", uuid_at(interfaces, 0));

			if (json_integer_value(json_object_get(first, "ofport")) == port)
				return at;
		}
	}
	return NULL;
}

static json_t *number_text(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

// ["map", [["owner", "pane"], ["request", "17"]]]; request 0: for the port as a whole.
static json_t *mark(uint64_t request)
{
	json_t *pairs = json_array();

	json_array_append_new(pairs, json_pack("[s, s]", "owner", "pane"));
	if (request != 0)
		json_array_append_new(pairs, json_pack("[s, o]", "request", number_text(request)));
	return json_pack("[s, o]", "map", pairs);
}

static json_t *one_pair(const char *key, uint64_t value)
{
	return json_pack("[s, [[s, o]]]", "map", key, number_text(value));
}

static json_t *where(const char *uuid)
{
	return json_pack("[[s, s, [s, s]]]", "_uuid", "==", "uuid", uuid);
}

// Inserts a row and returns what names it in this transaction.
static json_t *insert(struct rows *r, const char *table, json_t *row)
{
	char name[32];

	snprintf(name, sizeof(name), "row%u", r->n_new++);
	json_array_append_new(r->ops, json_pack("{s:s, s:s, s:o, s:s}", "op", "insert", "table", table, "row", row,
						"uuid-name", name));
	return json_pack("[s, s]", "named-uuid", name);
}

static void update(struct rows *r, const char *table, const char *uuid, json_t *row)
{
	json_array_append_new(r->ops, json_pack("{s:s, s:s, s:o, s:o}", "op", "update", "table", table, "where",
						where(uuid), "row", row));
}

// A queue with this rate: one of ours that is in the port's QoS by this number, made right, or a new one.
static json_t *queue_row(struct rows *r, const json_t *qos, const struct ovsdb_queue *q)
{
	json_t *number = json_integer(q->queue),
	       *config = q->max_bps != 0 ? one_pair("max-rate", q->max_bps) : one_pair("min-rate", q->min_bps),
	       *ids = mark(q->request);
	const char *uuid = uuid_of(map_get(json_object_get(qos, "queues"), number));
	const json_t *row = row_of(r->tables, "Queue", uuid);
	json_t *is;

	json_decref(number);
	if (row == NULL || !is_ours(row) || json_object_get(r->used, uuid) != NULL)
		return insert(r, "Queue", json_pack("{s:o, s:o}", "other_config", config, "external_ids", ids));
	if (!json_equal(json_object_get(row, "other_config"), config) ||
	    !json_equal(json_object_get(row, "external_ids"), ids))
		update(r, "Queue", uuid, json_pack("{s:O, s:O}", "other_config", config, "external_ids", ids));
	json_object_set_new(r->used, uuid, json_true());
	is = json_pack("[s, s]", "uuid", uuid);
	json_decref(config);
	json_decref(ids);
	return is;
}

static int compare_pairs(const void *a, const void *b)
{
	const json_int_t x = json_integer_value(json_array_get(*(json_t *const *)a, 0));
	const json_int_t y = json_integer_value(json_array_get(*(json_t *const *)b, 0));

	return x < y ? -1 : x > y;
}

// As the database orders them, to compare maps.
static json_t *sorted_map(json_t *pairs)
{
	size_t n = json_array_size(pairs);
	json_t **all = malloc((n + 1) * sizeof(*all)), *out = json_array();

	for (size_t i = 0; all != NULL && i < n; i++)
		all[i] = json_array_get(pairs, i);
	if (all != NULL && n > 1)
		qsort(all, n, sizeof(json_t *), compare_pairs);
	for (size_t i = 0; all != NULL && i < n; i++)
		json_array_append(out, all[i]);
	free(all);
	json_decref(pairs);
	return json_pack("[s, o]", "map", out);
}

// All queues of one port, from `first` on.
static void set_port(struct rows *r, const char *port, const struct ovsdb_queue *first, uint32_t n)
{
	const json_t *row = row_of(r->tables, "Port", port);
	const char *uuid = uuid_at(json_object_get(row, "qos"), 0);
	const json_t *qos = row_of(r->tables, "QoS", uuid);
	struct ovsdb_queue rest = {.min_bps = REST_BPS};
	json_t *pairs = json_array(), *queues, *config;

	if (qos != NULL && !is_ours(qos)) {
		snprintf(r->why, r->size, "port %s has a QoS of somebody else: its queues are not ours to set",
			 json_string_value(json_object_get(row, "name")));
		json_decref(pairs);
		return;
	}
	json_array_append_new(pairs, json_pack("[i, o]", 0, queue_row(r, qos, &rest)));
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(pairs,
				      json_pack("[I, o]", (json_int_t)first[i].queue, queue_row(r, qos, &first[i])));
	queues = sorted_map(pairs);
	config = one_pair("max-rate", first->port_bps == 0 ? 10000000000ULL : first->port_bps);
	if (qos == NULL) {
		json_t *made = insert(r, "QoS",
				      json_pack("{s:s, s:o, s:o, s:o}", "type", "linux-htb", "queues", queues,
						"other_config", config, "external_ids", mark(0)));

		update(r, "Port", port, json_pack("{s:o}", "qos", made));
		return;
	}
	json_object_set_new(r->used, uuid, json_true());
	if (!json_equal(json_object_get(qos, "queues"), queues) ||
	    !json_equal(json_object_get(qos, "other_config"), config))
		update(r, "QoS", uuid, json_pack("{s:O, s:O}", "queues", queues, "other_config", config));
	json_decref(queues);
	json_decref(config);
}

static void delete_unused(struct rows *r, const char *table)
{
	const char *uuid;
	json_t *row;

	json_object_foreach(json_object_get(r->tables, table), uuid, row)
	{
		if (is_ours(row) && json_object_get(r->used, uuid) == NULL)
			json_array_append_new(r->ops, json_pack("{s:s, s:s, s:o}", "op", "delete", "table", table,
								"where", where(uuid)));
	}
}

// Ports let go of what is about to be deleted.
static void release_ports(struct rows *r)
{
	const char *port;
	json_t *row;

	json_object_foreach(json_object_get(r->tables, "Port"), port, row)
	{
		const char *uuid = uuid_at(json_object_get(row, "qos"), 0);
		const json_t *qos = row_of(r->tables, "QoS", uuid);

		if (qos != NULL && is_ours(qos) && json_object_get(r->used, uuid) == NULL)
			update(r, "Port", port, json_pack("{s:[s, []]}", "qos", "set"));
	}
}

static int compare_queues(const void *a, const void *b)
{
	const struct ovsdb_queue *x = a, *y = b;

	if (x->dpid != y->dpid)
		return x->dpid < y->dpid ? -1 : 1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return x->queue < y->queue ? -1 : x->queue > y->queue;
}

static bool is_known(const struct ovsdb_wish *wish, uint64_t dpid)
{
	for (uint32_t i = 0; i < wish->n_but; i++) {
		if (wish->but[i] == dpid)
			return !wish->known;
	}
	return wish->known;
}

// What is ours at this port stays as it is.
static void leave_port(struct rows *r, const char *port)
{
	const char *uuid = uuid_at(json_object_get(row_of(r->tables, "Port", port), "qos"), 0), *queue;
	const json_t *qos = row_of(r->tables, "QoS", uuid);
	const json_t *pairs = json_array_get(json_object_get(qos, "queues"), 1);

	if (qos == NULL || !is_ours(qos))
		return;
	json_object_set_new(r->used, uuid, json_true());
	for (size_t i = 0; i < json_array_size(pairs); i++) {
		queue = uuid_of(json_array_get(json_array_get(pairs, i), 1));
		if (queue != NULL)
			json_object_set_new(r->used, queue, json_true());
	}
}

static void leave_unknown(struct rows *r, const struct ovsdb_wish *wish)
{
	const char *uuid, *port;
	json_t *bridge;

	json_object_foreach(json_object_get(r->tables, "Bridge"), uuid, bridge)
	{
		const char *dpid = json_string_value(json_object_get(bridge, "datapath_id"));

		if (dpid == NULL || is_known(wish, strtoull(dpid, NULL, 16)))
			continue;
		for (size_t i = 0; (port = uuid_at(json_object_get(bridge, "ports"), i)) != NULL; i++)
			leave_port(r, port);
	}
}

json_t *ovsdb_difference(const json_t *tables, const struct ovsdb_wish *wish, char *why, size_t size)
{
	struct rows r = {.tables = tables, .ops = json_array(), .used = json_object(), .why = why, .size = size};
	uint32_t n = wish->n_queues;
	struct ovsdb_queue *all = malloc((n + 1U) * sizeof(*all));

	if (all == NULL || r.ops == NULL || r.used == NULL) {
		free(all);
		json_decref(r.ops);
		json_decref(r.used);
		return NULL;
	}
	if (n > 0)
		memcpy(all, wish->queues, n * sizeof(*all));
	qsort(all, n, sizeof(*all), compare_queues);
	leave_unknown(&r, wish);
	for (uint32_t at = 0, end; at < n; at = end) {
		const char *port = find_port(tables, all[at].dpid, all[at].port);

		for (end = at + 1; end < n && all[end].dpid == all[at].dpid && all[end].port == all[at].port; end++)
			;
		if (port != NULL && is_known(wish, all[at].dpid))
			set_port(&r, port, &all[at], end - at);
	}
	release_ports(&r);
	delete_unused(&r, "QoS");
	delete_unused(&r, "Queue");
	json_decref(r.used);
	free(all);
	return r.ops;
}
