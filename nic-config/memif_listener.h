// SPDX-License-Identifier: Apache-2.0
// The driver of memif (22.11) neither closes the socket at which it listens nor takes its callback off the EAL's
// interrupt thread when the last port of a socket goes: a descriptor for each time, an abstract name that is taken for
// ever, and a callback that is given freed memory if somebody connects. So the socket is noted when the driver
// registers it, and closed just before the driver forgets it.
// Thread: main lcore.
#pragma once
#include <stdint.h>

// What this thread registers with the interrupt thread from now on is a listener of memif, until memif_listener_made.
void memif_listener_before(void);
void memif_listener_made(void);
// The port uses the listener of the socket at path (of local_socket_of), if there is one.
void memif_listener_use(uint16_t port_id, const char *path);
// The driver is about to close the port.
void memif_listener_leave(uint16_t port_id);
