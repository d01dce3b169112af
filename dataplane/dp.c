// SPDX-License-Identifier: Apache-2.0
#include "dp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>

#include "dp_figures.h"
#include "dp_log.h"
#include "dp_ports.h"
#include "dp_priv.h"
#include "names.h"
#include "sched.h"

#define WORKER_LCORE 1 // of the first worker

static int eal_up(struct dp *dp, struct err *err)
{
	int ret = dp_eal_up(dp->conf, &dp->n_workers, err);

	dp->eal = ret == 0;
	return ret;
}

static void eal_down(struct dp *dp)
{
	if (dp->eal && !dp->left)
		dp_eal_down();
}

static void ports_down(struct dp *dp)
{
	dp_telemetry_hold(true); // DPDK's thread may be asked about them still
	dp_ports_down(dp);
	dp_telemetry_hold(false);
}

static int policy_up(struct dp *dp, struct err *err)
{
	uint16_t n = dp->n_workers;
	size_t size = rte_rcu_qsbr_get_memsize(n);

	snapshot_slot_init(&dp->slot, rte_zmalloc("pane_rcu", size, RTE_CACHE_LINE_SIZE), n);
	if (dp->slot.rcu == NULL || rte_rcu_qsbr_init(dp->slot.rcu, n) != 0)
		return err_set(err, ENOMEM, "no memory for the RCU variable");
	dp->table = table_create(err);
	if (dp->table == NULL)
		return -err->code;
	dp->policy = dp_policy_create(dp->table, &dp->slot, dp->log, dp->conf->simd_max_bits, err);
	return dp->policy == NULL ? -err->code : 0;
}

static void policy_down(struct dp *dp)
{
	if (dp->slot.rcu == NULL)
		return;
	snapshot_slot_fini(&dp->slot);
	dp->left = !dp_policy_destroy(dp->policy, false);
	if (dp->left)
		dp_notice("a layer of the classifier is being built: its memory is left to the end of the process");
	table_destroy(dp->table);
	rte_free(dp->slot.rcu);
}

static int worker_up(struct dp *dp, struct err *err)
{
	struct workers_conf conf = {
		.n_ports = (uint16_t)dp->conf->n_ports,
		.mac_ageing_s = dp->conf->mac_ageing_s,
		.tsc_hz = rte_get_tsc_hz(),
		.pool = dp->pool,
		.limits = dp->limits,
		.log = dp->log,
		.nodes = names_nodes(dp_policy_names(dp->policy)),
		.layers = dp_policy_layers(dp->policy),
		.ask = &dp->ask,
		.slot = &dp->slot,
		.n_workers = dp->n_workers,
		.poll_always = dp->conf->poll_always,
		.drop_fragments = dp->conf->drop_fragments,
	};
	int ret;

	for (uint16_t i = 0; i < dp->conf->n_ports; i++)
		conf.port[i] = dp_port_for_workers(&dp->port[i]);
	dp->workers = workers_create(&conf, err);
	if (dp->workers == NULL)
		return -err->code;
	for (; dp->n_launched < dp->n_workers; dp->n_launched++) {
		ret = rte_eal_remote_launch(worker_main, workers_at(dp->workers, dp->n_launched),
					    WORKER_LCORE + dp->n_launched);
		if (ret < 0)
			return err_set(err, -ret, "worker %u cannot be started: %s", dp->n_launched, strerror(-ret));
	}
	return 0;
}

static void worker_down(struct dp *dp)
{
	if (dp->n_launched > 0)
		workers_stop(dp->workers);
	for (uint16_t i = 0; i < dp->n_launched; i++)
		rte_eal_wait_lcore(WORKER_LCORE + i);
	workers_destroy(dp->workers);
}

static int telemetry_up(struct dp *dp, struct err *err)
{
	dp_telemetry_up(dp);
	return 0;
}

static void telemetry_down(struct dp *dp)
{
	dp_telemetry_down();
}

static int link_up(struct dp *dp, struct err *err)
{
	struct link_conf conf = {
		.path = dp->conf->link_path, .uid = dp->conf->link_uid, .boot_id = rte_rand(), .table = dp->table};

	if (conf.path == NULL)
		return 0;
	dp->link = link_create(&conf, err);
	return dp->link == NULL ? -err->code : 0;
}

static void link_down(struct dp *dp)
{
	link_destroy(dp->link);
}

static int tell_up(struct dp *dp, struct err *err)
{
	struct dp_tell_conf conf = {.link = dp->link,
				    .names = dp_policy_names(dp->policy),
				    .workers = dp->workers,
				    .dp = dp,
				    .filter = dp_policy_filter(dp->policy),
				    .host_ageing_s = dp->conf->mac_ageing_s};

	dp->tell = dp_tell_create(&conf, err);
	if (dp->tell != NULL)
		dp->trace = dp_trace_create(dp_policy_layers(dp->policy), names_nodes(dp_policy_names(dp->policy)),
					    dp->conf->drop_fragments, err);
	return dp->trace == NULL ? -err->code : 0;
}

static void tell_down(struct dp *dp)
{
	dp_trace_destroy(dp->trace);
	dp_tell_destroy(dp->tell);
}

// In this order; down in reverse. Every down also takes what is only half up, or not at all.
static const struct {
	int (*up)(struct dp *dp, struct err *err);
	void (*down)(struct dp *dp);
} steps[] = {
	{eal_up, eal_down},        {dp_pool_up, dp_pool_down},
	{dp_ports_up, ports_down}, {dp_scheds_up, dp_scheds_down},
	{policy_up, policy_down},  {dp_filters_up, dp_filters_down},
	{worker_up, worker_down},  {telemetry_up, telemetry_down},
	{link_up, link_down}, // who can connect finds all of the above running
	{tell_up, tell_down},
};

int dp_check(const struct dp_conf *conf, struct err *err)
{
	char why[PORT_ERR_MAX];
	uint16_t n_workers;
	int ret;

	if (conf->n_workers > WORKERS_MAX)
		return err_set(err, EINVAL, "%u workers: at most %u are possible", conf->n_workers, WORKERS_MAX);
	if (conf->n_ports == 0 || conf->n_ports > WORKER_PORTS_MAX)
		return err_set(err, EINVAL, "%u ports: at least 1 and at most %u are possible", conf->n_ports,
			       WORKER_PORTS_MAX);
	for (uint32_t i = 0; i < conf->n_ports; i++) {
		if (port_device_check(conf->ports[i].device, why) < 0 ||
		    port_mtu_check(conf->ports[i].device, (uint16_t)conf->mtu, why) < 0)
			return err_set(err, EINVAL, "port %s: %s", conf->ports[i].name, why);
	}
	ret = dp_lcores_check(conf->lcores, err);
	if (ret == 0)
		ret = dp_workers_check(conf, &n_workers, err);
	return ret < 0 ? ret : dp_pool_check(conf, n_workers, err);
}

int dp_up(struct dp *dp, const struct dp_conf *conf, struct err *err)
{
	int ret = dp_check(conf, err);

	*dp = (struct dp){.conf = conf, .last_number = (uint16_t)(conf->n_ports - 1)};
	while (ret == 0 && dp->n_up < RTE_DIM(steps))
		ret = steps[dp->n_up++].up(dp, err);
	if (ret < 0)
		dp_down(dp);
	return ret;
}

void dp_down(struct dp *dp)
{
	while (dp->n_up > 0)
		steps[--dp->n_up].down(dp);
}

int dp_run(const struct dp_conf *conf, const volatile bool *stop, struct err *err)
{
	struct dp *dp = malloc(sizeof(*dp));
	int ret;

	if (dp == NULL)
		return err_set(err, ENOMEM, "no memory for the dataplane");
	prctl(PR_SET_TIMERSLACK, 1); // instants are met to some microseconds
	ret = dp_up(dp, conf, err);
	if (ret == 0) {
		dp_ports_turn(dp, 0);
		dp_notice("ready, listening on %s", conf->link_path);
		dp_loop(dp, stop);
		dp_down(dp);
	}
	free(dp);
	return ret;
}
