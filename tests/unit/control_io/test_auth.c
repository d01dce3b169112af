// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/auth.h"

static void uid_0_may_be_anybody(void **state)
{
	const struct auth_rules none = {0};
	const struct principal p = {"alice", "10.0.0.1", "ssh"};
	struct err err;

	assert_int_equal(auth_may_speak(&none, 0, &p, &err), 0);
}

static void another_uid_may_be_its_own_name_and_what_the_rules_say(void **state)
{
	const struct passwd *pw = getpwnam("nobody");
	const struct auth_rule rule[] = {{"alice", "daemon"}, {"alice", "nobody"}};
	const struct auth_rules none = {0}, mapped = {rule, 2};
	const struct principal own = {"nobody", "", ""}, app = {"nobody", "", "app"}, alice = {"alice", "", ""},
			       root = {"root", "", ""};
	struct err err;

	assert_non_null(pw);
	assert_int_equal(auth_may_speak(&none, pw->pw_uid, &own, &err), 0);
	assert_int_equal(auth_may_speak(&none, pw->pw_uid, &app, &err), -EACCES); // nothing proves the application
	assert_string_equal(err.msg, "OS user nobody may not speak as nobody/app");
	assert_int_equal(auth_may_speak(&none, pw->pw_uid, &alice, &err), -EACCES);
	assert_string_equal(err.msg, "OS user nobody may not speak as alice");
	assert_int_equal(auth_may_speak(&mapped, pw->pw_uid, &alice, &err), 0);
	assert_int_equal(auth_may_speak(&mapped, pw->pw_uid, &root, &err), -EACCES);
	assert_int_equal(auth_may_speak(&none, 4000000000U, &alice, &err), -EACCES);
	assert_string_equal(err.msg, "OS user 4000000000 may not speak as alice");
}

static void a_unix_peer_is_known(void **state)
{
	struct err err;
	int fds[2];
	uid_t uid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(auth_peer_uid(fds[0], &uid, &err), 0);
	assert_int_equal(uid, geteuid());
	close(fds[0]);
	close(fds[1]);
}

static int listen_loopback(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	struct err err;
	int fd;

	assert_int_equal(auth_listen_parse(text, addr, len, &err), 0);
	fd = socket(addr->ss_family, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, *len) < 0)
		return -1; // a host without this family
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, len), 0);
	return fd;
}

// A client of another user, when this process may make one.
static void check_tcp_peer(const char *text, uid_t client_uid)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int listener = listen_loopback(text, &addr, &len), fd, go[2], status;
	struct err err = {0};
	uid_t uid = 12345;
	char byte;
	pid_t pid;

	if (listener < 0)
		return;
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		int client = -1;

		close(go[1]);
		if (setuid(client_uid) == 0)
			client = socket(addr.ss_family, SOCK_STREAM, 0);
		if (client < 0 || connect(client, (struct sockaddr *)&addr, len) < 0)
			_exit(1);
		shutdown(client, SHUT_WR); // a client that sends no more is still there
		_exit(read(go[0], &byte, 1) == 1 ? 0 : 1);
	}
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	if (auth_peer_uid(fd, &uid, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(uid, client_uid);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	// The client is gone, its connection lingers as nobody's: that must not pass for uid 0.
	assert_int_equal(auth_peer_uid(fd, &uid, &err), -EPERM);
	close(fd);
	close(listener);
	close(go[0]);
	close(go[1]);
}

static void a_loopback_tcp_peer_is_known(void **state)
{
	check_tcp_peer("127.0.0.1:0", geteuid());
	check_tcp_peer("[::1]:0", geteuid());
	if (geteuid() == 0)
		check_tcp_peer("127.0.0.1:0", 65534);
}

static void only_loopback_is_listened_on(void **state)
{
	static const char *const good[] = {"127.0.0.1:4242", "127.1.2.3:0", "[::1]:65535"};
	static const char *const bad[] = {
		"0.0.0.0:1", "[::]:1",       "10.0.0.1:1",      "127.0.0.1", "127.0.0.1:",   ":1",  "127.0.0.1:x",
		"",          "127.0.0.1:-1", "127.0.0.1:65536", "[]:1",      "127.0.0.1: 1", "[:1", "localhost:4242"};
	struct sockaddr_storage addr;
	struct err err;
	socklen_t len;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(auth_listen_parse(good[i], &addr, &len, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (auth_listen_parse(bad[i], &addr, &len, &err) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uid_0_may_be_anybody),
		cmocka_unit_test(another_uid_may_be_its_own_name_and_what_the_rules_say),
		cmocka_unit_test(a_unix_peer_is_known),
		cmocka_unit_test(a_loopback_tcp_peer_is_known),
		cmocka_unit_test(only_loopback_is_listened_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
