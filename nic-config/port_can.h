// SPDX-License-Identifier: Apache-2.0
// What the drivers would refuse without a word, asked before they are. Thread: main lcore.
#pragma once
#include <stdint.h>

#include "why.h"

// device: "af_xdp:IF..." or "af_packet:IF..."; args: what follows IF, "" or ",NAME=VALUE...". 0; -EPERM: a right is
// missing, named in why; -EINVAL: it has no such queues.
int port_can_open(const char *device, const char *interface, const char *args, char why[WHY_BYTES]);
// device: "tap:NAME": -EEXIST if there is another interface of that name. A tap of the name is the driver's affair: it
// may be one that was made to stay. 0 for what is no tap.
int port_can_make(const char *device, char why[WHY_BYTES]);
// Descriptors for one more port: the soft limit is raised to the hard one if need be. Libraries that run out of them
// say something else, or end the process (EAL's interrupt thread). 0 or -EMFILE.
int port_can_have_files(const char *device, uint16_t n_queues, char why[WHY_BYTES]);
