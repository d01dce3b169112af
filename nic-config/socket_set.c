// SPDX-License-Identifier: Apache-2.0
// A descriptor alone is no identity: its inode must be the same, too.
#include "socket_set.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// The inode of fd if that is a socket of the domain, otherwise 0.
static uint64_t inode_of(int fd, int wanted)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != wanted || fstat(fd, &st) < 0)
		return 0;
	return st.st_ino;
}

// Whatever order the directory has them in.
static void insert(struct socket_set *set, int fd, uint64_t inode)
{
	uint32_t at = set->n++;

	for (; at > 0 && set->fd[at - 1] > fd; at--) {
		set->fd[at] = set->fd[at - 1];
		set->inode[at] = set->inode[at - 1];
	}
	set->fd[at] = fd;
	set->inode[at] = inode;
}

void socket_set_before(struct socket_set *out, int domain)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	out->domain = domain;
	out->n = 0;
	while (dir != NULL && (entry = readdir(dir)) != NULL && out->n < SOCKET_SET_MAX) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		uint64_t inode = entry->d_name[0] == '.' ? 0 : inode_of(fd, domain);

		if (inode != 0)
			insert(out, fd, inode);
	}
	if (dir != NULL)
		closedir(dir);
}

static bool holds(const struct socket_set *set, uint64_t inode)
{
	for (uint32_t i = 0; i < set->n; i++) {
		if (set->inode[i] == inode)
			return true;
	}
	return false;
}

void socket_set_made_since(struct socket_set *set)
{
	struct socket_set now, made = {.domain = set->domain};

	socket_set_before(&now, set->domain);
	for (uint32_t i = 0; i < now.n; i++) {
		if (!holds(set, now.inode[i]))
			insert(&made, now.fd[i], now.inode[i]);
	}
	*set = made;
}

void socket_set_close(struct socket_set *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		if (inode_of(set->fd[i], set->domain) == set->inode[i])
			close(set->fd[i]);
	}
	set->n = 0;
}
