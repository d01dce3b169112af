// SPDX-License-Identifier: Apache-2.0
// What the drivers over kernel interfaces would refuse without a word, asked before they are. Thread: main lcore.
#pragma once
#include "why.h"

// device: "af_xdp:IF..." or "af_packet:IF..."; args: what follows IF, "" or ",NAME=VALUE...". 0; -EPERM: a right is
// missing, named in why; -EINVAL: it has no such queues.
int port_can_open(const char *device, const char *interface, const char *args, char why[WHY_BYTES]);
