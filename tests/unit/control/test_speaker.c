// SPDX-License-Identifier: Apache-2.0
// Principals: text, and whom a grant covers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "control/speaker.h"

static struct principal parse(const char *text)
{
	struct principal p;
	struct err err;

	if (principal_parse(text, &p, &err) != 0)
		fail_msg("%s: %s", text, err.msg);
	return p;
}

static void principals_read_back_as_written(void **state)
{
	static const char *const list[] = {"alice", "alice@10.0.0.5", "alice@10.0.0.5/ssh", "alice/ssh",
					   "80",    "$a_b-c",         "a@h1.lab/x-1",       "a@2001:db8::1/ssh"};
	char text[256];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct principal p = parse(list[i]);

		principal_format(&p, text, sizeof(text));
		assert_string_equal(text, list[i]);
	}
}

static void bad_principals_are_refused(void **state)
{
	static const char *const list[] = {"",   "@h",  "/ssh",  "a@",    "a/",    "a@h/",  "a b",
					   "-a", "a.b", "a@h@i", "a/b/c", "a\xff", "a@h,i", "a@/ssh"};
	char text[80];
	struct principal p;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (principal_parse(list[i], &p, NULL) != -EINVAL)
			fail_msg("\"%s\" is a principal", list[i]);
	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	assert_int_equal(principal_parse(text, &p, NULL), 0);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(principal_parse(text, &p, NULL), -EINVAL);
}

static void one_address_is_one_principal(void **state)
{
	struct principal a = parse("alice@2001:DB8:0::0001"), b = parse("alice@2001:db8::1");

	assert_true(principal_covers(&a, &b));
	assert_string_equal(a.host, "2001:db8::1");
}

static void absent_part_of_a_grant_means_any(void **state)
{
	static const struct {
		const char *granted, *speaker;
		bool covers;
	} list[] = {
		{"alice", "alice", true},
		{"alice", "alice@10.0.0.5/ssh", true},
		{"alice", "bob", false},
		{"alice", "alicex", false},
		{"alice@10.0.0.5", "alice@10.0.0.5/ssh", true},
		{"alice@10.0.0.5", "alice@10.0.0.6/ssh", false},
		{"alice@10.0.0.5", "alice", false},
		{"alice/ssh", "alice@10.0.0.5/ssh", true},
		{"alice/ssh", "alice@10.0.0.5/web", false},
		{"alice/ssh", "alice", false},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct principal granted = parse(list[i].granted), speaker = parse(list[i].speaker);

		if (principal_covers(&granted, &speaker) != list[i].covers)
			fail_msg("%s covers %s: %d", list[i].granted, list[i].speaker, !list[i].covers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(principals_read_back_as_written),
		cmocka_unit_test(bad_principals_are_refused),
		cmocka_unit_test(one_address_is_one_principal),
		cmocka_unit_test(absent_part_of_a_grant_means_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
