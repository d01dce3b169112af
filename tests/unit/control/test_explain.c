// SPDX-License-Identifier: Apache-2.0
// `explain` against the evaluator, on random policies and packets; what it tells, and to whom.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/explain.h"
#include "hft/eval.h"
#include "talk.h"

#define N_SHARES 8

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, true);
	say(t, "root", "AddUser alice.");
	say(t, "root", "AddUser bob.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static void random_group(struct dice *d, char *buf, size_t size)
{
	static const char *const tests[] = {
		"srcHost=10.0.0.0/31", "srcHost=10.0.0.2", "dstHost=!{10.0.0.1}",  "dstPort=80-82",
		"dstPort={81,83}",     "transport=TCP",    "transport={UDP,ICMP}", "srcUser=alice",
		"dstUser=!{alice}",    "user=bob",         "srcUser=!{alice,bob}", "kind={ip4ports}"};
	size_t n = dice_roll(d, 3), len = (size_t)snprintf(buf, size, "(");

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i > 0 ? ", " : "",
					tests[dice_roll(d, sizeof(tests) / sizeof(tests[0]))]);
	snprintf(buf + len, size - len, "%s)", n == 0 ? "*" : "");
}

static void random_statement(struct talk *t, struct dice *d)
{
	static const char *const verbs[] = {"allow(%s) partial on s%d from %d to %d.",
					    "deny(%s) partial on s%d from %d to %d.",
					    "reserve(%s) = 1 partial on s%d from %d to %d.",
					    "ratelimit(%s) = 7 partial on s%d from %d to %d.",
					    "avoid(%s) = 10.9.9.9 partial on s%d from %d to %d.",
					    "waypoint(%s) = 10.9.9.8 partial on s%d from %d to %d."};
	char group[200], inside[200], text[400];
	int from = (int)dice_roll(d, 4);

	random_group(d, group, sizeof(group));
	snprintf(inside, sizeof(inside), "%.*s", (int)strlen(group) - 2, group + 1);
	if (dice_roll(d, 8) == 0)
		snprintf(text, sizeof(text), "hint%s size = 1kB, deadline = 9 on s%d.", group,
			 (int)dice_roll(d, N_SHARES));
	else
		snprintf(text, sizeof(text), verbs[dice_roll(d, sizeof(verbs) / sizeof(verbs[0]))], inside,
			 (int)dice_roll(d, N_SHARES), from, from + 1 + (int)dice_roll(d, 4));
	say(t, "root", text); // some are refused: contradictory groups, too many in one packet
}

static void random_tree(struct talk *t, struct dice *d)
{
	char text[200];

	for (int i = 0; i < N_SHARES; i++) {
		snprintf(text, sizeof(text),
			 "NewShare s%d for (*) [reserve <= 1000 ratelimit >= 0 waypoint = * avoid = *] on s%d.", i,
			 i == 0 ? 0 : (int)dice_roll(d, (uint64_t)i));
		if (i == 0)
			snprintf(text, sizeof(text),
				 "NewShare s0 for (*) [reserve <= 1000 ratelimit >= 0 waypoint = * avoid = *] on "
				 "rootShare.");
		assert_int_equal(say(t, "root", text), REPLY_OK);
	}
	if (dice_roll(d, 4) > 0)
		say(t, "root", "Bind alice to 10.0.0.1.");
	if (dice_roll(d, 4) > 0)
		say(t, "root", "Bind bob to 02:00:00:00:00:01.");
	if (dice_roll(d, 4) > 0)
		say(t, "root", "Bind bob to 10.0.0.2 TCP 80-81.");
}

static struct match_packet random_packet(struct dice *d)
{
	static const uint8_t protos[] = {6, 17, 1};
	struct match_packet p = {.src = match_ip4(0x0a000000 + (uint32_t)dice_roll(d, 4)),
				 .dst = match_ip4(0x0a000000 + (uint32_t)dice_roll(d, 4)),
				 .kind = MATCH_IP4};

	p.f[MATCH_TIME] = dice_roll(d, 8) * 1000000000u + dice_roll(d, 2);
	p.f[MATCH_SRC_ETH] = 0x020000000000 + dice_roll(d, 2);
	p.f[MATCH_DST_ETH] = 0x020000000000 + dice_roll(d, 2);
	p.f[MATCH_PROTO] = protos[dice_roll(d, 3)];
	if (p.f[MATCH_PROTO] != 1 && dice_roll(d, 8) > 0) {
		p.kind = MATCH_IP4PORTS;
		p.f[MATCH_SRC_PORT] = 79 + dice_roll(d, 4);
		p.f[MATCH_DST_PORT] = 79 + dice_roll(d, 5);
	}
	return p;
}

// The request said to decide stands, matches, and has that access.
static void check_decider(const struct talk *t, const struct explanation *e)
{
	const struct explain_step *result = &e->nodes[0].result;
	const struct request *r = request_find(&engine_state(t->engine)->requests, result->by);
	bool matches = false;

	if (result->action.access == ACCESS_NONE) {
		assert_int_equal(result->by, 0);
		return;
	}
	assert_non_null(r);
	assert_int_equal(r->access, result->action.access);
	for (uint32_t i = 0; i < e->n_atoms; i++)
		matches = matches || e->atoms[i].request == r;
	assert_true(matches);
}

static void explain_agrees_with_the_evaluator(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(60), seen[3] = {0};

	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		struct talk t;
		struct tree tree;

		talk_init(&t, true);
		say(&t, "root", "AddUser alice.");
		say(&t, "root", "AddUser bob.");
		random_tree(&t, &d);
		for (int i = 0; i < 30; i++)
			random_statement(&t, &d);
		tree_init(&tree);
		assert_int_equal(engine_policy(t.engine, 0, &tree), 0);
		for (int i = 0; i < 200; i++) {
			struct match_packet p = random_packet(&d);
			struct action expected = eval_packet(&tree, &p);
			struct explanation e;

			assert_int_equal(explain_packet(engine_state(t.engine), &p, &e), 0);
			assert_true(action_equal(&e.nodes[0].result.action, &expected));
			check_decider(&t, &e);
			seen[expected.access]++;
			explanation_fini(&e);
		}
		tree_fini(&tree);
		talk_fini(&t);
	}
	assert_true(seen[ACCESS_NONE] > 0 && seen[ACCESS_ALLOW] > 0 && seen[ACCESS_DENY] > 0);
}

static const char *action_of(const struct talk *t)
{
	return talk_text(t, "action");
}

static void a_deny_of_a_child_goes_before_an_allow_of_its_own_node(void **state)
{
	struct talk *t = *state;
	json_t *items;

	say(t, "root", "NewShare net0 for (*) on rootShare.");
	say(t, "root", "deny(dstPort=80) on rootShare.");     // 1
	say(t, "root", "allow(dstPort=80) partial on net0."); // 2
	assert_int_equal(say(t, "root", "explain(dstPort=80)."), REPLY_OK);
	assert_string_equal(action_of(t), "forward");
	assert_int_equal(talk_number(t, "by"), 2);
	say(t, "root", "deny(srcPort=7, dstPort=80) on net0."); // 3
	assert_int_equal(say(t, "root", "explain(dstPort=80, srcPort=7, transport=UDP)."), REPLY_OK);
	assert_string_equal(action_of(t), "drop");
	assert_int_equal(talk_number(t, "by"), 3);
	items = t->reply.items; // root first, then net0 with both of its requests
	assert_int_equal(json_array_size(items), 2);
	assert_int_equal(json_array_size(json_object_get(json_array_get(items, 1), "atoms")), 2);
	assert_string_equal(t->classic, "2; rootShare own=deny below=deny result=deny deny:1; "
					"net0 own=deny below=none result=deny allow:2 deny:3");
}

static void what_is_not_the_same_for_all_packets_of_the_group_is_said(void **state)
{
	struct talk *t = *state;

	say(t, "root", "deny(dstPort=80) on rootShare to 10.");
	assert_int_equal(say(t, "root", "explain(dstPort=80-81)."), REPLY_OK);
	assert_true(json_is_false(json_object_get(t->reply.body, "uniform")));
	assert_int_equal(say(t, "root", "explain(dstPort=80, transport=TCP)."), REPLY_OK);
	assert_true(json_is_true(json_object_get(t->reply.body, "uniform")));
	assert_string_equal(action_of(t), "drop");
	assert_int_equal(say(t, "root", "explain(dstPort=80, transport=TCP) at 10."), REPLY_OK);
	assert_string_equal(action_of(t), "forward");
	assert_int_equal(say(t, "root", "Tick 5."), REPLY_OK);
	assert_int_equal(say(t, "root", "explain(dstPort=80) at 4."), REPLY_BAD_TIME);
}

static void a_later_fragment_has_no_ports(void **state)
{
	struct talk *t = *state;

	say(t, "root", "deny(dstPort=80) on rootShare.");
	assert_int_equal(say(t, "root", "explain(kind={ip4}, transport=TCP, srcHost=10.0.0.1)."), REPLY_OK);
	assert_string_equal(action_of(t), "forward");
	assert_non_null(strstr(talk_text(t, "note"), "fragment"));
}

static void where_fragments_are_dropped_explain_says_so(void **state)
{
	struct talk *t = *state;

	engine_destroy(t->engine);
	t->engine = engine_create(&(struct engine_conf){.offline = true, .drop_fragments = true}, t->nib, 0);
	assert_non_null(t->engine);
	assert_int_equal(say(t, "root", "explain(kind={ip4}, transport=TCP, srcHost=10.0.0.1)."), REPLY_OK);
	assert_string_equal(action_of(t), "drop");
	assert_string_equal(talk_text(t, "note"), "the configuration has all fragments dropped");
	assert_int_equal(say(t, "root", "explain(transport=TCP, srcHost=10.0.0.1, dstPort=80)."), REPLY_OK);
	assert_string_equal(action_of(t), "forward");
}

static void users_are_their_addresses(void **state)
{
	struct talk *t = *state;

	say(t, "root", "deny(srcUser=alice) on rootShare.");
	assert_int_equal(say(t, "root", "explain(srcUser=alice)."), REPLY_NO_BINDING);
	say(t, "root", "Bind alice to 10.0.0.7.");
	assert_int_equal(say(t, "root", "explain(srcUser=alice)."), REPLY_OK);
	assert_string_equal(action_of(t), "drop");
	assert_int_equal(say(t, "root", "explain(srcHost=10.0.0.7, transport=ICMP)."), REPLY_OK);
	assert_string_equal(action_of(t), "drop");
	assert_int_equal(say(t, "root", "explain(srcHost=10.0.0.8)."), REPLY_OK);
	assert_string_equal(action_of(t), "forward");
}

static void requests_of_others_are_not_told(void **state)
{
	struct talk *t = *state;
	char *text;

	say(t, "root", "NewShare secret for (*) [reserve <= 10 ratelimit >= 0] on rootShare.");
	say(t, "root", "NewShare hers for (dstPort=80-90) on rootShare.");
	say(t, "root", "Grant hers to alice.");
	say(t, "root", "deny(dstPort=80) on secret.");          // 1
	say(t, "root", "ratelimit(dstPort=81) = 1 on secret."); // 2
	say(t, "alice", "allow(dstPort=81) on hers.");          // 3
	assert_int_equal(say(t, "alice", "explain(dstPort=79)."), REPLY_NOT_CONTAINED);
	assert_int_equal(say(t, "bob", "explain(dstPort=80)."), REPLY_NO_PRIVILEGE);
	assert_int_equal(say(t, "alice", "explain(dstPort=80)."), REPLY_OK);
	assert_string_equal(action_of(t), "drop"); // as she would see
	assert_true(json_is_null(json_object_get(t->reply.body, "by")));
	assert_int_equal(json_array_size(t->reply.items), 0);
	assert_int_equal(say(t, "alice", "explain(dstPort=81)."), REPLY_OK);
	assert_int_equal(talk_number(t, "by"), 3);
	text = reply_render_json(&t->reply);
	assert_null(strstr(text, "secret"));
	assert_non_null(strstr(text, "\"limits\":[]"));
	assert_null(strstr(text, "\"limits\":[2]"));
	free(text);
	assert_int_equal(say(t, "root", "explain(dstPort=81)."), REPLY_OK);
	text = reply_render_json(&t->reply);
	assert_non_null(strstr(text, "\"queue\":{\"reservations\":[],\"limits\":[2]}"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explain_agrees_with_the_evaluator),
		cmocka_unit_test_setup_teardown(a_deny_of_a_child_goes_before_an_allow_of_its_own_node, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_not_the_same_for_all_packets_of_the_group_is_said, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_later_fragment_has_no_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(where_fragments_are_dropped_explain_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(users_are_their_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_of_others_are_not_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
