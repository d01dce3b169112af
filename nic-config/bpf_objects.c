// SPDX-License-Identifier: Apache-2.0
// These definitions stand in front of libbpf's, for the driver and for libxdp.
#include "bpf_objects.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define NO_PORT UINT16_MAX // not opened yet

typedef struct bpf_object *(*object_open)(const char *path, const struct bpf_object_open_opts *opts);
typedef void (*object_close)(struct bpf_object *obj);
typedef int (*get_by_id)(uint32_t id);

struct noted {
	struct noted *next;
	struct bpf_object *obj; // NULL: a descriptor
	int fd;
	bool is_map; // else a program
	uint32_t id; // the kernel's, of that kind
	uint16_t port_id;
};

static struct noted *all;
static bool noting;

// Without memory: as without this file, it is never closed.
static void note(const struct noted *what)
{
	struct noted *n = noting ? malloc(sizeof(*n)) : NULL;

	if (n == NULL)
		return;
	*n = *what;
	n->port_id = NO_PORT;
	n->next = all;
	all = n;
}

static void forget(struct noted **at)
{
	struct noted *gone = *at;

	*at = gone->next;
	free(gone);
}

struct bpf_object *bpf_object__open_file(const char *path, const struct bpf_object_open_opts *opts)
{
	object_open next = (object_open)dlsym(RTLD_NEXT, "bpf_object__open_file");
	struct bpf_object *obj = NULL;

	if (next == NULL)
		errno = ENOSYS;
	else
		obj = next(path, opts);
	if (obj != NULL)
		note(&(struct noted){.obj = obj});
	return obj;
}

void bpf_object__close(struct bpf_object *obj)
{
	object_close next = (object_close)dlsym(RTLD_NEXT, "bpf_object__close");

	for (struct noted **at = &all; obj != NULL && *at != NULL; at = &(*at)->next) {
		if ((*at)->obj == obj) {
			forget(at);
			break;
		}
	}
	if (next != NULL)
		next(obj);
}

static int get_noted(const char *name, uint32_t id, bool is_map)
{
	get_by_id next = (get_by_id)dlsym(RTLD_NEXT, name);
	int fd = next == NULL ? -ENOSYS : next(id);

	if (fd >= 0)
		note(&(struct noted){.fd = fd, .is_map = is_map, .id = id});
	return fd;
}

int bpf_map_get_fd_by_id(uint32_t id)
{
	return get_noted("bpf_map_get_fd_by_id", id, true);
}

int bpf_prog_get_fd_by_id(uint32_t id)
{
	return get_noted("bpf_prog_get_fd_by_id", id, false);
}

// Whether the descriptor is still that: the number may be another's by now.
static bool is_still(const struct noted *n)
{
	struct bpf_prog_info prog = {0};
	struct bpf_map_info map = {0};
	uint32_t len = n->is_map ? sizeof(map) : sizeof(prog);
	char path[64], kind[64];
	ssize_t kind_len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", n->fd);
	kind_len = readlink(path, kind, sizeof(kind) - 1);
	kind[kind_len < 0 ? 0 : kind_len] = '\0';
	if (strcmp(kind, n->is_map ? "anon_inode:bpf-map" : "anon_inode:bpf-prog") != 0 ||
	    bpf_obj_get_info_by_fd(n->fd, n->is_map ? (void *)&map : (void *)&prog, &len) < 0)
		return false;
	return n->id == (n->is_map ? map.id : prog.id);
}

void bpf_objects_before(void)
{
	noting = true;
}

void bpf_objects_made(uint16_t port_id)
{
	noting = false;
	for (struct noted *n = all; n != NULL; n = n->next) {
		if (n->port_id == NO_PORT)
			n->port_id = port_id;
	}
}

void bpf_objects_close(uint16_t port_id)
{
	for (struct noted **at = &all, *n; (n = *at) != NULL;) {
		struct noted gone = *n;

		if (gone.port_id != port_id) {
			at = &n->next;
			continue;
		}
		forget(at);
		if (gone.obj != NULL)
			bpf_object__close(gone.obj);
		else if (is_still(&gone))
			close(gone.fd);
	}
}
