// SPDX-License-Identifier: Apache-2.0
// Kernel interfaces below ports, and how they were before. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// Up, and an MTU of at least mtu: the drivers take both for granted. What that changes is remembered, and whether the
// interface was in promiscuous mode, which the drivers enable. 0; -ENODEV; else -errno, with the reason in why.
int interface_prepare(const char *name, uint16_t mtu, char why[WHY_BYTES]);
// The interface is down, its MTU what it was (unless somebody changed it since), promiscuous mode off, GRO on, as far
// as that was so before it was prepared first. One that is gone is forgotten.
void interface_restore(unsigned int if_index);
bool interface_is_up(const char *name); // and has a carrier
// A network card on a bus of the machine: what it receives has been on a wire. Not so a veth, a bridge, a tap, or the
// virtual card of a guest (virtio, Xen), whose frames may come straight out of another stack.
bool interface_is_card(const char *name);
bool interface_is_veth(const char *name);
// The kernel puts received segments of a flow together no more (GRO, LRO). Whether it did GRO is remembered when this
// is called first for a prepared interface. Where it cannot be changed it stays.
void interface_no_merging(const char *name);

// What is remembered is also kept in this file (NULL: no more), for those who come after a process that is killed: the
// next one that names it takes for the state before what was so then. Without memory or room it is not kept, and not
// beyond the machine's next start.
void interface_keep_in(const char *path);
// Restores those of the file that nobody has prepared since interface_keep_in, in no process (interface_lock.h).
void interface_restore_left(void);
