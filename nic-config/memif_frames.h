// SPDX-License-Identifier: Apache-2.0
// The driver of memif gives a frame that came in several buffers of shared memory as a chain of segments, which drivers
// of other ports send the first of, or what lies behind it. Here it is made one segment. Thread: main lcore.
#pragma once
#include <stdint.h>

#include "why.h"

// From now on, on the one receive queue of a configured memif port; nothing for others. 0 or -ENOMEM.
int memif_frames_use(uint16_t port_id, const char *device, char why[WHY_BYTES]);
void memif_frames_leave(uint16_t port_id); // it has stopped, and is about to be closed
