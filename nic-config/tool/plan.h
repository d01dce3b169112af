// SPDX-License-Identifier: Apache-2.0
// Which actions make a host ready for the ports of a configuration. Pure: looks, changes nothing.
#pragma once
#include "action.h"

#define PLAN_MAX 128

struct plan_wish {
	uint32_t huge_mb; // 0: leave
	uint32_t mtu;     // at least; 0: leave
	uint32_t queues;  // 0: leave
	bool force;       // also a card that the host uses itself
};

struct plan {
	struct action action[PLAN_MAX];
	int n;
};

// Adds what huge pages are missing. 0 or -errno with the reason in why.
int plan_memory(const char *sys, const struct plan_wish *wish, struct plan *plan, char why[ACTION_WHY_BYTES]);
// Adds what a port of this device line needs (nic-config/port.h); nothing for those that need nothing.
int plan_device(const char *sys, const char *device, const struct plan_wish *wish, struct plan *plan,
		char why[ACTION_WHY_BYTES]);
