// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel from reassembling fragments, and from reordering, on af_packet ports, and the drivers of these and
// of af_xdp ports from waiting for a device that takes no frames. Thread: main lcore.
#pragma once
#include <stdint.h>

// From now on every packet socket of this process that joins a fanout group does so without reassembly, and in order.
// To be called before an af_packet port is opened.
void af_packet_sockets_mend(void);
// Frames that found the socket's receive ring full since this was asked last. Thread: any.
uint64_t af_packet_sockets_lost(int fd);
