// SPDX-License-Identifier: Apache-2.0
#include "auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tcp_uid(const struct sockaddr_storage *client, const struct sockaddr_storage *server, uid_t *uid,
		   struct err *err);

int auth_peer_uid(int fd, uid_t *uid, struct err *err)
{
	struct sockaddr_storage peer = {0}, own = {0};
	socklen_t peer_len = sizeof(peer), own_len = sizeof(own);
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
		return err_set(err, EPERM, "the peer is gone");
	if (own.ss_family == AF_UNIX) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) < 0 || cred.uid == (uid_t)-1)
			return err_set(err, EPERM, "the kernel does not know the peer");
		*uid = cred.uid;
		return 0;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return err_set(err, EPERM, "the peer is gone");
	return tcp_uid(&peer, &own, uid, err);
}

static void os_user_name(uid_t uid, char *buf, size_t size)
{
	char space[4096];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(uid, &pw, space, sizeof(space), &found) == 0 && found != NULL)
		snprintf(buf, size, "%s", found->pw_name);
	else
		snprintf(buf, size, "%u", (unsigned int)uid);
}

int auth_may_speak(const struct auth_rules *rules, uid_t uid, const struct principal *p, struct err *err)
{
	char os_user[LOGIN_NAME_MAX], name[3 * PRINCIPAL_NAME_MAX];

	if (uid == 0)
		return 0;
	os_user_name(uid, os_user, sizeof(os_user));
	principal_format(p, name, sizeof(name));
	// The kernel vouches for a user, not for a host or an application: those only where the configuration says so.
	if (strcmp(os_user, name) == 0)
		return 0;
	for (size_t i = 0; i < rules->n_rules; i++) {
		if (strcmp(rules->rules[i].name, name) == 0 && strcmp(rules->rules[i].os_user, os_user) == 0)
			return 0;
	}
	return err_set(err, EACCES, "OS user %s may not speak as %s", os_user, name);
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24) == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

int auth_address_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, struct err *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;
	const char *colon = strrchr(text, ':');
	char host[64] = "", *end = NULL;
	unsigned long port = 0;

	memset(addr, 0, sizeof(*addr));
	if (colon != NULL && (size_t)(colon - text) < sizeof(host)) {
		bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';

		memcpy(host, text + brackets, (size_t)(colon - text) - 2 * brackets);
		port = strtoul(colon + 1, &end, 10);
	}
	if (end == NULL || colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > 65535)
		return err_set(err, EINVAL, "expected ADDRESS:PORT such as 127.0.0.1:4242, got \"%.64s\"", text);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*v6);
	} else {
		return err_set(err, EINVAL, "expected ADDRESS:PORT such as 127.0.0.1:4242, got \"%.64s\"", text);
	}
	return 0;
}

int auth_listen_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, struct err *err)
{
	if (auth_address_parse(text, addr, len, err) < 0)
		return -EINVAL;
	if (is_loopback(addr))
		return 0;
	return err_set(err, EINVAL,
		       "%.*s is not a loopback address; plain TCP is for this host only (127.0.0.1 or [::1])",
		       (int)(strrchr(text, ':') - text), text);
}

int auth_peer_address(int fd, char *buf, size_t size, struct err *err)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	const void *host = &((const struct sockaddr_in6 *)&addr)->sin6_addr;

	if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0)
		return err_set(err, EPERM, "the peer is gone");
	if (addr.ss_family == AF_INET)
		host = &((const struct sockaddr_in *)&addr)->sin_addr;
	if (inet_ntop(addr.ss_family, host, buf, (socklen_t)size) == NULL)
		return err_set(err, EPERM, "not an IP address");
	return 0;
}

static void diag_id(struct inet_diag_sockid *id, const struct sockaddr_storage *src, const struct sockaddr_storage *dst)
{
	id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (src->ss_family == AF_INET) {
		id->idiag_sport = ((const struct sockaddr_in *)src)->sin_port;
		id->idiag_dport = ((const struct sockaddr_in *)dst)->sin_port;
		id->idiag_src[0] = ((const struct sockaddr_in *)src)->sin_addr.s_addr;
		id->idiag_dst[0] = ((const struct sockaddr_in *)dst)->sin_addr.s_addr;
	} else {
		id->idiag_sport = ((const struct sockaddr_in6 *)src)->sin6_port;
		id->idiag_dport = ((const struct sockaddr_in6 *)dst)->sin6_port;
		memcpy(id->idiag_src, &((const struct sockaddr_in6 *)src)->sin6_addr, 16);
		memcpy(id->idiag_dst, &((const struct sockaddr_in6 *)dst)->sin6_addr, 16);
	}
}

// Asks the kernel for the one socket with the client's addresses.
static int diag_ask(int fd, const struct sockaddr_storage *client, const struct sockaddr_storage *server,
		    struct inet_diag_msg *out)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head = {.nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
		.req = {.sdiag_family = (uint8_t)client->ss_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0U},
	};
	_Alignas(struct nlmsghdr) char buf[4096];
	const struct nlmsghdr *head = (const struct nlmsghdr *)buf;
	ssize_t len;

	diag_id(&ask.req.id, client, server);
	if (send(fd, &ask, sizeof(ask), 0) < 0 || (len = recv(fd, buf, sizeof(buf), 0)) < 0)
		return -errno;
	if (!NLMSG_OK(head, (size_t)len) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    head->nlmsg_len < NLMSG_LENGTH(sizeof(*out)))
		return -ENOENT;
	memcpy(out, NLMSG_DATA(head), sizeof(*out));
	return 0;
}

static int tcp_uid(const struct sockaddr_storage *client, const struct sockaddr_storage *server, uid_t *uid,
		   struct err *err)
{
	int ret, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct inet_diag_msg msg;

	if (!is_loopback(client))
		ret = -EPERM;
	else
		ret = fd < 0 ? -errno : diag_ask(fd, client, server, &msg);
	if (fd >= 0)
		close(fd);
	if (ret < 0)
		return err_set(err, EPERM, "the kernel does not know the peer");
	// A socket that no process holds any more (closed, TIME_WAIT) is listed with inode 0, and as uid 0: it proves
	// nothing. Nor does a listening socket, which the kernel offers when no connected one fits.
	if (msg.idiag_inode == 0 || msg.idiag_state == TCP_LISTEN)
		return err_set(err, EPERM, "the peer is gone");
	*uid = msg.idiag_uid;
	return 0;
}
