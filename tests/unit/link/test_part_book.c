// SPDX-License-Identifier: Apache-2.0
// Random histories of statements: rows that follow change by change are those that a fresh compilation gives, mean what
// the policy tree means, and can be applied to a dataplane's table one transaction after another.
#include "control/part_book.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/policy.h"
#include "dataplane/table.h"
#include "gen.h"
#include "hft/eval.h"
#include "hft/parts_compile.h"

#define SECOND 1000000000LL

struct fixture {
	struct gen g;
	struct nib *nib;
	struct engine *engine;
	struct link_state want;
	struct part_book *book;
	struct table *table; // the dataplane's
	int64_t now_ns;
	unsigned int n_shares, n_accepted, n_refused;
	uint64_t last_id;
};

static struct err err;

static bool say(struct fixture *f, const char *text)
{
	static const struct principal root = {.user = "root"};
	struct reply reply;
	const json_t *id;
	bool ok;

	reply_init(&reply);
	engine_exec(f->engine, &root, text, strlen(text), f->now_ns, &reply);
	ok = reply.code == REPLY_OK;
	id = json_object_get(reply.body, "id");
	if (ok && json_is_integer(id))
		f->last_id = (uint64_t)json_integer_value(id);
	*(ok ? &f->n_accepted : &f->n_refused) += 1;
	reply_fini(&reply);
	return ok;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct engine_conf conf = {.offline = false};

	f->now_ns = SECOND;
	f->nib = nib_create();
	f->engine = engine_create(&conf, f->nib, f->now_ns);
	link_state_init(&f->want);
	f->book = part_book_create(&f->want);
	part_book_prove(f->book, PROVE_ALWAYS);
	f->table = table_create(&err);
	say(f, "AddUser u1.");
	say(f, "AddUser u2.");
	say(f, "AddUser u3.");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	part_book_destroy(f->book);
	link_state_fini(&f->want);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	table_destroy(f->table);
	free(f);
	return 0;
}

// --- statements

static const char *any_of(struct gen *g, const char *const *texts, unsigned int n)
{
	return texts[gen_below(g, n)];
}

static const char *random_group(struct gen *g)
{
	static const char *const groups[] = {"*",
					     "srcHost=10.0.0.0/8",
					     "srcHost=10.1.0.0/16",
					     "dstHost=10.1.2.3",
					     "dstPort=80",
					     "dstPort={80,443}",
					     "dstPort=1-100, srcHost=10.0.0.0/8",
					     "srcPort=1-80",
					     "srcUser=u1",
					     "user=u2",
					     "srcUser=!{u1}",
					     "dstUser=u3, dstPort=80",
					     "srcHost=fd00::/16",
					     "transport=UDP"};

	return any_of(g, groups, sizeof(groups) / sizeof(groups[0]));
}

static void share_name(const struct fixture *f, struct gen *g, char name[16])
{
	uint64_t n = gen_below(g, f->n_shares + 1);

	if (n == 0)
		strcpy(name, "rootShare");
	else
		snprintf(name, 16, "s%u", (unsigned int)n);
}

static void say_request(struct fixture *f)
{
	static const char *const verbs[] = {"allow(%s) partial",
					    "allow(%s)",
					    "deny(%s) partial",
					    "deny(%s)",
					    "reserve(%s) = 1Mb partial",
					    "ratelimit(%s) = 2Mb partial",
					    "waypoint(%s) = 9.9.9.9 partial",
					    "hint(%s) class = background"};
	char name[16], verb[128], text[256];
	uint64_t from = gen_below(&f->g, 20), to = from + 1 + gen_below(&f->g, 30);

	share_name(f, &f->g, name);
	snprintf(verb, sizeof(verb), any_of(&f->g, verbs, sizeof(verbs) / sizeof(verbs[0])), random_group(&f->g));
	if (gen_below(&f->g, 2) == 0)
		snprintf(text, sizeof(text), "%s on %s to +%u.", verb, name, (unsigned int)to);
	else
		snprintf(text, sizeof(text), "%s on %s from +%u to +%u.", verb, name, (unsigned int)from,
			 (unsigned int)to);
	say(f, text);
}

static void say_share(struct fixture *f)
{
	static const char *const weights[] = {"", "weight = 3", "", ""};
	char parent[16], text[256];

	if (f->n_shares > 30)
		return;
	share_name(f, &f->g, parent);
	snprintf(text, sizeof(text), "NewShare s%u for (%s) [reserve <= 100 ratelimit >= 0 waypoint = * %s] on %s.",
		 f->n_shares + 1, gen_below(&f->g, 3) == 0 ? random_group(&f->g) : "*", any_of(&f->g, weights, 4),
		 parent);
	f->n_shares += say(f, text);
}

static void say_something(struct fixture *f)
{
	static const char *const bindings[] = {"Bind u1 to 10.1.2.3.",
					       "Bind u2 to 10.2.0.1.",
					       "Bind u1 to 10.0.0.1 TCP 100-200.",
					       "Bind u3 to 02:00:00:00:00:03.",
					       "Unbind u1.",
					       "Unbind u2.",
					       "Unbind u3.",
					       "Bind u2 to 10.0.0.1 TCP 80."};
	uint64_t id = f->last_id == 0 ? 0 : 1 + gen_below(&f->g, f->last_id);
	char text[128];

	switch (gen_below(&f->g, 16)) {
	case 0:
		say_share(f);
		break;
	case 1:
		say(f, any_of(&f->g, bindings, sizeof(bindings) / sizeof(bindings[0])));
		break;
	case 2:
		if (f->n_shares == 0 || gen_below(&f->g, 25) != 0)
			break;
		snprintf(text, sizeof(text), "DropShare s%u.", 1 + (unsigned int)gen_below(&f->g, f->n_shares));
		say(f, text); // its name does not come again
		break;
	case 3:
	case 4:
		snprintf(text, sizeof(text), "cancel %u.", (unsigned int)id);
		say(f, text);
		break;
	case 5:
		snprintf(text, sizeof(text), "renew %u to +%u.", (unsigned int)id,
			 20 + (unsigned int)gen_below(&f->g, 30));
		say(f, text);
		break;
	case 6:
		f->now_ns += (int64_t)gen_below(&f->g, 4 * SECOND);
		engine_advance(f->engine, f->now_ns);
		break;
	default:
		say_request(f);
	}
}

// --- what the controller does with it

static void stage(void *ctx, const struct proto_msg *msg)
{
	struct fixture *f = ctx;

	if (table_stage(f->table, msg, &err) < 0)
		fail_msg("%s", err.msg);
}

static void follow(struct fixture *f)
{
	const struct state *s = engine_state(f->engine);
	struct link_diff_stats stats = {0};
	struct delta delta;

	engine_changes(f->engine, &delta);
	for (size_t i = 0; i < delta.n_requests; i++)
		assert_int_equal(part_book_request(f->book, s, delta.requests[i], f->now_ns, &err), 0);
	for (size_t i = 0; i < delta.n_shares; i++)
		assert_int_equal(part_book_share(f->book, s, delta.shares[i], &err), 0);
	delta_fini(&delta);
	if (prove_run(part_book_proof(f->book), f->now_ns, &err) < 0)
		fail_msg("%s", err.msg);
	link_state_diff(&f->want, f->now_ns, stage, f, &stats);
	table_expire(f->table, f->now_ns, NULL, NULL);
	if (table_commit(f->table, f->now_ns, &err) < 0)
		fail_msg("%s", err.msg);
	table_settle(f->table);
}

// --- the oracles

struct fresh {
	struct tree tree;
	struct parts_nodes *nodes;
	struct parts *parts;
	const struct fixture *f;
	uint32_t n_rows;
};

static int row_is_in_book(void *ctx, const struct part_row *row)
{
	struct fresh *fresh = ctx;

	fresh->n_rows++;
	assert_non_null(parts_get(part_book_parts(fresh->f->book), part_row_key(row)));
	return 0;
}

static int row_is_in_table(void *ctx, const struct part_row *row)
{
	const struct fixture *f = ((struct fresh *)ctx)->f;
	const struct part_row *there = table_row(f->table, part_row_key(row));

	((struct fresh *)ctx)->n_rows += !part_hides(row->part);
	if (box_end_ns(&row->box) <= f->now_ns)
		return 0;
	if (row->access_category == PARTS_NO_CATEGORY && row->meter_category == PARTS_NO_CATEGORY) {
		assert_null(there); // it decides nothing
		return 0;
	}
	assert_non_null(there);
	assert_int_equal(there->access_category, row->access_category);
	assert_int_equal(there->meter_category, row->meter_category);
	return 0;
}

static struct match_packet random_packet(struct fixture *f)
{
	static const uint32_t addrs[] = {0x0a000001, 0x0a010203, 0x0a020001, 0x0b000001};
	static const uint16_t ports[] = {80, 443, 7, 150};
	struct match_packet p = {.kind = gen_below(&f->g, 2) == 0 ? MATCH_IP4PORTS : MATCH_IP6PORTS};

	p.f[MATCH_PROTO] = gen_below(&f->g, 2) == 0 ? 6 : 17;
	p.f[MATCH_SRC_PORT] = ports[gen_below(&f->g, 4)];
	p.f[MATCH_DST_PORT] = ports[gen_below(&f->g, 4)];
	p.f[MATCH_SRC_ETH] = p.f[MATCH_DST_ETH] = 0x020000000000 + gen_below(&f->g, 5);
	if (p.kind == MATCH_IP4PORTS) {
		p.src = match_ip4(addrs[gen_below(&f->g, 4)]);
		p.dst = match_ip4(addrs[gen_below(&f->g, 4)]);
	} else {
		p.src = (u128)(gen_below(&f->g, 2) == 0 ? 0xfd00 : 0xfe00) << 112;
	}
	p.f[MATCH_TIME] = (uint64_t)f->now_ns + gen_below(&f->g, 40 * SECOND);
	return p;
}

// The weight node as the share tree has it: the deepest share with a part by weight whose group holds the packet.
static uint32_t weight_node(const struct fixture *f, const struct match_packet *packet)
{
	const struct state *s = engine_state(f->engine);
	const struct share *root = s->shares.root;
	uint32_t best = 0, best_depth = 0;

	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		struct match flows;
		uint32_t depth = 0;

		if (!share_has_weight(share))
			continue;
		for (const struct share *up = share; up->parent != NULL; up = up->parent)
			depth++;
		match_init(&flows);
		assert_int_equal(policy_expand(&s->users, &share->flows, &flows), 0);
		if (match_covers(&flows, packet) &&
		    (depth > best_depth || (depth == best_depth && share->number < best))) {
			best = share->number;
			best_depth = depth;
		}
		match_fini(&flows);
	}
	return best;
}

// Whether a hint that stands then says so.
static bool is_background(const struct fixture *f, const struct match_packet *packet)
{
	const struct state *s = engine_state(f->engine);
	bool found = false;

	for (const struct request *r = request_from(&s->requests, 0); r != NULL && !found;
	     r = request_from(&s->requests, r->id + 1)) {
		struct match flows;

		match_init(&flows);
		assert_int_equal(policy_expand(&s->users, &r->flows, &flows), 0);
		found = r->verb == VERB_HINT && match_covers(&flows, packet);
		match_fini(&flows);
	}
	return found;
}

static void check(struct fixture *f)
{
	struct fresh fresh = {.f = f};
	struct table_stats stats;

	tree_init(&fresh.tree);
	fresh.nodes = parts_nodes_create();
	fresh.parts = parts_create(fresh.nodes);
	assert_int_equal(engine_policy(f->engine, f->now_ns, &fresh.tree), 0);
	assert_int_equal(parts_compile(&fresh.tree, f->now_ns, fresh.nodes, fresh.parts, &err), 0);
	parts_each(fresh.parts, row_is_in_book, &fresh);
	assert_int_equal(fresh.n_rows, parts_n_rows(fresh.parts));
	fresh.n_rows = 0;
	parts_each(part_book_parts(f->book), row_is_in_table, &fresh);
	assert_int_equal(fresh.n_rows, parts_n_rows(fresh.parts));
	table_stats(f->table, &stats);
	assert_true(stats.n_rows <= parts_n_rows(part_book_parts(f->book)));
	for (int i = 0; i < 40; i++) {
		struct match_packet packet = random_packet(f);
		struct parts_visible visible;
		struct parts_decision decision;
		struct action expected = eval_packet(&fresh.tree, &packet);

		parts_find(part_book_parts(f->book), &packet, &visible);
		decision = parts_decide(part_book_nodes(f->book), &visible);
		assert_int_equal(decision.action.access == ACCESS_DENY, expected.access == ACCESS_DENY);
		expected.access = decision.action.access;
		assert_true(action_equal(&decision.action, &expected));
		assert_int_equal(decision.node, weight_node(f, &packet));
		assert_int_equal(decision.background, is_background(f, &packet));
	}
	parts_destroy(fresh.parts);
	parts_nodes_destroy(fresh.nodes);
	tree_fini(&fresh.tree);
}

static void rows_that_follow_changes_are_those_of_a_fresh_compilation(void **state)
{
	struct fixture *f = *state;
	unsigned int n_rounds = rounds_from_env(3000), n_rows = 0;
	struct delta delta;

	f->g = gen_init(__func__);
	engine_changes(f->engine, &delta); // from now on
	delta_fini(&delta);
	for (unsigned int i = 0; i < n_rounds; i++) {
		for (uint64_t n = gen_below(&f->g, 4); n > 0; n--)
			say_something(f);
		follow(f);
		if (i % 8 == 0)
			check(f);
		if (parts_n_rows(part_book_parts(f->book)) > n_rows)
			n_rows = parts_n_rows(part_book_parts(f->book));
	}
	check(f);
	printf("%u accepted, %u refused, at most %u rows\n", f->n_accepted, f->n_refused, n_rows);
	assert_true(n_rounds < 3000 || (f->n_accepted > 500 && n_rows > 50));
}

static void what_nobody_needs_any_more_is_taken_back(void **state)
{
	struct fixture *f = *state;
	struct table_stats stats;
	struct delta delta;

	engine_changes(f->engine, &delta);
	delta_fini(&delta);
	assert_true(say(f, "NewShare a for (*) [reserve <= 100 weight = 5] on rootShare."));
	assert_true(say(f, "NewShare b for (dstPort=80) [reserve <= 100] on a."));
	assert_true(say(f, "reserve(dstPort=80) = 5 on b to +50.")); // 1
	follow(f);
	table_stats(f->table, &stats);
	assert_int_equal(stats.n_rows, 2); // the request and the flow group of a
	assert_int_equal(stats.n_nodes, 2);
	assert_int_equal(stats.n_meters, 1);
	assert_int_equal(table_node(f->table, 1)->weight, 5);
	assert_int_equal(table_node(f->table, 2)->weight, 0);
	assert_true(say(f, "NewShare c for (dstPort=80) [reserve <= 100 weight = 2] on a."));
	follow(f);
	assert_int_equal(table_node(f->table, 2)->weight, 1); // has a sibling with another weight now
	assert_int_equal(table_node(f->table, 3)->weight, 2);
	assert_true(say(f, "cancel 1."));
	follow(f);
	table_stats(f->table, &stats);
	assert_int_equal(stats.n_rows, 3);
	assert_int_equal(stats.n_meters, 0);
	assert_true(say(f, "DropShare c."));
	follow(f);
	table_stats(f->table, &stats);
	assert_int_equal(stats.n_rows, 1);
	assert_int_equal(stats.n_nodes, 1);
	assert_true(say(f, "DropShare a."));
	follow(f);
	table_stats(f->table, &stats);
	assert_int_equal(stats.n_rows + stats.n_nodes + stats.n_meters, 0);
	assert_int_equal(stats.unknown_dels, 0);
}

static void row_that_says_something_else_is_not_proven(void **state)
{
	struct fixture *f = *state;
	struct prove *proof = part_book_proof(f->book);
	struct part_row wrong = {.box = box_any(), .id = 1, .part = PART_ACCESS, .access = ACCESS_ALLOW};
	struct prove_stats stats;
	struct delta delta;

	engine_changes(f->engine, &delta); // from now on
	delta_fini(&delta);
	assert_true(say(f, "deny(dstPort=80) on rootShare to +50.")); // 1
	follow(f);
	wrong.box.kinds = MATCH_KINDS_PORTS;
	wrong.box.f[MATCH_DST_PORT] = (struct span){81, 81};
	wrong.access = ACCESS_DENY;
	wrong.access_category = 0;
	wrong.meter_category = PARTS_NO_CATEGORY;
	assert_true(box_normalize(&wrong.box));
	prove_row(proof, &wrong);
	assert_int_equal(prove_run(proof, f->now_ns, &err), -EPROTO);
	assert_non_null(strstr(err.msg, "in access, for the packet"));
	assert_non_null(strstr(err.msg, "dstPort=81"));
	prove_unrow(proof, &wrong);
	assert_int_equal(prove_run(proof, f->now_ns, &err), 0);
	prove_stats(proof, &stats);
	assert_int_equal(stats.faults, 1);
	assert_int_equal(stats.undecided, 0);
	assert_int_equal(stats.proven, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(row_that_says_something_else_is_not_proven, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_needs_any_more_is_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_that_follow_changes_are_those_of_a_fresh_compilation, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("part_book", tests, NULL, NULL);
}
