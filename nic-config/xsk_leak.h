// SPDX-License-Identifier: Apache-2.0
// The driver of af_xdp (22.11 over libxdp 1.3) never closes its sockets: an interface could not be opened a second time
// by the same process (EBUSY). So they are found here, by what was opened while a port was, and closed after it.
// Thread: main lcore.
#pragma once
#include <stdint.h>

#define XSK_LEAK_MAX 64 // sockets of a port: one a queue

struct xsk_leak {
	uint32_t n;
	int fd[XSK_LEAK_MAX];
	uint64_t inode[XSK_LEAK_MAX];
};

void xsk_leak_before(struct xsk_leak *out);      // all AF_XDP sockets of the process
void xsk_leak_made_since(struct xsk_leak *leak); // becomes those that are new
void xsk_leak_close(struct xsk_leak *leak);      // those of them that are still open; none are left
