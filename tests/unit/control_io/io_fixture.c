// SPDX-License-Identifier: Apache-2.0
#include "io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

int unix_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

void say_bytes(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		bytes += n;
		len -= (size_t)n;
	}
}

void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

static ssize_t read_some(int fd, char *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("no answer within %d ms", PATIENCE_MS);
	return read(fd, buf, size);
}

void hear(int fd, const char *text)
{
	size_t len = strlen(text), n = 0;
	char buf[1024] = "";

	assert_true(len < sizeof(buf));
	while (n < len) {
		ssize_t got = read_some(fd, buf + n, len - n);

		if (got <= 0)
			fail_msg("the session ended after \"%s\", expected \"%s\"", buf, text);
		n += (size_t)got;
		if (memcmp(buf, text, n) != 0)
			fail_msg("heard \"%s\", expected \"%s\"", buf, text);
	}
}

size_t hear_rest(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read_some(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	return n;
}

void hear_line(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read_some(fd, buf + n, 1) == 1 && buf[n] != '\n')
		n++;
	buf[n] = '\0';
}
