// SPDX-License-Identifier: Apache-2.0
// Sockets of OpenFlow switches: one that does not read is shown out, and others do not notice.
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "control/engine.h"
#include "control/loop.h"
#include "control/of_server.h"
#include "played_switch.h"

#define PATIENCE_NS 20000000000LL
#define N_WIDE 64

struct peer {
	struct played played;
	int fd;
	bool reads, broken;
};

struct fixture {
	struct event_base *base;
	struct nib *nib;
	struct engine *engine;
	struct of_server *server;
	struct peer peers[2];
};

static void turn(struct fixture *f)
{
	uint8_t buf[65536];
	ssize_t n;

	event_base_loop(f->base, EVLOOP_NONBLOCK);
	of_server_turn(f->server, f->engine, loop_clock_ns());
	for (int i = 0; i < 2; i++) {
		struct peer *p = &f->peers[i];

		while (p->fd >= 0 && p->reads && (n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			assert_true(played_input(&p->played, buf, (size_t)n));
	}
}

// All of it, while the server goes on.
static void to_server(void *ctx, const uint8_t *bytes, size_t len)
{
	struct peer *p = ctx;

	while (len > 0 && !p->broken) {
		ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			p->broken = true;
		if (n <= 0)
			return; // a part of a message: this peer says no more that counts
		bytes += n;
		len -= (size_t)n;
	}
}

static void join_as(struct fixture *f, struct peer *p, uint64_t dpid)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	at.sin_port = htons(of_server_port(f->server, false));
	played_init(&p->played, OF_VERSION_13, dpid, 2);
	p->played.send = to_server;
	p->played.ctx = p;
	p->reads = true;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p->fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	played_hello(&p->played);
}

static struct of_net_stats stats(const struct fixture *f)
{
	struct of_net_stats s;

	of_net_stats(of_server_net(f->server), &s);
	return s;
}

static int setup(void **state)
{
	static struct fixture f;
	const struct engine_conf engine = {.offline = false};
	struct of_server_conf conf = {.listen = "127.0.0.1:0"};
	struct err err;

	f = (struct fixture){.base = event_base_new(), .nib = nib_create(), .peers = {{.fd = -1}, {.fd = -1}}};
	f.engine = engine_create(&engine, f.nib, loop_clock_ns());
	conf.nib = f.nib;
	f.server = of_server_create(f.base, &conf, &err);
	assert_non_null(f.server);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	of_server_destroy(f->server);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	event_base_free(f->base);
	for (int i = 0; i < 2; i++) {
		played_fini(&f->peers[i].played);
		if (f->peers[i].fd >= 0)
			close(f->peers[i].fd);
	}
	return 0;
}

static void wait_for_switches(struct fixture *f, uint32_t n)
{
	int64_t end = loop_uptime_ns() + PATIENCE_NS;

	while (stats(f).n_switches != n && loop_uptime_ns() < end)
		turn(f);
	assert_int_equal(stats(f).n_switches, n);
}

static void a_switch_that_does_not_read_is_shown_out(void **state)
{
	static uint8_t much[60000];
	struct fixture *f = *state;
	struct of_msg echo = {.type = OF_ECHO_REQUEST, .raw = {much, sizeof(much)}};
	int64_t end = loop_uptime_ns() + PATIENCE_NS;

	join_as(f, &f->peers[0], 1);
	join_as(f, &f->peers[1], 2);
	wait_for_switches(f, 2);
	f->peers[1].reads = false;
	while (stats(f).n_switches == 2 && loop_uptime_ns() < end) {
		uint8_t last = 0;

		// A whole message or none, so that its stream stays good.
		if (recv(f->peers[1].fd, &last, 0, MSG_DONTWAIT) >= 0 || errno == EAGAIN)
			played_send(&f->peers[1].played, &echo);
		for (int i = 0; i < 4; i++)
			turn(f);
	}
	assert_int_equal(stats(f).n_switches, 1);
	assert_true(f->peers[0].fd >= 0 && send(f->peers[0].fd, "", 0, MSG_NOSIGNAL) == 0);
	turn(f);
	assert_int_equal(stats(f).n_switches, 1);
}

static void a_switch_that_goes_away_is_gone(void **state)
{
	struct fixture *f = *state;

	join_as(f, &f->peers[0], 1);
	join_as(f, &f->peers[1], 2);
	wait_for_switches(f, 2);
	close(f->peers[1].fd);
	f->peers[1].fd = -1;
	wait_for_switches(f, 1);
}

static void say(struct fixture *f, const char *statement)
{
	struct principal root;
	struct reply reply;

	assert_int_equal(principal_parse("root", &root, NULL), 0);
	reply_init(&reply);
	engine_exec(f->engine, &root, statement, strlen(statement), loop_clock_ns(), &reply);
	if (reply.code != REPLY_OK)
		fail_msg("%s: %s", statement, reply_code_name(reply.code));
	reply_fini(&reply);
}

// Wide requests that meet in ever new ways need more rows than a flat table may have.
static void a_policy_that_switches_cannot_have_is_told(void **state)
{
	struct fixture *f = *state;
	char text[120];

	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	for (int i = 0; i < N_WIDE; i++) {
		int src = 1000 + i * 37 % N_WIDE * 100, dst = 1000 + i * 53 % N_WIDE * 100;

		snprintf(text, sizeof(text), "NewShare s%d for (*) [ratelimit >= 1Mb] on rootShare.", i);
		say(f, text);
		snprintf(text, sizeof(text), "%s(srcPort=%d-%d, dstPort=%d-%d) partial on s%d.",
			 i % 2 == 0 ? "allow" : "deny", src, src + 20000 + i * 61 % N_WIDE * 100, dst,
			 dst + 20000 + i * 71 % N_WIDE * 100, i);
		say(f, text);
	}
	assert_null(of_server_trouble(f->server));
	turn(f);
	assert_non_null(of_server_trouble(f->server));
	assert_non_null(strstr(of_server_trouble(f->server), "rows"));
	for (int i = 1; i <= N_WIDE; i++) {
		snprintf(text, sizeof(text), "cancel %d.", i);
		say(f, text);
	}
	turn(f);
	assert_null(of_server_trouble(f->server));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_switch_that_does_not_read_is_shown_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_switch_that_goes_away_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_policy_that_switches_cannot_have_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
