// SPDX-License-Identifier: Apache-2.0
// Buffers side by side, as the switch has them (docs/decisions/0006): of a usual pool on small pages the kernel refuses
// those that lie past what af_xdp registers.
#pragma once
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

static inline struct rte_mempool *gapless_pool(const char *name, unsigned int n)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE};
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, n, (unsigned int)sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
					 250, sizeof(private), 0, RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (pool == NULL || rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) < 0)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_populate_default(pool) < 0)
		return NULL;
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}
