// SPDX-License-Identifier: Apache-2.0
#include "forward_net.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "bench.h"
#include "dataplane/dp_priv.h"
#include "dataplane/layers.h"
#include "dataplane/names.h"
#include "dataplane/sched_log.h"
#include "hft/parts.h"

struct forward_net {
	struct dp dp;
	char worker_task[WORKERS_MAX][64]; // in /proc
	uint32_t n_workers;
};

static void keep_house(struct layers *layers)
{
	layers_poll(layers, (int64_t)bench_now_ns());
	usleep(100);
}

// Far above what any port does.
static int add_limits(struct forward_net *net, uint32_t n, struct err *err)
{
	if (n > sched_log_room(net->dp.log))
		return err_set(err, E2BIG, "%u limits: %u are the most at once", n, sched_log_room(net->dp.log));
	for (uint32_t i = 0; i < n; i++) {
		struct sched_change c = {.kind = SCHED_METER_SET,
					 .slot = i,
					 .id = i + 1,
					 .is_limit = true,
					 .rate_bps = UINT64_C(400000000000)};

		sched_log_append(net->dp.log, &c);
	}
	return 0;
}

// Rank by place: the first rule that covers a packet is the one that is found in each category.
static int publish(struct forward_net *net, const struct rules *rules, const struct forward_policy *how,
		   struct err *err)
{
	struct layers *layers = dp_policy_layers(net->dp.policy);
	struct layers_batch *b = layers_batch_create(layers);
	struct layers_view view;
	int rc = b == NULL || snapshot_reserve(&net->dp.slot) < 0 ? err_set(err, ENOMEM, "no memory for rules") : 0;

	if (rc == 0)
		rc = add_limits(net, how->limits, err);
	for (uint32_t i = 0; i < rules->n && rc == 0; i++) {
		struct cls_row row = {
			.box = rule_box(&rules->rule[i]),
			.rank = rules->n - i,
			.access_category = (uint8_t)(i % how->categories),
			.meter_category = CLS_NO_CATEGORY,
			.payload = {.id = i + 1,
				    .node = NAMES_ROOT,
				    .counter = NAMES_NO_SLOT,
				    .part = how->limits != 0 ? PART_LIMIT : PART_ACCESS,
				    .meter = how->limits != 0 ? i % how->limits : 0,
				    .access = forward_denies(how, i) ? ACCESS_DENY : ACCESS_ALLOW},
		};

		rc = layers_batch_add(b, &row, err) == CLS_NO_ROW ? -err->code : 0;
	}
	while (rc == 0 && (rc = layers_commit(layers, b, &view, err)) == -EAGAIN) {
		rc = 0;
		keep_house(layers);
	}
	while (rc == 0 && layers_merge_all(layers))
		keep_house(layers);
	if (rc < 0) {
		layers_batch_destroy(b);
		return rc;
	}
	layers_view(layers, &view);
	snapshot_publish(&net->dp.slot, 1, &view);
	return 0;
}

// The workers' threads: EAL names them after their lcores.
static void find_workers(struct forward_net *net)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fgets(name, sizeof(name), f) != NULL && strstr(name, "worker-") != NULL &&
		    net->n_workers < WORKERS_MAX)
			snprintf(net->worker_task[net->n_workers++], sizeof(net->worker_task[0]),
				 "/proc/self/task/%.20s/schedstat", e->d_name);
		fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
}

struct forward_net *forward_net_open(const struct dp_conf *conf, const struct rules *rules,
				     const struct forward_policy *how, struct err *err)
{
	struct forward_net *net = calloc(1, sizeof(*net));
	int ret;

	if (net == NULL) {
		err_set(err, ENOMEM, "no memory for the dataplane");
		return NULL;
	}
	ret = dp_up(&net->dp, conf, err);
	if (ret == 0)
		ret = publish(net, rules, how, err);
	if (ret < 0) {
		forward_net_close(net);
		return NULL;
	}
	find_workers(net);
	return net;
}

void forward_net_close(struct forward_net *net)
{
	if (net != NULL)
		dp_down(&net->dp);
	free(net);
}

static void read_cpu(const struct forward_net *net, struct forward_figures *out)
{
	for (uint32_t i = 0; i < net->n_workers; i++) {
		FILE *f = fopen(net->worker_task[i], "r");
		uint64_t ns;

		if (f != NULL && fscanf(f, "%" SCNu64, &ns) == 1)
			out->worker_cpu_ns[i] = ns;
		if (f != NULL)
			fclose(f);
		out->cpu_ns += out->worker_cpu_ns[i];
	}
}

void forward_net_read(const struct forward_net *net, struct forward_figures *out)
{
	memset(out, 0, sizeof(*out));
	for (uint16_t i = 0; i < net->dp.conf->n_ports; i++) {
		uint64_t value[COUNTER_N];

		workers_counters_get(net->dp.workers, i, value);
		for (int c = 0; c < COUNTER_N; c++)
			out->counters[c] += value[c];
	}
	workers_phases_get(net->dp.workers, &out->phases);
	read_cpu(net, out);
	out->wall_ns = bench_now_ns();
	out->tsc = rte_rdtsc();
}

void forward_net_stop(struct forward_net *net)
{
	workers_stop(net->dp.workers);
	rte_eal_mp_wait_lcore();
}

uint64_t forward_net_counter(const struct forward_net *net, uint16_t port, enum counter_id id)
{
	uint64_t value[COUNTER_N];

	workers_counters_get(net->dp.workers, port, value);
	return value[id];
}

double forward_net_tsc_hz(void)
{
	return (double)rte_get_tsc_hz();
}
