// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hft/tree.h"

static struct idset ids(unsigned int n, const uint64_t *id)
{
	struct idset set = {.n = 0};

	for (unsigned int i = 0; i < n; i++)
		idset_add(&set, id[i]);
	return set;
}

static void join_takes_deny_then_allow_then_none(void **state)
{
	for (int a = ACCESS_NONE; a <= ACCESS_DENY; a++) {
		for (int b = ACCESS_NONE; b <= ACCESS_DENY; b++) {
			struct action x = {.access = a}, y = {.access = b};
			enum access want = a == ACCESS_DENY || b == ACCESS_DENY     ? ACCESS_DENY
					   : a == ACCESS_ALLOW || b == ACCESS_ALLOW ? ACCESS_ALLOW
										    : ACCESS_NONE;

			assert_int_equal(action_join(&x, &y).access, want);
		}
	}
}

static void child_access_stands_unless_none(void **state)
{
	for (int child = ACCESS_NONE; child <= ACCESS_DENY; child++) {
		for (int parent = ACCESS_NONE; parent <= ACCESS_DENY; parent++) {
			struct action x = {.access = child}, y = {.access = parent};

			assert_int_equal(action_over(&x, &y).access, child == ACCESS_NONE ? parent : child);
		}
	}
}

static void sets_are_joined_by_both_operators(void **state)
{
	struct action a = {.reservations = ids(2, (uint64_t[]){5, 3}), .limits = ids(1, (uint64_t[]){9})};
	struct action b = {.reservations = ids(2, (uint64_t[]){4, 5})};
	struct action want = {.reservations = ids(3, (uint64_t[]){3, 4, 5}), .limits = ids(1, (uint64_t[]){9})};
	struct action join = action_join(&a, &b), over = action_over(&b, &a);

	assert_true(action_equal(&join, &want));
	assert_true(action_equal(&over, &want));
	assert_int_equal(join.reservations.id[0], 3);
	assert_int_equal(join.reservations.id[1], 4);
	assert_int_equal(join.reservations.id[2], 5);
}

static void none_is_the_identity(void **state)
{
	struct action a = {.access = ACCESS_ALLOW, .limits = ids(1, (uint64_t[]){9})}, none = action_none();
	struct action join = action_join(&a, &none), over = action_over(&none, &a), under = action_over(&a, &none);

	assert_true(action_equal(&join, &a));
	assert_true(action_equal(&over, &a));
	assert_true(action_equal(&under, &a));
	assert_false(action_equal(&a, &none));
}

static void ninth_id_overflows_in_any_order(void **state)
{
	struct idset up = {.n = 0}, down = {.n = 0};

	for (uint64_t i = 1; i <= ACTION_SET_MAX; i++) {
		idset_add(&up, i);
		idset_add(&down, ACTION_SET_MAX + 2 - i);
	}
	idset_add(&up, ACTION_SET_MAX);
	assert_false(up.overflow);
	assert_int_equal(up.n, ACTION_SET_MAX);
	idset_add(&up, ACTION_SET_MAX + 1);
	idset_add(&down, 1);
	assert_true(up.overflow && down.overflow);
	assert_int_equal(down.n, ACTION_SET_MAX);
	assert_memory_equal(up.id, down.id, sizeof(up.id));
	assert_true(idset_union(&(struct idset){.n = 0}, &up).overflow);
}

static void atom_contributes_its_part_and_access(void **state)
{
	struct atom atom = {.id = 7, .part = ATOM_RESERVE, .access = ACCESS_ALLOW};
	struct action action = atom_action(&atom);

	assert_int_equal(action.access, ACCESS_ALLOW);
	assert_int_equal(action.reservations.n, 1);
	assert_int_equal(action.reservations.id[0], 7);
	assert_int_equal(action.limits.n, 0);
	atom.part = ATOM_LIMIT;
	atom.access = ACCESS_NONE;
	action = atom_action(&atom);
	assert_int_equal(action.access, ACCESS_NONE);
	assert_int_equal(action.reservations.n, 0);
	assert_int_equal(action.limits.id[0], 7);
	atom.part = ATOM_ACCESS;
	atom.access = ACCESS_DENY;
	action = atom_action(&atom);
	assert_int_equal(action.access, ACCESS_DENY);
	assert_int_equal(action.reservations.n + action.limits.n, 0);
}

static void tree_takes_the_atoms_match(void **state)
{
	struct box box = box_any();
	struct atom atom = {.id = 1, .access = ACCESS_DENY};
	struct tree tree;

	tree_init(&tree);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	assert_int_equal(tree_add_node(&tree, 0), 1);
	assert_int_equal(tree_add_node(&tree, 1), 2);
	assert_int_equal(tree.nodes[2].depth, 2);
	assert_int_equal(match_add(&atom.match, &box), 0);
	assert_int_equal(tree_add_atom(&tree, &atom), 0);
	assert_null(atom.match.boxes);
	assert_int_equal(tree.atoms[0].match.n_boxes, 1);
	tree_fini(&tree);
	assert_int_equal(tree.n_nodes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(join_takes_deny_then_allow_then_none),
		cmocka_unit_test(child_access_stands_unless_none),
		cmocka_unit_test(sets_are_joined_by_both_operators),
		cmocka_unit_test(none_is_the_identity),
		cmocka_unit_test(ninth_id_overflows_in_any_order),
		cmocka_unit_test(atom_contributes_its_part_and_access),
		cmocka_unit_test(tree_takes_the_atoms_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
