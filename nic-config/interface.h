// SPDX-License-Identifier: Apache-2.0
// Kernel interfaces below ports. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// Up, and an MTU of at least mtu: the drivers take both for granted. 0; -ENODEV; else -errno, with the reason in why.
int interface_prepare(const char *name, uint16_t mtu, char why[WHY_BYTES]);
bool interface_is_up(const char *name); // and has a carrier
