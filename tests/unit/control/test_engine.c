// SPDX-License-Identifier: Apache-2.0
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

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, false);
	say(t, "root", "AddUser alice.");
	say(t, "root", "NewShare net0 for (*) [reserve <= 1000] on rootShare.");
	say(t, "root", "NewShare web for (dstPort=80) [reserve <= 600] on net0.");
	say(t, "root", "Grant web to alice.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static void schedule_lists_free_bandwidth_and_tokens_from_now_on(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "reserve(dstPort=80) = 100 on web from 5 to 10."), REPLY_OK);
	assert_int_equal(say(t, "root", "reserve(dstPort=80) = 100 on web from 10 to 20."), REPLY_OK);
	t->now_ns = SECOND / 2;
	assert_int_equal(say(t, "alice", "GetSchedule web."), REPLY_OK);
	assert_string_equal(t->classic, "3; 0.5,600000000,300000000; 5,500000000,600000000; 20,600000000,600000000");
	assert_int_equal(say(t, "root", "GetSchedule rootShare."), REPLY_OK);
	assert_string_equal(t->classic, "1; 0.5,inf,inf");
	assert_int_equal(say(t, "alice", "GetSchedule net0."), REPLY_NOT_PRINCIPAL);
	assert_int_equal(say(t, "alice", "GetSchedule nowhere."), REPLY_NO_SHARE);
}

static void what_cannot_be_put_in_force_is_refused_not_accepted(void **state)
{
	struct talk *t = *state;
	char *before, *after;

	assert_int_equal(say(t, "root", "allow(dstPort=80) on web."), REPLY_OK);
	engine_set_network(t->engine, "the flow table is full");
	before = talk_dump(t);
	assert_int_equal(say(t, "root", "allow(dstPort=80) on web."), REPLY_NETWORK);
	assert_string_equal(talk_why(t), "not now: the network cannot take more: the flow table is full");
	after = talk_dump(t);
	assert_string_equal(after, before);
	assert_int_equal(say(t, "root", "allow(dstPort=80) on nowhere."), REPLY_NO_SHARE); // the earlier check answers
	assert_int_equal(say(t, "root", "cancel 1."), REPLY_OK);
	engine_set_network(t->engine, NULL);
	assert_int_equal(say(t, "root", "allow(dstPort=80) on web."), REPLY_OK);
	free(after);
	free(before);
}

static void a_share_without_query_is_read_from_above_only(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "NewShare mute for (dstPort=80) [query = False] on web."), REPLY_OK);
	assert_int_equal(say(t, "alice", "GetSchedule mute."), REPLY_OK); // through web
	assert_int_equal(say(t, "root", "AddUser bob."), REPLY_OK);
	assert_int_equal(say(t, "alice", "Grant mute to bob."), REPLY_OK);
	assert_int_equal(say(t, "bob", "GetSchedule mute."), REPLY_NO_PRIVILEGE);
	assert_int_equal(say(t, "bob", "ListRequests mute."), REPLY_NO_PRIVILEGE);
}

static void shares_are_listed_by_speaker_and_by_flow_group(void **state)
{
	struct talk *t = *state;

	say(t, "root", "ListShares.");
	assert_string_equal(t->classic, "3; rootShare; net0; web");
	say(t, "alice", "ListShares.");
	assert_string_equal(t->classic, "1; web");
	say(t, "nobody", "ListShares.");
	assert_string_equal(t->classic, "0");
	say(t, "alice", "ListSharesByFlowGroup (dstPort=80, srcHost=10.0.0.1).");
	assert_string_equal(t->classic, "3; rootShare; net0; web");
	say(t, "alice", "ListSharesByFlowGroup (dstPort=80-81).");
	assert_string_equal(t->classic, "2; rootShare; net0");
}

static void requests_are_listed_to_who_may_see_them(void **state)
{
	struct talk *t = *state;

	say(t, "root", "allow(dstPort=1) on net0.");
	say(t, "alice", "allow(dstPort=80) on web.");
	say(t, "root", "ListRequests.");
	assert_string_equal(t->classic, "2; 1; 2");
	say(t, "alice", "ListRequests.");
	assert_string_equal(t->classic, "1; 2");
	say(t, "root", "ListRequests net0.");
	assert_string_equal(t->classic, "1; 1");
	assert_false(t->reply.mutated);
}

static void ports_show_state_and_named_counters(void **state)
{
	struct talk *t = *state;
	struct nib_port port = {.port = 0, .up = true, .rate_bps = 100000000, .name = "p0", .device = "null:"};
	uint64_t counters[2] = {7, 700};

	nib_port_set(t->nib, &port);
	nib_port_counters(t->nib, 0, counters, 2);
	assert_int_equal(say(t, "alice", "ports."), REPLY_OK);
	assert_string_equal(t->classic, "1; p0 null: up 100000000 rx_packets=7 rx_bytes=700");
}

static void time_is_told_and_never_runs_backwards(void **state)
{
	struct talk *t = *state;

	t->now_ns = 12 * SECOND + 5000000;
	say(t, "alice", "time.");
	assert_string_equal(t->classic, "1; 12.005");
	t->now_ns = 3 * SECOND;
	say(t, "alice", "time.");
	assert_string_equal(t->classic, "1; 12.005");
	engine_advance(t->engine, 20 * SECOND);
	assert_true(engine_now_ns(t->engine) == 20 * SECOND);
	assert_int_equal(say(t, "root", "Tick 1."), REPLY_SYNTAX); // in trace files only
}

static void a_start_one_nanosecond_ago_is_the_past(void **state)
{
	struct talk *t = *state;

	t->now_ns = 5 * SECOND;
	assert_int_equal(say(t, "alice", "deny(dstPort=80) on web from 5."), REPLY_OK);
	t->now_ns = 5 * SECOND + 1;
	assert_int_equal(say(t, "alice", "deny(dstPort=80) on web from 5."), REPLY_BAD_TIME);
}

static void requests_end_by_themselves(void **state)
{
	struct talk *t = *state;

	say(t, "alice", "deny(dstPort=80) on web to +3.");
	assert_true(engine_next_ns(t->engine) == 3 * SECOND);
	engine_advance(t->engine, 3 * SECOND - 1);
	assert_true(engine_next_ns(t->engine) == 3 * SECOND);
	engine_advance(t->engine, 3 * SECOND);
	assert_true(engine_next_ns(t->engine) == INT64_MAX);
}

static void help_knows_every_verb(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "help."), REPLY_OK);
	assert_true(t->reply.n_items > VERB_QUIT);
	assert_int_equal(say(t, "alice", "help reserve."), REPLY_OK);
	assert_int_equal(t->reply.n_items, 1);
	assert_int_equal(say(t, "alice", "help frobnicate."), REPLY_BAD_VALUE);
}

static void session_statements_are_passed_to_the_server(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "alice", "mode json."), REPLY_OK);
	assert_true(t->reply.set_json);
	assert_int_equal(say(t, "alice", "quit."), REPLY_OK);
	assert_true(t->reply.close);
	assert_false(t->reply.mutated);
}

static bool within(const struct share *share, const struct share *top)
{
	while (share != NULL && share != top)
		share = share->parent;
	return share == top;
}

static uint64_t drained_at(const struct state *s, const struct share *top, int64_t at_ns)
{
	uint64_t sum = 0;

	for (const struct request *r = request_from(&s->requests, 0); r != NULL;
	     r = request_from(&s->requests, r->id + 1))
		if (r->verb == VERB_RESERVE && r->start_ns <= at_ns && at_ns < r->end_ns && within(r->share, top))
			sum += r->rate_bps;
	return sum;
}

struct schedule_check {
	const struct state *s;
	const struct share *share;
};

static int check_point(void *ctx, const struct timeline_point *p)
{
	const struct schedule_check *c = ctx;
	uint64_t max = c->share->privileges.reserve_max_bps, sum = drained_at(c->s, c->share, p->at_ns);

	if (max == RATE_UNLIMITED)
		return 0;
	assert_true(sum <= max);
	assert_true(p->free_bps == max - sum);
	assert_true(p->tokens_bits <= c->share->privileges.tb_capacity_bits);
	return 0;
}

// Sums of drains at every start, and the counters that prune the searches.
static void check_invariants(const struct state *s)
{
	for (const struct share *share = s->shares.root; share != NULL;
	     share = share_next(s->shares.root, share, true)) {
		struct schedule_check c = {s, share};
		uint32_t n_access[3] = {0};

		timeline_advance(share->timeline, s->now_ns);
		timeline_each(share->timeline, check_point, &c);
		for (const struct request *r = request_from(&s->requests, 0); r != NULL;
		     r = request_from(&s->requests, r->id + 1)) {
			assert_true(r->end_ns > s->now_ns);
			if (!within(r->share, share))
				continue;
			n_access[r->access]++;
			if (r->verb == VERB_RESERVE && share->privileges.reserve_max_bps != RATE_UNLIMITED)
				assert_true(drained_at(s, share, r->start_ns > s->now_ns ? r->start_ns : s->now_ns) <=
					    share->privileges.reserve_max_bps);
		}
		assert_memory_equal(n_access, share->n_access, sizeof(n_access));
	}
}

static void random_statements_crash_nothing_and_refusals_change_nothing(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(100000), accepted = 0, refused[REPLY_LIMIT + 1] = {0};
	struct talk t = {0};
	char *before = NULL;

	for (unsigned long i = 0; i < rounds; i++) {
		struct random_statement r;
		enum reply_code code;

		if (i % 10000 == 0) { // a new world now and then: others shares, other privileges
			if (t.engine != NULL)
				talk_fini(&t);
			talk_init(&t, false);
			free(before);
			before = talk_dump(&t);
		}
		random_statement(&r, &d, engine_state(t.engine)->requests.next_id);
		if (dice_roll(&d, 12) == 0)
			random_spoil(&r, &d);
		if (dice_roll(&d, 4) == 0) {
			t.now_ns += (int64_t)dice_roll(&d, 4 * SECOND);
			engine_advance(t.engine, t.now_ns);
			free(before);
			before = talk_dump(&t);
		}
		code = say(&t, r.speaker, r.text);
		accepted += code == REPLY_OK;
		refused[code]++;
		assert_true(code == REPLY_OK || !t.reply.mutated);
		char *after = talk_dump(&t);
		if (!t.reply.mutated && strcmp(before, after) != 0)
			fail_msg("statement %lu of %s changed something: %s", i, r.speaker, r.text);
		free(before);
		before = after;
		if (i % 50 == 0) {
			struct tree tree;

			check_invariants(engine_state(t.engine));
			tree_init(&tree);
			assert_int_equal(engine_policy(t.engine, t.now_ns, &tree), 0);
			tree_fini(&tree);
		}
	}
	free(before);
	talk_fini(&t);
	printf("%lu of %lu accepted", accepted, rounds);
	for (int code = 1; code <= REPLY_LIMIT; code++)
		printf(", %s %lu", reply_code_name((enum reply_code)code), refused[code]);
	printf("\n");
	if (rounds < 100000)
		return;
	assert_true(accepted > rounds / 20);
	static const enum reply_code expected[] = {
		REPLY_SYNTAX,    REPLY_NO_SHARE,      REPLY_NOT_PRINCIPAL,   REPLY_NOT_CONTAINED, REPLY_NO_PRIVILEGE,
		REPLY_BAD_TIME,  REPLY_SCHEDULE_FULL, REPLY_STRICT_CONFLICT, REPLY_OVERLAP,       REPLY_BAD_PRIVILEGE,
		REPLY_DUP_SHARE, REPLY_NO_REQUEST,    REPLY_UNREALIZABLE,    REPLY_NOT_GRANTED};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_true(refused[expected[i]] > 0);
}

static void the_same_statements_make_the_same_state(void **state)
{
	struct dice d = dice_from_env();
	struct talk a, b;
	char *of_a, *of_b;

	talk_init(&a, false);
	talk_init(&b, false);
	for (int i = 0; i < 3000; i++) {
		struct random_statement r;

		random_statement(&r, &d, engine_state(a.engine)->requests.next_id);
		a.now_ns += (int64_t)dice_roll(&d, SECOND);
		b.now_ns = a.now_ns;
		// the journal holds only what changed something
		say(&a, r.speaker, r.text);
		if (a.reply.mutated)
			assert_int_equal(say(&b, r.speaker, r.text), REPLY_OK);
	}
	engine_advance(b.engine, a.now_ns);
	of_a = talk_dump(&a);
	of_b = talk_dump(&b);
	assert_string_equal(of_a, of_b);
	free(of_a);
	free(of_b);
	talk_fini(&a);
	talk_fini(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(schedule_lists_free_bandwidth_and_tokens_from_now_on),
		TEST(a_share_without_query_is_read_from_above_only),
		TEST(shares_are_listed_by_speaker_and_by_flow_group),
		TEST(requests_are_listed_to_who_may_see_them),
		TEST(ports_show_state_and_named_counters),
		TEST(time_is_told_and_never_runs_backwards),
		TEST(a_start_one_nanosecond_ago_is_the_past),
		TEST(requests_end_by_themselves),
		TEST(help_knows_every_verb),
		TEST(session_statements_are_passed_to_the_server),
		TEST(what_cannot_be_put_in_force_is_refused_not_accepted),
		cmocka_unit_test(the_same_statements_make_the_same_state),
		cmocka_unit_test(random_statements_crash_nothing_and_refusals_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
