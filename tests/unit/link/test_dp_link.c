// SPDX-License-Identifier: Apache-2.0
// The controller's end against the dataplane's (link, table), both in one thread: a turn of the one, a turn of the
// other. Building and workers are played by the test. And against a peer that says what it should not.
#include "control/dp_link.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/log.h"
#include "control/realize.h"
#include "dataplane/link.h"
#include "gen.h"
#include "played_dp.h"

struct fixture {
	struct played_dp dp;
	struct event_base *base;
	struct nib *nib;
	struct dp_link *ctl;
	struct flowtab want;
};

static struct err err;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	played_dp_init(&f->dp);
	f->base = event_base_new();
	f->nib = nib_create();
	f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
	*state = f;
	return f->ctl == NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dp_link_destroy(f->ctl);
	played_dp_fini(&f->dp);
	nib_destroy(f->nib);
	event_base_free(f->base);
	flowtab_fini(&f->want);
	free(f);
	return 0;
}

static struct dp_link_stats stats_of(const struct fixture *f)
{
	struct dp_link_stats stats;

	dp_link_stats(f->ctl, &stats);
	return stats;
}

static void turns(struct fixture *f, unsigned int n)
{
	while (n-- > 0) {
		played_dp_turn(&f->dp);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

// Turns until cond, at most 5 s.
#define turn_until(f, cond) \
	do { \
		int64_t until = clock_ns() + 5000000000; \
		while (!(cond)) { \
			if (clock_ns() > until) \
				fail_msg("not within 5 s: %s", #cond); \
			turns(f, 1); \
		} \
	} while (0)

static void want_row(struct fixture *f, const struct row *row)
{
	assert_int_equal(flowtab_add(&f->want, row), 0);
}

static void want(struct fixture *f, const struct proto_meter *meters, uint32_t n_meters)
{
	if (dp_link_want(f->ctl, &f->want, meters, n_meters, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct row deny(uint32_t ip)
{
	return gen_simple_row(ip, 1, ACCESS_DENY, 0, INT64_MAX);
}

static void want_denials(struct fixture *f, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct row row = deny(first + i);

		want_row(f, &row);
	}
}

// --- rules

static void the_first_session_sends_everything(void **state)
{
	struct fixture *f = *state;
	struct row row = gen_simple_row(99, 1, ACCESS_ALLOW, 0, INT64_MAX);
	struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

	idset_add(&row.action.limits, 7);
	want_denials(f, 1, 50);
	want_row(f, &row);
	want(f, &meter, 1);
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 51);
	assert_int_equal(played_dp_n_meters(&f->dp), 1);
	assert_int_equal(stats_of(f).rows_added, 51);
	assert_int_equal(stats_of(f).meters_set, 1);
	assert_int_equal(stats_of(f).txn_in_force, 1);
	assert_int_equal(stats_of(f).in_force_ns, PLAYED_IN_FORCE_NS);
}

static void an_empty_policy_is_committed_once_to_a_fresh_dataplane(void **state)
{
	struct fixture *f = *state;

	turns(f, 50);
	assert_true(stats_of(f).connected);
	assert_int_equal(stats_of(f).txn_sent, 0); // nothing is known to be wanted yet
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	want(f, NULL, 0);
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 1);
}

static void a_session_that_finds_all_there_sends_nothing(void **state)
{
	struct fixture *f = *state;
	struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

	want_denials(f, 1, 50);
	want(f, &meter, 1);
	turn_until(f, stats_of(f).commits == 1);
	dp_link_destroy(f->ctl); // a restarted controller
	f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
	want(f, &meter, 1);
	turn_until(f, stats_of(f).connected);
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 0);
	assert_int_equal(stats_of(f).rows_added + stats_of(f).rows_deleted + stats_of(f).meters_set, 0);
	assert_int_equal(played_dp_n_rows(&f->dp), 50);
	want_denials(f, 100, 1);
	want(f, &meter, 1);
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(stats_of(f).txn_sent, 2); // numbers go on
}

static void only_differences_are_sent(void **state)
{
	struct fixture *f = *state;
	struct proto_meter meters[] = {{7, 5000000, PROTO_METER_LIMIT}, {8, 1000, PROTO_METER_RESERVATION}};

	want_denials(f, 1, 50);
	want(f, meters, 2);
	turn_until(f, stats_of(f).commits == 1);
	f->want.n_rows -= 3;
	want_denials(f, 100, 2);
	meters[0].rate_bps = 6000000;
	want(f, meters, 1);
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(stats_of(f).rows_added, 52);
	assert_int_equal(stats_of(f).rows_deleted, 3);
	assert_int_equal(stats_of(f).meters_set, 3);
	assert_int_equal(stats_of(f).meters_deleted, 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 49);
	assert_int_equal(played_dp_n_meters(&f->dp), 1);
}

static void what_is_left_of_another_controller_goes(void **state)
{
	struct fixture *f = *state;
	struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

	want_denials(f, 1, 10);
	want(f, &meter, 1);
	turn_until(f, stats_of(f).commits == 1);
	dp_link_destroy(f->ctl);
	f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
	f->want.n_rows = 0;
	want_denials(f, 5, 10);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(stats_of(f).rows_added, 4 + 0);
	assert_int_equal(stats_of(f).rows_deleted, 4);
	assert_int_equal(stats_of(f).meters_deleted, 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 10);
}

static void rows_that_are_over_are_not_sent_again(void **state)
{
	struct fixture *f = *state;
	struct row row = gen_simple_row(1, 1, ACCESS_DENY, 0, clock_ns() + 50000000);
	struct row over = gen_simple_row(2, 1, ACCESS_DENY, 0, clock_ns() - 1000000000);

	want_row(f, &row);
	want_row(f, &over);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(stats_of(f).rows_added, 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 1);
	turn_until(f, played_dp_n_rows(&f->dp) == 0);
	turns(f, 100); // the event loop's clock is coarse, some ms behind
	dp_link_destroy(f->ctl);
	f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).connected);
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 0);
}

static void wants_during_a_transaction_go_into_the_next(void **state)
{
	struct fixture *f = *state;

	f->dp.worker_sleeps = true;
	want_denials(f, 1, 1);
	want(f, NULL, 0);
	turn_until(f, played_dp_n_rows(&f->dp) == 1);
	for (uint32_t i = 0; i < 10; i++) {
		want_denials(f, 10 + i, 1);
		want(f, NULL, 0);
		turns(f, 2);
	}
	assert_int_equal(played_dp_n_rows(&f->dp), 1);
	assert_int_equal(stats_of(f).txn_sent, 1);
	assert_int_equal(stats_of(f).txn_in_force, 0);
	f->dp.worker_sleeps = false;
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(played_dp_n_rows(&f->dp), 11);
	assert_int_equal(stats_of(f).txn_sent, 2);
}

static void a_failed_transaction_is_compared_and_sent_again(void **state)
{
	struct fixture *f = *state;

	want_denials(f, 1, 5);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	f->dp.build_fails = "no room";
	want_denials(f, 100, 5);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).failed_commits == 2);
	assert_int_equal(played_dp_n_rows(&f->dp), 5); // the last good table
	f->dp.build_fails = NULL;
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(played_dp_n_rows(&f->dp), 10);
	assert_int_equal(stats_of(f).sessions, 3);
}

static void a_restarted_dataplane_gets_everything_again(void **state)
{
	struct fixture *f = *state;
	struct proto_port port = {.port = 0, .up = 1, .name = "p1", .device = "null:"};

	link_port(f->dp.link, &port);
	want_denials(f, 1, 5);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	turn_until(f, nib_n_ports(f->nib) == 1 && nib_port_at(f->nib, 0)->up);
	played_dp_stop(&f->dp);
	turn_until(f, !stats_of(f).connected);
	assert_false(nib_port_at(f->nib, 0)->up);
	turns(f, 100); // some failing attempts
	played_dp_start(&f->dp, 2);
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(played_dp_n_rows(&f->dp), 5);
}

static void ports_and_counters_reach_the_nib(void **state)
{
	struct fixture *f = *state;
	struct proto_port port = {
		.port = 3, .up = 1, .mac = {2}, .rate_bps = 100000000, .name = "p1", .device = "tap:x"};
	struct proto_counters counters = {.port = 3, .n = 2, .value = {17, 18}};

	link_port(f->dp.link, &port);
	turn_until(f, nib_n_ports(f->nib) == 1);
	assert_string_equal(nib_port_at(f->nib, 0)->name, "p1");
	assert_string_equal(nib_port_at(f->nib, 0)->device, "tap:x");
	assert_int_equal(nib_port_at(f->nib, 0)->rate_bps, 100000000);
	port.up = 0;
	link_port(f->dp.link, &port);
	turn_until(f, !nib_port_at(f->nib, 0)->up);
	link_counters(f->dp.link, &counters);
	turn_until(f, nib_port_at(f->nib, 0)->n_counters == 2);
	assert_int_equal(nib_port_at(f->nib, 0)->counter[1], 18);
}

static void a_rate_no_meter_can_have_is_refused(void **state)
{
	struct fixture *f = *state;
	struct proto_meter meter = {7, 0, PROTO_METER_LIMIT};

	want_denials(f, 1, 1);
	assert_true(dp_link_want(f->ctl, &f->want, &meter, 1, &err) < 0);
	assert_non_null(strstr(err.msg, "request 7"));
}

static void a_large_table_goes_in_one_transaction(void **state)
{
	struct fixture *f = *state;

	want_denials(f, 1, 20000);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 20000);
	dp_link_destroy(f->ctl);
	f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).connected);
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 0);
}

// --- engine -> compiler -> link

static void say(struct engine *e, const char *statement, int64_t now_ns)
{
	static const struct principal root = {.user = "root"};
	struct reply reply;

	reply_init(&reply);
	engine_exec(e, &root, statement, strlen(statement), now_ns, &reply);
	if (reply.code != REPLY_OK)
		fail_msg("%s: refused (%s)", statement, reply_code_name(reply.code));
	reply_fini(&reply);
}

static void an_accepted_request_becomes_rows_and_meters(void **state)
{
	struct fixture *f = *state;
	const struct engine_conf conf = {0};
	int64_t now = clock_ns();
	struct engine *e = engine_create(&conf, f->nib, now);
	struct realize r = {.engine = e, .link = f->ctl};

	assert_non_null(e);
	assert_int_equal(realize_run(&r, now, &err), 0); // also an empty policy is said once
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 0);
	say(e, "deny(srcHost=10.0.0.1, dstHost=10.0.0.2) on rootShare.", now);
	say(e, "ratelimit(srcHost=10.1.0.0/16, dstPort=80) = 5Mb on rootShare.", now);
	say(e, "reserve(srcHost=10.1.0.0/16, dstPort=443) = 5Mb on rootShare to +10.", now);
	assert_int_equal(realize_run(&r, now, &err), 0);
	turn_until(f, stats_of(f).commits == 2);
	assert_true(played_dp_n_rows(&f->dp) >= 3);
	assert_int_equal(played_dp_n_meters(&f->dp), 2);
	assert_int_equal(realize_run(&r, now, &err), 0); // nothing new
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 2);
	assert_int_equal(r.failures, 0);
	engine_destroy(e);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(the_first_session_sends_everything),
		RULE(an_empty_policy_is_committed_once_to_a_fresh_dataplane),
		RULE(a_session_that_finds_all_there_sends_nothing),
		RULE(only_differences_are_sent),
		RULE(what_is_left_of_another_controller_goes),
		RULE(rows_that_are_over_are_not_sent_again),
		RULE(wants_during_a_transaction_go_into_the_next),
		RULE(a_failed_transaction_is_compared_and_sent_again),
		RULE(a_restarted_dataplane_gets_everything_again),
		RULE(ports_and_counters_reach_the_nib),
		RULE(a_rate_no_meter_can_have_is_refused),
		RULE(a_large_table_goes_in_one_transaction),
		RULE(an_accepted_request_becomes_rows_and_meters),
	};

	log_init("test", LOG_LEVEL_WARNING, NULL);
	return cmocka_run_group_tests_name("dp_link", tests, NULL, NULL);
}
