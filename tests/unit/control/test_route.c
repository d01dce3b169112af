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
	return m->standing && m->port_lo <= port && port <= m->port_hi && m->at_lo <= at && at <= m->at_hi;
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

static void paths_agree_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(300);

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
		for (int tries = 0; tries < 2 * REQUESTS && w.n_made < REQUESTS; tries++)
			try_request(&t, &w, &d);
		talk_fini(&t);
	}
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
		cmocka_unit_test(an_exposed_list_refuses_nothing_else),
		cmocka_unit_test(paths_agree_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
