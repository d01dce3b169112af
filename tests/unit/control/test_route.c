// SPDX-License-Identifier: Apache-2.0
// Waypoint lists and avoid sets, against SPEC 5's evaluation of every packet and second of a small universe.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

#define PORTS 6
#define TIMES 5 // seconds 0..4
#define NODES 8
#define REQUESTS 40
#define ADDRESSES 4

struct made {
	bool standing, avoid;
	bool suspended; // as the engine has it
	uint64_t id;
	unsigned int node, port_lo, port_hi, at_lo, at_hi; // all inclusive
	unsigned int first, second;                        // addresses, maybe equal
};

struct world {
	unsigned int parent[NODES];
	struct made made[REQUESTS];
	unsigned int n_made;
};

static bool matches(const struct made *m, unsigned int port, unsigned int at)
{
	return m->standing && !m->suspended && m->port_lo <= port && port <= m->port_hi && m->at_lo <= at &&
	       at <= m->at_hi;
}

// P(D over matching atoms, S over children's eval): the child's if any, else the lowest number.
static const struct made *list_of(const struct world *w, unsigned int node, unsigned int port, unsigned int at)
{
	const struct made *best = NULL;

	for (unsigned int child = node + 1; child < NODES; child++) {
		const struct made *of_child = w->parent[child] == node ? list_of(w, child, port, at) : NULL;

		if (of_child != NULL && (best == NULL || of_child->id < best->id))
			best = of_child;
	}
	for (unsigned int i = 0; i < w->n_made && best == NULL; i++) // in order of numbers
		if (w->made[i].node == node && !w->made[i].avoid && matches(&w->made[i], port, at))
			best = &w->made[i];
	return best;
}

static bool unrealizable(const struct world *w, unsigned int port, unsigned int at)
{
	const struct made *list = list_of(w, 0, port, at);

	for (unsigned int i = 0; i < w->n_made && list != NULL; i++) {
		const struct made *m = &w->made[i];

		if (m->avoid && matches(m, port, at) &&
		    (m->first == list->first || m->first == list->second || m->second == list->first ||
		     m->second == list->second))
			return true;
	}
	return false;
}

static unsigned int below(struct dice *d, unsigned int lo, unsigned int n)
{
	return lo + (unsigned int)dice_roll(d, n - lo);
}

static void try_request(struct talk *t, struct world *w, struct dice *d)
{
	struct made *new = &w->made[w->n_made];
	bool expected = false;
	char text[256], share[16] = "rootShare";
	enum reply_code code;

	*new = (struct made){.standing = true, .avoid = dice_roll(d, 3) == 0, .id = UINT64_MAX};
	new->node = below(d, 0, NODES);
	new->port_lo = below(d, 0, PORTS);
	new->port_hi = below(d, new->port_lo, PORTS);
	new->at_lo = below(d, 0, TIMES);
	new->at_hi = below(d, new->at_lo, TIMES);
	new->first = below(d, 0, ADDRESSES);
	new->second = below(d, 0, ADDRESSES);
	w->n_made++;
	for (unsigned int port = 0; port < PORTS; port++)
		for (unsigned int at = 0; at < TIMES; at++)
			expected |= unrealizable(w, port, at);
	if (new->node > 0)
		snprintf(share, sizeof(share), "n%u", new->node);
	snprintf(text, sizeof(text), "%s(dstPort=%u-%u) = 10.0.0.%u, 10.0.0.%u partial on %s from %u to %u.",
		 new->avoid ? "avoid" : "waypoint", new->port_lo, new->port_hi, new->first, new->second, share,
		 new->at_lo, new->at_hi + 1);
	code = say(t, "root", text);
	if (code != (expected ? REPLY_UNREALIZABLE : REPLY_OK))
		fail_msg("%s expected %d, got %s", text, expected, reply_code_name(code));
	if (code == REPLY_OK)
		new->id = (uint64_t)talk_number(t, "id");
	else
		w->n_made--;
}

static bool any_unrealizable(const struct world *w)
{
	for (unsigned int port = 0; port < PORTS; port++)
		for (unsigned int at = 0; at < TIMES; at++)
			if (unrealizable(w, port, at))
				return true;
	return false;
}

// No packet is led into what it must avoid, and none is suspended that need not be.
static void check_suspended(const struct talk *t, struct world *w, unsigned long *n_suspended)
{
	for (unsigned int i = 0; i < w->n_made; i++) {
		const struct request *r = request_find(&engine_state(t->engine)->requests, w->made[i].id);

		assert_int_equal(r != NULL, w->made[i].standing);
		w->made[i].suspended = r != NULL && r->suspended;
		assert_false(w->made[i].suspended && w->made[i].avoid);
	}
	assert_false(any_unrealizable(w));
	for (unsigned int i = 0; i < w->n_made; i++) {
		if (!w->made[i].suspended)
			continue;
		w->made[i].suspended = false;
		assert_true(any_unrealizable(w));
		w->made[i].suspended = true;
		++*n_suspended;
	}
}

static void try_cancel(struct talk *t, struct world *w, struct dice *d)
{
	struct made *m = &w->made[below(d, 0, w->n_made)];
	char text[64];

	if (!m->standing)
		return;
	snprintf(text, sizeof(text), "cancel %d.", (int)m->id);
	assert_int_equal(say(t, "root", text), REPLY_OK);
	m->standing = false;
}

static void paths_agree_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(200), n_suspended = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		struct world w = {.n_made = 0};
		struct talk t;
		char text[128];

		talk_init(&t, true);
		for (unsigned int n = 1; n < NODES; n++) {
			char parent[16] = "rootShare";

			w.parent[n] = below(&d, 0, n);
			if (w.parent[n] > 0)
				snprintf(parent, sizeof(parent), "n%u", w.parent[n]);
			snprintf(text, sizeof(text), "NewShare n%u for (*) [waypoint = *, avoid = *] on %s.", n,
				 parent);
			assert_int_equal(say(&t, "root", text), REPLY_OK);
		}
		for (int tries = 0; tries < 2 * REQUESTS && w.n_made < REQUESTS; tries++) {
			if (w.n_made > 0 && dice_roll(&d, 4) == 0)
				try_cancel(&t, &w, &d);
			else
				try_request(&t, &w, &d);
			check_suspended(&t, &w, &n_suspended);
		}
		talk_fini(&t);
	}
	assert_true(n_suspended > 0);
}

static bool is_suspended(const struct talk *t, uint64_t id)
{
	return request_find(&engine_state(t->engine)->requests, id)->suspended;
}

static bool in_policy(const struct talk *t, uint64_t id)
{
	struct tree tree;
	bool found = false;

	tree_init(&tree);
	assert_int_equal(engine_policy(t->engine, engine_now_ns(t->engine), &tree), 0);
	for (uint32_t i = 0; i < tree.n_atoms; i++)
		found = found || tree.atoms[i].id == id;
	tree_fini(&tree);
	return found;
}

static void an_exposed_list_is_suspended_until_it_can_be_kept(void **state)
{
	struct talk t;

	talk_init(&t, true);
	say(&t, "root", "waypoint(dstPort=1) = 10.0.0.1 on rootShare.");          // 1
	say(&t, "root", "waypoint(dstPort=1) = 10.0.0.2 on rootShare.");          // 2
	say(&t, "root", "avoid(dstPort=1) = 10.0.0.2 on rootShare from 5 to 9."); // 3
	assert_false(is_suspended(&t, 2));
	assert_true(in_policy(&t, 2));
	assert_int_equal(say(&t, "root", "cancel 1."), REPLY_OK);
	assert_true(is_suspended(&t, 2));
	assert_false(in_policy(&t, 2));
	assert_int_equal(say(&t, "root", "explain(dstPort=1)."), REPLY_OK);
	assert_string_equal(t.classic, "1; rootShare own=none below=none result=none");
	assert_int_equal(say(&t, "root", "NewShare below for (dstPort=1) [waypoint = *] on rootShare."), REPLY_OK);
	assert_int_equal(say(&t, "root", "waypoint(dstPort=1) = 10.0.0.3 on below to 9."), REPLY_OK); // 4 hides it
	assert_false(is_suspended(&t, 2));
	assert_int_equal(say(&t, "root", "DropShare below."), REPLY_OK);
	assert_true(is_suspended(&t, 2));
	assert_int_equal(say(&t, "root", "Tick 9."), REPLY_OK); // 3 is over
	assert_false(is_suspended(&t, 2));
	assert_true(in_policy(&t, 2));
	talk_fini(&t);
}

static void an_exposed_list_refuses_nothing_else(void **state)
{
	struct talk t;

	talk_init(&t, true);
	assert_int_equal(say(&t, "root", "waypoint(dstPort=1) = 10.0.0.1 on rootShare."), REPLY_OK);
	assert_int_equal(say(&t, "root", "waypoint(dstPort=1) = 10.0.0.2 on rootShare."), REPLY_OK);
	assert_int_equal(say(&t, "root", "avoid(dstPort=1) = 10.0.0.2 on rootShare."), REPLY_OK);
	assert_int_equal(say(&t, "root", "avoid(dstPort=1) = 10.0.0.1 on rootShare."), REPLY_UNREALIZABLE);
	assert_int_equal(talk_number(&t, "waypoint"), 1);
	assert_int_equal(say(&t, "root", "cancel 1."), REPLY_OK);
	assert_int_equal(say(&t, "root", "waypoint(dstPort=1-2) = 10.0.0.3 on rootShare."), REPLY_OK);
	talk_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exposed_list_is_suspended_until_it_can_be_kept),
		cmocka_unit_test(an_exposed_list_refuses_nothing_else),
		cmocka_unit_test(paths_agree_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
