// SPDX-License-Identifier: Apache-2.0
// The driver of af_xdp (22.11) does not give back the buffers that lie in the kernel's rings when a port is closed, or
// does not open: all that its fill ring holds. So the rings are noted when libxdp makes them, emptied before it unmaps
// them, and their buffers freed when the kernel no longer writes into them. It also forgets all queues but the first
// (it frees their array in the first turn of its loop), and a queue whose socket could not be bound: what is mapped
// keeps the socket, and the socket the interface's queue. So all are deleted here, before the driver closes the port.
// Thread: main lcore.
#pragma once
#include <stdint.h>

struct rte_mempool;

// Rings that libxdp makes from now on hold buffers of pool, until xsk_fill_made.
void xsk_fill_before(struct rte_mempool *pool);
// The first error of libxdp since, 0: there was none. The driver has but one for all of them. *queue: the interface's
// whose socket was refused, if one was.
int xsk_fill_refusal(uint32_t *queue);
// Those made since, and still there, are the port's.
void xsk_fill_made(uint16_t port_id);
// The driver is about to close the port: deletes its sockets and memory areas. The driver's own attempts are none then.
void xsk_fill_delete(uint16_t port_id);
// The port is closed, and its sockets are: frees what was in its rings and is not yet freed.
void xsk_fill_free(uint16_t port_id);
