// SPDX-License-Identifier: Apache-2.0
// What somebody who plans is told is what admission does then: the free bandwidth of GetSchedule, and earliest starts
// where several checks are in the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

#define FOREVER 1000000

// The least that GetSchedule says is free of the share in [from, to), whole seconds.
static uint64_t free_of(struct talk *t, const char *share, unsigned int from, unsigned int to)
{
	uint64_t least = UINT64_MAX;
	char text[64];
	const json_t *points;

	snprintf(text, sizeof(text), "GetSchedule %s.", share);
	assert_int_equal(say(t, "root", text), REPLY_OK);
	points = t->reply.items;
	for (size_t i = 0; i < json_array_size(points); i++) {
		const json_t *here = json_array_get(points, i), *next = json_array_get(points, i + 1);
		unsigned long at = strtoul(json_string_value(json_object_get(here, "at")), NULL, 10);
		unsigned long end =
			next == NULL ? FOREVER : strtoul(json_string_value(json_object_get(next, "at")), NULL, 10);
		uint64_t bps = (uint64_t)json_integer_value(json_object_get(here, "bandwidth"));

		if (at < to && end > from && bps < least)
			least = bps;
	}
	return least;
}

// A partial reserve gets just what the schedules of its share and of all above leave.
static void schedules_tell_what_a_reservation_will_get(void **state)
{
	static const char *const shares[] = {"up", "left", "right", "below"};
	static const char *const above[][3] = {{"up"}, {"left", "up"}, {"right", "up"}, {"below", "right", "up"}};
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(30), n_full = 0, n_part = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		struct talk t = {0};

		talk_init(&t, true);
		say(&t, "root", "NewShare up for (*) [reserve <= 20] on rootShare.");
		say(&t, "root", "NewShare left for (*) [reserve <= 15] on up.");
		say(&t, "root", "NewShare right for (*) [reserve <= 12] on up.");
		say(&t, "root", "NewShare below for (*) [reserve <= 10] on right.");
		for (unsigned int i = 0, now = 0; i < 60; i++) {
			unsigned int from = now + (unsigned int)dice_roll(&d, 40),
				     share = (unsigned int)dice_roll(&d, 4);
			unsigned int to = from + 1 + (unsigned int)dice_roll(&d, 20);
			uint64_t expected = UINT64_MAX;
			bool forever = dice_roll(&d, 8) == 0;
			char text[160];

			if (dice_roll(&d, 10) == 0) {
				now++;
				assert_int_equal(say(&t, "root", "Tick 1."), REPLY_OK);
				from++;
				to++;
			}
			for (int k = 0; k < 3 && above[share][k] != NULL; k++) {
				uint64_t bps = free_of(&t, above[share][k], from, forever ? FOREVER : to);

				expected = bps < expected ? bps : expected;
			}
			snprintf(text, sizeof(text), "reserve(dstPort=%u) = %u partial on %s from %u to %.*u%s.", i,
				 1 + (unsigned int)dice_roll(&d, 20), shares[share], from, forever ? 0 : 1,
				 forever ? 0 : to, forever ? "forever" : "");
			if (say(&t, "root", text) == REPLY_OK) {
				uint64_t granted = (uint64_t)talk_number(&t, "granted");
				uint64_t asked = strtoull(strchr(text, ')') + 3, NULL, 10) * 1000000;

				if (granted != (asked < expected ? asked : expected))
					fail_msg("round %lu: %s got %llu, planned %llu", round, text,
						 (unsigned long long)granted, (unsigned long long)expected);
				n_part += granted < asked;
			} else {
				if (expected != 0)
					fail_msg("round %lu: %s: %s, planned %llu", round, text, talk_why(&t),
						 (unsigned long long)expected);
				n_full++;
			}
			if (dice_roll(&d, 5) == 0) {
				snprintf(text, sizeof(text), "cancel %u.", 1 + (unsigned int)dice_roll(&d, i + 1));
				say(&t, "root", text);
			}
		}
		talk_fini(&t);
	}
	assert_true(n_full > rounds && n_part > rounds);
}

static int64_t ns_of(const char *decimal)
{
	int64_t ns = (int64_t)strtoull(decimal, NULL, 10) * 1000000000;
	char decimals[10] = "000000000";

	if (strchr(decimal, '.') != NULL) {
		memcpy(decimals, strchr(decimal, '.') + 1, strlen(strchr(decimal, '.') + 1));
		ns += strtol(decimals, NULL, 10);
	}
	return ns;
}

struct wish {
	const char *share, *strictness;
	unsigned int port, rate;
	int64_t len_ns; // 0: for ever
};

static enum reply_code reserve_at(struct talk *t, const struct wish *w, int64_t ns)
{
	char text[200], end[32] = "forever";

	if (w->len_ns > 0)
		snprintf(end, sizeof(end), "%ld.%09ld", (long)((ns + w->len_ns) / 1000000000),
			 (long)((ns + w->len_ns) % 1000000000));
	snprintf(text, sizeof(text), "reserve(dstPort=%u) = %u %s on %s from %ld.%09ld to %s.", w->port, w->rate,
		 w->strictness, w->share, (long)(ns / 1000000000), (long)(ns % 1000000000), end);
	return say(t, "root", text);
}

// The share is full at eleven, in one packet at most eight may meet, and denials are in the way: whichever of them
// moves the start, it is the first one that is accepted, and where there is none nothing later is accepted either.
static void earliest_starts_mind_all_checks_together(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(40), found = 0, none = 0, overlaps = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		struct talk t = {0};
		char text[160], start[32];

		talk_init(&t, true);
		say(&t, "root", "NewShare n for (*) [reserve <= 11] on rootShare.");
		say(&t, "root", "NewShare m for (*) [reserve <= 9 reserveTBFill = 6 reserveTBCapacity = 30] on n.");
		for (int i = 0; i < 80; i++) {
			struct wish w = {dice_roll(&d, 3) == 0 ? "m" : "n", dice_roll(&d, 5) == 0 ? "partial" : "", 80,
					 dice_roll(&d, 8) == 0 ? 1 + (unsigned int)dice_roll(&d, 9) : 1,
					 (int64_t)(1 + dice_roll(&d, 9)) * 1000000000};
			enum reply_code code;
			int64_t at_ns;

			if (dice_roll(&d, 12) == 0)
				w.len_ns = 0;
			if (dice_roll(&d, 15) == 0) {
				unsigned int from = (unsigned int)dice_roll(&d, 30);

				snprintf(text, sizeof(text), "deny(dstPort=80) partial on n from %u to %u.", from,
					 from + 1 + (unsigned int)dice_roll(&d, 5));
				say(&t, "root", text);
				continue;
			}
			w.port = dice_roll(&d, 10) == 0 ? 81 : 80;
			code = reserve_at(&t, &w, (int64_t)dice_roll(&d, 15) * 1000000000);
			overlaps += code == REPLY_OVERLAP;
			if (code != REPLY_SCHEDULE_FULL || json_object_get(t.reply.body, "earliest") == NULL)
				continue;
			if (talk_text(&t, "earliest") == NULL) {
				for (int k = 0; k < 5; k++)
					if (reserve_at(&t, &w, (int64_t)dice_roll(&d, 90) * 500000000) == REPLY_OK)
						fail_msg("round %lu: there was a start: %s", round, text);
				none++;
				continue;
			}
			snprintf(start, sizeof(start), "%s", talk_text(&t, "earliest"));
			at_ns = ns_of(start);
			for (int k = 0; k < 5 && at_ns > 0; k++) // none before
				if (reserve_at(&t, &w, (int64_t)dice_roll(&d, (uint64_t)at_ns)) == REPLY_OK)
					fail_msg("round %lu: earlier than %s", round, start);
			if (at_ns > 0 && reserve_at(&t, &w, at_ns - 1) == REPLY_OK)
				fail_msg("round %lu: a nanosecond earlier than %s", round, start);
			if (reserve_at(&t, &w, at_ns) != REPLY_OK)
				fail_msg("round %lu: at %s: %s", round, start, talk_why(&t));
			found++;
		}
		talk_fini(&t);
	}
	print_message("%lu starts, %lu times none, %lu refused for overlap\n", found, none, overlaps);
	assert_true(found > rounds && none > rounds / 4 && overlaps > rounds / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedules_tell_what_a_reservation_will_get),
		cmocka_unit_test(earliest_starts_mind_all_checks_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
