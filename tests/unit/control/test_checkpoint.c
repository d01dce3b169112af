// SPDX-License-Identifier: Apache-2.0
// An engine that was saved and loaded again and again, and one that never was, cannot be told apart.
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random_talk.h"
#include "talk.h"

#define SECOND INT64_C(1000000000)

// The engine is replaced by a new one that has loaded what it saved.
static void reload(struct talk *t)
{
	struct engine_conf conf = {.offline = false};
	struct engine *again = engine_create(&conf, t->nib, 0);
	struct checkpoint saved;
	struct err err;

	assert_int_equal(engine_save(t->engine, &saved), 0);
	engine_destroy(t->engine);
	t->engine = again;
	if (engine_load(again, saved.bytes, saved.n, &err) < 0)
		fail_msg("%s", err.msg);
	free(saved.bytes);
}

static void assert_same_state(const struct talk *a, const struct talk *b, unsigned long step)
{
	char *of_a = talk_dump(a), *of_b = talk_dump(b);

	size_t same = 0;

	while (of_a[same] != '\0' && of_a[same] == of_b[same])
		same++;
	while (same > 0 && of_a[same - 1] != '\n')
		same--;
	if (strcmp(of_a, of_b) != 0)
		fail_msg("after step %lu\n%.*s\n%.*s", step, (int)strcspn(of_a + same, "\n"), of_a + same,
			 (int)strcspn(of_b + same, "\n"), of_b + same);
	free(of_a);
	free(of_b);
}

static void assert_same_answer(struct talk *a, struct talk *b, const char *speaker, const char *statement)
{
	char *of_a, *of_b;

	say(a, speaker, statement);
	say(b, speaker, statement);
	of_a = reply_render_json(&a->reply);
	of_b = reply_render_json(&b->reply);
	if (strcmp(of_a, of_b) != 0)
		fail_msg("%s : %s\n%s\n%s", speaker, statement, of_a, of_b);
	free(of_a);
	free(of_b);
}

static void assert_same_lists(struct talk *a, struct talk *b)
{
	char text[64];

	assert_same_answer(a, b, "root", "ListRequests.");
	assert_same_answer(a, b, "u0", "ListShares.");
	for (int i = 0; i < RANDOM_SHARES; i++) {
		snprintf(text, sizeof(text), "GetSchedule s%d.", i);
		assert_same_answer(a, b, "root", text);
		snprintf(text, sizeof(text), "ListRequests s%d.", i);
		assert_same_answer(a, b, "root", text);
	}
}

// b sees what a journal holds: statements that changed something, and their times.
static void a_reloaded_engine_is_the_same_as_one_that_lived_on(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(40000), accepted = 0, reloads = 0;
	struct talk a = {0}, b = {0};

	for (unsigned long i = 0; i < rounds; i++) {
		struct random_statement r;

		if (i % 5000 == 0) {
			if (i > 0) {
				talk_fini(&a);
				talk_fini(&b);
			}
			talk_init(&a, false);
			talk_init(&b, false);
		}
		random_statement(&r, &d, engine_state(a.engine)->requests.next_id);
		if (dice_roll(&d, 4) == 0)
			a.now_ns += (int64_t)dice_roll(&d, 4 * SECOND);
		b.now_ns = a.now_ns;
		say(&a, r.speaker, r.text);
		if (a.reply.mutated) {
			accepted++;
			assert_int_equal(say(&b, r.speaker, r.text), REPLY_OK);
			assert_string_equal(a.classic, b.classic);
		}
		if (dice_roll(&d, 20) > 0)
			continue;
		reload(&b);
		reloads++;
		engine_advance(b.engine, a.now_ns);
		assert_same_state(&a, &b, i);
		assert_same_lists(&a, &b);
	}
	printf("%lu of %lu changed something, %lu reloads\n", accepted, rounds, reloads);
	talk_fini(&a);
	talk_fini(&b);
}

static void numbers_of_what_is_gone_are_not_given_out_again(void **state)
{
	struct talk t;

	talk_init(&t, false);
	assert_int_equal(say(&t, "root", "NewShare a for (*) on rootShare."), REPLY_OK);
	assert_int_equal(say(&t, "root", "deny(dstPort=80) on a."), REPLY_OK);
	assert_int_equal(say(&t, "root", "cancel 1."), REPLY_OK);
	assert_int_equal(say(&t, "root", "DropShare a."), REPLY_OK);
	reload(&t);
	assert_int_equal(say(&t, "root", "NewShare b for (*) on rootShare."), REPLY_OK);
	assert_int_equal(share_find(&engine_state(t.engine)->shares, "b")->number, 2);
	assert_int_equal(say(&t, "root", "deny(dstPort=80) on b."), REPLY_OK);
	assert_int_equal(talk_number(&t, "id"), 2);
	talk_fini(&t);
}

static void largest_values_come_back(void **state)
{
	struct talk t;
	char *before, *after;

	talk_init(&t, false);
	assert_int_equal(say(&t, "root",
			     "NewShare a for (*) [reserve <= 9223372036854775807b reserveTBFill = 1b"
			     " reserveTBCapacity = 9223372036854775807b] on rootShare."),
			 REPLY_OK);
	assert_int_equal(say(&t, "root",
			     "reserve(srcHost=2001:db8::1, srcEth=ff:ff:ff:ff:ff:ff, vlan=4095) = 1b on a"
			     " from 9223372036 to forever."),
			 REPLY_OK);
	t.now_ns = 9000000000 * SECOND;
	engine_advance(t.engine, t.now_ns);
	before = talk_dump(&t);
	reload(&t);
	after = talk_dump(&t);
	assert_string_equal(before, after);
	free(before);
	free(after);
	talk_fini(&t);
}

static void build_some(struct talk *t)
{
	talk_init(t, false);
	say(t, "root", "AddUser alice.");
	say(t, "root", "Bind alice to 10.0.0.1.");
	say(t, "root", "NewShare a for (user=alice) [reserve <= 10 waypoint = {10.1.0.1} avoid = *] on rootShare.");
	say(t, "root", "Grant a to alice.");
	say(t, "alice", "reserve(srcUser=alice) = 4 on a to +20.");
	say(t, "alice", "waypoint(srcUser=alice) = 10.1.0.1 on a to +20.");
	say(t, "alice", "renew 1 to +40.");
	say(t, "alice", "hint(srcUser=alice) size = 1MB deadline = +20 class = background on a.");
}

// Damage that a checksum would not show: refused, or a state that works; never a crash.
static void damaged_bytes_are_refused_or_make_a_sound_state(void **state)
{
	struct engine_conf conf = {.offline = false};
	struct dice d = dice_from_env();
	unsigned long refused = 0, rounds = rounds_from_env(8000);
	struct checkpoint saved;
	struct talk t;

	build_some(&t);
	assert_int_equal(engine_save(t.engine, &saved), 0);
	for (unsigned long i = 0; i < rounds; i++) {
		struct talk damaged = {.nib = nib_create(), .engine = engine_create(&conf, NULL, 0)};
		uint8_t *bytes = malloc(saved.n);
		size_t n = dice_roll(&d, 4) == 0 ? dice_roll(&d, saved.n) : saved.n;
		struct err err = {0};

		memcpy(bytes, saved.bytes, saved.n);
		for (uint64_t k = dice_roll(&d, 4); k > 0; k--)
			bytes[dice_roll(&d, saved.n)] = (uint8_t)dice_roll(&d, 256);
		reply_init(&damaged.reply);
		if (engine_load(damaged.engine, bytes, n, &err) < 0) {
			refused++;
			assert_non_null(strstr(err.msg, "checkpoint"));
		} else {
			engine_advance(damaged.engine, INT64_MAX);
			free(talk_dump(&damaged));
		}
		free(bytes);
		talk_fini(&damaged);
	}
	printf("%lu of %lu refused\n", refused, rounds);
	assert_true(rounds < 100 || refused > rounds / 4);
	free(saved.bytes);
	talk_fini(&t);
}

static void another_format_is_refused_by_its_number(void **state)
{
	struct engine_conf conf = {.offline = false};
	struct engine *e = engine_create(&conf, NULL, 0);
	struct checkpoint saved;
	struct err err = {0};

	assert_int_equal(engine_save(e, &saved), 0);
	saved.bytes[0] = 99;
	assert_int_equal(engine_load(e, saved.bytes, saved.n, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "checkpoint format 99, this program reads format "));
	free(saved.bytes);
	engine_destroy(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reloaded_engine_is_the_same_as_one_that_lived_on),
		cmocka_unit_test(numbers_of_what_is_gone_are_not_given_out_again),
		cmocka_unit_test(largest_values_come_back),
		cmocka_unit_test(damaged_bytes_are_refused_or_make_a_sound_state),
		cmocka_unit_test(another_format_is_refused_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
