// SPDX-License-Identifier: Apache-2.0
// DPDK telemetry: what `dpdk-telemetry.py` gets when it asks a running dataplane.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_eal.h>

#include "dataplane/dp_figures.h"
#include "dataplane/dp_priv.h"

static struct dp dp;
static struct err err;
static char answer[65536];

static int start(void **state)
{
	static char prefix[32];
	static const struct dp_port_conf ports[] = {{"in", "null:size=64", 0}, {"out", "null:", 5000000}};
	static struct dp_conf conf = {.ports = ports,
				      .n_ports = 2,
				      .mac_ageing_s = 300,
				      .memory_mb = 128,
				      .mtu = 1500,
				      .simd_max_bits = 512,
				      .file_prefix = prefix};

	snprintf(prefix, sizeof(prefix), "panetelemetry%d", (int)getpid());
	if (dp_up(&dp, &conf, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static int finish(void **state)
{
	dp_down(&dp);
	return 0;
}

// Sends a command as the script does; the answer is one packet of JSON.
static const char *ask(const char *command)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/dpdk_telemetry.v2", rte_eal_get_runtime_dir());
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		fail_msg("no telemetry at %s", addr.sun_path);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0); // who it is
	assert_int_equal(send(fd, command, strlen(command), 0), strlen(command));
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	close(fd);
	return answer;
}

static void expect(const char *command, const char *text)
{
	if (strstr(ask(command), text) == NULL)
		fail_msg("%s: no %s in %s", command, text, answer);
}

static void ports_are_listed_by_name(void **state)
{
	expect("/pane/ports", "{\"/pane/ports\":[\"in\",\"out\"]}");
}

static void a_port_tells_its_state_and_every_counter(void **state)
{
	ask("/pane/port,out");
	assert_non_null(strstr(answer, "\"device\":\"null:\""));
	assert_non_null(strstr(answer, "\"rate_bps\":5000000"));
	for (int c = 0; c < COUNTER_N; c++) {
		char key[64];

		snprintf(key, sizeof(key), "\"%s\":", counter_desc[c].name);
		if (strstr(answer, key) == NULL)
			fail_msg("no counter %s in %s", key, answer);
	}
	expect("/pane/port,nosuch", "null");
	expect("/pane/port", "null");
}

static void the_worker_tells_every_figure(void **state)
{
	uint64_t value[FIGURE_N];

	ask("/pane/worker");
	for (int i = 0; i < FIGURE_N; i++) {
		if (i == FIGURE_rows)
			ask("/pane/policy");
		char key[64];

		snprintf(key, sizeof(key), "\"%s\":", dp_figure_name[i]);
		if (strstr(answer, key) == NULL)
			fail_msg("no figure %s in %s", key, answer);
	}
	dp_figures_get(&dp, value);
	assert_true(value[FIGURE_buffers] > 0 && value[FIGURE_buffers_free] <= value[FIGURE_buffers]);
	assert_int_equal(value[FIGURE_snapshot], 0);     // nobody has published one
	assert_int_equal(value[FIGURE_memory_bytes], 0); // not noted yet
	dp_figures_note(&dp);
	dp_figures_get(&dp, value);
	assert_true(value[FIGURE_memory_bytes] > 1000000 && value[FIGURE_heap_bytes] > 1000000);
	assert_int_equal(value[FIGURE_rows], 0);
}

static void nothing_is_told_when_it_is_down(void **state)
{
	dp_telemetry_down();
	expect("/pane/ports", "null");
	dp_telemetry_up(&dp);
	expect("/pane/ports", "\"in\"");
}

static void *ask_ethdev(void *arg)
{
	ask("/ethdev/stats,0");
	atomic_store((_Atomic bool *)arg, true);
	return NULL;
}

static void dpdk_tells_of_ports_only_while_none_changes(void **state)
{
	static _Atomic bool answered;
	pthread_t thread;

	expect("/ethdev/list", "[0,1]");
	dp_telemetry_hold(true);
	assert_int_equal(pthread_create(&thread, NULL, ask_ethdev, (void *)&answered), 0);
	usleep(100000);
	assert_false(atomic_load(&answered));
	dp_telemetry_hold(false);
	pthread_join(thread, NULL);
	assert_non_null(strstr(answer, "ipackets"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_listed_by_name),
		cmocka_unit_test(a_port_tells_its_state_and_every_counter),
		cmocka_unit_test(the_worker_tells_every_figure),
		cmocka_unit_test(dpdk_tells_of_ports_only_while_none_changes),
		cmocka_unit_test(nothing_is_told_when_it_is_down),
	};

	return cmocka_run_group_tests_name("telemetry", tests, start, finish);
}
