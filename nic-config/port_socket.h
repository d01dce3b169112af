// SPDX-License-Identifier: Apache-2.0
// What a port asks of its unix socket (local_socket.h) before and after its driver. All take the device as in struct
// port_conf, and hold for devices without such a socket, too. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// Before the driver makes the port. 0, or with the reason in why -ENODEV: nobody listens for a memif client; -errno.
int port_socket_prepare(const char *device, char why[WHY_BYTES]);
// The driver refused: was it because the socket is taken? Then why says so.
bool port_socket_is_taken(const char *device, char why[WHY_BYTES]);
// rte_eth_dev_start and rte_eth_dev_stop, for ports of all kinds; with memif's other end it is neither waited for nor
// raced with. EAL's interrupt thread must not be in who calls.
int port_socket_start(uint16_t port_id);
void port_socket_stop(uint16_t port_id);
// false: a memif client for which nobody listens.
bool port_socket_is_there(const char *device);
