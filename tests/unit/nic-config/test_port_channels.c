// SPDX-License-Identifier: Apache-2.0
// Queues of af_xdp ports, on veths in a network namespace of this process (root; without it the tests are skipped).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "gapless_pool.h"
#include "nic-config/channels.h"
#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"

#define MTU 1500
#define WAIT_MS 60000
#define RING 64
#define FRAME_BYTES 4096

static struct rte_mempool *pool;
static bool have_namespace;

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create\nleak:libbpf.so";
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int open_once(const char *device, uint16_t n_queues, uint16_t *id, char why[PORT_ERR_MAX])
{
	struct port_conf conf = {.name = "c0", .device = device, .n_queues = n_queues, .mtu = MTU, .pool = pool};
	int rc = port_open(&conf, id, why);

	if (rc < 0)
		return rc;
	rc = port_start(*id, why);
	if (rc < 0)
		port_close(*id);
	return rc;
}

// The kernel lets go of a queue some time after its socket is closed.
static uint16_t opened(const char *device, uint16_t n_queues)
{
	int64_t until_ms = now_ms() + WAIT_MS;
	char why[PORT_ERR_MAX] = "";
	uint16_t id;
	int rc;

	while ((rc = open_once(device, n_queues, &id, why)) == -EBUSY && now_ms() < until_ms)
		usleep(10000);
	if (rc < 0)
		fail_msg("%s", why);
	return id;
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

// ct0, with so many queues in use; all it could have: 17.
static void make_interface(unsigned int n_rx, unsigned int n_tx)
{
	char command[256];

	snprintf(
		command, sizeof(command),
		"ip link add ct0 numrxqueues 17 numtxqueues 17 type veth peer name ct1 numrxqueues 17 numtxqueues 1 && "
		"ip link set ct1 up && { [ %u-%u = 17-17 ] || ethtool -L ct0 rx %u tx %u; }",
		n_rx, n_tx, n_rx, n_tx);
	run(command);
}

// So many mappings of sockets: an AF_XDP socket lives, and keeps its queue, as long as one of its rings is mapped.
static unsigned int n_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		n += strstr(line, "socket:") != NULL;
	fclose(maps);
	return n;
}

static void every_receive_queue_of_the_interface_is_the_ports(void **state)
{
	static const struct {
		unsigned int has_rx, has_tx;
		uint16_t asked, rx, tx;
	} cases[] = {{4, 4, 1, 4, 4}, {4, 4, 2, 4, 4}, {2, 2, 4, 2, 2}, {3, 1, 2, 3, 1}, {2, 4, 1, 2, 2}};

	if (!have_namespace)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct port_caps caps;
		uint16_t id;

		make_interface(cases[i].has_rx, cases[i].has_tx);
		assert_int_equal(port_queues("af_xdp:ct0", cases[i].asked), cases[i].rx);
		id = opened("af_xdp:ct0", cases[i].asked);
		assert_int_equal(port_caps_get(id, &caps), 0);
		assert_int_equal(caps.n_rx_queues, cases[i].rx);
		assert_int_equal(caps.n_tx_queues, cases[i].tx);
		for (uint16_t q = 0; q < caps.n_rx_queues; q++)
			assert_true(port_wait_fd(id, q) >= 0);
		port_close(id);
		run("ip link del ct0");
	}
}

static void other_devices_have_the_queues_that_they_are_asked_for(void **state)
{
	assert_int_equal(port_queues("null:", 3), 3);
	assert_int_equal(port_queues("ring:r", 3), 1);
	assert_int_equal(port_queues("pcap:a,b,rx_pcap=c", 3), 2);
	assert_int_equal(port_queues("af_xdp:nosuchif0", 3), 3); // it has not come yet
}

static void one_that_only_looks_takes_no_more_than_it_wants(void **state)
{
	struct port_conf conf = {
		.name = "c0", .device = "af_xdp:ct0", .n_queues = 1, .mtu = MTU, .without_program = true, .pool = pool};
	char why[PORT_ERR_MAX] = "";
	struct port_caps caps;
	uint16_t id;

	if (!have_namespace)
		skip();
	make_interface(17, 17);
	if (port_open(&conf, &id, why) < 0)
		fail_msg("%s", why);
	assert_int_equal(port_caps_get(id, &caps), 0);
	assert_int_equal(caps.n_rx_queues, 1);
	assert_false(port_queues_changed(id, why));
	port_close(id);
	run("ip link del ct0");
}

static void more_queues_than_a_port_serves_are_refused_with_the_line_that_helps(void **state)
{
	char why[PORT_ERR_MAX] = "";
	uint16_t id;

	if (!have_namespace)
		skip();
	make_interface(17, 17);
	assert_int_equal(open_once("af_xdp:ct0", 1, &id, why), -E2BIG);
	assert_non_null(strstr(why, "interface ct0 has 17 receive queues, and a port serves at most 16: "
				    "run \"ethtool -L ct0 rx 16\""));
	port_close(opened("af_xdp:ct0,start_queue=16", 1));
	port_close(opened("af_xdp:ct0,queue_count=2", 1));
	run("ip link del ct0");
}

static void a_port_of_several_queues_keeps_nothing_when_it_is_closed(void **state)
{
	unsigned int free_before = rte_mempool_avail_count(pool), mapped_before = n_mapped();

	if (!have_namespace)
		skip();
	make_interface(3, 3);
	for (int i = 0; i < 5; i++) {
		uint16_t id = opened("af_xdp:ct0", 1);

		assert_true(n_mapped() > mapped_before);
		port_close(id);
		assert_int_equal(rte_mempool_avail_count(pool), free_before);
		assert_int_equal(n_mapped(), mapped_before);
	}
	run("ip link del ct0");
}

// A socket of somebody else's, bound to the queue.
static int foreign_socket(const char *interface, uint32_t queue, void **area)
{
	const struct xdp_umem_reg reg = {.len = RING * FRAME_BYTES, .chunk_size = FRAME_BYTES};
	struct sockaddr_xdp where = {.sxdp_family = AF_XDP, .sxdp_queue_id = queue};
	struct xdp_umem_reg mine = reg;
	int fd = socket(AF_XDP, SOCK_RAW, 0), size = RING;

	*area = mmap(NULL, RING * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(*area != MAP_FAILED);
	mine.addr = (uintptr_t)*area;
	where.sxdp_ifindex = if_nametoindex(interface);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &mine, sizeof(mine)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_RX_RING, &size, sizeof(size)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	return fd;
}

static void a_queue_that_another_program_has_is_named_and_nothing_is_kept(void **state)
{
	unsigned int free_before = rte_mempool_avail_count(pool), mapped_before = n_mapped();
	int fd;
	void *area;

	if (!have_namespace)
		skip();
	make_interface(4, 4);
	fd = foreign_socket("ct0", 2, &area);
	for (int i = 0; i < 3; i++) {
		char why[PORT_ERR_MAX] = "";
		int64_t until_ms = now_ms() + WAIT_MS;
		uint16_t id;

		do // at first the queues before it may be those of the last try
			assert_int_equal(open_once("af_xdp:ct0", 1, &id, why), -EBUSY);
		while (strstr(why, "queue 2") == NULL && now_ms() < until_ms);
		assert_non_null(strstr(why, "af_xdp:ct0: another socket has queue 2 of the interface"));
		assert_int_equal(rte_mempool_avail_count(pool), free_before);
		assert_int_equal(n_mapped(), mapped_before);
	}
	close(fd);
	munmap(area, RING * FRAME_BYTES);
	port_close(opened("af_xdp:ct0", 1));
	run("ip link del ct0");
}

static void queues_that_change_under_an_open_port_are_told(void **state)
{
	char why[PORT_ERR_MAX] = "";
	uint16_t id;

	if (!have_namespace)
		skip();
	make_interface(2, 2);
	id = opened("af_xdp:ct0", 1);
	assert_false(port_queues_changed(id, why));
	run("ethtool -L ct0 rx 3");
	assert_true(port_queues_changed(id, why));
	assert_string_equal(why, "interface ct0 has 3 receive and 2 transmit queues now, before 2 and 2");
	assert_true(port_queues_changed(id, why)); // until it is opened again
	port_close(id);
	id = opened("af_xdp:ct0", 1);
	assert_false(port_queues_changed(id, why));
	run("ip link del ct0");
	assert_false(port_queues_changed(id, why)); // that is another matter
	port_close(id);
}

static void the_line_that_helps_is_that_of_the_interfaces_kind(void **state)
{
	const struct channels apart = {.rx = 4, .tx = 4}, combined = {.rx = 4, .tx = 4, .combined = true};
	char line[CHANNELS_LINE_BYTES];
	struct channels now;

	channels_line("eth0", &combined, 16, line);
	assert_string_equal(line, "ethtool -L eth0 combined 16");
	channels_line("eth0", &apart, 2, line);
	assert_string_equal(line, "ethtool -L eth0 rx 2");
	assert_int_equal(channels_get("nosuchif0", &now), -ENODEV);
	assert_int_equal(channels_get("lo", &now), 0); // its driver does not count
	assert_int_equal(now.rx, 1);
	assert_int_equal(now.tx, 1);
}

static int setup(void **state)
{
	have_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
	test_eal_init();
	pool = gapless_pool("pool", 24575);
	return pool == NULL;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_receive_queue_of_the_interface_is_the_ports),
		cmocka_unit_test(other_devices_have_the_queues_that_they_are_asked_for),
		cmocka_unit_test(one_that_only_looks_takes_no_more_than_it_wants),
		cmocka_unit_test(more_queues_than_a_port_serves_are_refused_with_the_line_that_helps),
		cmocka_unit_test(a_port_of_several_queues_keeps_nothing_when_it_is_closed),
		cmocka_unit_test(a_queue_that_another_program_has_is_named_and_nothing_is_kept),
		cmocka_unit_test(queues_that_change_under_an_open_port_are_told),
		cmocka_unit_test(the_line_that_helps_is_that_of_the_interfaces_kind),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
