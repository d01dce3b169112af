// SPDX-License-Identifier: Apache-2.0
// A worker between ring ports, driven turn by turn with a clock of the test's own. Frames go in and come out by port.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "dataplane/class_ask.h"
#include "dataplane/cls_fill.h"
#include "dataplane/combine.h"
#include "dataplane/layers.h"
#include "dataplane/names.h"
#include "dataplane/sched.h"
#include "dataplane/snapshot.h"
#include "dataplane/workers.h"
#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/frame.h"

#define NET_PORTS_MAX 4
#define NET_MAX_FRAME 1522
#define NET_MTU 1500
#define NET_HZ UINT64_C(1000000000)
#define NET_AGEING_S 300
#define NET_ROWS_MAX 64

struct net {
	struct workers *all;
	struct worker *w; // the first
	uint16_t n_ports;
	uint16_t port_id[NET_PORTS_MAX];
	struct rte_ring *rx[NET_PORTS_MAX], *tx[NET_PORTS_MAX];
	struct sched *sched[NET_PORTS_MAX];
	struct sched_limits *limits;
	struct sched_log *log;
	struct sched_slots *slots;
	struct names *names;
	struct rte_mempool *pool, *copies;
	struct snapshot_slot slot;
	struct class_ask ask;
	struct layers *layers;
	uint32_t row[NET_ROWS_MAX], n_rows; // slots of those published
	int64_t poll_ns;
	uint64_t now_tsc;
};

#define net_check(ok, err) \
	do { \
		if (!(ok)) \
			fail_msg("%s", (err)); \
	} while (0)

static uint32_t net_next_gen = 1;
static bool net_drops_fragments; // of those opened from now on

struct net_meter {
	uint64_t id, rate_bps;
	bool is_limit;
};

// A row of request id at the root: access only.
static inline struct part_row net_row(const struct box *box, uint64_t id, enum access access)
{
	return (struct part_row){.box = *box,
				 .id = id,
				 .part = PART_ACCESS,
				 .access = (uint8_t)access,
				 .meter_category = PARTS_NO_CATEGORY};
}

// The same of a limit (or reservation) that decides nothing.
static inline struct part_row net_meter_row(const struct box *box, uint64_t id, enum part part)
{
	return (struct part_row){.box = *box,
				 .id = id,
				 .part = (uint8_t)part,
				 .access_category = PARTS_NO_CATEGORY,
				 .meter_category = 0};
}

// Until there is room and what must be built is.
static inline void net_commit(struct net *net, struct layers_batch *b)
{
	struct layers_view view;
	struct err err = {0};
	int rc;

	while ((rc = layers_commit(net->layers, b, &view, &err)) == -EAGAIN) {
		layers_poll(net->layers, ++net->poll_ns);
		usleep(20);
	}
	net_check(rc == 0, err.msg);
	net_check(snapshot_reserve(&net->slot) == 0, "no memory");
	snapshot_publish(&net->slot, net_next_gen++, &view);
	snapshot_reap(&net->slot);
}

// meters are those the rows name; their nodes are in net->names. They take the place of the rows before. Meters stay
// until net_forget_meters.
static inline void net_publish(struct net *net, const struct part_row *rows, uint32_t n_rows,
			       const struct net_meter *meters, uint32_t n_meters)
{
	struct layers_batch *b = layers_batch_create(net->layers);
	struct cls_row row;
	struct err err = {0};

	assert_true(n_rows <= NET_ROWS_MAX);
	for (uint32_t i = 0; i < n_rows; i++)
		net_check(names_counter_take(net->names, rows[i].id, &err) >= 0, err.msg);
	for (uint32_t i = 0; i < n_meters; i++)
		net_check(sched_slots_meter_set(net->slots, meters[i].id, meters[i].is_limit, meters[i].rate_bps,
						&err) >= 0,
			  err.msg);
	for (uint32_t i = 0; i < net->n_rows; i++)
		net_check(layers_batch_del(b, net->row[i], &err) == 0, err.msg);
	for (uint32_t i = 0; i < n_rows; i++) {
		net_check(cls_fill(&rows[i], net->slots, net->names, &row, &err) == 0, err.msg);
		net->row[i] = layers_batch_add(b, &row, &err);
		net_check(net->row[i] != CLS_NO_ROW, err.msg);
	}
	net->n_rows = n_rows;
	net_commit(net, b);
}

// The live snapshot names none of them.
static inline void net_forget_meters(struct net *net, const struct net_meter *meters, uint32_t n_meters)
{
	struct err err = {0};

	for (uint32_t i = 0; i < n_meters; i++)
		net_check(sched_slots_meter_del(net->slots, meters[i].id, &err) >= 0, err.msg);
}

// device: one per port, or NULL for rings. tsc_hz: NET_HZ, or the real one for worker_main. rate_bps of all ports, 0:
// none. n_copies: buffers for flooding.
static inline void net_open_many(struct net *net, uint16_t n_workers, uint16_t n_ports, const char *const *devices,
				 uint64_t tsc_hz, uint64_t rate_bps, unsigned int n_copies)
{
	struct workers_conf conf = {.n_ports = n_ports,
				    .n_workers = n_workers,
				    .mac_ageing_s = NET_AGEING_S,
				    .tsc_hz = tsc_hz,
				    .drop_fragments = net_drops_fragments,
				    .ask = &net->ask};
	struct layers_conf layers_conf = {.simd_max_bits = 512, .max_slots = 4096};
	struct err err = {0};

	memset(net, 0, sizeof(*net));
	net->n_ports = n_ports;
	net->now_tsc = tsc_hz;
	net->pool = rte_pktmbuf_pool_create("frames", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	net->copies = rte_pktmbuf_pool_create("copies", n_copies, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	net->slot.rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(n_workers), RTE_CACHE_LINE_SIZE);
	assert_true(net->pool != NULL && net->copies != NULL && net->slot.rcu != NULL);
	rte_rcu_qsbr_init(net->slot.rcu, n_workers);
	snapshot_slot_init(&net->slot, net->slot.rcu, n_workers);
	layers_conf.rcu = net->slot.rcu;
	net->layers = layers_create(&layers_conf, &err);
	net_check(net->layers != NULL, err.msg);
	net->log = sched_log_create(1, &err);
	net_check(net->log != NULL, err.msg);
	net->slots = sched_slots_create(net->log, &err);
	net_check(net->slots != NULL, err.msg);
	net->names = names_create(&err);
	net_check(net->names != NULL, err.msg);
	net->limits = sched_limits_create(tsc_hz, NET_MAX_FRAME, SOCKET_ID_ANY, &err);
	net_check(net->limits != NULL, err.msg);
	for (uint16_t i = 0; i < n_ports; i++) {
		struct sched_conf sc = {
			.rate_bps = rate_bps, .tsc_hz = tsc_hz, .mtu_bytes = NET_MAX_FRAME, .socket_id = SOCKET_ID_ANY};
		char name[16], device[24], why[PORT_ERR_MAX], ring[24];
		struct port_conf pc = {
			.name = name, .device = device, .n_queues = 1, .mtu = NET_MTU, .pool = net->pool};

		snprintf(name, sizeof(name), "w%u", i);
		snprintf(device, sizeof(device), "ring:%s", name);
		if (devices != NULL)
			pc.device = devices[i];
		net_check(port_open(&pc, &net->port_id[i], why) == 0 && port_start(net->port_id[i], why) == 0, why);
		snprintf(ring, sizeof(ring), "%s.rx", name);
		net->rx[i] = rte_ring_lookup(ring);
		snprintf(ring, sizeof(ring), "%s.tx", name);
		net->tx[i] = rte_ring_lookup(ring);
		net->sched[i] = sched_create(&sc, net->limits, &err);
		net_check(net->sched[i] != NULL, err.msg);
		conf.port[i] = (struct workers_port){.port_id = net->port_id[i],
						     .max_frame_bytes = NET_MAX_FRAME,
						     .sched = net->sched[i],
						     .shaped = rate_bps != 0};
	}
	conf.pool = net->copies;
	conf.limits = net->limits;
	conf.log = net->log;
	conf.nodes = names_nodes(net->names);
	conf.layers = net->layers;
	conf.slot = &net->slot;
	net->all = workers_create(&conf, &err);
	net_check(net->all != NULL, err.msg);
	net->w = workers_at(net->all, 0);
	net_publish(net, NULL, 0, NULL, 0);
}

static inline void net_open_on(struct net *net, uint16_t n_ports, const char *const *devices, uint64_t tsc_hz,
			       uint64_t rate_bps, unsigned int n_copies)
{
	net_open_many(net, 1, n_ports, devices, tsc_hz, rate_bps, n_copies);
}

static inline void net_open(struct net *net, uint16_t n_ports, uint64_t tsc_hz, uint64_t rate_bps,
			    unsigned int n_copies)
{
	net_open_on(net, n_ports, NULL, tsc_hz, rate_bps, n_copies);
}

static inline void net_drain(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	while (ring != NULL && rte_ring_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

// Also checks that no buffer is lost.
static inline void net_close(struct net *net)
{
	workers_destroy(net->all);
	for (uint16_t i = 0; i < net->n_ports; i++) {
		sched_destroy(net->sched[i]);
		port_close(net->port_id[i]);
		net_drain(net->rx[i]);
		net_drain(net->tx[i]);
		rte_ring_free(net->rx[i]);
		rte_ring_free(net->tx[i]);
	}
	sched_limits_destroy(net->limits);
	snapshot_slot_fini(&net->slot);
	layers_destroy(net->layers);
	sched_slots_destroy(net->slots);
	names_destroy(net->names);
	sched_log_destroy(net->log);
	rte_free(net->slot.rcu);
	assert_int_equal(rte_mempool_in_use_count(net->pool), 0);
	assert_int_equal(rte_mempool_in_use_count(net->copies), 0);
	rte_mempool_free(net->pool);
	rte_mempool_free(net->copies);
}

static inline void net_inject(struct net *net, uint16_t port, const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->pool);
	char *data;

	assert_non_null(m);
	data = rte_pktmbuf_append(m, (uint16_t)f->len);
	assert_non_null(data);
	memcpy(data, f->data, f->len);
	assert_int_equal(rte_ring_enqueue(net->rx[port], m), 0);
}

static inline void net_turn(struct net *net)
{
	for (uint16_t i = 0; i < workers_n(net->all); i++)
		worker_turn(workers_at(net->all, i), net->now_tsc);
}

// Next frame out of a port, NULL if there is none. The caller frees it.
static inline struct rte_mbuf *net_out(struct net *net, uint16_t port)
{
	struct rte_mbuf *m = NULL;

	return rte_ring_dequeue(net->tx[port], (void **)&m) == 0 ? m : NULL;
}

static inline uint64_t net_counter(const struct net *net, uint16_t port, enum counter_id id)
{
	uint64_t value[COUNTER_N];

	workers_counters_get(net->all, port, value);
	return value[id];
}

static inline void net_expect_out(struct net *net, uint16_t port, const struct frame *f)
{
	struct rte_mbuf *m = net_out(net, port);

	if (m == NULL)
		fail_msg("nothing came out of port %u", port);
	assert_int_equal(rte_pktmbuf_pkt_len(m), f->len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), f->data, f->len);
	rte_pktmbuf_free(m);
}

static inline void net_expect_silence(struct net *net, uint16_t port)
{
	assert_int_equal(rte_ring_count(net->tx[port]), 0);
}

// What was counted for a request so far.
static inline struct row_count net_row_count(struct net *net, uint64_t id)
{
	struct row_count out;
	uint64_t packets, bytes;

	for (int i = 0; i < COMBINE_FLUSHES; i++) { // a millisecond each
		net->now_tsc += NET_HZ / 500;
		net_turn(net);
	}
	workers_row_count(net->all, names_counter(net->names, id), &packets, &bytes);
	atomic_init(&out.packets, packets);
	atomic_init(&out.bytes, bytes);
	return out;
}

// counters.def: sum(rx_packets + copies) = sum(tx_packets + all drop lines) + backlog.
static inline void net_expect_all_accounted_for(const struct net *net)
{
	uint64_t in = 0, out = 0;

	for (uint16_t i = 0; i < net->n_ports; i++) {
		uint64_t value[COUNTER_N];

		workers_counters_get(net->all, i, value);
		in += value[COUNTER_rx_packets] + value[COUNTER_copies];
		out += value[COUNTER_tx_packets] + sched_backlog_packets(net->sched[i]);
		for (int c = 0; c < COUNTER_N; c++)
			out += counter_desc[c].kind == COUNTER_KIND_DROP ? value[c] : 0;
	}
	assert_int_equal(in, out);
}
