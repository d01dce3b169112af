// SPDX-License-Identifier: Apache-2.0
// Named cases of compile, eval, condense and flowtab; what holds in general is in tests/prop.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/eval.h"

struct fixture {
	struct tree tree; // root 0, children 1 and 2, and 3 below 1
	struct flowtab table;
	struct err err;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	tree_add_node(&f.tree, TREE_NO_PARENT);
	tree_add_node(&f.tree, 0);
	tree_add_node(&f.tree, 0);
	tree_add_node(&f.tree, 1);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tree_fini(&f->tree);
	flowtab_fini(&f->table);
	return 0;
}

static struct box ports(uint64_t lo, uint64_t hi)
{
	struct box box = box_any();

	box.f[MATCH_DST_PORT] = (struct span){lo, hi};
	assert_true(box_normalize(&box));
	return box;
}

static struct box during(struct box box, int64_t start_ns, int64_t end_ns)
{
	assert_true(box_set_time(&box, start_ns, end_ns));
	return box;
}

static void add(struct fixture *f, uint64_t id, uint32_t node, enum atom_part part, enum access access, struct box box)
{
	struct atom atom = {.id = id, .node = node, .part = part, .access = access};

	assert_int_equal(match_add(&atom.match, &box), 0);
	assert_int_equal(tree_add_atom(&f->tree, &atom), 0);
}

static void add_access(struct fixture *f, uint64_t id, uint32_t node, enum access access, struct box box)
{
	add(f, id, node, ATOM_ACCESS, access, box);
}

static void compile(struct fixture *f)
{
	if (hft_compile(&f->tree, 0, COMPILE_ROWS_MAX, &f->table, &f->err) < 0)
		fail_msg("%s", f->err.msg);
}

static struct match_packet tcp(uint64_t port, uint64_t time_ns)
{
	struct match_packet packet = {.kind = MATCH_IP4PORTS};

	packet.f[MATCH_PROTO] = 6;
	packet.f[MATCH_DST_PORT] = port;
	packet.f[MATCH_TIME] = time_ns;
	return packet;
}

// Evaluator and table agree on it.
static enum access access_at(struct fixture *f, uint64_t port, uint64_t time_ns)
{
	struct match_packet packet = tcp(port, time_ns);
	const struct row *row = flowtab_find(&f->table, &packet);
	enum access access = row == NULL ? ACCESS_NONE : row->action.access;

	assert_int_equal(eval_packet(&f->tree, &packet).access, access);
	return access;
}

static void no_requests_make_an_empty_table(void **state)
{
	struct fixture *f = *state;

	compile(f);
	assert_int_equal(f->table.n_rows, 0);
	assert_int_equal(condense(&f->table), 0);
	assert_int_equal(access_at(f, 80, 0), ACCESS_NONE);
}

// SPEC 9: PANE's prototype says allow.
static void deny_and_allow_in_a_child_under_a_deny_is_deny(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, ports(80, 80));
	add_access(f, 2, 1, ACCESS_ALLOW, ports(80, 80));
	add_access(f, 3, 1, ACCESS_DENY, ports(80, 80));
	compile(f);
	assert_int_equal(access_at(f, 80, 0), ACCESS_DENY);
	assert_int_equal(condense(&f->table), 0);
	assert_int_equal(access_at(f, 80, 0), ACCESS_DENY);
}

static void child_allow_overrides_a_root_deny_for_just_its_flows(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, box_any());
	add_access(f, 2, 3, ACCESS_ALLOW, ports(80, 90));
	compile(f);
	assert_int_equal(f->table.n_rows, 2);
	assert_int_equal(access_at(f, 85, 0), ACCESS_ALLOW);
	assert_int_equal(access_at(f, 91, 0), ACCESS_DENY);
}

static void sibling_deny_beats_sibling_allow_whatever_the_depth(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 3, ACCESS_ALLOW, ports(80, 80));
	add_access(f, 2, 2, ACCESS_DENY, ports(80, 80));
	compile(f);
	assert_int_equal(access_at(f, 80, 0), ACCESS_DENY);
}

static void reservations_and_limits_that_meet_are_joined(void **state)
{
	struct fixture *f = *state;
	struct match_packet packet = tcp(85, 0);
	const struct row *row;

	add(f, 9, 1, ATOM_RESERVE, ACCESS_ALLOW, ports(80, 90));
	add(f, 4, 0, ATOM_RESERVE, ACCESS_NONE, ports(85, 95));
	add(f, 5, 2, ATOM_LIMIT, ACCESS_NONE, box_any());
	add_access(f, 6, 0, ACCESS_DENY, box_any());
	compile(f);
	row = flowtab_find(&f->table, &packet);
	assert_non_null(row);
	assert_int_equal(row->rank, 4);
	assert_int_equal(row->action.access, ACCESS_ALLOW);
	assert_int_equal(row->action.reservations.n, 2);
	assert_int_equal(row->action.reservations.id[0], 4);
	assert_int_equal(row->action.limits.n, 1);
}

static void requests_start_and_end_in_time(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, during(ports(80, 80), 100, 200));
	add_access(f, 2, 1, ACCESS_ALLOW, during(ports(80, 80), 150, INT64_MAX));
	compile(f);
	assert_int_equal(access_at(f, 80, 99), ACCESS_NONE);
	assert_int_equal(access_at(f, 80, 100), ACCESS_DENY);
	assert_int_equal(access_at(f, 80, 149), ACCESS_DENY);
	assert_int_equal(access_at(f, 80, 150), ACCESS_ALLOW);
	assert_int_equal(access_at(f, 80, 200), ACCESS_ALLOW);
}

static void requests_that_ended_have_no_rows(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, during(ports(80, 80), 100, 200));
	assert_int_equal(hft_compile(&f->tree, 199, 10, &f->table, &f->err), 0);
	assert_int_equal(f->table.n_rows, 1);
	assert_int_equal(box_start_ns(&f->table.rows[0].box), 100);
	assert_int_equal(hft_compile(&f->tree, 200, 10, &f->table, &f->err), 0);
	assert_int_equal(f->table.n_rows, 0);
}

static void too_many_rows_are_refused(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, ports(80, 90));
	add_access(f, 2, 0, ACCESS_DENY, ports(85, 95));
	assert_int_equal(hft_compile(&f->tree, 0, 3, &f->table, &f->err), 0);
	assert_int_equal(f->table.n_rows, 3);
	assert_int_equal(hft_compile(&f->tree, 0, 2, &f->table, &f->err), -E2BIG);
	assert_int_equal(f->table.n_rows, 0);
	assert_string_equal(f->err.msg, "the flow table of 2 requests needs more than 2 rows");
}

static void ninth_reservation_that_meets_is_refused_by_number(void **state)
{
	struct fixture *f = *state;

	for (uint64_t id = 1; id <= 8; id++)
		add(f, id, 0, ATOM_RESERVE, ACCESS_NONE, ports(80, 80 + id));
	compile(f);
	add(f, 9, 1, ATOM_RESERVE, ACCESS_NONE, ports(90, 99));
	compile(f); // does not meet the others
	add(f, 10, 1, ATOM_RESERVE, ACCESS_NONE, ports(70, 99));
	assert_int_equal(hft_compile(&f->tree, 0, COMPILE_ROWS_MAX, &f->table, &f->err), -E2BIG);
	assert_int_equal(f->table.n_rows, 0);
	assert_string_equal(f->err.msg, "more than 8 reservations meet in one packet: requests 1, 2, 3, 4, 5, 6, 7, "
					"8, 10");
}

static void limits_and_reservations_are_counted_apart(void **state)
{
	struct fixture *f = *state;

	for (uint64_t id = 1; id <= 16; id++)
		add(f, id, 0, id % 2 == 0 ? ATOM_RESERVE : ATOM_LIMIT, ACCESS_NONE, ports(80, 80));
	compile(f);
	assert_int_equal(f->table.n_rows, 1);
	assert_int_equal(f->table.rows[0].rank, 16);
	add(f, 17, 0, ATOM_LIMIT, ACCESS_NONE, ports(80, 80));
	assert_int_equal(hft_compile(&f->tree, 0, COMPILE_ROWS_MAX, &f->table, &f->err), -E2BIG);
	assert_non_null(strstr(f->err.msg, "8 limits"));
}

static void condense_drops_what_repeats_a_wider_row(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, box_any());
	add_access(f, 2, 1, ACCESS_DENY, ports(80, 80));
	compile(f);
	assert_int_equal(f->table.n_rows, 2);
	assert_int_equal(condense(&f->table), 1);
	assert_int_equal(f->table.n_rows, 1);
	assert_int_equal(access_at(f, 80, 0), ACCESS_DENY);
}

static void condense_drops_rows_that_higher_ones_cover_together(void **state)
{
	struct fixture *f = *state;

	add_access(f, 1, 0, ACCESS_DENY, ports(80, 89));
	add_access(f, 2, 1, ACCESS_ALLOW, ports(80, 84));
	add_access(f, 3, 1, ACCESS_ALLOW, ports(85, 89));
	compile(f);
	assert_int_equal(f->table.n_rows, 3);
	assert_int_equal(condense(&f->table), 1);
	assert_int_equal(f->table.rows[0].rank, 2);
	assert_int_equal(f->table.rows[1].rank, 2);
	assert_int_equal(access_at(f, 80, 0), ACCESS_ALLOW);
	assert_int_equal(access_at(f, 85, 0), ACCESS_ALLOW);
}

static void condense_drops_rows_equal_to_the_default(void **state)
{
	struct fixture *f = *state;
	struct row row = {.box = ports(80, 80), .rank = 1};

	assert_int_equal(flowtab_add(&f->table, &row), 0);
	assert_int_equal(condense(&f->table), 1);
	assert_int_equal(f->table.n_rows, 0);
}

// The middle row repeats the widest, but without it the row below would resurface.
static void condense_keeps_what_hides_a_lower_row(void **state)
{
	struct fixture *f = *state;
	struct row low = {.box = ports(80, 85), .rank = 1, .action.access = ACCESS_ALLOW};
	struct row middle = {.box = ports(84, 90), .rank = 2, .action.access = ACCESS_NONE};

	assert_int_equal(flowtab_add(&f->table, &middle), 0);
	assert_int_equal(flowtab_add(&f->table, &low), 0);
	assert_int_equal(condense(&f->table), 0);
}

static void rows_are_sorted_by_rank_then_key(void **state)
{
	struct fixture *f = *state;
	struct row row = {.rank = 1};

	for (uint64_t port = 1; port <= 50; port++) {
		row.rank = 1 + port % 3;
		row.box = ports(port, port);
		assert_int_equal(flowtab_add(&f->table, &row), 0);
	}
	flowtab_sort(&f->table);
	for (uint32_t i = 1; i < f->table.n_rows; i++) {
		const struct row *a = &f->table.rows[i - 1], *b = &f->table.rows[i];

		assert_true(a->rank > b->rank || (a->rank == b->rank && row_key(a) < row_key(b)));
	}
}

static void row_key_depends_on_box_rank_and_action_only(void **state)
{
	struct row a, b;

	memset(&a, 0x00, sizeof(a));
	memset(&b, 0xff, sizeof(b)); // padding and unused ids differ
	a.box = b.box = ports(80, 80);
	a.rank = b.rank = 3;
	a.action.access = b.action.access = ACCESS_ALLOW;
	a.action.reservations.n = b.action.reservations.n = 1;
	a.action.reservations.id[0] = b.action.reservations.id[0] = 5;
	b.action.limits.n = b.action.avoids.n = 0;
	b.action.waypoint = 0;
	a.action.avoids.overflow = b.action.avoids.overflow = false;
	a.action.reservations.overflow = b.action.reservations.overflow = false;
	a.action.limits.overflow = b.action.limits.overflow = false;
	assert_true(row_key(&a) == row_key(&b));
	b.rank = 4;
	assert_true(row_key(&a) != row_key(&b));
	b.rank = 3;
	b.action.access = ACCESS_DENY;
	assert_true(row_key(&a) != row_key(&b));
	b.action.access = ACCESS_ALLOW;
	b.action.reservations.id[0] = 6;
	assert_true(row_key(&a) != row_key(&b));
	b.action.reservations.id[0] = 5;
	b.box = ports(80, 81);
	assert_true(row_key(&a) != row_key(&b));
	// The number other processes and later runs see.
	assert_int_equal(row_key(&a), 0x55dd2180c75f7b1a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(no_requests_make_an_empty_table),
		TEST(deny_and_allow_in_a_child_under_a_deny_is_deny),
		TEST(child_allow_overrides_a_root_deny_for_just_its_flows),
		TEST(sibling_deny_beats_sibling_allow_whatever_the_depth),
		TEST(reservations_and_limits_that_meet_are_joined),
		TEST(requests_start_and_end_in_time),
		TEST(requests_that_ended_have_no_rows),
		TEST(too_many_rows_are_refused),
		TEST(ninth_reservation_that_meets_is_refused_by_number),
		TEST(limits_and_reservations_are_counted_apart),
		TEST(condense_drops_what_repeats_a_wider_row),
		TEST(condense_drops_rows_that_higher_ones_cover_together),
		TEST(condense_drops_rows_equal_to_the_default),
		TEST(condense_keeps_what_hides_a_lower_row),
		TEST(rows_are_sorted_by_rank_then_key),
		TEST(row_key_depends_on_box_rank_and_action_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
