// SPDX-License-Identifier: Apache-2.0
// panectl stats: two answers to `ports` and the time between them -> packets and bits a second.
#include "control/cli/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// text: JSON with ' for ".
static json_t *json(const char *text)
{
	char *quoted = strdup(text);
	json_error_t error;
	json_t *value;

	for (char *c = quoted; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	value = json_loads(quoted, 0, &error);
	if (value == NULL)
		fail_msg("%s: %s", quoted, error.text);
	free(quoted);
	return value;
}

static void expect(const char *before, const char *after, double seconds, const char *rates)
{
	json_t *a = json(before), *b = json(after), *want = json(rates), *got = rates_of(a, b, seconds);

	if (!json_equal(want, got))
		fail_msg("expected %s, got %s", rates, json_dumps(got, JSON_COMPACT));
	json_decref(a);
	json_decref(b);
	json_decref(want);
	json_decref(got);
}

static void rates_are_differences_by_time(void **state)
{
	expect("[{'name':'p1','up':true,'counters':{'rx_packets':100,'rx_bytes':6400,'tx_packets':5,'denied':1}}]",
	       "[{'name':'p1','up':true,'counters':{'rx_packets':300,'rx_bytes':19200,'tx_packets':5,'denied':11,"
	       "'tx_full':4}}]",
	       2,
	       "[{'port':'p1','up':true,'rx_pps':100.0,'rx_bps':51200.0,'tx_pps':0.0,'tx_bps':0.0,'drop_pps':7.0,"
	       "'drops':{'denied':5.0,'tx_full':2.0}}]");
}

static void a_dataplane_that_began_anew_counts_from_zero(void **state)
{
	expect("[{'name':'p1','up':true,'counters':{'rx_packets':100}}]",
	       "[{'name':'p1','up':false,'counters':{'rx_packets':30}}]", 1,
	       "[{'port':'p1','up':false,'rx_pps':30.0,'rx_bps':0.0,'tx_pps':0.0,'tx_bps':0.0,'drop_pps':0.0,"
	       "'drops':{}}]");
}

static void ports_that_come_go_or_have_no_counters_are_left_out(void **state)
{
	expect("[{'name':'gone','counters':{}},{'name':'s1'}]", "[{'name':'new','counters':{}},{'name':'s1'},{}]", 1,
	       "[]");
}

static void a_table_has_a_line_for_each_port(void **state)
{
	json_t *rates = json("[{'port':'p1','up':true,'rx_pps':1234567.0,'rx_bps':999.0,'tx_pps':12345.0,'tx_bps':0.0,"
			     "'drop_pps':5.0,'drops':{'denied':5.0}},"
			     "{'port':'p2','up':false,'rx_pps':1.0,'rx_bps':1.0,'tx_pps':1.0,'tx_bps':1.0,"
			     "'drop_pps':12005.0,'drops':{'denied':5.0,'queue_full':12000.0}},"
			     "{'port':'p3','up':true,'rx_pps':1.0,'rx_bps':1.0,'tx_pps':1.0,'tx_bps':1.0,"
			     "'drop_pps':0.0,'drops':{}}]");
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	rates_show(rates, f);
	fclose(f);
	assert_non_null(strstr(text, "why\np1 "));
	assert_non_null(strstr(text, " up         1.23M "));
	assert_non_null(strstr(text, " 12.3k "));
	assert_non_null(strstr(text, " 5   denied\n"));
	assert_non_null(strstr(text, " down          1 "));
	assert_non_null(strstr(text, " 12.0k  denied=5 queue_full=12.0k\n"));
	assert_non_null(strstr(text, " 0\n"));
	assert_null(strstr(text, " \n"));
	free(text);
	json_decref(rates);
}

static void assert_stale(const char *answer, const char *why)
{
	json_t *a = json_loads(answer, 0, NULL);
	char words[128] = "";

	assert_non_null(a);
	assert_int_equal(rates_stale(a, words, sizeof(words)), why[0] != '\0');
	if (strstr(words, why) == NULL)
		fail_msg("\"%s\" for %s", words, answer);
	json_decref(a);
}

static void figures_of_a_dataplane_that_is_gone_or_silent_are_stale(void **state)
{
	(void)state;
	assert_stale("{\"ok\": true, \"items\": []}", ""); // it has no ports
	assert_stale("{\"dataplane\": {\"rounds\": 5, \"silent_s\": 0.9}}", "");
	assert_stale("{\"dataplane\": {\"rounds\": 5, \"silent_s\": 12.3}}", "has told nothing for 12 s");
	assert_stale("{\"dataplane\": null}", "no session with the dataplane");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_differences_by_time),
		cmocka_unit_test(a_dataplane_that_began_anew_counts_from_zero),
		cmocka_unit_test(ports_that_come_go_or_have_no_counters_are_left_out),
		cmocka_unit_test(a_table_has_a_line_for_each_port),
		cmocka_unit_test(figures_of_a_dataplane_that_is_gone_or_silent_are_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
