// SPDX-License-Identifier: Apache-2.0
// A whole dataplane in a thread, between two ring: ports; the test is its controller and its network.
#pragma once
#include "dataplane/dp.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/proto.h"
#include "gen.h"

#define MS 1000000LL

static char dir[64], path[96];
static volatile bool stop;
static pthread_t thread;
static int run_result = 1;
static struct err run_err, err;
static int fd = -1;
static uint64_t txn;
static uint8_t rx[1 << 20];
static size_t rx_len;

static inline int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// --- the dataplane

static struct dp_port_conf ports[] = {{"p0", "ring:ra", 0}, {"p1", "ring:rb", 0}};

// What the configuration says when it is read again.
static struct dp_port_conf later_ports[4] = {{"p0", "ring:ra", 0}, {"p1", "ring:rb", 0}};
static uint32_t n_later_ports = 2;
static volatile bool reload_asked;

static inline int reload(void *ctx, const struct dp_port_conf **out, uint32_t *n, struct err *why)
{
	*out = later_ports;
	*n = n_later_ports;
	return 0;
}

static inline struct dp_conf conf_default(void)
{
	static char prefix[32];

	snprintf(prefix, sizeof(prefix), "panetest%d", getpid());
	return (struct dp_conf){.link_path = path,
				.ports = ports,
				.n_ports = 2,
				.mac_ageing_s = 300,
				.memory_mb = 128,
				.mtu = 1500,
				.policy_wait_ms = 600000,
				.simd_max_bits = 512,
				.reload = reload,
				.reload_asked = &reload_asked,
				.file_prefix = prefix};
}

static inline void *run(void *arg)
{
	struct dp_conf conf = conf_default();

	run_result = dp_run(&conf, &stop, &run_err);
	return NULL;
}

// --- the controller

static inline bool try_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	rx_len = 0;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return true;
	close(fd);
	fd = -1;
	return false;
}

static inline void disconnect(void)
{
	close(fd);
	fd = -1;
}

static inline void put(const struct proto_msg *msg)
{
	uint8_t buf[PROTO_FRAME_MAX];
	size_t len = proto_encode(msg, buf);

	assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
}

// The next message within 5 s.
static inline struct proto_msg get(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct proto_msg msg;
	ssize_t n;
	int used;

	for (;;) {
		used = proto_decode(rx, rx_len, &msg, &err);
		if (used < 0)
			fail_msg("%s", err.msg);
		if (used > 0) {
			memmove(rx, rx + used, rx_len -= used);
			return msg;
		}
		if (poll(&p, 1, 60000) <= 0)
			fail_msg("no message within 60 s");
		n = recv(fd, rx + rx_len, sizeof(rx) - rx_len, 0);
		if (n <= 0)
			fail_msg("session over");
		rx_len += n;
	}
}

struct have {
	uint32_t n_rows, n_meters, n_ports;
	uint64_t last_txn, row[16];
};

static inline struct have hello(void)
{
	struct proto_msg msg = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION}};
	struct have have = {0};

	put(&msg);
	for (;;) {
		msg = get();
		if (msg.type == PROTO_HELLO)
			have.last_txn = msg.hello.last_txn;
		else if (msg.type == PROTO_PORT)
			have.n_ports++;
		else if (msg.type == PROTO_HAVE_METER)
			have.n_meters++;
		else if (msg.type == PROTO_HAVE_ROW)
			have.row[have.n_rows++ % 16] = msg.have_row.key;
		else if (msg.type == PROTO_HAVE_END)
			return have;
	}
}

static inline struct have connect_again(void)
{
	assert_true(try_connect());
	return hello();
}

static inline void add(const struct part_row *row)
{
	struct proto_msg msg = {.type = PROTO_ROW_ADD, .row = *row};

	put(&msg);
}

static inline void del(const struct part_row *row)
{
	struct proto_msg msg = {.type = PROTO_ROW_DEL, .row_key = part_row_key(row)};

	put(&msg);
}

static inline void set_meter(uint64_t id, uint64_t rate_bps, enum proto_meter_kind kind)
{
	struct proto_msg msg = {.type = PROTO_METER_SET, .meter = {id, rate_bps, kind}};

	put(&msg);
}

static inline void send_commit(void)
{
	struct proto_msg msg = {.type = PROTO_COMMIT, .commit = {.txn = ++txn}};

	put(&msg);
}

static inline struct proto_msg answer(void)
{
	struct proto_msg msg;

	do
		msg = get();
	while (msg.type != PROTO_IN_FORCE && msg.type != PROTO_COMMIT_FAILED);
	return msg;
}

static inline void commit(void)
{
	struct proto_msg msg;

	send_commit();
	msg = answer();
	if (msg.type != PROTO_IN_FORCE)
		fail_msg("commit failed: %s", msg.commit.why);
	assert_int_equal(msg.commit.txn, txn);
	assert_true(msg.commit.time_ns <= clock_ns() && msg.commit.time_ns > clock_ns() - 5000 * MS);
}

// --- the network

struct __attribute__((packed)) frame { // IPv4 without ports, and the instant of sending
	uint8_t dst[6], src[6];
	uint16_t type_be;
	uint8_t version, tos;
	uint16_t len_be, id_be, frag_be;
	uint8_t ttl, proto;
	uint16_t sum_be;
	uint32_t src_be, dst_be;
	int64_t sent_ns;
	uint8_t pad[18];
};

static inline void send_frame(uint32_t src_ip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rte_mempool_lookup("pane_pool"));
	struct rte_ring *in = rte_ring_lookup("ra.rx");
	struct frame f = {.dst = {2, 0, 0, 0, 0, 2},
			  .src = {2, 0, 0, 0, 0, 1},
			  .type_be = htons(0x0800),
			  .version = 0x45,
			  .len_be = htons(sizeof(f) - 14),
			  .ttl = 64,
			  .proto = 253,
			  .src_be = htonl(src_ip),
			  .dst_be = htonl(0x0a000002),
			  .sent_ns = clock_ns()};

	assert_non_null(m);
	assert_non_null(in);
	memcpy(rte_pktmbuf_append(m, sizeof(f)), &f, sizeof(f));
	assert_int_equal(rte_ring_enqueue(in, m), 0);
}

static inline bool receive_frame(struct frame *f)
{
	struct rte_ring *out = rte_ring_lookup("rb.tx");
	struct rte_mbuf *m;

	if (rte_ring_dequeue(out, (void **)&m) != 0)
		return false;
	assert_int_equal(rte_pktmbuf_pkt_len(m), sizeof(*f));
	memcpy(f, rte_pktmbuf_mtod(m, void *), sizeof(*f));
	rte_pktmbuf_free(m);
	return true;
}

// Frames that arrive within ms.
static inline unsigned int arrivals(int ms)
{
	int64_t until = clock_ns() + ms * MS;
	unsigned int n = 0;
	struct frame f;

	while (clock_ns() < until) {
		while (receive_frame(&f))
			n++;
		usleep(500);
	}
	return n;
}

// Frames that arrive until there are n of them, on a busy machine late, and a moment longer.
static inline unsigned int arrivals_of(unsigned int n)
{
	int64_t until = clock_ns() + 10000 * MS;
	unsigned int got = 0;

	while (got < n && clock_ns() < until)
		got += arrivals(1);
	return got + arrivals(20);
}

// Until no more come.
static inline void drain(void)
{
	while (arrivals(100) > 0)
		;
}

// A frame comes out, on a busy machine late.
static inline bool passes(uint32_t src_ip)
{
	int64_t until = clock_ns() + 10000 * MS;
	struct frame f;

	for (send_frame(src_ip); clock_ns() < until; usleep(200)) {
		if (receive_frame(&f) && f.src_be == htonl(src_ip))
			return arrivals(5) == 0;
	}
	return false;
}

static inline bool is_denied(uint32_t src_ip)
{
	send_frame(src_ip);
	return arrivals(50) == 0;
}
