// SPDX-License-Identifier: Apache-2.0
// conf -> the EAL's arguments. Two lcores: 0 is the main thread, 1 the worker; on one CPU they share it.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "dp_log.h"
#include "dp_priv.h"

#define ARGS_MAX 24

struct args {
	char text[ARGS_MAX][128];
	char *argv[ARGS_MAX + 1];
	int argc;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->argc == ARGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->text[a->argc], sizeof(a->text[0]), fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argc++;
}

// "2,3" or "2": CPUs of main and worker. A list of CPUs as -l has it, of which the first two count.
static int parse_lcores(const char *text, int *main_cpu, int *worker_cpu, struct err *err)
{
	char *end;
	long first = strtol(text, &end, 10), second = first;

	if (end != text && *end == ',') {
		text = end + 1;
		second = strtol(text, &end, 10);
	}
	if (end == text || *end != '\0' || first < 0 || second < 0 || first >= CPU_SETSIZE || second >= CPU_SETSIZE)
		return err_set(err, EINVAL, "lcores: expected \"MAIN,WORKER\", two CPU numbers");
	*main_cpu = (int)first;
	*worker_cpu = (int)second;
	return 0;
}

// The first and the last CPU we may run on: they are the least likely to share a core.
static int choose_lcores(int *main_cpu, int *worker_cpu, struct err *err)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return err_set(err, errno, "which CPUs may be used: %s", strerror(errno));
	*main_cpu = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (*main_cpu < 0)
			*main_cpu = cpu;
		*worker_cpu = cpu;
	}
	return 0;
}

// Telemetry needs the EAL's run-time directory; without it the EAL would not start.
static bool has_runtime_dir(void)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	if (dir == NULL && getuid() == 0)
		dir = "/var/run";
	if (dir == NULL)
		dir = getenv("XDG_RUNTIME_DIR");
	return access(dir != NULL ? dir : "/tmp", W_OK) == 0;
}

static bool uses_pci(const struct dp_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_ports; i++) {
		if (strncmp(conf->ports[i].device, "pci:", 4) == 0)
			return true;
	}
	return false;
}

int dp_eal_up(const struct dp_conf *conf, struct err *err)
{
	struct args a = {0};
	int main_cpu = 0, worker_cpu = 0;
	int ret = conf->lcores != NULL ? parse_lcores(conf->lcores, &main_cpu, &worker_cpu, err)
				       : choose_lcores(&main_cpu, &worker_cpu, err);

	if (ret < 0)
		return ret;
	add(&a, "pane-dataplane");
	add(&a, "--lcores=0@%d,1@%d", main_cpu, worker_cpu);
	add(&a, "-m");
	add(&a, "%u", conf->memory_mb);
	if (conf->huge_pages)
		add(&a, "--huge-unlink");
	else
		add(&a, "--no-huge");
	if (!uses_pci(conf))
		add(&a, "--no-pci");
	add(&a, "--no-shconf");
	add(&a, "--file-prefix=%s", conf->file_prefix != NULL ? conf->file_prefix : "pane");
	add(&a, "--force-max-simd-bitwidth=512");
	add(&a, "--log-level=warning");
	add(&a, "--log-level=lib.telemetry:error"); // the legacy socket is nobody's concern
	if (!has_runtime_dir())
		add(&a, "--no-telemetry");
	if (rte_eal_init(a.argc, a.argv) < 0)
		return err_set(err, rte_errno != 0 ? rte_errno : EINVAL,
			       "DPDK does not start on CPUs %d and %d with %u MB: %s (its own words are above)",
			       main_cpu, worker_cpu, conf->memory_mb, rte_strerror(rte_errno));
	dp_info("main on CPU %d, worker on CPU %d, %u MB %s huge pages", main_cpu, worker_cpu, conf->memory_mb,
		conf->huge_pages ? "of" : "without");
	return 0;
}
