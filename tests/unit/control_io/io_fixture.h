// SPDX-License-Identifier: Apache-2.0
// What the tests of sockets and processes share: a client on a socket.
#pragma once
#include <stddef.h>

#include "tmpdir.h"

int unix_connect(const char *path); // -1 when nobody listens
void say(int fd, const char *text);
void say_bytes(int fd, const char *bytes, size_t len);
// Reads until the text has come whole (fails the test after 5 s), and nothing but the text.
void hear(int fd, const char *text);
// Reads until the peer closes, at most size - 1 bytes; NUL-terminated.
size_t hear_rest(int fd, char *buf, size_t size);
// Reads up to and with the next newline, without it.
void hear_line(int fd, char *buf, size_t size);
