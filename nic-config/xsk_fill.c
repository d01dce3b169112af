// SPDX-License-Identifier: Apache-2.0
// How addresses in the rings are made of buffers: rte_eth_af_xdp.c, reserve_fill_queue_zc(), pull_umem_cq(),
// af_xdp_rx_zc() and af_xdp_tx_zc(). The functions of libxdp stand in front of its own, for the driver too: it is the
// only place where the rings can be learned, and where is known how long they are mapped.
#include "xsk_fill.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <xdp/xsk.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define NO_PORT UINT16_MAX // not opened yet

typedef int (*umem_create)(struct xsk_umem **umem, void *area, __u64 size, struct xsk_ring_prod *fill,
			   struct xsk_ring_cons *comp, const struct xsk_umem_config *config);
typedef int (*umem_delete)(struct xsk_umem *umem);
typedef int (*socket_create)(struct xsk_socket **xsk, const char *interface, __u32 queue, struct xsk_umem *umem,
			     struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
			     const struct xsk_socket_config *config);
typedef int (*socket_create_shared)(struct xsk_socket **xsk, const char *interface, __u32 queue, struct xsk_umem *umem,
				    struct xsk_ring_cons *rx, struct xsk_ring_prod *tx, struct xsk_ring_prod *fill,
				    struct xsk_ring_cons *comp, const struct xsk_socket_config *config);
typedef void (*socket_delete)(struct xsk_socket *xsk);

// Of one queue. The rings are copies, as the driver's go with its queue; what they point to is libxdp's mapping.
struct rings {
	struct rings *next;
	struct xsk_umem *umem;
	struct xsk_socket *xsk; // NULL: none yet; rx and tx are not there
	struct rte_mempool *pool;
	char *area; // of the buffers, to which addresses in the rings are relative
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	bool unmapped; // the socket is deleted
	bool deleted;  // the umem, too
	uint16_t port_id;
	struct rte_mbuf **taken; // n of them, out of rings that are no longer mapped
	uint32_t n;
};

static struct rings *all;
static struct rte_mempool *pool_now;
static int first_refusal;
static uint32_t refused_queue; // the last whose socket was refused

// How many lie in a ring of the kernel's; 0 if that cannot be.
static uint32_t n_between(const uint32_t *producer, const uint32_t *consumer, uint32_t size)
{
	uint32_t n = __atomic_load_n(producer, __ATOMIC_ACQUIRE) - __atomic_load_n(consumer, __ATOMIC_ACQUIRE);

	return n <= size ? n : 0;
}

// An address in a ring is that of the object's header, which lies before the buffer, maybe with an offset.
static void take_one(struct rings *r, uint64_t address)
{
	struct rte_mbuf *m =
		(struct rte_mbuf *)(void *)(r->area + xsk_umem__extract_addr(address) + r->pool->header_size);

	if (m->pool == r->pool)
		r->taken[r->n++] = m;
}

static void take_descs(struct rings *r, const struct xdp_desc *ring, const uint32_t *producer, const uint32_t *consumer,
		       uint32_t size)
{
	uint32_t n = n_between(producer, consumer, size), at = *consumer;

	for (uint32_t i = 0; i < n; i++)
		take_one(r, ring[(at + i) & (size - 1)].addr);
}

static void take_addresses(struct rings *r, const uint64_t *ring, const uint32_t *producer, const uint32_t *consumer,
			   uint32_t size)
{
	uint32_t n = n_between(producer, consumer, size), at = *consumer;

	for (uint32_t i = 0; i < n; i++)
		take_one(r, ring[(at + i) & (size - 1)]);
}

// The kernel still moves buffers from fill to rx and from tx to comp: against that order, none is taken twice. Without
// memory they are lost.
static void take(struct rings *r)
{
	size_t room = (size_t)r->fill.size + r->comp.size;

	if (r->xsk != NULL)
		room += (size_t)r->rx.size + r->tx.size;
	r->taken = malloc(room * sizeof(struct rte_mbuf *));
	r->n = 0;
	if (r->taken == NULL)
		return;
	take_addresses(r, r->comp.ring, r->comp.producer, r->comp.consumer, r->comp.size);
	if (r->xsk != NULL) {
		take_descs(r, r->tx.ring, r->tx.producer, r->tx.consumer, r->tx.size);
		take_descs(r, r->rx.ring, r->rx.producer, r->rx.consumer, r->rx.size);
	}
	take_addresses(r, r->fill.ring, r->fill.producer, r->fill.consumer, r->fill.size);
}

static void forget_taken(struct rings *r)
{
	free(r->taken);
	r->taken = NULL;
	r->n = 0;
}

// Frees the rings' buffers: the kernel has none of them any more.
static void release(struct rings **at)
{
	struct rings *r = *at;

	*at = r->next;
	if (r->n > 0)
		rte_pktmbuf_free_bulk(r->taken, r->n);
	free(r->taken);
	free(r);
}

static void note(const struct rings *made)
{
	struct rings *r = malloc(sizeof(*r));

	if (r == NULL) // as without this file: its buffers are lost
		return;
	*r = *made;
	r->next = all;
	all = r;
}

static void note_refusal(int rc)
{
	if (rc < 0 && first_refusal == 0)
		first_refusal = rc;
}

int xsk_umem__create(struct xsk_umem **umem, void *area, __u64 size, struct xsk_ring_prod *fill,
		     struct xsk_ring_cons *comp, const struct xsk_umem_config *config)
{
	umem_create create = (umem_create)dlsym(RTLD_NEXT, "xsk_umem__create");
	int rc = create == NULL ? -ENOSYS : create(umem, area, size, fill, comp, config);

	note_refusal(rc);
	if (rc == 0 && pool_now != NULL)
		note(&(struct rings){.umem = *umem,
				     .pool = pool_now,
				     .area = area,
				     .fill = *fill,
				     .comp = *comp,
				     .port_id = NO_PORT});
	return rc;
}

int xsk_umem__delete(struct xsk_umem *umem)
{
	umem_delete del = (umem_delete)dlsym(RTLD_NEXT, "xsk_umem__delete");
	int rc;

	for (struct rings *r = all; r != NULL; r = r->next) {
		if (r->umem == umem && r->deleted)
			return 0;
	}
	for (struct rings *r = all; r != NULL; r = r->next) {
		if (r->umem == umem && !r->unmapped)
			take(r);
	}
	rc = del == NULL ? -ENOSYS : del(umem);
	for (struct rings **at = &all; *at != NULL;) {
		struct rings *r = *at;

		if (r->umem != umem || (rc < 0 && r->unmapped)) {
			at = &r->next;
		} else if (rc < 0) { // a socket uses it still
			forget_taken(r);
			at = &r->next;
		} else {
			release(at);
		}
	}
	return rc;
}

// fill: of the socket; NULL: that of the umem.
static void note_socket(const struct xsk_umem *umem, struct xsk_socket *xsk, const struct xsk_ring_cons *rx,
			const struct xsk_ring_prod *tx, const struct xsk_ring_prod *fill,
			const struct xsk_ring_cons *comp)
{
	struct rings *of_umem = NULL, *r, more;

	for (r = all; r != NULL; r = r->next) {
		if (r->umem != umem)
			continue;
		of_umem = r;
		if (fill == NULL ? r->xsk == NULL || r->xsk == xsk : r->fill.ring == fill->ring)
			break;
	}
	if (of_umem == NULL)
		return;
	more = r != NULL ? *r : *of_umem;
	more.xsk = xsk;
	more.rx = rx != NULL ? *rx : (struct xsk_ring_cons){0};
	more.tx = tx != NULL ? *tx : (struct xsk_ring_prod){0};
	if (r != NULL) {
		*r = more;
	} else if (fill != NULL && comp != NULL) {
		more.fill = *fill;
		more.comp = *comp;
		note(&more);
	}
}

int xsk_socket__create(struct xsk_socket **xsk, const char *interface, __u32 queue, struct xsk_umem *umem,
		       struct xsk_ring_cons *rx, struct xsk_ring_prod *tx, const struct xsk_socket_config *config)
{
	socket_create create = (socket_create)dlsym(RTLD_NEXT, "xsk_socket__create");
	int rc = create == NULL ? -ENOSYS : create(xsk, interface, queue, umem, rx, tx, config);

	note_refusal(rc);
	if (rc < 0)
		refused_queue = queue;
	if (rc == 0)
		note_socket(umem, *xsk, rx, tx, NULL, NULL);
	return rc;
}

int xsk_socket__create_shared(struct xsk_socket **xsk, const char *interface, __u32 queue, struct xsk_umem *umem,
			      struct xsk_ring_cons *rx, struct xsk_ring_prod *tx, struct xsk_ring_prod *fill,
			      struct xsk_ring_cons *comp, const struct xsk_socket_config *config)
{
	socket_create_shared create = (socket_create_shared)dlsym(RTLD_NEXT, "xsk_socket__create_shared");
	int rc = create == NULL ? -ENOSYS : create(xsk, interface, queue, umem, rx, tx, fill, comp, config);

	note_refusal(rc);
	if (rc == 0)
		note_socket(umem, *xsk, rx, tx, fill, comp);
	return rc;
}

// Unmaps the rings. The umem keeps its socket, so that the kernel may write until that is closed.
void xsk_socket__delete(struct xsk_socket *xsk)
{
	socket_delete del = (socket_delete)dlsym(RTLD_NEXT, "xsk_socket__delete");

	for (struct rings *r = all; xsk != NULL && r != NULL; r = r->next) {
		if (r->xsk != xsk)
			continue;
		if (r->unmapped)
			return;
		take(r);
		r->unmapped = true;
	}
	if (del != NULL)
		del(xsk);
}

void xsk_fill_before(struct rte_mempool *pool)
{
	pool_now = pool;
	first_refusal = 0;
}

int xsk_fill_refusal(uint32_t *queue)
{
	*queue = refused_queue;
	return first_refusal;
}

void xsk_fill_made(uint16_t port_id)
{
	pool_now = NULL;
	for (struct rings *r = all; r != NULL; r = r->next) {
		if (r->port_id == NO_PORT)
			r->port_id = port_id;
	}
}

static void delete_umem(struct xsk_umem *umem)
{
	umem_delete del = (umem_delete)dlsym(RTLD_NEXT, "xsk_umem__delete");
	bool gone = del != NULL && del(umem) == 0;

	for (struct rings *r = all; gone && r != NULL; r = r->next) {
		if (r->umem == umem)
			r->deleted = true;
	}
}

void xsk_fill_delete(uint16_t port_id)
{
	for (struct rings *r = all; r != NULL; r = r->next) {
		if (r->port_id == port_id && r->xsk != NULL)
			xsk_socket__delete(r->xsk);
	}
	for (struct rings *r = all; r != NULL; r = r->next) {
		if (r->port_id != port_id || r->deleted)
			continue;
		if (!r->unmapped)
			take(r);
		r->unmapped = true;
		delete_umem(r->umem);
	}
}

void xsk_fill_free(uint16_t port_id)
{
	for (struct rings **at = &all; *at != NULL;) {
		if ((*at)->port_id != port_id) {
			at = &(*at)->next;
			continue;
		}
		if (!(*at)->unmapped)
			take(*at);
		release(at);
	}
}
