// SPDX-License-Identifier: Apache-2.0
// The dataplane's end of the link against a peer made of bytes.
#include "dataplane/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "gen.h"
#include "played_dp.h"

static struct err err;

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct played_dp));
	played_dp_init(*state);
	return 0;
}

static int teardown(void **state)
{
	played_dp_fini(*state);
	free(*state);
	return 0;
}

static struct part_row deny(uint32_t ip)
{
	return gen_simple_row(ip, 1, ACCESS_DENY, 0, INT64_MAX);
}

static int raw_connect(struct played_dp *dp)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", dp->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void raw_send(int fd, const struct proto_msg *msg)
{
	uint8_t buf[PROTO_FRAME_MAX];
	size_t len = proto_encode(msg, buf);

	assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
}

static void raw_hello(int fd)
{
	struct proto_msg msg = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION}};

	raw_send(fd, &msg);
}

// The next message of a type (0: any); others are skipped. false: closed.
static bool raw_expect(struct played_dp *dp, int fd, enum proto_type type, struct proto_msg *msg)
{
	static uint8_t buf[1 << 16];
	static size_t have;

	for (int64_t until = clock_ns() + 5000000000; clock_ns() < until;) {
		int n = proto_decode(buf, have, msg, &err);
		ssize_t got;

		assert_true(n >= 0);
		if (n > 0) {
			memmove(buf, buf + n, have -= n);
			if (msg->type == type || type == 0)
				return true;
			continue;
		}
		played_dp_turn(dp);
		got = recv(fd, buf + have, sizeof(buf) - have, 0);
		if (got == 0) {
			have = 0;
			return false;
		}
		have += got > 0 ? got : 0;
	}
	fail_msg("no message of type %d", type);
	return false;
}

static void changes_without_commit_are_lost_with_their_session(void **state)
{
	struct played_dp *dp = *state;
	struct proto_msg msg = {.type = PROTO_ROW_ADD, .row = deny(1)}, got;
	int fd, second;

	fd = raw_connect(dp);
	raw_hello(fd);
	raw_send(fd, &msg);
	assert_true(raw_expect(dp, fd, PROTO_HAVE_END, &got));
	second = raw_connect(dp); // replaces the first
	raw_hello(second);
	assert_true(raw_expect(dp, second, PROTO_HAVE_END, &got));
	assert_false(raw_expect(dp, fd, PROTO_HAVE_END, &got));
	msg = (struct proto_msg){.type = PROTO_COMMIT, .commit = {.txn = 5}};
	raw_send(second, &msg);
	assert_true(raw_expect(dp, second, PROTO_IN_FORCE, &got));
	assert_int_equal(got.commit.txn, 5);
	assert_int_equal(played_dp_n_rows(dp), 0);
	close(fd);
	close(second);
}

static void several_waiting_commits_are_built_once_and_answered_each(void **state)
{
	struct played_dp *dp = *state;
	struct proto_msg msg, got;
	int fd;

	fd = raw_connect(dp);
	raw_hello(fd);
	for (uint32_t i = 1; i <= 3; i++) {
		msg = (struct proto_msg){.type = PROTO_ROW_ADD, .row = deny(i == 3 ? 1 : i)}; // the third: a row twice
		raw_send(fd, &msg);
		msg = (struct proto_msg){.type = PROTO_COMMIT, .commit = {.txn = i}};
		raw_send(fd, &msg);
	}
	assert_true(raw_expect(dp, fd, PROTO_COMMIT_FAILED, &got));
	assert_int_equal(got.commit.txn, 3);
	assert_non_null(strstr(got.commit.why, "already"));
	assert_true(raw_expect(dp, fd, PROTO_IN_FORCE, &got));
	assert_int_equal(got.commit.txn, 1);
	assert_true(raw_expect(dp, fd, PROTO_IN_FORCE, &got));
	assert_int_equal(got.commit.txn, 2);
	assert_int_equal(dp->gen, 1);
	assert_int_equal(played_dp_n_rows(dp), 2);
	close(fd);
}

static void a_peer_that_breaks_the_protocol_is_cut_off(void **state)
{
	static const char junk[] = "GET / HTTP/1.0\r\n\r\n";
	struct played_dp *dp = *state;
	struct proto_msg row = {.type = PROTO_ROW_ADD, .row = deny(1)}, from_dp = {.type = PROTO_HAVE_END}, got;
	struct proto_msg old = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION + 1}};
	int fd;

	for (int i = 0; i < 5; i++) {
		fd = raw_connect(dp);
		if (i == 0)
			raw_send(fd, &row); // no hello
		else if (i == 1)
			assert_int_equal(send(fd, junk, sizeof(junk), 0), sizeof(junk));
		else if (i == 2)
			raw_send(fd, &old);
		else {
			raw_hello(fd);
			raw_send(fd, i == 3 ? &from_dp : &old); // not for a dataplane; a second hello
		}
		while (raw_expect(dp, fd, PROTO_HELLO, &got)) // until closed
			assert_int_equal(got.hello.version, PROTO_VERSION);
		close(fd);
	}
	assert_int_equal(played_dp_n_rows(dp), 0);
}

static void two_dataplanes_cannot_share_a_path(void **state)
{
	struct played_dp *dp = *state;
	struct link_conf conf = {.path = dp->path, .table = dp->table};

	assert_null(link_create(&conf, &err));
	assert_non_null(strstr(err.msg, "another dataplane"));
}

static void a_commit_is_in_force_only_when_the_worker_has_it(void **state)
{
	struct played_dp *dp = *state;
	struct proto_msg commit = {.type = PROTO_COMMIT, .commit = {.txn = 1}}, got;
	uint8_t byte;
	int fd = raw_connect(dp);

	raw_hello(fd);
	assert_true(raw_expect(dp, fd, PROTO_HAVE_END, &got));
	dp->worker_sleeps = true;
	raw_send(fd, &commit);
	for (int i = 0; i < 20; i++)
		played_dp_turn(dp);
	assert_int_equal(link_awaits_gen(dp->link), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	dp->worker_sleeps = false;
	assert_true(raw_expect(dp, fd, PROTO_IN_FORCE, &got));
	assert_int_equal(got.commit.time_ns, PLAYED_IN_FORCE_NS);
	assert_int_equal(link_awaits_gen(dp->link), 0);
	close(fd);
}

static void an_answer_goes_only_to_the_session_that_asked(void **state)
{
	struct played_dp *dp = *state;
	struct proto_msg add = {.type = PROTO_ROW_ADD, .row = deny(1)}, got;
	struct proto_msg commit = {.type = PROTO_COMMIT, .commit = {.txn = 1}};
	int first = raw_connect(dp), second;

	raw_hello(first);
	raw_send(first, &add);
	raw_send(first, &commit);
	dp->worker_sleeps = true;
	assert_true(raw_expect(dp, first, PROTO_HAVE_END, &got));
	played_dp_turn(dp);
	assert_int_equal(played_dp_n_rows(dp), 1);
	second = raw_connect(dp);
	raw_hello(second);
	assert_true(raw_expect(dp, second, PROTO_HAVE_ROW, &got)); // what is committed is there
	assert_true(raw_expect(dp, second, PROTO_HAVE_END, &got));
	dp->worker_sleeps = false;
	commit.commit.txn = 2;
	raw_send(second, &commit);
	assert_true(raw_expect(dp, second, PROTO_IN_FORCE, &got));
	assert_int_equal(got.commit.txn, 2);
	close(first);
	close(second);
}

static void a_changed_port_is_told_once(void **state)
{
	struct played_dp *dp = *state;
	struct proto_port port = {.port = 0, .up = 1, .name = "p1", .device = "null:"};
	struct proto_msg got, commit = {.type = PROTO_COMMIT, .commit = {.txn = 1}};
	int fd;

	link_port(dp->link, &port);
	fd = raw_connect(dp);
	raw_hello(fd);
	assert_true(raw_expect(dp, fd, PROTO_PORT, &got)); // a new session hears of all
	assert_true(raw_expect(dp, fd, PROTO_HAVE_END, &got));
	link_port(dp->link, &port);
	raw_send(fd, &commit);
	assert_true(raw_expect(dp, fd, 0, &got)); // any
	assert_int_equal(got.type, PROTO_IN_FORCE);
	port.up = 0;
	link_port(dp->link, &port);
	assert_true(raw_expect(dp, fd, PROTO_PORT, &got));
	assert_int_equal(got.port.up, 0);
	close(fd);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(changes_without_commit_are_lost_with_their_session),
		RULE(several_waiting_commits_are_built_once_and_answered_each),
		RULE(a_commit_is_in_force_only_when_the_worker_has_it),
		RULE(an_answer_goes_only_to_the_session_that_asked),
		RULE(a_changed_port_is_told_once),
		RULE(a_peer_that_breaks_the_protocol_is_cut_off),
		RULE(two_dataplanes_cannot_share_a_path),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
