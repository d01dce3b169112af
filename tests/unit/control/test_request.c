// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, true);
	say(t, "root", "AddUser alice.");
	say(t, "root", "NewShare net0 for (*) [reserve <= 1000 ratelimit >= 5] on rootShare.");
	say(t, "root", "NewShare web for (dstPort=80) [reserve <= 600 allow <= 10s deny = False] on net0.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

#define ASSERT_SAY(t, speaker, statement, code) \
	do { \
		enum reply_code got = say(t, speaker, statement); \
		if (got != (code)) \
			fail_msg("%s: expected %s, got %s: %s", statement, reply_code_name(code), \
				 reply_code_name(got), talk_why(t)); \
	} while (0)

static void admission_is_checked_in_order(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 500 on net0 from 5 to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "Tick 2.", REPLY_OK);
	// each one is also wrong in later respects
	ASSERT_SAY(t, "alice", "deny(*) on nowhere from 1 to 20.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "alice", "deny(*) on web from 1 to 20.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "deny(*) on web from 1 to 20.", REPLY_NOT_CONTAINED);
	ASSERT_SAY(t, "root", "deny(dstPort=80) on web from 1 to 20.", REPLY_NO_PRIVILEGE);
	ASSERT_SAY(t, "root", "allow(dstPort=80) on web from 1 to 20.", REPLY_NO_PRIVILEGE);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 601 on web from 1 to 20.", REPLY_BAD_TIME);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 600 on web from 20 to 20.", REPLY_BAD_TIME);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 501 on web from 2 to 20.", REPLY_SCHEDULE_FULL);
	ASSERT_SAY(t, "root", "ratelimit(dstPort=80) = 4 on net0.", REPLY_NO_PRIVILEGE);
	ASSERT_SAY(t, "root", "ratelimit(dstPort=80) = 5 on web.", REPLY_NO_PRIVILEGE);
	ASSERT_SAY(t, "root", "deny(*) on rootShare.", REPLY_STRICT_CONFLICT);
}

static void full_schedule_names_the_nearest_share_and_the_first_instant(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(dstPort=443) = 500 on net0 from 160 to 200.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 600 on web.", REPLY_SCHEDULE_FULL);
	assert_string_equal(
		talk_why(t),
		"share net0: 600 Mb asked, 500 Mb free at 1970-01-01T00:02:40Z; it fits from 1970-01-01T00:03:20Z");
	assert_string_equal(talk_text(t, "share"), "net0");
	assert_string_equal(talk_text(t, "at"), "160");
	assert_string_equal(talk_text(t, "earliest"), "200");
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 601 on web from 170.", REPLY_SCHEDULE_FULL);
	assert_true(json_is_null(json_object_get(t->reply.body, "earliest")));
	assert_string_equal(talk_text(t, "share"), "web");
	assert_string_equal(talk_text(t, "at"), "170");
}

static void numbers_count_accepted_requests_only(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "allow(dstPort=1) on net0 from 5 to 1500000000.", REPLY_OK);
	assert_int_equal(talk_number(t, "id"), 1);
	assert_string_equal(talk_text(t, "start"), "5");
	assert_string_equal(talk_text(t, "end"), "1500000000");
	ASSERT_SAY(t, "root", "allow(dstPort=1) on nowhere.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "root", "allow(dstPort=1) on net0.", REPLY_OK);
	assert_int_equal(talk_number(t, "id"), 2);
	assert_true(json_is_null(json_object_get(t->reply.body, "end")));
	assert_true(t->reply.mutated);
}

static void ended_requests_are_gone(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "allow(dstPort=1) on net0 from 3 to 5.", REPLY_OK);
	ASSERT_SAY(t, "root", "allow(dstPort=2) on net0 to 4.", REPLY_OK);
	ASSERT_SAY(t, "root", "allow(dstPort=3) on net0.", REPLY_OK);
	assert_int_equal(engine_next_ns(t->engine), 3000000000); // the first starts
	say(t, "root", "ListRequests net0.");
	assert_string_equal(t->classic, "3; 1; 2; 3");
	ASSERT_SAY(t, "root", "Tick 4.", REPLY_OK);
	say(t, "root", "ListRequests.");
	assert_string_equal(t->classic, "2; 1; 3");
	ASSERT_SAY(t, "root", "Tick 1.", REPLY_OK);
	say(t, "root", "ListRequests net0.");
	assert_string_equal(t->classic, "1; 3");
	assert_true(engine_next_ns(t->engine) == INT64_MAX);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_NO_REQUEST);
}

static void cancel_gives_back_what_is_left(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(*) = 1000 on net0 to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "Tick 5.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 1 on net0.", REPLY_SCHEDULE_FULL);
	ASSERT_SAY(t, "alice", "cancel 1.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_OK);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_NO_REQUEST);
	ASSERT_SAY(t, "root", "reserve(*) = 1000 on net0.", REPLY_OK);
}

static void principal_of_an_ancestor_may_cancel(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "Grant net0 to alice.", REPLY_OK);
	ASSERT_SAY(t, "alice", "NewShare hers for (*) on net0.", REPLY_OK);
	ASSERT_SAY(t, "alice", "allow(*) on hers.", REPLY_OK);
	ASSERT_SAY(t, "root", "allow(*) on hers.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_OK);
}

static void partial_reserve_gets_the_highest_rate_and_says_it(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(dstPort=443) = 700 on net0 from 5 to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 900 partial on web to 7.", REPLY_OK);
	assert_int_equal(talk_number(t, "granted"), 300000000);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 900 partial on web to 5.", REPLY_OK);
	assert_int_equal(talk_number(t, "granted"), 300000000); // 600 less the 300 that stand
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 1 partial on web to 6.", REPLY_SCHEDULE_FULL);
	assert_string_equal(
		talk_why(t),
		"share web: 1 Mb asked, 0 Mb free at 1970-01-01T00:00:00Z; it fits from 1970-01-01T00:00:07Z");
}

static void partial_reserve_counts_tokens_too(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root",
		   "NewShare tb for (*) [reserve <= 100 reserveTBFill = 10 reserveTBCapacity = 100] on rootShare.",
		   REPLY_OK);
	ASSERT_SAY(t, "root", "Tick 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 100 partial on tb to +3.", REPLY_OK);
	assert_int_equal(talk_number(t, "granted"), 43333333); // 100 Mb and 10 Mb/s over three seconds, rounded down
}

static void minimum_is_named(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare min for (*) [reserve <= 100 reserve >= 20] on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 5 on min to 10.", REPLY_SCHEDULE_FULL);
	assert_string_equal(
		talk_why(t),
		"share min: 5 Mb asked beside 0 Mb at 1970-01-01T00:00:00Z, together under the minimum 20 Mb; "
		"it never fits");
	ASSERT_SAY(t, "root", "reserve(*) = 90 on min to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 30 partial on min to 10.", REPLY_OK);
	assert_int_equal(talk_number(t, "granted"), 10000000);
}

static void moved_after_the_first_ends_it_is_accepted(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare aBW for (user=alice) [reserve <= 10Mb] on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "Grant aBW to alice.", REPLY_OK);
	ASSERT_SAY(t, "alice", "reserve(user=alice, dstPort=80) = 5Mb on aBW from now to +10min.", REPLY_OK);
	ASSERT_SAY(t, "alice", "reserve(user=alice, dstPort=443) = 6Mb on aBW from now to +10min.",
		   REPLY_SCHEDULE_FULL);
	assert_string_equal(
		talk_why(t),
		"share aBW: 6 Mb asked, 5 Mb free at 1970-01-01T00:00:00Z; it fits from 1970-01-01T00:10:00Z");
	ASSERT_SAY(t, "alice", "reserve(user=alice, dstPort=443) = 6Mb on aBW from +10min to +20min.", REPLY_OK);
}

static void strict_conflict_names_request_and_group(void **state)
{
	struct talk *t = *state;
	json_t *conflicts, *group;

	ASSERT_SAY(t, "root", "allow(dstPort=80) on web from 10 to 20.", REPLY_OK);
	ASSERT_SAY(t, "root", "deny(dstPort=70-90) on net0 from 0 to 10.",
		   REPLY_OK); // it is over when the other starts
	ASSERT_SAY(t, "root", "deny(dstPort=70-90) on net0 from 0 to 11.", REPLY_STRICT_CONFLICT);
	conflicts = json_object_get(t->reply.body, "conflicts");
	assert_int_equal(json_array_size(conflicts), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(conflicts, 0), "request")), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(conflicts, 0), "share")), "web");
	group = json_array_get(json_object_get(json_array_get(conflicts, 0), "groups"), 0);
	assert_non_null(strstr(json_string_value(json_object_get(group, "group")), "dstPort=80"));
	assert_string_equal(json_string_value(json_object_get(group, "start")), "10");
	assert_string_equal(json_string_value(json_object_get(group, "end")), "11");
}

static void partial_lists_exactly_what_is_not_in_force(void **state)
{
	struct talk *t = *state;
	json_t *gaps;

	ASSERT_SAY(t, "root", "NewShare deep for (*) on net0.", REPLY_OK);
	ASSERT_SAY(t, "root", "allow(dstPort=1024, transport=TCP) on deep.", REPLY_OK);
	ASSERT_SAY(t, "root", "deny(dstPort=1000-2025, transport=TCP) partial on net0.", REPLY_OK);
	gaps = json_object_get(t->reply.body, "not_in_force");
	assert_int_equal(json_array_size(gaps), 1);
	assert_non_null(strstr(json_string_value(json_object_get(json_array_get(gaps, 0), "group")), "dstPort=1024"));
	ASSERT_SAY(t, "root", "deny(dstPort=1024, transport=TCP) partial on net0.", REPLY_OK); // nothing of it in force
	ASSERT_SAY(t, "root", "deny(dstPort=5) partial on net0.", REPLY_OK);
	assert_int_equal(json_array_size(json_object_get(t->reply.body, "not_in_force")), 0);
}

static void reserve_asks_for_allow_where_its_share_could(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare mute for (*) [reserve <= 100 allow = False] on net0.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare other for (*) on net0.", REPLY_OK);
	ASSERT_SAY(t, "root", "deny(dstPort=80) on other.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 1 on web to +10.",
		   REPLY_STRICT_CONFLICT);                                         // the allow limit is 10 s
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 1 on web to +11.", REPLY_OK); // no access: asks nothing
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 1 on mute.", REPLY_OK);
	ASSERT_SAY(t, "root", "ratelimit(dstPort=80) = 5 on net0.", REPLY_STRICT_CONFLICT);
}

static void at_most_eight_reservations_meet_in_a_packet(void **state)
{
	struct talk *t = *state;
	char text[128];

	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "reserve(dstPort=%d-%d) = 1 on net0 to 10.", i, 20 - i);
		ASSERT_SAY(t, "root", text, REPLY_OK);
	}
	ASSERT_SAY(t, "root", "reserve(dstPort=10) = 1 on net0 to 10.", REPLY_OVERLAP);
	ASSERT_SAY(t, "root", "reserve(dstPort=10) = 1 partial on net0 to 10.", REPLY_OVERLAP);
	ASSERT_SAY(t, "root", "reserve(*) = 1 on net0 from 9 to 11.", REPLY_OVERLAP);
	ASSERT_SAY(t, "root", "reserve(*) = 1 on net0 from 10 to 11.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(dstPort=0-6) = 1 on net0 to 10.", REPLY_OK);  // seven there
	ASSERT_SAY(t, "root", "ratelimit(dstPort=10) = 5 on net0 to 10.", REPLY_OK); // limits count apart
}

static void overlap_is_decided_among_many_disjoint_groups(void **state)
{
	struct talk *t = *state;
	char text[160];

	// seven families that cross one another, each of disjoint groups: seven meet in any packet, an eighth may join
	for (int family = 0; family < 7; family++)
		for (int i = 0; i < 12; i++) {
			static const char *const fields[] = {"srcPort", "dstPort", "vlan",  "transport",
							     "srcHost", "dstHost", "dstEth"};
			char value[64];

			snprintf(value, sizeof(value), "%d", i);
			if (family == 3)
				snprintf(value, sizeof(value), "%s", i % 3 == 0 ? "TCP" : i % 3 == 1 ? "UDP" : "SCTP");
			else if (family == 4 || family == 5)
				snprintf(value, sizeof(value), "10.0.%d.0/24", i);
			else if (family == 6)
				snprintf(value, sizeof(value), "02:00:00:00:00:%02d", i);
			if (family == 3 && i >= 3)
				continue;
			snprintf(text, sizeof(text), "reserve(%s=%s) = 1 on net0 to 10.", fields[family], value);
			ASSERT_SAY(t, "root", text, REPLY_OK);
		}
	ASSERT_SAY(t, "root", "reserve(*) = 1 on net0 to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(kind={ip4ports}) = 1 on net0 to 10.", REPLY_OVERLAP);
	ASSERT_SAY(t, "root", "reserve(kind={ip6ports}) = 1 on net0 to 10.", REPLY_OK);
}

static void times_may_not_overflow(void **state)
{
	struct talk *t = *state;

	t->now_ns = 0;
	ASSERT_SAY(t, "root", "Tick 9223372036.", REPLY_OK);
	ASSERT_SAY(t, "root", "Tick 1.", REPLY_BAD_VALUE);
	ASSERT_SAY(t, "root", "allow(*) on net0 to +1.", REPLY_BAD_VALUE);
	ASSERT_SAY(t, "root", "allow(*) on net0.", REPLY_OK);
}

static void renewal_answers_and_lists_the_new_end(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 600 on web to 5.", REPLY_OK);
	ASSERT_SAY(t, "root", "renew 1 to +8.", REPLY_OK);
	assert_int_equal(talk_number(t, "id"), 1);
	assert_string_equal(talk_text(t, "start"), "0");
	assert_string_equal(talk_text(t, "end"), "8");
	assert_true(t->reply.mutated);
	assert_int_equal(engine_next_ns(t->engine), 8000000000);
	ASSERT_SAY(t, "root", "GetSchedule web.", REPLY_OK); // no step where one drain follows the other
	assert_string_equal(t->classic, "2; 0,0,0; 8,600000000,0");
	ASSERT_SAY(t, "root", "renew 1 to forever.", REPLY_OK);
	assert_true(engine_next_ns(t->engine) == INT64_MAX);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 600 on web.", REPLY_OK);
}

static void a_renewal_is_refused_without_an_earliest_start(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "reserve(dstPort=80) = 600 on web to 5.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 500 on net0 from 7 to 9.", REPLY_OK);
	ASSERT_SAY(t, "root", "renew 1 to 8.", REPLY_SCHEDULE_FULL);
	assert_string_equal(talk_text(t, "share"), "net0");
	assert_string_equal(talk_text(t, "at"), "7");
	assert_null(json_object_get(t->reply.body, "earliest"));
	ASSERT_SAY(t, "alice", "renew 1 to 7.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "renew 3 to 7.", REPLY_NO_REQUEST);
	ASSERT_SAY(t, "root", "renew 1 to 5.", REPLY_BAD_TIME);
	ASSERT_SAY(t, "root", "allow(dstPort=80) on web from 1 to 9.", REPLY_OK);
	ASSERT_SAY(t, "root", "renew 3 to 12.", REPLY_NO_PRIVILEGE); // 11 s in all
}

static void what_is_dropped_or_revoked_is_refused_with_its_code(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "Revoke nowhere from alice.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "alice", "Revoke net0 from root.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "Revoke net0 from carol.", REPLY_NO_USER);
	ASSERT_SAY(t, "root", "Revoke net0 from alice.", REPLY_NOT_GRANTED);
	ASSERT_SAY(t, "root", "DropShare nowhere.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "alice", "DropShare web.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "DropShare rootShare.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "alice", "DropUser alice.", REPLY_NOT_ROOT);
	ASSERT_SAY(t, "root", "DropUser carol.", REPLY_NO_USER);
	ASSERT_SAY(t, "root", "DropUser root.", REPLY_BAD_VALUE);
	ASSERT_SAY(t, "root", "waypoint(*) = 10.0.0.1 on net0.", REPLY_NO_PRIVILEGE);
	ASSERT_SAY(t, "root", "NewShare x for (*) [waypoint = {10.0.0.1}] on net0.", REPLY_BAD_PRIVILEGE);
}

static void note_user(void *ctx, const char *user)
{
	strcpy(ctx, user);
}

static void a_dropped_user_is_told_so_that_sessions_end(void **state)
{
	struct talk *t = *state;
	char dropped[NAME_MAX_LEN] = "";

	engine_on_user_dropped(t->engine, note_user, dropped);
	ASSERT_SAY(t, "root", "DropUser carol.", REPLY_NO_USER);
	assert_string_equal(dropped, "");
	ASSERT_SAY(t, "root", "DropUser alice.", REPLY_OK);
	assert_string_equal(dropped, "alice");
	assert_false(engine_user_exists(t->engine, "alice"));
}

// Random reservations, denials and limits on three shares. What a refusal calls the earliest start is accepted, and a
// nanosecond earlier is not.
static void earliest_start_is_accepted_and_one_nanosecond_earlier_is_not(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(60), found = 0;
	static const char *const shares[] = {"up", "down", "tb"};

	for (unsigned long round = 0; round < rounds; round++) {
		struct talk t = {0};

		talk_init(&t, true);
		ASSERT_SAY(&t, "root", "NewShare up for (*) [reserve <= 20 reserve >= 3] on rootShare.", REPLY_OK);
		ASSERT_SAY(&t, "root", "NewShare down for (*) [reserve <= 15] on up.", REPLY_OK);
		ASSERT_SAY(&t, "root",
			   "NewShare tb for (*) [reserve <= 12 reserveTBFill = 5 reserveTBCapacity = 20] on up.",
			   REPLY_OK);
		for (int i = 0; i < 60; i++) {
			unsigned long from = dice_roll(&d, 40), len = 1 + dice_roll(&d, 15);
			unsigned int port = (unsigned int)dice_roll(&d, 3), rate = 1 + (unsigned int)dice_roll(&d, 14);
			const char *share = shares[dice_roll(&d, 3)];
			const char *strict = dice_roll(&d, 4) == 0 ? "partial" : "";
			char text[200], start[32];
			int64_t at_ns, end_ns;
			const char *at;

			if (i % 12 == 5) {
				snprintf(text, sizeof(text), "deny(dstPort=%u) on up from %lu to %lu.", port, from,
					 from + len);
				say(&t, "root", text);
				continue;
			}
			snprintf(text, sizeof(text), "reserve(dstPort=%u) = %u %s on %s from %lu to %lu.", port, rate,
				 strict, share, from, from + len);
			if (say(&t, "root", text) != REPLY_SCHEDULE_FULL || (at = talk_text(&t, "earliest")) == NULL)
				continue;
			snprintf(start, sizeof(start), "%s", at);
			at_ns = (int64_t)strtoull(start, NULL, 10) * 1000000000;
			if (strchr(start, '.') != NULL) {
				char decimals[10] = "000000000";

				memcpy(decimals, strchr(start, '.') + 1, strlen(strchr(start, '.') + 1));
				at_ns += strtol(decimals, NULL, 10);
			}
			for (int64_t early = 1; early >= 0; early--) {
				int64_t ns = at_ns - early;

				if (ns < 0)
					continue;
				end_ns = ns + (int64_t)len * 1000000000;
				snprintf(text, sizeof(text),
					 "reserve(dstPort=%u) = %u %s on %s from %ld.%09ld to %ld.%09ld.", port, rate,
					 strict, share, (long)(ns / 1000000000), (long)(ns % 1000000000),
					 (long)(end_ns / 1000000000), (long)(end_ns % 1000000000));
				if ((say(&t, "root", text) == REPLY_OK) != (early == 0))
					fail_msg("round %lu: earliest %s: %s: %s", round, start, text, talk_why(&t));
			}
			found++;
		}
		talk_fini(&t);
	}
	assert_true(found > rounds);
}

// A group of 62 x 62 parts: ports from these on, so far apart.
static void intricate(char *statement, size_t size, const char *verb, unsigned int first)
{
	size_t n = (size_t)snprintf(statement, size, "%s(transport=TCP, srcPort={%u", verb, first);

	for (unsigned int i = 1; i < 62; i++)
		n += (size_t)snprintf(statement + n, size - n, ",%u", first + 7 * i);
	n += (size_t)snprintf(statement + n, size - n, "}, dstPort={%u", first);
	for (unsigned int i = 1; i < 62; i++)
		n += (size_t)snprintf(statement + n, size - n, ",%u", first + 11 * i);
	assert_in_range(snprintf(statement + n, size - n, "}) on net0 from 5 to 10."), 1, size - n - 1);
}

static void what_takes_too_long_to_compare_is_refused(void **state)
{
	struct talk *t = *state;
	char statement[2048];

	for (unsigned int i = 1; i <= 2; i++) {
		intricate(statement, sizeof(statement), "deny", i);
		ASSERT_SAY(t, "root", statement, REPLY_OK);
	}
	intricate(statement, sizeof(statement), "allow", 3);
	ASSERT_SAY(t, "root", statement, REPLY_LIMIT);
	assert_string_equal(talk_why(t), "too many overlapping requests to compare this one with");
	ASSERT_SAY(t, "root", "allow(transport=TCP, srcPort=3, dstPort=3) on net0 from 5 to 10.", REPLY_OK);
	ASSERT_SAY(t, "root", "cancel 1.", REPLY_OK);
	intricate(statement, sizeof(statement), "allow", 3);
	ASSERT_SAY(t, "root", statement, REPLY_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(admission_is_checked_in_order),
		TEST(renewal_answers_and_lists_the_new_end),
		TEST(a_renewal_is_refused_without_an_earliest_start),
		TEST(what_is_dropped_or_revoked_is_refused_with_its_code),
		TEST(a_dropped_user_is_told_so_that_sessions_end),
		TEST(full_schedule_names_the_nearest_share_and_the_first_instant),
		TEST(numbers_count_accepted_requests_only),
		TEST(ended_requests_are_gone),
		TEST(cancel_gives_back_what_is_left),
		TEST(principal_of_an_ancestor_may_cancel),
		TEST(partial_reserve_gets_the_highest_rate_and_says_it),
		TEST(partial_reserve_counts_tokens_too),
		TEST(minimum_is_named),
		TEST(moved_after_the_first_ends_it_is_accepted),
		TEST(strict_conflict_names_request_and_group),
		TEST(partial_lists_exactly_what_is_not_in_force),
		TEST(reserve_asks_for_allow_where_its_share_could),
		TEST(at_most_eight_reservations_meet_in_a_packet),
		TEST(overlap_is_decided_among_many_disjoint_groups),
		TEST(times_may_not_overflow),
		TEST(earliest_start_is_accepted_and_one_nanosecond_earlier_is_not),
		cmocka_unit_test_setup_teardown(what_takes_too_long_to_compare_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
