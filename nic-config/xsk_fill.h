// SPDX-License-Identifier: Apache-2.0
// The driver of af_xdp (22.11) does not give back the buffers that lie in the kernel's rings when a port is closed: all
// that its fill ring holds. So the rings are noted when they are made, and emptied before the driver forgets them.
// Thread: main lcore.
#pragma once
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

#define XSK_FILL_MAX 64 // rings of a port: one pair a queue

struct xsk_fill {
	uint32_t n;
	struct xsk_fill_rings {
		char *area; // of the buffers, to which addresses in the rings are relative
		const struct xsk_ring_prod *fill;
		const struct xsk_ring_cons *comp;
	} rings[XSK_FILL_MAX];
};

// Rings that libxdp makes from now on belong to the next xsk_fill_made.
void xsk_fill_before(void);
// Those made since. They are the driver's, and gone when the port is closed.
void xsk_fill_made(struct xsk_fill *out);
// The buffers that lie in the rings now, all of pool, into a new array: the caller frees it, and them when the sockets
// are closed, as the kernel may write into them until then. What it takes out between is not in the array, nor
// anybody's. NULL: none, or no memory.
struct rte_mbuf **xsk_fill_take(const struct xsk_fill *fill, const struct rte_mempool *pool, uint32_t *n);
