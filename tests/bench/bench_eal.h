// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of the packet path share: EAL, the CPUs, a worker's own time.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

// Once per process: no huge pages, no devices, nothing shared. The calling thread then runs on the first CPU that it
// may run on. -errno with err.
int bench_eal_start(struct err *err);
// Runs fn(arg) in a thread on the last CPU that may be used, and waits.
int bench_on_worker(void *(*fn)(void *arg), void *arg, struct err *err);
// To be called first in a thread: onto the last CPU.
void bench_to_worker_cpu(void);
uint64_t bench_thread_ns(void); // CPU time of the calling thread: what others do on its core does not count
