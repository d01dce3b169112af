// SPDX-License-Identifier: Apache-2.0
// Device texts, and ports of every kind that needs no hardware. Those over a kernel interface run in a network
// namespace of this process and need root; without it they are skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "gapless_pool.h"
#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"

#define MTU 1500
#define WAIT_MS 30000

static struct rte_mempool *pool;
static bool have_namespace;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
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

static void good_device_texts_are_accepted(void **state)
{
	static const char *const good[] = {
		"af_xdp:eth1",
		"af_xdp:eth1,force_copy=1",
		"af_packet:veth0",
		"af_packet:eth0.100",
		"tap:pane0",
		"pcap:in.pcap,out.pcap",
		"pcap:in.pcap,,infinite_rx=1",
		"pcap:,out.pcap",
		"pcap:in.pcap,",
		"ring:r0",
		"null:",
		"null:size=64",
		"memif:role=server,id=0,socket=/run/m.sock",
		"memif:",
		"vhost:/run/vh.sock",
		"vhost:/run/vh.sock,client=1,queues=2",
		"tap:pane0,mac=fixed",
		"pcap:,out.pcap,infinite_rx=1",
		"pci:0000:03:00.0",
		"pci:03:00.1",
	};
	char why[PORT_ERR_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (port_device_check(good[i], why) != 0)
			fail_msg("%s: %s", good[i], why);
	}
}

static void bad_device_texts_are_refused_with_what_was_expected(void **state)
{
	static const struct {
		const char *device, *why;
	} bad[] = {
		{"", "expected af_xdp:, af_packet:"},
		{"eth0", "expected af_xdp:, af_packet:"},
		{"af_xdp", "expected af_xdp:, af_packet:"},
		{"dpdk:eth0", "expected af_xdp:, af_packet:"},
		{"af_xdp:", "expected af_xdp:INTERFACE"},
		{"af_packet:a-name-of-16-char", "expected af_packet:INTERFACE"},
		{"af_packet:a b", "expected af_packet:INTERFACE"},
		{"tap:a/b", "expected tap:NAME"},
		{"pcap:in.pcap", "expected pcap:IN,OUT"},
		{"pcap:,", "expected pcap:IN,OUT"},
		{"pcap:a,b,c", "expected pcap:IN,OUT"},
		{"ring:", "expected ring:NAME"},
		{"ring:a,b", "expected ring:NAME"},
		{"vhost:", "expected vhost:SOCKET"},
		{"vhost:/run/vh.sock,clients=1", "\"clients\" is no argument of net_vhost"},
		{"af_xdp:eth1,force_copy=1,force_cpy=1", "\"force_cpy\" is no argument of net_af_xdp"},
		{"af_packet:eth1,size", "\"size\" is no argument of net_af_packet"},
		{"tap:pane0,ma=fixed", "\"ma\" is no argument of net_tap"},
		{"memif:rol=server", "\"rol\" is no argument of net_memif, which has id role bsize"},
		{"null:no-rx=1,bogus=1", "\"bogus\" is no argument of net_null"},
		{"pcap:a,b,rx=c", "\"rx\" is no argument of net_pcap"},
		{"pci:eth0", "expected pci:0000:03:00.0"},
		{"pci:0000:03:00.9", "expected pci:0000:03:00.0"},
		{"pci:0000:03:00.0x", "expected pci:0000:03:00.0"},
	};
	char why[PORT_ERR_MAX];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (port_device_check(bad[i].device, why) != -EINVAL || strstr(why, bad[i].why) == NULL)
			fail_msg("\"%s\": %s", bad[i].device, why);
	}
}

static void an_endless_device_text_is_refused(void **state)
{
	char device[4096], why[PORT_ERR_MAX];

	memset(device, 'x', sizeof(device));
	memcpy(device, "memif:", 6);
	device[sizeof(device) - 1] = '\0';
	assert_int_equal(port_device_check(device, why), -EINVAL);
}

static void null_port_opens_twice_and_receives_nothing(void **state)
{
	struct rte_mbuf *m[8];
	struct port_caps caps;
	uint16_t id;

	for (int i = 0; i < 2; i++) {
		assert_opens("n0", "null:", &id);
		assert_int_equal(port_caps_get(id, &caps), 0);
		assert_string_equal(caps.driver, "net_null");
		assert_true(caps.up);
		assert_false(caps.rx_copies);
		assert_int_equal(caps.link_bps, 0);
		assert_int_equal(caps.max_frame_bytes, MTU + 22);
		assert_int_equal(rte_eth_rx_burst(id, 0, m, 8), 0);
		port_close(id);
	}
	assert_int_equal(rte_eth_dev_count_avail(), 0);
}

static void ring_port_takes_from_rx_and_gives_to_tx(void **state)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *got = NULL;
	uint16_t id;

	assert_opens("r0", "ring:r0", &id);
	assert_int_equal(rte_ring_enqueue(rte_ring_lookup("r0.rx"), m), 0);
	assert_int_equal(rte_eth_rx_burst(id, 0, &got, 1), 1);
	assert_ptr_equal(got, m);
	assert_int_equal(rte_eth_tx_burst(id, 0, &got, 1), 1);
	assert_int_equal(rte_ring_dequeue(rte_ring_lookup("r0.tx"), (void **)&got), 0);
	assert_ptr_equal(got, m);
	rte_pktmbuf_free(m);
	port_close(id);
	rte_ring_free(rte_ring_lookup("r0.rx"));
	rte_ring_free(rte_ring_lookup("r0.tx"));
}

static void missing_file_interface_or_device_is_refused_with_its_name(void **state)
{
	static const char *const missing[] = {"pcap:/nonexistent/in.pcap,/nonexistent/out.pcap", "af_packet:nosuchif0",
					      "af_xdp:nosuchif0", "pci:0000:ff:1f.7"};
	char why[PORT_ERR_MAX];
	uint16_t id;

	rte_log_set_level_pattern("*", RTE_LOG_EMERG); // the drivers' own complaints are expected
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		why[0] = '\0';
		assert_true(open_device("x", missing[i], &id, why) < 0);
		assert_non_null(strstr(why, i == 1 || i == 2 ? "nosuchif0" : missing[i]));
	}
	assert_int_equal(rte_eth_dev_count_avail(), 0);
	rte_log_set_level_pattern("*", RTE_LOG_ERR);
}

static void mtu_beyond_the_buffers_is_refused(void **state)
{
	struct port_conf conf = {.name = "n1", .device = "null:", .n_queues = 1, .mtu = 9000, .pool = pool};
	char why[PORT_ERR_MAX];
	uint16_t id;

	assert_int_equal(port_open(&conf, &id, why), -EINVAL);
	assert_non_null(strstr(why, "MTU 9000"));
	assert_int_equal(rte_eth_dev_count_avail(), 0);
}

// --- over kernel interfaces ---

// A raw socket on the far end of the veth pair; tags of received frames are put back.
static int far_socket(const char *interface)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(interface)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	return fd;
}

// libxdp keeps one small block of every socket it made.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

#define MARK 0x5a // first payload byte of our frames; the kernel's own (IPv6 discovery) lack it

static size_t make_frame(uint8_t *buf, bool tagged, size_t len)
{
	static const uint8_t head[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	size_t at = 12;

	memset(buf, MARK, len);
	memcpy(buf, head, sizeof(head));
	if (tagged) {
		memcpy(buf + at, "\x81\x00\x20\x64", 4);
		at += 4;
	}
	memcpy(buf + at, "\x88\xb5", 2); // local experimental
	return len;
}

static bool is_ours(const uint8_t *buf, size_t len)
{
	return len > 30 && buf[len - 1] == MARK && memcmp(buf + 6, "\x02\0\0\0\0\x01", 6) == 0;
}

static struct rte_mbuf *receive_ours(uint16_t id)
{
	int64_t end = now_ms() + WAIT_MS;

	while (now_ms() < end) {
		struct rte_mbuf *m;

		if (rte_eth_rx_burst(id, 0, &m, 1) == 0) {
			usleep(200);
			continue;
		}
		if (is_ours(rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_pkt_len(m)))
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static ssize_t receive_far(int fd, uint8_t *buf, size_t size)
{
	int64_t end = now_ms() + WAIT_MS;

	while (now_ms() < end) {
		char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct iovec iov = {buf, size - 4};
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = recvmsg(fd, &msg, 0);
		if (n < 0 || !is_ours(buf, (size_t)n))
			continue;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
			struct tpacket_auxdata aux;

			if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
				continue;
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
			if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0)
				continue;
			memmove(buf + 16, buf + 12, (size_t)n - 12);
			buf[12] = (uint8_t)(aux.tp_vlan_tpid >> 8);
			buf[13] = (uint8_t)aux.tp_vlan_tpid;
			buf[14] = (uint8_t)(aux.tp_vlan_tci >> 8);
			buf[15] = (uint8_t)aux.tp_vlan_tci;
			n += 4;
		}
		return n;
	}
	return -1;
}

static void frame_passes_both_ways(uint16_t id, int fd, bool tagged, size_t len)
{
	uint8_t sent[2048], got[2048];
	struct rte_mbuf *m;

	make_frame(sent, tagged, len);
	assert_int_equal(send(fd, sent, len, 0), len);
	m = receive_ours(id);
	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_pkt_len(m), len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), sent, len);
	assert_int_equal(rte_eth_tx_burst(id, 0, &m, 1), 1);
	assert_int_equal(receive_far(fd, got, sizeof(got)), len);
	assert_memory_equal(got, sent, len);
}

static void interface_port_works(const char *device)
{
	unsigned int free_before = rte_mempool_avail_count(pool);
	struct port_caps caps;
	uint16_t id;
	int fd;

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1 && ip link set pt1 up && "
				"ethtool -K pt0 gro off tx off txvlan off >/dev/null && "
				"ethtool -K pt1 gro off tx off txvlan off >/dev/null"),
			 0);
	assert_opens("k0", device, &id); // brings pt0 up
	fd = far_socket("pt1");
	assert_int_equal(port_caps_get(id, &caps), 0);
	assert_true(caps.up);
	assert_true(caps.rx_copies);
	frame_passes_both_ways(id, fd, false, 42);
	frame_passes_both_ways(id, fd, false, 1514);
	frame_passes_both_ways(id, fd, true, 46);
	frame_passes_both_ways(id, fd, true, 1518);
	assert_int_equal(system("ip link set pt1 down"), 0);
	assert_false(port_is_up(id));
	close(fd);
	port_close(id);
	assert_int_equal(rte_mempool_avail_count(pool), free_before); // nothing is left in the rings
	assert_int_equal(system("ip link del pt0"), 0);
}

static void af_packet_passes_mtu_size_and_tagged_frames(void **state)
{
	interface_port_works("af_packet:pt0");
}

static void af_xdp_passes_mtu_size_and_tagged_frames(void **state)
{
	interface_port_works("af_xdp:pt0");
}

static bool link_shows(const char *pattern)
{
	char command[128];

	snprintf(command, sizeof(command), "ip -d link show pt0 | grep -qE '%s'", pattern);
	return system(command) == 0;
}

// The kernel lets go of a queue some time after its socket is closed.
static uint16_t opens_by_and_by(const char *device)
{
	int64_t until_ms = now_ms() + WAIT_MS;
	char why[PORT_ERR_MAX];
	uint16_t id;

	while (open_device("k0", device, &id, why) < 0) {
		if (now_ms() > until_ms)
			fail_msg("%s", why);
		assert_true(link_shows(" mtu 1400 ") && !link_shows("PROMISC|[<,]UP[,>]"));
		usleep(10000);
	}
	return id;
}

static void restores_what_was_before(const char *device)
{
	char why[PORT_ERR_MAX];
	uint16_t id, second;

	assert_int_equal(system("ip link add pt0 mtu 1400 type veth peer name pt1 && ip link set pt1 up"), 0);
	for (int i = 0; i < 2; i++) {
		id = opens_by_and_by(device);
		assert_true(link_shows("[<,]UP[,>].* mtu 1500") && link_shows("PROMISC"));
		assert_true(open_device("k1", device, &second, why) < 0); // it is in use
		assert_true(link_shows("[<,]UP[,>].* mtu 1500") && link_shows("PROMISC"));
		port_close(id);
		assert_true(link_shows(" mtu 1400 .* state DOWN") && !link_shows("PROMISC|[<,]UP[,>]"));
	}
	assert_int_equal(system("ip link del pt0"), 0);
}

static void a_closed_port_leaves_its_interface_as_it_was(void **state)
{
	if (!have_namespace)
		skip();
	restores_what_was_before("af_packet:pt0");
	restores_what_was_before("af_xdp:pt0");
}

static bool is_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN) != 0;
}

// A hash of the flow says which queue a frame is in, so many flows are sent, one at a time; the kernel is silent.
static void a_queues_descriptor_is_readable_when_that_queue_has_a_frame(void **state)
{
	enum { QUEUES = 3, FRAMES = 200 };
	struct port_conf conf = {.name = "k0", .device = "af_packet:pt0", .n_queues = QUEUES, .mtu = MTU, .pool = pool};
	char why[PORT_ERR_MAX] = "";
	uint32_t n[QUEUES] = {0};
	struct rte_mbuf *m;
	uint16_t id;
	int fd;

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1 && "
				"{ for i in pt0 pt1; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done; } && "
				"ip link set pt1 up"),
			 0);
	if (port_open(&conf, &id, why) < 0 || port_start(id, why) < 0)
		fail_msg("%s", why);
	fd = far_socket("pt1");
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint8_t sent[64];
		struct pollfd pfd[QUEUES];

		make_frame(sent, false, sizeof(sent));
		memcpy(sent + 12, "\x08\x00\x45\x00\x00\x32\x00\x00\x00\x00\x40\x11\x00\x00", 14); // UDP over IPv4
		memcpy(sent + 34, &i, sizeof(i));                                                  // its ports
		assert_int_equal(send(fd, sent, sizeof(sent), 0), sizeof(sent));
		for (uint16_t q = 0; q < QUEUES; q++)
			pfd[q] = (struct pollfd){.fd = port_wait_fd(id, q), .events = POLLIN};
		assert_int_equal(poll(pfd, QUEUES, WAIT_MS), 1);
		for (uint16_t q = 0; q < QUEUES; q++) {
			bool has = (pfd[q].revents & POLLIN) != 0;

			assert_int_equal(rte_eth_rx_burst(id, q, &m, 1), has);
			assert_false(is_readable(pfd[q].fd));
			if (!has)
				continue;
			n[q]++;
			rte_pktmbuf_free(m);
		}
	}
	for (uint16_t q = 0; q < QUEUES; q++)
		assert_true(n[q] > 0);
	assert_int_equal(port_wait_fd(id, QUEUES), -1);
	close(fd);
	port_close(id);
	assert_int_equal(system("ip link del pt0"), 0);
}

// From too small a pool the driver cannot fill the ring; and it has filled it when it learns that the queue is not
// free.
static void an_af_xdp_port_that_does_not_open_keeps_no_buffers(void **state)
{
	unsigned int free_before = rte_mempool_avail_count(pool), free_open;
	struct rte_mempool *small = rte_pktmbuf_pool_create("small", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	struct port_conf conf = {.name = "k2", .device = "af_xdp:pt0", .n_queues = 1, .mtu = MTU, .pool = small};
	char why[PORT_ERR_MAX] = "";
	uint16_t id, second;
	int64_t until_ms;

	assert_non_null(small);
	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1 && ip link set pt1 up"), 0);
	assert_true(port_open(&conf, &second, why) < 0);
	assert_int_equal(rte_mempool_avail_count(small), 1023);
	assert_opens("k0", "af_xdp:pt0", &id);
	free_open = rte_mempool_avail_count(pool);
	assert_true(free_open < free_before);
	for (int i = 0; i < 3; i++) {
		assert_true(open_device("k1", "af_xdp:pt0", &second, why) < 0);
		assert_int_equal(rte_mempool_avail_count(pool), free_open);
	}
	port_close(id);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
	until_ms = now_ms() + WAIT_MS; // the kernel lets go of a queue some time after its socket is closed
	while (open_device("k0", "af_xdp:pt0", &id, why) < 0) {
		assert_true(now_ms() < until_ms);
		assert_int_equal(rte_mempool_avail_count(pool), free_before);
		usleep(10000);
	}
	port_close(id);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
	rte_mempool_free(small);
	assert_int_equal(system("ip link del pt0"), 0);
}

// What was received and not asked for when the port is closed lies in another ring.
static void an_af_xdp_port_closed_under_traffic_keeps_no_buffers(void **state)
{
	unsigned int free_before = rte_mempool_avail_count(pool);
	uint8_t frame[64];
	uint16_t id;
	int fd;

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add pt0 type veth peer name pt1 && ip link set pt1 up"), 0);
	assert_opens("k0", "af_xdp:pt0", &id);
	fd = far_socket("pt1");
	make_frame(frame, false, sizeof(frame));
	for (int i = 0; i < 300; i++)
		assert_int_equal(send(fd, frame, sizeof(frame), 0), sizeof(frame));
	close(fd);
	port_close(id);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
	assert_int_equal(system("ip link del pt0"), 0);
}

static void tap_port_makes_its_interface(void **state)
{
	struct port_caps caps;
	uint16_t id;

	if (!have_namespace || access("/dev/net/tun", R_OK | W_OK) != 0)
		skip();
	assert_opens("t0", "tap:pt2", &id);
	assert_int_not_equal(if_nametoindex("pt2"), 0);
	assert_int_equal(port_caps_get(id, &caps), 0);
	assert_string_equal(caps.driver, "net_tap");
	port_close(id);
	assert_int_equal(if_nametoindex("pt2"), 0);
}

static int setup(void **state)
{
	have_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
	test_eal_init();
	pool = gapless_pool("pool", 16383);
	return pool == NULL;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_device_texts_are_accepted),
		cmocka_unit_test(bad_device_texts_are_refused_with_what_was_expected),
		cmocka_unit_test(an_endless_device_text_is_refused),
		cmocka_unit_test(null_port_opens_twice_and_receives_nothing),
		cmocka_unit_test(ring_port_takes_from_rx_and_gives_to_tx),
		cmocka_unit_test(missing_file_interface_or_device_is_refused_with_its_name),
		cmocka_unit_test(mtu_beyond_the_buffers_is_refused),
		cmocka_unit_test(af_packet_passes_mtu_size_and_tagged_frames),
		cmocka_unit_test(af_xdp_passes_mtu_size_and_tagged_frames),
		cmocka_unit_test(a_closed_port_leaves_its_interface_as_it_was),
		cmocka_unit_test(a_queues_descriptor_is_readable_when_that_queue_has_a_frame),
		cmocka_unit_test(an_af_xdp_port_that_does_not_open_keeps_no_buffers),
		cmocka_unit_test(an_af_xdp_port_closed_under_traffic_keeps_no_buffers),
		cmocka_unit_test(tap_port_makes_its_interface),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
