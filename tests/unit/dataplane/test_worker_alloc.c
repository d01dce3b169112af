// SPDX-License-Identifier: Apache-2.0
// Whatever packets come, the worker's turns take no memory: neither from the C library nor from DPDK's heaps.
#include <stdlib.h>

#include "tests/unit/dataplane/worker_net.h"

#define TURNS 20000

#if !defined(__SANITIZE_ADDRESS__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

// volatile: the compiler takes malloc for something that knows no variable of ours
static _Thread_local volatile bool watched; // a turn of the worker is under way
static _Thread_local volatile unsigned int n_taken;

static void note(void)
{
	n_taken = n_taken + watched;
}

void *malloc(size_t size)
{
	note();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	note();
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	note();
	return __libc_realloc(p, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	note();
	return __libc_memalign(align, size);
}

static unsigned int heap_allocations(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.alloc_count;
}

static void watched_turn(void)
{
	net.now_tsc += NET_HZ / 100000;
	watched = true;
	worker_turn(net.w, net.now_tsc);
	watched = false;
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

// Known, unknown, new and moving addresses; denied, limited and free ones; broadcast; bytes that are no packet.
static struct frame any_frame(uint32_t *seed)
{
	uint32_t dice = next(seed) % 8;
	uint64_t src = dice < 4 ? H1 : 0x020000010000ull + next(seed) % 70000;
	uint64_t dst = dice % 2 == 0 ? H2 : BROADCAST;
	struct frame f = udp(dst, src, IP(next(seed) % 4), IP(next(seed) % 4), next(seed) % 400);

	if (dice == 7) {
		for (uint32_t i = 12; i < f.len; i++)
			f.data[i] = (uint8_t)next(seed);
	}
	if (dice == 6)
		f.len = next(seed) % 16 + 1;
	return f;
}

static void publish_policy(void)
{
	struct box deny = box_between(IP(1), IP(2)), limit = box_between(IP(2), IP(3));
	struct part_row rows[] = {net_row(&deny, 1, ACCESS_DENY), net_meter_row(&limit, 2, PART_LIMIT)};
	const struct net_meter meter = {2, 1000000, true};

	net_publish(&net, rows, 2, &meter, 1);
}

static void no_turn_of_the_worker_allocates(void **state)
{
	uint32_t seed = 1;
	unsigned int before;

	n_taken = 0;
	publish_policy();
	learn_all();
	before = heap_allocations();
	for (int i = 0; i < TURNS; i++) {
		struct frame f = any_frame(&seed);

		net_inject(&net, (uint16_t)(next(&seed) % 3), &f);
		watched_turn();
		for (uint16_t p = 0; p < 3 && i % 16 == 0; p++)
			net_drain(net.tx[p]); // in between the rings are full, and buffers for copies run out
	}
	assert_int_equal(n_taken, 0);
	assert_int_equal(heap_allocations(), before);
	assert_true(net_counter(&net, 0, COUNTER_denied) > 0 && net_counter(&net, 0, COUNTER_learned) > 0);
	for (uint16_t p = 0; p < 3; p++)
		net_drain(net.tx[p]);
}

// The proof is worth something: what is counted is what would be taken.
static void an_allocation_would_be_seen(void **state)
{
	void *volatile p;

	n_taken = 0;
	watched = true;
	p = malloc(16);
	watched = false;
	free(p);
	assert_int_equal(n_taken, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_allocation_would_be_seen),
		cmocka_unit_test_setup_teardown(no_turn_of_the_worker_allocates, open_net, close_net),
	};

	test_eal_init();
	return cmocka_run_group_tests_name("worker_alloc", tests, NULL, NULL);
}
#else
int main(void)
{
	return 77; // the sanitizer has its own allocator
}
#endif
