// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy.h"
#include "control/state.h"
#include "talk.h"

static int setup(void **state)
{
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, true);
	say(t, "root", "AddUser alice."); // user 2
	say(t, "root", "AddUser bob.");   // user 3
	say(t, "root", "NewShare net0 for (*) [reserve <= 1000 ratelimit >= 0] on rootShare.");
	say(t, "root", "NewShare idle for (*) on rootShare.");
	say(t, "root", "NewShare deep for (*) [reserve <= 1000] on net0.");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static struct tree policy_of(struct talk *t)
{
	struct tree tree;

	tree_init(&tree);
	assert_int_equal(engine_policy(t->engine, engine_now_ns(t->engine), &tree), 0);
	return tree;
}

static void tree_has_a_node_for_each_share_on_the_way_to_a_request(void **state)
{
	struct talk *t = *state;
	struct tree tree;

	assert_int_equal(say(t, "root", "deny(dstPort=1) on deep."), REPLY_OK);
	assert_int_equal(say(t, "root", "reserve(dstPort=2) = 5 on deep from 3 to 9."), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(dstPort=3) = 7 on net0."), REPLY_OK);
	tree = policy_of(t);
	assert_int_equal(tree.n_nodes, 3);
	assert_int_equal(tree.nodes[1].parent, 0);
	assert_int_equal(tree.nodes[2].parent, 1);
	assert_int_equal(tree.n_atoms, 3);
	for (uint32_t i = 0; i < tree.n_atoms; i++) {
		const struct atom *a = &tree.atoms[i];

		assert_int_equal(a->node, a->id == 3 ? 1 : 2);
		assert_int_equal(a->part, a->id == 1 ? ATOM_ACCESS : a->id == 2 ? ATOM_RESERVE : ATOM_LIMIT);
		assert_int_equal(a->access, a->id == 1 ? ACCESS_DENY : ACCESS_ALLOW);
		if (a->id == 2) {
			assert_int_equal(a->rate_bps, 5000000);
			assert_int_equal(box_start_ns(&a->match.boxes[0]), 3000000000);
			assert_int_equal(box_end_ns(&a->match.boxes[0]), 9000000000);
		}
	}
	tree_fini(&tree);
}

static void siblings_after_a_deep_branch_hang_on_the_right_node(void **state)
{
	struct talk *t = *state;
	struct tree tree;

	say(t, "root", "NewShare deeper for (*) on deep.");
	say(t, "root", "NewShare beside for (*) on net0.");
	say(t, "root", "NewShare last for (*) on rootShare.");
	say(t, "root", "allow(dstPort=1) on deeper.");
	say(t, "root", "allow(dstPort=2) on beside.");
	say(t, "root", "allow(dstPort=3) on last.");
	tree = policy_of(t); // rootShare, net0, deep, deeper, beside, last
	assert_int_equal(tree.n_nodes, 6);
	assert_int_equal(tree.nodes[3].parent, 2);
	assert_int_equal(tree.nodes[4].parent, 1);
	assert_int_equal(tree.nodes[5].parent, 0);
	tree_fini(&tree);
}

static void policy_changes_with_requests_and_bindings_not_with_time(void **state)
{
	struct talk *t = *state;
	uint64_t gen = engine_policy_gen(t->engine);

	say(t, "root", "NewShare more for (*) on rootShare.");
	say(t, "root", "allow(*) on nowhere.");
	assert_true(engine_policy_gen(t->engine) == gen);
	say(t, "root", "allow(user=alice) on net0 to 5.");
	assert_true(engine_policy_gen(t->engine) > gen);
	gen = engine_policy_gen(t->engine);
	say(t, "root", "Bind alice to 10.0.0.1.");
	assert_true(engine_policy_gen(t->engine) > gen);
	gen = engine_policy_gen(t->engine);
	say(t, "root", "Tick 5.");
	assert_true(engine_policy_gen(t->engine) == gen);
	say(t, "root", "allow(user=alice) on net0.");
	gen = engine_policy_gen(t->engine);
	say(t, "root", "cancel 2.");
	assert_true(engine_policy_gen(t->engine) > gen);
}

// What has changed since the last call, as a text: "all", "r1 r1 s4".
static const char *changes_of(struct talk *t)
{
	static char text[256];
	struct delta delta;
	size_t len = 0;

	engine_changes(t->engine, &delta);
	text[0] = '\0';
	if (delta.all)
		len += (size_t)snprintf(text, sizeof(text), "all ");
	for (size_t i = 0; i < delta.n_requests; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "r%u ", (unsigned int)delta.requests[i]);
	for (size_t i = 0; i < delta.n_shares; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "s%u ", delta.shares[i]);
	delta_fini(&delta);
	return text;
}

static void changes_name_the_requests_that_came_went_or_match_otherwise(void **state)
{
	struct talk *t = *state;

	say(t, "root", "allow(*) on net0.");
	assert_true(engine_changed(t->engine)); // nobody has looked yet
	assert_string_equal(changes_of(t), "all ");
	assert_false(engine_changed(t->engine));
	say(t, "root", "deny(srcUser=alice) on net0 to 50.");  // 2
	say(t, "root", "deny(srcUser=!{bob}) on net0 to 60."); // 3
	say(t, "root", "allow(*) on nowhere.");
	assert_true(engine_changed(t->engine));
	assert_string_equal(changes_of(t), "r2 r3 ");
	say(t, "root", "renew 2 to 55.");
	assert_string_equal(changes_of(t), "r2 ");
	say(t, "root", "Bind bob to 10.0.0.1.");
	assert_string_equal(changes_of(t), "r3 ");
	say(t, "root", "Bind bob to 10.0.0.1."); // already
	assert_string_equal(changes_of(t), "");
	say(t, "root", "Bind alice to 10.0.0.2.");
	assert_string_equal(changes_of(t), "r2 ");
	say(t, "root", "DropUser bob.");
	assert_string_equal(changes_of(t), "r3 ");
	say(t, "root", "Tick 55.");
	assert_string_equal(changes_of(t), "r2 "); // it is over
	say(t, "root", "cancel 3.");
	assert_string_equal(changes_of(t), "r3 ");
	say(t, "root", "allow(*) on deep.");
	changes_of(t);
	say(t, "root", "DropShare net0.");
	assert_string_equal(changes_of(t), "r1 r4 ");
}

static void changes_name_the_shares_whose_part_by_weight_changed(void **state)
{
	struct talk *t = *state;

	changes_of(t);
	say(t, "root", "NewShare a for (srcUser=alice) on net0."); // 4; net0 1, idle 2, deep 3
	assert_string_equal(changes_of(t), "");
	say(t, "root", "NewShare b for (*) [weight = 5] on net0.");
	assert_string_equal(changes_of(t), "s3 s4 s5 ");
	say(t, "root", "NewShare c for (*) on net0.");
	assert_string_equal(changes_of(t), "s6 ");
	say(t, "root", "Bind alice to 10.0.0.2.");
	assert_string_equal(changes_of(t), "s4 ");
	assert_ptr_equal(share_at(&engine_state(t->engine)->shares, 5),
			 share_find(&engine_state(t->engine)->shares, "b"));
	say(t, "root", "DropShare b."); // the last weight
	assert_string_equal(changes_of(t), "s5 s3 s4 s6 ");
	assert_null(share_at(&engine_state(t->engine)->shares, 5));
	say(t, "root", "Unbind alice.");
	assert_string_equal(changes_of(t), "");
}

static void request_of_an_unbound_user_waits_for_a_binding(void **state)
{
	struct talk *t = *state;
	struct tree tree;

	assert_int_equal(say(t, "root", "deny(srcUser=alice) on net0."), REPLY_OK);
	tree = policy_of(t);
	assert_int_equal(tree.n_atoms, 0);
	tree_fini(&tree);
	say(t, "root", "Bind alice to 10.0.0.1.");
	say(t, "root", "Bind alice to 02:00:00:00:00:01.");
	tree = policy_of(t);
	assert_int_equal(tree.n_atoms, 1);
	assert_int_equal(tree.atoms[0].match.n_boxes, 2);
	tree_fini(&tree);
	say(t, "root", "Unbind alice.");
	tree = policy_of(t);
	assert_int_equal(tree.n_atoms, 0);
	tree_fini(&tree);
}

static bool policy_covers(const struct tree *tree, const struct match_packet *packet)
{
	for (uint32_t i = 0; i < tree->n_atoms; i++)
		if (match_covers(&tree->atoms[i].match, packet))
			return true;
	return false;
}

static void a_users_traffic_is_what_the_bindings_say(void **state)
{
	static const struct {
		const char *group;
		bool from_alice, to_alice, from_bob, others;
	} cases[] = {
		{"user=alice", true, true, false, false},
		{"srcUser=alice", true, false, false, false},
		{"dstUser=alice", false, true, false, false},
		{"srcUser=!{alice}", false, true, true, true}, // also packets of nobody
		{"user=!{alice}", false, false, true, true},
		{"srcUser={alice,bob}", true, false, true, false},
		{"srcUser=alice, dstUser=bob", false, false, false, false},
	};
	struct talk *t = *state;

	say(t, "root", "Bind alice to 10.0.0.1.");
	say(t, "root", "Bind bob to 02:00:00:00:00:02.");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct match_packet from_alice = {.kind = MATCH_IP4, .src = match_ip4(0x0a000001), .dst = match_ip4(9)};
		struct match_packet to_alice = {.kind = MATCH_IP4, .src = match_ip4(9), .dst = match_ip4(0x0a000001)};
		struct match_packet from_bob = {.kind = MATCH_IP4, .src = match_ip4(8), .dst = match_ip4(9)};
		struct match_packet others = from_bob;
		struct tree tree;
		char text[128];

		from_bob.f[MATCH_SRC_ETH] = 0x020000000002;
		snprintf(text, sizeof(text), "deny(%s) on net0.", cases[i].group);
		assert_int_equal(say(t, "root", text), REPLY_OK);
		tree = policy_of(t);
		assert_int_equal(policy_covers(&tree, &from_alice), cases[i].from_alice);
		assert_int_equal(policy_covers(&tree, &to_alice), cases[i].to_alice);
		assert_int_equal(policy_covers(&tree, &from_bob), cases[i].from_bob);
		assert_int_equal(policy_covers(&tree, &others), cases[i].others);
		tree_fini(&tree);
		snprintf(text, sizeof(text), "cancel %zu.", i + 1);
		assert_int_equal(say(t, "root", text), REPLY_OK);
	}
}

static bool one_bound(const struct users *users, uint64_t lo, uint64_t hi, const struct match_packet *packet,
		      bool source)
{
	struct match_packet seen = *packet;

	if (!source) {
		seen.src = packet->dst;
		seen.f[MATCH_SRC_ETH] = packet->f[MATCH_DST_ETH];
	}
	for (uint32_t i = 0; i < users->n; i++)
		for (uint32_t b = 0; b < users->all[i]->n_bindings; b++)
			if (i + 1 >= lo && i + 1 <= hi && match_covers(&users->all[i]->bindings[b], &seen))
				return true;
	return false;
}

static bool side_matches(const struct users *users, struct span span, const struct match_packet *packet, bool source)
{
	if (span.lo > 0)
		return one_bound(users, span.lo, span.hi, packet, source);
	return span.hi == MATCH_USER_MAX || !one_bound(users, span.hi + 1, MATCH_USER_MAX, packet, source);
}

static struct span random_users(struct dice *d)
{
	static const struct span spans[] = {{0, MATCH_USER_MAX}, {0, 0}, {0, 2}, {2, 2},
					    {3, MATCH_USER_MAX}, {2, 3}, {9, 20}};

	return spans[dice_roll(d, sizeof(spans) / sizeof(spans[0]))];
}

static void expansion_agrees_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(300);

	for (unsigned long round = 0; round < rounds; round++) {
		struct match flows, out;
		struct users users;

		assert_int_equal(users_init(&users), 0);
		users_add(&users, "alice");
		users_add(&users, "bob");
		users_add(&users, "carol");
		for (int i = 0; i < 6; i++) {
			struct box box = box_any();
			struct match where;

			if (dice_roll(&d, 2)) {
				box.src = match_ip4_prefix((uint32_t)dice_roll(&d, 4), 32);
				box.kinds = MATCH_KINDS_V4;
			} else {
				box.f[MATCH_SRC_ETH].lo = box.f[MATCH_SRC_ETH].hi = dice_roll(&d, 4);
			}
			match_init(&where);
			match_add(&where, &box);
			users_bind(&users, users.all[dice_roll(&d, users.n)], &where);
			match_fini(&where);
		}
		match_init(&flows);
		for (uint64_t n = 1 + dice_roll(&d, 2); n > 0; n--) {
			struct box box = box_any();

			box.f[MATCH_SRC_USER] = random_users(&d);
			box.f[MATCH_DST_USER] = random_users(&d);
			match_add(&flows, &box);
		}
		match_init(&out);
		assert_int_equal(policy_expand(&users, &flows, &out), 0);
		for (unsigned int p = 0; p < 256; p++) {
			struct match_packet packet = {
				.kind = MATCH_IP4, .src = match_ip4(p & 3), .dst = match_ip4(p >> 2 & 3)};
			bool expected = false;

			packet.f[MATCH_SRC_ETH] = p >> 4 & 3;
			packet.f[MATCH_DST_ETH] = p >> 6;
			for (uint32_t b = 0; b < flows.n_boxes; b++)
				expected |= side_matches(&users, flows.boxes[b].f[MATCH_SRC_USER], &packet, true) &&
					    side_matches(&users, flows.boxes[b].f[MATCH_DST_USER], &packet, false);
			assert_int_equal(match_covers(&out, &packet), expected);
		}
		match_fini(&out);
		match_fini(&flows);
		users_fini(&users);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tree_has_a_node_for_each_share_on_the_way_to_a_request),
		TEST(siblings_after_a_deep_branch_hang_on_the_right_node),
		TEST(policy_changes_with_requests_and_bindings_not_with_time),
		TEST(changes_name_the_requests_that_came_went_or_match_otherwise),
		TEST(changes_name_the_shares_whose_part_by_weight_changed),
		TEST(request_of_an_unbound_user_waits_for_a_binding),
		TEST(a_users_traffic_is_what_the_bindings_say),
		cmocka_unit_test(expansion_agrees_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
