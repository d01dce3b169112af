// SPDX-License-Identifier: Apache-2.0
// How long a dataplane waits for its first policy, in simulated time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/policy_wait.h"

#define MS INT64_C(1000000)
#define ALONE_MS 2000
#define START_NS (77 * MS)

static bool there;
static unsigned int n_asked;

static bool is_there(void *ctx)
{
	assert_ptr_equal(ctx, &there);
	n_asked++;
	return there;
}

static struct policy_wait start(uint32_t alone_ms)
{
	struct policy_wait w = {.is_there = is_there, .ctx = &there};

	there = false;
	n_asked = 0;
	policy_wait_start(&w, alone_ms, START_NS);
	return w;
}

// Turns when it is due, at the latest each 100 ms, up to end_ms; when it was over, in ms, or -1. Late at most once.
static int64_t play(struct policy_wait *w, bool connected, int64_t from_ms, int64_t end_ms, int *n_late)
{
	int64_t now_ns = START_NS + from_ms * MS;

	while (now_ns <= START_NS + end_ms * MS) {
		enum policy_wait_verdict verdict = policy_wait_turn(w, connected, now_ns);
		int64_t next_ns = policy_wait_next_ns(w);

		if (verdict == POLICY_WAIT_OVER)
			return (now_ns - START_NS) / MS;
		*n_late += verdict == POLICY_WAIT_LATE;
		assert_true(next_ns > now_ns);
		now_ns = next_ns < now_ns + 100 * MS ? next_ns : now_ns + 100 * MS;
	}
	return -1;
}

static void without_a_controller_it_waits_as_long_as_said(void **state)
{
	struct policy_wait w = start(ALONE_MS);
	int n_late = 0;

	assert_int_equal(play(&w, false, 0, 10000, &n_late), ALONE_MS);
	assert_int_equal(n_late, 0);
	w = start(ALONE_MS);
	w.is_there = NULL;
	assert_int_equal(play(&w, false, 0, 10000, &n_late), ALONE_MS);
}

static void a_connected_controller_is_waited_for(void **state)
{
	struct policy_wait w = start(ALONE_MS);
	int n_late = 0;

	assert_int_equal(play(&w, true, 0, 300000, &n_late), -1);
	assert_int_equal(n_late, 1);
	assert_int_equal(n_asked, 0);
	assert_int_equal(play(&w, false, 300000, 400000, &n_late), 300000 + ALONE_MS); // then it was lost
}

static void a_controller_that_has_not_connected_yet_is_waited_for(void **state)
{
	struct policy_wait w = start(ALONE_MS);
	int n_late = 0;

	there = true;
	assert_int_equal(play(&w, false, 0, 300000, &n_late), -1);
	assert_int_equal(n_late, 1);
	assert_in_range(n_asked, 1, 300000 / ALONE_MS);
	there = false;
	assert_in_range(play(&w, false, 300001, 400000, &n_late), 300001, 300001 + ALONE_MS);
}

static void one_that_comes_while_it_waits_is_waited_for(void **state)
{
	struct policy_wait w = start(ALONE_MS);
	int n_late = 0;

	assert_int_equal(play(&w, false, 0, ALONE_MS - 1, &n_late), -1);
	there = true;
	assert_int_equal(play(&w, false, ALONE_MS - 1, 300000, &n_late), -1);
}

static void nobody_is_waited_for_forever(void **state)
{
	struct policy_wait w = start(ALONE_MS);
	int n_late = 0;

	there = true;
	assert_int_equal(play(&w, true, 0, 2 * POLICY_WAIT_MOST_MS, &n_late), POLICY_WAIT_MOST_MS);
	w = start(ALONE_MS);
	there = true;
	assert_int_equal(play(&w, false, 0, 2 * POLICY_WAIT_MOST_MS, &n_late), POLICY_WAIT_MOST_MS);
}

static void zero_waits_for_nobody(void **state)
{
	struct policy_wait w = start(0);
	int n_late = 0;

	there = true;
	assert_int_equal(play(&w, true, 0, 1000, &n_late), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_controller_it_waits_as_long_as_said),
		cmocka_unit_test(a_connected_controller_is_waited_for),
		cmocka_unit_test(a_controller_that_has_not_connected_yet_is_waited_for),
		cmocka_unit_test(one_that_comes_while_it_waits_is_waited_for),
		cmocka_unit_test(nobody_is_waited_for_forever),
		cmocka_unit_test(zero_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
