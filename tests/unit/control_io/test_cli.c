// SPDX-License-Identifier: Apache-2.0
// panectl's parts that need no terminal: drawings, completion, scripts; and what ListShares tells for them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/check.h"
#include "control/cli/complete.h"
#include "control/cli/draw.h"
#include "control/cli/queues.h"
#include "control/cli/show.h"
#include "control/cli/show_trace.h"
#include "control/engine.h"
#include "io_fixture.h"

static char *drawn(bool utf8, unsigned int width, const char *share, const char *json)
{
	json_t *items = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	struct draw d = {.width = width, .utf8 = utf8, .out = open_memstream(&text, &len)};

	assert_non_null(items);
	if (share != NULL)
		draw_schedule(&d, share, items);
	else
		draw_tree(&d, items);
	fclose(d.out);
	json_decref(items);
	return text;
}

static void queues_are_drawn_as_the_share_tree_lined_up(void **state)
{
	static const char items[] =
		"[{\"port\":\"p1\",\"rate\":100000000,\"received\":99000000,\"queues\":3,\"backlog_bytes\":5000,"
		"\"dropped\":7,"
		"\"late_us\":1500},"
		"{\"request\":4,\"verb\":\"reserve\",\"share\":\"video\",\"rate\":40000000,\"received\":41500000,"
		"\"backlog_bytes\":1500,\"dropped\":0,\"marked\":0,\"delay_p50_us\":48,\"delay_p99_us\":96},"
		"{\"request\":5,\"verb\":\"ratelimit\",\"share\":\"net0\",\"rate\":2000000,\"received\":1990000,"
		"\"backlog_bytes\":64000,\"dropped\":12,\"marked\":3,\"delay_p50_us\":65536,\"delay_p99_us\":98304},"
		"{\"share\":\"net0\",\"parent\":null,\"weight\":1,\"promised\":40000000,\"received\":43490000,"
		"\"backlog_bytes\":65500,\"dropped\":12,\"marked\":3},"
		"{\"share\":\"video\",\"parent\":\"net0\",\"weight\":3,\"promised\":40000000,\"received\":41500000,"
		"\"backlog_bytes\":1500,\"dropped\":0,\"marked\":0},"
		"{\"queue\":1,\"port\":\"p1\",\"share\":\"video\",\"reservations\":[4]}]";
	json_t *parsed = json_loads(items, 0, NULL);
	char *text = NULL;
	size_t len;
	struct draw d = {.width = 80, .out = open_memstream(&text, &len)};

	assert_non_null(parsed);
	queues_draw(&d, parsed);
	fclose(d.out);
	assert_string_equal(text,
			    "SHARE, REQUEST          PROMISED     RECEIVED  WAITING  DELAY 50, 99%  LOST  MARKED\n"
			    "net0                   40 Mbit/s  43.5 Mbit/s  65.5 kB              -    12       3\n"
			    "|- 5 ratelimit       <= 2 Mbit/s  1.99 Mbit/s    64 kB  65.5, 98.3 ms    12       3\n"
			    "`- video (weight 3)    40 Mbit/s  41.5 Mbit/s   1.5 kB              -     0       0\n"
			    "   `- 4 reserve        40 Mbit/s  41.5 Mbit/s   1.5 kB      48, 96 us     0       0\n"
			    "\n"
			    "PORT        RATE   RECEIVED  WAITING  QUEUES  LOST  BEHIND\n"
			    "p1    100 Mbit/s  99 Mbit/s     5 kB       3     7  1.5 ms\n");
	json_decref(parsed);
	free(text);
}

static void assert_fits(const char *text, size_t width)
{
	size_t columns = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			columns = 0;
		else
			columns += (*text & 0xc0) != 0x80;
		assert_true(columns <= width);
	}
}

static void a_schedule_is_drawn_to_scale(void **state)
{
	char *text = drawn(false, 40, "net0",
			   "[{\"at\":\"100\",\"bandwidth\":100000000,\"tokens\":0},"
			   "{\"at\":\"120\",\"bandwidth\":50000000,\"tokens\":0},"
			   "{\"at\":\"180\",\"bandwidth\":100000000,\"tokens\":0}]");

	assert_string_equal(text, "net0: free bandwidth\n"
				  "100 Mbit/s |######.                 .###\n"
				  "           |######.                 .###\n"
				  " 80 Mbit/s |######.                 .###\n"
				  "           |######.                 .###\n"
				  " 60 Mbit/s |######.                 .###\n"
				  "           |############################\n"
				  " 40 Mbit/s |############################\n"
				  "           |############################\n"
				  " 20 Mbit/s |############################\n"
				  "           |############################\n"
				  "         0 +-------+------+------+------\n"
				  "            now    +22.5s +45s   +67.5s\n"
				  "now 100 Mbit/s, least 50 Mbit/s from +20s,\n"
				  "from +80s on 100 Mbit/s for ever\n");
	free(text);
}

static void no_drawing_is_wider_than_the_terminal(void **state)
{
	const char *schedule = "[{\"at\":\"1763720000.123456789\",\"bandwidth\":1,\"tokens\":0},"
			       "{\"at\":\"1763720001\",\"bandwidth\":0,\"tokens\":0},"
			       "{\"at\":\"1773720000\",\"bandwidth\":9223372036854775807,\"tokens\":0}]";
	const char *tree =
		"[{\"name\":\"rootShare\",\"parent\":null,\"reserve_max\":\"inf\",\"reserved\":5,\"requests\":1},"
		"{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"parent\":"
		"\"rootShare\",\"reserve_max\":123456789,\"reserved\":123456,\"requests\":12345678}]";

	for (unsigned int width = 40; width < 250; width++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			char *text = drawn(utf8, width, "net0", schedule);

			assert_fits(text, width);
			free(text);
			text = drawn(utf8, width, NULL, tree);
			assert_fits(text, width < 60 ? 60 : width);
			free(text);
		}
	}
}

static void schedules_without_a_shape_have_words(void **state)
{
	char *text = drawn(true, 80, "r", "[{\"at\":\"0\",\"bandwidth\":\"inf\",\"tokens\":\"inf\"}]");

	assert_string_equal(text, "r: free bandwidth\nno limit\n");
	free(text);
	text = drawn(true, 80, "r", "[{\"at\":\"0\",\"bandwidth\":0,\"tokens\":0}]");
	assert_non_null(strstr(text, "now 0 bit/s, for ever\n"));
	free(text);
	text = drawn(true, 80, "r", "[]");
	assert_string_equal(text, "r: free bandwidth\nno limit\n");
	free(text);
}

static void a_tree_shows_who_is_below_whom(void **state)
{
	char *text = drawn(false, 60, NULL,
			   "[{\"name\":\"a\",\"parent\":\"unseen\",\"reserve_max\":100000000,\"reserved\":25000000,"
			   "\"requests\":3},"
			   "{\"name\":\"b\",\"parent\":\"a\",\"reserve_max\":0,\"reserved\":0,\"requests\":0},"
			   "{\"name\":\"c\",\"parent\":\"b\",\"reserve_max\":0,\"reserved\":0,\"requests\":0},"
			   "{\"name\":\"d\",\"parent\":\"a\",\"reserve_max\":\"inf\",\"reserved\":1,\"requests\":1}]");

	assert_string_equal(text, "SHARE    MAY RESERVE   RESERVED  REQUESTS\n"
				  "a         100 Mbit/s  25 Mbit/s         3  ####.............\n"
				  "|- b         0 bit/s    0 bit/s         0\n"
				  "|  `- c      0 bit/s    0 bit/s         0\n"
				  "`- d        no limit    1 bit/s         1\n");
	free(text);
}

static void a_tree_tells_apart_what_is_reserved_and_not_kept(void **state)
{
	char *text = drawn(false, 60, NULL,
			   "[{\"name\":\"a\",\"parent\":null,\"reserve_max\":100000000,\"reserved\":25000000,"
			   "\"suspended\":10000000,\"requests\":3},"
			   "{\"name\":\"b\",\"parent\":\"a\",\"reserve_max\":0,\"reserved\":0,\"requests\":0}]");

	assert_string_equal(text, "SHARE  MAY RESERVE   RESERVED  SUSPENDED  REQUESTS\n"
				  "a       100 Mbit/s  25 Mbit/s  10 Mbit/s         3  ##......\n"
				  "`- b       0 bit/s    0 bit/s                    0\n");
	free(text);
}

static char *shown(const char *json)
{
	json_t *answer = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(answer);
	show_answer(answer, out);
	fclose(out);
	json_decref(answer);
	return text;
}

static void requests_are_shown_with_state_and_why_and_large_rates(void **state)
{
	char *text = shown("{\"ok\":true,\"items\":[3],\"requests\":[{\"id\":3,\"verb\":\"reserve\",\"share\":\"n\","
			   "\"start\":\"0\",\"end\":null,\"rate\":10000000,\"state\":\"suspended\",\"suspended\":true,"
			   "\"why\":\"there is no path\",\"groups\":[\"(*)\"]}]}");

	assert_non_null(strstr(text, "  forever  suspended: there is no path  (*)\n"));
	free(text);
	text = shown("{\"ok\":true,\"granted\":5000000000000000000}");
	assert_string_equal(text, "accepted, 5 Ebit/s granted\n");
	free(text);
	text = shown("{\"ok\":true,\"packet\":{\"srcEth\":\"00:00:00:00:00:00\",\"srcHost\":\"10.7.0.1\",\"vlan\":0,"
		     "\"dstPort\":80},\"at\":\"0\",\"action\":\"forward\",\"access\":\"none\",\"by\":null,"
		     "\"suspended\":[{\"request\":3,\"why\":\"there is no path\"}],\"items\":[]}");
	assert_non_null(strstr(text, "\npacket: srcHost=10.7.0.1 dstPort=80\n"));
	assert_non_null(strstr(text, "request 3 is suspended, beside its access: there is no path\n"));
	free(text);
}

static void assert_completes(const char *text, enum complete_what what, size_t word_len)
{
	size_t len = 99;

	if (complete_what(text, strlen(text), &len) != what || len != word_len)
		fail_msg("\"%s\"", text);
}

static void what_is_completed_depends_on_what_stands_before(void **state)
{
	assert_completes("", COMPLETE_VERB, 0);
	assert_completes("Ge", COMPLETE_VERB, 2);
	assert_completes("AddUser alice. re", COMPLETE_VERB, 2);
	assert_completes("help re", COMPLETE_VERB, 2);
	assert_completes("GetSchedule ne", COMPLETE_SHARE, 2);
	assert_completes("reserve(*) = 5 on ", COMPLETE_SHARE, 0);
	assert_completes("NewShare x for (*) on root", COMPLETE_SHARE, 4);
	assert_completes("Grant ", COMPLETE_SHARE, 0);
	assert_completes("Grant net0 to al", COMPLETE_USER, 2);
	assert_completes("Bind ", COMPLETE_USER, 0);
	assert_completes("deny(srcUser=", COMPLETE_USER, 0);
	assert_completes("deny(dstPort=80, user=!{alice, b", COMPLETE_USER, 1);
	assert_completes("deny(dstPort=8", COMPLETE_NOTHING, 1);
	assert_completes("deny(dst", COMPLETE_FIELD, 3);
	assert_completes("deny(dstPort={80, 81}, src", COMPLETE_FIELD, 3);
	assert_completes("deny(dstPort={80, 8", COMPLETE_NOTHING, 1);
	assert_completes("traffic(*) on ne", COMPLETE_SHARE, 2);
	assert_completes("explain(srcHost=10.0.0.1, ", COMPLETE_FIELD, 0);
	assert_completes("hosts behind p", COMPLETE_PORT, 1);
	assert_completes("hint(dstPort=80) si", COMPLETE_HINT, 2);
	assert_completes("hint(dstPort={80,81}) size = 2GB, dead", COMPLETE_HINT, 4);
	assert_completes("hint(dstPort=80) size = 2GB on ", COMPLETE_SHARE, 0);
	assert_completes("deny(*) on net0 to ", COMPLETE_NOTHING, 0);
	assert_completes("AddUser al", COMPLETE_NOTHING, 2);
}

static void names_are_completed_as_far_as_they_agree(void **state)
{
	json_t *names = json_pack("[sssss]", "netB", "net0", "other", "netA", "netA"), *found;
	size_t common;

	found = complete_match(names, "n", 1, &common);
	assert_int_equal(common, 2);
	assert_int_equal(json_array_size(found), 3);
	assert_string_equal(json_string_value(json_array_get(found, 0)), "net0");
	json_decref(found);
	found = complete_match(names, "netA", 4, &common);
	assert_int_equal(common, 0);
	assert_int_equal(json_array_size(found), 1);
	json_decref(found);
	found = complete_match(names, "x", 1, &common);
	assert_int_equal(json_array_size(found), 0);
	json_decref(found);
	found = complete_match(NULL, "x", 1, &common);
	assert_int_equal(json_array_size(found), 0);
	json_decref(found);
	json_decref(names);
}

static json_t *list_shares(struct engine *e, const char *speaker)
{
	struct principal who;
	struct reply r;
	json_t *shares;

	assert_int_equal(principal_parse(speaker, &who, NULL), 0);
	reply_init(&r);
	engine_exec(e, &who, "ListShares.", 11, 0, &r);
	shares = json_incref(json_object_get(r.body, "shares"));
	reply_fini(&r);
	return shares;
}

static int play(void *ctx, unsigned int line, const struct principal *speaker, const char *statement, size_t len)
{
	struct reply r;
	int rc;

	reply_init(&r);
	engine_exec(ctx, speaker, statement, len, 0, &r);
	rc = r.code == REPLY_OK ? 0 : (int)line;
	reply_fini(&r);
	return rc;
}

static json_t *share_of(const json_t *shares, const char *name)
{
	json_t *share;
	size_t i;

	json_array_foreach((json_t *)shares, i, share)
	{
		if (strcmp(json_string_value(json_object_get(share, "name")), name) == 0)
			return share;
	}
	return NULL;
}

static void assert_reserved(const json_t *shares, const char *name, json_int_t reserved, json_int_t requests)
{
	const json_t *share = share_of(shares, name);

	assert_non_null(share);
	assert_int_equal(json_integer_value(json_object_get(share, "reserved")), reserved);
	assert_int_equal(json_integer_value(json_object_get(share, "requests")), requests);
}

static const char script[] = "// a script\n"
			     "root : AddUser alice. // comment\n"
			     "root : NewShare a for (*) [reserve <= 100Mb] on rootShare.\n"
			     "root : NewShare aa for (*)\n   [reserve <= 50Mb] on a.\n"
			     "root : NewShare b for (*) [reserve <= 10Mb] on rootShare.\n"
			     "// BEGIN\n"
			     "root : Grant a to alice/app.\n"
			     "alice/app : reserve(dstPort=1) = 10Mb on a to +10.\n"
			     "root : reserve(dstPort=2) = 20Mb on aa to +10.\n"
			     "root : reserve(dstPort=3) = 5Mb on rootShare to +10.\n"
			     "root : reserve(dstPort=4) = 7Mb on aa from +10 to +20.\n";

static void shares_are_told_with_what_is_reserved_to_those_who_may_see(void **state)
{
	const struct engine_conf conf = {.offline = true};
	struct nib *nib = nib_create();
	struct engine *e = engine_create(&conf, nib, 0);
	char dir[64], path[128];
	json_t *shares;
	struct err err;

	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/s.pane", dir);
	write_file(path, script, strlen(script));
	assert_int_equal(check_script(path, play, e, &err), 0);
	shares = list_shares(e, "root");
	assert_int_equal(json_array_size(shares), 4);
	assert_reserved(shares, "rootShare", 35000000, 4);
	assert_reserved(shares, "a", 30000000, 3);
	assert_reserved(shares, "aa", 20000000, 2); // the one of later not yet
	assert_reserved(shares, "b", 0, 0);
	json_decref(shares);
	shares = list_shares(e, "alice/app");
	assert_int_equal(json_array_size(shares), 2);
	assert_reserved(shares, "aa", 20000000, 2);
	assert_true(json_is_false(json_object_get(share_of(shares, "aa"), "speaks")));
	json_decref(shares);
	// a share that lets no schedule be seen
	write_file(path,
		   "root : NewShare dim for (*) [reserve <= 1Mb, view = {ports}] on rootShare.\n"
		   "root : Grant dim to alice.\n",
		   strlen("root : NewShare dim for (*) [reserve <= 1Mb, view = {ports}] on rootShare.\n"
			  "root : Grant dim to alice.\n"));
	assert_int_equal(check_script(path, play, e, &err), 0);
	shares = list_shares(e, "alice/app");
	assert_true(json_is_null(json_object_get(share_of(shares, "dim"), "reserved")));
	assert_reserved(shares, "a", 30000000, 3);
	json_decref(shares);
	shares = list_shares(e, "alice/none");
	assert_int_equal(json_array_size(shares), 1); // dim
	json_decref(shares);
	tmpdir_remove(dir);
	engine_destroy(e);
	nib_destroy(nib);
}

static void a_line_that_is_none_is_named(void **state)
{
	const char *const bad[] = {"root : AddUser a.\nroot AddUser b.\n", "root : AddUser a.\nroot : AddUser b\n",
				   "root : AddUser a.\n@x : AddUser b.\n"};
	const struct engine_conf conf = {.offline = true};
	struct nib *nib = nib_create();
	struct engine *e = engine_create(&conf, nib, 0);
	char dir[64], path[128];
	struct err err;

	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/s.pane", dir);
	for (size_t i = 0; i < 3; i++) {
		write_file(path, bad[i], strlen(bad[i]));
		assert_true(check_script(path, play, e, &err) != 0);
		if (i == 0)
			assert_non_null(strstr(err.msg, "s.pane:2: not a line of the form SPEAKER : STATEMENT."));
	}
	write_file(path, bad[0], strlen(bad[0]));
	assert_int_equal(check_script(path, play, e, &err), 1); // the first line, refused: what fn returned
	tmpdir_remove(dir);
	assert_int_equal(check_script(path, play, e, &err), -2);
	engine_destroy(e);
	nib_destroy(nib);
}

static void tests_of_a_trace_need_no_commas(void **state)
{
	static const struct {
		const char *given[3], *statement;
	} cases[] = {
		{{"srcHost=10.0.0.5 dstPort=80"}, "trace(srcHost=10.0.0.5, dstPort=80)."},
		{{"srcHost=10.0.0.5", "dstPort=80"}, "trace(srcHost=10.0.0.5, dstPort=80)."},
		{{" (srcHost = h1,dstPort <= 80). "}, "trace(srcHost = h1,dstPort <= 80)."},
		{{"srcHost = h1  dstPort >= 80 srcUser=!{alice, bob}"},
		 "trace(srcHost = h1, dstPort >= 80, srcUser=!{alice, bob})."},
		{{"dstPort={80, 443} ,  vlan=7"}, "trace(dstPort={80, 443} ,vlan=7)."},
		{{"nonsense here"}, "trace(nonsense here)."},
		{{""}, "trace()."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *given[] = {(char *)cases[i].given[0], (char *)cases[i].given[1]};
		char *text = trace_statement(given, given[1] == NULL ? 1 : 2);

		assert_string_equal(text, cases[i].statement);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tests_of_a_trace_need_no_commas),
		cmocka_unit_test(a_schedule_is_drawn_to_scale),
		cmocka_unit_test(queues_are_drawn_as_the_share_tree_lined_up),
		cmocka_unit_test(no_drawing_is_wider_than_the_terminal),
		cmocka_unit_test(schedules_without_a_shape_have_words),
		cmocka_unit_test(a_tree_shows_who_is_below_whom),
		cmocka_unit_test(a_tree_tells_apart_what_is_reserved_and_not_kept),
		cmocka_unit_test(requests_are_shown_with_state_and_why_and_large_rates),
		cmocka_unit_test(what_is_completed_depends_on_what_stands_before),
		cmocka_unit_test(names_are_completed_as_far_as_they_agree),
		cmocka_unit_test(shares_are_told_with_what_is_reserved_to_those_who_may_see),
		cmocka_unit_test(a_line_that_is_none_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
