// SPDX-License-Identifier: Apache-2.0
// The driver of af_xdp (22.11) loads a program from its file as an object of libbpf and never closes it: a program,
// its maps and their types, ten descriptors each time a port is opened, or is tried to. libxdp (1.3) forgets two of
// those it asks for by number when it brings a program of its own. So both are noted when libbpf makes them, and those
// that are left are closed with the port.
// Thread: main lcore.
#pragma once
#include <stdint.h>

// What is opened from now on is noted, until bpf_objects_made: what is still open then is the port's.
void bpf_objects_before(void);
void bpf_objects_made(uint16_t port_id);
// The driver has closed the port: nobody uses them any more. What is attached to an interface stays so.
void bpf_objects_close(uint16_t port_id);
