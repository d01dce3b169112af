// SPDX-License-Identifier: Apache-2.0
// One process drives a kernel interface: two would take each other's XDP program off, or both forward what comes.
// The lock is an abstract Unix socket of a name with the interface's number. Those names belong to a network namespace,
// as the numbers do, and end with their process, also with one that is killed.
// Thread: main lcore.
#pragma once
#include "why.h"

// *fd: the lock, as long as it is open; -1: it is not to be had, but not with one of us. 0; -ENODEV: no such interface;
// -EBUSY: another process has it (or this one), named in why; else -errno.
int interface_lock(const char *interface, int *fd, char why[WHY_BYTES]);
