// SPDX-License-Identifier: Apache-2.0
#include "interface_lock.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES 10
#define TRY_US 10000

static socklen_t address_of(unsigned int if_index, struct sockaddr_un *addr)
{
	int len;

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	len = snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "pane-interface-%u", if_index);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// Who listens at the address. 0; -ECONNREFUSED: nobody (yet, or any more); -EAGAIN: it was asked too often; else
// -errno. The one who has it answers nothing: the kernel knows who it is.
static int owner_of(const struct sockaddr_un *addr, socklen_t addr_len, struct ucred *out)
{
	socklen_t len = sizeof(*out);
	int fd = make_socket(), rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, addr_len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &len) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static void name_process(pid_t pid, char name[32])
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL || fgets(name, 32, f) == NULL)
		snprintf(name, 32, "?");
	if (f != NULL)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
}

// 0: by somebody who may not drive interfaces anyway: any user can take a name.
static int in_use(const char *interface, const struct ucred *owner, char why[WHY_BYTES])
{
	char name[32];

	if (owner->uid != 0 && owner->uid != geteuid())
		return 0;
	name_process(owner->pid, name);
	return why_fail(why, EBUSY, "interface %s is in use by pid %d (%s)", interface, (int)owner->pid, name);
}

int interface_lock(const char *interface, int *fd, char why[WHY_BYTES])
{
	unsigned int if_index = if_nametoindex(interface);
	struct sockaddr_un addr;
	socklen_t addr_len = address_of(if_index, &addr);
	struct ucred owner;
	int s, rc = -EBUSY;

	*fd = -1;
	if (if_index == 0)
		return why_fail(why, ENODEV, "interface %s: there is none of this name", interface);
	s = make_socket();
	if (s < 0)
		return why_fail(why, errno, "interface %s: no socket for its lock: %s", interface, strerror(errno));
	for (int i = 0; i < TRIES; i++) {
		if (bind(s, (struct sockaddr *)&addr, addr_len) == 0 && listen(s, SOMAXCONN) == 0) {
			*fd = s;
			return 0;
		}
		rc = owner_of(&addr, addr_len, &owner);
		if (rc != -ECONNREFUSED)
			break;
		usleep(TRY_US); // it comes, or has just gone
	}
	close(s);
	return rc == 0 ? in_use(interface, &owner, why)
		       : why_fail(why, EBUSY, "interface %s is in use by another process", interface);
}
