// SPDX-License-Identifier: Apache-2.0
#include "memif_frames.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

static const struct rte_eth_rxtx_callback *callback[RTE_MAX_ETHPORTS];

// One that does not fit is longer than a frame of the MTU: it is dropped as such by who receives it.
static uint16_t in_one_segment(uint16_t port_id, uint16_t queue, struct rte_mbuf **m, uint16_t n, uint16_t max,
			       void *ctx)
{
	for (uint16_t i = 0; i < n; i++) {
		if (unlikely(m[i]->nb_segs > 1))
			rte_pktmbuf_linearize(m[i]);
	}
	return n;
}

int memif_frames_use(uint16_t port_id, const char *device, char why[WHY_BYTES])
{
	if (strncmp(device, "memif:", strlen("memif:")) != 0)
		return 0;
	callback[port_id] = rte_eth_add_rx_callback(port_id, 0, in_one_segment, NULL);
	if (callback[port_id] == NULL)
		return why_fail(why, ENOMEM, "%s: no memory", device);
	return 0;
}

void memif_frames_leave(uint16_t port_id)
{
	if (callback[port_id] == NULL)
		return;
	rte_eth_remove_rx_callback(port_id, 0, callback[port_id]);
	rte_free((void *)callback[port_id]);
	callback[port_id] = NULL;
}
