// SPDX-License-Identifier: Apache-2.0
// Time series against a list of every count, and sums over requests that overlap.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

#define S INT64_C(1000000000)
#define COUNTS_MAX 3000

static struct request request_of(uint64_t id, struct match *flows)
{
	struct box any = box_any();

	match_init(flows);
	assert_int_equal(match_add(flows, &any), 0);
	return (struct request){.id = id, .verb = VERB_RESERVE, .end_ns = INT64_MAX, .flows = *flows};
}

static void series_equal_a_list_of_every_count(void **state)
{
	static const int64_t steps[] = {1, S / 3, S, 7 * S, 60 * S, 1000 * S, 3600 * S, 30 * 3600 * S};
	static const int64_t windows[] = {S, 10 * S, 60 * S, 61 * S, 600 * S, 3600 * S, 3601 * S, 86400 * S};
	static struct {
		int64_t at;
		uint64_t packets, bytes;
	} counts[COUNTS_MAX];
	struct dice d = dice_from_env();
	struct match flows;
	struct request r = request_of(1, &flows);
	struct traffic t;
	uint64_t packets = 0, bytes = 0;
	int64_t now = 0;

	(void)state;
	traffic_init(&t);
	traffic_begin(&t, 0);
	for (int n = 0; n < COUNTS_MAX; n++) {
		uint64_t more = dice_roll(&d, 100);

		now += (int64_t)dice_roll(&d, (uint64_t)steps[dice_roll(&d, n < 2000 ? 5 : 8)] + 1);
		counts[n].at = now;
		counts[n].packets = more;
		counts[n].bytes = more * 64;
		packets += more;
		bytes += more * 64;
		traffic_count(&t, 1, &r, packets, bytes, now);
		for (size_t w = 0; w < sizeof(windows) / sizeof(windows[0]); w++) {
			int64_t later = now + (int64_t)dice_roll(&d, (uint64_t)steps[dice_roll(&d, 7)]);
			struct traffic_sum sum = traffic_last(traffic_find(&t, 1), windows[w], later);
			uint64_t expected = 0;

			for (int i = n; i >= 0 && counts[i].at >= sum.from_ns; i--)
				expected += counts[i].packets;
			assert_int_equal(sum.packets, expected);
			assert_int_equal(sum.bytes, expected * 64);
			// what is left out is at most one cell
			assert_true(sum.from_ns <= (later - windows[w] > 0 ? later - windows[w] : 0) + 3600 * S);
		}
		assert_int_equal(traffic_last(traffic_find(&t, 1), 0, now).packets, packets);
	}
	traffic_fini(&t);
	match_fini(&flows);
}

static void counters_that_begin_anew_are_not_subtracted(void **state)
{
	struct match flows;
	struct request r = request_of(1, &flows), old = r;
	struct traffic t;
	uint64_t packets, bytes;

	(void)state;
	traffic_init(&t);
	traffic_begin(&t, 5 * S);
	r.start_ns = 6 * S;
	traffic_count(&t, 1, &r, 10, 1000, 7 * S);
	traffic_count(&t, 1, &r, 4, 400, 8 * S); // the dataplane was started anew
	traffic_total(&t, 1, &packets, &bytes);
	assert_int_equal(packets, 14);
	assert_int_equal(bytes, 1400);
	old.id = 2; // stood before counting began: what it had then is not of now
	traffic_count(&t, 2, &old, 1000, 100000, 8 * S);
	traffic_count(&t, 2, &old, 1001, 100064, 9 * S);
	traffic_total(&t, 2, &packets, &bytes);
	assert_int_equal(packets, 1);
	traffic_count(&t, 3, NULL, 5, 5, 9 * S); // over, and never counted
	assert_null(traffic_find(&t, 3));
	traffic_fini(&t);
	match_fini(&flows);
}

static void memory_is_bounded_and_the_idle_make_room(void **state)
{
	struct match flows;
	struct request r = request_of(1, &flows);
	struct traffic t;

	(void)state;
	traffic_init(&t);
	traffic_begin(&t, 0);
	for (uint64_t id = 1; id <= TRAFFIC_SERIES_MAX + 10; id++) {
		r.id = id;
		traffic_count(&t, id, &r, 1, 64, (int64_t)id * 1000);
		r.id = 1;
		traffic_count(&t, 1, &r, id, id * 64, (int64_t)id * 1000 + 1);
	}
	assert_int_equal(t.n, TRAFFIC_SERIES_MAX);
	assert_non_null(traffic_find(&t, 1)); // busy
	assert_null(traffic_find(&t, 2));
	traffic_fini(&t);
	match_fini(&flows);
}

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, false);
	t->now_ns = 100 * S;
	say(t, "root", "AddUser alice.");
	say(t, "root", "NewShare net0 for (*) [reserve <= 1000 ratelimit >= 0] on rootShare.");
	say(t, "root", "NewShare a for (transport=TCP) [reserve <= 100 ratelimit >= 0] on net0.");
	say(t, "root", "Grant a to alice.");
	engine_count(t->engine, 99, 0, 0, t->now_ns); // counting begins
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static void sum_is(struct talk *t, const char *speaker, const char *statement, const char *expected)
{
	assert_int_equal(say(t, speaker, statement), REPLY_OK);
	if (strcmp(t->classic, expected) != 0)
		fail_msg("%s: %s, not %s", statement, t->classic, expected);
}

static void nested_requests_are_not_added_twice(void **state)
{
	struct talk *t = *state;

	say(t, "root", "ratelimit(transport=TCP) = 50 on net0.");          // 1
	say(t, "root", "reserve(transport=TCP, dstPort=80) = 5 on a.");    // 2: within 1
	say(t, "root", "ratelimit(transport=TCP, dstPort=443) = 5 on a."); // 3: within 1
	engine_count(t->engine, 1, 100, 10000, 101 * S);
	engine_count(t->engine, 2, 60, 6000, 101 * S);
	engine_count(t->engine, 3, 30, 3000, 101 * S);
	t->now_ns = 102 * S;
	sum_is(t, "root", "traffic(transport=TCP) on net0.", "1; 10000,100,exact");
	sum_is(t, "root", "traffic(transport=TCP, dstPort=80) on net0.", "1; 6000,60,exact");
	sum_is(t, "root", "traffic(transport=TCP, dstPort={80,443}) on net0.", "1; 9000,90,exact");
	sum_is(t, "root", "traffic(transport=TCP, dstPort=80-81) on net0.", "1; 6000,60,at-least");
	sum_is(t, "root", "traffic(*) on net0.", "1; 10000,100,at-least"); // UDP is nobody's
	sum_is(t, "alice", "traffic(*) on a.", "1; 9000,90,at-least");     // 1 is not hers to see
	assert_int_equal(json_array_size(json_object_get(t->reply.body, "requests")), 2);
}

static void partly_overlapping_requests_give_a_lower_bound(void **state)
{
	struct talk *t = *state;

	say(t, "root", "ratelimit(transport=TCP, dstPort=1-100) = 50 on net0.");  // 1
	say(t, "root", "ratelimit(transport=TCP, dstPort=50-200) = 50 on net0."); // 2
	engine_count(t->engine, 1, 10, 1000, 101 * S);
	engine_count(t->engine, 2, 20, 2000, 101 * S);
	t->now_ns = 102 * S;
	sum_is(t, "root", "traffic(transport=TCP, dstPort=1-200) on net0.", "1; 2000,20,at-least");
}

static void what_only_allows_or_denies_counts_what_it_decides(void **state)
{
	struct talk *t = *state;

	say(t, "root", "deny(dstPort=7) on net0.");
	engine_count(t->engine, 1, 10, 1000, 101 * S);
	t->now_ns = 102 * S;
	sum_is(t, "root", "traffic(dstPort=7) on net0.", "1; 1000,10,exact");
	say(t, "root", "deny(srcPort=7, transport=TCP) on a.");
	sum_is(t, "root", "traffic(dstPort=7) on net0.", "1; 1000,10,exact"); // until now nobody else decided
	t->now_ns = 103 * S;
	sum_is(t, "root", "traffic(dstPort=7) on net0.", "1; 1000,10,at-least");
}

static void the_last_hour_holds_what_is_over_and_not_what_was_before(void **state)
{
	struct talk *t = *state;

	say(t, "root", "ratelimit(dstPort=7) = 5 on net0 to +10.");
	engine_count(t->engine, 1, 10, 1000, 101 * S);
	t->now_ns = 111 * S;
	sum_is(t, "root", "traffic(dstPort=7) on net0 last 1h.", "1; 1000,10,at-least"); // over: not all the time
	assert_string_equal(talk_text(t, "from"), "100");                                // when counting began
	say(t, "root", "ratelimit(dstPort=7) = 5 on net0.");
	engine_count(t->engine, 2, 1, 50, 8000 * S);
	t->now_ns = 8000 * S;
	sum_is(t, "root", "traffic(dstPort=7) on net0 last 1h.", "1; 50,1,exact");
	sum_is(t, "root", "traffic(dstPort=7) on net0 last 5s.", "1; 50,1,exact");
	sum_is(t, "root", "traffic(dstPort=7) on net0 last 1d.", "1; 1050,11,at-least");
	assert_int_equal(say(t, "root", "traffic(dstPort=7) on net0 last 25h."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "traffic(dstPort=7) on net0 last 0s."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "DropShare net0."), REPLY_OK);
	assert_null(traffic_find(&engine_state(t->engine)->traffic, 1));
}

static void both_directions_between_two_hosts(void **state)
{
	struct talk *t = *state;

	say(t, "root", "ratelimit(srcHost=10.0.0.1, dstHost=10.0.0.2) = 5 on net0.");
	say(t, "root", "ratelimit(srcHost=10.0.0.2) = 5 on net0.");
	engine_count(t->engine, 1, 10, 1000, 101 * S);
	engine_count(t->engine, 2, 5, 500, 101 * S);
	t->now_ns = 102 * S;
	sum_is(t, "root", "TrafficBetween 10.0.0.1 10.0.0.2.",
	       "2; 10.0.0.1,10.0.0.2,1000,10,exact; 10.0.0.2,10.0.0.1,0,0,at-least");
	sum_is(t, "alice", "TrafficBetween 10.0.0.1 10.0.0.2.",
	       "2; 10.0.0.1,10.0.0.2,0,0,at-least; 10.0.0.2,10.0.0.1,0,0,at-least");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_equal_a_list_of_every_count),
		cmocka_unit_test(counters_that_begin_anew_are_not_subtracted),
		cmocka_unit_test(memory_is_bounded_and_the_idle_make_room),
		cmocka_unit_test_setup_teardown(nested_requests_are_not_added_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(partly_overlapping_requests_give_a_lower_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(what_only_allows_or_denies_counts_what_it_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_hour_holds_what_is_over_and_not_what_was_before, setup,
						teardown),
		cmocka_unit_test_setup_teardown(both_directions_between_two_hosts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
