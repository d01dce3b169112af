// SPDX-License-Identifier: Apache-2.0
// The ports that there shall be, while the dataplane makes it so, one after the other. Owner: dp. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dp.h"

struct port_plan {
	struct dp_port_conf *ports; // NULL: ports are as they shall be
	uint32_t n, at;             // at: those before it were given out
};

// Takes the place of the one before; the list is copied. 0, or -errno with err, and the one before stays: no ports, a
// device text that no driver knows, no memory.
int port_plan_set(struct port_plan *plan, const struct dp_port_conf *ports, uint32_t n, struct err *err);
void port_plan_clear(struct port_plan *plan);
// Whether that very port is in it.
bool port_plan_has(const struct port_plan *plan, const char *name, const char *device, uint64_t rate_bps);
// Each once; NULL: that was all. It is the plan's.
const struct dp_port_conf *port_plan_next(struct port_plan *plan);
