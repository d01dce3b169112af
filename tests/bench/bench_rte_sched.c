// SPDX-License-Identifier: Apache-2.0
#define ALLOW_EXPERIMENTAL_API // rte_sched.h includes rte_pie.h, whose inline functions need it

#include "bench_rte_sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_sched.h>

#include "bench_eal.h"

#define BURST 32
#define FRAME_BYTES 64
#define STANDING 2 // packets of a class that is backlogged
#define PIPES_MAX 4096
#define QUEUE_PACKETS 64
#define RATE UINT64_C(25000000000) // bytes a second: never reached
#define CLASS dynfield1[0]         // of an mbuf: rte_sched writes where ours has it

struct stand {
	struct rte_sched_port *port;
	struct rte_mbuf *mbufs, *out[BURST];
	uint32_t n_classes, n_standing, n_out, per_pipe, n_pipes, lcg;
};

static uint32_t power_of_2_from(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static struct rte_sched_port_params port_params(const struct stand *st,
						struct rte_sched_subport_profile_params *profile)
{
	profile->tb_rate = RATE;
	profile->tb_size = 1000000;
	profile->tc_period = 10;
	for (int i = 0; i < RTE_SCHED_TRAFFIC_CLASSES_PER_PIPE; i++)
		profile->tc_rate[i] = RATE;
	return (struct rte_sched_port_params){.name = "bench",
					      .socket = 0,
					      .rate = RATE,
					      .mtu = 1522,
					      .frame_overhead = RTE_SCHED_FRAME_OVERHEAD_DEFAULT,
					      .n_subports_per_port = 1,
					      .subport_profiles = profile,
					      .n_subport_profiles = 1,
					      .n_max_subport_profiles = 1,
					      .n_pipes_per_subport = st->n_pipes};
}

static int port_create(struct stand *st, double *bytes_per_class, struct err *err)
{
	struct rte_sched_subport_profile_params profile = {0};
	struct rte_sched_port_params params = port_params(st, &profile);
	struct rte_sched_pipe_params pipe = {
		.tb_rate = RATE, .tb_size = 1000000, .tc_period = 40, .tc_ov_weight = 1, .wrr_weights = {1, 1, 1, 1}};
	struct rte_sched_subport_params subport = {.n_pipes_per_subport_enabled = st->n_pipes,
						   .pipe_profiles = &pipe,
						   .n_pipe_profiles = 1,
						   .n_max_pipe_profiles = 1},
					*all[1] = {&subport};

	for (int i = 0; i < RTE_SCHED_TRAFFIC_CLASSES_PER_PIPE; i++) {
		pipe.tc_rate[i] = RATE;
		subport.qsize[i] = QUEUE_PACKETS;
	}
	*bytes_per_class = (double)rte_sched_port_get_memory_footprint(&params, all) / st->n_classes;
	st->port = rte_sched_port_config(&params);
	if (st->port == NULL || rte_sched_subport_config(st->port, 0, &subport, 0) != 0)
		return err_set(err, ENOMEM, "rte_sched cannot be set up for %u pipes", st->n_pipes);
	for (uint32_t i = 0; i < st->n_pipes; i++) {
		if (rte_sched_pipe_config(st->port, 0, i, 0) != 0)
			return err_set(err, EINVAL, "rte_sched refuses pipe %u", i);
	}
	return 0;
}

static void stand_destroy(struct stand *st)
{
	struct rte_mbuf *m[BURST];

	for (int idle = 0; st->port != NULL && idle < 10000; idle++) { // no pool would take them back
		if (rte_sched_port_dequeue(st->port, m, BURST) > 0)
			idle = 0;
	}
	if (st->port != NULL)
		rte_sched_port_free(st->port);
	free(st->mbufs);
}

static void name_queue(struct stand *st, struct rte_mbuf *m)
{
	uint32_t class = m->CLASS, queue = class % st->per_pipe, tc = RTE_SCHED_TRAFFIC_CLASS_BE;

	if (st->per_pipe > 1 && queue < RTE_SCHED_TRAFFIC_CLASS_BE) {
		tc = queue;
		queue = 0;
	} else if (st->per_pipe > 1) {
		queue -= RTE_SCHED_TRAFFIC_CLASS_BE;
	}
	rte_sched_port_pkt_write(st->port, m, 0, class / st->per_pipe, tc, queue, RTE_COLOR_GREEN);
}

static int stand_create(struct stand *st, const struct bench_opts *opts, double *bytes_per_class, struct err *err)
{
	uint32_t n_mbufs;
	int ret;

	*st = (struct stand){.n_classes = opts->classes, .n_standing = opts->backlogged, .lcg = 1, .per_pipe = 1};
	if (st->n_classes > PIPES_MAX)
		st->per_pipe = RTE_SCHED_QUEUES_PER_PIPE;
	st->n_pipes = power_of_2_from((st->n_classes + st->per_pipe - 1) / st->per_pipe);
	n_mbufs = st->n_standing * STANDING + BURST;
	st->mbufs = calloc(n_mbufs, sizeof(*st->mbufs));
	if (st->mbufs == NULL)
		return err_set(err, ENOMEM, "no memory for %u packets", n_mbufs);
	ret = port_create(st, bytes_per_class, err);
	for (uint32_t i = 0; i < n_mbufs && ret == 0; i++) {
		struct rte_mbuf *m = &st->mbufs[i];

		m->pkt_len = FRAME_BYTES;
		m->data_len = FRAME_BYTES;
		m->CLASS = st->n_standing == 0 ? i % st->n_classes : i % st->n_standing;
		if (i < BURST) {
			st->out[st->n_out++] = m;
			continue;
		}
		name_queue(st, m);
		if (rte_sched_port_enqueue(st->port, &m, 1) != 1)
			ret = err_set(err, ENOBUFS, "rte_sched has no room for packet %u", i);
	}
	return ret;
}

static double run(struct stand *st, uint64_t rounds)
{
	uint64_t packets = 0, start = bench_thread_ns();

	for (uint64_t round = 0; round < rounds; round++) {
		for (uint32_t i = 0; i < st->n_out; i++) {
			if (st->n_standing == 0) {
				st->lcg = st->lcg * 1664525 + 1013904223;
				st->out[i]->CLASS = (uint32_t)((uint64_t)st->lcg * st->n_classes >> 32);
			}
			name_queue(st, st->out[i]);
		}
		rte_sched_port_enqueue(st->port, st->out, st->n_out);
		st->n_out = (uint32_t)rte_sched_port_dequeue(st->port, st->out, BURST);
		packets += st->n_out;
	}
	return (double)packets * 1e3 / (double)(bench_thread_ns() - start);
}

int bench_rte_sched(const struct bench_opts *opts, double *mpps, double *bytes_per_class, struct err *err)
{
	struct stand st;
	int ret = stand_create(&st, opts, bytes_per_class, err);

	if (ret == 0) {
		run(&st, 2 * opts->classes / BURST + 1000);
		*mpps = run(&st, (uint64_t)(opts->seconds * 3e5));
	}
	stand_destroy(&st);
	return ret;
}
