// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/meter.h"

#define S INT64_C(1000000000)

static unsigned int take_all(struct meter *m, const char *user, int64_t now_ns)
{
	unsigned int n = 0;

	while (n < 100000 && meter_take(m, user, now_ns))
		n++;
	return n;
}

static void a_second_s_worth_may_come_at_once(void **state)
{
	struct meter *m = meter_create(50);

	assert_int_equal(take_all(m, "alice", 7 * S), 50);
	assert_false(meter_take(m, "alice", 7 * S));
	meter_destroy(m);
}

static void statements_come_back_at_the_rate_exactly(void **state)
{
	struct meter *m = meter_create(3);

	take_all(m, "alice", 0);
	assert_false(meter_take(m, "alice", 333333333));
	assert_true(meter_take(m, "alice", 333333334));
	assert_false(meter_take(m, "alice", 666666666));
	assert_true(meter_take(m, "alice", 666666667));
	assert_true(meter_take(m, "alice", S)); // what was over each time was not lost
	assert_int_equal(take_all(m, "alice", 3600 * S), 3);
	meter_destroy(m);
}

static void long_times_do_not_overflow(void **state)
{
	struct meter *m = meter_create(UINT32_MAX);

	assert_true(meter_take(m, "alice", 0));
	assert_true(meter_take(m, "alice", INT64_MAX));
	meter_destroy(m);
	m = meter_create(1);
	assert_int_equal(take_all(m, "alice", 0), 1);
	assert_int_equal(take_all(m, "alice", INT64_MAX), 1);
	assert_int_equal(take_all(m, "alice", 5), 0); // a clock that was set back
	meter_destroy(m);
}

static void users_do_not_take_from_one_another(void **state)
{
	struct meter *m = meter_create(2);
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		assert_int_equal(take_all(m, name, S), 2);
	}
	assert_false(meter_take(m, "user17", S));
	assert_true(meter_take(m, "user17", 2 * S));
	meter_destroy(m);
}

static void zero_is_no_limit(void **state)
{
	struct meter *m = meter_create(0);

	assert_int_equal(take_all(m, "alice", 0), 100000);
	meter_destroy(m);
	meter_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_s_worth_may_come_at_once),
		cmocka_unit_test(statements_come_back_at_the_rate_exactly),
		cmocka_unit_test(long_times_do_not_overflow),
		cmocka_unit_test(users_do_not_take_from_one_another),
		cmocka_unit_test(zero_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
