// SPDX-License-Identifier: Apache-2.0
// Many flow mods and a barrier to one real switch, which connects to 127.0.0.1:6653 (the testbed's bridge): as the
// controller sends them, and the same bytes from a bare loop over write.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "control/of_conn.h"
#include "control/of_rules.h"

#define MODS 10000
#define PORT 6653

struct link {
	int fd;
	struct event_base *base;
	struct bufferevent *bev;
	struct of_conn *conn;
	uint32_t answered; // xid of the last barrier that was
	bool up, failed;
	uint8_t *copy; // of what is sent, when kept
	size_t n_copy, cap_copy;
	bool keep;
};

static void send_bytes(void *ctx, const uint8_t *bytes, size_t len)
{
	struct link *l = ctx;

	bufferevent_write(l->bev, bytes, len);
	if (!l->keep)
		return;
	if (l->n_copy + len > l->cap_copy) {
		l->cap_copy = (l->n_copy + len) * 2;
		l->copy = realloc(l->copy, l->cap_copy);
		if (l->copy == NULL)
			abort();
	}
	memcpy(l->copy + l->n_copy, bytes, len);
	l->n_copy += len;
}

static void on_up(void *ctx, struct of_conn *c)
{
	struct link *l = ctx;

	l->up = true;
	(void)c;
}

static void on_message(void *ctx, struct of_conn *c, const struct of_msg *m)
{
	struct link *l = ctx;

	if (m->type == OF_BARRIER_REPLY)
		l->answered = m->xid;
	l->failed = l->failed || m->type == OF_ERROR;
	(void)c;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct link *l = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	struct err err;

	l->failed =
		l->failed || of_conn_input(l->conn, evbuffer_pullup(in, -1), len, (int64_t)bench_now_ns(), &err) < 0;
	evbuffer_drain(in, len);
}

static int accept_switch(struct link *l, struct err *err)
{
	static const struct of_conn_ops ops = {.send = send_bytes, .up = on_up, .message = on_message};
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(PORT)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 8) < 0 || poll(&p, 1, 20000) <= 0) {
		close(fd);
		return err_set(err, ETIMEDOUT, "no switch connects to 127.0.0.1:%d", PORT);
	}
	l->fd = accept(fd, NULL, NULL);
	close(fd);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	evutil_make_socket_nonblocking(l->fd);
	l->base = event_base_new();
	l->bev = bufferevent_socket_new(l->base, l->fd, 0);
	bufferevent_setcb(l->bev, on_read, NULL, NULL, l);
	bufferevent_enable(l->bev, EV_READ | EV_WRITE);
	l->conn = of_conn_create(&ops, l, (int64_t)bench_now_ns());
	while (!l->up && !l->failed)
		event_base_loop(l->base, EVLOOP_ONCE);
	return l->failed ? err_set(err, EPROTO, "the switch's handshake fails") : 0;
}

static void barrier(struct link *l)
{
	struct of_msg m = {.type = OF_BARRIER_REQUEST};
	uint32_t xid = of_conn_send(l->conn, &m, NULL);

	while (l->answered != xid && !l->failed)
		event_base_loop(l->base, EVLOOP_ONCE);
}

static void delete_all(struct link *l)
{
	struct of_msg m = {.type = OF_FLOW_MOD};

	m.flow_mod.command = OF_FLOW_DELETE;
	m.flow_mod.table = OF_TABLE_ALL;
	m.flow_mod.buffer_id = OF_NO_BUFFER;
	m.flow_mod.out_port = OF_PORT_ANY;
	m.flow_mod.out_group = OF_GROUP_ANY;
	m.flow_mod.instructions.goto_table = OF_TABLE_ALL;
	of_conn_send(l->conn, &m, NULL);
	barrier(l);
}

static void make_rules(struct of_rules *rules)
{
	of_rules_init(rules);
	for (uint32_t i = 0; i < MODS; i++) {
		struct of_rule r;

		memset(&r, 0, sizeof(r));
		r.match.has = OF_HAS_ETH_TYPE | OF_HAS_IP4_SRC | OF_HAS_IP4_DST;
		r.match.eth_type = 0x0800;
		r.match.ip4_src = 0x0a000000 | i;
		r.match.ip4_dst = 0x0b000000 | i * 7;
		r.match.ip4_src_mask = r.match.ip4_dst_mask = UINT32_MAX;
		r.priority = 1000;
		r.instructions.goto_table = OF_TABLE_ALL;
		r.instructions.n_actions = 1;
		r.instructions.actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = 1};
		of_rules_add(rules, &r);
	}
	of_rules_sort(rules);
}

static void send_change(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct link *l = ctx;
	struct of_msg m;

	of_rule_message(change, rule, 0, &m);
	of_conn_send(l->conn, &m, NULL);
}

static double ours(struct link *l, const struct of_rules *rules)
{
	const struct of_rules none = {0};
	uint64_t start;

	delete_all(l);
	start = bench_now_ns();
	of_rules_diff(&none, rules, send_change, l);
	barrier(l);
	return (double)(bench_now_ns() - start) / 1e6;
}

// The copy ends in the barrier, whose number is in its last four bytes.
static double bare(struct link *l)
{
	const uint8_t *end = l->copy + l->n_copy - 4;
	uint32_t xid = (uint32_t)end[0] << 24 | (uint32_t)end[1] << 16 | (uint32_t)end[2] << 8 | end[3];
	size_t at = 0;
	uint64_t start;

	delete_all(l);
	start = bench_now_ns();
	while (at < l->n_copy) {
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};
		ssize_t n = write(l->fd, l->copy + at, l->n_copy - at);

		if (n < 0 && errno != EAGAIN)
			return 0;
		if (n < 0)
			poll(&p, 1, 1000);
		else
			at += (size_t)n;
	}
	while (l->answered != xid && !l->failed)
		event_base_loop(l->base, EVLOOP_ONCE);
	return (double)(bench_now_ns() - start) / 1e6;
}

int bench_flow_mods(const struct bench_opts *opts, json_t *out, struct err *err)
{
	double *a = calloc(opts->repeat, sizeof(*a)), *b = calloc(opts->repeat, sizeof(*b)), *ratio;
	struct of_rules rules;
	struct link l = {0};
	int rc = accept_switch(&l, err);

	ratio = calloc(opts->repeat, sizeof(*ratio));
	make_rules(&rules);
	for (uint32_t i = 0; i < opts->repeat && rc == 0; i++) {
		bench_progress("flow mods, run", i + 1, opts->repeat);
		delete_all(&l);
		l.keep = true;
		l.n_copy = 0;
		of_rules_diff(&(const struct of_rules){0}, &rules, send_change, &l); // also warms the switch up
		barrier(&l);
		l.keep = false;
		a[i] = ours(&l, &rules);
		b[i] = bare(&l);
		ratio[i] = b[i] > 0 ? a[i] / b[i] : 0;
		if (l.failed)
			rc = err_set(err, EPROTO, "the switch answers with an error");
	}
	if (rc == 0) {
		json_object_set_new(out, "flow_mods", json_integer(MODS));
		bench_spread(out, "flow_mods_ms", a, opts->repeat);
		bench_spread(out, "bare_ms", b, opts->repeat);
		bench_spread(out, "ratio", ratio, opts->repeat);
	}
	of_rules_fini(&rules);
	of_conn_destroy(l.conn);
	if (l.bev != NULL)
		bufferevent_free(l.bev);
	if (l.base != NULL)
		event_base_free(l.base);
	free(l.copy);
	free(a);
	free(b);
	free(ratio);
	return rc;
}
