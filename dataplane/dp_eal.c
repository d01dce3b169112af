// SPDX-License-Identifier: Apache-2.0
// conf -> the EAL's arguments. Two lcores: 0 is the main thread, 1 the worker; on one CPU they share it.
#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "dp_driver_log.h"
#include "dp_log.h"
#include "dp_priv.h"

#define ARGS_MAX 24
#define LCORES_MAX 512
#define TELEMETRY_SOCKET "dpdk_telemetry.v2"
#define NO_DEVICE "0000:00:00.0" // the host bridge: no driver takes it

struct args {
	char text[ARGS_MAX][LCORES_MAX + 16];
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

// CPUs: of the main thread first, then those that workers take in turn.
struct cpus {
	int cpu[1 + CPU_SETSIZE];
	int n;
};

// "2,3,4", or "2": that CPU for all.
static int parse_lcores(const char *text, struct cpus *cpus, struct err *err)
{
	const char *at = text;

	do {
		char *end;
		long cpu = strtol(at, &end, 10);

		if (end == at || cpu < 0 || cpu >= CPU_SETSIZE || cpus->n == CPU_SETSIZE ||
		    (*end != ',' && *end != '\0'))
			return err_set(err, EINVAL, "lcores: expected \"MAIN,WORKER,...\", CPU numbers, not \"%s\"",
				       text);
		cpus->cpu[cpus->n++] = (int)cpu;
		at = end + 1;
	} while (at[-1] == ',');
	return 0;
}

int dp_lcores_check(const char *lcores, struct err *err)
{
	struct cpus cpus = {0};
	cpu_set_t set;
	int ret = lcores != NULL ? parse_lcores(lcores, &cpus, err) : 0;

	if (ret < 0 || lcores == NULL || sched_getaffinity(0, sizeof(set), &set) < 0)
		return ret;
	for (int i = 0; i < cpus.n; i++) {
		if (!CPU_ISSET(cpus.cpu[i], &set))
			return err_set(err, EINVAL, "lcores: \"%s\": CPU %d is none that this process may use", lcores,
				       cpus.cpu[i]);
	}
	return 0;
}

// The first CPU we may run on, then from the last one down: they are the least likely to share a core.
static int choose_lcores(struct cpus *cpus, struct err *err)
{
	cpu_set_t set;
	int first = -1;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return err_set(err, errno, "which CPUs may be used: %s", strerror(errno));
	for (int cpu = 0; cpu < CPU_SETSIZE && first < 0; cpu++) {
		if (CPU_ISSET(cpu, &set))
			first = cpu;
	}
	cpus->cpu[cpus->n++] = first;
	for (int cpu = CPU_SETSIZE - 1; cpu > first; cpu--) {
		if (CPU_ISSET(cpu, &set))
			cpus->cpu[cpus->n++] = cpu;
	}
	return 0;
}

// "(0,1,2)": any of them.
static void format_cpus(const struct cpus *cpus, char *out, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < cpus->n && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%c%d", i == 0 ? '(' : ',', cpus->cpu[i]);
	if (len < size)
		snprintf(out + len, size - len, ")");
}

// "0@2,1@3,...": lcore 0 is the main thread, those after it are the workers. More workers than there are CPUs for them,
// and none were asked for: they may run on any.
static void format_lcores(const struct cpus *cpus, uint16_t n_workers, bool chosen, char *out, size_t size)
{
	bool any = chosen && n_workers > 1 && n_workers > cpus->n - 1;
	size_t len = (size_t)snprintf(out, size, "0@%d", cpus->cpu[0]);
	char cpu[LCORES_MAX];

	for (int i = 0; i < n_workers && len < size; i++) {
		snprintf(cpu, sizeof(cpu), "%d", cpus->cpu[cpus->n > 1 ? 1 + i % (cpus->n - 1) : 0]);
		if (any)
			format_cpus(cpus, cpu, sizeof(cpu));
		len += (size_t)snprintf(out + len, size - len, ",%d@%s", i + 1, cpu);
	}
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

static bool has_hugetlbfs(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m = NULL;

	while (mounts != NULL && (m = getmntent(mounts)) != NULL && strcmp(m->mnt_type, "hugetlbfs") != 0)
		;
	if (mounts != NULL)
		endmntent(mounts);
	return m != NULL || mounts == NULL;
}

// As many as were asked for, or as lcores names CPUs after the first.
static int choose_workers(const struct dp_conf *conf, const struct cpus *cpus, uint16_t *n, struct err *err)
{
	*n = conf->n_workers;
	if (*n == 0)
		*n = conf->lcores != NULL && cpus->n > 2 ? (uint16_t)(cpus->n - 1) : 1;
	if (*n > WORKERS_MAX)
		return err_set(err, EINVAL, "lcores: \"%s\" is for %u workers, at most %u are possible", conf->lcores,
			       *n, WORKERS_MAX);
	return 0;
}

int dp_workers_check(const struct dp_conf *conf, uint16_t *n_workers, struct err *err)
{
	struct cpus cpus = {0};
	int ret = conf->lcores != NULL ? parse_lcores(conf->lcores, &cpus, err) : 0;

	return ret < 0 ? ret : choose_workers(conf, &cpus, n_workers, err);
}

int dp_eal_up(const struct dp_conf *conf, uint16_t *n_workers, struct err *err)
{
	struct args a = {0};
	struct cpus cpus = {0};
	char lcores[LCORES_MAX];
	int ret = conf->lcores != NULL ? parse_lcores(conf->lcores, &cpus, err) : choose_lcores(&cpus, err);

	if (ret == 0)
		ret = choose_workers(conf, &cpus, n_workers, err);
	if (ret < 0)
		return ret;
	format_lcores(&cpus, *n_workers, conf->lcores == NULL, lcores, sizeof(lcores));
	add(&a, "pane-dataplane");
	add(&a, "--lcores=%s", lcores);
	add(&a, "-m");
	add(&a, "%u", conf->memory_mb);
	if (conf->huge_pages)
		add(&a, "--huge-unlink");
	else
		add(&a, "--no-huge");
	// PCI devices are attached one by one, when their ports are opened: others of the machine are somebody else's
	add(&a, "--allow=" NO_DEVICE);
	add(&a, "--no-shconf");
	add(&a, "--file-prefix=%s", conf->file_prefix != NULL ? conf->file_prefix : "pane");
	add(&a, "--force-max-simd-bitwidth=512");
	add(&a, "--log-level=warning");
	add(&a, "--log-level=lib.telemetry:error"); // the legacy socket is nobody's concern
	if (!has_runtime_dir())
		add(&a, "--no-telemetry");
	if (conf->huge_pages && !has_hugetlbfs())
		return err_set(err, ENOENT,
			       "huge_pages: no file system of huge pages is mounted (mount -t hugetlbfs none "
			       "/dev/hugepages)");
	dp_driver_log_on();
	if (rte_eal_init(a.argc, a.argv) < 0)
		return err_set(err, rte_errno != 0 ? rte_errno : EINVAL,
			       "DPDK does not start on lcores %s with %u MB: %s (its own words are above)", lcores,
			       conf->memory_mb, rte_strerror(rte_errno));
	dp_info("lcores at CPUs: %s (0: main, others: workers), %u MB %s huge pages", lcores, conf->memory_mb,
		conf->huge_pages ? "of" : "without");
	if (has_runtime_dir())
		dp_info("DPDK's telemetry is at %s/" TELEMETRY_SOCKET, rte_eal_get_runtime_dir());
	return 0;
}

// EAL leaves its directory behind, with the socket of a thread that is never ended.
void dp_eal_down(void)
{
	char path[PATH_MAX];

	rte_eal_cleanup();
	snprintf(path, sizeof(path), "%s/" TELEMETRY_SOCKET, rte_eal_get_runtime_dir());
	if (unlink(path) == 0)
		rmdir(rte_eal_get_runtime_dir());
}
