// SPDX-License-Identifier: Apache-2.0
// What a port asks of its unix socket (local_socket.h) before and after its driver. All take the device as in struct
// port_conf, and hold for devices without such a socket, too. Thread: main lcore.
#pragma once
#include <stdbool.h>

#include "why.h"

// Before the driver makes the port. 0, or with the reason in why -ENODEV: nobody listens for a memif client; -errno.
int port_socket_prepare(const char *device, char why[WHY_BYTES]);
// The driver refused: was it because the socket is taken? Then why says so.
bool port_socket_is_taken(const char *device, char why[WHY_BYTES]);
// false: a memif client for which nobody listens.
bool port_socket_is_there(const char *device);
