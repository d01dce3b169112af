// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/sched_plan.h"

#define N 200000

struct fixture {
	struct sched_slots *slots;
	struct sched_meter meter[SCHED_METERS_MAX + 8];
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->slots = sched_slots_create(&f->err);
	assert_non_null(f->slots);
	for (uint32_t i = 0; i < SCHED_METERS_MAX + 8; i++)
		f->meter[i] = (struct sched_meter){.id = 1000 + i, .rate_bps = 1000000 + i};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sched_slots_destroy(f->slots);
	free(f);
	return 0;
}

// An action that reserves with meter r and is limited by meter l; 0: none.
static struct action act(uint64_t r, uint64_t l)
{
	struct action a = {.access = ACCESS_ALLOW};

	if (r != 0)
		a.reservations.id[a.reservations.n++] = r;
	if (l != 0)
		a.limits.id[a.limits.n++] = l;
	return a;
}

static struct sched_plan *build(struct fixture *f, const struct action *a, uint32_t n, uint32_t *class_slot)
{
	struct sched_plan *plan =
		sched_plan_build(f->slots, 1, a, n, f->meter, SCHED_METERS_MAX + 8, class_slot, &f->err);

	assert_non_null(plan);
	return plan;
}

static const struct sched_class *class_of(const struct sched_plan *plan, uint32_t slot)
{
	for (uint32_t i = 0; i < plan->n_classes; i++) {
		if (plan->classes[i].slot == slot)
			return &plan->classes[i];
	}
	fail_msg("slot %u is not in the plan", slot);
	return NULL;
}

static const struct sched_meter *meter_at(const struct sched_plan *plan, uint32_t slot)
{
	for (uint32_t i = 0; i < plan->n_meters; i++) {
		if (plan->meters[i].slot == slot)
			return &plan->meters[i];
	}
	fail_msg("meter %u is not in the plan", slot);
	return NULL;
}

static void equal_sets_are_one_class_and_none_is_best_effort(void **state)
{
	struct fixture *f = *state;
	struct action a[] = {act(0, 0), act(1000, 0), act(0, 1000), act(1000, 1001), act(1000, 0), act(0, 0)};
	const struct sched_class *c;
	struct sched_plan *plan;
	uint32_t slot[6];

	a[4].access = ACCESS_NONE; // access is no part of a class
	plan = build(f, a, 6, slot);
	assert_int_equal(slot[0], SCHED_BEST_EFFORT);
	assert_int_equal(slot[5], SCHED_BEST_EFFORT);
	assert_int_equal(slot[1], slot[4]);
	assert_true(slot[1] != slot[2] && slot[1] != slot[3] && slot[2] != slot[3]);
	assert_int_equal(plan->n_classes, 3);
	assert_int_equal(plan->n_meters, 2);
	c = class_of(plan, slot[3]);
	assert_int_equal(c->n_reservations, 1);
	assert_int_equal(c->n_limits, 1);
	assert_int_equal(c->weight, 1);
	assert_int_equal(meter_at(plan, c->reservation[0])->id, 1000);
	assert_int_equal(meter_at(plan, c->limit[0])->id, 1001);
	assert_int_equal(meter_at(plan, c->limit[0])->rate_bps, 1000001);
	sched_plan_destroy(plan);
}

static void full_sets_keep_their_order(void **state)
{
	struct fixture *f = *state;
	const struct sched_class *c;
	struct sched_plan *plan;
	struct action a = {0};
	uint32_t slot;

	for (unsigned int i = 0; i < ACTION_SET_MAX; i++) {
		idset_add(&a.reservations, 1000 + i);
		idset_add(&a.limits, 1100 + i);
	}
	plan = build(f, &a, 1, &slot);
	c = class_of(plan, slot);
	assert_int_equal(c->n_reservations, ACTION_SET_MAX);
	assert_int_equal(c->n_limits, ACTION_SET_MAX);
	for (unsigned int i = 0; i < ACTION_SET_MAX; i++) {
		assert_int_equal(meter_at(plan, c->reservation[i])->id, 1000 + i);
		assert_int_equal(meter_at(plan, c->limit[i])->id, 1100 + i);
	}
	sched_plan_destroy(plan);
}

static void slots_and_uids_stay_while_in_use(void **state)
{
	struct fixture *f = *state;
	struct action before[] = {act(1000, 0), act(1001, 0), act(0, 1002)};
	struct action after[] = {act(0, 1002), act(1005, 1006), act(1000, 0)};
	uint32_t s1[3], s2[3];
	struct sched_plan *p1 = build(f, before, 3, s1), *p2 = build(f, after, 3, s2);

	assert_int_equal(s1[0], s2[2]);
	assert_int_equal(s1[2], s2[0]);
	assert_true(class_of(p1, s1[0])->uid == class_of(p2, s1[0])->uid);
	assert_true(class_of(p1, s1[0])->reservation[0] == class_of(p2, s1[0])->reservation[0]);
	assert_true(s2[1] != s1[1]); // that one rests
	sched_plan_destroy(p1);
	sched_plan_destroy(p2);
}

static void freed_slot_rests_for_two_plans_and_then_has_another_uid(void **state)
{
	struct fixture *f = *state;
	struct action a = act(1000, 0);
	uint32_t first, slot, n_seen = 0;
	struct sched_plan *plan = build(f, &a, 1, &first);
	uint64_t uid = plan->classes[0].uid;

	sched_plan_destroy(plan);
	for (uint32_t i = 1; i < 2 * SCHED_CLASSES_MAX; i++) { // a plan each, until the first slot comes round again
		a = act(1000 + i % SCHED_METERS_MAX, 0);
		plan = build(f, &a, 1, &slot);
		if (i <= 3)
			assert_true(slot != first);
		if (slot == first) {
			assert_true(plan->classes[0].uid != uid);
			n_seen++;
		}
		sched_plan_destroy(plan);
	}
	assert_true(n_seen > 0);
}

static void set_that_comes_back_while_its_slot_rests_is_the_same_class(void **state)
{
	struct fixture *f = *state;
	struct action a = act(1000, 0);
	uint32_t first, slot;
	struct sched_plan *plan = build(f, &a, 1, &first);
	uint64_t uid = plan->classes[0].uid;

	sched_plan_destroy(plan);
	sched_plan_destroy(build(f, NULL, 0, NULL));
	sched_plan_destroy(build(f, NULL, 0, NULL));
	plan = build(f, &a, 1, &slot);
	assert_int_equal(slot, first);
	assert_true(plan->classes[0].uid == uid);
	sched_plan_destroy(plan);
}

static void error_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct action good[] = {act(1000, 1001), act(1002, 0)}, bad[] = {act(1003, 0), act(1004, 0), act(7, 0)};
	struct action later = act(1005, 0), same = act(1005, 0);
	uint32_t s1[2], s2[3], s3, s4;
	struct sched_slots *twin = sched_slots_create(NULL);
	struct sched_plan *p1, *p2;

	sched_plan_destroy(build(f, good, 2, s1));
	assert_null(sched_plan_build(f->slots, 2, bad, 3, f->meter, 100, s2, &f->err));
	assert_int_equal(f->err.code, ENOENT);
	assert_string_equal(f->err.msg, "scheduler plan: meter 7 has no rate");
	bad[2] = act(1000, 0);
	bad[2].limits.overflow = true;
	assert_null(sched_plan_build(f->slots, 2, bad, 3, f->meter, 100, s2, &f->err));
	assert_int_equal(f->err.code, E2BIG);
	p1 = build(f, &later, 1, &s3); // as if the bad ones had never been
	sched_plan_destroy(sched_plan_build(twin, 1, good, 2, f->meter, 100, s1, NULL));
	p2 = sched_plan_build(twin, 1, &same, 1, f->meter, 100, &s4, NULL);
	assert_int_equal(s3, s4);
	assert_true(p1->classes[0].uid == p2->classes[0].uid);
	assert_true(p1->meters[0].uid == p2->meters[0].uid);
	assert_int_equal(p1->meters[0].slot, p2->meters[0].slot);
	sched_plan_destroy(p1);
	sched_plan_destroy(p2);
	sched_slots_destroy(twin);
}

static void more_classes_or_meters_than_slots_are_refused(void **state)
{
	struct fixture *f = *state;
	struct action *a = calloc(SCHED_METERS_MAX + 1, sizeof(*a));
	uint32_t *slot = calloc(SCHED_METERS_MAX + 1, sizeof(*slot));

	for (uint32_t i = 0; i < SCHED_CLASSES_MAX; i++)
		a[i] = act(1000 + i, 0);
	assert_null(sched_plan_build(f->slots, 1, a, SCHED_CLASSES_MAX, f->meter, SCHED_METERS_MAX, slot, &f->err));
	assert_int_equal(f->err.code, ENOSPC);
	sched_plan_destroy(build(f, a, SCHED_CLASSES_MAX - 1, slot)); // best effort has the other one
	for (uint32_t i = 0; i < SCHED_METERS_MAX + 8; i++)
		idset_add(&a[i / 8].limits, 1000 + i);
	for (uint32_t i = 0; i <= SCHED_METERS_MAX / 8; i++)
		a[i].reservations.n = 0;
	assert_null(sched_plan_build(f->slots, 1, a, SCHED_METERS_MAX / 8 + 1, f->meter, SCHED_METERS_MAX + 8, slot,
				     &f->err));
	assert_int_equal(f->err.code, ENOSPC);
	free(a);
	free(slot);
}

static void many_rows_with_repeats_are_cheap(void **state)
{
	struct fixture *f = *state;
	struct action *a = calloc(N, sizeof(*a));
	uint32_t *slot = calloc(N, sizeof(*slot));
	struct sched_plan *plan;

	assert_non_null(a);
	for (uint32_t i = 0; i < N; i++)
		a[i] = act(1000 + i % 4000, 1000 + i % 4000 / 100);
	for (unsigned int i = 0; i < 5; i++) { // a quadratic build would not end within the test's time
		plan = build(f, a, N, slot);
		assert_int_equal(plan->n_classes, 4000);
		assert_int_equal(plan->n_meters, 4000);
		sched_plan_destroy(plan);
	}
	for (uint32_t i = 4000; i < N; i++)
		assert_int_equal(slot[i], slot[i - 4000]);
	free(a);
	free(slot);
}

// Random plans against a plain memory of who has which slot.
static void random_plans_never_give_a_slot_to_two_owners(void **state)
{
	struct fixture *f = *state;
	uint64_t owner[SCHED_CLASSES_MAX] = {0}, uid[SCHED_CLASSES_MAX] = {0}, last[SCHED_CLASSES_MAX] = {0};

	srand(5);
	for (uint64_t n = 1; n < 2000; n++) {
		struct action a[60];
		uint32_t slot[60];
		struct sched_plan *plan;

		for (unsigned int i = 0; i < 60; i++)
			a[i] = act(1000 + (uint64_t)rand() % 12, 1100 + (uint64_t)rand() % 12);
		plan = build(f, a, (uint32_t)rand() % 60, slot);
		for (uint32_t i = 0; i < plan->n_classes; i++) {
			const struct sched_class *c = &plan->classes[i];
			uint64_t key = meter_at(plan, c->reservation[0])->id * 10000 + meter_at(plan, c->limit[0])->id;

			if (uid[c->slot] == c->uid)
				assert_true(owner[c->slot] == key);
			else
				assert_true(last[c->slot] == 0 ||
					    n - last[c->slot] > 3); // missing in one, resting for two
			owner[c->slot] = key;
			uid[c->slot] = c->uid;
			last[c->slot] = n;
		}
		sched_plan_destroy(plan);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_sets_are_one_class_and_none_is_best_effort, setup, teardown),
		cmocka_unit_test_setup_teardown(full_sets_keep_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(slots_and_uids_stay_while_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_slot_rests_for_two_plans_and_then_has_another_uid, setup,
						teardown),
		cmocka_unit_test_setup_teardown(set_that_comes_back_while_its_slot_rests_is_the_same_class, setup,
						teardown),
		cmocka_unit_test_setup_teardown(error_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(more_classes_or_meters_than_slots_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(many_rows_with_repeats_are_cheap, setup, teardown),
		cmocka_unit_test_setup_teardown(random_plans_never_give_a_slot_to_two_owners, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
