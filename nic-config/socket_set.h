// SPDX-License-Identifier: Apache-2.0
// The sockets of a port over a kernel interface, which its driver keeps for itself, found by what was made while the
// port was opened. One a queue, in the order of queues: the kernel gives the lowest descriptor that is free.
// What for: the driver of af_xdp (22.11 over libxdp 1.3) never closes its sockets, and an interface could not be opened
// a second time by the same process (EBUSY); and who has nothing to do waits for frames with them.
// Thread: main lcore.
#pragma once
#include <stdint.h>

#define SOCKET_SET_MAX 1024 // of the whole process: 32 ports with 16 queues, twice

struct socket_set {
	int domain; // AF_XDP, AF_PACKET
	uint32_t n;
	int fd[SOCKET_SET_MAX]; // ascending
	uint64_t inode[SOCKET_SET_MAX];
};

void socket_set_before(struct socket_set *out, int domain); // all of that domain in the process
void socket_set_made_since(struct socket_set *set);         // becomes those that are new
void socket_set_close(struct socket_set *set);              // those of them that are still open; none are left
