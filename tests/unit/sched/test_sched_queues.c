// SPDX-License-Identifier: Apache-2.0
// The timing wheel and the calendar alone, against arrays that are looked through from end to end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/sched_calendar.h"
#include "dataplane/sched_wheel.h"

#define ITEMS 300
#define ROUNDS 200000UL
#define SLOT (UINT64_C(1) << WHEEL_SHIFT)

static uint64_t seed = 1;

static uint64_t roll(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static unsigned long begin(void)
{
	const char *rounds = getenv("PANE_ROUNDS"), *wanted = getenv("PANE_SEED");

	seed = wanted != NULL ? strtoull(wanted, NULL, 0) | 1 : 20261121;
	printf("PANE_SEED=%llu\n", (unsigned long long)seed);
	return rounds != NULL ? strtoul(rounds, NULL, 0) * 1000 : ROUNDS;
}

// --- wheel

struct timer {
	struct wheel_item item;
	uint64_t key; // as asked for
	bool in;
};

static struct timer timers[ITEMS];

static void forget_all(void)
{
	for (uint32_t id = 0; id < ITEMS; id++)
		timers[id].in = false;
}

static uint64_t least(void)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < ITEMS; i++) {
		if (timers[i].in && timers[i].key < least)
			least = timers[i].key;
	}
	return least;
}

static uint64_t distance(void) // from slots to weeks
{
	uint64_t bits = roll(8) == 0 ? 52 : roll(38);

	return roll(UINT64_C(1) << bits);
}

static void take_out_some(struct wheel *w)
{
	uint32_t id = (uint32_t)roll(ITEMS);

	if (timers[id].in)
		wheel_del(w, id);
	timers[id].in = false;
}

static void an_item_comes_out_when_its_slot_is_past_and_before_none_that_is_a_slot_earlier(void **state)
{
	unsigned long rounds = begin();
	uint64_t now = 1000 * SLOT;
	static struct wheel w;

	forget_all();
	wheel_init(&w, timers, sizeof(timers[0]), now);
	for (unsigned long n = 0; n < rounds; n++) {
		uint32_t id = (uint32_t)roll(ITEMS);

		if (!timers[id].in) {
			timers[id].key = now + distance() - roll(3) * SLOT; // also what is past
			timers[id].in = true;
			wheel_add(&w, id, timers[id].key);
			if (timers[id].key >> WHEEL_SHIFT < w.cur) // what is past is due with the present slot
				timers[id].key = w.cur << WHEEL_SHIFT;
		}
		if (roll(4) == 0)
			take_out_some(&w);
		if (roll(3) == 0)
			now += roll(4) == 0 ? distance() >> roll(30) : roll(3 * SLOT);
		while ((id = wheel_pop_due(&w, now)) != WHEEL_NONE) {
			assert_true(timers[id].in);
			assert_true(timers[id].key >> WHEEL_SHIFT < now >> WHEEL_SHIFT);
			timers[id].in = false;
			if (least() >> WHEEL_SHIFT < timers[id].key >> WHEEL_SHIFT)
				assert_true(timers[id].key < now); // only among those that were due at once
		}
		assert_true(least() == UINT64_MAX || least() >> WHEEL_SHIFT >= now >> WHEEL_SHIFT);
	}
}

// As the ready queue is used: the first, whatever the time.
static void the_first_has_the_lowest_key_within_its_slot(void **state)
{
	unsigned long rounds = begin() / 4;
	uint64_t now = 1000 * SLOT;
	static struct wheel w;

	forget_all();
	wheel_init(&w, timers, sizeof(timers[0]), now);
	for (unsigned long n = 0; n < rounds; n++) {
		uint32_t id = (uint32_t)roll(ITEMS);

		if (!timers[id].in && roll(3) > 0) {
			timers[id].key = now + roll(UINT64_C(1) << roll(30));
			timers[id].in = true;
			wheel_add(&w, id, timers[id].key);
		}
		now += roll(2) * roll(SLOT);
		id = wheel_first(&w, now);
		assert_int_equal(id == WHEEL_NONE, least() == UINT64_MAX);
		if (id == WHEEL_NONE || least() > now)
			continue; // those ahead are not sorted yet
		assert_true(timers[id].in && timers[id].key >> WHEEL_SHIFT <= now >> WHEEL_SHIFT);
		if (least() >> WHEEL_SHIFT >= w.cur)
			assert_true(timers[id].key >> WHEEL_SHIFT == least() >> WHEEL_SHIFT);
		wheel_del(&w, id);
		timers[id].in = false;
	}
}

static void next_is_never_late_and_exact_where_few_wait(void **state)
{
	unsigned long rounds = begin() / 4;
	uint64_t now = 1000 * SLOT;
	static struct wheel w;

	forget_all();
	wheel_init(&w, timers, sizeof(timers[0]), now);
	for (unsigned long n = 0; n < rounds; n++) {
		uint32_t id = (uint32_t)roll(8), in = 0;
		uint64_t due = (least() >> WHEEL_SHIFT) + 1, next;

		for (uint32_t i = 0; i < ITEMS; i++)
			in += timers[i].in;
		next = wheel_next(&w);
		if (in == 0)
			assert_true(next == UINT64_MAX);
		else
			assert_true(next >> WHEEL_SHIFT == due); // eight items: exact
		if (timers[id].in) {
			wheel_del(&w, id);
			timers[id].in = false;
			continue;
		}
		timers[id].key = now + roll(UINT64_C(1) << roll(40));
		timers[id].in = true;
		wheel_add(&w, id, timers[id].key);
	}
}

static void items_of_one_slot_come_out_in_the_order_in_which_they_went_in(void **state)
{
	static struct wheel w;
	uint64_t now = 1000 * SLOT;

	forget_all();
	wheel_init(&w, timers, sizeof(timers[0]), now);
	for (uint32_t i = 0; i < 50; i++)
		wheel_add(&w, i * 7 % 50, now + 5000 * SLOT + i % 3); // far ahead: they are moved twice
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(wheel_pop_due(&w, now + 5001 * SLOT), i * 7 % 50);
	assert_int_equal(wheel_pop_due(&w, UINT64_MAX / 2), WHEEL_NONE);
}

// --- calendar

struct turn {
	struct calendar_item item;
	bool in;
};

static struct turn turns[ITEMS];

// Start-time fair queueing as the scheduler does it: the first is served, its tag grows, it comes in again.
static void the_first_has_the_lowest_tag_to_a_slot(void **state)
{
	const struct calendar_items items = {(char *)turns, sizeof(turns[0])};
	const unsigned int shift = 12;
	const uint64_t behind = UINT64_C(2) << shift;
	unsigned long rounds = begin();
	static struct calendar c;
	uint64_t now = UINT64_MAX - (UINT64_C(1) << 24); // tags wrap

	for (unsigned long n = 0; n < rounds; n++) {
		uint32_t id = (uint32_t)roll(ITEMS), first;
		uint64_t lowest = 0;
		bool any = false;

		if (!turns[id].in) {
			turns[id].item.tag = now + roll(60ULL << shift) - behind;
			turns[id].in = true;
			calendar_add(&c, items, id, now - behind, shift);
		} else if (roll(3) == 0) {
			turns[id].in = false;
			calendar_del(&c, items, id);
		}
		for (uint32_t i = 0; i < ITEMS; i++) {
			if (turns[i].in && (!any || (int64_t)(turns[i].item.tag - lowest) < 0))
				lowest = turns[i].item.tag;
			any |= turns[i].in;
		}
		assert_int_equal(any, c.map != 0);
		if (!any)
			continue;
		first = calendar_first(&c, now - behind, shift);
		assert_true(turns[first].in);
		assert_true((int64_t)(turns[first].item.tag - lowest) < (int64_t)(UINT64_C(1) << shift));
		calendar_del(&c, items, first);
		now = calendar_reach(&turns[first].item, now, now - behind, shift);
		turns[first].item.tag += roll(UINT64_C(1) << (shift + 2));
		calendar_add(&c, items, first, now - behind, shift);
	}
}

// What was served grows with what was asked for: each of ten has a tenth, whatever the sizes.
static void turns_of_equal_weight_come_to_equal_parts(void **state)
{
	const struct calendar_items items = {(char *)turns, sizeof(turns[0])};
	const unsigned int shift = 12;
	uint64_t now = 1000000, served[10] = {0}, all = 0;
	static struct calendar c;

	begin();
	for (uint32_t i = 0; i < 10; i++) {
		turns[i].item.tag = now;
		calendar_add(&c, items, i, now, shift);
	}
	for (int n = 0; n < 100000; n++) {
		uint32_t id = calendar_first(&c, now, shift);
		uint64_t part = 1 + roll((id + 1) * 1000);

		calendar_del(&c, items, id);
		now = calendar_reach(&turns[id].item, now, now, shift);
		turns[id].item.tag += part;
		served[id] += part;
		all += part;
		calendar_add(&c, items, id, now, shift);
	}
	for (int i = 0; i < 10; i++)
		assert_true(served[i] + 3 * 10000 > all / 10 && served[i] < all / 10 + 3 * 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_comes_out_when_its_slot_is_past_and_before_none_that_is_a_slot_earlier),
		cmocka_unit_test(the_first_has_the_lowest_key_within_its_slot),
		cmocka_unit_test(next_is_never_late_and_exact_where_few_wait),
		cmocka_unit_test(items_of_one_slot_come_out_in_the_order_in_which_they_went_in),
		cmocka_unit_test(the_first_has_the_lowest_tag_to_a_slot),
		cmocka_unit_test(turns_of_equal_weight_come_to_equal_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
