// SPDX-License-Identifier: Apache-2.0
// Access conflicts and the bound on reservations in one packet, against brute force over every packet and second of a
// small universe.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/overlap.h"
#include "control/strict.h"
#include "talk.h"

#define SECOND 1000000000u
#define PORTS 5 // srcPort and dstPort 0..4
#define TIMES 5 // seconds 0..4
#define NODES 9
#define REQUESTS 24

struct point {
	unsigned int src, dst, at;
};

struct area { // all inclusive
	struct point lo, hi;
};

struct made {
	unsigned int node;
	enum access access;
	struct area area;
};

struct world {
	unsigned int parent[NODES];
	struct made made[REQUESTS];
	unsigned int n_made;
};

static bool inside(const struct area *a, struct point p)
{
	return a->lo.src <= p.src && p.src <= a->hi.src && a->lo.dst <= p.dst && p.dst <= a->hi.dst &&
	       a->lo.at <= p.at && p.at <= a->hi.at;
}

// SPEC 5 as written: P(D over matching atoms, S over children's eval).
static enum access eval(const struct world *w, unsigned int node, struct point p)
{
	enum access own = ACCESS_NONE, below = ACCESS_NONE;

	for (unsigned int i = 0; i < w->n_made; i++)
		if (w->made[i].node == node && inside(&w->made[i].area, p) && w->made[i].access > own)
			own = w->made[i].access;
	for (unsigned int child = node + 1; child < NODES; child++)
		if (w->parent[child] == node) {
			enum access of_child = eval(w, child, p);

			below = of_child > below ? of_child : below;
		}
	return below != ACCESS_NONE ? below : own;
}

static struct area random_area(struct dice *d)
{
	struct area a;

	a.lo = (struct point){(unsigned int)dice_roll(d, PORTS), (unsigned int)dice_roll(d, PORTS),
			      (unsigned int)dice_roll(d, TIMES)};
	a.hi.src = a.lo.src + (unsigned int)dice_roll(d, PORTS - a.lo.src);
	a.hi.dst = a.lo.dst + (unsigned int)dice_roll(d, PORTS - a.lo.dst);
	a.hi.at = a.lo.at + (unsigned int)dice_roll(d, TIMES - a.lo.at);
	return a;
}

static void area_match(const struct area *a, struct match *out)
{
	struct box box = box_any();

	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_SRC_PORT] = (struct span){a->lo.src, a->hi.src};
	box.f[MATCH_DST_PORT] = (struct span){a->lo.dst, a->hi.dst};
	assert_true(box_normalize(&box));
	assert_true(box_set_time(&box, a->lo.at * (int64_t)SECOND, (a->hi.at + 1) * (int64_t)SECOND));
	match_init(out);
	assert_int_equal(match_add(out, &box), 0);
}

static bool covers(const struct match *m, struct point p)
{
	struct match_packet packet = {.kind = MATCH_IP4PORTS};

	packet.f[MATCH_PROTO] = 6;
	packet.f[MATCH_SRC_PORT] = p.src;
	packet.f[MATCH_DST_PORT] = p.dst;
	packet.f[MATCH_TIME] = p.at * (uint64_t)SECOND + 5;
	return match_covers(m, &packet);
}

#define EACH_POINT(p) \
	for (struct point p = {0}; p.src < PORTS; p.src++) \
		for (p.dst = 0; p.dst < PORTS; p.dst++) \
			for (p.at = 0; p.at < TIMES; p.at++)

// The engine's regions for a request against those of the brute force, in which it already stands as the last one.
static bool regions_agree(struct talk *t, const struct world *w, const char *share_name)
{
	const struct made *new = &w->made[w->n_made - 1];
	const struct share *share = share_find(&engine_state(t->engine)->shares, share_name);
	struct conflicts found;
	struct match group, all;
	bool conflict = false;

	area_match(&new->area, &group);
	match_init(&all);
	conflicts_init(&found);
	assert_int_equal(strict_conflicts(share, new->access, &group, &found), 0);
	assert_int_equal(conflicts_union(&found, &all), 0);
	EACH_POINT(p)
	{
		bool expected = inside(&new->area, p) && eval(w, 0, p) != new->access;

		conflict |= expected;
		if (covers(&all, p) != expected)
			fail_msg("src %u dst %u at %u: %s", p.src, p.dst, p.at,
				 expected ? "conflict missed" : "no conflict");
		for (uint32_t i = 0; i < found.n; i++)
			if (covers(&found.all[i].where, p)) {
				const struct made *decides = &w->made[found.all[i].request - 1];

				assert_true(inside(&decides->area, p) && decides->access != new->access);
			}
	}
	for (uint32_t i = 0; i < all.n_boxes; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_false(box_overlaps(&all.boxes[i], &all.boxes[j]));
	conflicts_fini(&found);
	match_fini(&all);
	match_fini(&group);
	return !conflict;
}

static void try_request(struct talk *t, struct world *w, struct dice *d)
{
	struct made *new = &w->made[w->n_made++];
	bool partial = dice_roll(d, 3) > 0, free_of_conflict;
	char text[256], share[16];
	enum reply_code code;

	*new = (struct made){(unsigned int)dice_roll(d, NODES), dice_roll(d, 2) ? ACCESS_ALLOW : ACCESS_DENY,
			     random_area(d)};
	snprintf(share, sizeof(share), "n%u", new->node);
	free_of_conflict = regions_agree(t, w, new->node == 0 ? "rootShare" : share);
	snprintf(text, sizeof(text), "%s(srcPort=%u-%u, dstPort=%u-%u) %s on %s from %u to %u.",
		 new->access == ACCESS_ALLOW ? "allow" : "deny", new->area.lo.src, new->area.hi.src, new->area.lo.dst,
		 new->area.hi.dst, partial ? "partial" : "strict", new->node == 0 ? "rootShare" : share,
		 new->area.lo.at, new->area.hi.at + 1);
	code = say(t, "root", text);
	assert_int_equal(code, partial || free_of_conflict ? REPLY_OK : REPLY_STRICT_CONFLICT);
	if (code != REPLY_OK)
		w->n_made--;
	else
		assert_int_equal(talk_number(t, "id"), w->n_made); // so that request n is made[n - 1]
}

static void conflicts_agree_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(150);

	for (unsigned long round = 0; round < rounds; round++) {
		struct world w = {.n_made = 0};
		struct talk t;
		char text[128];

		talk_init(&t, true);
		for (unsigned int n = 1; n < NODES; n++) {
			char parent[16] = "rootShare";

			w.parent[n] = (unsigned int)dice_roll(&d, n);
			if (w.parent[n] > 0)
				snprintf(parent, sizeof(parent), "n%u", w.parent[n]);
			snprintf(text, sizeof(text), "NewShare n%u for (*) on %s.", n, parent);
			assert_int_equal(say(&t, "root", text), REPLY_OK);
		}
		while (w.n_made < REQUESTS)
			try_request(&t, &w, &d);
		talk_fini(&t);
	}
}

static void deny_of_a_sibling_supports_a_deny_below(void **state)
{
	struct talk t;

	talk_init(&t, true);
	say(&t, "root", "NewShare a for (*) on rootShare.");
	say(&t, "root", "NewShare aa for (*) on a.");
	say(&t, "root", "NewShare b for (*) on rootShare.");
	assert_int_equal(say(&t, "root", "allow(dstPort=1-9) on aa."), REPLY_OK);
	assert_int_equal(say(&t, "root", "deny(dstPort=5) on a."), REPLY_STRICT_CONFLICT);
	assert_int_equal(say(&t, "root", "deny(dstPort=5) on b."), REPLY_OK);
	assert_int_equal(say(&t, "root", "deny(dstPort=5) on a."), REPLY_OK);
	assert_int_equal(say(&t, "root", "deny(dstPort=5-6) on a."), REPLY_STRICT_CONFLICT);
	talk_fini(&t);
}

// All addresses, or one of two.
static struct span128 random_side(struct dice *d, uint32_t kinds)
{
	u128 addr = dice_roll(d, 2);

	if (dice_roll(d, 2) || kinds == MATCH_KINDS_PORTS)
		return (struct span128){0, ~(u128)0};
	return kinds == MATCH_IP4PORTS ? match_ip4_prefix((uint32_t)addr, 32) : (struct span128){addr, addr};
}

// Reservations with several boxes and kinds, so that boxes which meet in pairs need not meet all together.
static void random_group(struct dice *d, struct match *out)
{
	match_init(out);
	for (uint64_t n = 1 + dice_roll(d, 2); n > 0; n--) {
		struct area a = random_area(d);
		struct match one;

		area_match(&a, &one);
		for (uint32_t i = 0; i < one.n_boxes; i++) {
			one.boxes[i].kinds = 1u << (dice_roll(d, 2) ? 3 : 4); // IPv4 or IPv6 with ports
			if (dice_roll(d, 2))
				one.boxes[i].kinds = MATCH_KINDS_PORTS;
			one.boxes[i].src = random_side(d, one.boxes[i].kinds);
			one.boxes[i].dst = random_side(d, one.boxes[i].kinds);
			match_add(out, &one.boxes[i]);
		}
		match_fini(&one);
	}
}

// src and dst: 0 or 1.
static bool covers_packet(const struct match *m, struct point p, uint32_t kind, unsigned int src, unsigned int dst)
{
	struct match_packet packet = {.kind = kind};

	packet.src = kind == MATCH_IP4PORTS ? match_ip4(src) : src;
	packet.dst = kind == MATCH_IP4PORTS ? match_ip4(dst) : dst;
	packet.f[MATCH_PROTO] = 17;
	packet.f[MATCH_SRC_PORT] = p.src;
	packet.f[MATCH_DST_PORT] = p.dst;
	packet.f[MATCH_TIME] = p.at * (uint64_t)SECOND;
	return match_covers(m, &packet);
}

static void overlap_bound_agrees_with_brute_force(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(100), exceeded = 0, kept = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		struct request all[48] = {0};
		struct flow_index *index = flow_index_create();
		uint64_t n = 0;

		for (int tries = 0; tries < 48; tries++) {
			struct match group;
			unsigned int most = 0;

			random_group(&d, &group);
			for (uint32_t kind = MATCH_IP4PORTS; kind <= MATCH_IP6PORTS; kind <<= 1)
				for (unsigned int sides = 0; sides < 4; sides++)
					EACH_POINT(p)
					{
						unsigned int here = 1;

						if (!covers_packet(&group, p, kind, sides & 1, sides >> 1))
							continue;
						for (size_t i = 0; i < n; i++)
							here += covers_packet(&all[i].flows, p, kind, sides & 1,
									      sides >> 1);
						most = here > most ? here : most;
					}
			assert_int_equal(overlap_exceeds(index, VERB_RESERVE, &group), most > ACTION_SET_MAX);
			assert_int_equal(overlap_exceeds(index, VERB_RATELIMIT, &group), 0);
			if (most > ACTION_SET_MAX) {
				match_fini(&group);
				exceeded++;
				continue;
			}
			kept++;
			all[n] = (struct request){.id = n + 1, .verb = VERB_RESERVE};
			match_move(&all[n].flows, &group);
			all[n].entries = flow_index_prepare(index, all[n].flows.n_boxes);
			flow_index_add(index, &all[n++]);
		}
		for (size_t i = 0; i < n; i++) {
			flow_index_remove(index, &all[i]);
			match_fini(&all[i].flows);
			free(all[i].entries);
		}
		flow_index_destroy(index);
	}
	assert_true(exceeded > 0 && kept > exceeded);
}

static const char *random_host(struct dice *d, bool one)
{
	static const char *const hosts[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.0/30", "10/8", "10.0.0.2/31"};

	return hosts[dice_roll(d, one ? 3 : 6)];
}

static void say_between(struct talk *t, struct dice *d)
{
	bool one = dice_roll(d, 2);
	char text[256], sides[128];

	snprintf(sides, sizeof(sides), "srcHost=%s, dstHost=%s", random_host(d, one), random_host(d, one));
	if (dice_roll(d, 3) == 0)
		snprintf(sides, sizeof(sides), "%sHost=%s", dice_roll(d, 2) ? "src" : "dst", random_host(d, false));
	snprintf(text, sizeof(text), "%s(%s, dstPort=%u-9) partial on n%u to +%u.", dice_roll(d, 2) ? "allow" : "deny",
		 sides, (unsigned int)dice_roll(d, 9), (unsigned int)dice_roll(d, 6),
		 1 + (unsigned int)dice_roll(d, 50));
	assert_int_equal(say(t, "root", text), REPLY_OK);
	if (dice_roll(d, 3) == 0) {
		snprintf(text, sizeof(text), dice_roll(d, 2) ? "cancel %u." : "renew %u to +60.",
			 1 + (unsigned int)dice_roll(d, (uint64_t)talk_number(t, "id")));
		say(t, "root", text);
	}
}

static bool same_conflicts(const struct conflicts *a, const struct conflicts *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		uint32_t j = 0;

		while (j < b->n && b->all[j].request != a->all[i].request)
			j++;
		if (j == b->n || !match_equal(&a->all[i].where, &b->all[j].where))
			return false;
	}
	return true;
}

// A group of one host or between two is looked up; with a box in a time when nothing stands it is not, and the tree is
// walked.
static void the_index_finds_what_the_walk_finds(void **state)
{
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(60), found_some = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		struct talk t;
		char text[128];

		talk_init(&t, true);
		for (unsigned int n = 0; n < 6; n++) {
			char parent[16] = "rootShare";

			if (n > 0)
				snprintf(parent, sizeof(parent), "n%u", (unsigned int)dice_roll(&d, n));
			snprintf(text, sizeof(text), "NewShare n%u for (*) on %s.", n, parent);
			assert_int_equal(say(&t, "root", text), REPLY_OK);
		}
		for (int tries = 0; tries < 60; tries++) {
			struct box box = box_any();
			struct conflicts by_index, by_walk;
			struct match group;
			const struct share *share;
			enum access access = dice_roll(&d, 2) ? ACCESS_ALLOW : ACCESS_DENY;

			say_between(&t, &d);
			snprintf(text, sizeof(text), "n%u", (unsigned int)dice_roll(&d, 6));
			share = share_find(&engine_state(t.engine)->shares, text);
			box.kinds = MATCH_KINDS_V4;
			box.src = match_ip4_prefix(0x0a000001 + (uint32_t)dice_roll(&d, 3), 32);
			box.dst = match_ip4_prefix(0x0a000001 + (uint32_t)dice_roll(&d, 3), 32);
			if (dice_roll(&d, 3) == 0)
				*(dice_roll(&d, 2) ? &box.src : &box.dst) = box_any().src;
			assert_true(box_set_time(&box, 0, 30 * (int64_t)SECOND));
			match_init(&group);
			conflicts_init(&by_index);
			conflicts_init(&by_walk);
			match_add(&group, &box);
			assert_int_equal(strict_conflicts(share, access, &group, &by_index), 0);
			box = box_any();
			assert_true(box_set_time(&box, 1000 * (int64_t)SECOND, 2000 * (int64_t)SECOND));
			match_add(&group, &box);
			assert_int_equal(strict_conflicts(share, access, &group, &by_walk), 0);
			assert_true(same_conflicts(&by_index, &by_walk));
			found_some += by_index.n > 1;
			conflicts_fini(&by_index);
			conflicts_fini(&by_walk);
			match_fini(&group);
		}
		talk_fini(&t);
	}
	assert_true(found_some > rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deny_of_a_sibling_supports_a_deny_below),
		cmocka_unit_test(conflicts_agree_with_brute_force),
		cmocka_unit_test(the_index_finds_what_the_walk_finds),
		cmocka_unit_test(overlap_bound_agrees_with_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
