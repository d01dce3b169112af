// SPDX-License-Identifier: Apache-2.0
// What is no statement, or says the impossible: the answer names line, column and what was expected, and nothing has
// changed, down to the last byte that the engine would save.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

#define NOW_NS INT64_C(1700000000000000000)

struct bad {
	const char *text;
	enum reply_code code;
	int line, column;     // 0: not the text is wrong but what it asks for
	const char *expected; // a part of the sentence
};

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, false);
	t->now_ns = NOW_NS;
	assert_int_equal(say(t, "root", "AddUser alice."), REPLY_OK);
	assert_int_equal(say(t, "root", "NewShare net0 for (dstPort=80) [reserve <= 10Mb] on rootShare."), REPLY_OK);
	assert_int_equal(say(t, "root", "deny(dstPort=80) on net0 to +1h."), REPLY_OK);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static struct checkpoint saved(const struct talk *t)
{
	struct checkpoint c;

	assert_int_equal(engine_save(t->engine, &c), 0);
	return c;
}

static void refuses(struct talk *t, const char *text, size_t len, const struct bad *b)
{
	const struct principal root = {"root", "", ""};
	struct checkpoint before = saved(t), after;
	const char *why;
	struct reply r;

	reply_init(&r);
	engine_exec(t->engine, &root, text, len, t->now_ns, &r);
	why = json_string_value(json_object_get(r.body, "why"));
	if (r.code != b->code || r.mutated || why == NULL || strstr(why, b->expected) == NULL ||
	    json_integer_value(json_object_get(r.body, "line")) != b->line ||
	    json_integer_value(json_object_get(r.body, "column")) != b->column)
		fail_msg("%.60s: %s %s\nexpected %s %d:%d %s", text, reply_code_name(r.code), why != NULL ? why : "",
			 reply_code_name(b->code), b->line, b->column, b->expected);
	after = saved(t);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.bytes, after.bytes, after.n);
	free(before.bytes);
	free(after.bytes);
	reply_fini(&r);
}

static void refuses_all(struct talk *t, const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++)
		refuses(t, bad[i].text, strlen(bad[i].text), &bad[i]);
}

#define REFUSES_ALL(t, table) refuses_all(t, table, sizeof(table) / sizeof((table)[0]))

static void what_is_cut_short_names_the_place(void **state)
{
	static const struct bad bad[] = {
		{"", REPLY_SYNTAX, 1, 1, "expected a "},
		{"deny", REPLY_SYNTAX, 1, 5, "expected "},
		{"deny(", REPLY_SYNTAX, 1, 6, "expected "},
		{"deny(dstPort=80", REPLY_SYNTAX, 1, 16, "expected "},
		{"deny(dstPort=80)\n  on", REPLY_SYNTAX, 2, 5, "expected the name of a share"},
		{"reserve(*) = on net0.", REPLY_SYNTAX, 1, 14, "expected "},
		{"NewShare x for (*) [reserve <= 1Mb on net0.", REPLY_BAD_PRIVILEGE, 1, 36, "expected a privilege"},
		{"AddUser bob. /* and so on", REPLY_SYNTAX, 1, 14, "the comment that starts here"},
		{"cancel\n\n\n 1 2.", REPLY_SYNTAX, 4, 4, "expected "},
	};

	REFUSES_ALL(*state, bad);
}

static void integers_have_limits(void **state)
{
	static const struct bad bad[] = {
		{"reserve(dstPort=80) = 9223372036854775808b on net0.", REPLY_BAD_VALUE, 1, 23, "2^63-1"},
		{"reserve(dstPort=80) = 9223372036855Mb on net0.", REPLY_BAD_VALUE, 1, 23, "2^63-1"},
		{"reserve(dstPort=80) = 99999999999999999999999999999999 on net0.", REPLY_BAD_VALUE, 1, 23, "2^63-1"},
		{"reserve(dstPort=80) = 9223372036854775807b on net0.", REPLY_SCHEDULE_FULL, 0, 0, "share net0"},
		{"reserve(dstPort=80) = 0 on net0.", REPLY_BAD_VALUE, 1, 23, "over zero"},
		{"reserve(dstPort=80) = -1 on net0.", REPLY_BAD_VALUE, 1, 23, "expected "},
		{"deny(dstPort=80) on net0 to 9999-12-31T23:59:59Z.", REPLY_BAD_TIME, 1, 29, "2262"},
		{"deny(dstPort=80) on net0 to +999999999999d.", REPLY_BAD_TIME, 1, 29, "2262"},
		{"deny(dstPort=80) on net0 to 9223372036854775807.", REPLY_BAD_TIME, 1, 29, "2262"},
		{"deny(dstPort=80) on net0 to 2026-13-01T00:00:00Z.", REPLY_BAD_TIME, 1, 29, "expected "},
		{"deny(dstPort=80) on net0 to +10 from +20.", REPLY_SYNTAX, 1, 33, "expected the end"},
		{"deny(dstPort=80) on net0 from +20 to +10.", REPLY_BAD_TIME, 0, 0, ""},
		{"deny(dstPort=65536) on net0.", REPLY_BAD_VALUE, 1, 14, "0..65535"},
		{"deny(vlan=4096) on net0.", REPLY_BAD_VALUE, 1, 11, "4095"},
		{"deny(transport=256) on net0.", REPLY_BAD_VALUE, 1, 16, "255"},
		{"deny(srcHost=10.0.0.0/33) on net0.", REPLY_BAD_VALUE, 1, 14, "prefix"},
		{"cancel 18446744073709551616.", REPLY_BAD_VALUE, 1, 8, ""},
		{"cancel 9223372036854775807.", REPLY_NO_REQUEST, 0, 0, "9223372036854775807"},
	};

	REFUSES_ALL(*state, bad);
}

static void names_in_use_and_names_of_nobody(void **state)
{
	static const struct bad bad[] = {
		{"AddUser alice.", REPLY_DUP_USER, 0, 0, "there is a user alice already"},
		{"AddUser root.", REPLY_DUP_USER, 0, 0, "root"},
		{"NewShare net0 for (*) on rootShare.", REPLY_DUP_SHARE, 0, 0, "there is a share net0 already"},
		{"NewShare rootShare for (*) on rootShare.", REPLY_DUP_SHARE, 0, 0, "rootShare"},
		{"Grant net0 to bob.", REPLY_NO_USER, 0, 0, "there is no user bob"},
		{"deny(*) on net1.", REPLY_NO_SHARE, 0, 0, "there is no share net1"},
		{"deny(srcHost=h9) on net0.", REPLY_UNKNOWN_HOST, 1, 14, "h9"},
		{"deny(fooPort=1) on net0.", REPLY_UNKNOWN_FIELD, 1, 6, "fooPort"},
		{"Frobnicate.", REPLY_SYNTAX, 1, 1, "\"Frobnicate\""},
		{"deny() on net0.", REPLY_EMPTY_GROUP, 1, 6, ""},
	};

	REFUSES_ALL(*state, bad);
}

static void bytes_that_are_no_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		struct bad bad;
	} cases[] = {
		{"\0\0\0", 3, {NULL, REPLY_SYNTAX, 1, 1, "got \"\\x00\""}},
		{"deny(\xff) on net0.", 14, {NULL, REPLY_SYNTAX, 1, 6, "\\xff"}},
		{"AddUser al\0ice.", 15, {NULL, REPLY_SYNTAX, 1, 11, "\\x00"}},
		{"AddUser b\xc3\xb6"
		 "b.",
		 12,
		 {NULL, REPLY_SYNTAX, 1, 10, "\\xc3"}},
		{"\x7f"
		 "ELF\2\1\1",
		 7,
		 {NULL, REPLY_SYNTAX, 1, 1, "\\x7f"}},
		{"\x16\x03\x01\x02", 4, {NULL, REPLY_SYNTAX, 1, 1, "\\x16"}}, // a TLS client on the wrong port
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuses(*state, cases[i].text, cases[i].len, &cases[i].bad);
}

// n times the unit, then the end.
static void repeated(struct talk *t, const char *start, const char *unit, size_t n, const struct bad *b)
{
	size_t unit_len = strlen(unit), len = strlen(start);
	char *text = malloc(len + n * unit_len + 1);

	memcpy(text, start, len);
	for (size_t i = 0; i < n; i++, len += unit_len)
		memcpy(text + len, unit, unit_len);
	text[len] = '\0';
	refuses(t, text, len, b);
	free(text);
}

static void nesting_and_length_end_somewhere(void **state)
{
	static const struct bad too_long = {NULL, REPLY_TOO_LONG, 1, 1, "65536"};

	repeated(*state, "deny", "(", 1000000, &too_long);
	repeated(*state, "deny(dstPort=", "{", 1000000, &too_long);
	repeated(*state, "", "a", 65537, &too_long);
	repeated(*state, "deny", "(", 65000, &(struct bad){NULL, REPLY_SYNTAX, 1, 6, "expected "});
	repeated(*state, "deny(dstPort=", "{", 65000, &(struct bad){NULL, REPLY_SYNTAX, 1, 15, "expected "});
	repeated(*state, "deny(srcUser=", "!", 65000, &(struct bad){NULL, REPLY_SYNTAX, 1, 15, "expected "});
	repeated(*state, "", "/* ", 20000, &(struct bad){NULL, REPLY_SYNTAX, 1, 1, "the comment that starts here"});
	repeated(*state, "AddUser ", "x", 200, &(struct bad){NULL, REPLY_BAD_VALUE, 1, 9, "at most 63"});
}

static void a_wrong_byte_anywhere_is_found(void **state)
{
	static const char *const statements[] = {
		"AddUser bob.",
		"NewShare x for (srcHost=10.0.0.0/8, dstPort=1-9) [reserve <= 1Mb, weight = 2, view = {hosts}] on "
		"net0.",
		"Grant net0 to bob@10.0.0.5/ssh.",
		"Revoke net0 from alice.",
		"GrantDefault net0.",
		"DropShare net0.",
		"DropUser alice.",
		"Bind alice to 10.0.0.1 TCP 80.",
		"Unbind alice from 10.0.0.1.",
		"allow(vlan=5, transport={TCP, 17}) strict on net0 from +10s to 2030-01-01T00:00:00Z.",
		"reserve(dstPort=80) = 5Mb partial on net0 to forever.",
		"ratelimit(user=alice) = 5Mb on rootShare.",
		"waypoint(*) = {10.0.0.1, 10.0.0.2} on rootShare.",
		"avoid(srcEth=00:11:22:33:44:55) = 10.0.0.1 on rootShare.",
		"hint(dstPort=80) size = 4GiB, deadline = +30s class = background on net0.",
		"cancel 1.",
		"renew 1 to +2h.",
		"GetSchedule net0.",
		"ListSharesByFlowGroup (dstPort=80).",
		"traffic(dstPort=80) on net0 last 1h.",
		"TrafficBetween 10.0.0.1 10.0.0.2.",
		"hosts behind p0.",
		"where 10.0.0.1.",
		"explain(srcHost=10.0.0.1, dstHost=10.0.0.2) at +5.",
	};

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		size_t len = strlen(statements[i]);

		for (size_t at = 0; at < len; at++) {
			const struct principal root = {"root", "", ""};
			struct talk *t = *state;
			struct checkpoint before = saved(t), after;
			int64_t column;
			char text[256];
			struct reply r;

			memcpy(text, statements[i], len);
			text[at] = '\1';
			reply_init(&r);
			engine_exec(t->engine, &root, text, len, t->now_ns, &r);
			after = saved(t);
			column = json_integer_value(json_object_get(r.body, "column"));
			if (r.code == REPLY_OK || column < 1 || column > (int64_t)at + 1 ||
			    strstr(json_string_value(json_object_get(r.body, "why")), "expected") == NULL)
				fail_msg("%s, byte %zu: %s, column %" PRId64, statements[i], at,
					 reply_code_name(r.code), column);
			assert_int_equal(before.n, after.n);
			assert_memory_equal(before.bytes, after.bytes, after.n);
			free(before.bytes);
			free(after.bytes);
			reply_fini(&r);
		}
	}
}

// Twice the same time, an earlier one: the engine's clock stands, and what is answered does not depend on it.
static void a_clock_that_steps_back_changes_nothing(void **state)
{
	struct talk *t = *state;
	struct checkpoint before = saved(t), after;

	t->now_ns -= INT64_C(3600000000000);
	engine_advance(t->engine, t->now_ns);
	after = saved(t);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.bytes, after.bytes, after.n);
	assert_true(engine_now_ns(t->engine) >= NOW_NS);
	free(before.bytes);
	free(after.bytes);
	assert_int_equal(say(t, "root", "deny(dstPort=80) on net0 to +10."),
			 REPLY_OK); // from the latest time that was seen
	assert_true(engine_next_ns(t->engine) == NOW_NS + INT64_C(10000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_cut_short_names_the_place, setup, teardown),
		cmocka_unit_test_setup_teardown(integers_have_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(names_in_use_and_names_of_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_text, setup, teardown),
		cmocka_unit_test_setup_teardown(nesting_and_length_end_somewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_byte_anywhere_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_steps_back_changes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
