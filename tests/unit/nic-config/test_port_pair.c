// SPDX-License-Identifier: Apache-2.0
// Ports that are memory shared with another process: every frame arrives there and comes back as it was, and the other
// side may go away and come again. The other process is a DPDK program of its own: it sends back what it gets.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"

#define FRAMES 400
#define FRAME_MAX 1514
#define BURST 16
#define MTU 1500
#define PATIENCE_MS 60000

static char dir[64];

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static struct rte_mempool *make_pool(const char *name)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);

	if (pool == NULL) {
		fprintf(stderr, "no pool\n");
		exit(1);
	}
	return pool;
}

// --- the other process

// The guest's end of a vhost-user port: not a device that the switch itself has.
static uint16_t open_virtio_user(const char *args, struct rte_mempool *pool)
{
	static const struct rte_eth_conf conf;
	uint16_t id;

	if (rte_eal_hotplug_add("vdev", "net_virtio_user_test", args) < 0 ||
	    rte_eth_dev_get_port_by_name("net_virtio_user_test", &id) < 0 ||
	    rte_eth_dev_configure(id, 1, 1, &conf) < 0 || rte_eth_rx_queue_setup(id, 0, 256, 0, NULL, pool) < 0 ||
	    rte_eth_tx_queue_setup(id, 0, 256, 0, NULL) < 0 || rte_eth_dev_start(id) < 0)
		exit(2);
	return id;
}

static uint16_t open_memif(const char *device, struct rte_mempool *pool)
{
	struct port_conf conf = {.name = "peer", .device = device, .n_queues = 1, .mtu = MTU, .pool = pool};
	char why[PORT_ERR_MAX];
	uint16_t id;

	if (port_open(&conf, &id, why) < 0 || port_start(id, why) < 0) {
		fprintf(stderr, "%s\n", why);
		exit(2);
	}
	return id;
}

static void send_back(uint16_t id)
{
	for (;;) {
		struct rte_mbuf *m[BURST];
		uint16_t n = rte_eth_rx_burst(id, 0, m, BURST), sent = 0;

		while (sent < n)
			sent += rte_eth_tx_burst(id, 0, m + sent, n - sent);
		if (n == 0)
			sleep_ms(1);
	}
}

static pid_t start_peer(const char *kind, const char *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "peer", kind, arg, NULL);
		_exit(127);
	}
	return pid;
}

static int run_peer(const char *kind, const char *arg)
{
	struct rte_mempool *pool;

	test_eal_init();
	pool = make_pool("peer");
	send_back(strcmp(kind, "memif") == 0 ? open_memif(arg, pool) : open_virtio_user(arg, pool));
	return 0;
}

static void stop_peer(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

// --- this process

static struct rte_mempool *pool;

static uint16_t open_port(const char *name, const char *device)
{
	struct port_conf conf = {.name = name, .device = device, .n_queues = 1, .mtu = MTU, .pool = pool};
	char why[PORT_ERR_MAX];
	uint16_t id;

	if (port_open(&conf, &id, why) < 0 || port_start(id, why) < 0)
		fail_msg("%s", why);
	return id;
}

static void wait_until(uint16_t id, bool up)
{
	for (int i = 0; i < PATIENCE_MS / 10 && port_is_up(id) != up; i++) {
		struct rte_mbuf *m[BURST];

		rte_pktmbuf_free_bulk(m, rte_eth_rx_burst(id, 0, m, BURST)); // memif notices in its interrupt thread
		sleep_ms(10);
	}
	if (port_is_up(id) != up)
		fail_msg("the port did not go %s", up ? "up" : "down");
}

static uint16_t length_of(uint32_t i)
{
	return (uint16_t)(60 + i * 37 % (FRAME_MAX - 60 + 1));
}

static uint8_t byte_of(uint32_t i, uint32_t at)
{
	return (uint8_t)(i * 31 + at * 7);
}

static struct rte_mbuf *make_frame(uint32_t i)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *data;

	assert_non_null(m);
	data = (uint8_t *)rte_pktmbuf_append(m, length_of(i));
	for (uint32_t at = 0; at < length_of(i); at++)
		data[at] = byte_of(i, at);
	return m;
}

static void check_frame(struct rte_mbuf *m, uint32_t i)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	assert_int_equal(rte_pktmbuf_pkt_len(m), length_of(i));
	assert_int_equal(rte_pktmbuf_data_len(m), length_of(i));
	for (uint32_t at = 0; at < length_of(i); at++) {
		if (data[at] != byte_of(i, at))
			fail_msg("frame %u, byte %u", i, at);
	}
	rte_pktmbuf_free(m);
}

// All come back, in order.
static void exchange(uint16_t id)
{
	uint32_t sent = 0, back = 0;

	for (int idle_ms = 0; back < FRAMES && idle_ms < PATIENCE_MS;) {
		struct rte_mbuf *m[BURST];
		uint16_t n;

		while (sent < FRAMES && sent - back < 64) {
			struct rte_mbuf *one = make_frame(sent);

			if (rte_eth_tx_burst(id, 0, &one, 1) == 0) {
				rte_pktmbuf_free(one);
				break;
			}
			sent++;
		}
		n = rte_eth_rx_burst(id, 0, m, BURST);
		for (uint16_t i = 0; i < n; i++)
			check_frame(m[i], back++);
		if (n == 0) {
			sleep_ms(1);
			idle_ms++;
		} else {
			idle_ms = 0;
		}
	}
	assert_int_equal(back, FRAMES);
}

static void serve_two_peers(const char *name, const char *device, const char *kind, const char *arg)
{
	uint16_t id = open_port(name, device);

	assert_false(port_is_up(id)); // nobody is there
	for (int i = 0; i < 2; i++) {
		pid_t peer = start_peer(kind, arg);

		wait_until(id, true);
		exchange(id);
		stop_peer(peer);
		wait_until(id, false);
	}
	port_close(id);
}

static void memif_frames_reach_the_other_process_which_may_come_again(void **state)
{
	char device[160], peer[160];

	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s/memif.sock,socket-abstract=no", dir);
	snprintf(peer, sizeof(peer), "memif:role=client,id=0,socket=%s/memif.sock,socket-abstract=no", dir);
	serve_two_peers("m0", device, "memif", peer);
}

static void vhost_frames_reach_the_other_process_which_may_come_again(void **state)
{
	char device[160], peer[160];

	snprintf(device, sizeof(device), "vhost:%s/vhost.sock", dir);
	snprintf(peer, sizeof(peer), "path=%s/vhost.sock,queues=1", dir);
	serve_two_peers("v0", device, "vhost", peer);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memif_frames_reach_the_other_process_which_may_come_again),
		cmocka_unit_test(vhost_frames_reach_the_other_process_which_may_come_again),
	};
	int failed;

	if (argc == 3)
		return run_peer(argv[1], argv[2]);
	snprintf(dir, sizeof(dir), "/tmp/pane-pair-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	test_eal_init();
	pool = make_pool("pair");
	failed = cmocka_run_group_tests_name("pair", tests, NULL, NULL);
	rte_eal_cleanup();
	rmdir(dir);
	return failed;
}
