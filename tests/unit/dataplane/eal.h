// SPDX-License-Identifier: Apache-2.0
// EAL for tests: no huge pages, no devices, nothing shared, so that any number of test processes run side by side.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_log.h>

#define TEST_MEMORY_MB "192"

// Once per process. Exits with 1 when EAL does not start.
static inline void test_eal_init(void)
{
	char prefix[64];
	char *argv[] = {"test", "--no-huge",          "--no-shconf", "--no-pci", "--no-telemetry",
			"-m",   TEST_MEMORY_MB,       "-l",          "0",        "--force-max-simd-bitwidth=512",
			prefix, "--log-level=*:error"};

	snprintf(prefix, sizeof(prefix), "--file-prefix=pane-test-%d", (int)getpid());
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0) {
		fprintf(stderr, "EAL does not start\n");
		exit(1);
	}
}
