// SPDX-License-Identifier: Apache-2.0
// What the tests of sockets, disk and processes share: a temporary directory, a client on a socket.
#pragma once
#include <stddef.h>

// A new directory below $TMPDIR, removed with all in it by tmpdir_remove.
void tmpdir_make(char dir[64]);
void tmpdir_remove(const char *dir);
void write_file(const char *path, const char *text, size_t len);

int unix_connect(const char *path); // -1 when nobody listens
void say(int fd, const char *text);
void say_bytes(int fd, const char *bytes, size_t len);
// Reads until the text has come whole (fails the test after 5 s), and nothing but the text.
void hear(int fd, const char *text);
// Reads until the peer closes, at most size - 1 bytes; NUL-terminated.
size_t hear_rest(int fd, char *buf, size_t size);
// Reads up to and with the next newline, without it.
void hear_line(int fd, char *buf, size_t size);
