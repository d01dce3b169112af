// SPDX-License-Identifier: Apache-2.0
// What ports are told to drop by themselves, with played ports: some have little room, some come and go.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "dataplane/dp_filter.h"
#include "dataplane/table.h"
#include "gen.h"
#include "hft/parts.h"

#define T0 INT64_C(1000000000)
#define ROOM 64
#define PORTS 3
#define ROWS 12

struct played {
	struct drop_filter base;
	uint32_t room, n;
	uint32_t refuses; // so many times a rule is not given back
	bool closed;
	struct {
		struct xdp_rule rule;
		uint32_t times;
		struct xdp_count count;
	} at[ROOM];
};

static int find(const struct played *p, const struct xdp_rule *rule)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (memcmp(&p->at[i].rule, rule, sizeof(*rule)) == 0)
			return (int)i;
	}
	return -1;
}

static int add(struct drop_filter *f, const struct xdp_rule *rule)
{
	struct played *p = (struct played *)f;
	struct xdp_rule plain = drop_rule_plain(rule);
	int i = find(p, &plain);

	if (i >= 0) {
		p->at[i].times++;
		return 0;
	}
	if (p->n == p->room)
		return -ENOSPC;
	memset(&p->at[p->n], 0, sizeof(p->at[0]));
	p->at[p->n].rule = plain;
	p->at[p->n++].times = 1;
	return 0;
}

static int del(struct drop_filter *f, const struct xdp_rule *rule)
{
	struct played *p = (struct played *)f;
	struct xdp_rule plain = drop_rule_plain(rule);
	int i = find(p, &plain);

	assert_true(i >= 0); // never more than was added
	if (p->refuses > 0) {
		p->refuses--;
		return -EBUSY;
	}
	if (--p->at[i].times == 0)
		p->at[i] = p->at[--p->n];
	return 0;
}

static int count(struct drop_filter *f, const struct xdp_rule *rule, struct xdp_count *out)
{
	struct played *p = (struct played *)f;
	struct xdp_rule plain = drop_rule_plain(rule);
	int i = find(p, &plain);

	if (i < 0)
		return -ENOENT;
	*out = p->at[i].count;
	return 0;
}

static int total(struct drop_filter *f, struct xdp_count *out)
{
	*out = (struct xdp_count){77, 7700};
	return 0;
}

static int unserved(struct drop_filter *f, struct xdp_count *out)
{
	*out = (struct xdp_count){5, 500};
	return 0;
}

static void close_filter(struct drop_filter *f)
{
	((struct played *)f)->closed = true;
}

static const struct drop_filter_ops played_ops = {
	.add = add, .del = del, .count = count, .total = total, .unserved = unserved, .close = close_filter};

struct world {
	struct dp_filter *filter;
	struct table *table;
	struct played port[PORTS];
	uint64_t told; // packets, of all requests
};

static struct err err;

static void port_up(struct world *w, uint16_t port, uint32_t room)
{
	w->port[port] = (struct played){.base = {&played_ops}, .room = room};
	assert_int_equal(dp_filter_port_add(w->filter, port, &w->port[port].base), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->table = table_create(&err);
	w->filter = dp_filter_create();
	*state = w;
	return w->table == NULL || w->filter == NULL;
}

static int teardown(void **state)
{
	struct world *w = *state;

	dp_filter_destroy(w->filter);
	table_destroy(w->table);
	free(w);
	return 0;
}

static struct part_row denial(uint32_t host, int64_t start_ns)
{
	struct part_row row = gen_simple_row(0x0a000000 | host, host, ACCESS_DENY, start_ns, INT64_MAX);

	row.access_category = PARTS_FINAL_CATEGORY;
	return row;
}

static void stage(struct world *w, const struct part_row *row, bool is_add)
{
	struct proto_msg msg = {.type = PROTO_ROW_ADD, .row = *row};

	if (!is_add)
		msg = (struct proto_msg){.type = PROTO_ROW_DEL, .row_key = part_row_key(row)};
	assert_int_equal(table_stage(w->table, &msg, &err), 0);
}

static void commit(struct world *w, int64_t now_ns)
{
	assert_int_equal(table_commit(w->table, now_ns, &err), 0);
	dp_filter_leave(w->filter, w->table);
	dp_filter_enter(w->filter, w->table, now_ns);
	table_settle(w->table);
}

static void deny(struct world *w, uint32_t host, int64_t start_ns)
{
	struct part_row row = denial(host, start_ns);

	stage(w, &row, true);
	commit(w, T0);
}

static void allow(struct world *w, uint32_t host, int64_t start_ns)
{
	struct part_row row = denial(host, start_ns);

	stage(w, &row, false);
	commit(w, T0);
}

static void tell(void *ctx, uint64_t id, const struct xdp_count *more)
{
	struct world *w = ctx;

	assert_true(more->packets > 0 && more->packets < 1000000);
	w->told += more->packets;
}

// --- tests

static void a_port_without_room_costs_the_others_nothing(void **state)
{
	struct world *w = *state;

	port_up(w, 0, 2);
	port_up(w, 1, ROOM);
	for (uint32_t host = 1; host <= 5; host++)
		deny(w, host, T0);
	assert_int_equal(w->port[0].n, 2);
	assert_int_equal(w->port[1].n, 5);
	for (uint32_t host = 1; host <= 5; host++)
		allow(w, host, T0);
	assert_int_equal(w->port[0].n + w->port[1].n, 0);
}

static void only_what_no_allow_overrides_is_dropped_there(void **state)
{
	struct world *w = *state;
	struct part_row row = denial(1, T0);

	port_up(w, 0, ROOM);
	row.access_category = 0;
	stage(w, &row, true);
	row = gen_simple_row(0x0a000002, 2, ACCESS_ALLOW, T0, INT64_MAX);
	row.access_category = PARTS_FINAL_CATEGORY;
	stage(w, &row, true);
	commit(w, T0);
	assert_int_equal(w->port[0].n, 0);
}

static void a_later_start_is_waited_for(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	deny(w, 1, T0 + 10);
	dp_filter_turn(w->filter, T0 + 9);
	assert_int_equal(w->port[0].n, 0);
	port_up(w, 1, ROOM); // waits for it, too
	assert_int_equal(w->port[1].n, 0);
	dp_filter_turn(w->filter, T0 + 10);
	assert_int_equal(w->port[0].n, 1);
	assert_int_equal(w->port[1].n, 1);
}

static void a_port_that_comes_gets_what_is_there_and_one_that_goes_is_closed(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	deny(w, 1, T0);
	port_up(w, 1, ROOM);
	assert_int_equal(w->port[1].n, 1);
	dp_filter_port_del(w->filter, 0);
	assert_true(w->port[0].closed);
	allow(w, 1, T0);
	assert_int_equal(w->port[0].n, 1); // nobody asks it any more
	assert_int_equal(w->port[1].n, 0);
}

static void the_first_port_gets_what_was_denied_before_it_came(void **state)
{
	struct world *w = *state;

	deny(w, 1, T0);
	deny(w, 2, T0 + 10);
	deny(w, 3, T0);
	allow(w, 3, T0);
	port_up(w, 0, ROOM);
	assert_int_equal(w->port[0].n, 1);
	dp_filter_turn(w->filter, T0 + 10);
	assert_int_equal(w->port[0].n, 2);
}

static void what_ports_drop_is_told_once_also_of_one_that_goes(void **state)
{
	struct world *w = *state;
	struct dp_dropped all;

	port_up(w, 0, ROOM);
	port_up(w, 1, ROOM);
	deny(w, 1, T0);
	w->port[0].at[0].count = (struct xdp_count){5, 300};
	w->port[1].at[0].count = (struct xdp_count){2, 120};
	for (int i = 0; i < 3; i++)
		dp_filter_counts(w->filter, tell, w);
	assert_int_equal(w->told, 7);
	w->port[0].at[0].count = (struct xdp_count){6, 360};
	dp_filter_port_del(w->filter, 0);
	w->port[1].at[0].count = (struct xdp_count){4, 240};
	for (int i = 0; i < 3; i++)
		dp_filter_counts(w->filter, tell, w);
	assert_int_equal(w->told, 7 + 1 + 2);
	dp_filter_dropped(w->filter, 1, &all);
	assert_int_equal(all.denied, 77);
	assert_int_equal(all.unserved, 5);
}

static void the_last_that_the_only_port_has_dropped_is_told(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	deny(w, 1, T0);
	w->port[0].at[0].count = (struct xdp_count){5, 300};
	for (int i = 0; i < 3; i++)
		dp_filter_counts(w->filter, tell, w);
	w->port[0].at[0].count = (struct xdp_count){8, 480};
	dp_filter_port_del(w->filter, 0);
	for (int i = 0; i < 3; i++)
		dp_filter_counts(w->filter, tell, w);
	assert_int_equal(w->told, 8);
	port_up(w, 0, ROOM);
	w->port[0].at[0].count = (struct xdp_count){1, 60};
	for (int i = 0; i < 3; i++)
		dp_filter_counts(w->filter, tell, w);
	assert_int_equal(w->told, 8 + 1);
}

static void totals_go_on_with_the_next_device_and_begin_anew_with_the_next_port(void **state)
{
	struct world *w = *state;
	struct dp_dropped all;

	dp_filter_dropped(w->filter, 0, &all);
	assert_int_equal(all.denied + all.unserved, 0);
	port_up(w, 0, ROOM);
	dp_filter_port_del(w->filter, 0);
	dp_filter_dropped(w->filter, 0, &all);
	assert_int_equal(all.denied, 77);
	assert_int_equal(all.unserved, 5);
	port_up(w, 0, ROOM);
	dp_filter_dropped(w->filter, 0, &all);
	assert_int_equal(all.denied, 2 * 77);
	assert_int_equal(all.unserved, 2 * 5);
	dp_filter_port_del(w->filter, 0);
	dp_filter_port_forget(w->filter, 0);
	dp_filter_dropped(w->filter, 0, &all);
	assert_int_equal(all.denied + all.unserved, 0);
}

static void a_rule_that_is_not_given_back_is_asked_for_until_it_is(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	port_up(w, 1, ROOM);
	deny(w, 1, T0);
	w->port[0].refuses = 1; // for an instant only
	allow(w, 1, T0);
	assert_int_equal(w->port[0].n, 0);
	deny(w, 1, T0);
	deny(w, 2, T0);
	w->port[0].refuses = 6;
	allow(w, 1, T0);
	allow(w, 2, T0);
	assert_int_equal(w->port[0].n, 2);
	assert_int_equal(w->port[1].n, 0);
	dp_filter_turn(w->filter, T0); // both once more
	assert_int_equal(w->port[0].n, 2);
	dp_filter_turn(w->filter, T0);
	assert_int_equal(w->port[0].n, 0);
	dp_filter_turn(w->filter, T0);
}

static void what_is_denied_again_meanwhile_stays(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	deny(w, 1, T0);
	w->port[0].refuses = 2;
	allow(w, 1, T0);
	assert_int_equal(w->port[0].n, 1);
	deny(w, 1, T0);
	dp_filter_turn(w->filter, T0);
	assert_int_equal(w->port[0].n, 1);
	assert_int_equal(w->port[0].at[0].times, 1);
}

static void a_device_that_goes_takes_what_it_did_not_give_back_with_it(void **state)
{
	struct world *w = *state;

	port_up(w, 0, ROOM);
	deny(w, 1, T0);
	w->port[0].refuses = 2;
	allow(w, 1, T0);
	dp_filter_port_del(w->filter, 0);
	port_up(w, 0, ROOM);
	dp_filter_turn(w->filter, T0); // the new one has nothing to give back
	assert_int_equal(w->port[0].n, 0);
	deny(w, 1, T0);
	w->port[0].refuses = 2;
	allow(w, 1, T0); // what is left then goes with everything
}

// Hosts denied by several requests: a port drops no host that no request denies, and with room for all, every one.
static void random_changes_leave_no_rule_behind(void **state)
{
	struct world *w = *state;
	struct gen g = gen_init("random_changes_leave_no_rule_behind");
	bool in[ROWS] = {false};
	static const uint32_t room[PORTS] = {2, 4, ROOM};

	for (unsigned int step = 0; step < rounds_from_env(2000); step++) {
		uint32_t i = (uint32_t)gen_below(&g, ROWS), host = i % 6 + 1, hosts = 0, n_hosts = 0;
		uint16_t port = (uint16_t)gen_below(&g, PORTS);
		struct part_row row = denial(host, T0);

		row.id = i + 1; // two requests, one rule
		if (gen_below(&g, 20) == 0)
			w->port[port].refuses = (uint32_t)gen_below(&g, 4);
		if (gen_below(&g, 10) == 0) {
			dp_filter_port_del(w->filter, port);
			port_up(w, port, room[port]);
		}
		if (w->port[PORTS - 1].room == 0)
			port_up(w, PORTS - 1, room[PORTS - 1]);
		stage(w, &row, !in[i]);
		commit(w, T0);
		in[i] = !in[i];
		for (int p = 0; p < PORTS; p++)
			w->port[p].refuses = 0;
		dp_filter_turn(w->filter, T0);
		for (uint32_t k = 0; k < ROWS; k++)
			hosts |= in[k] ? 1u << (k % 6) : 0;
		for (uint32_t k = 0; k < 6; k++)
			n_hosts += hosts >> k & 1;
		for (int p = 0; p < PORTS; p++)
			assert_true(w->port[p].n <= n_hosts);
		assert_int_equal(w->port[PORTS - 1].n, n_hosts);
	}
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_port_without_room_costs_the_others_nothing),
		WORLD_TEST(only_what_no_allow_overrides_is_dropped_there),
		WORLD_TEST(a_later_start_is_waited_for),
		WORLD_TEST(a_port_that_comes_gets_what_is_there_and_one_that_goes_is_closed),
		WORLD_TEST(the_first_port_gets_what_was_denied_before_it_came),
		WORLD_TEST(what_ports_drop_is_told_once_also_of_one_that_goes),
		WORLD_TEST(the_last_that_the_only_port_has_dropped_is_told),
		WORLD_TEST(totals_go_on_with_the_next_device_and_begin_anew_with_the_next_port),
		WORLD_TEST(a_rule_that_is_not_given_back_is_asked_for_until_it_is),
		WORLD_TEST(what_is_denied_again_meanwhile_stays),
		WORLD_TEST(a_device_that_goes_takes_what_it_did_not_give_back_with_it),
		WORLD_TEST(random_changes_leave_no_rule_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
