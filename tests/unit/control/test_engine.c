// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

// Random statements of random speakers.

#define SHARES 12

struct writer {
	char text[1024];
	size_t len;
	struct dice *d;
};

static void put(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	w->len += (size_t)vsnprintf(w->text + w->len, sizeof(w->text) - w->len, fmt, ap);
	va_end(ap);
	assert_true(w->len < sizeof(w->text));
}

static uint64_t roll(struct writer *w, uint64_t n)
{
	return dice_roll(w->d, n);
}

static const char *speaker_name(struct writer *w)
{
	static const char *const names[] = {"root", "root", "root", "u0", "u1", "u2@10.0.0.1", "stranger"};

	return names[roll(w, sizeof(names) / sizeof(names[0]))];
}

static void put_share(struct writer *w)
{
	uint64_t n = roll(w, SHARES + 2);

	if (n < SHARES)
		put(w, "s%" PRIu64, n);
	else
		put(w, "%s", n == SHARES ? "rootShare" : "nowhere");
}

static void put_group(struct writer *w)
{
	static const char *const fields[] = {"srcPort",   "dstPort", "srcHost", "dstHost", "vlan",
					     "transport", "user",    "srcUser", "kind",    "colour"};
	static const char *const values[] = {"80",          "1-100", "{80,443}", "10.0.0.1", "10/8",  "!{u0}",  "TCP",
					     "2001:db8::1", "u1",    "{u0,u1}",  "ip4",      "!{80}", "<= 1024"};
	uint64_t n = roll(w, 4);

	if (n == 0) {
		put(w, "(*)");
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		put(w, "%s%s=%s", i == 0 ? "(" : ", ", roll(w, 3) ? fields[roll(w, 2)] : fields[roll(w, 10)],
		    roll(w, 3) ? values[roll(w, 3)] : values[roll(w, 13)]);
	put(w, ")");
}

static void put_time(struct writer *w)
{
	static const char *const odd[] = {"now", "forever", "+1h", "5", "99999999999999999999", "2026-11-20T10:00:00Z",
					  "+",   "+106752d"};

	if (roll(w, 6) > 0)
		put(w, "+%" PRIu64, roll(w, 30));
	else
		put(w, "%s", odd[roll(w, 8)]);
}

static void put_request(struct writer *w)
{
	static const char *const verbs[] = {"allow", "deny", "reserve", "reserve", "ratelimit", "waypoint", "avoid"};
	uint64_t verb = roll(w, 7);

	put(w, "%s", verbs[verb]);
	put_group(w);
	if (verb >= 5)
		put(w, " = 10.1.0.%" PRIu64 ", 10.1.0.%" PRIu64, roll(w, 4), roll(w, 4));
	else if (verb >= 2)
		put(w, " = %" PRIu64 "%s", roll(w, 60), roll(w, 2) ? "" : "Mb");
	put(w, " %s on ", roll(w, 2) ? "partial" : roll(w, 2) ? "strict" : "");
	put_share(w);
	if (roll(w, 3) == 0) {
		put(w, " from ");
		put_time(w);
	}
	if (roll(w, 12) > 0) {
		put(w, " to ");
		put_time(w);
	}
	put(w, ".");
}

static void put_new_share(struct writer *w)
{
	static const char *const extra[] = {"allow <= 10s",
					    "deny = False",
					    "reserve >= 5",
					    "reserveTBFill = 20",
					    "reserveTBCapacity = 300",
					    "ratelimit >= 0",
					    "hint = False",
					    "query = False",
					    "waypoint = *",
					    "avoid = *",
					    "waypoint = {10.1.0.1, 10.1.0.2}",
					    "avoid = {10.1.0.1}",
					    "view = {ports}"};

	put(w, "NewShare s%" PRIu64 " for ", roll(w, SHARES));
	if (roll(w, 3))
		put(w, "(*)");
	else
		put_group(w);
	put(w, " [reserve <= %" PRIu64, roll(w, 3) ? 100 : roll(w, 200));
	for (uint64_t i = roll(w, 3); i > 0; i--)
		put(w, " %s", extra[roll(w, 13)]);
	put(w, "] on ");
	put_share(w);
	put(w, ".");
}

static void put_other(struct writer *w, uint64_t last_id)
{
	switch (roll(w, 18)) {
	case 0:
		put(w, "AddUser u%" PRIu64 ".", roll(w, 4));
		break;
	case 1:
		put(w, "Grant ");
		put_share(w);
		put(w, " to u%" PRIu64 "%s.", roll(w, 4), roll(w, 3) ? "" : "@10.0.0.1/ssh");
		break;
	case 2:
		put(w, "Bind u%" PRIu64 " to 10.0.0.%" PRIu64 ".", roll(w, 3), roll(w, 6));
		break;
	case 3:
		put(w, "Unbind u%" PRIu64 "%s.", roll(w, 3), roll(w, 2) ? " from 10.0.0.1" : "");
		break;
	case 4:
	case 5:
	case 6:
		put(w, "cancel %" PRIu64 ".", last_id < 40 ? roll(w, 40) : last_id - roll(w, 40));
		break;
	case 7:
		put(w, "GetSchedule ");
		put_share(w);
		put(w, ".");
		break;
	case 8:
		put(w, "ListSharesByFlowGroup ");
		put_group(w);
		put(w, ".");
		break;
	case 9:
		put(w, roll(w, 2) ? "ListShares." : "ListRequests.");
		break;
	case 11:
	case 12:
		put(w, "renew %" PRIu64 " to +%" PRIu64 ".", last_id < 40 ? roll(w, 40) : last_id - roll(w, 40),
		    roll(w, 60));
		break;
	case 13:
		put(w, "Revoke ");
		put_share(w);
		put(w, " from u%" PRIu64 "%s.", roll(w, 4), roll(w, 3) ? "" : "@10.0.0.1/ssh");
		break;
	case 14:
		if (roll(w, 16) == 0) {
			put(w, "DropShare ");
			put_share(w);
			put(w, ".");
		} else
			put(w, "%s u%" PRIu64 ".", roll(w, 10) == 0 ? "DropUser" : "AddUser", roll(w, 4));
		break;
	case 15:
		put(w, "Bind u%" PRIu64 " to 10.0.0.%" PRIu64 " TCP %" PRIu64 "-20.", roll(w, 3), roll(w, 6),
		    roll(w, 22));
		break;
	case 10:
		put(w, roll(w, 2) ? "help." : "time.");
		break;
	default:
		put(w, roll(w, 40) == 0 ? "GrantDefault s1." : "Tick 5.");
		break;
	}
}

// Any byte anywhere.
static void spoil(struct writer *w)
{
	for (uint64_t n = 1 + roll(w, 3); n > 0 && w->len > 0; n--)
		w->text[roll(w, w->len)] = (char)(1 + roll(w, 255));
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
		struct writer w = {.d = &d};
		const char *speaker = speaker_name(&w);
		enum reply_code code;
		uint64_t kind = roll(&w, 100);

		if (i % 10000 == 0) { // a new world now and then: others shares, other privileges
			if (t.engine != NULL)
				talk_fini(&t);
			talk_init(&t, false);
			free(before);
			before = talk_dump(&t);
		}
		if (kind < 55)
			put_request(&w);
		else if (kind < 65)
			put_new_share(&w);
		else
			put_other(&w, engine_state(t.engine)->requests.next_id);
		if (roll(&w, 12) == 0)
			spoil(&w);
		if (roll(&w, 4) == 0) {
			t.now_ns += (int64_t)roll(&w, 4 * SECOND);
			engine_advance(t.engine, t.now_ns);
			free(before);
			before = talk_dump(&t);
		}
		code = say(&t, speaker, w.text);
		accepted += code == REPLY_OK;
		refused[code]++;
		assert_true(code == REPLY_OK || !t.reply.mutated);
		char *after = talk_dump(&t);
		if (!t.reply.mutated && strcmp(before, after) != 0)
			fail_msg("statement %lu of %s changed something: %s", i, speaker, w.text);
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
		struct writer w = {.d = &d};
		const char *speaker = speaker_name(&w);
		uint64_t kind = roll(&w, 10);

		if (kind < 6)
			put_request(&w);
		else if (kind < 7)
			put_new_share(&w);
		else
			put_other(&w, engine_state(a.engine)->requests.next_id);
		a.now_ns += (int64_t)roll(&w, SECOND);
		b.now_ns = a.now_ns;
		// the journal holds only what changed something
		say(&a, speaker, w.text);
		if (a.reply.mutated)
			assert_int_equal(say(&b, speaker, w.text), REPLY_OK);
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
