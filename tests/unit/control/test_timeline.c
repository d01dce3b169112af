// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/timeline.h"
#include "talk.h"

#define S INT64_C(1000000000)
#define MB 1000000

static struct timeline *plain(uint64_t max_bps)
{
	struct timeline_conf conf = {max_bps, 0, max_bps, max_bps};

	return timeline_create(&conf, 0);
}

static void add(struct timeline *tl, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	assert_int_equal(timeline_prepare(tl), 0);
	timeline_add(tl, start_ns, end_ns, rate_bps);
}

static void sum_of_drains_never_exceeds_the_maximum(void **state)
{
	struct timeline *tl = plain(100 * MB);
	struct timeline_clash clash;

	add(tl, 5 * S, 10 * S, 60 * MB);
	assert_true(timeline_fits(tl, 0, INT64_MAX, 40 * MB, NULL));
	assert_false(timeline_fits(tl, 0, INT64_MAX, 40 * MB + 1, &clash));
	assert_int_equal(clash.reason, TIMELINE_OVER_MAX);
	assert_int_equal(clash.at_ns, 5 * S);
	assert_int_equal(clash.free_bps, 40 * MB);
	assert_int_equal(clash.standing_bps, 60 * MB);
	timeline_destroy(tl);
}

static void intervals_are_half_open(void **state)
{
	struct timeline *tl = plain(100 * MB);

	add(tl, 5 * S, 10 * S, 100 * MB);
	assert_true(timeline_fits(tl, 0, 5 * S, 100 * MB, NULL));
	assert_true(timeline_fits(tl, 10 * S, INT64_MAX, 100 * MB, NULL));
	assert_false(timeline_fits(tl, 0, 5 * S + 1, 1, NULL));
	assert_false(timeline_fits(tl, 10 * S - 1, 11 * S, 1, NULL));
	timeline_destroy(tl);
}

static void tokens_fail_at_the_last_whole_nanosecond_they_last(void **state)
{
	struct timeline_conf conf = {3 * S, 0, 0, 0};
	struct timeline *tl;
	struct timeline_clash clash;

	conf.capacity_bits = 100;
	conf.fill_bps = 1 * S; // a bit a nanosecond
	tl = timeline_create(&conf, 0);
	timeline_advance(tl, 5); // 5 bits
	assert_true(timeline_fits(tl, 5, 5 + 2, 3 * S, NULL));
	assert_false(timeline_fits(tl, 5, 5 + 3, 3 * S, &clash)); // two bits less each ns: 5, 3, 1, -1
	assert_int_equal(clash.reason, TIMELINE_NO_TOKENS);
	assert_int_equal(clash.at_ns, 7);
	timeline_destroy(tl);
}

static void tokens_stop_at_the_capacity(void **state)
{
	struct timeline_conf conf = {20 * MB, 0, 10 * MB, 200 * MB};
	struct timeline *tl = timeline_create(&conf, 0);

	timeline_advance(tl, 1000 * S);
	assert_true(timeline_fits(tl, 1000 * S, 1020 * S, 20 * MB, NULL));
	assert_false(timeline_fits(tl, 1000 * S, 1020 * S + 1, 20 * MB, NULL));
	timeline_destroy(tl);
}

static void forever_needs_what_the_fill_sustains(void **state)
{
	struct timeline_conf conf = {100 * MB, 0, 10 * MB, 1000 * MB};
	struct timeline *tl = timeline_create(&conf, 0);

	timeline_advance(tl, 100 * S);
	assert_false(timeline_fits(tl, 100 * S, INT64_MAX, 10 * MB + 1, NULL));
	assert_true(timeline_fits(tl, 100 * S, INT64_MAX, 10 * MB, NULL));
	add(tl, 200 * S, INT64_MAX, 4 * MB);
	assert_false(timeline_fits(tl, 100 * S, INT64_MAX, 6 * MB + 1, NULL)); // together with what stands
	assert_true(timeline_fits(tl, 100 * S, INT64_MAX, 6 * MB, NULL));
	timeline_destroy(tl);
}

static void a_later_promise_is_not_robbed_of_its_tokens(void **state)
{
	struct timeline_conf conf = {100 * MB, 0, 10 * MB, 1000 * MB};
	struct timeline *tl = timeline_create(&conf, 0);

	timeline_advance(tl, 100 * S);
	add(tl, 100 * S, 1100 * S, 11 * MB); // uses up 1000 Mb exactly by its end
	assert_false(timeline_fits(tl, 600 * S, 602 * S, 1 * MB, NULL));
	timeline_remove(tl, 100 * S, 1100 * S, 11 * MB);
	assert_true(timeline_fits(tl, 600 * S, 602 * S, 1 * MB, NULL));
	timeline_destroy(tl);
}

static void minimum_counts_in_the_new_interval_only(void **state)
{
	struct timeline_conf conf = {100 * MB, 20 * MB, 100 * MB, 100 * MB};
	struct timeline *tl = timeline_create(&conf, 0);
	struct timeline_clash clash;

	assert_false(timeline_fits(tl, 0, 10 * S, 19 * MB, &clash));
	assert_int_equal(clash.reason, TIMELINE_UNDER_MIN);
	add(tl, 0, 10 * S, 20 * MB);
	assert_true(timeline_fits(tl, 2 * S, 10 * S, 1, NULL));
	assert_false(timeline_fits(tl, 2 * S, 11 * S, 1, &clash));
	assert_int_equal(clash.at_ns, 10 * S);
	timeline_destroy(tl);
}

static int64_t points[8][3];
static unsigned int n_points;

static int record(void *ctx, const struct timeline_point *p)
{
	points[n_points][0] = p->at_ns;
	points[n_points][1] = (int64_t)p->free_bps;
	points[n_points++][2] = (int64_t)p->tokens_bits;
	return 0;
}

static void schedule_shows_changes_of_free_bandwidth_only(void **state)
{
	struct timeline *tl = plain(100 * MB);

	add(tl, 5 * S, 10 * S, 60 * MB);
	add(tl, 10 * S, 20 * S, 60 * MB); // 10 s is no change
	timeline_advance(tl, 1 * S);
	n_points = 0;
	timeline_each(tl, record, NULL);
	assert_int_equal(n_points, 3);
	assert_int_equal(points[0][0], 1 * S);
	assert_int_equal(points[0][1], 100 * MB);
	assert_int_equal(points[1][0], 5 * S);
	assert_int_equal(points[1][1], 40 * MB);
	assert_int_equal(points[2][0], 20 * S);
	assert_int_equal(points[2][2], 100 * MB);
	timeline_destroy(tl);
}

static void ending_one_of_several_drains_keeps_the_others(void **state)
{
	struct timeline *tl = plain(100 * MB);

	add(tl, 0, 10 * S, 5 * MB);
	add(tl, 10 * S, 20 * S, 5 * MB);
	add(tl, 10 * S, 20 * S, 3 * MB);
	timeline_remove(tl, 10 * S, 20 * S, 3 * MB); // what is left at 10 s cancels out
	timeline_remove(tl, 0, 10 * S, 5 * MB);
	assert_true(timeline_fits(tl, 0, 10 * S, 100 * MB, NULL));
	assert_true(timeline_fits(tl, 0, 20 * S, 95 * MB, NULL));
	assert_false(timeline_fits(tl, 0, 20 * S, 95 * MB + 1, NULL));
	timeline_destroy(tl);
}

static void no_limit_is_no_limit(void **state)
{
	struct timeline_conf conf = {TIMELINE_UNLIMITED, 0, TIMELINE_UNLIMITED, TIMELINE_UNLIMITED};
	struct timeline *tl = timeline_create(&conf, 0);

	for (int i = 0; i < 4; i++) {
		assert_true(timeline_fits(tl, 0, INT64_MAX, INT64_MAX, NULL));
		add(tl, 0, INT64_MAX, INT64_MAX);
	}
	timeline_destroy(tl);
}

static void largest_numbers_do_not_overflow(void **state)
{
	struct timeline_conf conf = {INT64_MAX, 0, INT64_MAX, INT64_MAX};
	struct timeline *tl = timeline_create(&conf, 0);

	add(tl, 0, INT64_MAX - 1, INT64_MAX);
	assert_false(timeline_fits(tl, 0, INT64_MAX, 1, NULL));
	timeline_advance(tl, INT64_MAX - 1);
	assert_true(timeline_fits(tl, INT64_MAX - 1, INT64_MAX, INT64_MAX, NULL));
	timeline_destroy(tl);
}

// The brute force: one nanosecond after the other, rates in bits a nanosecond, everything remembered.
#define HORIZON 64
#define DRAINS 40

struct drain {
	int64_t start_ns, end_ns;
	int64_t rate; // bits a nanosecond
};

struct brute {
	int64_t max, min, fill, capacity; // bits (a nanosecond)
	struct drain drains[DRAINS];
	unsigned int n;
};

static int64_t brute_sum(const struct brute *b, int64_t t)
{
	int64_t sum = 0;

	for (unsigned int i = 0; i < b->n; i++)
		if (b->drains[i].start_ns <= t && t < b->drains[i].end_ns)
			sum += b->drains[i].rate;
	return sum;
}

// With the drain `extra` (rate 0: none): true if admissible, else the first failing instant.
static bool brute_fits(const struct brute *b, const struct drain *extra, bool with_min, int64_t *at)
{
	int64_t tokens = 0;

	for (int64_t t = 0; t < HORIZON; t++) {
		bool inside = extra->start_ns <= t && t < extra->end_ns;
		int64_t sum = brute_sum(b, t) + (inside ? extra->rate : 0);

		*at = t;
		if (inside && (sum > b->max || (with_min && sum < b->min)))
			return false;
		tokens += b->fill - sum;
		tokens = tokens > b->capacity ? b->capacity : tokens;
		if (tokens < 0)
			return false;
	}
	// Nothing starts or ends beyond the horizon but what is for ever: the last sum must be sustained.
	if (brute_sum(b, HORIZON) + (extra->end_ns == INT64_MAX ? extra->rate : 0) > b->fill) {
		*at = -1;
		return false;
	}
	return true;
}

struct both {
	struct brute brute;
	struct timeline *tl;
	int64_t now_ns;
};

static void both_admit(struct both *x, struct dice *d)
{
	struct drain new = {.start_ns = x->now_ns + (int64_t)dice_roll(d, 12), .rate = 1 + (int64_t)dice_roll(d, 9)};
	uint64_t asked = (uint64_t) new.rate *S, max_rate;
	struct timeline_clash clash;
	int64_t at, best = 0;
	bool fits;

	new.end_ns = dice_roll(d, 6) == 0 ? INT64_MAX : new.start_ns + 1 + (int64_t)dice_roll(d, 15);
	if (new.end_ns != INT64_MAX &&new.end_ns >= HORIZON)
		return;
	fits = brute_fits(&x->brute, &new, true, &at);
	assert_int_equal(timeline_fits(x->tl, new.start_ns, new.end_ns, asked, &clash), fits);
	if (!fits && at >= 0)
		assert_int_equal(clash.at_ns, at);
	max_rate = timeline_max_rate(x->tl, new.start_ns, new.end_ns, asked);
	for (struct drain lower = new; lower.rate > 0 && best == 0; lower.rate--)
		if (brute_fits(&x->brute, &lower, false, &at))
			best = lower.rate;
	assert_in_range(max_rate, (uint64_t)best * S, (uint64_t)best * S + (best == new.rate ? 0 : S - 1));
	if (!fits || x->brute.n == DRAINS)
		return;
	x->brute.drains[x->brute.n++] = new;
	add(x->tl, new.start_ns, new.end_ns, asked);
}

// What was drained before now stays drained; the rest is given back.
static void both_cancel(struct both *x, struct dice *d)
{
	struct drain *drain;

	if (x->brute.n == 0)
		return;
	drain = &x->brute.drains[dice_roll(d, x->brute.n)];
	if (drain->end_ns <= x->now_ns)
		return;
	timeline_remove(x->tl, drain->start_ns, drain->end_ns, (uint64_t)drain->rate * S);
	drain->end_ns = x->now_ns;
	if (drain->start_ns >= x->now_ns)
		drain->start_ns = drain->end_ns = 0;
}

static struct both *compared;

static int compare_point(void *ctx, const struct timeline_point *p)
{
	const struct brute *b = &compared->brute;
	int64_t tokens = 0;

	for (int64_t t = 0; t < p->at_ns; t++) {
		tokens += b->fill - brute_sum(b, t);
		tokens = tokens > b->capacity ? b->capacity : tokens;
	}
	assert_int_equal(p->free_bps, (uint64_t)(b->max - brute_sum(b, p->at_ns)) * S);
	assert_int_equal(p->tokens_bits, tokens);
	return 0;
}

static void any_history_agrees_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(2000);

	for (unsigned long round = 0; round < rounds; round++) {
		struct both x = {.brute = {.max = 1 + (int64_t)dice_roll(&d, 12)}};
		struct timeline_conf conf;

		x.brute.min = dice_roll(&d, 3) == 0 ? (int64_t)dice_roll(&d, 6) : 0;
		x.brute.fill = dice_roll(&d, 3) == 0 ? x.brute.max : (int64_t)dice_roll(&d, 8);
		x.brute.capacity = (int64_t)dice_roll(&d, 60);
		conf = (struct timeline_conf){(uint64_t)x.brute.max * S, (uint64_t)x.brute.min * S,
					      (uint64_t)x.brute.fill * S, (uint64_t)x.brute.capacity};
		x.tl = timeline_create(&conf, 0);
		compared = &x;
		for (int step = 0; step < 60; step++) {
			uint64_t what = dice_roll(&d, 10);

			if (what < 6)
				both_admit(&x, &d);
			else if (what < 8)
				both_cancel(&x, &d);
			else if (x.now_ns < HORIZON / 2)
				timeline_advance(x.tl, x.now_ns += (int64_t)dice_roll(&d, 4));
			timeline_each(x.tl, compare_point, NULL);
		}
		timeline_destroy(x.tl);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_of_drains_never_exceeds_the_maximum),
		cmocka_unit_test(intervals_are_half_open),
		cmocka_unit_test(tokens_fail_at_the_last_whole_nanosecond_they_last),
		cmocka_unit_test(tokens_stop_at_the_capacity),
		cmocka_unit_test(forever_needs_what_the_fill_sustains),
		cmocka_unit_test(a_later_promise_is_not_robbed_of_its_tokens),
		cmocka_unit_test(minimum_counts_in_the_new_interval_only),
		cmocka_unit_test(schedule_shows_changes_of_free_bandwidth_only),
		cmocka_unit_test(ending_one_of_several_drains_keeps_the_others),
		cmocka_unit_test(no_limit_is_no_limit),
		cmocka_unit_test(largest_numbers_do_not_overflow),
		cmocka_unit_test(any_history_agrees_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
