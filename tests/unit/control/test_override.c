// SPDX-License-Identifier: Apache-2.0
// Who is told that a request lost packets or got them back, against the definition: the decision for every packet and
// second before and after each statement.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/cmd_parse.h"
#include "talk.h"

#define SECOND INT64_C(1000000000)
#define POINTS 64
#define TIMES 12 // seconds from now on that are looked at; requests of this test end within them, or never
#define REQUESTS 400

struct told {
	uint64_t id, by;
	bool overridden;
	struct match where;
};

struct fixture {
	struct talk talk;
	struct told told[256];
	unsigned int n_told;
	struct match_packet points[POINTS];
	unsigned int n_points;
	bool deaf;
	bool real;                          // the points are packets with addresses; users are what is bound
	char lost[REQUESTS][POINTS][TIMES]; // by number of request; -1: no point of it
};

static uint32_t look_up_user(void *ctx, const char *name)
{
	const struct user *user = users_find(&((const struct state *)ctx)->users, name);

	return user == NULL ? 0 : user->number;
}

static int64_t seconds(const json_t *time)
{
	return json_is_null(time) ? INT64_MAX : strtoll(json_string_value(time), NULL, 10) * SECOND;
}

// The event's groups are in the language: they are read back.
static void read_group(struct fixture *f, const json_t *item, struct match *out)
{
	struct cmd_names names = {(void *)engine_state(f->talk.engine), look_up_user, NULL};
	struct statement st;
	struct reply r;
	char text[512];

	snprintf(text, sizeof(text), "ListSharesByFlowGroup %s.", json_string_value(json_object_get(item, "group")));
	reply_init(&r);
	statement_init(&st);
	if (cmd_parse(text, strlen(text), &names, &st, &r) < 0)
		fail_msg("%s: %s", text, json_string_value(json_object_get(r.body, "why")));
	for (uint32_t i = 0; i < st.flows.n_boxes; i++) {
		assert_true(box_set_time(&st.flows.boxes[i], seconds(json_object_get(item, "start")),
					 seconds(json_object_get(item, "end"))));
		assert_int_equal(match_add(out, &st.flows.boxes[i]), 0);
	}
	statement_fini(&st);
	reply_fini(&r);
}

static bool wants(void *ctx, const char *user)
{
	return true;
}

static void hear(void *ctx, const char *user, const json_t *event)
{
	const char *what = json_string_value(json_object_get(event, "event"));
	struct fixture *f = ctx;
	struct told *told = &f->told[f->n_told];
	const json_t *item;
	size_t i;

	if (f->deaf || (strcmp(what, "overridden") != 0 && strcmp(what, "restored") != 0))
		return;
	assert_true(f->n_told < sizeof(f->told) / sizeof(f->told[0]));
	f->n_told++;
	told->id = (uint64_t)json_integer_value(json_object_get(event, "id"));
	told->by = (uint64_t)json_integer_value(json_object_get(event, "by"));
	told->overridden = what[0] == 'o';
	match_init(&told->where);
	json_array_foreach(json_object_get(event, "groups"), i, item) read_group(f, item, &told->where);
	assert_false(match_is_empty(&told->where));
}

static void forget_told(struct fixture *f)
{
	while (f->n_told > 0)
		match_fini(&f->told[--f->n_told].where);
}

static struct match_packet mirror(const struct match_packet *p)
{
	struct match_packet m = *p;

	m.src = p->dst;
	m.dst = p->src;
	m.f[MATCH_SRC_ETH] = p->f[MATCH_DST_ETH];
	m.f[MATCH_DST_ETH] = p->f[MATCH_SRC_ETH];
	return m;
}

static bool is_bound(const struct user *user, const struct match_packet *p)
{
	for (uint32_t i = 0; i < user->n_bindings; i++)
		if (match_covers(&user->bindings[i], p))
			return true;
	return false;
}

// A packet with addresses is traffic of every user that one of them is bound to.
static bool holds(const struct fixture *f, const struct match *m, struct match_packet p, int64_t at_ns)
{
	const struct users *users = &engine_state(f->talk.engine)->users;
	struct match_packet back = mirror(&p);

	p.f[MATCH_TIME] = (uint64_t)at_ns;
	if (!f->real)
		return match_covers(m, &p);
	for (uint32_t src = 0; src <= users->n; src++)
		for (uint32_t dst = 0; dst <= users->n; dst++) {
			if ((src > 0 && !is_bound(users->all[src - 1], &p)) ||
			    (dst > 0 && !is_bound(users->all[dst - 1], &back)))
				continue;
			p.f[MATCH_SRC_USER] = src;
			p.f[MATCH_DST_USER] = dst;
			if (match_covers(m, &p))
				return true;
		}
	return false;
}

// SPEC 5 as written: P(D over matching atoms, S over children's eval).
static enum access eval(const struct fixture *f, const struct share *share, const struct match_packet *p, int64_t at_ns)
{
	enum access own = ACCESS_NONE, below = ACCESS_NONE;
	const struct request *r;

	TAILQ_FOREACH (r, &share->requests, link)
		if (r->access > own && holds(f, &r->flows, *p, at_ns))
			own = r->access;
	for (uint32_t i = 0; i < share->n_children; i++) {
		enum access of_child = eval(f, share->children[i], p, at_ns);

		below = of_child > below ? of_child : below;
	}
	return below != ACCESS_NONE ? below : own;
}

static int64_t at_time(const struct fixture *f, int t)
{
	return f->talk.now_ns + t * SECOND;
}

static void find_lost(const struct fixture *f, char lost[REQUESTS][POINTS][TIMES])
{
	const struct state *s = engine_state(f->talk.engine);

	memset(lost, -1, sizeof(f->lost));
	for (unsigned int p = 0; p < f->n_points; p++)
		for (int t = 0; t < TIMES; t++) {
			enum access decision = eval(f, s->shares.root, &f->points[p], at_time(f, t));

			for (uint64_t id = 1; id < s->requests.next_id; id++) {
				const struct request *r = request_find(&s->requests, id);

				if (r != NULL && r->access != ACCESS_NONE &&
				    holds(f, &r->flows, f->points[p], at_time(f, t)))
					lost[id][p][t] = r->access != decision;
			}
		}
}

// Each event says what was not so before it, and together they lead from what was to what is.
static void check(struct fixture *f, uint64_t changed, const char *statement)
{
	static char now[REQUESTS][POINTS][TIMES];
	const struct state *s = engine_state(f->talk.engine);

	find_lost(f, now);
	for (unsigned int i = 0; i < f->n_told; i++) {
		const struct told *told = &f->told[i];

		if (told->id == changed || (told->overridden && request_find(&s->requests, told->by) == NULL))
			fail_msg("%s: event of %d by %d", statement, (int)told->id, (int)told->by);
		for (unsigned int p = 0; p < f->n_points; p++)
			for (int t = 0; t < TIMES; t++) {
				char *lost = &f->lost[told->id][p][t];

				if (!holds(f, &told->where, f->points[p], at_time(f, t)))
					continue;
				if (*lost == told->overridden)
					fail_msg("%s: %d is told again at point %u, t=%d", statement, (int)told->id, p,
						 t);
				*lost = told->overridden;
			}
	}
	for (uint64_t id = 1; id < s->requests.next_id; id++)
		for (unsigned int p = 0; p < f->n_points && id != changed; p++)
			for (int t = 0; t < TIMES; t++)
				if (now[id][p][t] >= 0 && (now[id][p][t] == 1) != (f->lost[id][p][t] == 1))
					fail_msg("%s: %d at point %u, t=%d: %d, not as told", statement, (int)id, p, t,
						 now[id][p][t]);
	forget_told(f);
}

static void run(struct fixture *f, const char *speaker, uint64_t changed, const char *statement)
{
	const struct state *s = engine_state(f->talk.engine);

	assert_true(s->requests.next_id < REQUESTS);
	find_lost(f, f->lost);
	if (s->requests.next_id > changed && changed > 0 && strncmp(statement, "renew", 5) != 0)
		changed = 0;
	say(&f->talk, speaker, statement);
	check(f, changed, statement);
}

static void make_shares(struct fixture *f, const char *const shares[][2], size_t n)
{
	char text[128];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "NewShare %s for (*) [reserve <= 100Mb, ratelimit >= 0] on %s.",
			 shares[i][0], shares[i][1]);
		say(&f->talk, "root", text);
		snprintf(text, sizeof(text), "GrantDefault %s.", shares[i][0]);
		say(&f->talk, "root", text);
	}
}

static const char *const tree[][2] = {{"a", "rootShare"}, {"b", "rootShare"}, {"aa", "a"}, {"ab", "a"}, {"bb", "b"}};

#define N_TREE (sizeof(tree) / sizeof(tree[0]))

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct event_sink sink = {wants, hear, f};

	talk_init(&f->talk, false);
	engine_listen(f->talk.engine, &sink);
	say(&f->talk, "root", "AddUser alice.");
	say(&f->talk, "root", "AddUser bob.");
	make_shares(f, tree, N_TREE);
	return f;
}

static void fixture_free(struct fixture *f)
{
	forget_told(f);
	talk_fini(&f->talk);
	free(f);
}

static void random_times(struct dice *d, int64_t now_s, char *out, size_t size)
{
	int from = (int)dice_roll(d, 4), to = from + 1 + (int)dice_roll(d, 7);

	if (dice_roll(d, 4) == 0)
		snprintf(out, size, "from +%d to forever", from);
	else
		snprintf(out, size, "from +%d to %d", from, (int)now_s + to);
}

static void random_request(struct fixture *f, struct dice *d, char *out, size_t size)
{
	static const char *const verbs[][2] = {
		{"allow", ""}, {"deny", ""}, {"deny", ""}, {"allow", ""}, {"ratelimit", "= 1Mb "}};
	static const char *const users[] = {"", ", srcUser=alice", ", srcUser=bob", ", user=alice"};
	size_t verb = dice_roll(d, 5);
	char group[96], times[64];
	int low = (int)dice_roll(d, 5);

	if (f->real)
		snprintf(group, sizeof(group), "%s%s",
			 dice_roll(d, 2) == 0 ? "srcHost=10.0.0.0/31" : "dstHost=10.0.0.1", users[dice_roll(d, 4)]);
	else
		snprintf(group, sizeof(group), "transport=TCP, dstPort=%d-%d%s", low, low + (int)dice_roll(d, 4),
			 users[dice_roll(d, 3)]);
	random_times(d, f->talk.now_ns / SECOND, times, sizeof(times));
	snprintf(out, size, "%s(%s) %spartial on %s %s.", verbs[verb][0], group, verbs[verb][1],
		 dice_roll(d, 6) == 0 ? "rootShare" : tree[dice_roll(d, N_TREE)][0], times);
}

static void random_change(struct fixture *f, struct dice *d)
{
	uint64_t next = engine_state(f->talk.engine)->requests.next_id, id = 1 + dice_roll(d, next);
	unsigned int what = (unsigned int)dice_roll(d, 20);
	char text[256];

	if (what < 11) {
		random_request(f, d, text, sizeof(text));
		run(f, "root", next, text);
	} else if (what < 15) {
		snprintf(text, sizeof(text), "cancel %d.", (int)id);
		run(f, "root", 0, text);
	} else if (what < 18) {
		snprintf(text, sizeof(text), "renew %d to +%d.", (int)id, 3 + (int)dice_roll(d, 9));
		run(f, "root", id, text);
	} else if (what == 18) {
		snprintf(text, sizeof(text), "DropShare %s.", tree[dice_roll(d, N_TREE)][0]);
		run(f, "root", 0, text);
		make_shares(f, tree, N_TREE);
	} else {
		find_lost(f, f->lost);
		f->talk.now_ns += (int64_t)dice_roll(d, 3) * SECOND;
		engine_advance(f->talk.engine, f->talk.now_ns);
		assert_int_equal(f->n_told, 0); // what time alone brings was told before
	}
}

static void what_requests_change_is_told_exactly(void **state)
{
	struct dice d = dice_from_env();

	for (unsigned long round = rounds_from_env(12); round > 0; round--) {
		struct fixture *f = fixture_new();

		for (unsigned int i = 0; i < 24; i++) {
			f->points[i].kind = MATCH_IP4PORTS;
			f->points[i].f[MATCH_PROTO] = 6;
			f->points[i].f[MATCH_DST_PORT] = i % 8;
			f->points[i].f[MATCH_SRC_USER] = i / 8 == 0 ? 0 : 1 + i / 8;
		}
		f->n_points = 24;
		for (int i = 0; i < 60; i++)
			random_change(f, &d);
		fixture_free(f);
	}
}

static void random_binding(struct fixture *f, struct dice *d)
{
	static const char *const addresses[] = {"10.0.0.0", "10.0.0.1", "10.0.0.2", "00:00:00:00:00:01",
						"00:00:00:00:00:02"};
	const char *user = dice_roll(d, 2) == 0 ? "alice" : "bob", *address = addresses[dice_roll(d, 5)];
	unsigned int what = (unsigned int)dice_roll(d, 12);
	char text[128];

	if (what < 7)
		snprintf(text, sizeof(text), "Bind %s to %s.", user, address);
	else if (what < 10)
		snprintf(text, sizeof(text), "Unbind %s from %s.", user, address);
	else if (what < 11)
		snprintf(text, sizeof(text), "Unbind %s.", user);
	else
		snprintf(text, sizeof(text), "DropUser %s.", user);
	run(f, "root", 0, text);
	if (what == 11) {
		snprintf(text, sizeof(text), "AddUser %s.", user);
		say(&f->talk, "root", text);
	}
}

static void what_bindings_change_is_told_exactly(void **state)
{
	struct dice d = dice_from_env();

	for (unsigned long round = rounds_from_env(12); round > 0; round--) {
		struct fixture *f = fixture_new();
		char text[256];

		f->real = f->deaf = true;
		for (unsigned int i = 0; i < 36; i++) {
			f->points[i].kind = MATCH_IP4;
			f->points[i].src = match_ip4(0x0a000000 + i % 3);
			f->points[i].dst = match_ip4(0x0a000000 + i / 3 % 3);
			f->points[i].f[MATCH_SRC_ETH] = 1 + i / 9 % 2;
			f->points[i].f[MATCH_DST_ETH] = 1 + i / 18;
		}
		f->n_points = 36;
		for (int i = 0; i < 10; i++) {
			random_request(f, &d, text, sizeof(text));
			say(&f->talk, "root", text);
		}
		f->deaf = false;
		for (int i = 0; i < 20; i++)
			random_binding(f, &d);
		fixture_free(f);
	}
}

static void an_end_that_was_not_foreseen_gives_back(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(say(&f->talk, "alice", "allow(dstPort=80, transport=TCP) on a to +100."), REPLY_OK);
	assert_int_equal(say(&f->talk, "bob", "deny(dstPort=80, transport=TCP) on b to +50."), REPLY_OK);
	assert_int_equal(f->n_told, 1);
	assert_true(f->told[0].overridden && f->told[0].id == 1 && f->told[0].by == 2);
	forget_told(f);
	f->talk.now_ns = 10 * SECOND;
	assert_int_equal(say(&f->talk, "bob", "cancel 2."), REPLY_OK);
	assert_int_equal(f->n_told, 1);
	assert_true(!f->told[0].overridden && f->told[0].id == 1 && f->told[0].by == 2);
	assert_true(box_start_ns(&f->told[0].where.boxes[0]) == 10 * SECOND);
	assert_true(box_end_ns(&f->told[0].where.boxes[0]) == 50 * SECOND);
	fixture_free(f);
}

static void an_address_that_another_denies_overrides(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(say(&f->talk, "alice", "allow(srcUser=alice) on a to +100."), REPLY_OK);
	assert_int_equal(say(&f->talk, "root", "Bind bob to 00:00:00:00:00:01."), REPLY_OK);
	assert_int_equal(say(&f->talk, "bob", "deny(srcUser=bob) on b to +50."), REPLY_OK);
	assert_int_equal(f->n_told, 0); // one packet has one source user, as admission sees it
	assert_int_equal(say(&f->talk, "root", "Bind alice to 10.0.0.1."), REPLY_OK);
	assert_int_equal(f->n_told, 1); // from that MAC with that address
	assert_true(f->told[0].overridden && f->told[0].id == 1 && f->told[0].by == 2);
	forget_told(f);
	assert_int_equal(say(&f->talk, "root", "Unbind bob."), REPLY_OK);
	assert_int_equal(f->n_told, 1);
	assert_true(!f->told[0].overridden && f->told[0].id == 1 && f->told[0].by == 0);
	fixture_free(f);
}

static void a_share_that_goes_is_told_to_those_who_stay(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(say(&f->talk, "alice", "deny(dstPort=80, transport=TCP) on a."), REPLY_OK);
	assert_int_equal(say(&f->talk, "alice", "deny(dstPort=80, transport=TCP) on aa."), REPLY_OK);
	assert_int_equal(say(&f->talk, "bob", "allow(dstPort=80, transport=TCP) partial on aa."), REPLY_OK);
	assert_int_equal(say(&f->talk, "alice", "cancel 2."), REPLY_OK);
	forget_told(f);
	assert_int_equal(say(&f->talk, "root", "DropShare aa."), REPLY_OK);
	assert_int_equal(f->n_told, 1);
	assert_true(!f->told[0].overridden && f->told[0].id == 1 && f->told[0].by == 0);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_that_was_not_foreseen_gives_back),
		cmocka_unit_test(an_address_that_another_denies_overrides),
		cmocka_unit_test(a_share_that_goes_is_told_to_those_who_stay),
		cmocka_unit_test(what_requests_change_is_told_exactly),
		cmocka_unit_test(what_bindings_change_is_told_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
