// SPDX-License-Identifier: Apache-2.0
// Rounds of queues as the dataplane tells them: rates, sums for requests and shares, who sees them, promises not kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/queue_book.h"
#include "talk.h"

#define S UINT64_C(1000000000)
#define PORT 3

struct fixture {
	struct talk talk;
	char heard[1024]; // events, one a line
};

static bool wants(void *ctx, const char *user)
{
	(void)ctx;
	return user == NULL || strcmp(user, "root") == 0;
}

static void hear(void *ctx, const char *user, const json_t *event)
{
	struct fixture *f = ctx;
	size_t len = strlen(f->heard);

	(void)user;
	if (json_object_get(event, "port") == NULL)
		return;
	snprintf(f->heard + len, sizeof(f->heard) - len, "%s %d %s %d\n",
		 json_string_value(json_object_get(event, "event")),
		 (int)json_integer_value(json_object_get(event, "id")),
		 json_string_value(json_object_get(event, "port")),
		 (int)json_integer_value(json_object_get(event, "received")));
}

// net0 (1) with video (2) and mail (3) in it, other (4) beside. 1: video's, 2: mail's, 3: a limit of net0, 4: other's.
static int setup(void **state)
{
	static const char *const said[] = {
		"AddUser alice.",
		"NewShare net0 for (*) [reserve <= 100 ratelimit >= 0] on rootShare.",
		"NewShare video for (*) [reserve <= 50 weight = 3] on net0.",
		"NewShare mail for (*) [reserve <= 50] on net0.",
		"NewShare other for (*) [reserve <= 50] on rootShare.",
		"Grant video to alice.",
		"reserve(dstPort=1) = 10 on video.",
		"reserve(dstPort=2) = 20 on mail.",
		"ratelimit(dstPort=1-9) = 60 on net0.",
		"reserve(dstPort=4) = 40 on other.",
	};
	const struct nib_port port = {.port = PORT, .up = true, .name = "p1", .rate_bps = 100000000};
	struct fixture *f = calloc(1, sizeof(*f));
	struct event_sink sink = {wants, hear, f};

	talk_init(&f->talk, true);
	nib_port_set(f->talk.nib, &port);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		assert_int_equal(say(&f->talk, "root", said[i]), REPLY_OK);
	engine_listen(f->talk.engine, &sink);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	talk_fini(&f->talk);
	free(f);
	return 0;
}

// Queues: 0 best effort, 1 of requests 1 and 3 in video's node, 2 of requests 2 and 3, 3 of request 4. Their sums stand
// at so many bytes a second, at second `at`.
static struct proto_queues round_of(unsigned int at, uint64_t bytes_per_s, uint64_t held_back_us)
{
	struct proto_queues q = {.port = PORT, .n = 4, .is_end = 1};

	q.of_port = (struct proto_port_queues){.n_queues = 4, .held_back_us = held_back_us};
	for (uint32_t i = 0; i < q.n; i++)
		q.queue[i] = (struct proto_queue){.number = 5U << 17 | i,
						  .packets = at * 10,
						  .bytes = at * bytes_per_s * (i + 1),
						  .dropped = {at, 0, 2, 0},
						  .backlog_packets = 3,
						  .backlog_bytes = 100 * i,
						  .delay_us = {10 * i, 100 * i, 200 * i},
						  .time_ns = at * S};
	q.queue[1].node = 2;
	idset_add(&q.queue[1].reservations, 1);
	idset_add(&q.queue[1].limits, 3);
	idset_add(&q.queue[2].reservations, 2);
	idset_add(&q.queue[2].limits, 3);
	idset_add(&q.queue[3].reservations, 4);
	return q;
}

static void tell(struct fixture *f, struct proto_queues q)
{
	if (queue_book_tell(nib_queues(f->talk.nib), &q))
		engine_queues_told(f->talk.engine, PORT);
}

static const json_t *item(struct fixture *f, const char *member, json_int_t number, const char *text)
{
	const json_t *items = f->talk.reply.items, *it;
	size_t i;

	json_array_foreach(items, i, it)
	{
		const json_t *value = json_object_iter_value(json_object_iter((json_t *)it));

		if (strcmp(json_object_iter_key(json_object_iter((json_t *)it)), member) != 0)
			continue;
		if (text != NULL ? strcmp(json_string_value(value), text) == 0 : json_integer_value(value) == number)
			return it;
	}
	return NULL;
}

static json_int_t of(const json_t *it, const char *member)
{
	assert_non_null(it);
	return json_integer_value(json_object_get(it, member));
}

static void rates_are_what_came_between_two_rounds(void **state)
{
	struct fixture *f = *state;

	tell(f, round_of(1, 1000000, 0));
	say(&f->talk, "root", "queues.");
	assert_int_equal(of(item(f, "queue", 1, NULL), "received"), 0); // not known after one
	tell(f, round_of(3, 1000000, 0));
	say(&f->talk, "root", "queues.");
	assert_int_equal(of(item(f, "queue", 1, NULL), "received"), 16000000);
	assert_int_equal(of(item(f, "queue", 1, NULL), "backlog_bytes"), 100);
	assert_int_equal(of(item(f, "queue", 1, NULL), "delay_p99_us"), 100);
	assert_int_equal(of(item(f, "queue", 1, NULL), "dropped_pps"), 1);
	assert_int_equal(of(json_object_get(item(f, "queue", 1, NULL), "dropped"), "delay"), 2);
	assert_int_equal(of(item(f, "port", 0, "p1"), "received"), 80000000);
	assert_int_equal(of(item(f, "port", 0, "p1"), "queues"), 4);
}

static void requests_and_shares_have_what_their_queues_have_each_once(void **state)
{
	struct fixture *f = *state;

	tell(f, round_of(1, 1000000, 0));
	tell(f, round_of(2, 1000000, 0));
	say(&f->talk, "root", "queues.");
	assert_int_equal(of(item(f, "request", 1, NULL), "received"), 16000000);
	assert_int_equal(of(item(f, "request", 2, NULL), "received"), 24000000);
	assert_int_equal(of(item(f, "request", 3, NULL), "received"), 40000000);
	assert_int_equal(of(item(f, "request", 3, NULL), "delay_max_us"), 400); // the longest
	assert_int_equal(of(item(f, "share", 0, "video"), "received"), 16000000);
	assert_int_equal(of(item(f, "share", 0, "video"), "weight"), 3);
	assert_int_equal(of(item(f, "share", 0, "mail"), "received"), 24000000);
	assert_int_equal(of(item(f, "share", 0, "net0"), "received"), 40000000); // both queues once
	assert_int_equal(of(item(f, "share", 0, "net0"), "promised"), 30000000);
	assert_int_equal(of(item(f, "share", 0, "rootShare"), "received"), 80000000);
	assert_int_equal(of(item(f, "share", 0, "rootShare"), "promised"), 70000000);
	assert_string_equal(json_string_value(json_object_get(item(f, "share", 0, "video"), "parent")), "net0");
}

static const json_t *named(const json_t *array, const char *member, const char *name)
{
	const json_t *it;
	size_t i;

	json_array_foreach(array, i, it)
	{
		const json_t *value = json_object_get(it, member);

		if (json_is_string(value) ? strcmp(json_string_value(value), name) == 0
					  : json_integer_value(value) == atoi(name))
			return it;
	}
	return NULL;
}

static void check_shown(struct fixture *f, const char *state, const char *why, json_int_t promised)
{
	const json_t *r;
	bool suspended = why != NULL;

	say(&f->talk, "root", "ListRequests.");
	r = named(json_object_get(f->talk.reply.body, "requests"), "id", "1");
	assert_string_equal(json_string_value(json_object_get(r, "state")), state);
	assert_int_equal(json_is_true(json_object_get(r, "suspended")), suspended);
	if (suspended)
		assert_string_equal(json_string_value(json_object_get(r, "why")), why);
	say(&f->talk, "root", "queues.");
	assert_int_equal(json_is_true(json_object_get(item(f, "request", 1, NULL), "suspended")), suspended);
	assert_int_equal(of(item(f, "share", 0, "video"), "promised"), promised);
	assert_int_equal(of(item(f, "share", 0, "net0"), "promised"), promised + 20000000);
	say(&f->talk, "root", "ListShares.");
	r = named(json_object_get(f->talk.reply.body, "shares"), "name", "video");
	assert_int_equal(of(r, "reserved"), 10000000); // its time in the schedule stays its own
	assert_int_equal(of(r, "suspended"), suspended ? 10000000 : 0);
	say(&f->talk, "root", "explain(dstPort=1).");
	r = named(json_object_get(f->talk.reply.body, "suspended"), "request", "1");
	assert_int_equal(r != NULL, suspended);
	if (suspended)
		assert_string_equal(json_string_value(json_object_get(r, "why")), why);
}

static void what_the_network_does_not_keep_is_shown_as_suspended_and_not_promised(void **state)
{
	struct fixture *f = *state;
	struct err err;

	check_shown(f, "active", NULL, 10000000);
	engine_kept(f->talk.engine, 1, "there is no path");
	check_shown(f, "suspended", "there is no path", 0);
	engine_kept(f->talk.engine, 1, NULL);
	check_shown(f, "active", NULL, 10000000);
	engine_kept(f->talk.engine, 1, "no room");
	assert_int_equal(engine_set_back(f->talk.engine, f->talk.now_ns, &err), 0);
	check_shown(f, "suspended", "no room", 0); // the network does not say it again
	assert_int_equal(engine_state(f->talk.engine)->n_unkept, 1);
	assert_int_equal(say(&f->talk, "root", "cancel 1."), REPLY_OK);
	say(&f->talk, "root", "ListShares.");
	assert_null(
		json_object_get(named(json_object_get(f->talk.reply.body, "shares"), "name", "video"), "suspended"));
	assert_int_equal(engine_state(f->talk.engine)->n_unkept, 0);
}

static void sums_of_promises_stop_at_the_largest_rate(void **state)
{
	struct fixture *f = *state;
	const json_t *r;

	assert_int_equal(say(&f->talk, "root", "reserve(dstPort=5) = 9223372036854775807b on rootShare."), REPLY_OK);
	say(&f->talk, "root", "queues.");
	assert_int_equal(of(item(f, "share", 0, "rootShare"), "promised"), INT64_MAX);
	assert_int_equal(of(item(f, "share", 0, "net0"), "promised"), 30000000);
	assert_non_null(strstr(f->talk.classic, "share rootShare 1 9223372036854775807 "));
	say(&f->talk, "root", "ListShares.");
	r = named(json_object_get(f->talk.reply.body, "shares"), "name", "rootShare");
	assert_int_equal(of(r, "reserved"), INT64_MAX);
}

static void a_queue_left_out_of_a_round_is_gone_and_its_number_comes_new(void **state)
{
	struct fixture *f = *state;
	struct proto_queues q = round_of(2, 1000000, 0);

	tell(f, round_of(1, 1000000, 0));
	q.queue[1] = q.queue[2];
	q.queue[2] = q.queue[3];
	q.n = 3;
	tell(f, q);
	say(&f->talk, "root", "queues.");
	assert_null(item(f, "queue", 1, NULL));
	assert_int_equal(of(item(f, "queue", 2, NULL), "received"), 24000000);
	q = round_of(3, 2000000, 0);
	q.queue[2].number += 1U << 17; // another one has its place
	q.queue[2].bytes = 5;
	tell(f, q);
	say(&f->talk, "root", "queues.");
	assert_int_equal(of(item(f, "queue", 2, NULL), "received"), 0);
	assert_int_equal(of(item(f, "queue", 3, NULL), "received"), 128000000);
}

static void a_round_shows_when_it_is_complete(void **state)
{
	struct fixture *f = *state;
	struct proto_queues q = round_of(1, 1000000, 0);

	q.is_end = 0;
	tell(f, q);
	say(&f->talk, "root", "queues.");
	assert_null(item(f, "queue", 1, NULL));
	q = (struct proto_queues){.port = PORT, .is_end = 1};
	tell(f, q);
	say(&f->talk, "root", "queues.");
	assert_non_null(item(f, "queue", 1, NULL));
	nib_ports_down(f->talk.nib); // the dataplane is gone
	say(&f->talk, "root", "queues.");
	assert_null(item(f, "queue", 1, NULL));
	q.port = QUEUE_PORTS_MAX;
	tell(f, q);
}

static void a_queue_of_what_may_not_be_seen_is_not_shown(void **state)
{
	struct fixture *f = *state;

	tell(f, round_of(1, 1000000, 0));
	tell(f, round_of(2, 1000000, 0));
	say(&f->talk, "alice", "queues.");
	assert_non_null(item(f, "queue", 0, NULL)); // best effort is everybody's
	assert_null(item(f, "queue", 1, NULL));     // net0's limit is not hers to see
	assert_null(item(f, "queue", 3, NULL));
	assert_null(item(f, "request", 4, NULL));
	assert_int_equal(of(item(f, "request", 1, NULL), "received"), 16000000);
	assert_null(item(f, "share", 0, "net0"));
	assert_true(json_is_null(json_object_get(item(f, "share", 0, "video"), "parent")));
}

static void a_promise_that_a_port_cannot_keep_is_told_once_and_when_it_is_over(void **state)
{
	struct fixture *f = *state;
	unsigned int at = 1;

	tell(f, round_of(at++, 1000000, 500000)); // how much that was before is not known
	tell(f, round_of(at++, 1000000, 500000));
	assert_string_equal(f->heard, "");
	tell(f, round_of(at++, 1000000, 700000));
	tell(f, round_of(at++, 1000000, 700000));
	assert_string_equal(f->heard, ""); // once is nothing
	tell(f, round_of(at++, 1000000, 800000));
	tell(f, round_of(at++, 1000000, 900000)); // 1 has 16 of 10, 2 24 of 20, 4 32 of 40 Mbit/s
	assert_string_equal(f->heard, "degraded 4 p1 32000000\n");
	tell(f, round_of(at++, 1000000, 1400000));
	tell(f, round_of(at++, 1000000, 1400000));
	tell(f, round_of(at++, 1000000, 1800000));
	assert_string_equal(f->heard, "degraded 4 p1 32000000\n"); // not each second
	for (int i = 0; i < 3; i++)
		tell(f, round_of(at++, 1000000, 1800000 + 5000 * (uint64_t)i)); // a little is nothing
	assert_string_equal(f->heard, "degraded 4 p1 32000000\nrecovered 4 p1 0\n");
	tell(f, round_of(at++, 1000000, 8000000));
	tell(f, round_of(at++, 1000000, 9000000));
	assert_non_null(strstr(f->heard, "recovered 4 p1 0\ndegraded 4 p1 32000000\n"));
	say(&f->talk, "root", "cancel 4.");
	f->heard[0] = '\0';
	for (int i = 0; i < 5; i++)
		tell(f, round_of(at++, 1000000, 9000000));
	assert_string_equal(f->heard, ""); // nobody's any more
}

static void a_reservation_that_asks_for_less_is_not_behind(void **state)
{
	struct fixture *f = *state;
	struct proto_queues q;

	tell(f, round_of(1, 1000, 0));
	q = round_of(2, 1000, 500000);
	for (int i = 0; i < 4; i++)
		q.queue[i].backlog_packets = 0;
	tell(f, q);
	assert_string_equal(f->heard, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

// Request 4 has two queues at the port.
static struct proto_queues shared_round_of(unsigned int at, uint64_t held_back_us)
{
	struct proto_queues q = round_of(at, 500000, held_back_us);

	idset_add(&q.queue[2].reservations, 4);
	return q;
}

static void two_queues_in_one_round_are_behind_once(void **state)
{
	struct fixture *f = *state;

	tell(f, shared_round_of(1, 500000));
	tell(f, shared_round_of(2, 500000));
	tell(f, shared_round_of(3, 700000));
	assert_string_equal(f->heard, "");
	tell(f, shared_round_of(4, 900000));
	assert_non_null(strstr(f->heard, "degraded 4 p1 28000000\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rates_are_what_came_between_two_rounds),
		TEST(requests_and_shares_have_what_their_queues_have_each_once),
		TEST(what_the_network_does_not_keep_is_shown_as_suspended_and_not_promised),
		TEST(sums_of_promises_stop_at_the_largest_rate),
		TEST(a_queue_left_out_of_a_round_is_gone_and_its_number_comes_new),
		TEST(a_round_shows_when_it_is_complete),
		TEST(a_queue_of_what_may_not_be_seen_is_not_shown),
		TEST(a_promise_that_a_port_cannot_keep_is_told_once_and_when_it_is_over),
		TEST(two_queues_in_one_round_are_behind_once),
		TEST(a_reservation_that_asks_for_less_is_not_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
