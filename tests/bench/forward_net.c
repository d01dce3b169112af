// SPDX-License-Identifier: Apache-2.0
#include "forward_net.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "bench.h"
#include "dataplane/dp_priv.h"

struct forward_net {
	struct dp dp;
	char worker_task[64]; // in /proc
};

// One category, rank by place: the first rule that covers a packet is the one that is found.
static int publish(struct forward_net *net, const struct rules *rules, uint32_t deny_every, struct err *err)
{
	struct cls_row *rows = calloc(rules->n + 1, sizeof(*rows));
	struct snapshot *s = calloc(1, sizeof(*s));

	if (rows == NULL || s == NULL) {
		free(rows);
		free(s);
		return err_set(err, ENOMEM, "no memory for %u rules", rules->n);
	}
	for (uint32_t i = 0; i < rules->n; i++)
		rows[i] = (struct cls_row){
			.box = rule_box(&rules->rule[i]),
			.rank = rules->n - i,
			.meter_category = CLS_NO_CATEGORY,
			.payload = {.id = i + 1,
				    .node = NAMES_ROOT,
				    .counter = NAMES_NO_SLOT,
				    .part = PART_ACCESS,
				    .access = deny_every != 0 && i % deny_every == 0 ? ACCESS_DENY : ACCESS_ALLOW},
		};
	s->gen = UINT32_MAX;
	s->cls = cls_build(rows, rules->n, s->gen, 512, err);
	free(rows);
	if (s->cls == NULL) {
		snapshot_destroy(s);
		return -err->code;
	}
	snapshot_publish(&net->dp.slot, s);
	return 0;
}

// The worker's thread: EAL names it after its lcore.
static void find_worker(struct forward_net *net)
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
		if (fgets(name, sizeof(name), f) != NULL && strstr(name, "worker-1") != NULL)
			snprintf(net->worker_task, sizeof(net->worker_task), "/proc/self/task/%.20s/schedstat",
				 e->d_name);
		fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
}

struct forward_net *forward_net_open(const struct dp_conf *conf, const struct rules *rules, uint32_t deny_every,
				     struct err *err)
{
	struct forward_net *net = calloc(1, sizeof(*net));
	int ret;

	if (net == NULL) {
		err_set(err, ENOMEM, "no memory for the dataplane");
		return NULL;
	}
	ret = dp_up(&net->dp, conf, err);
	if (ret == 0)
		ret = publish(net, rules, deny_every, err);
	if (ret < 0) {
		forward_net_close(net);
		return NULL;
	}
	find_worker(net);
	return net;
}

void forward_net_close(struct forward_net *net)
{
	if (net != NULL)
		dp_down(&net->dp);
	free(net);
}

static uint64_t cpu_ns(const struct forward_net *net)
{
	FILE *f = fopen(net->worker_task, "r");
	uint64_t ns = 0;

	if (f != NULL && fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	if (f != NULL)
		fclose(f);
	return ns;
}

void forward_net_read(const struct forward_net *net, struct forward_figures *out)
{
	memset(out, 0, sizeof(*out));
	for (uint16_t i = 0; i < net->dp.conf->n_ports; i++) {
		uint64_t value[COUNTER_N];

		worker_counters_get(net->dp.worker, i, value);
		for (int c = 0; c < COUNTER_N; c++)
			out->counters[c] += value[c];
	}
	worker_phases_get(net->dp.worker, &out->phases);
	out->cpu_ns = cpu_ns(net);
	out->wall_ns = bench_now_ns();
	out->tsc = rte_rdtsc();
}

void forward_net_stop(struct forward_net *net)
{
	worker_stop(net->dp.worker);
	rte_eal_mp_wait_lcore();
}

uint64_t forward_net_counter(const struct forward_net *net, uint16_t port, enum counter_id id)
{
	uint64_t value[COUNTER_N];

	worker_counters_get(net->dp.worker, port, value);
	return value[id];
}

double forward_net_tsc_hz(void)
{
	return (double)rte_get_tsc_hz();
}
