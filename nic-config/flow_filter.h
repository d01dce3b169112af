// SPDX-License-Identifier: Apache-2.0
// Drop rules in the NIC, through rte_flow, where the device takes them. What a rule drops is a part of what the switch
// would: a rule that names ports asks for frames that are not fragments, so that no card takes the payload of a later
// fragment for ports; a card that cannot tell them apart refuses the rule, and the worker drops those frames.
// Thread: one at a time; packets flow meanwhile.
#pragma once
#include <stdint.h>

#include "drop_filter.h"
#include "port.h"

#define FLOW_RULES_MAX 2048 // a card's table is small, and every rule takes its firmware time

// The port has started; the device is asked with a rule of its own. 0; -ENOTSUP: it takes no drop rules; -ENOMEM; with
// the reason in why. Frames a rule has dropped are counted where the device can, in the total when they are asked for.
// Closing takes the rules off the device.
int flow_filter_open(uint16_t port_id, struct drop_filter **out, char why[PORT_ERR_MAX]);
