// SPDX-License-Identifier: Apache-2.0
// What is found of a unix socket, and removed, without a connection that its owner would see.
#include "nic-config/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/pane-socket-XXXXXX", path[64];
static char why[WHY_BYTES];

static struct local_socket memif(const char *more)
{
	char device[160];

	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s%s", path, more);
	return local_socket_of(device);
}

static struct local_socket vhost(void)
{
	char device[80];

	snprintf(device, sizeof(device), "vhost:%s", path);
	return local_socket_of(device);
}

// A socket that listens at path, or at its name without a file.
static int listen_at(int type, bool is_abstract)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path + is_abstract, path);
	assert_return_code(bind(fd, (struct sockaddr *)&addr,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1)),
			   errno);
	assert_return_code(listen(fd, 1), errno);
	return fd;
}

static void expect_nobody_came(int fd)
{
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void arguments_are_read_as_the_drivers_do(void **state)
{
	struct local_socket s = local_socket_of("memif:");

	assert_string_equal(s.path, "/run/memif.sock");
	assert_true(s.kind == LOCAL_SOCKET_MEMIF && s.is_abstract && !s.listens);
	s = local_socket_of("memif:socket=/a,role=master,socket-abstract=no,id=3");
	assert_string_equal(s.path, "/a");
	assert_true(!s.is_abstract && s.listens);
	s = local_socket_of("memif:role=,socket-abstract=");
	assert_true(s.is_abstract && !s.listens && !s.connects); // the driver says that it is wrong
	assert_true(local_socket_of("memif:role=slave").connects);
	s = local_socket_of("vhost:/b,queues=2");
	assert_string_equal(s.path, "/b");
	assert_true(s.kind == LOCAL_SOCKET_VHOST && !s.is_abstract && s.listens);
	assert_false(local_socket_of("vhost:/b,client=1").listens);
	assert_int_equal(local_socket_of("tap:memif:").kind, LOCAL_SOCKET_NONE);
}

static void a_name_too_long_for_a_socket_is_none(void **state)
{
	char device[200] = "vhost:/";

	memset(device + 7, 'x', 150);
	assert_string_equal(local_socket_of(device).path, "");
}

static void what_nobody_has_is_removed(void **state)
{
	struct local_socket s = memif(",socket-abstract=no");

	close(listen_at(SOCK_SEQPACKET, false));
	assert_false(local_socket_is_served(&s));
	assert_int_equal(local_socket_clear(&s, why), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(local_socket_clear(&s, why), 0); // nothing there
	s = vhost();
	close(listen_at(SOCK_STREAM, false));
	assert_int_equal(local_socket_clear(&s, why), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_somebody_has_stays_and_he_notices_nothing(void **state)
{
	struct local_socket s = memif(",socket-abstract=no");
	int fd = listen_at(SOCK_SEQPACKET, false);

	assert_true(local_socket_is_served(&s));
	assert_int_equal(local_socket_clear(&s, why), 0);
	assert_int_equal(access(path, F_OK), 0);
	expect_nobody_came(fd);
	unlink(path);
	s = vhost();
	fd = listen_at(SOCK_STREAM, false);
	assert_true(local_socket_is_served(&s));
	assert_int_equal(local_socket_clear(&s, why), 0);
	assert_int_equal(access(path, F_OK), 0);
	expect_nobody_came(fd);
	unlink(path);
}

static void a_name_without_a_file_is_looked_up(void **state)
{
	struct local_socket s = memif("");
	int fd;

	assert_false(local_socket_is_served(&s));
	fd = listen_at(SOCK_SEQPACKET, true);
	assert_true(local_socket_is_served(&s));
	path[strlen(path) - 1]++; // another name of the same length
	s = memif("");
	assert_false(local_socket_is_served(&s));
	path[strlen(path) - 1]--;
	expect_nobody_came(fd);
}

static void a_file_that_is_no_socket_is_told_and_stays(void **state)
{
	struct local_socket s = vhost();

	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(local_socket_clear(&s, why), -EEXIST);
	assert_non_null(strstr(why, path));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static int make_dir(void **state)
{
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_read_as_the_drivers_do),
		cmocka_unit_test(a_name_too_long_for_a_socket_is_none),
		cmocka_unit_test(what_nobody_has_is_removed),
		cmocka_unit_test(what_somebody_has_stays_and_he_notices_nothing),
		cmocka_unit_test(a_name_without_a_file_is_looked_up),
		cmocka_unit_test(a_file_that_is_no_socket_is_told_and_stays),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
