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
#include "control/link_state.h"
#include "control/log.h"
#include "control/realize.h"
#include "control/state.h"
#include "dataplane/link.h"
#include "gen.h"
#include "played_dp.h"

struct fixture {
	struct played_dp dp;
	struct event_base *base;
	struct nib *nib;
	struct dp_link *ctl;
	struct {
		struct part_row *rows;
		uint32_t n_rows, cap;
	} want;
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
	free(f->want.rows);
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

// Turns until cond, at most 60 s.
#define turn_until(f, cond) \
	do { \
		int64_t until = clock_ns() + 60000000000; \
		while (!(cond)) { \
			if (clock_ns() > until) \
				fail_msg("not within 5 s: %s", #cond); \
			turns(f, 1); \
		} \
	} while (0)

static void want_row(struct fixture *f, const struct part_row *row)
{
	if (f->want.n_rows == f->want.cap) {
		f->want.cap = f->want.cap == 0 ? 64 : f->want.cap * 2;
		f->want.rows = reallocarray(f->want.rows, f->want.cap, sizeof(*row));
	}
	f->want.rows[f->want.n_rows++] = *row;
}

// All of it anew: what was wanted before and still is makes no difference.
static void want(struct fixture *f, const struct proto_meter *meters, uint32_t n_meters)
{
	struct link_state *state = dp_link_state(f->ctl);

	link_state_drop_all(state);
	for (uint32_t i = 0; i < f->want.n_rows; i++)
		assert_int_equal(link_state_want_row(state, &f->want.rows[i]), 0);
	for (uint32_t i = 0; i < n_meters; i++)
		assert_int_equal(link_state_want_meter(state, &meters[i]), 0);
	dp_link_push(f->ctl);
}

static struct part_row deny(uint32_t ip)
{
	return gen_simple_row(ip, 1, ACCESS_DENY, 0, INT64_MAX);
}

static void want_denials(struct fixture *f, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct part_row row = deny(first + i);

		want_row(f, &row);
	}
}

// --- rules

static void the_first_session_sends_everything(void **state)
{
	struct fixture *f = *state;
	struct part_row row = gen_limit_row(99, 7, 0, INT64_MAX);
	struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

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

static uint64_t rate_there(const struct fixture *f)
{
	const struct proto_meter *meter = table_meter(f->dp.table, 7);

	return meter == NULL ? 0 : meter->rate_bps;
}

static void parts_are_not_sent_while_what_is_wanted_is_not_known(void **state)
{
	struct fixture *f = *state;
	struct proto_meter meter = {7, 5000000, PROTO_METER_LIMIT};

	want(f, &meter, 1);
	turn_until(f, rate_there(f) == 5000000);
	dp_link_hold(f->ctl);
	dp_link_part_meter(f->ctl, 7, 2);
	dp_link_push_parts(f->ctl);
	turns(f, 20);
	assert_int_equal(rate_there(f), 5000000);
	dp_link_push(f->ctl);
	turn_until(f, rate_there(f) == 2500000);
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
	struct part_row row = gen_simple_row(1, 1, ACCESS_DENY, 0, clock_ns() + 50000000);
	struct part_row over = gen_simple_row(2, 1, ACCESS_DENY, 0, clock_ns() - 1000000000);

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
	struct proto_msg counters = {.type = PROTO_COUNTERS, .counters = {.port = 3, .n = 2, .value = {17, 18}}};

	link_port(f->dp.link, &port);
	turn_until(f, nib_n_ports(f->nib) == 1);
	assert_string_equal(nib_port_at(f->nib, 0)->name, "p1");
	assert_string_equal(nib_port_at(f->nib, 0)->device, "tap:x");
	assert_int_equal(nib_port_at(f->nib, 0)->rate_bps, 100000000);
	port.up = 0;
	link_port(f->dp.link, &port);
	turn_until(f, !nib_port_at(f->nib, 0)->up);
	link_tell(f->dp.link, &counters);
	turn_until(f, nib_port_at(f->nib, 0)->n_counters == 2);
	assert_int_equal(nib_port_at(f->nib, 0)->counter[1], 18);
}

#define SECOND 1000000000LL

static int64_t steady_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

// Told again in a new session: it may have moved to a switch since.
static void a_host_that_is_told_late_was_seen_when_it_was(void **state)
{
	struct fixture *f = *state;
	struct proto_msg msg = {.type = PROTO_HOST, .host = {.port = 3, .mac = {2, 0, 0, 0, 0, 9}}};
	int64_t told_ns = steady_ns();

	turn_until(f, stats_of(f).connected);
	msg.host.age_ns = 40 * (uint64_t)SECOND;
	link_tell(f->dp.link, &msg);
	turn_until(f, nib_n_seen(f->nib) == 1);
	assert_true(nib_seen_at(f->nib, 0)->at_ns >= told_ns - 40 * SECOND);
	assert_true(nib_seen_at(f->nib, 0)->at_ns <= steady_ns() - 40 * SECOND);
	assert_true(nib_seen_at(f->nib, 0)->last_ns - nib_seen_at(f->nib, 0)->at_ns > 0); // of the other clock
}

static void a_row_that_changes_its_category_is_replaced_at_once(void **state)
{
	struct fixture *f = *state;
	uint8_t access_category, meter_category;

	want_denials(f, 1, 5);
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 1);
	f->want.rows[2].access_category = 9;
	want(f, NULL, 0);
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(stats_of(f).rows_added, 6);
	assert_int_equal(stats_of(f).rows_deleted, 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 5);
	assert_int_equal(table_row(f->dp.table, part_row_key(&f->want.rows[2]))->access_category, 9);
	assert_true(link_state_categories(dp_link_state(f->ctl), part_row_key(&f->want.rows[2]), &access_category,
					  &meter_category));
	assert_int_equal(access_category, 9);
}

static void on_traced(void *ctx, const struct proto_traced *traced)
{
	*(struct proto_traced *)ctx = *traced;
}

static void a_question_is_answered_over_the_link(void **state)
{
	struct fixture *f = *state;
	struct proto_msg answer = {.type = PROTO_TRACED};
	struct proto_traced traced = {0};
	struct proto_trace trace = {.number = 5, .packet = {.kind = MATCH_IP4}}, asked;

	assert_false(dp_link_trace(f->ctl, &trace)); // no session yet
	dp_link_on_traced(f->ctl, on_traced, &traced);
	turn_until(f, stats_of(f).connected);
	assert_true(dp_link_trace(f->ctl, &trace));
	turn_until(f, link_next_trace(f->dp.link, &asked));
	assert_int_equal(asked.number, 5);
	assert_int_equal(asked.packet.kind, MATCH_IP4);
	assert_false(link_next_trace(f->dp.link, &asked));
	answer.traced.number = 5;
	answer.traced.drop = 1;
	link_tell(f->dp.link, &answer);
	turn_until(f, traced.number == 5);
	assert_int_equal(traced.drop, 1);
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
	struct realize *r = realize_create(e, f->ctl, &err);
	struct realize_stats stats;

	assert_non_null(e);
	realize_prove(r, PROVE_ALWAYS);
	assert_int_equal(realize_run(r, now, &err), 0); // also an empty policy is said once
	turn_until(f, stats_of(f).commits == 1);
	assert_int_equal(played_dp_n_rows(&f->dp), 0);
	say(e, "deny(srcHost=10.0.0.1, dstHost=10.0.0.2) on rootShare.", now);
	say(e, "ratelimit(srcHost=10.1.0.0/16, dstPort=80) = 5Mb on rootShare.", now);
	say(e, "reserve(srcHost=10.1.0.0/16, dstPort=443) = 5Mb on rootShare to +10.", now);
	assert_int_equal(realize_run(r, now, &err), 0);
	turn_until(f, stats_of(f).commits == 2);
	assert_int_equal(played_dp_n_rows(&f->dp), 3);
	assert_int_equal(played_dp_n_meters(&f->dp), 2);
	assert_int_equal(realize_run(r, now, &err), 0); // nothing new
	turns(f, 20);
	assert_int_equal(stats_of(f).txn_sent, 2);
	realize_stats(r, &stats);
	assert_int_equal(stats.failures, 0);
	assert_int_equal(stats.rebuilds, 1);
	assert_int_equal(stats.n_rows, 3); // no intersections
	say(e, "cancel 1.", now);
	assert_int_equal(realize_run(r, now, &err), 0);
	turn_until(f, stats_of(f).commits == 3);
	assert_int_equal(stats_of(f).rows_deleted, 1); // and nothing else
	assert_int_equal(stats_of(f).rows_added, 3);
	realize_stats(r, &stats);
	assert_int_equal(stats.proof.proven, 2); // the empty policy needs no proof
	assert_int_equal(stats.proof.undecided + stats.proof.faults, 0);
	realize_destroy(r);
	engine_destroy(e);
}

static void play(struct engine *e, int64_t now)
{
	static const char *const groups[] = {"srcHost=10.0.0.0/8", "dstHost=10.1.0.0/16", "dstPort=80", "srcPort=80",
					     "dstPort={1-100,300-400}"};
	static const char *const verbs[] = {"deny(%s) partial on %s.", "allow(%s) partial on %s.",
					    "ratelimit(%s) = 5Mb partial on %s.",
					    "reserve(%s) = 1Mb partial on %s to +1000."};
	static const char *const shares[] = {"rootShare", "a", "b", "c"};
	char text[256];

	say(e, "NewShare a for (*) [reserve <= 1000 ratelimit >= 0 weight = 3] on rootShare.", now);
	say(e, "NewShare b for (dstPort=1-1000) [reserve <= 100 ratelimit >= 0] on a.", now);
	say(e, "NewShare c for (srcHost=10.0.0.0/8) [reserve <= 100 ratelimit >= 0 weight = 2] on rootShare.", now);
	for (unsigned int i = 0; i < 80; i++) {
		static const struct principal root = {.user = "root"};
		struct reply reply;
		char end[32] = "";

		snprintf(text, sizeof(text), verbs[i * 7 / 3 % 4], groups[i % 5], shares[i / 5 % 4]);
		if (strstr(text, " to ") == NULL)
			snprintf(end, sizeof(end), " to +%u.", 1000 + i); // no two the same
		snprintf(text + strlen(text) - (end[0] != '\0'), sizeof(text) - strlen(text), "%s", end);
		reply_init(&reply);
		engine_exec(e, &root, text, strlen(text), now, &reply);
		reply_fini(&reply);
	}
}

// Also where the categories come out otherwise: the controller has made them in another order before.
static void a_restarted_controller_sends_no_row(void **state)
{
	struct fixture *f = *state;
	const struct engine_conf conf = {0};
	int64_t now = clock_ns();
	struct engine *e = engine_create(&conf, f->nib, now);
	struct realize *r = realize_create(e, f->ctl, &err);
	struct realize_stats stats;
	char text[64];

	play(e, now);
	for (unsigned int i = 0; i < 40; i++) { // gaps that the next life does not have
		assert_int_equal(realize_run(r, now, &err), 0);
		snprintf(text, sizeof(text), "deny(dstPort=%u) on rootShare to +2000.", 500 + i);
		say(e, text, now);
	}
	assert_int_equal(realize_run(r, now, &err), 0);
	for (uint64_t id = 1; id < 60; id += 3) {
		snprintf(text, sizeof(text), "cancel %u.", (unsigned int)id);
		if (request_find(&engine_state(e)->requests, id) != NULL)
			say(e, text, now);
	}
	assert_int_equal(realize_run(r, now, &err), 0);
	realize_stats(r, &stats);
	turn_until(f, stats_of(f).txn_sent > 0 && stats_of(f).commits == stats_of(f).txn_sent);
	assert_int_equal(played_dp_n_rows(&f->dp), stats.n_rows);
	printf("%u rows, %u categories\n", stats.n_rows, stats.n_categories);
	for (int early = 0; early < 2; early++) {
		struct link_state *l;
		uint64_t txn = stats_of(f).txn_sent;

		realize_destroy(r);
		dp_link_destroy(f->ctl);
		f->ctl = dp_link_create(f->base, f->dp.path, f->nib, &err);
		r = realize_create(e, f->ctl, &err);
		l = dp_link_state(f->ctl);
		if (early) // the policy is there before the session, else behind it
			assert_int_equal(realize_run(r, now, &err), 0);
		turn_until(f, stats_of(f).connected);
		assert_int_equal(l->n_rows_there, stats.n_rows);
		assert_int_equal(realize_run(r, now, &err), 0);
		turns(f, 30);
		assert_int_equal(stats_of(f).rows_added + stats_of(f).rows_deleted, 0);
		assert_int_equal(stats_of(f).nodes_set + stats_of(f).nodes_deleted, 0);
		assert_int_equal(stats_of(f).meters_set + stats_of(f).meters_deleted, 0);
		assert_int_equal(stats_of(f).txn_sent, 0);
		assert_true(txn > 0 || early);
	}
	realize_destroy(r);
	engine_destroy(e);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(the_first_session_sends_everything),
		RULE(parts_are_not_sent_while_what_is_wanted_is_not_known),
		RULE(an_empty_policy_is_committed_once_to_a_fresh_dataplane),
		RULE(a_session_that_finds_all_there_sends_nothing),
		RULE(only_differences_are_sent),
		RULE(what_is_left_of_another_controller_goes),
		RULE(rows_that_are_over_are_not_sent_again),
		RULE(wants_during_a_transaction_go_into_the_next),
		RULE(a_failed_transaction_is_compared_and_sent_again),
		RULE(a_restarted_dataplane_gets_everything_again),
		RULE(ports_and_counters_reach_the_nib),
		RULE(a_host_that_is_told_late_was_seen_when_it_was),
		RULE(a_row_that_changes_its_category_is_replaced_at_once),
		RULE(a_question_is_answered_over_the_link),
		RULE(a_large_table_goes_in_one_transaction),
		RULE(an_accepted_request_becomes_rows_and_meters),
		RULE(a_restarted_controller_sends_no_row),
	};

	log_init("test", LOG_LEVEL_WARNING, NULL);
	return cmocka_run_group_tests_name("dp_link", tests, NULL, NULL);
}
