// SPDX-License-Identifier: Apache-2.0
// What DPDK's drivers say of devices, and which of it the switch can use.
#pragma once
#include <stdio.h>

// Opens each device (which takes it from the kernel as long as this runs), prints one line for it, closes it. A table.
// 0, or -errno when EAL does not start or a device does not open: said on stderr, the others are shown all the same.
int caps_print(char **devices, int n, FILE *to);
