// SPDX-License-Identifier: Apache-2.0
// The address table: learning, moves, ageing, flushing, a full table, and a long random comparison with a plain list.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/fdb_near.h"
#include "tests/rounds.h"

#define A 0x020000000001ull
#define B 0x020000000002ull
#define AGEING 300

static struct fdb *make(uint32_t n)
{
	struct err err;
	struct fdb *fdb = fdb_create(n, AGEING, 12345, &err);

	assert_non_null(fdb);
	return fdb;
}

static void address_is_known_on_the_port_it_came_from_in_its_vlan(void **state)
{
	struct fdb *fdb = make(16);

	assert_int_equal(fdb_find(fdb, 0, A, 0), FDB_PORT_NONE);
	assert_int_equal(fdb_learn(fdb, 0, A, 3, 0), FDB_NEW);
	assert_int_equal(fdb_learn(fdb, 0, A, 3, 1), FDB_KNOWN);
	assert_int_equal(fdb_find(fdb, 0, A, 1), 3);
	assert_int_equal(fdb_find(fdb, 7, A, 1), FDB_PORT_NONE);
	assert_int_equal(fdb_learn(fdb, 7, A, 4, 1), FDB_NEW);
	assert_int_equal(fdb_find(fdb, 0, A, 1), 3);
	assert_int_equal(fdb_find(fdb, 7, A, 1), 4);
	assert_int_equal(fdb_find(fdb, 0, B, 1), FDB_PORT_NONE);
	fdb_destroy(fdb);
}

static void last_port_wins_when_an_address_moves(void **state)
{
	struct fdb *fdb = make(16);

	fdb_learn(fdb, 0, A, 1, 0);
	assert_int_equal(fdb_learn(fdb, 0, A, 2, 0), FDB_MOVED);
	assert_int_equal(fdb_find(fdb, 0, A, 0), 2);
	assert_int_equal(fdb_n_entries(fdb), 1);
	fdb_destroy(fdb);
}

static void silent_address_expires_exactly_at_its_age_and_is_removed(void **state)
{
	static const uint32_t starts[] = {0, 5, UINT32_MAX - 100}; // also across the wrap
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint32_t t = starts[i];
		struct fdb *fdb = make(16);

		fdb_learn(fdb, 0, A, 1, t);
		fdb_learn(fdb, 0, B, 1, t);
		fdb_learn(fdb, 0, B, 1, t + 100); // seen again
		assert_int_equal(fdb_find(fdb, 0, A, t + AGEING - 1), 1);
		assert_int_equal(fdb_find(fdb, 0, A, t + AGEING), FDB_PORT_NONE);
		assert_int_equal(fdb_find(fdb, 0, B, t + AGEING), 1);
		assert_int_equal(fdb_n_entries(fdb), 2);
		fdb_age(fdb, 2 * fdb_n_slots(fdb), t + AGEING);
		assert_int_equal(fdb_n_entries(fdb), 1);
		assert_int_equal(fdb_learn(fdb, 0, A, 2, t + AGEING), FDB_NEW);
		fdb_destroy(fdb);
	}
}

static void expired_address_elsewhere_is_new_not_moved(void **state)
{
	struct fdb *fdb = make(16);

	fdb_learn(fdb, 0, A, 1, 0);
	assert_int_equal(fdb_learn(fdb, 0, A, 2, AGEING), FDB_NEW);
	assert_int_equal(fdb_n_entries(fdb), 1);
	fdb_destroy(fdb);
}

static void flush_forgets_just_that_port(void **state)
{
	struct fdb *fdb = make(16);

	fdb_learn(fdb, 0, A, 1, 0);
	fdb_learn(fdb, 0, B, 2, 0);
	fdb_flush_port(fdb, 1);
	assert_int_equal(fdb_find(fdb, 0, A, 0), FDB_PORT_NONE);
	assert_int_equal(fdb_find(fdb, 0, B, 0), 2);
	assert_int_equal(fdb_learn(fdb, 0, A, 1, 0), FDB_NEW);
	assert_int_equal(fdb_find(fdb, 0, A, 0), 1);
	fdb_destroy(fdb);
}

static void full_table_learns_no_more_but_keeps_what_it_has(void **state)
{
	enum { N = 1000 };
	struct fdb *fdb = make(N);

	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(fdb_learn(fdb, 0, A + i, (uint16_t)(i % 8), 0), FDB_NEW);
	assert_int_equal(fdb_learn(fdb, 0, A + N, 1, 0), FDB_FULL);
	assert_int_equal(fdb_find(fdb, 0, A + N, 0), FDB_PORT_NONE);
	assert_int_equal(fdb_learn(fdb, 0, A, 7, 0), FDB_MOVED); // known ones still move
	for (uint32_t i = 1; i < N; i++)
		assert_int_equal(fdb_find(fdb, 0, A + i, 0), i % 8);
	fdb_age(fdb, 2 * fdb_n_slots(fdb) + N, AGEING);
	assert_int_equal(fdb_n_entries(fdb), 0);
	assert_int_equal(fdb_learn(fdb, 0, A + N, 1, AGEING), FDB_NEW);
	fdb_destroy(fdb);
}

static void senseless_sizes_are_refused(void **state)
{
	struct err err;

	assert_null(fdb_create(0, AGEING, 1, &err));
	assert_null(fdb_create(16, 0, 1, &err));
	assert_null(fdb_create(16, 1u << 31, 1, &err));
	assert_int_equal(err.code, 22);
}

// Two threads learn, one ages; a reader never sees an address at a port where it has never been.
enum { THREAD_MACS = 64, THREAD_ROUNDS = 200000 };

static _Atomic bool done;

static void *learn_for_ever(void *arg)
{
	struct fdb *fdb = arg;
	uint32_t state = (uint32_t)(uintptr_t)&state, now = 0;

	while (!atomic_load(&done)) {
		uint32_t i;

		state = state * 1664525 + 1013904223;
		i = state >> 16 & (THREAD_MACS - 1);
		fdb_learn(fdb, 0, A + i, (uint16_t)(i % 32), now);
		now += (state >> 8 & 7) == 0;
		if ((state >> 11 & 7) == 0)
			fdb_age(fdb, 8, now);
	}
	return NULL;
}

static void threads_never_see_an_address_where_it_was_not(void **state)
{
	struct fdb *fdb = make(THREAD_MACS);
	pthread_t thread[2];
	uint32_t n_found = 0;

	atomic_store(&done, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, learn_for_ever, fdb), 0);
	for (uint32_t n = 0; n < THREAD_ROUNDS || n_found < THREAD_MACS; n++) { // the threads may start late
		uint32_t i = n % THREAD_MACS;
		uint16_t port = fdb_find(fdb, 0, A + i, 0); // everything is young then

		if (port == FDB_PORT_NONE)
			continue;
		n_found++;
		if (port != i % 32)
			fail_msg("address %u at port %u", i, port);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_true(fdb_n_entries(fdb) <= THREAD_MACS);
	fdb_destroy(fdb);
}

// The reference: one record per address of a small universe.
struct known {
	uint32_t seen;
	uint16_t port;
	bool valid;
};

// As the packet path asks.
static enum fdb_learned learn_by(struct fdb_near *near, uint16_t vlan, uint64_t mac, uint16_t port)
{
	return fdb_near_is_known(near, vlan, mac, port) ? FDB_KNOWN : fdb_near_learn(near, vlan, mac, port);
}

static uint16_t find_by(struct fdb_near *near, uint16_t vlan, uint64_t mac)
{
	uint16_t port = fdb_near_look(near, vlan, mac);

	return port != FDB_PORT_NONE ? port : fdb_near_find(near, vlan, mac);
}

// Of n_near workers, if any: each asks by way of what it was told lately.
static void random_history(int n_near)
{
	enum { MACS = 300, VLANS = 2, PORTS = 4, NEAR_MAX = 2 };
	unsigned int seed = (unsigned int)seed_from_env(1);
	long rounds = (long)rounds_from_env(200000);
	static struct known known[VLANS][MACS];
	static struct fdb_near near[NEAR_MAX];
	struct fdb *fdb = make(VLANS * MACS);
	uint32_t now = UINT32_MAX - 1000;

	print_message("seed %u, %ld rounds\n", seed, rounds);
	srand(seed);
	memset(known, 0, sizeof(known));
	for (int i = 0; i < n_near; i++)
		fdb_near_init(&near[i], fdb);
	for (long i = 0; i < rounds; i++) {
		uint16_t vlan = (uint16_t)(rand() % VLANS), port = (uint16_t)(rand() % PORTS);
		uint32_t mac = (uint32_t)rand() % MACS;
		struct known *k = &known[vlan][mac];
		bool valid = k->valid && now - k->seen < AGEING;
		int what = rand() % 1000;
		struct fdb_near *by = n_near > 0 ? &near[rand() % n_near] : NULL;

		if (by != NULL)
			fdb_near_begin(by, now);
		if (what < 400) {
			enum fdb_learned how = by != NULL ? learn_by(by, vlan, A + mac, port)
							  : fdb_learn(fdb, vlan, A + mac, port, now);

			assert_int_equal(how, !valid ? FDB_NEW : k->port == port ? FDB_KNOWN : FDB_MOVED);
			*k = (struct known){now, port, true};
			if (by != NULL) // in the same burst
				assert_int_equal(find_by(by, vlan, A + mac), port);
		} else if (what < 900) {
			uint16_t at = by != NULL ? find_by(by, vlan, A + mac) : fdb_find(fdb, vlan, A + mac, now);

			assert_int_equal(at, valid ? k->port : FDB_PORT_NONE);
		} else if (what < 903) {
			fdb_flush_port(fdb, port);
			for (int v = 0; v < VLANS; v++)
				for (int n = 0; n < MACS; n++)
					known[v][n].valid &= known[v][n].port != port;
		} else if (what < 980) {
			now += (uint32_t)rand() % 4;
		} else {
			fdb_age(fdb, (uint32_t)rand() % 100, now);
		}
	}
	fdb_destroy(fdb);
}

static void random_history_equals_a_plain_list(void **state)
{
	random_history(0);
}

static void what_workers_were_told_lately_is_what_the_table_says(void **state)
{
	random_history(1);
	random_history(2);
}

// Addresses age in 1000 periods of 256 ticks: what is told may be so much too old, and no more.
static void sender_never_expires_and_silent_one_does_within_a_period_of_its_age(void **state)
{
	enum { LONG = 256000, PERIOD = 256, TICKS = 3 * LONG };
	struct err err;
	struct fdb *fdb = fdb_create(16, LONG, 12345, &err);
	static struct fdb_near near;
	uint32_t now, quiet_until = 0;

	fdb_near_init(&near, fdb);
	fdb_near_begin(&near, 0);
	assert_int_equal(learn_by(&near, 0, B, 5), FDB_NEW);
	for (now = 0; now < TICKS; now += 100) {
		fdb_near_begin(&near, now);
		assert_int_equal(find_by(&near, 0, A), now == 0 ? FDB_PORT_NONE : 3); // before it sends in this period
		assert_int_equal(learn_by(&near, 0, A, 3), now == 0 ? FDB_NEW : FDB_KNOWN);
		if (find_by(&near, 0, B) == 5)
			quiet_until = now;
		fdb_age(fdb, 1, now);
	}
	assert_true(quiet_until >= LONG - 100 && quiet_until <= LONG + PERIOD);
	fdb_destroy(fdb);
}

static void what_was_told_holds_no_more_after_any_number_of_changes(void **state)
{
	static struct fdb_near near;

	for (uint32_t n = 1; n <= UINT32_C(1) << 20; n *= 2) {
		struct fdb *fdb = make(16);

		fdb_near_init(&near, fdb);
		fdb_near_begin(&near, 0);
		learn_by(&near, 0, A, 1);
		assert_int_equal(find_by(&near, 0, A), 1);
		for (uint32_t i = 1; i < n; i++)
			fdb_flush_port(fdb, 2);
		fdb_flush_port(fdb, 1);
		fdb_near_begin(&near, 0);
		assert_int_equal(find_by(&near, 0, A), FDB_PORT_NONE);
		fdb_destroy(fdb);
	}
}

static void address_that_nobody_has_is_not_found(void **state)
{
	struct fdb *fdb = make(16);
	static struct fdb_near near;

	fdb_near_init(&near, fdb);
	fdb_near_begin(&near, 0);
	assert_int_equal(find_by(&near, 0, 0), FDB_PORT_NONE);
	assert_int_equal(fdb_near_look(&near, 0, A), FDB_PORT_NONE);
	fdb_destroy(fdb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_is_known_on_the_port_it_came_from_in_its_vlan),
		cmocka_unit_test(last_port_wins_when_an_address_moves),
		cmocka_unit_test(silent_address_expires_exactly_at_its_age_and_is_removed),
		cmocka_unit_test(expired_address_elsewhere_is_new_not_moved),
		cmocka_unit_test(flush_forgets_just_that_port),
		cmocka_unit_test(full_table_learns_no_more_but_keeps_what_it_has),
		cmocka_unit_test(senseless_sizes_are_refused),
		cmocka_unit_test(threads_never_see_an_address_where_it_was_not),
		cmocka_unit_test(random_history_equals_a_plain_list),
		cmocka_unit_test(what_workers_were_told_lately_is_what_the_table_says),
		cmocka_unit_test(sender_never_expires_and_silent_one_does_within_a_period_of_its_age),
		cmocka_unit_test(what_was_told_holds_no_more_after_any_number_of_changes),
		cmocka_unit_test(address_that_nobody_has_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
