// SPDX-License-Identifier: Apache-2.0
// The driver shares a socket, whoever listens, between all ports that name it the same: memif_socket_init() and
// memif_socket_remove_device() in memif_socket.c. rte_intr_callback_register stands in front of the EAL's for it.
#include "memif_listener.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_config.h>
#include <rte_interrupts.h>

#define PATH_BYTES sizeof(((struct sockaddr_un *)NULL)->sun_path)

typedef int (*callback_register)(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg);

struct listener {
	struct listener *next;
	const struct rte_intr_handle *handle; // the driver's, as long as there are ports of this socket
	rte_intr_callback_fn fn;
	void *arg;
	char path[PATH_BYTES];
};

static struct listener *all;
static _Thread_local bool noting;                  // the interrupt thread registers those who have connected
static char path_of[RTE_MAX_ETHPORTS][PATH_BYTES]; // "": no port of memif

// The name of the socket at which fd listens, as it is in the device's arguments. false: it does not listen.
static bool path_at(int fd, char path[PATH_BYTES])
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr), flag_len = sizeof(int);
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_len) < 0 || listens == 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0 || addr.sun_family != AF_UNIX)
		return false;
	snprintf(path, PATH_BYTES, "%.*s", (int)PATH_BYTES - 1,
		 addr.sun_path[0] == '\0' ? addr.sun_path + 1 : addr.sun_path);
	return true;
}

int rte_intr_callback_register(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg)
{
	callback_register next = (callback_register)dlsym(RTLD_NEXT, "rte_intr_callback_register");
	int rc = next == NULL ? -ENOSYS : next(handle, fn, arg);
	struct listener *l;

	if (rc < 0 || !noting)
		return rc;
	l = malloc(sizeof(*l));
	if (l == NULL) // as without this file: it is never closed
		return rc;
	*l = (struct listener){.next = all, .handle = handle, .fn = fn, .arg = arg};
	if (path_at(rte_intr_fd_get(handle), l->path))
		all = l;
	else
		free(l);
	return rc;
}

void memif_listener_before(void)
{
	noting = true;
}

void memif_listener_made(void)
{
	noting = false;
}

void memif_listener_use(uint16_t port_id, const char *path)
{
	snprintf(path_of[port_id], PATH_BYTES, "%s", path);
}

static bool is_used(const char *path)
{
	for (uint16_t i = 0; i < RTE_MAX_ETHPORTS; i++) {
		if (strcmp(path_of[i], path) == 0)
			return true;
	}
	return false;
}

static void close_listener(struct listener **at)
{
	struct listener *l = *at;
	int fd = rte_intr_fd_get(l->handle);

	if (rte_intr_callback_unregister_sync(l->handle, l->fn, l->arg) > 0 && fd >= 0)
		close(fd);
	*at = l->next;
	free(l);
}

void memif_listener_leave(uint16_t port_id)
{
	char path[PATH_BYTES];

	memcpy(path, path_of[port_id], PATH_BYTES);
	path_of[port_id][0] = '\0';
	if (path[0] == '\0' || is_used(path))
		return;
	for (struct listener **at = &all; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->path, path) == 0) {
			close_listener(at);
			return;
		}
	}
}
