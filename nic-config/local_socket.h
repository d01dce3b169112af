// SPDX-License-Identifier: Apache-2.0
// The unix sockets of memif and vhost-user ports, which belong to two programs: whether the other one listens, and what
// a killed one left behind. Nothing here connects to anybody: a memif server that is given a connection and loses it at
// once is sent SIGPIPE. Thread: main lcore.
#pragma once
#include <stdbool.h>

#include "why.h"

enum local_socket_kind { LOCAL_SOCKET_NONE, LOCAL_SOCKET_MEMIF, LOCAL_SOCKET_VHOST };

struct local_socket {
	enum local_socket_kind kind;
	bool listens;     // this side does (memif: role=server; vhost: without client=1)
	bool connects;    // when the port starts, and never again (memif: role=client)
	bool is_abstract; // a name of the network namespace, without a file
	char path[108];   // sun_path of unix(7), ended by a NUL; "" if it does not fit
};

// device: as in struct port_conf. The drivers' defaults where it says nothing. kind NONE: no such device.
struct local_socket local_socket_of(const char *device);
// Some program has a socket of this name and kind, this process included.
bool local_socket_is_served(const struct local_socket *s);
// Makes room for a socket that listens: a file that is the socket of nobody any more is removed. What somebody has is
// left, since ports of one process may share it. 0; with the reason in why -EEXIST: the file is no socket; -errno.
int local_socket_clear(const struct local_socket *s, char why[WHY_BYTES]);
