// SPDX-License-Identifier: Apache-2.0
#include "ovsdb.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ovsdb_priv.h"

#define TEXT_MAX (64 << 20) // of one message
#define RETRY_NS 2000000000LL

enum message_id { ID_MONITOR = 1, ID_TRANSACT };

struct ovsdb {
	struct ovsdb_ops ops;
	bool connected, known, wanted, pending;
	int64_t retry_ns;       // not before, after a failure
	int64_t heard_ns;       // something came; 0: nothing, and it was not asked for yet
	int64_t owed_ns;        // since then an answer is owed; 0: none is, or nobody has looked yet
	bool asked;             // whether it is there, since heard_ns
	json_t *tables;         // name -> uuid -> row
	struct ovsdb_wish wish; // its arrays are owned
	char *in;
	size_t n_in, cap_in, seen; // seen: how much of it was looked at for the end of a message
	int depth;
	bool quoted, escaped;
	struct ovsdb_stats stats;
};

struct ovsdb *ovsdb_create(const struct ovsdb_ops *ops)
{
	struct ovsdb *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->ops = *ops;
	o->retry_ns = INT64_MIN;
	return o;
}

static void forget_wish(struct ovsdb *o)
{
	free((void *)o->wish.queues);
	free((void *)o->wish.but);
}

void ovsdb_destroy(struct ovsdb *o)
{
	if (o == NULL)
		return;
	json_decref(o->tables);
	forget_wish(o);
	free(o->in);
	free(o);
}

static void note(struct ovsdb *o, const char *what, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "%s%s", what, text);
	if (o->ops.note != NULL)
		o->ops.note(o->ops.ctx, line);
}

static void send_json(struct ovsdb *o, json_t *message) // a reference is taken
{
	char *text = json_dumps(message, JSON_COMPACT);

	if (text != NULL)
		o->ops.send(o->ops.ctx, text, strlen(text));
	free(text);
	json_decref(message);
}

void ovsdb_gone(struct ovsdb *o)
{
	json_decref(o->tables);
	o->tables = NULL;
	o->connected = o->known = o->pending = o->quoted = o->escaped = o->asked = false;
	o->heard_ns = o->owed_ns = 0;
	o->n_in = o->seen = 0;
	o->depth = 0;
}

void ovsdb_connected(struct ovsdb *o)
{
	ovsdb_gone(o);
	o->connected = true;
	o->tables = json_object();
	send_json(
		o,
		json_pack("{s:s, s:i, s:[s, n, {s:{s:[s,s,s]}, s:{s:[s,s,s]}, s:{s:[s]}, s:{s:[s,s,s]}, s:{s:[s,s]}}]}",
			  "method", "monitor", "id", ID_MONITOR, "params", "Open_vSwitch", "Bridge", "columns",
			  "datapath_id", "datapath_type", "ports", "Port", "columns", "name", "interfaces", "qos",
			  "Interface", "columns", "ofport", "QoS", "columns", "queues", "external_ids", "other_config",
			  "Queue", "columns", "external_ids", "other_config"));
}

int ovsdb_alive(struct ovsdb *o, int64_t now_ns, struct err *err)
{
	if (!o->connected)
		return 0;
	o->heard_ns = o->heard_ns == 0 ? now_ns : o->heard_ns;
	if (o->known && !o->pending)
		o->owed_ns = 0;
	else if (o->owed_ns == 0)
		o->owed_ns = now_ns;
	if (now_ns - o->heard_ns >= OVSDB_DEAD_NS)
		return err_set(err, ETIMEDOUT, "has been silent for %lld s", OVSDB_DEAD_NS / 1000000000);
	if (o->owed_ns != 0 && now_ns - o->owed_ns >= OVSDB_OWED_NS)
		return err_set(err, ETIMEDOUT, "%s for %lld s",
			       o->known ? "does not answer a change of queues" : "does not tell of its tables",
			       OVSDB_OWED_NS / 1000000000);
	if (!o->asked && now_ns - o->heard_ns >= OVSDB_IDLE_NS) {
		o->asked = true;
		send_json(o, json_pack("{s:s, s:[], s:s}", "method", "echo", "params", "id", "echo"));
	}
	return 0;
}

// Sends what is missing, unless a transaction is on its way.
static void reconcile(struct ovsdb *o, int64_t now_ns)
{
	char why[200] = "";
	json_t *ops;

	if (!o->connected || !o->known || !o->wanted || o->pending || now_ns < o->retry_ns)
		return;
	ops = ovsdb_difference(o->tables, &o->wish, why, sizeof(why));
	if (why[0] != '\0')
		note(o, "", why);
	if (ops == NULL || json_array_size(ops) == 0) {
		json_decref(ops);
		return;
	}
	json_array_insert_new(ops, 0, json_string("Open_vSwitch"));
	o->pending = true;
	o->owed_ns = now_ns;
	o->stats.transactions++;
	send_json(o, json_pack("{s:s, s:i, s:o}", "method", "transact", "id", ID_TRANSACT, "params", ops));
}

// malloc'ed, and one byte at least; NULL: out of memory.
static void *copy_of(const void *from, size_t size)
{
	void *copy = malloc(size + 1);

	if (copy != NULL && size > 0)
		memcpy(copy, from, size);
	return copy;
}

int ovsdb_want(struct ovsdb *o, const struct ovsdb_wish *wish, int64_t now_ns)
{
	struct ovsdb_wish copy = *wish;

	copy.queues = copy_of(wish->queues, wish->n_queues * sizeof(*wish->queues));
	copy.but = copy_of(wish->but, wish->n_but * sizeof(*wish->but));
	if (copy.queues == NULL || copy.but == NULL) {
		free((void *)copy.queues);
		free((void *)copy.but);
		return -ENOMEM;
	}
	forget_wish(o);
	o->wish = copy;
	o->wanted = true;
	reconcile(o, now_ns);
	return 0;
}

void ovsdb_turn(struct ovsdb *o, int64_t now_ns)
{
	if (o->retry_ns == INT64_MIN || now_ns < o->retry_ns)
		return;
	o->retry_ns = INT64_MIN;
	reconcile(o, now_ns);
}

// --- messages

// {table: {uuid: {"new": row}}}; without "new" the row is gone.
static int take_updates(struct ovsdb *o, const json_t *updates, struct err *err)
{
	size_t n_rows = 0;
	const char *table, *uuid;
	json_t *rows, *change;

	json_object_foreach((json_t *)updates, table, rows)
	{
		json_t *known = json_object_get(o->tables, table);

		if (known == NULL) {
			known = json_object();
			json_object_set_new(o->tables, table, known);
		}
		json_object_foreach(rows, uuid, change)
		{
			json_t *now = json_object_get(change, "new");

			if (now == NULL)
				json_object_del(known, uuid);
			else
				json_object_set(known, uuid, now);
		}
	}
	o->stats.n_updates++;
	o->stats.n_queues = ovsdb_count_ours(o->tables, "Queue");
	json_object_foreach(o->tables, table, rows) n_rows += json_object_size(rows);
	return n_rows <= OVSDB_ROWS_MAX ? 0 : err_set(err, E2BIG, "has over %d rows", OVSDB_ROWS_MAX);
}

// A transaction's result has an error for an operation that failed; then nothing was done.
static void take_result(struct ovsdb *o, const json_t *message, int64_t now_ns)
{
	const json_t *result = json_object_get(message, "result"), *error = json_object_get(message, "error");
	bool failed = json_is_object(error);
	size_t i;
	json_t *one;

	o->pending = false;
	json_array_foreach(result, i, one)
	{
		if (!failed && json_object_get(one, "error") != NULL) {
			failed = true;
			error = one;
		}
	}
	if (failed) {
		char *text = json_dumps(error, JSON_COMPACT);

		o->stats.failures++;
		o->retry_ns = now_ns + RETRY_NS;
		note(o, "a change of queues is refused: ", text == NULL ? "?" : text);
		free(text);
	}
}

static int take_message(struct ovsdb *o, const json_t *message, int64_t now_ns, struct err *err)
{
	const char *method = json_string_value(json_object_get(message, "method"));
	const json_t *id = json_object_get(message, "id");
	int rc = 0;

	if (method != NULL && strcmp(method, "echo") == 0) {
		send_json(o, json_pack("{s:O, s:n, s:O}", "result", json_object_get(message, "params"), "error", "id",
				       id == NULL ? json_null() : id));
	} else if (method != NULL && strcmp(method, "update") == 0) {
		rc = take_updates(o, json_array_get(json_object_get(message, "params"), 1), err);
	} else if (method == NULL && json_integer_value(id) == ID_MONITOR) {
		if (!json_is_object(json_object_get(message, "result")))
			return err_set(err, EPROTO, "the database refuses to tell of its tables");
		rc = take_updates(o, json_object_get(message, "result"), err);
		o->known = true;
	} else if (method == NULL && json_integer_value(id) == ID_TRANSACT) {
		take_result(o, message, now_ns);
	}
	if (rc == 0)
		reconcile(o, now_ns);
	return rc;
}

// The length of the first whole message, 0: there is none yet. Messages are objects one behind the other.
static size_t whole(struct ovsdb *o)
{
	for (; o->seen < o->n_in; o->seen++) {
		char c = o->in[o->seen];

		if (o->quoted) {
			o->quoted = o->escaped || c != '"';
			o->escaped = !o->escaped && c == '\\';
			continue;
		}
		if (c == '"')
			o->quoted = true;
		else if (c == '{')
			o->depth++;
		else if (c == '}' && --o->depth == 0)
			return ++o->seen;
	}
	return 0;
}

int ovsdb_input(struct ovsdb *o, const char *text, size_t len, int64_t now_ns, struct err *err)
{
	size_t n;
	int rc = 0;

	o->heard_ns = now_ns;
	o->asked = false;
	if (o->n_in + len > TEXT_MAX)
		return err_set(err, E2BIG, "a message of the database is over %d bytes", TEXT_MAX);
	if (o->n_in + len > o->cap_in) {
		size_t cap = (o->n_in + len) * 2;
		char *in = realloc(o->in, cap);

		if (in == NULL)
			return err_set(err, ENOMEM, "no memory for a message of the database");
		o->in = in;
		o->cap_in = cap;
	}
	if (len > 0)
		memcpy(o->in + o->n_in, text, len);
	o->n_in += len;
	while (rc == 0 && (n = whole(o)) > 0) {
		json_error_t error;
		json_t *message = json_loadb(o->in, n, 0, &error);

		if (message == NULL)
			return err_set(err, EPROTO, "the database sends no JSON: %s", error.text);
		rc = take_message(o, message, now_ns, err);
		json_decref(message);
		memmove(o->in, o->in + n, o->n_in - n);
		o->n_in -= n;
		o->seen = 0;
	}
	if (rc == 0 && (o->depth < 0 || (o->depth == 0 && o->n_in > 0 && o->in[0] > ' ')))
		return err_set(err, EPROTO, "the database sends no JSON object");
	return rc;
}

void ovsdb_bridges(const struct ovsdb *o, void (*fn)(void *ctx, uint64_t dpid, bool ignores_queues), void *ctx)
{
	const char *uuid;
	json_t *bridge;

	json_object_foreach(json_object_get(o->tables, "Bridge"), uuid, bridge)
	{
		const char *dpid = json_string_value(json_object_get(bridge, "datapath_id"));
		const char *type = json_string_value(json_object_get(bridge, "datapath_type"));

		if (dpid != NULL)
			fn(ctx, strtoull(dpid, NULL, 16), type != NULL && strcmp(type, "netdev") == 0);
	}
}

void ovsdb_stats(const struct ovsdb *o, struct ovsdb_stats *out)
{
	*out = o->stats;
}
