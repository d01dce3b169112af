// SPDX-License-Identifier: Apache-2.0
#include "switch_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "control/controller.h"
#include "control/log.h"
#include "control/rundir.h"
#include "dataplane/dp.h"

#define START_MS 20000
#define SENT_MAX 512 // frames under way: less than a ring: port holds

struct __attribute__((packed)) probe { // an IPv4 frame of 64 bytes
	uint8_t dst[6], src[6];
	uint16_t type_be;
	uint8_t version, tos;
	uint16_t len_be, id_be, frag_be;
	uint8_t ttl, proto;
	uint16_t sum_be;
	uint32_t src_be, dst_be;
	uint64_t number;
	uint8_t pad[18];
};

struct sent {
	uint16_t flow;
	int64_t at_ns;
};

struct rig {
	rig_judge_fn *judge;
	void *ctx;
	char dir[64], state[80], link[96], socket[96], prefix[32];
	struct config config;
	struct dp_port_conf ports[2];
	pid_t controller;
	pthread_t dataplane;
	bool has_dataplane;
	volatile bool stop;
	int result; // 1: it runs
	struct err err;
	int fd;
	char in[1 << 22]; // one answer may be long
	size_t n_in;
	struct rte_mempool *pool;
	struct rte_ring *rx, *tx;
	struct sent sent[SENT_MAX]; // by number
	uint64_t next, judged;      // numbers
};

int64_t rig_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// --- the two processes

static int start_controller(struct rig *r, struct err *err)
{
	int ready[2];
	char byte;

	if (rundir_prepare(&r->config, err) < 0)
		return -err->code;
	if (pipe(ready) < 0)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	fflush(NULL);
	r->controller = fork();
	if (r->controller == 0) {
		const struct controller_conf conf = {.config = &r->config, .ready_fd = ready[1]};

		close(ready[0]);
		signal(SIGPIPE, SIG_IGN);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		log_init("controller", LOG_LEVEL_ERROR, NULL);
		_exit(controller_run(&conf));
	}
	close(ready[1]);
	if (r->controller < 0 || read(ready[0], &byte, 1) != 1)
		err_set(err, EIO, "the controller does not start");
	close(ready[0]);
	return -err->code;
}

static void *run_dataplane(void *arg)
{
	struct rig *r = arg;
	const struct dp_conf conf = {.link_path = r->link,
				     .ports = r->ports,
				     .n_ports = 2,
				     .mac_ageing_s = 3600,
				     .memory_mb = 1024,
				     .mtu = 1500,
				     .policy_wait_ms = 600000,
				     .simd_max_bits = 512,
				     .file_prefix = r->prefix};

	r->result = dp_run(&conf, &r->stop, &r->err);
	return NULL;
}

static int start_dataplane(struct rig *r, struct err *err)
{
	int64_t until = rig_now_ns() + START_MS * 1000000LL;

	if (pthread_create(&r->dataplane, NULL, run_dataplane, r) != 0)
		return err_set(err, EAGAIN, "no thread for the dataplane");
	r->has_dataplane = true;
	while (access(r->link, F_OK) != 0) {
		if (r->result != 1 || rig_now_ns() > until)
			return err_set(err, EIO, "the dataplane does not start: %s", r->err.msg);
		usleep(1000);
	}
	r->pool = rte_mempool_lookup("pane_pool");
	r->rx = rte_ring_lookup("ra.rx");
	r->tx = rte_ring_lookup("rb.tx");
	return r->pool != NULL && r->rx != NULL && r->tx != NULL ? 0 : err_set(err, EIO, "the ports are not there");
}

// --- the session

int rig_say(struct rig *r, const char *statement)
{
	size_t len = strlen(statement);

	while (len > 0) {
		ssize_t n = send(r->fd, statement, len, MSG_NOSIGNAL);

		if (n < 0)
			return -EPIPE;
		statement += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool take_line(struct rig *r, char *line, size_t size)
{
	char *end = memchr(r->in, '\n', r->n_in);
	size_t n;

	if (end == NULL)
		return false;
	n = (size_t)(end - r->in);
	snprintf(line, size, "%.*s", (int)n, r->in);
	r->n_in -= n + 1;
	memmove(r->in, end + 1, r->n_in);
	return true;
}

static bool hear_line(struct rig *r, char *line, size_t size, int wait_ms)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};

	while (!take_line(r, line, size)) {
		ssize_t n;

		if (r->n_in == sizeof(r->in) || poll(&p, 1, wait_ms) != 1)
			return false;
		n = recv(r->fd, r->in + r->n_in, sizeof(r->in) - r->n_in, MSG_DONTWAIT);
		if (n <= 0)
			return false;
		r->n_in += (size_t)n;
	}
	return true;
}

bool rig_hear(struct rig *r, char *line, size_t size, int wait_ms)
{
	bool heard;

	do {
		heard = hear_line(r, line, size, wait_ms);
	} while (heard && strncmp(line, "{\"event\"", 8) == 0);
	return heard;
}

static int join(struct rig *r, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char line[400];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", r->socket);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(r->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || rig_say(r, "root. mode json.\n") < 0)
		return err_set(err, errno, "%s: %s", r->socket, strerror(errno));
	for (int i = 0; i < 2; i++) { // the greeting and the login's answer are one line, or two
		if (!rig_hear(r, line, sizeof(line), 5000))
			return err_set(err, EIO, "no session: only root may speak as root");
		if (strstr(line, "\"mode\":\"json\"") != NULL)
			return 0;
	}
	return err_set(err, EIO, "no session: %s", line);
}

// Until the dataplane answers questions, it has the policy.
static int wait_for_link(struct rig *r, struct err *err)
{
	char line[4096];

	for (int64_t until = rig_now_ns() + START_MS * 1000000LL; rig_now_ns() < until; usleep(5000)) {
		if (rig_say(r, "trace(dstPort=1).\n") < 0 || !rig_hear(r, line, sizeof(line), 5000))
			break;
		if (strstr(line, "\"ok\":true") != NULL)
			return 0;
	}
	return err_set(err, EIO, "controller and dataplane do not come together");
}

struct rig *rig_start(rig_judge_fn *judge, void *ctx, struct err *err)
{
	static struct config_port port = {.name = "p0", .device = "ring:ra"};
	const char *tmp = getenv("TMPDIR");
	struct rig *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	*err = (struct err){0};
	r->judge = judge;
	r->ctx = ctx;
	r->fd = -1;
	r->result = 1;
	snprintf(r->dir, sizeof(r->dir), "%.40s/pane-bench-XXXXXX", tmp != NULL ? tmp : "/var/tmp");
	if (geteuid() != 0 || mkdtemp(r->dir) == NULL) {
		err_set(err, geteuid() != 0 ? EPERM : errno, "a switch is started as root, in %s", r->dir);
		free(r);
		return NULL;
	}
	snprintf(r->state, sizeof(r->state), "%s/state", r->dir);
	snprintf(r->link, sizeof(r->link), "%s/link.sock", r->dir);
	snprintf(r->socket, sizeof(r->socket), "%s/control.sock", r->dir);
	snprintf(r->prefix, sizeof(r->prefix), "pane-bench-%d", (int)getpid());
	// with a port, there is a dataplane to be looked for
	r->config = (struct config){.run_dir = r->dir, .state_dir = r->state, .ports = &port, .n_ports = 1};
	r->ports[0] = (struct dp_port_conf){"p0", "ring:ra", 0};
	r->ports[1] = (struct dp_port_conf){"p1", "ring:rb", 0};
	prctl(PR_SET_TIMERSLACK, 1);
	if (start_controller(r, err) < 0 || start_dataplane(r, err) < 0 || join(r, err) < 0 ||
	    wait_for_link(r, err) < 0) {
		rig_stop(r);
		r = NULL;
	}
	return r;
}

void rig_kill_controller(struct rig *r)
{
	if (r->controller <= 0)
		return;
	kill(r->controller, SIGKILL);
	waitpid(r->controller, NULL, 0);
	r->controller = 0;
}

static void remove_files(const struct rig *r)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
	if (system(command) != 0)
		fprintf(stderr, "pane-bench: %s is left\n", r->dir);
}

void rig_stop(struct rig *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		close(r->fd);
	rig_kill_controller(r);
	r->stop = true;
	if (r->has_dataplane)
		pthread_join(r->dataplane, NULL);
	remove_files(r);
	free(r);
}

// --- the network

static void fill(struct rte_mbuf *m, uint16_t flow, uint64_t number)
{
	const struct probe p = {.dst = {2, 0, 0, 0, 0, 2},
				.src = {2, 0, 0, 0, 0, 1},
				.type_be = htons(0x0800),
				.version = 0x45,
				.len_be = htons(sizeof(p) - 14),
				.ttl = 64,
				.proto = 253,
				.src_be = htonl(RIG_FLOW_IP + flow),
				.dst_be = htonl(0xac140002),
				.number = number};

	memcpy(rte_pktmbuf_append(m, sizeof(p)), &p, sizeof(p));
}

uint32_t rig_probe(struct rig *r, const uint16_t *flows, uint32_t n)
{
	struct rte_mbuf *m[RIG_BURST];
	int64_t now_ns;

	if (r->next + RIG_BURST - r->judged > SENT_MAX || rte_pktmbuf_alloc_bulk(r->pool, m, n + 1) != 0)
		return n + 1;
	for (uint32_t i = 0; i <= n; i++)
		fill(m[i], i < n ? flows[i] : RIG_FREE, r->next + i);
	now_ns = rig_now_ns();
	if (rte_ring_enqueue_bulk(r->rx, (void **)m, n + 1, NULL) == 0) {
		rte_pktmbuf_free_bulk(m, n + 1);
		return n + 1;
	}
	for (uint32_t i = 0; i <= n; i++)
		r->sent[(r->next + i) % SENT_MAX] = (struct sent){i < n ? flows[i] : RIG_FREE, now_ns};
	r->next += n + 1;
	return 0;
}

// What did not come before one that was sent later was dropped.
static void judge_up_to(struct rig *r, uint64_t number, int64_t now_ns)
{
	for (; r->judged <= number; r->judged++) {
		const struct sent *s = &r->sent[r->judged % SENT_MAX];

		r->judge(r->ctx, s->flow, r->judged == number, s->at_ns, now_ns);
	}
}

void rig_drain(struct rig *r)
{
	struct rte_mbuf *m[RIG_BURST];
	uint32_t n;

	while ((n = rte_ring_dequeue_burst(r->tx, (void **)m, RIG_BURST, NULL)) > 0) {
		int64_t now_ns = rig_now_ns();

		for (uint32_t i = 0; i < n; i++) {
			const struct probe *p = rte_pktmbuf_mtod(m[i], const struct probe *);

			if (rte_pktmbuf_pkt_len(m[i]) == sizeof(*p))
				judge_up_to(r, p->number, now_ns);
		}
		rte_pktmbuf_free_bulk(m, n);
	}
}

uint64_t rig_n_frames(const struct rig *r)
{
	return r->next;
}
