// SPDX-License-Identifier: Apache-2.0
// DPDK's own scheduler, driven as bench_sched.c drives ours: the same packets, bursts and order of classes.
#pragma once
#include "bench.h"

// A queue for each class: of 16 a pipe, when there are more than 4,096, else of a pipe each. Rates are such that
// nothing is ever held back. Mpps of one run, out and in; and memory for each queue. 0, or -errno with err.
int bench_rte_sched(const struct bench_opts *opts, double *mpps, double *bytes_per_class, struct err *err);
