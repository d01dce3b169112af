// SPDX-License-Identifier: Apache-2.0
// Who may be whom. The kernel says which OS user holds the other end of a socket; the rules say which principals that
// user may speak as. Never a name without proof, so TCP without TLS (tls.h) is for loopback only. Thread: control only.
#pragma once
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "hft/err.h"
#include "speaker.h"

struct auth_rule { // os_user may speak as the principals of user `name`
	const char *name;
	const char *os_user;
};

struct auth_rules {
	const struct auth_rule *rules; // borrowed
	size_t n_rules;
};

// The OS user at the other end of a connected Unix or loopback TCP socket, as the kernel knows it.
// -EPERM: the kernel cannot tell (the peer is gone, or not on this host).
int auth_peer_uid(int fd, uid_t *uid, struct err *err);
// 0, or -EACCES with a sentence: uid 0 may be anybody, another user the principals of its own name and those of the
// rules.
int auth_may_speak(const struct auth_rules *rules, uid_t uid, const struct principal *p, struct err *err);
// ADDRESS:PORT ("127.0.0.1:4242", "[::1]:4242"); port 0: any free one. -EINVAL.
int auth_address_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, struct err *err);
// The same, for TCP without TLS: loopback only. -EINVAL.
int auth_listen_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, struct err *err);
// The address at the other end of a TCP socket, without its port, for people. -EPERM: the peer is gone.
int auth_peer_address(int fd, char *buf, size_t size, struct err *err);
