// SPDX-License-Identifier: Apache-2.0
// A server in a process of its own, with the real engine; its exit status tells of crashes and leaks.
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "control/server.h"

struct fixture {
	char dir[64], path[128];
	pid_t pid;
	uint16_t port, tls_port;
};

// Of conf, what the fixture does not set itself (paths, TCP on any port, whom it asks for users). *state: the fixture.
int server_start(void **state, const struct server_conf *conf);
int server_stop(void **state); // fails the test unless the server ended as asked

int join(const struct fixture *f);
int join_as_root(const struct fixture *f);
void hear_end(int fd); // nothing more than the end
