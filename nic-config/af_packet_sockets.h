// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel from reassembling fragments, and from reordering, on af_packet ports, and the drivers of these and
// of af_xdp ports from waiting for a device that takes no frames. Thread: main lcore.
#pragma once

// From now on every packet socket of this process that joins a fanout group does so without reassembly, and in order.
// To be called before an af_packet port is opened.
void af_packet_sockets_mend(void);
