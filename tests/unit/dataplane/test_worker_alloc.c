// SPDX-License-Identifier: Apache-2.0
// Whatever packets come, workers' turns take no memory: neither from the C library nor from DPDK's heaps nor from the
// kernel. One worker and several, with fragments, IPv6, what is handed over, captures, and policies that change.
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/dataplane/random_net.h"
#include "tests/unit/dataplane/worker_net.h"

#define TURNS 20000
#define WORKERS 4
#define WORKERS_MANY 8
#define TURNS_OF_A_POLICY 500

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

void *memalign(size_t align, size_t size);

void *memalign(size_t align, size_t size)
{
	note();
	return __libc_memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
	note();
	*out = __libc_memalign(align, size);
	return *out == NULL ? ENOMEM : 0;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	note();
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static unsigned int heap_allocations(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.alloc_count;
}

static void watched_turn(void)
{
	unsigned int before = heap_allocations();

	net.now_tsc += NET_HZ / 100000;
	watched = true;
	net_turn(&net);
	watched = false;
	assert_int_equal(heap_allocations(), before);
}

// Known, unknown, new and moving addresses; denied, limited, reserved and free ones; broadcast; IPv6, options, tags and
// fragments; bytes that are no packet.
static struct frame any_frame(struct rnd *r)
{
	uint32_t dice = rnd_below(r, 12);
	uint64_t src = dice < 4 ? H1 : 0x020000010000ull + rnd_below(r, 70000);
	uint64_t dst = dice % 2 == 0 ? H2 : BROADCAST;
	struct frame f = udp(dst, src, IP(rnd_below(r, 4)), IP(rnd_below(r, 4)), rnd_below(r, 400));

	if (dice >= 8) {
		rnd_frame(r, &f);
		if (rnd_below(r, 2) == 0)
			memcpy(f.data, (uint8_t[6]){2, 0, 0, 0, 0, 2}, 6); // H2
	}
	if (dice == 7) {
		for (uint32_t i = 12; i < f.len; i++)
			f.data[i] = (uint8_t)rnd_below(r, 256);
	}
	if (dice == 6)
		f.len = rnd_below(r, 16) + 1;
	return f;
}

// One of its limits is another one each time: counter, class and queues of the one before are given up.
static void publish_policy(uint32_t n)
{
	struct box deny = box_between(IP(1), IP(2)), limit = box_between(IP(2), IP(3)), v6 = box_any(), reserve;
	struct box changes = box_between(IP(0), IP(3));
	struct part_row rows[5];
	const struct net_meter meter[] = {
		{2, 1000000, true}, {3, 1000000, false}, {4, 50000000, true}, {5 + n % 7, 1000000 + n, true}};

	reserve = box_between(IP(3), IP(1));
	v6.kinds = MATCH_KINDS_V6;
	assert_true(box_normalize(&v6));
	rows[0] = net_row(&deny, 1, ACCESS_DENY);
	rows[1] = net_meter_row(&limit, 2, PART_LIMIT);
	rows[2] = net_meter_row(&reserve, 3, PART_RESERVE);
	rows[3] = net_meter_row(&v6, 4, PART_LIMIT);
	rows[3].meter_category = 1;
	rows[4] = net_meter_row(&changes, 5 + n % 7, PART_LIMIT);
	net_publish(&net, rows, 5, meter, 4);
}

static void expect_all_met(void)
{
	uint64_t sum[COUNTER_N] = {0};

	for (uint16_t p = 0; p < net.n_ports; p++) {
		uint64_t value[COUNTER_N];

		workers_counters_get(net.all, p, value);
		for (int c = 0; c < COUNTER_N; c++)
			sum[c] += value[c];
	}
	assert_true(sum[COUNTER_denied] > 0 && sum[COUNTER_learned] > 0 && sum[COUNTER_runt] > 0);
	assert_true(sum[COUNTER_flooded] > 0 && sum[COUNTER_queue_full] > 0 && sum[COUNTER_tx_full] > 0);
	assert_true(sum[COUNTER_no_mbuf] > 0);
}

// In the second half frames are captured, and few of the copies taken.
static void no_turn_allocates(uint16_t n_workers)
{
	static struct workers_captured copy;
	struct box any = box_any();
	struct rnd r = rnd_seed(1);
	unsigned int n_copies = 0;

	net_open_many(&net, n_workers, 3, NULL, NET_HZ, 0, 511);
	publish_policy(0);
	learn_all();
	n_taken = 0;
	for (int i = 0; i < TURNS; i++) {
		struct frame f = any_frame(&r);

		if (i == TURNS / 2)
			assert_int_equal(workers_capture(net.all, &any, 1), 0);
		if (i % TURNS_OF_A_POLICY == TURNS_OF_A_POLICY - 1)
			publish_policy((uint32_t)(i / TURNS_OF_A_POLICY));
		net_inject(&net, (uint16_t)rnd_below(&r, 3), &f);
		watched_turn();
		for (uint16_t p = 0; p < 3 && i % 5000 > 3000; p++)
			net_drain(net.tx[p]); // in between the rings are full, and buffers for copies run out
		n_copies += i % 8 == 0 && workers_next_captured(net.all, &copy);
	}
	assert_int_equal(n_taken, 0);
	assert_true(n_copies > 0 && workers_capture_missed(net.all) > 0);
	expect_all_met();
	for (int i = 0; i < 8; i++) // what is between workers
		net_turn(&net);
	for (uint16_t p = 0; p < 3; p++)
		net_drain(net.tx[p]);
	close_net(NULL);
}

static void no_turn_of_the_worker_allocates(void **state)
{
	no_turn_allocates(1);
}

static void no_turn_of_several_workers_allocates(void **state)
{
	no_turn_allocates(WORKERS);
}

static void no_turn_of_many_workers_allocates(void **state)
{
	no_turn_allocates(WORKERS_MANY);
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
		cmocka_unit_test(no_turn_of_the_worker_allocates),
		cmocka_unit_test(no_turn_of_several_workers_allocates),
		cmocka_unit_test(no_turn_of_many_workers_allocates),
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
