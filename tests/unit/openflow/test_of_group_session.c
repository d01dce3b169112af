// SPDX-License-Identifier: Apache-2.0
// Groups of equal ways in a session: before the entries that name them and after, read back, refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/of_net.h"
#include "control/of_plan.h"
#include "control/of_priv.h"
#include "played_switch.h"

#define SECOND 1000000000LL

// Two switches with two links between them, by ports 3 and 4; the second one has a host and no groups. A third one may
// be behind port 2 of the first, by its port 2.
struct session {
	struct of_net *of;
	struct played played[3];
	struct of_switch *sw[3];
	uint64_t n_probes[3];
	int n;                              // 0: two
	bool mute;                          // the third one answers no barrier
	int64_t way_gone_ns, group_gone_ns; // when an entry of `ways`, a group was taken out
	int64_t now_ns;
	struct of_groups groups; // that switch 1 was told
	struct of_rules ways;    // of its entries those with one action
	unsigned int n_added, n_deleted;
	bool refuses;
	const uint8_t *desc; // of groups, for who asks
	uint16_t desc_len;
	bool floods; // descriptions without end
	bool withholds, takes_no_action;
	uint32_t max; // groups that it says it can have; 0: 10
	uint8_t out[3][1 << 20];
	size_t n_out[3];
};

static void from_played(void *ctx, int i, const uint8_t *bytes, size_t len)
{
	struct session *s = ctx;

	assert_true(s->n_out[i] + len <= sizeof(s->out[i]));
	memcpy(s->out[i] + s->n_out[i], bytes, len);
	s->n_out[i] += len;
}

static void from_first(void *ctx, const uint8_t *bytes, size_t len)
{
	from_played(ctx, 0, bytes, len);
}

static void from_second(void *ctx, const uint8_t *bytes, size_t len)
{
	from_played(ctx, 1, bytes, len);
}

static void from_third(void *ctx, const uint8_t *bytes, size_t len)
{
	struct of_msg m;

	assert_int_equal(of_decode(bytes, len, &m, NULL), 0);
	if (m.type != OF_BARRIER_REPLY || !((struct session *)ctx)->mute)
		from_played(ctx, 2, bytes, len);
}

static void to_played(void *session, const uint8_t *bytes, size_t len)
{
	assert_true(played_input(session, bytes, len));
}

static void close_played(void *session)
{
	fail_msg("a session ends");
	(void)session;
}

static void on_group_mod(void *ctx, const struct of_group_mod *mod)
{
	struct session *s = ctx;

	if (s->refuses) {
		struct of_msg m = {.type = OF_ERROR, .error = {.type = OF_ERROR_GROUP_MOD, .code = 3}};

		played_send(&s->played[0], &m); // out of groups
	} else if (mod->command == 2) {
		s->n_deleted++;
		s->group_gone_ns = s->now_ns;
		of_groups_del(&s->groups, mod->group);
	} else {
		assert_true(of_groups_find(&s->groups, mod->group) != NULL || s->groups.n < s->played[0].groups_max);
		s->n_added++;
		assert_int_equal(of_groups_set(&s->groups, mod), 0);
	}
}

// Messages full of empty groups, by falling number.
static void flood_groups(struct session *s, const struct of_msg *request)
{
	static uint8_t body[8189 * 8];
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_GROUP_DESC}};
	uint32_t id = OF_PLAN_GROUPS + 8 * 8189;

	m.mp.body = body;
	m.mp.body_len = sizeof(body);
	for (int i = 0; i < 8; i++) {
		struct of_out out = {.p = body, .left = sizeof(body)};

		while (out.left > 0) {
			of_put(&out, 8, 2);
			of_put(&out, OF_GROUP_SELECT, 1);
			of_pad(&out, 1);
			of_put(&out, id--, 4);
		}
		m.mp.more = i < 7;
		played_send(&s->played[0], &m);
	}
}

static bool describe_groups(void *ctx, const struct of_msg *request)
{
	struct session *s = ctx;
	struct of_msg m = {.type = OF_MULTIPART_REPLY, .xid = request->xid, .mp = {.kind = OF_MP_GROUP_DESC}};

	if (request->mp.kind != OF_MP_GROUP_DESC)
		return false;
	if (s->withholds)
		return true;
	if (s->floods) {
		flood_groups(s, request);
		return true;
	}
	m.mp.body = s->desc;
	m.mp.body_len = s->desc_len;
	played_send(&s->played[0], &m);
	return true;
}

static void on_flow_mod(void *ctx, const struct of_flow_mod *mod)
{
	struct session *s = ctx;
	struct of_rule r;

	memset(&r, 0, sizeof(r));
	r.match = mod->match;
	r.priority = mod->priority;
	r.table = mod->table;
	r.instructions = mod->instructions;
	for (int i = 0; i < mod->instructions.n_actions && mod->command == OF_FLOW_ADD; i++) {
		const struct of_action *a = &mod->instructions.actions[i];

		if (a->type == OF_ACT_GROUP && s->takes_no_action) {
			struct of_msg m = {.type = OF_ERROR, .xid = s->played[0].mod_xid};

			m.error.type = OF_ERROR_BAD_ACTION;
			played_send(&s->played[0], &m);
			return;
		}
		assert_true(a->type != OF_ACT_GROUP || of_groups_find(&s->groups, a->group) != NULL || s->refuses);
	}
	if (mod->command != OF_FLOW_ADD && of_rules_find(&s->ways, &r) != NULL)
		s->way_gone_ns = s->now_ns;
	of_rules_del(&s->ways, &r);
	if (mod->command == OF_FLOW_ADD && mod->match.has == OF_HAS_ETH_DST)
		assert_int_equal(of_rules_add(&s->ways, &r), 0);
	assert_int_equal(of_rules_sort(&s->ways), 0);
}

static void settle(struct session *s)
{
	static uint8_t bytes[1 << 20];
	struct err err;

	while (s->n_out[0] + s->n_out[1] + s->n_out[2] > 0) {
		for (int i = 0; i < s->n; i++) {
			size_t len = s->n_out[i];

			memcpy(bytes, s->out[i], len);
			s->n_out[i] = 0;
			assert_int_equal(of_net_input(s->of, s->sw[i], bytes, len, s->now_ns, &err), 0);
		}
	}
}

// The third one is there from the first's port 2 on; the second one's leads nowhere.
static void carry_probes(struct session *s)
{
	for (int i = 0; i < s->n; i++) {
		if (s->played[i].n_probes == s->n_probes[i])
			continue;
		s->n_probes[i] = s->played[i].n_probes;
		for (uint32_t port = 2; port < 5; port++) {
			const struct played_probe *probe = played_probe(&s->played[i], port);
			int to = port == 2 ? 2 - i : 1 - i;

			if (probe != NULL && to != i && to >= 0 && to < s->n)
				played_packet_in(&s->played[to], port, probe->frame, probe->len);
		}
	}
	settle(s);
}

static void turns(struct session *s, int64_t for_ns)
{
	for (int64_t end = s->now_ns + for_ns; s->now_ns < end; s->now_ns += SECOND / 10) {
		of_net_turn(s->of, s->now_ns, s->now_ns);
		settle(s);
		carry_probes(s);
	}
}

static void session_up(struct session *s, const uint8_t *group_desc, uint16_t len)
{
	const struct of_net_ops ops = {.send = to_played, .close = close_played};
	const struct of_net_conf conf = {.hosts_max = 64};
	static const uint8_t arp[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8,  6, 0, 1,
					8,    0,    6,    4,    0,    1,    2, 0, 0, 0, 0, 9, 10, 0, 0, 9};

	s->n = s->n == 0 ? 2 : s->n;
	s->now_ns = SECOND;
	s->of = of_net_create(&ops, &conf);
	assert_non_null(s->of);
	for (int i = 0; i < s->n; i++) {
		played_init(&s->played[i], OF_VERSION_13, (uint64_t)i + 1, 4);
		s->played[i].ctx = s;
		s->played[i].send = i == 0 ? from_first : i == 1 ? from_second : from_third;
		s->played[i].groups_max = i != 0 ? 0 : s->max != 0 ? s->max : 10;
		s->sw[i] = of_net_attach(s->of, &s->played[i], s->now_ns);
	}
	s->played[0].group_mod = on_group_mod;
	s->played[0].flow_mod = on_flow_mod;
	s->played[0].multipart = describe_groups;
	s->desc = group_desc;
	s->desc_len = len;
	for (int i = 0; i < s->n; i++)
		played_hello(&s->played[i]);
	settle(s);
	turns(s, 5 * SECOND);
	played_packet_in(&s->played[1], 1, arp, sizeof(arp));
	settle(s);
	turns(s, SECOND);
}

static void session_down(struct session *s)
{
	for (int i = 0; i < s->n; i++) {
		of_net_detach(s->of, s->sw[i], s->now_ns);
		played_fini(&s->played[i]);
	}
	of_net_destroy(s->of);
	of_groups_fini(&s->groups);
	of_rules_fini(&s->ways);
	free(s);
}

static const struct of_action *way(const struct session *s)
{
	assert_int_equal(s->ways.n, 1);
	assert_int_equal(s->ways.rules[0].instructions.n_actions, 1);
	return &s->ways.rules[0].instructions.actions[0];
}

static void a_group_comes_before_who_names_it_and_goes_after(void **state)
{
	struct session *s = calloc(1, sizeof(*s));
	uint32_t group;

	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_GROUP);
	group = way(s)->group;
	assert_non_null(of_groups_find(&s->groups, group));
	played_port_status(&s->played[0], 2, 3, OF_PORT_LINK_DOWN);
	settle(s);
	of_net_turn(s->of, s->now_ns, s->now_ns);
	settle(s);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	assert_int_equal(way(s)->port, 4);
	turns(s, SECOND / 2);
	assert_non_null(of_groups_find(&s->groups, group)); // frames may still be on their way to it
	turns(s, 2 * SECOND);
	assert_null(of_groups_find(&s->groups, group));
	assert_int_equal(s->n_deleted, 1);
	played_port_status(&s->played[0], 2, 3, 0);
	turns(s, 10 * SECOND);
	assert_int_equal(way(s)->group, group);
	assert_non_null(of_groups_find(&s->groups, group));
	session_down(s);
	(void)state;
}

// The way to a host that is gone ends at the far switch first: until that has answered, the next one's entry names the
// group, though nobody wants it any more.
static void a_group_goes_a_second_after_the_last_entry_that_names_it(void **state)
{
	struct session *s = calloc(1, sizeof(*s));

	s->n = 3;
	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_GROUP);
	s->mute = true;
	played_port_status(&s->played[0], 2, 3, OF_PORT_LINK_DOWN); // one way is left
	played_port_status(&s->played[1], 2, 1, OF_PORT_LINK_DOWN); // to nobody
	settle(s);
	turns(s, 3 * SECOND / 2);
	assert_int_equal(s->ways.n, 1);
	assert_int_equal(s->n_deleted, 0);
	turns(s, 5 * SECOND);
	assert_int_equal(s->ways.n, 0);
	assert_int_equal(s->n_deleted, 1);
	assert_true(s->group_gone_ns - s->way_gone_ns >= SECOND);
	session_down(s);
	(void)state;
}

// Wanted again before it went: the second begins anew.
static void a_group_that_is_wanted_again_begins_its_second_anew(void **state)
{
	struct session *s = calloc(1, sizeof(*s));
	int64_t at_ns;

	session_up(s, NULL, 0);
	played_port_status(&s->played[0], 2, 3, OF_PORT_LINK_DOWN);
	settle(s);
	turns(s, SECOND / 2);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	played_port_status(&s->played[0], 2, 3, 0);
	settle(s);
	turns(s, SECOND * 4 / 10);
	assert_int_equal(way(s)->type, OF_ACT_GROUP);
	played_port_status(&s->played[0], 2, 3, OF_PORT_LINK_DOWN);
	settle(s);
	at_ns = s->now_ns;
	turns(s, 3 * SECOND);
	assert_int_equal(s->n_deleted, 1);
	assert_true(s->group_gone_ns - at_ns >= SECOND);
	session_down(s);
	(void)state;
}

static uint16_t describe(const struct of_group_mod *g, uint8_t *at, size_t size)
{
	struct of_out out = {.p = at, .left = size};

	of_put(&out, 0, 2);
	of_put(&out, g->type, 1);
	of_pad(&out, 1);
	of_put(&out, g->group, 4);
	assert_int_equal(of_put_buckets(&out, g, NULL), 0);
	of_patch16(&out, 0, out.n);
	return (uint16_t)out.n;
}

static void what_a_switch_has_is_not_sent_again_and_what_is_not_wanted_goes(void **state)
{
	static uint8_t desc[4000];
	struct session *s = calloc(1, sizeof(*s));
	struct of_group_mod had, stale, foreign;
	uint16_t len;

	session_up(s, NULL, 0);
	assert_int_equal(s->n_added, 1);
	had = stale = foreign = of_groups_find(&s->groups, way(s)->group)->what;
	session_down(s);
	stale.group ^= 1;
	foreign.group = 7;
	len = describe(&stale, desc, sizeof(desc));
	len = (uint16_t)(len + describe(&foreign, desc + len, sizeof(desc) - len));
	len = (uint16_t)(len + describe(&had, desc + len, sizeof(desc) - len));
	s = calloc(1, sizeof(*s));
	of_groups_set(&s->groups, &stale);
	of_groups_set(&s->groups, &foreign);
	of_groups_set(&s->groups, &had);
	session_up(s, desc, len);
	turns(s, 3 * SECOND);
	assert_int_equal(way(s)->group, had.group);
	assert_int_equal(s->n_added, 0);
	assert_int_equal(s->n_deleted, 1);
	assert_null(of_groups_find(&s->groups, stale.group));
	assert_non_null(of_groups_find(&s->groups, foreign.group));
	session_down(s);
	had.buckets[0].weight = 5; // by somebody's hand
	len = describe(&had, desc, sizeof(desc));
	s = calloc(1, sizeof(*s));
	session_up(s, desc, len);
	assert_int_equal(s->n_added, 1);
	assert_int_equal(of_groups_find(&s->groups, had.group)->what.buckets[0].weight, 1);
	session_down(s);
	(void)state;
}

static void a_switch_that_refuses_groups_gets_single_ways(void **state)
{
	struct session *s = calloc(1, sizeof(*s));

	s->refuses = true;
	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	assert_true(way(s)->port == 3 || way(s)->port == 4);
	turns(s, 20 * SECOND);
	assert_int_equal(s->played[0].n_group_mods, 1);
	turns(s, 1000 * SECOND);
	assert_true(s->played[0].n_group_mods < 8); // asked ever less often
	session_down(s);
	(void)state;
}

static void a_switch_that_was_full_for_a_moment_is_asked_again(void **state)
{
	struct session *s = calloc(1, sizeof(*s));

	s->refuses = true;
	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	s->refuses = false;
	turns(s, 40 * SECOND);
	assert_int_equal(way(s)->type, OF_ACT_GROUP);
	session_down(s);
	(void)state;
}

// on_group_mod counts what the switch has.
static void a_group_that_is_to_go_has_its_place_until_then(void **state)
{
	static uint8_t desc[400];
	struct session *s = calloc(1, sizeof(*s));
	struct of_group_mod stale, foreign;
	uint16_t len;

	session_up(s, NULL, 0);
	stale = foreign = of_groups_find(&s->groups, way(s)->group)->what;
	session_down(s);
	stale.group ^= 1;
	stale.n_buckets = foreign.n_buckets = 1;
	foreign.group = 7;
	len = describe(&stale, desc, sizeof(desc));
	len = (uint16_t)(len + describe(&foreign, desc + len, sizeof(desc) - len));
	s = calloc(1, sizeof(*s));
	s->max = 2;
	of_groups_set(&s->groups, &stale);
	of_groups_set(&s->groups, &foreign);
	session_up(s, desc, len);
	turns(s, 3 * SECOND);
	assert_int_equal(s->n_deleted, 1);
	assert_int_equal(s->n_added, 1);
	assert_int_equal(way(s)->type, OF_ACT_GROUP);
	session_down(s);
	(void)state;
}

static void a_switch_that_takes_groups_but_no_entry_with_one_gets_single_ways(void **state)
{
	struct session *s = calloc(1, sizeof(*s));
	uint64_t n_mods;

	s->takes_no_action = true;
	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	turns(s, 5 * SECOND);
	n_mods = s->played[0].n_group_mods;
	turns(s, 20 * SECOND);
	assert_int_equal(s->played[0].n_group_mods, n_mods);
	session_down(s);
	(void)state;
}

static void a_switch_that_does_not_say_its_groups_gets_single_ways(void **state)
{
	struct session *s = calloc(1, sizeof(*s));

	s->withholds = true;
	session_up(s, NULL, 0);
	turns(s, 6 * SECOND);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	assert_int_equal(s->played[0].n_group_mods, 0);
	session_down(s);
	(void)state;
}

// They are not kept, nor is the switch waited for, nor taken for one that was read.
static void groups_without_end_are_not_kept(void **state)
{
	struct session *s = calloc(1, sizeof(*s));

	s->floods = true;
	session_up(s, NULL, 0);
	assert_int_equal(way(s)->type, OF_ACT_OUTPUT);
	turns(s, 3 * SECOND);
	assert_int_equal(s->n_deleted, OF_GROUPS_MAX);
	of_net_read(s->of);
	settle(s);
	assert_true(of_net_is_read(s->of));
	of_net_read_stop(s->of);
	assert_null(of_net_tables(s->of, 0));
	assert_non_null(of_net_tables(s->of, 1));
	of_net_read_end(s->of);
	session_down(s);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_comes_before_who_names_it_and_goes_after),
		cmocka_unit_test(a_group_goes_a_second_after_the_last_entry_that_names_it),
		cmocka_unit_test(a_group_that_is_wanted_again_begins_its_second_anew),
		cmocka_unit_test(what_a_switch_has_is_not_sent_again_and_what_is_not_wanted_goes),
		cmocka_unit_test(groups_without_end_are_not_kept),
		cmocka_unit_test(a_switch_that_refuses_groups_gets_single_ways),
		cmocka_unit_test(a_switch_that_was_full_for_a_moment_is_asked_again),
		cmocka_unit_test(a_group_that_is_to_go_has_its_place_until_then),
		cmocka_unit_test(a_switch_that_takes_groups_but_no_entry_with_one_gets_single_ways),
		cmocka_unit_test(a_switch_that_does_not_say_its_groups_gets_single_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
