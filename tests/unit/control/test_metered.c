// SPDX-License-Identifier: Apache-2.0
// No more reservations and limits than one dataplane takes are active at any instant; how many stand does not matter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/proto.h"
#include "talk.h"

#define SECOND INT64_C(1000000000)

// One fewer than there is room for, in [100, 200).
static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));
	char text[160];

	talk_init(t, false);
	assert_int_equal(engine_limit_metered(t->engine), 0);
	say(t, "root", "NewShare a for (*) [reserve <= 100Mb ratelimit >= 0] on rootShare.");
	for (uint32_t i = 1; i < PROTO_METERS_MAX; i++) {
		snprintf(text, sizeof(text), "%s(srcHost=11.0.0.1, dstHost=10.%u.%u.%u) = 1kb on a from 100 to 200.",
			 i % 2 == 0 ? "ratelimit" : "reserve", i >> 16, i >> 8 & 255, i & 255);
		if (say(t, "root", text) != REPLY_OK)
			fail_msg("%s: %s", text, talk_why(t));
	}
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static void is_refused_at(struct talk *t, const char *statement, const char *at)
{
	assert_int_equal(say(t, "root", statement), REPLY_NETWORK);
	assert_string_equal(talk_text(t, "at"), at);
	assert_non_null(strstr(talk_why(t), "more than 65536 reservations and rate limits would be active"));
}

static void too_many_at_once_are_refused_with_the_first_such_instant(void **state)
{
	struct talk *t = *state;
	char *before, *after;

	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.1) = 1kb on a from 50 to 150."),
			 REPLY_OK); // the last one
	before = talk_dump(t);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a from 50 to 101.", "100");
	is_refused_at(t, "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a.", "100");
	is_refused_at(t, "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb partial on a from 120.", "120");
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a from 149.999999999 to 150.",
		      "149.999999999");
	after = talk_dump(t);
	assert_string_equal(after, before);
	free(after);
	free(before);
	// where there is room, and what needs none
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a to 100."), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a from 150 to 200."),
			 REPLY_OK);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.4) = 1kb on a from 150 to 200.", "150");
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.4) = 1kb on a from 200."),
			 REPLY_OK);
	assert_int_equal(say(t, "root", "deny(srcHost=11.0.0.1, dstHost=12.0.0.5) on a from 100 to 200."), REPLY_OK);
	assert_int_equal(say(t, "root", "hint(srcHost=11.0.0.1, dstHost=12.0.0.6) size = 1kB deadline = 180 on a."),
			 REPLY_OK);
	assert_true(json_is_true(json_object_get(t->reply.body, "realised")));
}

static void what_ends_early_makes_room_and_what_is_prolonged_takes_it(void **state)
{
	struct talk *t = *state;
	char text[64];
	int64_t id;

	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.1) = 1kb on a to 90."), REPLY_OK);
	id = talk_number(t, "id");
	snprintf(text, sizeof(text), "renew %lld to 110.", (long long)id);
	assert_int_equal(say(t, "root", text), REPLY_OK);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a.", "100");
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a to 100."), REPLY_OK);
	snprintf(text, sizeof(text), "renew %lld to 101.", (long long)talk_number(t, "id"));
	is_refused_at(t, text, "100");
	assert_int_equal(say(t, "root", "cancel 7."), REPLY_OK);
	assert_int_equal(say(t, "root", text), REPLY_OK);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a from 90 to 110.", "100");
	snprintf(text, sizeof(text), "cancel %lld.", (long long)id); // two stretches
	assert_int_equal(say(t, "root", text), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a from 90 to 110."),
			 REPLY_OK);
	t->now_ns = 150 * SECOND; // some in the middle of their time, some over
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.4) = 1kb on a."), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.5) = 1kb on a."), REPLY_OK);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.6) = 1kb on a.", "150");
	assert_int_equal(say(t, "root", "cancel 8."), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.6) = 1kb on a."), REPLY_OK);
	assert_int_equal(say(t, "root", "DropShare a."), REPLY_OK);
	say(t, "root", "NewShare b for (*) [ratelimit >= 0] on rootShare.");
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.6) = 1kb on b."), REPLY_OK);
}

static void the_earliest_start_minds_it(void **state)
{
	struct talk *t = *state;

	say(t, "root", "NewShare c for (*) [reserve <= 1Mb] on rootShare.");
	assert_int_equal(say(t, "root", "reserve(srcHost=11.0.0.1, dstHost=12.0.0.1) = 1Mb on c to 160."),
			 REPLY_OK); // and nothing else till 160
	assert_int_equal(say(t, "root", "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1Mb on c to 10."),
			 REPLY_SCHEDULE_FULL);
	assert_string_equal(talk_text(t, "earliest"), "160");
	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a from 160 to 170."),
			 REPLY_OK);
	assert_int_equal(say(t, "root", "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1Mb on c to 10."),
			 REPLY_SCHEDULE_FULL);
	assert_string_equal(talk_text(t, "earliest"), "170");
	is_refused_at(t, "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1Mb on c from 169.999999999 to 179.999999999.",
		      "169.999999999");
	assert_int_equal(say(t, "root", "reserve(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1Mb on c from 170 to 180."),
			 REPLY_OK);
}

static void it_holds_after_the_time_is_set_back_and_in_another_life(void **state)
{
	struct talk *t = *state, u;
	struct checkpoint saved;
	struct err err;

	assert_int_equal(say(t, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.1) = 1kb on a."), REPLY_OK);
	assert_int_equal(engine_save(t->engine, &saved), 0);
	t->now_ns = 120 * SECOND;
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a.", "120");
	t->now_ns = 50 * SECOND;
	assert_int_equal(engine_set_back(t->engine, t->now_ns, &err), 0);
	is_refused_at(t, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a.", "100");
	talk_init(&u, false);
	assert_int_equal(engine_load(u.engine, saved.bytes, saved.n, &err), 0);
	assert_int_equal(say(&u, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.2) = 1kb on a."),
			 REPLY_OK); // nobody has asked yet
	assert_int_equal(engine_limit_metered(u.engine), 0);
	is_refused_at(&u, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a.",
		      "100"); // also when there are too many already
	assert_int_equal(say(&u, "root", "cancel 7."), REPLY_OK);
	is_refused_at(&u, "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a.", "100");
	assert_int_equal(say(&u, "root", "cancel 8."), REPLY_OK);
	assert_int_equal(say(&u, "root", "ratelimit(srcHost=11.0.0.1, dstHost=12.0.0.3) = 1kb on a."), REPLY_OK);
	free(saved.bytes);
	talk_fini(&u);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(too_many_at_once_are_refused_with_the_first_such_instant),
		TEST(what_ends_early_makes_room_and_what_is_prolonged_takes_it),
		TEST(the_earliest_start_minds_it),
		TEST(it_holds_after_the_time_is_set_back_and_in_another_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
