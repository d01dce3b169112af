// SPDX-License-Identifier: Apache-2.0
// Differences of entries and meters, and the colours of limits, each against something slower and simpler.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_policy.h"
#include "control/of_rules.h"
#include "of_random.h"
#include "tests/rounds.h"

static void seed(void)
{
	rnd_state = seed_from_env(13);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
}

// --- the order of a difference

#define PACKETS 16

// Entries match some low bits of a number. Priorities are all different within one set, as ranks that compete are.
static void random_table(struct of_rules *r)
{
	of_rules_init(r);
	for (uint16_t priority = 1; priority < 24; priority++) {
		struct of_rule rule;

		if (rnd(2) == 0)
			continue;
		memset(&rule, 0, sizeof(rule));
		rule.priority = priority;
		rule.match.has = OF_HAS_IP4_SRC;
		rule.match.ip4_src_mask = rnd(PACKETS);
		rule.match.ip4_src = rnd(PACKETS) & rule.match.ip4_src_mask;
		rule.instructions.goto_table = OF_TABLE_ALL;
		rule.ends_ns = INT64_MAX;
		rule.instructions.n_actions = 1;
		rule.instructions.actions[0].port = rnd(6);
		assert_int_equal(of_rules_add(r, &rule), 0);
	}
	assert_int_equal(of_rules_sort(r), 0);
}

// What is done with the packet; -1: nothing matches; -2: several of the highest priority, which do different things.
static int64_t met(const struct of_rules *r, uint32_t packet)
{
	int best = -1;
	int64_t port = -1;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct of_rule *e = &r->rules[i];

		if ((packet & e->match.ip4_src_mask) != e->match.ip4_src || e->priority < best)
			continue;
		port = e->priority == best && port != e->instructions.actions[0].port
			       ? -2
			       : (int64_t)e->instructions.actions[0].port;
		best = e->priority;
	}
	return port;
}

struct steps {
	struct of_rules now;
	const struct of_rules *have, *want;
	unsigned int n;
};

static void step(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct steps *s = ctx;
	uint32_t at = 0;

	while (at < s->now.n && (s->now.rules[at].priority != rule->priority ||
				 memcmp(&s->now.rules[at].match, &rule->match, sizeof(rule->match)) != 0))
		at++;
	assert_true((change == OF_RULE_ADD) == (at == s->now.n));
	if (change == OF_RULE_DELETE)
		s->now.rules[at] = s->now.rules[--s->now.n];
	else if (change == OF_RULE_MODIFY)
		s->now.rules[at] = *rule;
	else
		assert_int_equal(of_rules_add(&s->now, rule), 0);
	s->n++;
	for (uint32_t packet = 0; packet < PACKETS; packet++) {
		int64_t is = met(&s->now, packet), was = met(s->have, packet), will_be = met(s->want, packet);

		if (is != was && is != will_be && is != -2) // -2: two entries compete, one of before and one of after
			fail_msg("packet %u meets %lld between %lld and %lld", packet, (long long)is, (long long)was,
				 (long long)will_be);
	}
}

static void at_every_step_a_packet_meets_the_entry_of_before_or_of_after(void **state)
{
	unsigned int n = 0;

	seed();
	for (unsigned int i = 0; i < rounds_from_env(2000); i++) {
		struct of_rules have, want;
		struct steps s = {.have = &have, .want = &want};

		random_table(&have);
		random_table(&want);
		for (uint32_t k = 0; k < have.n; k++)
			assert_int_equal(of_rules_add(&s.now, &have.rules[k]), 0);
		of_rules_diff(&have, &want, step, &s);
		assert_int_equal(of_rules_sort(&s.now), 0);
		assert_int_equal(s.now.n, want.n);
		n += s.n;
		of_rules_fini(&have);
		of_rules_fini(&want);
		of_rules_fini(&s.now);
	}
	assert_true(n > 1000 || rounds_from_env(2000) < 1000);
}

// --- meters

static void random_meters(struct of_meters *m)
{
	of_meters_init(m);
	for (unsigned int i = rnd(8); i > 0; i--) {
		const struct of_meter meter = {.id = 1 + rnd(10), .rate_kbps = 1 + rnd(2)};

		assert_int_equal(of_meters_add(m, &meter), 0);
	}
}

static void apply_meter(void *ctx, enum of_rules_change change, const struct of_meter *meter)
{
	struct of_meters *m = ctx;
	uint32_t at = 0;

	while (at < m->n && m->meters[at].id != meter->id)
		at++;
	assert_true((change == OF_RULE_ADD) == (at == m->n));
	if (change == OF_RULE_ADD)
		assert_int_equal(of_meters_add(m, meter), 0);
	else if (change == OF_RULE_MODIFY)
		m->meters[at] = *meter;
	else
		memmove(&m->meters[at], &m->meters[at + 1], (--m->n - at) * sizeof(*m->meters));
}

static void a_difference_of_meters_applied_gives_what_is_wanted(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(2000); i++) {
		struct of_meters have, want, now;

		random_meters(&have);
		random_meters(&want);
		of_meters_init(&now);
		for (uint32_t k = 0; k < have.n; k++)
			assert_int_equal(of_meters_add(&now, &have.meters[k]), 0);
		of_meters_diff(&have, &want, apply_meter, &now);
		assert_int_equal(now.n, want.n);
		if (want.n > 0)
			assert_memory_equal(now.meters, want.meters, want.n * sizeof(*want.meters));
		of_meters_fini(&have);
		of_meters_fini(&want);
		of_meters_fini(&now);
	}
}

// --- colours

static uint8_t hint(void *ctx, uint64_t id)
{
	const uint8_t *hints = ctx;

	return hints[id];
}

static void limits_of_one_colour_never_meet_and_those_that_may_keep_theirs(void **state)
{
	seed();
	for (unsigned int i = 0; i < rounds_from_env(300); i++) {
		uint8_t hints[13];
		struct of_policy p;
		struct demands demands;
		struct tree tree;
		struct err err;

		demands_init(&demands);
		tree_init(&tree);
		assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
		for (uint64_t id = 1; id <= 12; id++) {
			struct demand d = {.id = id, .kind = rnd(4) == 0 ? DEMAND_RESERVE : DEMAND_LIMIT};
			struct box box = box_any();

			box.kinds = MATCH_IP4PORTS;
			box.f[MATCH_DST_PORT].lo = rnd(20);
			box.f[MATCH_DST_PORT].hi = box.f[MATCH_DST_PORT].lo + rnd(4);
			match_init(&d.flows);
			assert_int_equal(match_add(&d.flows, &box), 0);
			assert_int_equal(demands_add(&demands, &d), 0);
			hints[id] = rnd(2) == 0 ? OF_POLICY_UNSAID : (uint8_t)rnd(OF_POLICY_COLOURS);
		}
		assert_int_equal(of_policy_build(&p, &tree, &demands, 0, NULL, &err), 0);
		assert_int_equal(of_policy_colour(&p, hint, hints), 0);
		for (uint32_t a = 0; a < p.demands.n; a++) {
			const struct demand *x = &p.demands.all[a];
			bool taken = hints[x->id] >= OF_POLICY_COLOURS;

			if (x->kind != DEMAND_LIMIT)
				continue;
			for (uint32_t b = 0; b < p.demands.n; b++) {
				const struct demand *y = &p.demands.all[b];

				if (a == b || y->kind != DEMAND_LIMIT || !match_overlaps(&x->flows, &y->flows))
					continue;
				assert_int_not_equal(p.colours[a], p.colours[b]);
				taken |= p.colours[b] == hints[x->id];
			}
			if (!taken)
				assert_int_equal(p.colours[a], hints[x->id]);
		}
		of_policy_fini(&p);
		tree_fini(&tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_every_step_a_packet_meets_the_entry_of_before_or_of_after),
		cmocka_unit_test(a_difference_of_meters_applied_gives_what_is_wanted),
		cmocka_unit_test(limits_of_one_colour_never_meet_and_those_that_may_keep_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
