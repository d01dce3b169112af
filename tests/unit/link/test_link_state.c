// SPDX-License-Identifier: Apache-2.0
// Meters of which this dataplane keeps a part: what is sent is the part, and only when it is another one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/link_state.h"

struct sent {
	uint32_t n;
	uint64_t rate_bps; // of the last one
};

static void send(void *ctx, const struct proto_msg *msg)
{
	struct sent *sent = ctx;

	sent->n++;
	sent->rate_bps = msg->type == PROTO_METER_SET ? msg->meter.rate_bps : 0;
}

// What is sent, and how much of the rate; once.
static void check_sent(struct link_state *s, uint32_t n, uint64_t rate_bps)
{
	struct link_diff_stats stats = {0};
	struct sent sent = {0};

	link_state_diff(s, 1, send, &sent, &stats);
	assert_int_equal(sent.n, n);
	assert_int_equal(sent.rate_bps, rate_bps);
	memset(&sent, 0, sizeof(sent));
	link_state_diff(s, 1, send, &sent, &stats);
	assert_int_equal(sent.n, 0);
}

static const struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

static void a_meter_that_others_keep_too_is_divided(void **state)
{
	struct link_state s;

	link_state_init(&s);
	assert_int_equal(link_state_want_meter(&s, &meter), 0);
	assert_false(link_state_part_meter(&s, 7, 1));
	check_sent(&s, 1, 5000000);
	assert_true(link_state_part_meter(&s, 7, 2));
	check_sent(&s, 1, 2500000);
	assert_false(link_state_part_meter(&s, 7, 2));
	assert_int_equal(link_state_want_meter(&s, &meter), 0); // said anew: it stays divided
	check_sent(&s, 0, 0);
	assert_true(link_state_part_meter(&s, 7, 10000000));
	check_sent(&s, 1, 1); // 0 is no rate
	assert_true(link_state_part_meter(&s, 7, 1));
	check_sent(&s, 1, 5000000);
	link_state_fini(&s);
	(void)state;
}

static void a_meter_that_is_gone_has_no_part(void **state)
{
	struct link_state s;

	link_state_init(&s);
	assert_false(link_state_part_meter(&s, 7, 2)); // nobody's
	assert_int_equal(link_state_want_meter(&s, &meter), 0);
	assert_true(link_state_part_meter(&s, 7, 2));
	check_sent(&s, 1, 2500000);
	link_state_drop_meter(&s, 7);
	assert_false(link_state_part_meter(&s, 7, 3));
	check_sent(&s, 1, 0);
	assert_int_equal(link_state_want_meter(&s, &meter), 0);
	check_sent(&s, 1, 5000000);
	link_state_fini(&s);
	(void)state;
}

static void what_a_dataplane_has_is_compared_with_the_part(void **state)
{
	const struct proto_meter half = {7, 2500000, PROTO_METER_LIMIT};
	struct link_state s;

	link_state_init(&s);
	assert_int_equal(link_state_have_meter(&s, &half), 0);
	assert_int_equal(link_state_want_meter(&s, &meter), 0);
	assert_true(link_state_part_meter(&s, 7, 2));
	check_sent(&s, 0, 0);
	link_state_fini(&s);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_meter_that_others_keep_too_is_divided),
		cmocka_unit_test(a_meter_that_is_gone_has_no_part),
		cmocka_unit_test(what_a_dataplane_has_is_compared_with_the_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
