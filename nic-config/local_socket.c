// SPDX-License-Identifier: Apache-2.0
#include "local_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMIF_DEFAULT_PATH "/run/memif.sock" // the driver's
#define LISTENS 0x10000UL                    // __SO_ACCEPTCON of the kernel's net.h, in /proc/net/unix

// The value of a key of "key=value,...", or NULL: the last one counts, as with the drivers. *len: its characters.
static const char *value_of(const char *args, const char *key, size_t *len)
{
	const char *value = NULL;

	for (size_t n; *args != '\0'; args += n + (args[n] == ',')) {
		n = strcspn(args, ",");
		if (n > strlen(key) && strncmp(args, key, strlen(key)) == 0 && args[strlen(key)] == '=') {
			value = args + strlen(key) + 1;
			*len = n - strlen(key) - 1;
		}
	}
	return value;
}

static bool is_word(const char *value, size_t len, const char *word)
{
	return value != NULL && len == strlen(word) && strncmp(value, word, len) == 0;
}

static void set_path(struct local_socket *s, const char *path, size_t len)
{
	if (len < sizeof(s->path))
		snprintf(s->path, sizeof(s->path), "%.*s", (int)len, path);
}

static struct local_socket of_memif(const char *args)
{
	struct local_socket s = {.kind = LOCAL_SOCKET_MEMIF, .is_abstract = true};
	const char *path, *role, *abstract;
	size_t len = 0;

	path = value_of(args, "socket", &len);
	set_path(&s, path == NULL ? MEMIF_DEFAULT_PATH : path, path == NULL ? strlen(MEMIF_DEFAULT_PATH) : len);
	role = value_of(args, "role", &len);
	s.listens = is_word(role, len, "server") || is_word(role, len, "master");
	s.connects = role == NULL || is_word(role, len, "client") || is_word(role, len, "slave");
	abstract = value_of(args, "socket-abstract", &len);
	s.is_abstract = !is_word(abstract, len, "no");
	return s;
}

static struct local_socket of_vhost(const char *args)
{
	struct local_socket s = {.kind = LOCAL_SOCKET_VHOST};
	const char *client;
	size_t len = 0;

	set_path(&s, args, strcspn(args, ","));
	client = value_of(args, "client", &len);
	s.listens = !is_word(client, len, "1");
	return s;
}

struct local_socket local_socket_of(const char *device)
{
	if (strncmp(device, "memif:", 6) == 0)
		return of_memif(device + 6);
	if (strncmp(device, "vhost:", 6) == 0)
		return of_vhost(device + 6);
	return (struct local_socket){.kind = LOCAL_SOCKET_NONE};
}

// A socket of another type than the one there cannot connect to it, and the kernel says that before anything happens:
// unix_find_bsd() in Linux' net/unix/af_unix.c. -EPROTOTYPE: there is one; -ECONNREFUSED: a file without; -ENOENT.
static int look_at_file(const struct local_socket *s)
{
	int other = s->kind == LOCAL_SOCKET_MEMIF ? SOCK_STREAM : SOCK_SEQPACKET;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, other | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

// Names without a file are those of this network namespace, which the kernel lists.
static bool is_name_listed(const char *name)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[256], path[128];
	unsigned long flags;
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*x: %*x %*x %lx %*x %*x %*u @%127[^\n]", &flags, path) == 2 &&
			(flags & LISTENS) != 0 && strcmp(path, name) == 0;
	fclose(f);
	return found;
}

bool local_socket_is_served(const struct local_socket *s)
{
	return s->is_abstract ? is_name_listed(s->path) : look_at_file(s) == -EPROTOTYPE;
}

int local_socket_clear(const struct local_socket *s, char why[WHY_BYTES])
{
	struct stat st;

	if (s->is_abstract || lstat(s->path, &st) < 0)
		return 0; // the driver says what else is wrong with it
	if (!S_ISSOCK(st.st_mode))
		return why_fail(why, EEXIST, "%s: expected the name of a socket to be made, and there is a file",
				s->path);
	if (look_at_file(s) != -ECONNREFUSED)
		return 0;
	if (unlink(s->path) < 0 && errno != ENOENT)
		return why_fail(why, errno, "%s: the socket of a program that has ended cannot be removed: %s", s->path,
				strerror(errno));
	return 0;
}
