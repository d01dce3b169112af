// SPDX-License-Identifier: Apache-2.0
// A policy of random demands at the root, for tests of circuits.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/of_policy.h"

// Of n demands, numbered from 1, each as draw makes it: with its flows, and its addresses if it has any.
static inline void policy_of_demands(struct of_policy *policy, uint64_t n, void (*draw)(struct demand *d, uint64_t id))
{
	struct demands demands;
	struct tree tree;
	struct err err;

	demands_init(&demands);
	tree_init(&tree);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	for (uint64_t id = 1; id <= n; id++) {
		struct demand d;

		draw(&d, id);
		assert_int_equal(demands_add(&demands, &d), 0);
		ip_list_unref(d.addresses);
	}
	assert_int_equal(of_policy_build(policy, &tree, &demands, 0, NULL, &err), 0);
	tree_fini(&tree);
}
