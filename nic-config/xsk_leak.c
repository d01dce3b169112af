// SPDX-License-Identifier: Apache-2.0
// A descriptor alone is no identity: its inode must be the same, too.
#include "xsk_leak.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// The inode of fd if that is an AF_XDP socket, otherwise 0.
static uint64_t xsk_inode(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_XDP || fstat(fd, &st) < 0)
		return 0;
	return st.st_ino;
}

void xsk_leak_before(struct xsk_leak *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	out->n = 0;
	while (dir != NULL && (entry = readdir(dir)) != NULL && out->n < XSK_LEAK_MAX) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		uint64_t inode = entry->d_name[0] == '.' ? 0 : xsk_inode(fd);

		if (inode != 0) {
			out->fd[out->n] = fd;
			out->inode[out->n++] = inode;
		}
	}
	if (dir != NULL)
		closedir(dir);
}

static bool holds(const struct xsk_leak *leak, uint64_t inode)
{
	for (uint32_t i = 0; i < leak->n; i++) {
		if (leak->inode[i] == inode)
			return true;
	}
	return false;
}

void xsk_leak_made_since(struct xsk_leak *leak)
{
	struct xsk_leak now, made = {0};

	xsk_leak_before(&now);
	for (uint32_t i = 0; i < now.n; i++) {
		if (!holds(leak, now.inode[i])) {
			made.fd[made.n] = now.fd[i];
			made.inode[made.n++] = now.inode[i];
		}
	}
	*leak = made;
}

void xsk_leak_close(struct xsk_leak *leak)
{
	for (uint32_t i = 0; i < leak->n; i++) {
		if (xsk_inode(leak->fd[i]) == leak->inode[i])
			close(leak->fd[i]);
	}
	leak->n = 0;
}
