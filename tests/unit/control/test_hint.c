// SPDX-License-Identifier: Apache-2.0
// Hints: what they say, that they promise nothing, and when they go.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
	say(t, "root", "NewShare net0 for (dstPort=1-1000) [reserve <= 100Mb] on rootShare.");
	say(t, "root", "NewShare quiet for (dstPort=1-1000) [reserve <= 100Mb hint = False] on net0.");
	say(t, "root", "NewShare a for (dstPort=80-90) [reserve <= 10Mb] on net0.");
	say(t, "root", "NewShare none for (dstPort=80-90) on net0.");
	say(t, "root", "Grant a to alice.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static bool realised(const struct talk *t)
{
	return json_is_true(json_object_get(t->reply.body, "realised"));
}

static void requests_are(struct talk *t, const char *expected)
{
	assert_int_equal(say(t, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(t->classic, expected);
}

static void size_and_deadline_ask_for_a_reservation_rounded_up(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1MB, deadline = +3 on a."), REPLY_OK);
	assert_true(realised(t));
	assert_int_equal(talk_number(t, "rate"), 2666667); // 8 Mb in 3 s
	assert_string_equal(talk_text(t, "end"), "3");
	assert_int_equal(say(t, "alice", "hint(dstPort=80) deadline = +3 size = 3MB on a from +1."), REPLY_OK);
	assert_false(realised(t)); // 12 Mb/s
	assert_int_equal(say(t, "root", "Tick 3."), REPLY_OK);
	requests_are(t, "0");
}

// The journal has the statement and its time only.
static void a_hint_is_decided_alike_after_a_restart_whatever_the_network_says(void **state)
{
	struct talk *t = *state;

	engine_set_network(t->engine, "the flow table is full");
	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1MB, deadline = +3 on a."), REPLY_OK);
	engine_set_network(t->engine, NULL);
	assert_true(realised(t));
	assert_int_equal(talk_number(t, "rate"), 2666667);
}

static void a_hint_is_accepted_where_nothing_can_be_done_for_it(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1MB, deadline = +3 on none."), REPLY_OK);
	assert_false(realised(t)); // may reserve nothing
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 9000000TB, deadline = +1 on a."), REPLY_OK);
	assert_false(realised(t)); // no such rate
	assert_int_equal(say(t, "root", "hint(dstPort=80) class = background predictability = bursty on a to +9."),
			 REPLY_OK);
	assert_true(realised(t)); // but this needs nothing
	assert_string_equal(talk_text(t, "end"), "9");
	assert_int_equal(say(t, "root", "hint(dstPort=80) duration = 2min on a from +10."), REPLY_OK);
	assert_string_equal(talk_text(t, "end"), "130");
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 4GiB on a."), REPLY_OK);
	assert_true(json_is_null(json_object_get(t->reply.body, "end")));
	requests_are(t, "5; 1; 2; 3; 4; 5");
}

static void hints_need_the_privilege_and_the_share(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1MB on nowhere."), REPLY_NO_SHARE);
	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1MB on net0."), REPLY_NOT_PRINCIPAL);
	assert_int_equal(say(t, "alice", "hint(dstPort=79-80) size = 1MB on a."), REPLY_NOT_CONTAINED);
	assert_non_null(strstr(talk_why(t), "outside lies (dstPort=79)"));
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1MB on quiet."), REPLY_NO_PRIVILEGE);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1MB, deadline = now on a."), REPLY_BAD_TIME);
	assert_int_equal(say(t, "root", "hint(dstPort=80) deadline = +5 on a to +6."), REPLY_BAD_TIME);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = -1 on a."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 0 on a."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 9223372036854775808 on a."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "hint(dstPort=80) duration = 0 on a."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1, size = 2 on a."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "root", "hint(dstPort=80), on a."), REPLY_SYNTAX);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size = 1, on a."), REPLY_SYNTAX);
	assert_int_equal(say(t, "root", "hint(dstPort=80) size 1 on a."), REPLY_SYNTAX);
	assert_int_equal(say(t, "root", "hint(dstPort=80) class = quick on a."), REPLY_SYNTAX);
	assert_int_equal(say(t, "root", "hint(dstPort=80) deadline = forever on a."), REPLY_BAD_TIME);
	requests_are(t, "0");
}

static json_t *explained_queue(struct talk *t)
{
	assert_int_equal(say(t, "root", "explain(srcHost=10.0.0.1, dstHost=10.0.0.2, transport=TCP, dstPort=80)."),
			 REPLY_OK);
	return json_object_get(t->reply.body, "queue");
}

static void a_background_hint_is_realised_listed_and_explained_until_it_ends(void **state)
{
	struct talk *t = *state;
	const json_t *item;

	assert_false(json_is_true(json_object_get(explained_queue(t), "background")));
	assert_int_equal(say(t, "alice", "hint(dstPort=80) class = background on a to +9."), REPLY_OK); // 1
	assert_true(realised(t));
	assert_true(json_is_true(json_object_get(t->reply.body, "background")));
	assert_null(json_object_get(t->reply.body, "rate"));
	assert_null(json_object_get(t->reply.body, "why_not"));
	assert_true(json_is_true(json_object_get(explained_queue(t), "background")));
	assert_int_equal(say(t, "alice", "queues."), REPLY_OK);
	assert_string_equal(t->classic, "2; 1 hint a no-rate 0 0 0 background; share a 1 0 0");
	assert_int_equal(say(t, "alice", "ListRequests a."), REPLY_OK);
	item = json_array_get(json_object_get(t->reply.body, "requests"), 0);
	assert_true(json_is_true(json_object_get(item, "realised")));
	// with a deadline it has both, and as a reservation it gives way
	assert_int_equal(say(t, "alice", "hint(dstPort=81) size = 1MB deadline = +8 class = background on a."),
			 REPLY_OK); // 2
	assert_int_equal(talk_number(t, "rate"), 1000000);
	assert_true(json_is_true(json_object_get(t->reply.body, "background")));
	assert_int_equal(say(t, "alice", "hint(dstPort=82) size = 90MB deadline = +8 class = background on a."),
			 REPLY_OK); // 3
	assert_true(realised(t) && json_is_string(json_object_get(t->reply.body, "why_not")));
	assert_int_equal(say(t, "alice", "reserve(dstPort=80) = 10Mb on a to +2."), REPLY_OK); // 4
	requests_are(t, "3; 1; 3; 4");
	assert_int_equal(say(t, "alice", "hint(dstPort=83) class = interactive on a."), REPLY_OK); // 5
	assert_false(realised(t));
	assert_int_equal(say(t, "root", "Tick 9."), REPLY_OK);
	requests_are(t, "1; 5");
	assert_false(json_is_true(json_object_get(explained_queue(t), "background")));
}

// What is promised is as if there were no hints, in every answer.
static void hints_take_nothing_from_the_schedule(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 10MB, deadline = +10 on a."), REPLY_OK); // 1: 8 Mb
	assert_true(realised(t));
	assert_int_equal(say(t, "root", "GetSchedule a."), REPLY_OK);
	assert_string_equal(t->classic, "1; 0,10000000,0");
	assert_int_equal(say(t, "alice", "hint(dstPort=81) size = 10MB, deadline = +10 on a."), REPLY_OK); // 2
	assert_false(realised(t));                                                             // the first has it
	assert_int_equal(say(t, "alice", "reserve(dstPort=82) = 2Mb on a to +10."), REPLY_OK); // 3: beside it
	requests_are(t, "3; 1; 2; 3");
	assert_int_equal(say(t, "alice", "reserve(dstPort=82) = 1b on a from +9 to +11."), REPLY_OK); // 4: it gives way
	requests_are(t, "3; 2; 3; 4");
	assert_int_equal(say(t, "alice", "reserve(dstPort=82) = 8Mb on a to +9."), REPLY_OK);
	assert_int_equal(say(t, "alice", "reserve(dstPort=82) = 1b on a to +9."), REPLY_SCHEDULE_FULL);
}

static void a_renewed_reservation_takes_a_hints_place(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "reserve(dstPort=82) = 5Mb on a to 5."), REPLY_OK);                    // 1
	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 5MB, deadline = 10 on a from 5."), REPLY_OK); // 2
	assert_true(realised(t));
	assert_int_equal(say(t, "alice", "renew 2 to 20."), REPLY_BAD_VALUE);
	assert_int_equal(say(t, "alice", "renew 1 to 6."), REPLY_OK);
	requests_are(t, "1; 1");
}

static void hints_do_not_count_for_strictness_nor_for_overlap(void **state)
{
	struct talk *t = *state;

	for (int i = 0; i < 8; i++)
		assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1kB, deadline = +10 on a."), REPLY_OK);
	assert_true(realised(t)); // 8 may meet
	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1kB, deadline = +10 on a."), REPLY_OK);
	assert_false(realised(t));
	assert_int_equal(say(t, "alice", "hint(dstPort=81) size = 1kB, deadline = +10 on a."), REPLY_OK);
	assert_true(realised(t));
	assert_int_equal(say(t, "root", "deny(dstPort=80) strict on net0."), REPLY_OK);
	assert_int_equal(say(t, "root", "reserve(dstPort=80) = 1b partial on net0 to +10."), REPLY_OK); // 12
	assert_int_equal(say(t, "root", "ListRequests a."), REPLY_OK);
	assert_string_equal(t->classic, "9; 1; 2; 3; 4; 5; 6; 7; 9; 10"); // the latest that fitted gave way
}

static void a_hint_can_be_cancelled_and_ends_with_its_share(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1MB, deadline = +10 on a."), REPLY_OK);
	assert_int_equal(say(t, "alice", "cancel 1."), REPLY_OK);
	assert_int_equal(say(t, "alice", "hint(dstPort=80) size = 1MB, deadline = +10 on a."), REPLY_OK);
	assert_int_equal(say(t, "root", "DropShare a."), REPLY_OK);
	requests_are(t, "0");
	assert_int_equal(say(t, "root", "reserve(dstPort=80) = 1Mb on net0."), REPLY_OK); // nothing is left behind
}

static void a_realised_hint_is_an_atom_without_access(void **state)
{
	struct talk *t = *state;
	struct tree tree;

	say(t, "alice", "hint(dstPort=80) size = 1MB, deadline = +10 on a.");
	say(t, "alice", "hint(dstPort=80) class = background on a.");
	tree_init(&tree);
	assert_int_equal(engine_policy(t->engine, 0, &tree), 0);
	assert_int_equal(tree.n_atoms, 1);
	assert_int_equal(tree.atoms[0].part, ATOM_RESERVE);
	assert_int_equal(tree.atoms[0].access, ACCESS_NONE);
	assert_int_equal(tree.atoms[0].rate_bps, 800000);
	tree_fini(&tree);
}

// Among random reservations and hints: what is answered to a reservation is what is answered without the hints, and the
// realised hints fit beside the reservations at every instant.
static void random_hints_never_change_an_answer(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(40), n_realised = 0;

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		struct talk with, without;
		struct talk *both[] = {&with, &without};

		talk_init(&with, true);
		talk_init(&without, true);
		for (int b = 0; b < 2; b++) {
			say(both[b], "root", "NewShare p for (*) [reserve <= 100b] on rootShare.");
			say(both[b], "root", "NewShare c for (*) [reserve <= 60b] on p.");
		}
		for (int i = 0; i < 60; i++) {
			int from = (int)dice_roll(&d, 10), len = 1 + (int)dice_roll(&d, 10),
			    what = (int)dice_roll(&d, 8);
			const char *share = dice_roll(&d, 2) == 0 ? "p" : "c";
			char text[200];

			if (what == 0)
				snprintf(text, sizeof(text), "Tick %d.", (int)dice_roll(&d, 3));
			else if (what < 4)
				snprintf(text, sizeof(text), "reserve(dstPort=%d) = %db on %s from +%d to +%d.", i + 1,
					 1 + (int)dice_roll(&d, 60), share, from, from + len);
			else
				snprintf(text, sizeof(text),
					 "hint(dstPort=%d) size = %d, deadline = +%d on %s from +%d.", i + 1,
					 1 + (int)dice_roll(&d, 40), from + len, share, from);
			say(&with, "root", text);
			n_realised += realised(&with);
			if (what < 4) {
				assert_int_equal(say(&without, "root", text), with.reply.code);
				say(&with, "root", "GetSchedule c.");
				say(&without, "root", "GetSchedule c.");
				assert_string_equal(with.classic, without.classic);
			}
		}
		// All of them as reservations, in an engine of its own.
		for (int64_t at = engine_now_ns(with.engine); at < engine_now_ns(with.engine) + 30000000000;
		     at += 500000000) {
			uint64_t sum[2] = {0};
			const struct state *s = engine_state(with.engine);

			for (const struct request *r = request_from(&s->requests, 1); r != NULL;
			     r = request_from(&s->requests, r->id + 1)) {
				uint64_t rate = r->start_ns <= at && at < r->end_ns ? r->rate_bps : 0;

				sum[0] += rate;
				sum[1] += strcmp(r->share->name, "c") == 0 ? rate : 0;
			}
			assert_true(sum[0] <= 100 && sum[1] <= 60);
		}
		talk_fini(&with);
		talk_fini(&without);
	}
	assert_true(n_realised > rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(size_and_deadline_ask_for_a_reservation_rounded_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hint_is_decided_alike_after_a_restart_whatever_the_network_says,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_hint_is_accepted_where_nothing_can_be_done_for_it, setup, teardown),
		cmocka_unit_test_setup_teardown(hints_need_the_privilege_and_the_share, setup, teardown),
		cmocka_unit_test_setup_teardown(a_background_hint_is_realised_listed_and_explained_until_it_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(hints_take_nothing_from_the_schedule, setup, teardown),
		cmocka_unit_test_setup_teardown(a_renewed_reservation_takes_a_hints_place, setup, teardown),
		cmocka_unit_test_setup_teardown(hints_do_not_count_for_strictness_nor_for_overlap, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hint_can_be_cancelled_and_ends_with_its_share, setup, teardown),
		cmocka_unit_test_setup_teardown(a_realised_hint_is_an_atom_without_access, setup, teardown),
		cmocka_unit_test(random_hints_never_change_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
