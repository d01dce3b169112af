// SPDX-License-Identifier: Apache-2.0
// Which of the frames that a worker meets are told: none twice within a time, and among full bursts each queue's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/sights.h"

#define AGAIN 100
#define MAC(port, i) (0x020000000000ull + ((uint64_t)(port) << 24) + (i))

static struct sights *make(void)
{
	struct err err;
	struct sights *s = sights_create(AGAIN, &err);

	assert_non_null(s);
	return s;
}

static void a_sender_is_told_once_in_a_time(void **state)
{
	struct sights *s = make();
	struct pkt pkt = {.src_mac = MAC(0, 1)};
	struct sight sight;

	for (uint32_t tick = UINT32_MAX - 50; tick != 3 * AGAIN - 50; tick++) { // over the wrap of the clock
		sights_note(s, &pkt, 3, tick);
		if ((uint32_t)(tick + 51) % AGAIN == 0) {
			assert_true(sights_next(s, &sight));
			assert_true(sight.mac == MAC(0, 1) && sight.port == 3);
		}
		assert_false(sights_next(s, &sight));
	}
	sights_destroy(s);
}

// A worker asks its queues in turn: however many they are, and all full, each has its share.
static void full_bursts_of_queues_in_turn_are_looked_at_alike(void **state)
{
	enum { QUEUES_MAX = 16, ROUNDS = 8000 };

	for (uint16_t n_queues = 1; n_queues <= QUEUES_MAX; n_queues++) {
		uint32_t n[QUEUES_MAX] = {0}, place[PKT_BURST] = {0};
		struct sights *s = make();
		struct sight sight;

		for (uint32_t i = 0; i < ROUNDS * n_queues; i++) {
			struct pkt pkts[PKT_BURST] = {0};
			uint16_t port = (uint16_t)(i % n_queues);

			for (uint32_t k = 0; k < PKT_BURST; k++)
				pkts[k].src_mac = MAC(port, i * PKT_BURST + k);
			sights_note_burst(s, pkts, PKT_BURST, port, 0);
			if (sights_next(s, &sight)) {
				n[sight.port]++;
				place[sight.mac % PKT_BURST]++;
			}
		}
		for (uint16_t q = 0; q < n_queues; q++)
			assert_in_range(n[q], ROUNDS / 8 * 4 / 5, ROUNDS / 8 * 6 / 5);
		for (uint32_t k = 0; k < PKT_BURST; k++) {
			uint32_t mean = ROUNDS * n_queues / 8 / PKT_BURST;

			assert_in_range(place[k], mean / 2, mean * 2);
		}
		sights_destroy(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_is_told_once_in_a_time),
		cmocka_unit_test(full_bursts_of_queues_in_turn_are_looked_at_alike),
	};

	return cmocka_run_group_tests_name("sights", tests, NULL, NULL);
}
