// SPDX-License-Identifier: Apache-2.0
// How addresses in the rings are made of buffers: rte_eth_af_xdp.c, reserve_fill_queue_zc() and pull_umem_cq().
#include "xsk_fill.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include <xdp/xsk.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

typedef int (*umem_create)(struct xsk_umem **umem, void *area, __u64 size, struct xsk_ring_prod *fill,
			   struct xsk_ring_cons *comp, const struct xsk_umem_config *config);

static struct xsk_fill made;

// Stands in front of libxdp's, for the driver too: it is the only place where its rings can be learned.
int xsk_umem__create(struct xsk_umem **umem, void *area, __u64 size, struct xsk_ring_prod *fill,
		     struct xsk_ring_cons *comp, const struct xsk_umem_config *config)
{
	umem_create create = (umem_create)dlsym(RTLD_NEXT, "xsk_umem__create");
	int rc = create == NULL ? -ENOSYS : create(umem, area, size, fill, comp, config);

	if (rc == 0 && made.n < XSK_FILL_MAX)
		made.rings[made.n++] = (struct xsk_fill_rings){.area = area, .fill = fill, .comp = comp};
	return rc;
}

void xsk_fill_before(void)
{
	made.n = 0;
}

void xsk_fill_made(struct xsk_fill *out)
{
	*out = made;
	made.n = 0;
}

// How many lie in a ring of the kernel's; 0 if that cannot be.
static uint32_t n_between(const uint32_t *producer, const uint32_t *consumer, uint32_t size)
{
	uint32_t n = __atomic_load_n(producer, __ATOMIC_ACQUIRE) - __atomic_load_n(consumer, __ATOMIC_ACQUIRE);

	return n <= size ? n : 0;
}

// An address in a ring is that of the object's header, which lies before the buffer.
static uint32_t take(struct rte_mbuf **to, const struct rte_mempool *pool, char *area, uint64_t address)
{
	*to = (struct rte_mbuf *)(void *)(area + address + pool->header_size);
	return (*to)->pool == pool ? 1 : 0;
}

struct rte_mbuf **xsk_fill_take(const struct xsk_fill *fill, const struct rte_mempool *pool, uint32_t *n)
{
	struct rte_mbuf **m;
	size_t room = 0;

	*n = 0;
	for (uint32_t i = 0; i < fill->n; i++)
		room += (size_t)fill->rings[i].fill->size + fill->rings[i].comp->size;
	m = room == 0 ? NULL : malloc(room * sizeof(*m));
	for (uint32_t i = 0; m != NULL && i < fill->n; i++) {
		const struct xsk_fill_rings *r = &fill->rings[i];
		const uint64_t *filled = r->fill->ring;
		uint32_t at = *r->fill->consumer,
			 n_filled = n_between(r->fill->producer, r->fill->consumer, r->fill->size);
		uint32_t n_sent = n_between(r->comp->producer, r->comp->consumer, r->comp->size);

		for (uint32_t k = 0; k < n_filled; k++)
			*n += take(&m[*n], pool, r->area, filled[(at + k) & r->fill->mask]);
		at = *r->comp->consumer;
		for (uint32_t k = 0; k < n_sent; k++)
			*n += take(&m[*n], pool, r->area,
				   xsk_umem__extract_addr(*xsk_ring_cons__comp_addr(r->comp, at + k)));
	}
	return m;
}
