// SPDX-License-Identifier: Apache-2.0
// An idle worker waits in the kernel, here without an end: whatever it does not hear of it never does. One without a
// queue of its own waits beside two that receive: frames come to it by hand-over only.
#include "tests/unit/dataplane/net_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include <rte_cycles.h>

#include "tests/unit/dataplane/worker_net.h"

#define N 3
#define FLOWS 64

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);

static _Atomic int n_waiting;
static pthread_t thread[N];

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int rc;

	(void)timeout;
	n_waiting++;
	rc = __real_ppoll(fds, n, NULL, mask);
	n_waiting--;
	return rc;
}

static void *run_worker(void *worker)
{
	worker_main(worker);
	return NULL;
}

static void until_it_waits(void)
{
	for (int ms = 0; ms < 60000 && n_waiting == 0; ms++)
		usleep(1000);
	assert_int_equal(n_waiting, 1);
	usleep(1000); // between the count and the kernel
}

static int setup(void **state)
{
	struct box any = box_any();
	struct part_row row = net_row(&any, 1, ACCESS_ALLOW);

	net_open_many(&net, N, 2, NULL, rte_get_tsc_hz(), 0, 255);
	net_publish(&net, &row, 1, NULL, 0);
	for (uint16_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_worker, workers_at(net.all, i)), 0);
	until_it_waits();
	return 0;
}

static void join_all(void)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	for (uint16_t i = 0; i < N; i++)
		assert_int_equal(pthread_timedjoin_np(thread[i], NULL, &end), 0);
}

static int teardown(void **state)
{
	workers_stop(net.all);
	join_all();
	return close_net(state);
}

static void frames_of_another_worker_wake_it(void **state)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < FLOWS; i++) { // by its hash every third is for the worker that waits
		struct frame f = udp(H2, H1, 0x0a000001 + i, 0x0a000002, 40);

		net_inject(&net, 0, &f);
	}
	for (int ms = 0; ms < 60000 && n < FLOWS; ms++) {
		struct rte_mbuf *m;

		while ((m = net_out(&net, 1)) != NULL) {
			rte_pktmbuf_free(m);
			n++;
		}
		usleep(1000);
	}
	assert_int_equal(n, FLOWS);
}

static void holding_wakes_it(void **state)
{
	workers_hold(net.all);
	workers_release(net.all);
	until_it_waits(); // again
}

static void a_snapshot_wakes_it(void **state)
{
	net_publish(&net, NULL, 0, NULL, 0);
	workers_wake(net.all);
	for (int ms = 0; ms < 60000 && snapshot_adopted_gen(&net.slot) != net_next_gen - 1; ms++)
		usleep(1000);
	assert_int_equal(snapshot_adopted_gen(&net.slot), net_next_gen - 1);
}

static void stopping_wakes_it(void **state)
{
	workers_stop(net.all);
	join_all();
	for (uint16_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_worker, workers_at(net.all, i)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_of_another_worker_wake_it, setup, teardown),
		cmocka_unit_test_setup_teardown(holding_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(stopping_wakes_it, setup, teardown),
	};

	test_eal_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
