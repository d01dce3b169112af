// SPDX-License-Identifier: Apache-2.0
// Databases that are silent, owe an answer, or come to no end of their rows: how long they are waited for, and how much
// is kept.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/ovsdb.h"

#define SECOND 1000000000LL

static char last_sent[200];
static unsigned int n_sent;

static void keep_sent(void *ctx, const char *text, size_t len)
{
	n_sent++;
	snprintf(last_sent, sizeof(last_sent), "%.*s", (int)len, text);
	(void)ctx;
}

static int say(struct ovsdb *o, const char *text, int64_t now_ns)
{
	struct err err;

	return ovsdb_input(o, text, strlen(text), now_ns, &err);
}

static void a_database_that_says_nothing_is_asked_and_given_up(void **state)
{
	static const char answer[] = "{\"id\":\"echo\",\"result\":[],\"error\":null}";
	const struct ovsdb_ops ops = {.send = keep_sent};
	struct ovsdb *o = ovsdb_create(&ops);
	int64_t now_ns = SECOND;
	struct err err;

	assert_int_equal(ovsdb_alive(o, now_ns, &err), 0); // not connected
	assert_int_equal(ovsdb_alive(o, 100 * SECOND, &err), 0);
	ovsdb_connected(o);
	assert_int_equal(say(o, "{\"id\":1,\"result\":{},\"error\":null}", now_ns), 0);
	n_sent = 0;
	for (int i = 0; i < 100; i++) { // it is there
		assert_int_equal(ovsdb_alive(o, now_ns, &err), 0);
		if (n_sent > 0) {
			assert_non_null(strstr(last_sent, "\"echo\""));
			assert_int_equal(say(o, answer, now_ns), 0);
			n_sent = 0;
		}
		now_ns += SECOND;
	}
	assert_int_equal(say(o, answer, now_ns), 0);
	n_sent = 0;
	for (int i = 0; i < 15; i++)
		assert_int_equal(ovsdb_alive(o, now_ns + i * SECOND, &err), 0);
	assert_int_equal(n_sent, 1);
	assert_int_equal(ovsdb_alive(o, now_ns + 15 * SECOND, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "silent for 15 s"));
	ovsdb_destroy(o);
	(void)state;
}

static void nor_may_it_owe_an_answer_for_ever(void **state)
{
	const struct ovsdb_ops ops = {.send = keep_sent};
	const struct ovsdb_wish wish = {.known = true};
	struct err err;

	for (int knows = 0; knows < 2; knows++) {
		struct ovsdb *o = ovsdb_create(&ops);
		int64_t now_ns = SECOND;
		int rc = 0;

		ovsdb_connected(o);
		assert_int_equal(ovsdb_alive(o, now_ns, &err), 0);
		if (knows) { // a queue of ours that is not wanted
			assert_int_equal(say(o,
					     "{\"id\":1,\"error\":null,\"result\":{\"Queue\":{\"q\":{\"new\":"
					     "{\"external_ids\":[\"map\",[[\"owner\",\"pane\"]]],"
					     "\"other_config\":[\"map\",[]]}}}}}",
					     now_ns),
					 0);
			assert_int_equal(ovsdb_want(o, &wish, now_ns), 0);
			assert_non_null(strstr(last_sent, "transact"));
		}
		for (; rc == 0 && now_ns < 100 * SECOND; now_ns += SECOND) {
			assert_int_equal(say(o, "{\"method\":\"echo\",\"id\":7,\"params\":[]}", now_ns), 0);
			rc = ovsdb_alive(o, now_ns, &err);
		}
		assert_int_equal(rc, -ETIMEDOUT);
		assert_int_equal(now_ns, 62 * SECOND);
		assert_non_null(strstr(err.msg, knows ? "does not answer a change" : "does not tell of its tables"));
		ovsdb_destroy(o);
	}
	(void)state;
}

static void rows_without_end_are_not_kept(void **state)
{
	const struct ovsdb_ops ops = {.send = keep_sent};
	struct ovsdb *o = ovsdb_create(&ops);
	static char text[1 << 20];
	int row = 0, rc = 0;

	ovsdb_connected(o);
	assert_int_equal(say(o, "{\"id\":1,\"result\":{},\"error\":null}", 1), 0);
	for (int i = 0; i < 400 && rc == 0; i++) {
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "{\"method\":\"update\",\"id\":null,\"params\":[null,"
					    "{\"Port\":{");

		for (int k = 0; k < 1024; k++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"%d\":{\"new\":{}}", k == 0 ? "" : ",",
					      row++);
		snprintf(text + n, sizeof(text) - n, "}}]}");
		rc = say(o, text, 1);
	}
	assert_int_equal(rc, -E2BIG);
	assert_int_equal(row, OVSDB_ROWS_MAX + 1024);
	ovsdb_destroy(o);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_database_that_says_nothing_is_asked_and_given_up),
		cmocka_unit_test(nor_may_it_owe_an_answer_for_ever),
		cmocka_unit_test(rows_without_end_are_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
