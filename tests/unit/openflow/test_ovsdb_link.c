// SPDX-License-Identifier: Apache-2.0
// The connection to a database: tried again more and more rarely while nobody answers, and soon when somebody did. What
// it should have is told until there was memory for it.
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

#include "control/of_net.h"
#include "control/of_server.h"
#include "control/ovsdb_link.h"

#define PAUSES 8
#define TURNS_MAX 100000

static int pauses[PAUSES], n_pauses; // in seconds

// Nobody waits for them here.
int __real_event_add(struct event *ev, const struct timeval *tv);
int __wrap_event_add(struct event *ev, const struct timeval *tv);
int __wrap_event_add(struct event *ev, const struct timeval *tv)
{
	static const struct timeval soon = {0, 100};

	if (tv == NULL || tv->tv_sec == 0)
		return __real_event_add(ev, tv);
	assert_true(n_pauses < PAUSES);
	pauses[n_pauses++] = (int)tv->tv_sec;
	return __real_event_add(ev, &soon);
}

// The network, of which only the queues are asked for, and what databases are told of them.
static uint64_t place_gen;
static unsigned int n_wants, wants_fail, queues_of_fail;

const struct of_net *__wrap_of_server_net(const struct of_server *s);
const struct of_net *__wrap_of_server_net(const struct of_server *s)
{
	(void)s;
	return NULL;
}

int __wrap_of_net_queues(const struct of_net *net, uint64_t *gen, struct ovsdb_queue **out);
int __wrap_of_net_queues(const struct of_net *net, uint64_t *gen, struct ovsdb_queue **out)
{
	if (*gen == place_gen)
		return -EAGAIN;
	*gen = place_gen;
	*out = calloc(1, sizeof(**out));
	(void)net;
	return 0;
}

int __wrap_of_net_queues_of(const struct of_net *net, bool *known, uint64_t **but);
int __wrap_of_net_queues_of(const struct of_net *net, bool *known, uint64_t **but)
{
	(void)net;
	if (queues_of_fail > 0 && queues_of_fail-- > 0)
		return -ENOMEM;
	*known = true;
	*but = calloc(1, sizeof(**but));
	return 0;
}

int __wrap_ovsdb_want(struct ovsdb *o, const struct ovsdb_wish *wish, int64_t now_ns);
int __wrap_ovsdb_want(struct ovsdb *o, const struct ovsdb_wish *wish, int64_t now_ns)
{
	(void)o;
	(void)wish;
	(void)now_ns;
	n_wants++;
	return wants_fail > 0 && wants_fail-- > 0 ? -ENOMEM : 0;
}

static void what_a_database_should_have_is_told_until_there_is_memory_for_it(void **state)
{
	struct event_base *base = event_base_new();
	struct ovsdb_links *links = ovsdb_links_create(base, "unix:/nowhere/a,unix:/nowhere/b", NULL);

	assert_non_null(links);
	place_gen = 1;
	wants_fail = 1; // of the first one: the second one is told
	ovsdb_links_follow(links, NULL);
	assert_int_equal(n_wants, 2);
	ovsdb_links_follow(links, NULL); // nothing has changed since
	assert_int_equal(n_wants, 4);
	ovsdb_links_follow(links, NULL);
	assert_int_equal(n_wants, 4);
	place_gen = 2;
	queues_of_fail = 1;
	ovsdb_links_follow(links, NULL);
	assert_int_equal(n_wants, 4);
	ovsdb_links_follow(links, NULL);
	assert_int_equal(n_wants, 6);
	ovsdb_links_follow(links, NULL);
	assert_int_equal(n_wants, 6);
	ovsdb_links_destroy(links);
	event_base_free(base);
	n_pauses = 0;
	(void)state;
}

static int listen_somewhere(char *target, size_t size)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(target, size, "tcp:127.0.0.1:%u", ntohs(at.sin_port));
	return fd;
}

static void it_is_tried_again_more_and_more_rarely_until_it_answers(void **state)
{
	static const char answer[] = "{\"id\":1,\"result\":{},\"error\":null}";
	static const int expected[PAUSES] = {1, 2, 4, 8, 16, 16, 16, 1};
	struct event_base *base = event_base_new();
	struct ovsdb_links *links;
	int fd, session = -1;
	char target[40];
	struct err err;

	fd = listen_somewhere(target, sizeof(target));
	links = ovsdb_links_create(base, target, &err);
	assert_non_null(links);
	for (int turn = 0; n_pauses < PAUSES && turn < TURNS_MAX; turn++) {
		char asked[1024];

		event_base_loop(base, EVLOOP_NONBLOCK);
		if (session < 0)
			session = accept(fd, NULL, NULL);
		if (session < 0 || (n_pauses == PAUSES - 1 && recv(session, asked, sizeof(asked), MSG_DONTWAIT) <= 0))
			continue;
		if (n_pauses == PAUSES - 1) { // this time it is a database, for a moment
			assert_int_equal(send(session, answer, sizeof(answer) - 1, MSG_NOSIGNAL), sizeof(answer) - 1);
			for (int i = 0; i < 20; i++)
				event_base_loop(base, EVLOOP_NONBLOCK);
		}
		close(session);
		session = -1;
	}
	assert_int_equal(n_pauses, PAUSES);
	assert_memory_equal(pauses, expected, sizeof(expected));
	ovsdb_links_destroy(links);
	event_base_free(base);
	close(fd);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_database_should_have_is_told_until_there_is_memory_for_it),
		cmocka_unit_test(it_is_tried_again_more_and_more_rarely_until_it_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
