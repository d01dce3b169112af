// SPDX-License-Identifier: Apache-2.0
// panectl's commands about the network of switches. Thread: one.
#pragma once
#include "draw.h"
#include "statements.h"

// Asks for ports, links and hosts, each as far as the speaker may see it, and draws them. The program's exit status.
int network_topology(const struct options *o, const struct draw *d, bool dot);
// Has the switches' tables checked, waits for it, and tells what was found. STATUS_REFUSED: something was.
int network_verify(const struct options *o);
