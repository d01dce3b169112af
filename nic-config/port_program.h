// SPDX-License-Identifier: Apache-2.0
// The XDP program that brings an af_xdp port its frames. Whoever may (`ip link set IF xdp off`) takes it off the
// interface at any time, and nothing is received any more, without an error anywhere: so it is looked for, and put
// back. Thread: main lcore.
#pragma once
#include <stdint.h>

#include "why.h"

// What is attached to the interface now is the port's. Nothing is: nothing will be looked for.
void port_program_note(uint16_t port_id, int if_index);
// 0: it is on the interface, or the port has none; 1: it was not, and was put back (said in why); -errno: it is not
// and cannot be (said in why), as while another's is there.
int port_program_keep(uint16_t port_id, char why[WHY_BYTES]);
void port_program_forget(uint16_t port_id);
