// SPDX-License-Identifier: Apache-2.0
// The balanced schedule against the obvious one (timeline_naive.c): random histories, every answer the same.
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/timeline.h"
#include "talk.h"
#include "timeline_naive.h"

#define DRAINS 400
#define POINTS (2 * DRAINS + 1)

struct drain {
	int64_t start_ns, end_ns;
	uint64_t rate_bps;
};

struct pair {
	struct timeline *tl;
	struct timeline_naive *naive;
	struct timeline_conf conf;
	struct dice dice;
	struct drain drains[DRAINS];
	uint32_t n;
	int64_t now_ns, span_ns; // intervals begin within the span from now
};

struct points {
	struct timeline_point all[POINTS];
	uint32_t n;
};

static int record(void *ctx, const struct timeline_point *point)
{
	struct points *p = ctx;

	assert_true(p->n < POINTS);
	p->all[p->n++] = *point;
	return 0;
}

static void schedules_are_the_same(struct pair *p)
{
	static struct points a, b;

	a.n = b.n = 0;
	timeline_each(p->tl, record, &a);
	timeline_naive_each(p->naive, record, &b);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.all, b.all, a.n * sizeof(a.all[0]));
}

static struct drain random_drain(struct pair *p)
{
	struct drain d = {p->now_ns + (int64_t)dice_roll(&p->dice, (uint64_t)p->span_ns), INT64_MAX, 0};

	if (dice_roll(&p->dice, 12) != 0)
		d.end_ns = d.start_ns + 1 + (int64_t)dice_roll(&p->dice, (uint64_t)p->span_ns / 3 + 1);
	d.rate_bps = 1 + dice_roll(&p->dice, p->conf.max_bps / (1 + dice_roll(&p->dice, 12)) + 1);
	return d;
}

static void ask(struct pair *p)
{
	struct drain d = random_drain(p);
	struct timeline_clash a = {0}, b = {0};
	bool fits = timeline_naive_fits(p->naive, d.start_ns, d.end_ns, d.rate_bps, &b);

	assert_int_equal(timeline_fits(p->tl, d.start_ns, d.end_ns, d.rate_bps, &a), fits);
	assert_int_equal(a.at_ns, b.at_ns);
	assert_int_equal(a.reason, b.reason);
	assert_int_equal(a.free_bps, b.free_bps);
	assert_int_equal(a.standing_bps, b.standing_bps);
	assert_int_equal(timeline_max_rate(p->tl, d.start_ns, d.end_ns, d.rate_bps),
			 timeline_naive_max_rate(p->naive, d.start_ns, d.end_ns, d.rate_bps));
	if (!fits || p->n == DRAINS)
		return;
	assert_int_equal(timeline_prepare(p->tl), 0);
	assert_int_equal(timeline_naive_prepare(p->naive), 0);
	timeline_add(p->tl, d.start_ns, d.end_ns, d.rate_bps);
	timeline_naive_add(p->naive, d.start_ns, d.end_ns, d.rate_bps);
	p->drains[p->n++] = d;
}

static void end_one(struct pair *p)
{
	struct drain d;
	uint64_t i;

	if (p->n == 0)
		return;
	i = dice_roll(&p->dice, p->n);
	d = p->drains[i];
	p->drains[i] = p->drains[--p->n];
	if (d.end_ns <= p->now_ns)
		return;
	timeline_remove(p->tl, d.start_ns, d.end_ns, d.rate_bps);
	timeline_naive_remove(p->naive, d.start_ns, d.end_ns, d.rate_bps);
}

static void pass_time(struct pair *p)
{
	p->now_ns += (int64_t)dice_roll(&p->dice, (uint64_t)p->span_ns / 20 + 2);
	timeline_advance(p->tl, p->now_ns);
	timeline_naive_advance(p->naive, p->now_ns);
}

// The rates of a small one are whole bits a nanosecond or odd parts of it; of a large one, up to the largest number.
static void pair_init(struct pair *p, struct dice *dice, bool small)
{
	uint64_t unit = small ? 1000000000 / (1 + dice_roll(dice, 3)) : UINT64_C(1) << dice_roll(dice, 55);

	memset(p, 0, sizeof(*p));
	p->dice = *dice;
	p->conf.max_bps = (1 + dice_roll(dice, 20)) * unit;
	p->conf.min_bps = dice_roll(dice, 4) == 0 ? dice_roll(dice, 10) * unit : 0;
	p->conf.fill_bps = dice_roll(dice, 3) == 0 ? p->conf.max_bps : dice_roll(dice, 20) * unit;
	p->span_ns = small ? 40 : (INT64_C(1) << (4 + dice_roll(dice, 50)));
	p->conf.capacity_bits =
		small ? dice_roll(dice, 100) : dice_roll(dice, UINT64_C(1) << (1 + dice_roll(dice, 62)));
	p->tl = timeline_create(&p->conf, 0);
	p->naive = timeline_naive_create(&p->conf, 0);
	assert_non_null(p->tl);
	assert_non_null(p->naive);
	p->dice.state ^= dice_roll(dice, UINT64_C(1) << 60);
}

static void pair_fini(struct pair *p)
{
	timeline_destroy(p->tl);
	timeline_naive_destroy(p->naive);
}

static void any_history_agrees_with_the_naive_schedule(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(300);
	static struct pair p;

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		pair_init(&p, &d, round % 2 == 0);
		for (int step = 0; step < 800; step++) {
			uint64_t what = dice_roll(&p.dice, 20);

			if (what < 14)
				ask(&p);
			else if (what < 17)
				end_one(&p);
			else if (what == 17)
				pass_time(&p);
			else if (step % 10 == 0)
				schedules_are_the_same(&p);
		}
		pair_fini(&p);
	}
}

// As timeline_earliest, one nanosecond after the other, up to where nothing changes any more.
static int64_t earliest_by_trial(const struct pair *p, int64_t from_ns, int64_t len_ns, uint64_t rate_bps,
				 bool with_min)
{
	for (int64_t t = from_ns; t < from_ns + 500; t++) {
		int64_t end_ns = len_ns == INT64_MAX ? INT64_MAX : t + len_ns;

		if (with_min ? timeline_naive_fits(p->naive, t, end_ns, rate_bps, NULL)
			     : timeline_naive_max_rate(p->naive, t, end_ns, rate_bps) == rate_bps)
			return t;
	}
	return -1;
}

static void earliest_start_is_the_first_that_fits(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(400);
	uint32_t found = 0, moved = 0, none = 0;
	static struct pair p;

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		pair_init(&p, &d, true);
		for (int step = 0; step < 60; step++) {
			struct drain want = random_drain(&p);
			int64_t len_ns = want.end_ns == INT64_MAX ? INT64_MAX : want.end_ns - want.start_ns, at, right;
			bool with_min = dice_roll(&p.dice, 4) != 0;
			uint64_t budget = UINT64_MAX;
			int rc = timeline_earliest(p.tl, want.start_ns, len_ns, want.rate_bps, with_min, &budget, &at);

			right = earliest_by_trial(&p, want.start_ns, len_ns, want.rate_bps, with_min);
			if (right < 0) {
				none++;
				// Slow tokens may need more time than was tried.
				if (rc == 0)
					assert_true(at >= want.start_ns + 500);
				if (rc == 0 && with_min)
					assert_true(timeline_fits(p.tl, at, len_ns == INT64_MAX ? len_ns : at + len_ns,
								  want.rate_bps, NULL));
			} else {
				found++;
				moved += right > want.start_ns;
				assert_int_equal(rc, 0);
				assert_int_equal(at, right);
			}
			ask(&p);
			if (step % 8 == 0)
				pass_time(&p);
			else if (step % 8 == 4)
				end_one(&p);
		}
		pair_fini(&p);
	}
	print_message("%" PRIu32 " found, %" PRIu32 " of them later, %" PRIu32 " not\n", found, moved, none);
	assert_true(moved > rounds && none > rounds);
}

// At any scale: what is found fits, and one nanosecond earlier does not.
static void earliest_start_is_exact_to_the_nanosecond(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(200);
	static struct pair p;

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		pair_init(&p, &d, false);
		for (int step = 0; step < 120; step++) {
			struct drain want = random_drain(&p);
			int64_t len_ns = want.end_ns == INT64_MAX ? INT64_MAX : want.end_ns - want.start_ns, at;
			uint64_t budget = UINT64_MAX;

			ask(&p);
			if (timeline_earliest(p.tl, want.start_ns, len_ns, want.rate_bps, true, &budget, &at) != 0) {
				assert_false(
					timeline_naive_fits(p.naive, want.start_ns, want.end_ns, want.rate_bps, NULL));
				continue;
			}
			want.end_ns = len_ns == INT64_MAX ? INT64_MAX : at + len_ns;
			assert_true(timeline_naive_fits(p.naive, at, want.end_ns, want.rate_bps, NULL));
			if (at == want.start_ns)
				continue;
			want.end_ns -= len_ns == INT64_MAX ? 0 : 1;
			assert_false(timeline_naive_fits(p.naive, at - 1, want.end_ns, want.rate_bps, NULL));
		}
		pair_fini(&p);
	}
}

static void earliest_start_gives_up_when_the_budget_is_spent(void **state)
{
	struct timeline_conf conf = {10, 0, 10, 10};
	struct timeline *tl = timeline_create(&conf, 0);
	uint64_t budget = 100;
	int64_t at;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(timeline_prepare(tl), 0);
		timeline_add(tl, 10 * i, 10 * i + 1, 10);
	}
	assert_int_equal(timeline_earliest(tl, 0, 10, 1, true, &budget, &at), -E2BIG);
	budget = 1000000;
	assert_int_equal(timeline_earliest(tl, 0, 10, 1, true, &budget, &at), 0);
	assert_int_equal(at, 9991);
	timeline_destroy(tl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history_agrees_with_the_naive_schedule),
		cmocka_unit_test(earliest_start_is_the_first_that_fits),
		cmocka_unit_test(earliest_start_is_exact_to_the_nanosecond),
		cmocka_unit_test(earliest_start_gives_up_when_the_budget_is_spent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
