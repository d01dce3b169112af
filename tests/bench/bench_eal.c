// SPDX-License-Identifier: Apache-2.0
#include "bench_eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

static int first_cpu, last_cpu;

static void to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int bench_eal_start(struct err *err)
{
	char prefix[64], lcore[16];
	char *argv[] = {"pane-bench",
			"--no-huge",
			"--no-shconf",
			"--no-pci",
			"--no-telemetry",
			"-m",
			"4096",
			"-l",
			lcore,
			"--force-max-simd-bitwidth=512",
			prefix,
			"--log-level=*:error"};
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return err_set(err, errno, "which CPUs may be used: %s", strerror(errno));
	first_cpu = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		first_cpu = first_cpu < 0 ? cpu : first_cpu;
		last_cpu = cpu;
	}
	snprintf(prefix, sizeof(prefix), "--file-prefix=pane-bench-%d", (int)getpid());
	snprintf(lcore, sizeof(lcore), "%d", first_cpu);
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), argv) < 0)
		return err_set(err, rte_errno, "the EAL does not start: %s", rte_strerror(rte_errno));
	to_cpu(first_cpu);
	return 0;
}

void bench_to_worker_cpu(void)
{
	to_cpu(last_cpu);
}

struct errand {
	void *(*fn)(void *arg);
	void *arg;
};

static void *run_errand(void *arg)
{
	const struct errand *errand = arg;

	bench_to_worker_cpu();
	return errand->fn(errand->arg);
}

int bench_on_worker(void *(*fn)(void *arg), void *arg, struct err *err)
{
	struct errand errand = {fn, arg};
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_errand, &errand) != 0)
		return err_set(err, EAGAIN, "no thread for a worker");
	pthread_join(thread, NULL);
	return 0;
}

uint64_t bench_thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
