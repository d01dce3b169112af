// SPDX-License-Identifier: Apache-2.0
// Answers: one content, two renderings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/reply.h"

static void assert_renders(const struct reply *r, const char *classic, const char *json)
{
	char *text = reply_render_classic(r);

	assert_string_equal(text, classic);
	free(text);
	text = reply_render_json(r);
	assert_string_equal(text, json);
	free(text);
}

static void accepted_is_true(void **state)
{
	struct reply r;

	reply_init(&r);
	assert_renders(&r, "True", "{\"ok\":true}");
	json_object_set_new(r.body, "id", json_integer(17));
	assert_renders(&r, "True", "{\"ok\":true,\"id\":17}");
	reply_fini(&r);
}

static void refusal_is_false_with_code_and_sentence_first(void **state)
{
	struct reply r;

	reply_init(&r);
	json_object_set_new(r.body, "share", json_string("net0"));
	assert_int_equal(reply_refuse(&r, REPLY_SCHEDULE_FULL, "share %s is full", "net0"), -1);
	json_object_set_new(r.body, "earliest", json_null());
	assert_renders(&r, "False",
		       "{\"ok\":false,\"code\":\"schedule_full\",\"why\":\"share net0 is full\",\"share\":\"net0\","
		       "\"earliest\":null}");
	reply_fini(&r);
}

static void list_is_a_count_and_its_items(void **state)
{
	struct reply r;

	reply_init(&r);
	r.is_list = true;
	assert_renders(&r, "0", "{\"ok\":true,\"items\":[]}");
	reply_item(&r, json_string("a"), "a");
	assert_renders(&r, "1; a", "{\"ok\":true,\"items\":[\"a\"]}");
	reply_item(&r, json_pack("{s:i}", "t", 0), "0,inf");
	assert_renders(&r, "2; a; 0,inf", "{\"ok\":true,\"items\":[\"a\",{\"t\":0}]}");
	reply_fini(&r);
}

static void long_lists_keep_their_order(void **state)
{
	char name[16], *text;
	struct reply r;

	reply_init(&r);
	r.is_list = true;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		reply_item(&r, json_string(name), name);
	}
	text = reply_render_classic(&r);
	assert_memory_equal(text, "100; s0; s1; s2; ", 17);
	assert_string_equal(text + strlen(text) - 5, "; s99");
	free(text);
	reply_fini(&r);
}

static void refusal_may_list_what_stands_against_it(void **state)
{
	struct reply r;

	reply_init(&r);
	reply_item(&r, json_integer(4), "4");
	reply_refuse(&r, REPLY_STRICT_CONFLICT, "request 4 decides otherwise");
	assert_renders(
		&r, "False",
		"{\"ok\":false,\"code\":\"strict_conflict\",\"why\":\"request 4 decides otherwise\",\"items\":[4]}");
	reply_fini(&r);
}

static void sentence_with_odd_bytes_stays_one_printable_line(void **state)
{
	struct reply r;

	reply_init(&r);
	reply_refuse(&r, REPLY_SYNTAX, "got %s", "\xff\n\"\x01");
	assert_renders(&r, "False", "{\"ok\":false,\"code\":\"syntax\",\"why\":\"got ??\\\"?\"}");
	reply_fini(&r);
}

static void every_code_has_its_name(void **state)
{
	for (int i = REPLY_OK; i <= REPLY_LIMIT; i++) {
		assert_non_null(reply_code_name(i));
		for (int j = REPLY_OK; j < i; j++)
			assert_string_not_equal(reply_code_name(i), reply_code_name(j));
	}
	assert_string_equal(reply_code_name(REPLY_NOT_ROOT), "not_root");
	assert_string_equal(reply_code_name(REPLY_NO_REQUEST), "no_request");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_is_true),
		cmocka_unit_test(refusal_is_false_with_code_and_sentence_first),
		cmocka_unit_test(list_is_a_count_and_its_items),
		cmocka_unit_test(long_lists_keep_their_order),
		cmocka_unit_test(refusal_may_list_what_stands_against_it),
		cmocka_unit_test(sentence_with_odd_bytes_stays_one_printable_line),
		cmocka_unit_test(every_code_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
