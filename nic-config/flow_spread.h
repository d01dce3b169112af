// SPDX-License-Identifier: Apache-2.0
// Queue rules in the NIC, through rte_flow, for a port of several receive queues whose device does not spread what it
// receives by itself (port_queues.h asks for that first): TCP and UDP go to a queue by addresses and ports, other IP
// and fragments by addresses. The hash is the same for both directions. A rule only says by which queue a frame comes,
// so one that is refused costs balance, never correctness: what no rule names goes to the first queue. Thread: main
// lcore; packets may flow meanwhile.
#pragma once
#include <stdint.h>

// The port has started. Rules it has now: 0 where none is needed, or none is taken.
uint32_t flow_spread_set(uint16_t port_id);
// Before the port stops. Takes them off the device.
void flow_spread_clear(uint16_t port_id);
// Somebody has flushed the device's rules: these are gone too.
void flow_spread_forget(uint16_t port_id);
