// SPDX-License-Identifier: Apache-2.0
// The packet buffers, and how they are divided: every ring is filled, and no backlog can take what others receive with.
#include <errno.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "dp_priv.h"

#define POOL_CACHE 256
#define MBUFS_IN_QUEUE 2048 // of a port, one a worker or more: rings of the largest driver (af_xdp: fill and receive)
#define MBUFS_IN_BURSTS 512 // of a port
#define MBUFS_QUEUED 5632   // of a port: what waits in the scheduler, if there is memory for it
#define MBUFS_QUEUED_MIN 512
#define SPARE_PARTS 3 // for ports that come later

// A cache may grow to half as much again before it is emptied: each worker has one, and the main thread.
static uint32_t n_in_caches(uint16_t n_workers)
{
	return (n_workers + 1U) * (POOL_CACHE * 3 / 2);
}

// Of each worker to each other one, and to the owner of the schedulers.
static uint32_t n_handed_over(uint16_t n_workers)
{
	return (uint32_t)WORKER_RING * (n_workers - 1U) * (n_workers + 1U);
}

static uint32_t room_bytes(const struct dp_conf *conf)
{
	return RTE_PKTMBUF_HEADROOM + port_room_bytes((uint16_t)conf->mtu);
}

static uint64_t buffer_bytes(const struct dp_conf *conf)
{
	return room_bytes(conf) + sizeof(struct rte_mbuf) + RTE_MEMPOOL_ALIGN * 2;
}

static uint32_t n_in_rings(uint16_t n_workers)
{
	return MBUFS_IN_QUEUE * n_workers + MBUFS_IN_BURSTS;
}

static uint64_t n_least(const struct dp_conf *conf, uint16_t n_workers)
{
	return (uint64_t)(n_in_rings(n_workers) + MBUFS_QUEUED_MIN) * RTE_MAX(conf->n_ports, 1U) +
	       n_in_caches(n_workers);
}

// At most half of the memory: classifiers and schedulers live in the other half.
static uint64_t n_in_memory(const struct dp_conf *conf)
{
	return conf->memory_mb * UINT64_C(524288) / buffer_bytes(conf);
}

int dp_pool_check(const struct dp_conf *conf, uint16_t n_workers, struct err *err)
{
	uint64_t least = n_least(conf, n_workers);

	if (conf->mtu > PORT_MTU_MAX)
		return err_set(err, EINVAL, "mtu: %u is too large", conf->mtu);
	if (n_in_memory(conf) < least)
		return err_set(
			err, ENOMEM, "memory_mb: %u is too little for %u ports of MTU %u and %u workers: at least %lu",
			conf->memory_mb, conf->n_ports, conf->mtu, n_workers, least * buffer_bytes(conf) / 524288 + 1);
	return 0;
}

// Where devices see the memory by its virtual addresses, every buffer can be theirs.
static void name_for_devices(struct rte_mempool *pool, void *arg, void *object, unsigned int at)
{
	struct rte_mbuf *m = object;

	m->buf_iova = (rte_iova_t)m->buf_addr;
}

// One virtual range without gaps: af_xdp gives the kernel base and size of n buffers side by side, but with small pages
// a pool usually lets none cross a page, and what lies past that size the kernel refuses until nothing is received any
// more. Devices that do DMA by physical addresses need the usual pool.
static struct rte_mempool *pool_contiguous(unsigned int n, uint16_t room)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
	struct rte_mempool *pool =
		rte_mempool_create_empty("pane_pool", n, (unsigned int)sizeof(struct rte_mbuf) + room, POOL_CACHE,
					 sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	int ret;

	if (pool == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (ret == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		ret = rte_mempool_populate_default(pool);
	}
	if (ret < 0) {
		rte_mempool_free(pool);
		rte_errno = -ret;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		rte_mempool_obj_iter(pool, name_for_devices, NULL);
	return pool;
}

static bool uses_dma(const struct dp_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_ports; i++) {
		if (strncmp(conf->ports[i].device, "pci:", 4) == 0)
			return true;
	}
	return false;
}

// Receive queues beyond one a worker.
static uint32_t n_beyond(const struct dp *dp, uint32_t n_queues)
{
	return n_queues > dp->n_workers ? n_queues - dp->n_workers : 0;
}

static uint32_t n_more_queues(const struct dp *dp)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < dp->conf->n_ports; i++)
		n += n_beyond(dp, port_queues(dp->conf->ports[i].device, dp->n_workers));
	return n;
}

static uint32_t n_beyond_used(const struct dp *dp)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp->port[i].opened)
			n += n_beyond(dp, dp->port[i].caps.n_rx_queues);
	}
	return n;
}

uint32_t dp_pool_n_parts_left(const struct dp *dp)
{
	uint32_t used = n_beyond_used(dp), n = 0;

	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++)
		n += dp->port[i].name != NULL;
	if (used > dp->n_more)
		n += (used - dp->n_more + dp->n_workers - 1) / dp->n_workers;
	return dp->n_parts > n ? dp->n_parts - n : 0;
}

int dp_pool_has(const struct dp *dp, const struct dp_port *port, uint16_t n_queues, struct err *err)
{
	uint32_t more = n_beyond(dp, n_queues), used = n_beyond_used(dp);
	uint32_t room = dp_pool_n_parts_left(dp) * dp->n_workers + (dp->n_more > used ? dp->n_more - used : 0);
	char line[PORT_ERR_MAX];

	if (more <= room) // always where there are none: a port has its part
		return 0;
	port_queues_line(port->device, (uint16_t)(dp->n_workers + room), line);
	return err_set(err, ENOMEM,
		       "port %s (%s): it has %u receive queues, and there are packet buffers for %u: run \"%s\", or "
		       "raise memory_mb (%u) and restart",
		       port->name, port->device, n_queues, dp->n_workers + room, line, dp->conf->memory_mb);
}

// If there is too little for all, rings between workers lack theirs first: they are emptied soon, whatever waits
// elsewhere. Receive queues beyond one a worker are no reason not to start: the port that has none left is told
// (dp_pool_has), the others carry on.
int dp_pool_up(struct dp *dp, struct err *err)
{
	const struct dp_conf *conf = dp->conf;
	uint32_t room = room_bytes(conf), in_rings = n_in_rings(dp->n_workers);
	uint32_t per_port = in_rings + MBUFS_QUEUED_MIN, spare = SPARE_PARTS;
	uint32_t cached = n_in_caches(dp->n_workers), handed = n_handed_over(dp->n_workers);
	uint32_t n_more = n_more_queues(dp), in_more = n_more * MBUFS_IN_QUEUE;
	uint64_t least = n_least(conf, dp->n_workers);
	int ret = dp_pool_check(conf, dp->n_workers, err);
	unsigned int total;
	uint64_t n =
		RTE_MIN((uint64_t)(in_rings + MBUFS_QUEUED) * (conf->n_ports + SPARE_PARTS) + in_more + cached + handed,
			n_in_memory(conf));

	if (ret < 0)
		return ret;
	total = (unsigned int)n + conf->held_buffers;
	dp->pool_is_for_dma = uses_dma(conf) || rte_eal_iova_mode() == RTE_IOVA_VA;
	dp->pool = uses_dma(conf)
			   ? rte_pktmbuf_pool_create("pane_pool", total, POOL_CACHE, 0, (uint16_t)room, SOCKET_ID_ANY)
			   : pool_contiguous(total, (uint16_t)room);
	if (dp->pool == NULL)
		return err_set(err, rte_errno, "no memory for %u packet buffers in %u MB: %s", total, conf->memory_mb,
			       rte_strerror(rte_errno));
	dp->n_more = (uint32_t)RTE_MIN((uint64_t)n_more, (n - least) / MBUFS_IN_QUEUE);
	n -= cached + dp->n_more * MBUFS_IN_QUEUE;
	n -= RTE_MIN(handed, n - RTE_MIN(n, (uint64_t)per_port * (conf->n_ports + SPARE_PARTS)));
	while (spare > 0 && n / (conf->n_ports + spare) < per_port)
		spare--;
	dp->n_parts = RTE_MAX(conf->n_ports + spare, 1U);
	dp->queued_max = (uint32_t)(n / dp->n_parts) - in_rings;
	return 0;
}

void dp_pool_down(struct dp *dp)
{
	rte_mempool_free(dp->pool);
}
