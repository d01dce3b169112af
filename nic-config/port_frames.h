// SPDX-License-Identifier: Apache-2.0
// Frames as long as the MTU allows, on af_packet ports. Linux keeps many segments in one frame of up to 64 KB for as
// long as it can: a sender leaves it to its device to cut them (TSO, GSO), which a veth does not; a receiver puts them
// together (GRO, LRO) before packet sockets see them. Such a frame fits no ring and is dropped (counted as oversize).
// So on the port's interface nothing is put together (interface.h: until it is restored), and where that is a veth it
// gets an XDP program that passes everything: the kernel cuts frames at the other end for as long as one is there
// (veth_fix_features), since XDP needs that, too. The program goes with the port, or with the process, however that
// ends. Ports of af_xdp have all this from their own program. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// 0, or -errno with why, which names the interface, and what is to be done in the host.
int port_frames_cut(uint16_t port_id, const char *interface, char why[WHY_BYTES]);
void port_frames_forget(uint16_t port_id); // before its interface is restored
