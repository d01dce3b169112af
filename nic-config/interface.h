// SPDX-License-Identifier: Apache-2.0
// Kernel interfaces below ports. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// Up, and an MTU of at least mtu: the drivers take both for granted. 0; -ENODEV; else -errno, with the reason in why.
int interface_prepare(const char *name, uint16_t mtu, char why[WHY_BYTES]);
bool interface_is_up(const char *name); // and has a carrier
// A network card on a bus of the machine: what it receives has been on a wire. Not so a veth, a bridge, a tap, or the
// virtual card of a guest (virtio, Xen), whose frames may come straight out of another stack.
bool interface_is_card(const char *name);
