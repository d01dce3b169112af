// SPDX-License-Identifier: Apache-2.0
// Copies of frames for whoever asked. While nobody does, a burst costs one comparison.
#include <errno.h>
#include <time.h>

#include <rte_mbuf.h>

#include "worker_priv.h"

#define CAPTURE_RING 256

static bool is_asked_for(const struct capture *c, const struct pkt *pkt)
{
	struct match_packet packet;

	pkt_to_match_packet(pkt, 0, &packet);
	for (uint16_t i = 0; i < c->n_boxes; i++) {
		if (box_covers(&c->box[i], &packet))
			return true;
	}
	return false;
}

static void copy(struct worker *w, uint16_t port, const struct rte_mbuf *m, int64_t time_ns)
{
	struct workers_captured out = {.time_ns = time_ns, .len_bytes = rte_pktmbuf_pkt_len(m), .port = port};
	const void *data;

	out.n = (uint16_t)RTE_MIN(out.len_bytes, (uint32_t)sizeof(out.data));
	data = rte_pktmbuf_read(m, 0, out.n, out.data);
	if (data != NULL && data != out.data)
		memcpy(out.data, data, out.n);
	if (hand_ring_put(w->captured, &out, 1) == 0)
		atomic_store_explicit(&w->n_missed, atomic_load_explicit(&w->n_missed, memory_order_relaxed) + 1,
				      memory_order_relaxed);
}

void worker_capture(struct worker *w, const struct worker_port *in, struct rte_mbuf *const *m, const struct pkt *pkt,
		    uint16_t n)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (uint16_t i = 0; i < n; i++) {
		if (pkt[i].verdict == PKT_OK && is_asked_for(&w->all->capture, &pkt[i]))
			copy(w, (uint16_t)(in - w->port), m[i], (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	}
}

static int rings_up(struct workers *all)
{
	for (uint16_t i = 0; i < all->n; i++) {
		struct worker *w = all->worker[i];

		if (w->captured == NULL)
			w->captured = hand_ring_create(CAPTURE_RING, sizeof(struct workers_captured));
		if (w->captured == NULL)
			return -ENOMEM;
	}
	return 0;
}

int workers_capture(struct workers *all, const struct box *box, uint16_t n_boxes)
{
	struct workers_captured old;

	workers_hold(all);
	all->capture.n_boxes = 0;
	workers_release(all);
	if (n_boxes == 0)
		return 0;
	if (rings_up(all) < 0)
		return -ENOMEM;
	while (workers_next_captured(all, &old))
		;
	for (uint16_t i = 0; i < all->n; i++)
		atomic_store_explicit(&all->worker[i]->n_missed, 0, memory_order_relaxed);
	workers_hold(all);
	for (uint16_t i = 0; i < n_boxes && i < WORKERS_CAPTURE_BOXES; i++)
		all->capture.box[i] = box[i];
	all->capture.n_boxes = RTE_MIN(n_boxes, (uint16_t)WORKERS_CAPTURE_BOXES);
	workers_release(all);
	return 0;
}

bool workers_next_captured(struct workers *all, struct workers_captured *out)
{
	for (uint16_t i = 0; i < all->n; i++) {
		const struct worker *w = all->worker[all->captured_at];

		all->captured_at = (uint16_t)(all->captured_at + 1 == all->n ? 0 : all->captured_at + 1);
		if (w->captured != NULL && hand_ring_get(w->captured, out, 1) == 1)
			return true;
	}
	return false;
}

uint32_t workers_capture_missed(const struct workers *all)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < all->n; i++)
		n += atomic_load_explicit(&all->worker[i]->n_missed, memory_order_relaxed);
	return n;
}
