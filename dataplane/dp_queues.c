// SPDX-License-Identifier: Apache-2.0
#include "dp_queues.h"

#include <assert.h>

#include <rte_cycles.h>

#include "dp_priv.h"
#include "sched.h"

#define NS_PER_S 1000000000

static_assert((int)SCHED_N_DROPS == PROTO_QUEUE_DROPS, "the link carries every reason");

static const unsigned int percentile[PROTO_QUEUE_PERCENTILES] = {500, 990, 1000};

static struct proto_queue queue_of(const struct sched_told *told)
{
	const struct sched_class_stats *stats = &told->of_class;
	struct proto_queue q = {.number = told->class,
				.node = told->share,
				.packets = stats->packets,
				.bytes = stats->bytes,
				.dropped_bytes = stats->dropped_bytes,
				.marked = stats->marked,
				.backlog_packets = stats->backlog_packets,
				.backlog_bytes = stats->backlog_bytes,
				.time_ns = (uint64_t)((unsigned __int128)told->now_tsc * NS_PER_S / rte_get_tsc_hz())};

	for (unsigned int i = 0; i < told->n_reservations; i++)
		idset_add(&q.reservations, told->reservation[i]);
	for (unsigned int i = 0; i < told->n_limits; i++)
		idset_add(&q.limits, told->limit[i]);
	for (int i = 0; i < SCHED_N_DROPS; i++)
		q.dropped[i] = stats->dropped[i];
	for (int i = 0; i < PROTO_QUEUE_PERCENTILES; i++)
		q.delay_us[i] = (uint32_t)RTE_MIN(sched_delay_us(stats, percentile[i]), (uint64_t)UINT32_MAX);
	return q;
}

static void tell_port(struct sched *sched, uint16_t port, struct link *link)
{
	struct proto_msg msg = {.type = PROTO_QUEUES, .queues = {.port = port}};
	struct proto_queues *queues = &msg.queues;
	struct sched_told told;

	while (sched_next_told(sched, &told)) {
		if (told.class != SCHED_TOLD_QUEUE) {
			queues->queue[queues->n++] = queue_of(&told);
		} else {
			queues->is_end = 1;
			queues->of_port = (struct proto_port_queues){
				told.of_queue.n_classes, told.of_queue.n_classes_max, told.of_queue.pool_full,
				told.of_queue.promised_bps, told.of_queue.held_back_us};
		}
		if (queues->n < PROTO_QUEUES_MAX && !queues->is_end)
			continue;
		link_tell(link, &msg);
		queues->n = queues->is_end = 0;
	}
	if (queues->n > 0)
		link_tell(link, &msg);
}

void dp_queues_tell(const struct dp *dp, struct link *link)
{
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp->port[i].sched != NULL)
			tell_port(dp->port[i].sched, i, link);
	}
}
