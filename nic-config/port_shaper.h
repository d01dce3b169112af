// SPDX-License-Identifier: Apache-2.0
// The rate of a port in its NIC, through rte_tm, where the device offers that: one root with a shaper, every transmit
// queue a leaf below it, all alike. The rate is above that of the switch's scheduler whatever the card counts as the
// length of a frame, so who sends is decided by the scheduler alone; the card only stretches its bursts
// (docs/decisions/0016). Thread: main lcore.
#pragma once
#include <stdint.h>

#include "why.h"

// Between port_open and port_start. frame_bytes: the longest frame. 0: the device bounds what it sends; -ENOTSUP: it
// offers nothing of the kind; else -errno: it does, but not what is needed, with the reason in why. On error the port
// is as it was. Closing the port ends it.
int port_shaper_set(uint16_t port_id, uint64_t rate_bps, uint32_t frame_bytes, char why[WHY_BYTES]);
