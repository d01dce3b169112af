// SPDX-License-Identifier: Apache-2.0
// Queues in a database that is played: rows as they are told, transactions applied as RFC 7047 has it, and servers that
// err or lie.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/ovsdb.h"
#include "of_random.h"
#include "tests/rounds.h"

#define SECOND 1000000000LL

struct played_db {
	struct ovsdb *o;
	json_t *tables;      // name -> uuid -> row
	unsigned int n_rows; // made so far: their uuids
	json_t *asked;       // the transaction that waits for its answer, NULL: none
	json_int_t asked_id;
	bool refuses, monitored, lies; // lies: it answers what was not asked, too
	unsigned int n_asked, n_notes;
	int64_t now_ns;
};

static void tell(struct played_db *db, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len = strlen(text), at = 0;
	struct err err;

	json_decref(message);
	while (at < len) { // cut anywhere
		size_t n = 1 + rnd(40);

		n = n > len - at ? len - at : n;
		assert_int_equal(ovsdb_input(db->o, text + at, n, db->now_ns, &err), 0);
		at += n;
	}
	free(text);
}

static void on_send(void *ctx, const char *text, size_t len)
{
	struct played_db *db = ctx;
	json_t *m = json_loadb(text, len, 0, NULL);
	const char *method = json_string_value(json_object_get(m, "method"));

	assert_non_null(m);
	if (method != NULL && strcmp(method, "monitor") == 0) {
		db->monitored = true;
	} else if (method != NULL && strcmp(method, "transact") == 0) {
		assert_true(db->asked == NULL || db->lies); // one at a time
		json_decref(db->asked);
		db->asked = json_incref(json_object_get(m, "params"));
		db->asked_id = json_integer_value(json_object_get(m, "id"));
		db->n_asked++;
	}
	json_decref(m);
}

static void on_note(void *ctx, const char *text)
{
	((struct played_db *)ctx)->n_notes++;
	(void)text;
}

static json_t *table(struct played_db *db, const char *name)
{
	return json_object_get(db->tables, name);
}

static json_t *uuid_of(unsigned int n)
{
	char text[40];

	snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012u", n);
	return json_pack("[s, s]", "uuid", text);
}

// Adds a row and returns its ["uuid", ...] (a new reference); row is taken.
static json_t *add_row(struct played_db *db, const char *name, json_t *row)
{
	json_t *uuid = uuid_of(++db->n_rows);

	json_object_set_new(table(db, name), json_string_value(json_array_get(uuid, 1)), row);
	return uuid;
}

// {table: {uuid: {"new": row}}} of all there is.
static json_t *everything(struct played_db *db)
{
	json_t *all = json_object(), *rows, *row;
	const char *name, *uuid;

	json_object_foreach(db->tables, name, rows)
	{
		json_t *told = json_object();

		json_object_foreach(rows, uuid, row) json_object_set_new(told, uuid, json_pack("{s:O}", "new", row));
		json_object_set_new(all, name, told);
	}
	return all;
}

// Named uuids become those of the rows that the transaction has made.
static json_t *named(const json_t *names, json_t *value)
{
	const char *tag = json_string_value(json_array_get(value, 0));
	json_t *out;
	size_t i;
	json_t *one;

	if (!json_is_array(value))
		return json_incref(value);
	if (tag != NULL && strcmp(tag, "named-uuid") == 0) {
		out = json_object_get(names, json_string_value(json_array_get(value, 1)));
		assert_non_null(out);
		return json_incref(out);
	}
	out = json_array();
	json_array_foreach(value, i, one) json_array_append_new(out, named(names, one));
	return out;
}

static void insert_all(struct played_db *db, json_t *names)
{
	size_t i;
	json_t *op;

	json_array_foreach(db->asked, i, op)
	{
		const char *name = json_string_value(json_object_get(op, "uuid-name"));

		if (name != NULL)
			json_object_set_new(
				names, name,
				add_row(db, json_string_value(json_object_get(op, "table")), json_object()));
	}
}

static void apply_op(struct played_db *db, const json_t *names, const json_t *op)
{
	const char *what = json_string_value(json_object_get(op, "op")), *key;
	json_t *rows = table(db, json_string_value(json_object_get(op, "table"))), *row, *value;
	json_t *uuid = json_object_get(op, "uuid-name") != NULL
			       ? json_object_get(names, json_string_value(json_object_get(op, "uuid-name")))
			       : json_array_get(json_array_get(json_object_get(op, "where"), 0), 2);
	const char *id = json_string_value(json_array_get(uuid, 1));

	assert_non_null(rows);
	assert_non_null(id);
	row = json_object_get(rows, id);
	assert_non_null(row);
	if (strcmp(what, "delete") == 0) {
		json_object_del(rows, id);
		return;
	}
	json_object_foreach(json_object_get(op, "row"), key, value) json_object_set_new(row, key, named(names, value));
}

// Does what was asked, tells of it, and answers.
static void answer(struct played_db *db)
{
	json_t *names = json_object(), *before = everything(db), *now, *rows, *row, *op;
	const char *name, *uuid;
	size_t i;

	assert_non_null(db->asked);
	if (!db->refuses) {
		insert_all(db, names);
		json_array_foreach(db->asked, i, op)
		{
			if (i > 0)
				apply_op(db, names, op);
		}
	}
	json_decref(db->asked);
	db->asked = NULL;
	now = everything(db);
	json_object_foreach(before, name, rows) // those that are gone have no "new"
	{
		json_object_foreach(rows, uuid, row)
		{
			if (json_object_get(json_object_get(now, name), uuid) == NULL)
				json_object_set_new(json_object_get(now, name), uuid, json_object());
		}
	}
	tell(db, json_pack("{s:n, s:s, s:[n, o]}", "id", "method", "update", "params", now));
	tell(db, db->refuses ? json_pack("{s:I, s:[{s:s}], s:n}", "id", db->asked_id, "result", "error",
					 "constraint violation", "error")
			     : json_pack("{s:I, s:[], s:n}", "id", db->asked_id, "result", "error"));
	json_decref(before);
	json_decref(names);
}

// Until nothing more is asked.
static void settle(struct played_db *db)
{
	for (int i = 0; db->asked != NULL; i++) {
		assert_true(i < 5);
		answer(db);
	}
}

static void connect_db(struct played_db *db)
{
	db->monitored = false;
	ovsdb_connected(db->o);
	assert_true(db->monitored);
	tell(db, json_pack("{s:i, s:o, s:n}", "id", 1, "result", everything(db), "error"));
}

static json_t *ids(const char *owner, int request)
{
	if (request == 0)
		return json_pack("[s, [[s, s]]]", "map", "owner", owner);
	return json_pack("[s, [[s, s], [s, s]]]", "map", "owner", owner, "request", "99");
}

// One bridge of dpid 1 with ports 1 to 3.
static int setup(void **state)
{
	static const char *const names[] = {"Bridge", "Port", "Interface", "QoS", "Queue"};
	struct played_db *db = calloc(1, sizeof(*db));
	const struct ovsdb_ops ops = {.send = on_send, .note = on_note, .ctx = db};
	json_t *ports = json_array();

	rnd_state = 9;
	db->tables = json_object();
	for (size_t i = 0; i < 5; i++)
		json_object_set_new(db->tables, names[i], json_object());
	for (int port = 1; port <= 3; port++) {
		json_t *interface = add_row(db, "Interface", json_pack("{s:i}", "ofport", port));

		json_array_append_new(ports, add_row(db, "Port",
						     json_pack("{s:s, s:o, s:[s, []]}", "name", "p", "interfaces",
							       interface, "qos", "set")));
	}
	json_decref(add_row(db, "Bridge",
			    json_pack("{s:s, s:[s, o]}", "datapath_id", "0000000000000001", "ports", "set", ports)));
	db->o = ovsdb_create(&ops);
	assert_non_null(db->o);
	*state = db;
	return 0;
}

static int teardown(void **state)
{
	struct played_db *db = *state;

	ovsdb_destroy(db->o);
	json_decref(db->asked);
	json_decref(db->tables);
	free(db);
	return 0;
}

static struct ovsdb_queue queue(uint32_t port, uint64_t request, uint64_t bps)
{
	return (struct ovsdb_queue){1, request, bps, 10000000000, port, (uint32_t)request + 1};
}

static void want_all(struct played_db *db, const struct ovsdb_queue *queues, uint32_t n, int64_t now_ns)
{
	const struct ovsdb_wish wish = {.queues = queues, .n_queues = n, .known = true};

	assert_int_equal(ovsdb_want(db->o, &wish, now_ns), 0);
}

static size_t n_rows(struct played_db *db, const char *name)
{
	return json_object_size(table(db, name));
}

static void queues_come_change_and_go(void **state)
{
	struct played_db *db = *state;
	struct ovsdb_queue want[] = {queue(1, 7, 1000), queue(2, 7, 1000), queue(2, 8, 500)};
	struct ovsdb_stats stats;
	unsigned int n;

	connect_db(db);
	assert_int_equal(db->n_asked, 0); // nothing is wanted yet, not even nothing
	want_all(db, want, 3, db->now_ns);
	settle(db);
	assert_int_equal(n_rows(db, "QoS"), 2);
	assert_int_equal(n_rows(db, "Queue"), 5); // and one for the rest at each port
	ovsdb_stats(db->o, &stats);
	assert_int_equal(stats.n_queues, 5);
	n = db->n_asked;
	want_all(db, want, 3, db->now_ns);
	assert_int_equal(db->n_asked, n); // as it is
	want[1].min_bps = 2000;
	want_all(db, want, 3, db->now_ns);
	assert_int_equal(json_array_size(db->asked), 2); // the database's name, and one row
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 5);
	want_all(db, want, 1, db->now_ns);
	settle(db);
	assert_int_equal(n_rows(db, "QoS"), 1);
	assert_int_equal(n_rows(db, "Queue"), 2);
	want_all(db, NULL, 0, db->now_ns);
	settle(db);
	assert_int_equal(n_rows(db, "QoS") + n_rows(db, "Queue"), 0);
}

static void what_a_crash_has_left_goes_and_what_is_somebody_elses_stays(void **state)
{
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000), queue(2, 7, 1000)};
	json_t *port1 = uuid_of(2), *theirs;

	json_decref(add_row(db, "Queue",
			    json_pack("{s:o, s:[s, []]}", "external_ids", ids("pane", 1), "other_config", "map")));
	theirs = add_row(db, "QoS",
			 json_pack("{s:[s, []], s:o, s:[s, []]}", "queues", "map", "external_ids", ids("somebody", 0),
				   "other_config", "map"));
	json_decref(add_row(db, "Queue",
			    json_pack("{s:o, s:[s, []]}", "external_ids", ids("somebody", 0), "other_config", "map")));
	json_object_set_new(json_object_get(table(db, "Port"), json_string_value(json_array_get(port1, 1))), "qos",
			    json_incref(theirs));
	want_all(db, want, 2, db->now_ns);
	connect_db(db);
	settle(db);
	assert_true(json_object_get(table(db, "QoS"), json_string_value(json_array_get(theirs, 1))) != NULL);
	assert_true(json_equal(
		json_object_get(json_object_get(table(db, "Port"), json_string_value(json_array_get(port1, 1))), "qos"),
		theirs));
	assert_true(db->n_notes > 0);
	assert_int_equal(n_rows(db, "QoS"), 2);   // theirs, and ours at port 2
	assert_int_equal(n_rows(db, "Queue"), 3); // theirs, ours and its rest
	json_decref(theirs);
	json_decref(port1);
}

static void what_is_refused_is_tried_again_after_a_while(void **state)
{
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000)};

	connect_db(db);
	db->refuses = true;
	want_all(db, want, 1, db->now_ns);
	answer(db);
	assert_null(db->asked);
	want_all(db, want, 1, db->now_ns + SECOND);
	assert_null(db->asked); // not at once
	db->refuses = false;
	want_all(db, want, 1, db->now_ns + 3 * SECOND);
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 2);
}

// No news are needed for that.
static void what_is_refused_is_tried_again_by_itself(void **state)
{
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000)};

	connect_db(db);
	db->refuses = true;
	want_all(db, want, 1, db->now_ns);
	answer(db);
	db->refuses = false;
	ovsdb_turn(db->o, db->now_ns + SECOND);
	assert_null(db->asked);
	ovsdb_turn(db->o, db->now_ns + 3 * SECOND);
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 2);
}

// A bridge whose switch is not known is left as it is, with all that may be wanted there; the other one is not.
static void rows_of_a_switch_that_is_away_stay(void **state)
{
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000), queue(2, 8, 500)};
	const uint64_t one = 1, two = 2;
	struct ovsdb_wish wish = {.but = &one, .n_but = 1, .known = true};

	connect_db(db);
	want_all(db, want, 2, db->now_ns);
	settle(db);
	json_decref(add_row(db, "Queue",
			    json_pack("{s:o, s:[s, []]}", "external_ids", ids("pane", 1), "other_config", "map")));
	assert_int_equal(ovsdb_want(db->o, &wish, db->now_ns), 0); // nothing; 1 is away
	connect_db(db);
	settle(db);
	assert_int_equal(n_rows(db, "QoS"), 2);
	assert_int_equal(n_rows(db, "Queue"), 4); // what no bridge of it has goes
	wish = (struct ovsdb_wish){.queues = want, .n_queues = 1, .but = &two, .n_but = 1}; // only 2 is known
	assert_int_equal(ovsdb_want(db->o, &wish, db->now_ns), 0);
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 4);
	wish.but = &one;
	assert_int_equal(ovsdb_want(db->o, &wish, db->now_ns), 0);
	settle(db);
	assert_int_equal(n_rows(db, "QoS"), 1);
	assert_int_equal(n_rows(db, "Queue"), 2);
}

static void note_bridge(void *ctx, uint64_t dpid, bool ignores_queues)
{
	*(uint64_t *)ctx += ignores_queues ? dpid << 8 : dpid;
}

static void a_bridge_whose_datapath_ignores_queues_is_known(void **state)
{
	struct played_db *db = *state;
	struct ovsdb_stats stats;
	uint64_t noted = 0;

	json_decref(add_row(db, "Bridge",
			    json_pack("{s:s, s:s, s:[s, []]}", "datapath_id", "0000000000000002", "datapath_type",
				      "netdev", "ports", "set")));
	connect_db(db);
	ovsdb_stats(db->o, &stats);
	assert_true(stats.n_updates > 0);
	ovsdb_bridges(db->o, note_bridge, &noted);
	assert_int_equal(noted, 1 + (2 << 8));
	ovsdb_gone(db->o);
	ovsdb_bridges(db->o, note_bridge, &noted);
	assert_int_equal(noted, 1 + (2 << 8));
}

static void a_new_connection_begins_anew(void **state)
{
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000)};
	struct err err;

	connect_db(db);
	want_all(db, want, 1, db->now_ns);
	json_decref(db->asked); // it is never answered
	db->asked = NULL;
	assert_int_equal(ovsdb_input(db->o, "{\"id\":", 6, 0, &err), 0); // cut in the middle
	ovsdb_gone(db->o);
	connect_db(db);
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 2);
}

// What a server says, with bytes changed, taken out or doubled: refused, or taken, and never a change of a row that is
// not marked as ours (apply_op would find no such row, or the row of somebody else is gone).
static void servers_that_lie_do_no_harm(void **state)
{
	static const char said[] =
		"{\"id\":1,\"error\":null,\"result\":{\"Bridge\":{\"b\":{\"new\":{\"datapath_id\":\"0000000000000001\","
		"\"ports\":"
		"[\"set\",[[\"uuid\",\"p1\"],[\"uuid\",\"p2\"]]]}}},\"Port\":{\"p1\":{\"new\":{\"name\":\"x\","
		"\"interfaces\":[\"uuid\","
		"\"i1\"],\"qos\":[\"uuid\",\"q1\"]}}},\"Interface\":{\"i1\":{\"new\":{\"ofport\":1}}},\"QoS\":{\"q1\":{"
		"\"new\":{\"queues\":"
		"[\"map\",[[0,[\"uuid\",\"u1\"]]]],\"external_ids\":[\"map\",[[\"owner\",\"pane\"]]],\"other_config\":["
		"\"map\",[]]}}},"
		"\"Queue\":{\"u1\":{\"new\":{\"external_ids\":[\"map\",[[\"owner\",\"pane\"]]],\"other_config\":["
		"\"map\",[]]}}}}}"
		"{\"id\":\"e\",\"method\":\"echo\",\"params\":[]}{\"id\":2,\"result\":[{}],\"error\":null}";
	struct played_db *db = *state;
	const struct ovsdb_queue want[] = {queue(1, 7, 1000)};
	unsigned int n_refused = 0;

	db->lies = true;
	for (unsigned int i = 0; i < rounds_from_env(3000); i++) {
		char bad[2 * sizeof(said)];
		size_t len = sizeof(said) - 1, at = 0;
		struct err err;
		int rc = 0;

		memcpy(bad, said, len);
		for (unsigned int k = rnd(4); k > 0; k--) {
			size_t where = rnd((uint32_t)len), cut = rnd(12);

			if (rnd(2) == 0) {
				bad[where] = "{}[]\",:x0\\\0"[rnd(11)];
			} else if (where + cut < len && len + cut < sizeof(bad) && rnd(2) == 0) {
				memmove(bad + where + cut, bad + where, len - where);
				len += cut;
			} else if (where + cut < len) {
				memmove(bad + where, bad + where + cut, len - where - cut);
				len -= cut;
			}
		}
		ovsdb_connected(db->o);
		want_all(db, want, 1, i * 10 * SECOND);
		while (at < len && rc == 0) {
			size_t n = 1 + rnd(200);

			n = n > len - at ? len - at : n;
			rc = ovsdb_input(db->o, bad + at, n, i * 10 * SECOND, &err);
			at += n;
		}
		n_refused += rc < 0;
		json_decref(db->asked);
		db->asked = NULL;
		ovsdb_gone(db->o);
	}
	assert_true(n_refused > rounds_from_env(3000) / 10);
	db->lies = false;
	connect_db(db);
	want_all(db, want, 1, INT64_MAX);
	settle(db);
	assert_int_equal(n_rows(db, "Queue"), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(queues_come_change_and_go),
		TEST(what_a_crash_has_left_goes_and_what_is_somebody_elses_stays),
		TEST(what_is_refused_is_tried_again_after_a_while),
		TEST(what_is_refused_is_tried_again_by_itself),
		TEST(rows_of_a_switch_that_is_away_stay),
		TEST(a_bridge_whose_datapath_ignores_queues_is_known),
		TEST(a_new_connection_begins_anew),
		TEST(servers_that_lie_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
