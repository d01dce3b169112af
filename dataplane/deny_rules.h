// SPDX-License-Identifier: Apache-2.0
// A denied box as rules of what drops before the switch (nic-config/drop_filter.h). Pure.
#pragma once
#include <stdint.h>

#include "nic-config/drop_filter.h"

#define DENY_RULES_MAX 2 // one for each family

struct box;

// Rules whose packets are all in the box, and, but for packets without IP, all of it as far as the program can tell.
// Time is left out. Returns how many; 0: the box cannot be said so (ranges of ports, addresses of Ethernet, VLANs,
// prefixes together with anything else).
uint32_t deny_rules(const struct box *box, struct xdp_rule out[DENY_RULES_MAX]);
