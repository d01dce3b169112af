// SPDX-License-Identifier: Apache-2.0
// The driver of memif (22.11) leaves the port that it has allocated when it cannot make its socket: with that name it
// never makes one again, however often it is tried.
// Thread: main lcore.
#pragma once

// Frees the port of this name that a driver has allocated and not finished; a finished one stays.
void port_leftover_free(const char *name);
