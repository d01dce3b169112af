// SPDX-License-Identifier: Apache-2.0
// MTUs of kernel interfaces (rtnetlink). Thread: any.
#pragma once
#include <stdint.h>

// What it is, and what its driver takes at most (UINT32_MAX: it does not say). 0, -ENODEV, or what the kernel answers.
int interface_mtu(const char *name, uint32_t *now, uint32_t *max);
