// SPDX-License-Identifier: Apache-2.0
#include "dp_figures.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_telemetry.h>

#include "counters.h"
#include "dp_filter.h"
#include "dp_ports.h"
#include "dp_priv.h"
#include "dp_rows.h"
#include "layers.h"

const char *const dp_figure_name[FIGURE_N] = {
#define FIGURE(name, kind, help) #name,
#include "figures.def"
#undef FIGURE
};

#define FIRST_NOTED FIGURE_rows // from there on

// In pages, the second number.
static uint64_t resident_bytes(void)
{
	char text[128] = "", *end;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	strtoull(text, &end, 10);
	return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < rte_socket_count(); i++) {
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_allocsz_bytes;
	}
	return sum;
}

void dp_figures_note(struct dp *dp)
{
	uint64_t value[FIGURE_N] = {0};
	struct layers_stats layers;
	struct dp_rows_stats rows;

	layers_stats(dp_policy_layers(dp->policy), &layers);
	dp_policy_stats(dp->policy, &rows);
	value[FIGURE_rows] = layers.n_rows;
	value[FIGURE_rows_dead] = layers.n_dead;
	value[FIGURE_rows_in_arrays] = layers.n_array_rows;
	value[FIGURE_rows_late] = rows.n_late;
	value[FIGURE_arrays] = layers.n_arrays;
	value[FIGURE_layers] = layers.n_layers;
	value[FIGURE_rows_in_base] = layers.n_largest;
	value[FIGURE_changes] = layers.commits;
	value[FIGURE_changes_waited] = rows.waited;
	value[FIGURE_change_waits_ms] = (uint64_t)dp->change_waits_ms;
	value[FIGURE_changes_failed] = dp->n_changes_failed;
	value[FIGURE_instants_late] = rows.late;
	value[FIGURE_instants_unprepared] = rows.not_prepared;
	value[FIGURE_merges] = layers.merges;
	value[FIGURE_merged_rows] = layers.merged_rows;
	value[FIGURE_merges_failed] = layers.merge_failures;
	value[FIGURE_heap_bytes] = heap_bytes();
	value[FIGURE_memory_bytes] = resident_bytes();
	for (int i = FIRST_NOTED; i < FIGURE_N; i++)
		atomic_store_explicit(&dp->noted[i], value[i], memory_order_relaxed);
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		struct dp_dropped dropped = {0};

		if (dp_has_port(dp, i))
			dp_filter_dropped(dp_policy_filter(dp->policy), i, &dropped);
		atomic_store_explicit(&dp->dev[i].denied, dropped.denied, memory_order_relaxed);
		atomic_store_explicit(&dp->dev[i].unserved, dropped.unserved, memory_order_relaxed);
	}
}

void dp_dev_counters_get(const struct dp *dp, uint16_t port, uint64_t *value)
{
	value[COUNTER_dev_denied] = atomic_load_explicit(&dp->dev[port].denied, memory_order_relaxed);
	value[COUNTER_dev_unserved] = atomic_load_explicit(&dp->dev[port].unserved, memory_order_relaxed);
}

void dp_figures_get(const struct dp *dp, uint64_t value[FIGURE_N])
{
	static const enum figure of_phase[WORKER_PHASES] = {
		[WORKER_RX] = FIGURE_rx_ns,   [WORKER_PARSE] = FIGURE_parse_ns, [WORKER_CLASSIFY] = FIGURE_classify_ns,
		[WORKER_ACT] = FIGURE_act_ns, [WORKER_TX] = FIGURE_tx_ns,
	};
	struct workers_holds holds;
	struct worker_phases phases;
	double ns_per_tick = 1e9 / (double)rte_get_tsc_hz();

	workers_phases_get(dp->workers, &phases);
	value[FIGURE_addresses] = workers_n_addresses(dp->workers);
	value[FIGURE_buffers] = dp->pool->size;
	value[FIGURE_buffers_free] = rte_mempool_avail_count(dp->pool);
	value[FIGURE_snapshot] = snapshot_adopted_gen(&dp->slot);
	value[FIGURE_timed_packets] = phases.packets;
	for (int i = 0; i < WORKER_PHASES; i++)
		value[of_phase[i]] = (uint64_t)((double)phases.ticks[i] * ns_per_tick);
	workers_holds_get(dp->workers, &holds);
	value[FIGURE_holds] = holds.n;
	value[FIGURE_held_us] = holds.ns / 1000;
	value[FIGURE_held_longest_us] = holds.longest_ns / 1000;
	for (int i = FIRST_NOTED; i < FIGURE_N; i++)
		value[i] = atomic_load_explicit(&dp->noted[i], memory_order_relaxed);
}

// --- telemetry

// The library cannot forget a command: it is told what to answer about, and when that is gone.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dp *shown;

static int list_ports(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp_has_port(dp, i))
			rte_tel_data_add_array_string(d, dp->port[i].name);
	}
	return 0;
}

static int show_port(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	uint64_t value[COUNTER_N];

	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		const struct dp_port *port = &dp->port[i];

		if (params == NULL || port->name == NULL || strcmp(params, port->name) != 0)
			continue;
		workers_counters_get(dp->workers, i, value);
		dp_dev_counters_get(dp, i, value);
		rte_tel_data_start_dict(d);
		rte_tel_data_add_dict_string(d, "device", port->device);
		rte_tel_data_add_dict_string(d, "driver", port->caps.driver);
		rte_tel_data_add_dict_int(d, "up", port->up);
		rte_tel_data_add_dict_u64(d, "rate_bps", port->rate_bps);
		for (int c = 0; c < COUNTER_N; c++)
			rte_tel_data_add_dict_u64(d, counter_desc[c].name, value[c]);
		return 0;
	}
	return -1;
}

static int show_worker(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	uint64_t value[FIGURE_N];

	dp_figures_get(dp, value);
	rte_tel_data_start_dict(d);
	for (int i = 0; i < FIRST_NOTED; i++)
		rte_tel_data_add_dict_u64(d, dp_figure_name[i], value[i]);
	return 0;
}

static int show_policy(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	uint64_t value[FIGURE_N];

	dp_figures_get(dp, value);
	rte_tel_data_start_dict(d);
	for (int i = FIRST_NOTED; i < FIGURE_N; i++)
		rte_tel_data_add_dict_u64(d, dp_figure_name[i], value[i]);
	return 0;
}

static const struct {
	const char *name, *help;
	int (*answer)(const struct dp *dp, const char *params, struct rte_tel_data *d);
} commands[] = {
	{"/pane/ports", "Names of the switch's ports", list_ports},
	{"/pane/port", "A port's state and counters. Parameter: its name", show_port},
	{"/pane/worker", "Addresses, buffers, where the worker's time goes, how long workers were held", show_worker},
	{"/pane/policy", "The policy's rows, layers and merges, what had to wait or failed, memory", show_policy},
};

static int answer(const char *cmd, const char *params, struct rte_tel_data *d)
{
	int ret = -1;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < RTE_DIM(commands) && shown != NULL; i++) {
		if (strcmp(cmd, commands[i].name) == 0)
			ret = commands[i].answer(shown, params, d);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

void dp_telemetry_up(struct dp *dp)
{
	pthread_mutex_lock(&lock);
	shown = dp;
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < RTE_DIM(commands); i++)
		rte_telemetry_register_cmd(commands[i].name, answer, commands[i].help); // again: refused, harmless
}

void dp_telemetry_hold(bool hold)
{
	if (hold)
		pthread_mutex_lock(&lock);
	else
		pthread_mutex_unlock(&lock);
}

void dp_telemetry_down(void)
{
	pthread_mutex_lock(&lock);
	shown = NULL;
	pthread_mutex_unlock(&lock);
}
