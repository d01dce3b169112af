// SPDX-License-Identifier: Apache-2.0
// Events of the engine: who is told what, when, in which order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/start_queue.h"
#include "control/state.h"

#define S INT64_C(1000000000)

struct fixture {
	struct nib *nib;
	struct engine *engine;
	int64_t now_ns;
	char told[65536]; // "USER {...}\n" each
	const char *deaf; // a user nobody hears for
};

static bool wants(void *ctx, const char *user)
{
	struct fixture *f = ctx;

	return user == NULL || f->deaf == NULL || strcmp(f->deaf, user) != 0;
}

static void told(void *ctx, const char *user, const json_t *event)
{
	struct fixture *f = ctx;
	size_t len = strlen(f->told);
	char *text = json_dumps(event, JSON_COMPACT);

	snprintf(f->told + len, sizeof(f->told) - len, "%s %s\n", user, text);
	free(text);
}

static void say(struct fixture *f, const char *speaker, const char *statement, enum reply_code expected)
{
	struct principal who;
	struct reply r;

	assert_int_equal(principal_parse(speaker, &who, NULL), 0);
	reply_init(&r);
	engine_exec(f->engine, &who, statement, strlen(statement), f->now_ns, &r);
	if (r.code != expected)
		fail_msg("%s : %s: %s", speaker, statement, reply_code_name(r.code));
	reply_fini(&r);
}

static void advance(struct fixture *f, int64_t now_ns)
{
	f->now_ns = now_ns;
	engine_advance(f->engine, now_ns);
}

static void expect(struct fixture *f, const char *text)
{
	assert_string_equal(f->told, text);
	f->told[0] = '\0';
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct engine_conf conf = {0};
	const struct event_sink sink = {wants, told, f};

	f->nib = nib_create();
	f->engine = engine_create(&conf, f->nib, 0);
	engine_listen(f->engine, &sink);
	say(f, "root", "AddUser alice.", REPLY_OK);
	say(f, "root", "AddUser bob.", REPLY_OK);
	say(f, "root", "NewShare a for (*) [reserve <= 100Mb] on rootShare.", REPLY_OK);
	say(f, "root", "NewShare b for (*) [reserve <= 100Mb] on rootShare.", REPLY_OK);
	say(f, "root", "NewShare aa for (*) [reserve <= 100Mb] on a.", REPLY_OK);
	say(f, "root", "Grant a to alice.", REPLY_OK);
	say(f, "root", "Grant aa to bob.", REPLY_OK);
	say(f, "root", "Grant b to bob.", REPLY_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	engine_destroy(f->engine);
	nib_destroy(f->nib);
	free(f);
	return 0;
}

static void a_request_with_a_future_start_is_told_to_start_and_end(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "reserve(dstPort=80) = 5Mb on a from +10 to +20.", REPLY_OK);
	expect(f, "");
	assert_int_equal(engine_next_ns(f->engine), 10 * S);
	advance(f, 10 * S - 1);
	expect(f, "");
	advance(f, 10 * S);
	expect(f, "alice {\"event\":\"started\",\"id\":1,\"verb\":\"reserve\",\"share\":\"a\",\"at\":\"10\"}\n");
	assert_int_equal(engine_next_ns(f->engine), 20 * S);
	advance(f, 25 * S);
	expect(f,
	       "alice "
	       "{\"event\":\"ended\",\"id\":1,\"verb\":\"reserve\",\"share\":\"a\",\"at\":\"20\",\"why\":\"over\"}\n");
	assert_int_equal(engine_next_ns(f->engine), INT64_MAX);
}

static void a_request_that_starts_at_once_is_not_told_to_start(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "allow(dstPort=80) on a to +5.", REPLY_OK);
	advance(f, 4 * S);
	expect(f, "");
}

static void what_was_slept_through_is_told_in_its_order(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "deny(dstPort=1) on a from +30 to +40.", REPLY_OK);
	say(f, "bob", "deny(dstPort=2) on b from +10 to +30.", REPLY_OK);
	say(f, "bob", "deny(dstPort=3) on b from +30 to +50.", REPLY_OK);
	advance(f, 60 * S);
	expect(f,
	       "bob {\"event\":\"started\",\"id\":2,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"10\"}\n"
	       "bob {\"event\":\"ended\",\"id\":2,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"30\",\"why\":\"over\"}\n"
	       "alice {\"event\":\"started\",\"id\":1,\"verb\":\"deny\",\"share\":\"a\",\"at\":\"30\"}\n"
	       "bob {\"event\":\"started\",\"id\":3,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"30\"}\n"
	       "alice {\"event\":\"ended\",\"id\":1,\"verb\":\"deny\",\"share\":\"a\",\"at\":\"40\",\"why\":\"over\"}\n"
	       "bob {\"event\":\"ended\",\"id\":3,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"50\",\"why\":\"over\"}\n");
}

static void a_request_cancelled_before_its_start_never_starts(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "deny(dstPort=1) on a from +10 to +40.", REPLY_OK);
	f->now_ns = 3 * S;
	say(f, "alice", "cancel 1.", REPLY_OK);
	expect(f,
	       "alice "
	       "{\"event\":\"ended\",\"id\":1,\"verb\":\"deny\",\"share\":\"a\",\"at\":\"3\",\"why\":\"cancelled\"}\n");
	advance(f, 20 * S);
	expect(f, "");
	assert_int_equal(engine_state(f->engine)->starts.n, 0);
}

static void a_later_denial_overrides_an_allow_and_names_where(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "allow(dstPort=80-90, transport=TCP) on a to +100.", REPLY_OK);
	expect(f, "");
	say(f, "bob", "deny(dstPort=85-200, transport=TCP) on b from +10 to +50.", REPLY_OK);
	assert_non_null(strstr(f->told, "alice {\"event\":\"overridden\",\"id\":1,\"verb\":\"allow\",\"share\":\"a\","
					"\"at\":\"0\",\"by\":2,\"groups\":[{\"group\":"));
	assert_non_null(strstr(f->told, "85-90"));
	assert_non_null(strstr(f->told, "\"start\":\"10\",\"end\":\"50\""));
	f->told[0] = '\0';
	// what is lost already is not lost again; what is new is
	say(f, "bob", "deny(dstPort=86, transport=TCP) on b from +20 to +50.", REPLY_OK);
	expect(f, "");
	say(f, "bob", "deny(dstPort=84-86, transport=TCP) on b from +20 to +50.", REPLY_OK);
	assert_non_null(strstr(f->told, "\"by\":4"));
	assert_null(strstr(f->told, "85"));
}

static void a_childs_allow_overrides_its_parents_denial(void **state)
{
	struct fixture *f = *state;

	say(f, "alice", "deny(dstPort=80) on a.", REPLY_OK);
	say(f, "bob", "allow(dstPort=80, transport=TCP) on aa to +10.", REPLY_OK);
	assert_non_null(strstr(f->told, "alice {\"event\":\"overridden\",\"id\":1,"));
	assert_non_null(strstr(f->told, "\"by\":2"));
}

static void what_changes_no_decision_is_not_told(void **state)
{
	struct fixture *f = *state;

	say(f, "bob", "allow(dstPort=80) on aa.", REPLY_OK);
	say(f, "alice", "deny(dstPort=80) partial on a.", REPLY_OK); // the child's allow stands
	say(f, "bob", "deny(dstPort=81) on b.", REPLY_OK);
	say(f, "bob", "deny(dstPort=80) on b from +10 to +10.", REPLY_BAD_TIME);
	say(f, "root", "AddUser carol.", REPLY_OK);
	expect(f, "");
}

static void only_who_listens_is_told(void **state)
{
	struct fixture *f = *state;

	f->deaf = "alice";
	say(f, "alice", "allow(dstPort=80) on a to +100.", REPLY_OK);
	say(f, "bob", "deny(dstPort=80) on b from +10 to +50.", REPLY_OK);
	advance(f, 200 * S);
	expect(f,
	       "bob {\"event\":\"started\",\"id\":2,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"10\"}\n"
	       "bob {\"event\":\"ended\",\"id\":2,\"verb\":\"deny\",\"share\":\"b\",\"at\":\"50\",\"why\":\"over\"}\n");
}

static void open_requests_are_limited_but_not_those_of_root(void **state)
{
	struct fixture *f = *state;

	engine_limit_requests(f->engine, 2);
	say(f, "alice", "deny(dstPort=1) on a to +10.", REPLY_OK);
	say(f, "alice", "deny(dstPort=2) on a to +20.", REPLY_OK);
	say(f, "alice", "deny(dstPort=3) on a to +20.", REPLY_LIMIT);
	say(f, "alice/ssh", "deny(dstPort=3) on a to +20.", REPLY_LIMIT);
	say(f, "alice", "deny(dstPort=3) on nowhere to +20.", REPLY_NO_SHARE); // the reason of old goes first
	say(f, "bob", "deny(dstPort=3) on b to +20.", REPLY_OK);
	for (int i = 0; i < 5; i++)
		say(f, "root", "deny(dstPort=4) on rootShare to +20.", REPLY_OK);
	advance(f, 10 * S); // one is over
	say(f, "alice", "deny(dstPort=3) on a to +20.", REPLY_OK);
	say(f, "alice", "deny(dstPort=4) on a to +20.", REPLY_LIMIT);
	say(f, "alice", "cancel 2.", REPLY_OK);
	say(f, "alice", "deny(dstPort=4) on a to +20.", REPLY_OK);
	engine_limit_requests(f->engine, 0);
	say(f, "alice", "deny(dstPort=5) on a to +20.", REPLY_OK);
}

static int order(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

// Against a sorted list, with requests that end before they start.
static void random_starts_come_in_order_and_leave_nothing(void **state)
{
	struct fixture *f = *state;
	const char *text = getenv("PANE_SEED");
	unsigned int seed = text != NULL ? (unsigned int)atoi(text) : 1;
	int64_t starts[400];
	size_t n = 0, seen = 0;
	const char *at;

	printf("seed %u\n", seed);
	for (uint64_t id = 1; id <= 1000; id++) {
		int64_t start = 1 + rand_r(&seed) % 500;
		char statement[80];
		bool keep = rand_r(&seed) % 5 < 2 && n < 400;

		snprintf(statement, sizeof(statement), "deny(dstPort=1) on a from +%d to forever.", (int)start);
		say(f, "alice", statement, REPLY_OK);
		if (keep)
			starts[n++] = start;
		else {
			snprintf(statement, sizeof(statement), "cancel %d.", (int)id);
			say(f, "alice", statement, REPLY_OK);
		}
		assert_true(engine_state(f->engine)->starts.n <= 2 * n + 64); // the gone are swept
		f->told[0] = '\0';
	}
	qsort(starts, n, sizeof(starts[0]), order);
	while (engine_next_ns(f->engine) < INT64_MAX) {
		advance(f, engine_next_ns(f->engine));
		for (at = f->told; (at = strstr(at, "\"at\":\"")) != NULL; at += 6)
			assert_int_equal(atoi(at + 6), starts[seen++]);
		f->told[0] = '\0';
	}
	assert_int_equal(seen, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_with_a_future_start_is_told_to_start_and_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_request_that_starts_at_once_is_not_told_to_start, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_slept_through_is_told_in_its_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_cancelled_before_its_start_never_starts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_later_denial_overrides_an_allow_and_names_where, setup, teardown),
		cmocka_unit_test_setup_teardown(a_childs_allow_overrides_its_parents_denial, setup, teardown),
		cmocka_unit_test_setup_teardown(what_changes_no_decision_is_not_told, setup, teardown),
		cmocka_unit_test_setup_teardown(only_who_listens_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(open_requests_are_limited_but_not_those_of_root, setup, teardown),
		cmocka_unit_test_setup_teardown(random_starts_come_in_order_and_leave_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
