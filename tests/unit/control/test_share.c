// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/share.h"
#include "talk.h"

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

#define ASSERT_SAY(t, speaker, statement, code) \
	do { \
		enum reply_code got = say(t, speaker, statement); \
		if (got != (code)) \
			fail_msg("%s: expected %s, got %s: %s", statement, reply_code_name(code), \
				 reply_code_name(got), talk_why(t)); \
	} while (0)

static const struct privileges *privileges_of(struct talk *t, const char *name)
{
	const struct share *share = share_find(&engine_state(t->engine)->shares, name);

	assert_non_null(share);
	return &share->privileges;
}

static void privileges_not_given_have_their_defaults(void **state)
{
	struct talk *t = *state;
	const struct privileges *p;

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	p = privileges_of(t, "a");
	assert_true(p->allow_ns == DURATION_UNLIMITED && p->deny_ns == DURATION_UNLIMITED);
	assert_true(p->reserve_max_bps == 0 && p->reserve_min_bps == 0 && p->tb_fill_bps == 0 &&
		    p->tb_capacity_bits == 0);
	assert_true(p->ratelimit_min_bps == RATE_UNLIMITED && p->hint && p->query && p->weight == 1);
	ASSERT_SAY(t, "root", "NewShare b for (*) [reserve <= 100 reserve >= 5 reserveTBFill = 30] on rootShare.",
		   REPLY_OK);
	p = privileges_of(t, "b");
	assert_true(p->tb_fill_bps == 30000000 && p->tb_capacity_bits == 100000000);
	ASSERT_SAY(t, "root", "NewShare c for (*) [reserve <= 50] on b.", REPLY_OK);
	p = privileges_of(t, "c");
	assert_true(p->tb_fill_bps == 30000000 && p->tb_capacity_bits == 50000000 && p->reserve_min_bps == 5000000);
}

static uint32_t number_of(struct talk *t, const char *name)
{
	const struct share *share = share_find(&engine_state(t->engine)->shares, name);

	assert_non_null(share);
	return share->number;
}

static void shares_keep_their_numbers_and_no_number_comes_again(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare b for (*) on a.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare b for (*) on a.", REPLY_DUP_SHARE);
	assert_int_equal(number_of(t, SHARE_ROOT), 0);
	assert_int_equal(number_of(t, "a"), 1);
	assert_int_equal(number_of(t, "b"), 2);
	ASSERT_SAY(t, "root", "DropShare b.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare b for (*) on rootShare.", REPLY_OK);
	assert_int_equal(number_of(t, "b"), 3);
	assert_int_equal(number_of(t, "a"), 1);
}

static void child_needs_what_its_parent_has(void **state)
{
	static const struct {
		const char *parent, *child;
		bool contained;
	} cases[] = {
		{"allow = False", "allow = True", false},
		{"allow = False", "", false}, // the default asks for it too
		{"allow = False", "allow = False", true},
		{"allow <= 10s", "allow <= 10s", true},
		{"allow <= 10s", "allow <= 11s", false},
		{"allow <= 10s", "", false},
		{"deny <= 10s", "deny <= 9s", true},
		{"deny = False", "", false},
		{"reserve <= 10", "reserve <= 10", true},
		{"reserve <= 10", "reserve <= 10001kb", false},
		{"", "reserve <= 1b", false},
		{"reserve <= 10 reserve >= 5", "reserve <= 10 reserve >= 4", false},
		{"reserve <= 10 reserve >= 5", "reserve <= 10 reserve >= 5", true},
		{"reserve <= 10 reserve >= 5", "reserve <= 3", true}, // an inherited minimum may be out of reach
		{"reserve <= 10", "reserve <= 3 reserve >= 4", false},
		{"reserve <= 10", "reserve >= 1", false},
		{"reserve <= 10 reserveTBFill = 5", "reserve <= 10 reserveTBFill = 6", false},
		{"reserve <= 10 reserveTBFill = 5", "reserve <= 10 reserveTBFill = 5", true},
		{"reserve <= 10 reserveTBCapacity = 5", "reserve <= 10 reserveTBCapacity = 6", false},
		{"reserve <= 10 reserveTBCapacity = 50", "reserve <= 10 reserveTBCapacity = 50", true},
		{"ratelimit >= 5", "ratelimit >= 5", true},
		{"ratelimit >= 5", "ratelimit >= 4", false},
		{"ratelimit >= 5", "", true}, // the default is to have none
		{"", "ratelimit >= 5", false},
		{"hint = False", "", false},
		{"hint = False", "hint = False", true},
		{"query = False", "query = True", false},
		{"weight = 3", "weight = 1000", true},
	};
	struct talk *t = *state;
	char text[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "NewShare p%zu for (*) [%s] on rootShare.", i, cases[i].parent);
		if (cases[i].parent[0] == '\0')
			snprintf(text, sizeof(text), "NewShare p%zu for (*) on rootShare.", i);
		ASSERT_SAY(t, "root", text, REPLY_OK);
		snprintf(text, sizeof(text), "NewShare c%zu for (*) [%s] on p%zu.", i, cases[i].child, i);
		if (cases[i].child[0] == '\0')
			snprintf(text, sizeof(text), "NewShare c%zu for (*) on p%zu.", i, i);
		ASSERT_SAY(t, "root", text, cases[i].contained ? REPLY_OK : REPLY_BAD_PRIVILEGE);
	}
}

static void new_share_is_checked_in_order(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare web for (dstPort=80) [reserve <= 5] on rootShare.", REPLY_OK);
	// each one is also wrong in all later respects
	ASSERT_SAY(t, "bob", "NewShare web for (*) [reserve <= 6] on nowhere.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "bob", "NewShare web for (*) [reserve <= 6] on web.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "NewShare web for (*) [reserve <= 6] on web.", REPLY_DUP_SHARE);
	ASSERT_SAY(t, "root", "NewShare sub for (*) [reserve <= 6] on web.", REPLY_NOT_CONTAINED);
	ASSERT_SAY(t, "root", "NewShare sub for (dstPort=80) [reserve <= 6] on web.", REPLY_BAD_PRIVILEGE);
	ASSERT_SAY(t, "root", "NewShare sub for (dstPort=80) [reserve <= 5] on web.", REPLY_OK);
}

static void creator_is_the_only_principal_at_first(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "Grant a to alice@10.0.0.5/ssh.", REPLY_OK);
	ASSERT_SAY(t, "alice", "NewShare b for (*) on a.", REPLY_NOT_PRINCIPAL); // the grant is to the full triple
	ASSERT_SAY(t, "alice@10.0.0.5/ssh", "NewShare b for (*) on a.", REPLY_OK);
	ASSERT_SAY(t, "alice@10.0.0.6", "allow(*) on b.", REPLY_OK); // the creator's user, wherever
	ASSERT_SAY(t, "root", "allow(*) on b.", REPLY_NOT_PRINCIPAL);
}

static void grants_need_a_principal_and_a_user(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "alice", "Grant a to alice.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "Grant a to carol.", REPLY_NO_USER);
	ASSERT_SAY(t, "root", "Grant b to alice.", REPLY_NO_SHARE);
	ASSERT_SAY(t, "root", "Grant a to alice.", REPLY_OK);
	assert_true(t->reply.mutated);
	ASSERT_SAY(t, "root", "Grant a to alice.", REPLY_OK);
	assert_false(t->reply.mutated);
	ASSERT_SAY(t, "alice", "Grant a to bob.", REPLY_OK);
	ASSERT_SAY(t, "bob", "allow(*) on a.", REPLY_OK);
}

static void default_grant_is_for_registered_users_now_and_later(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "alice", "GrantDefault a.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "GrantDefault a.", REPLY_OK);
	ASSERT_SAY(t, "alice", "allow(*) on a.", REPLY_OK);
	ASSERT_SAY(t, "carol", "allow(*) on a.", REPLY_NOT_PRINCIPAL);
	ASSERT_SAY(t, "root", "AddUser carol.", REPLY_OK);
	ASSERT_SAY(t, "carol", "allow(*) on a.", REPLY_OK);
}

static void only_root_adds_and_binds_users(void **state)
{
	struct talk *t = *state;

	ASSERT_SAY(t, "alice", "AddUser carol.", REPLY_NOT_ROOT);
	ASSERT_SAY(t, "root", "AddUser alice.", REPLY_DUP_USER);
	ASSERT_SAY(t, "root", "AddUser root.", REPLY_DUP_USER);
	ASSERT_SAY(t, "alice", "Bind alice to 10.0.0.1.", REPLY_NOT_ROOT);
	ASSERT_SAY(t, "root", "Bind carol to 10.0.0.1.", REPLY_NO_USER);
	ASSERT_SAY(t, "root", "Bind alice to 10.0.0.1.", REPLY_OK);
	ASSERT_SAY(t, "root", "Bind bob to 10.0.0.1.", REPLY_BOUND);
	ASSERT_SAY(t, "root", "Bind bob to 02:00:00:00:00:01.", REPLY_OK);
	ASSERT_SAY(t, "root", "Bind alice to 02:00:00:00:00:01.", REPLY_BOUND);
	ASSERT_SAY(t, "root", "Unbind alice from 10.0.0.2.", REPLY_NO_BINDING);
	ASSERT_SAY(t, "root", "Bind alice to 10.0.0.2.", REPLY_OK);
	ASSERT_SAY(t, "root", "Unbind alice from 10.0.0.1.", REPLY_OK);
	ASSERT_SAY(t, "root", "Bind bob to 10.0.0.1.", REPLY_OK);
	ASSERT_SAY(t, "root", "Bind bob to 10.0.0.2.", REPLY_BOUND);
	ASSERT_SAY(t, "root", "Unbind alice.", REPLY_OK);
	ASSERT_SAY(t, "root", "Unbind alice.", REPLY_NO_BINDING);
}

static void preorder_visits_each_share_once(void **state)
{
	struct talk *t = *state;
	const struct share *root = engine_state(t->engine)->shares.root;
	char seen[256] = "";

	ASSERT_SAY(t, "root", "NewShare a for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare b for (*) on rootShare.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare aa for (*) on a.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare aaa for (*) on aa.", REPLY_OK);
	ASSERT_SAY(t, "root", "NewShare ab for (*) on a.", REPLY_OK);
	for (const struct share *s = root; s != NULL; s = share_next(root, s, true))
		strcat(strcat(seen, " "), s->name);
	assert_string_equal(seen, " rootShare a aa aaa ab b");
	seen[0] = '\0';
	for (const struct share *s = root->children[0]; s != NULL;
	     s = share_next(root->children[0], s, s->name[1] != 'a'))
		strcat(strcat(seen, " "), s->name);
	assert_string_equal(seen, " a aa ab");
}

static void a_very_deep_tree_is_no_problem(void **state)
{
	struct talk *t = *state;
	char text[128];

	for (int i = 0; i < 3000; i++) {
		char parent[16] = "rootShare";

		if (i > 0)
			snprintf(parent, sizeof(parent), "s%d", i - 1);
		snprintf(text, sizeof(text), "NewShare s%d for (*) [reserve <= 10] on %s.", i, parent);
		ASSERT_SAY(t, "root", text, REPLY_OK);
	}
	ASSERT_SAY(t, "root", "reserve(*) = 10 on s2999.", REPLY_OK);
	ASSERT_SAY(t, "root", "reserve(*) = 1 on s0.", REPLY_SCHEDULE_FULL);
	ASSERT_SAY(t, "root", "deny(*) on s0.", REPLY_STRICT_CONFLICT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(privileges_not_given_have_their_defaults),
		TEST(shares_keep_their_numbers_and_no_number_comes_again),
		TEST(child_needs_what_its_parent_has),
		TEST(new_share_is_checked_in_order),
		TEST(creator_is_the_only_principal_at_first),
		TEST(grants_need_a_principal_and_a_user),
		TEST(default_grant_is_for_registered_users_now_and_later),
		TEST(only_root_adds_and_binds_users),
		TEST(preorder_visits_each_share_once),
		TEST(a_very_deep_tree_is_no_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
