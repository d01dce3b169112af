// SPDX-License-Identifier: Apache-2.0
// Ports that cannot be opened, and what is said of them. Those over a kernel interface run in a network namespace of
// this process and need root; without it they are skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "gapless_pool.h"
#include "nic-config/interface_lock.h"
#include "nic-config/interface_mtu.h"
#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"

#define MTU 1500

static struct rte_mempool *pool;
static bool have_namespace;

// libxdp keeps one small block of every socket it made.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

static int open_device(const char *name, const char *device, uint16_t *port_id, char why[PORT_ERR_MAX])
{
	struct port_conf conf = {.name = name, .device = device, .n_queues = 1, .mtu = MTU, .pool = pool};
	int rc = port_open(&conf, port_id, why);

	if (rc < 0)
		return rc;
	rc = port_start(*port_id, why);
	if (rc < 0)
		port_close(*port_id);
	return rc;
}

#define assert_opens(name, device, port_id) \
	do { \
		char why_[PORT_ERR_MAX] = ""; \
		if (open_device(name, device, port_id, why_) < 0) \
			fail_msg("%s", why_); \
	} while (0)

// Holds the interface until it is killed; its pid.
static pid_t hold_elsewhere(const char *interface)
{
	char why[PORT_ERR_MAX], byte;
	int ready[2], lock;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (interface_lock(interface, &lock, why) < 0 || lock < 0 || write(ready[1], "1", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void an_interface_that_another_process_drives_is_refused_with_its_pid(void **state)
{
	char why[PORT_ERR_MAX] = "", expected[64];
	uint16_t id;
	pid_t pid;

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1 && ip link set pt1 up"), 0);
	pid = hold_elsewhere("pt0");
	snprintf(expected, sizeof(expected), "interface pt0 is in use by pid %d (", (int)pid);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_device("u0", i == 0 ? "af_xdp:pt0" : "af_packet:pt0", &id, why), -EBUSY);
		assert_non_null(strstr(why, expected));
	}
	assert_opens("u1", "af_packet:pt1", &id); // each interface by itself
	port_close(id);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_opens("u0", "af_xdp:pt0", &id);
	port_close(id);
	assert_int_equal(system("ip link del pt0"), 0);
}

static void set_rights(uint32_t rights)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective = data[0].permitted & rights;
	data[1].effective = rights == UINT32_MAX ? data[1].permitted : 0;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void a_right_that_is_missing_is_named(void **state)
{
	static const struct {
		uint32_t without;
		const char *device, *name;
	} rights[] = {
		{1U << CAP_NET_RAW, "af_packet:pt0", "the right CAP_NET_RAW is missing"},
		{1U << CAP_NET_ADMIN, "af_xdp:pt0", "the right CAP_NET_ADMIN is missing"},
		{1U << CAP_SYS_ADMIN, "af_xdp:pt0", "the right CAP_BPF is missing"},
	};

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1"), 0);
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		char why[PORT_ERR_MAX] = "";
		uint16_t id;
		int rc;

		set_rights(UINT32_MAX - rights[i].without);
		rc = open_device("c0", rights[i].device, &id, why);
		set_rights(UINT32_MAX);
		assert_int_equal(rc, -EPERM);
		assert_non_null(strstr(why, rights[i].name));
	}
	assert_int_equal(system("ip link del pt0"), 0);
}

// In /sys, which is that of the machine's network namespace otherwise.
static bool see_own_interfaces(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("sysfs", "/sys", "sysfs", 0, NULL) == 0;
}

static void queues_that_an_interface_has_not_are_refused(void **state)
{
	static const char *const wanted[] = {"af_xdp:qt0,start_queue=2", "af_xdp:qt0,queue_count=3",
					     "af_xdp:qt0,start_queue=1,queue_count=2"};
	char why[PORT_ERR_MAX];
	uint16_t id;

	if (!have_namespace || !see_own_interfaces())
		skip();
	assert_int_equal(system("ip link add qt0 numrxqueues 2 numtxqueues 2 type veth peer name qt1"), 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		why[0] = '\0';
		assert_int_equal(open_device("q0", wanted[i], &id, why), -EINVAL);
		assert_non_null(strstr(why, "interface qt0 has 2"));
	}
	assert_int_equal(system("ip link del qt0"), 0);
}

// A driver that returns -1 means no errno.
static void a_driver_without_a_reason_is_not_told_as_a_missing_right(void **state)
{
	static const char *const wrong[] = {"pcap:/nonexistent/in.pcap,", "memif:role=server,rsize=99", "null:size",
					    "vhost:/nonexistent/dir/sock"};
	char why[PORT_ERR_MAX];
	uint16_t id;

	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why[0] = '\0';
		assert_true(open_device("w", wrong[i], &id, why) < 0);
		if (strstr(why, "driver's own words above") == NULL || strstr(why, "not permitted") != NULL)
			fail_msg("%s: %s", wrong[i], why);
	}
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
}

// As the kernel and the driver of af_packet want it: see port_kind.c.
static void buffers_hold_a_frame_of_any_mtu(void **state)
{
	for (uint32_t mtu = 576; mtu <= PORT_MTU_MAX; mtu++) {
		uint32_t room = port_room_bytes((uint16_t)mtu), in_pool = 2 * 64 + 128 + 128 + room;

		assert_true(room >= mtu + PORT_L2_OVERHEAD_BYTES + 128);
		assert_int_equal(room % 64, 0);
		if (mtu <= 3434)
			assert_true(room >= mtu + PORT_L2_OVERHEAD_BYTES + 256 && in_pool <= 4096);
	}
	assert_int_equal(port_room_bytes(1500), 2048);
}

static void an_mtu_is_no_larger_than_the_device_can(void **state)
{
	char why[PORT_ERR_MAX];

	assert_int_equal(port_mtu_check("af_xdp:none0", 3434, why), 0);
	assert_int_equal(port_mtu_check("af_xdp:none0", 3435, why), -EINVAL);
	assert_string_equal(why, "af_xdp:none0: MTU 3435: it can have 3434 at most");
	assert_int_equal(port_mtu_check("af_packet:none0", PORT_MTU_MAX, why), 0);
	assert_int_equal(port_mtu_check("memif:", PORT_MTU_MAX, why), 0);
	assert_int_equal(port_mtu_check("tap:none0", 1505, why), -EINVAL);
}

static void what_the_kernel_says_of_an_mtu_is_read(void **state)
{
	uint32_t now, max;

	assert_int_equal(interface_mtu("none0", &now, &max), -ENODEV);
	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pm0 mtu 1400 type veth peer name pm1"), 0);
	assert_int_equal(interface_mtu("pm0", &now, &max), 0);
	assert_int_equal(now, 1400);
	assert_int_equal(max, 65535);
	assert_int_equal(system("ip link del pm0"), 0);
}

static void a_tap_of_an_interface_that_is_there_is_refused_by_name(void **state)
{
	char why[PORT_ERR_MAX];
	uint16_t id;

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pm0 type veth peer name pm1"), 0);
	assert_int_equal(open_device("m0", "tap:pm0", &id, why), -EEXIST);
	assert_string_equal(why, "tap:pm0: there is an interface of that name, which is no tap");
	assert_int_equal(system("ip link del pm0"), 0);
}

static int setup(void **state)
{
	have_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
	test_eal_init();
	pool = gapless_pool("pool", 8191);
	return pool == NULL;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_that_another_process_drives_is_refused_with_its_pid),
		cmocka_unit_test(a_right_that_is_missing_is_named),
		cmocka_unit_test(queues_that_an_interface_has_not_are_refused),
		cmocka_unit_test(buffers_hold_a_frame_of_any_mtu),
		cmocka_unit_test(an_mtu_is_no_larger_than_the_device_can),
		cmocka_unit_test(what_the_kernel_says_of_an_mtu_is_read),
		cmocka_unit_test(a_tap_of_an_interface_that_is_there_is_refused_by_name),
		cmocka_unit_test(a_driver_without_a_reason_is_not_told_as_a_missing_right),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
