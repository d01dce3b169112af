// SPDX-License-Identifier: Apache-2.0
// Metrics over HTTP: right answers to right requests, clear ones to others, and clients that are slow, greedy or many
// cost no more than what is bounded.
#include "control/metrics_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/http_head.h"
#include "metrics_fixture.h"

#define NOW 1000000000
#define AN_HOUR_MS 3600000
#define SHORT_MS 100
#define CROWD 120 // as many may wait in the kernel
#define ASK "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
#define ASK_LAST "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

struct fixture {
	struct metrics_fixture m;
	struct metrics_server *server;
	char listen[32];
	int port;
	char got[1 << 20]; // what take_all has read, 0 behind it
};

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void serve_for(struct fixture *f, unsigned int life_ms)
{
	struct err err = {0};

	metrics_server_destroy(f->server);
	f->server = metrics_server_create(f->m.base, f->listen, life_ms, &f->m.src, &err);
	if (f->server == NULL)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	signal(SIGPIPE, SIG_IGN);
	metrics_fixture_init(&f->m, NOW);
	f->port = free_port();
	snprintf(f->listen, sizeof(f->listen), "127.0.0.1:%d", f->port);
	serve_for(f, AN_HOUR_MS);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_server_destroy(f->server);
	metrics_fixture_fini(&f->m);
	free(f);
	return 0;
}

// --- a client

static int client_of(const struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static int asking(const struct fixture *f, const char *text)
{
	int fd = client_of(f);

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	return fd;
}

static void turns(const struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		event_base_loop(f->m.base, EVLOOP_NONBLOCK);
}

// Reads until the server ends the connection, or what has come ends with these words. Returns whether it has ended it.
static bool take_all(struct fixture *f, int fd, const char *until)
{
	size_t len = 0;

	f->got[0] = '\0';
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = recv(fd, f->got + len, sizeof(f->got) - 1 - len, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		len += n > 0 ? (size_t)n : 0;
		f->got[len] = '\0';
		assert_true(len < sizeof(f->got) - 1);
		if (until != NULL && len >= strlen(until) && strcmp(f->got + len - strlen(until), until) == 0)
			return false;
		poll(&p, 1, 1);
		turns(f, 1);
	}
}

static int count_socket(const struct event_base *base, const struct event *ev, void *n)
{
	(void)base;
	*(int *)n += event_get_fd(ev) >= 0;
	return 0;
}

// Waits of the loop for sockets: for the listener, and for each connection.
static int n_waits(const struct fixture *f)
{
	int n = 0;

	event_base_foreach_event(f->m.base, count_socket, &n);
	return n;
}

static unsigned int n_of(const char *text, const char *word)
{
	unsigned int n = 0;

	for (text = strstr(text, word); text != NULL; text = strstr(text + strlen(word), word))
		n++;
	return n;
}

// Asks on a connection of its own, which the server ends. The status is checked.
static void expect_status(struct fixture *f, const char *request, const char *status)
{
	int fd = asking(f, request);
	char line[64];

	take_all(f, fd, NULL);
	snprintf(line, sizeof(line), "HTTP/1.1 %s\r\n", status);
	if (strncmp(f->got, line, strlen(line)) != 0)
		fail_msg("expected %s for %s, got:\n%s", status, request, f->got);
	close(fd);
}

static void expect_served(struct fixture *f)
{
	expect_status(f, ASK_LAST, "200 OK");
}

// --- what is answered

static void metrics_are_answered(void **state)
{
	struct fixture *f = *state;

	expect_status(f, ASK_LAST, "200 OK");
	assert_non_null(strstr(f->got, "\r\nContent-Type: text/plain; version=0.0.4\r\n"));
	assert_non_null(strstr(f->got, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(f->got, "\r\nDate: "));
	assert_non_null(strstr(f->got, "\npane_requests 0\n"));
	expect_status(f, "GET /metrics?name=a HTTP/1.0\r\n\r\n", "200 OK");
}

static size_t content_length(const char *text)
{
	const char *at = strstr(text, "\r\nContent-Length: ");

	assert_non_null(at);
	return strtoul(at + strlen("\r\nContent-Length: "), NULL, 10);
}

static void head_is_get_without_the_text(void **state)
{
	struct fixture *f = *state;
	size_t len;

	expect_status(f, ASK_LAST, "200 OK");
	len = content_length(f->got);
	assert_int_equal(strlen(strstr(f->got, "\r\n\r\n") + 4), len);
	expect_status(f, "HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 OK");
	assert_int_equal(content_length(f->got), len);
	assert_string_equal(strstr(f->got, "\r\n\r\n"), "\r\n\r\n");
}

static void what_cannot_be_answered_is_refused_with_its_status(void **state)
{
	static char long_head[3 * HTTP_HEAD_MAX];
	struct fixture *f = *state;

	expect_status(f, "GET / HTTP/1.0\r\n\r\n", "404 Not Found");
	assert_non_null(strstr(f->got, "there is only /metrics"));
	expect_status(f, "GET /metrics/ HTTP/1.0\r\n\r\n", "404 Not Found");
	expect_status(f, "POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed");
	assert_non_null(strstr(f->got, "\r\nAllow: GET, HEAD\r\n"));
	expect_status(f, "DELETE /metrics HTTP/1.0\r\n\r\n", "405 Method Not Allowed");
	expect_status(f, "GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request");
	expect_status(f, "nonsense\r\n\r\n", "400 Bad Request");
	expect_status(f, "GET /metrics HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported");
	expect_status(f, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "413 Content Too Large");
	memset(long_head, 'a', sizeof(long_head) - 1);
	memcpy(long_head, "GET /", 5);
	expect_status(f, long_head, "431 Request Header Fields Too Large");
	expect_served(f);
}

static void requests_in_one_go_are_answered_in_their_order(void **state)
{
	struct fixture *f = *state;
	int fd = asking(f, ASK "GET /x HTTP/1.1\r\nHost: a\r\n\r\n" ASK
			       "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n" ASK_LAST);
	const char *at;

	assert_true(take_all(f, fd, NULL));
	assert_int_equal(n_of(f->got, "HTTP/1.1 200 OK\r\n"), 4);
	at = strstr(f->got, "HTTP/1.1 404 Not Found\r\n");
	assert_non_null(at);
	assert_int_equal(n_of(at, "HTTP/1.1 200 OK\r\n"), 3);
	assert_int_equal(n_of(at, "# TYPE pane_requests gauge\n"), 2); // not with HEAD
	close(fd);
}

static void a_request_may_come_byte_by_byte_and_another_behind_it(void **state)
{
	static const char end[] = "there is only /metrics\n", ask[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
	struct fixture *f = *state;
	int fd = client_of(f);

	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < strlen(ask); i++) {
			assert_int_equal(send(fd, ask + i, 1, MSG_NOSIGNAL), 1);
			turns(f, 1);
		}
		assert_false(take_all(f, fd, end)); // and stays open
		assert_non_null(strstr(f->got, "\r\nConnection: keep-alive\r\n"));
	}
	close(fd);
	expect_served(f);
}

static void who_has_ended_his_half_gets_all_answers(void **state)
{
	struct fixture *f = *state;
	int fd = asking(f, ASK ASK ASK);

	shutdown(fd, SHUT_WR);
	assert_true(take_all(f, fd, NULL));
	assert_int_equal(n_of(f->got, "HTTP/1.1 200 OK\r\n"), 3);
	close(fd);
	fd = asking(f, ASK "GET /metr"); // a part of a request has no answer
	shutdown(fd, SHUT_WR);
	assert_true(take_all(f, fd, NULL));
	assert_int_equal(n_of(f->got, "HTTP/1.1 "), 1);
	close(fd);
}

// --- what it may cost

// The server's buffers and the kernel's take a few MB; without a bound, all of it.
static void a_client_that_asks_on_and_never_reads_is_not_read_on(void **state)
{
	const size_t all = 64 << 20;
	static char ask[1 << 16];
	struct fixture *f = *state;
	size_t sent = 0, len = 0;
	int fd = client_of(f);

	while (len + 64 < sizeof(ask))
		len += (size_t)snprintf(ask + len, sizeof(ask) - len, ASK);
	for (int idle = 0; idle < 200 && sent < all; idle++) {
		size_t at = sent % len; // whole requests, one after the other
		ssize_t n = send(fd, ask + at, len - at, MSG_NOSIGNAL);

		if (n > 0) {
			sent += (size_t)n;
			idle = 0;
		}
		turns(f, 1);
	}
	print_message("%zu bytes were taken\n", sent);
	assert_in_range(sent, 1, all / 2);
	expect_served(f);
	close(fd);
}

static void a_body_without_end_is_cut_off(void **state)
{
	static const char chunk[1 << 16];
	struct fixture *f = *state;
	int fd = asking(f, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n");
	ssize_t n = 1;

	while (n > 0 || errno == EAGAIN) { // ends when the server has closed it
		n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
		turns(f, 1);
	}
	close(fd);
	expect_served(f);
}

static void as_many_as_may_be_are_served_and_more_turned_away(void **state)
{
	struct fixture *f = *state;
	int fd[METRICS_CLIENTS_MAX], one_more;

	for (int i = 0; i < METRICS_CLIENTS_MAX; i++) {
		fd[i] = asking(f, "GET /metr"); // and no more
		turns(f, 2);
	}
	one_more = asking(f, ASK);
	take_all(f, one_more, NULL);
	assert_int_equal(n_of(f->got, "200 OK"), 0); // closed, with 503 if it was heard
	close(one_more);
	for (int i = 0; i < METRICS_CLIENTS_MAX; i++) {
		assert_true(send(fd[i], "ics HTTP/1.0\r\n\r\n", 16, MSG_NOSIGNAL) > 0);
		assert_true(take_all(f, fd[i], NULL));
		assert_int_equal(n_of(f->got, "HTTP/1.1 200 OK\r\n"), 1);
		close(fd[i]);
	}
	turns(f, 10);
	expect_served(f);
	assert_non_null(strstr(f->got, "\npane_metrics_turned_away_total 1\n"));
}

// In one turn of the loop 64 are turned away; the others wait in the kernel.
static void a_crowd_does_not_hold_the_loop(void **state)
{
	struct fixture *f = *state;
	int fd[CROWD], n_open = 0;

	for (int i = 0; i < CROWD; i++)
		fd[i] = client_of(f);
	turns(f, 1);
	for (int i = 0; i < CROWD; i++)
		n_open += recv(fd[i], f->got, sizeof(f->got), 0) < 0 && errno == EAGAIN;
	assert_in_range(n_open, CROWD - 64, CROWD);
	for (int i = 0; i < CROWD; i++)
		close(fd[i]);
	for (f->got[0] = '\0'; n_of(f->got, "200 OK") == 0;) { // until all of them are through
		int again = asking(f, ASK_LAST);

		take_all(f, again, NULL);
		close(again);
	}
}

static void who_is_slow_to_ask_is_cut_off(void **state)
{
	struct fixture *f = *state;
	int fd;

	serve_for(f, SHORT_MS);
	fd = asking(f, "GET /metrics HTTP/1.1\r\nX: ");
	while (recv(fd, f->got, sizeof(f->got), 0) < 0 && errno == EAGAIN) { // he goes on all the time
		struct pollfd p = {.fd = fd, .events = POLLIN};

		send(fd, "a", 1, MSG_NOSIGNAL);
		poll(&p, 1, 1);
		turns(f, 1);
	}
	close(fd);
}

static void who_is_slow_to_read_is_cut_off(void **state)
{
	const int small = 4096;
	struct fixture *f = *state;
	struct pollfd p = {0};

	serve_for(f, SHORT_MS);
	p.fd = client_of(f);
	setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 4000; i++) // as much as there is room for: far more answers than the kernel holds
		send(p.fd, ASK, strlen(ASK), MSG_NOSIGNAL);
	while (poll(&p, 1, 1) >= 0 && (p.revents & (POLLERR | POLLHUP)) == 0) // what he has sent is not read on: reset
		turns(f, 1);
	assert_int_equal(n_waits(f), 1);
	close(p.fd);
}

static void who_asks_nothing_is_closed(void **state)
{
	struct fixture *f = *state;
	int fd;

	serve_for(f, SHORT_MS);
	fd = client_of(f);
	assert_true(take_all(f, fd, NULL));
	assert_string_equal(f->got, "");
	close(fd);
}

static void without_descriptors_it_rests_and_comes_back(void **state)
{
	struct fixture *f = *state;
	struct rlimit usual, few;
	int fd = client_of(f);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = usual.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(n_waits(f), 1);
	turns(f, 3);
	assert_int_equal(n_waits(f), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	expect_served(f);
	close(fd);
}

static void connections_are_closed_with_the_server(void **state)
{
	struct fixture *f = *state;
	int asks = asking(f, ASK ASK ASK), waits = client_of(f);

	turns(f, 3);
	metrics_server_destroy(f->server);
	f->server = NULL;
	take_all(f, asks, NULL);
	assert_true(take_all(f, waits, NULL));
	close(asks);
	close(waits);
}

static void bad_addresses_are_refused_by_name(void **state)
{
	static const char *const bad[] = {"9464", "localhost:9464", "1.2.3.4:99999", ""};
	struct fixture *f = *state;
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(metrics_server_create(f->m.base, bad[i], AN_HOUR_MS, &f->m.src, &err));
		assert_non_null(strstr(err.msg, "metrics_listen: "));
	}
	assert_null(metrics_server_create(f->m.base, f->listen, AN_HOUR_MS, &f->m.src, &err)); // taken
	assert_int_equal(err.code, EADDRINUSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(metrics_are_answered),
		TEST(head_is_get_without_the_text),
		TEST(what_cannot_be_answered_is_refused_with_its_status),
		TEST(requests_in_one_go_are_answered_in_their_order),
		TEST(a_request_may_come_byte_by_byte_and_another_behind_it),
		TEST(who_has_ended_his_half_gets_all_answers),
		TEST(a_client_that_asks_on_and_never_reads_is_not_read_on),
		TEST(a_body_without_end_is_cut_off),
		TEST(as_many_as_may_be_are_served_and_more_turned_away),
		TEST(a_crowd_does_not_hold_the_loop),
		TEST(who_is_slow_to_ask_is_cut_off),
		TEST(who_is_slow_to_read_is_cut_off),
		TEST(who_asks_nothing_is_closed),
		TEST(without_descriptors_it_rests_and_comes_back),
		TEST(connections_are_closed_with_the_server),
		TEST(bad_addresses_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
