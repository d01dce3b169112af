// SPDX-License-Identifier: Apache-2.0
#include "port_can.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels.h"
#include "port_channels.h"

#define FILES_OF_A_PORT 48 // af_xdp has the most: its program, the maps, sockets, and what asks the kernel meanwhile
#define FILES_OF_A_QUEUE 2

static bool has_right(unsigned int right)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	// who cannot find out tries
	return syscall(SYS_capget, &header, data) < 0 ||
	       (data[right / 32].effective & (UINT32_C(1) << right % 32)) != 0;
}

static const char *missing_right(bool xdp)
{
	if (!has_right(CAP_NET_RAW))
		return "CAP_NET_RAW";
	if (!has_right(CAP_NET_ADMIN))
		return "CAP_NET_ADMIN";
	return xdp && !has_right(CAP_BPF) && !has_right(CAP_SYS_ADMIN) ? "CAP_BPF" : NULL;
}

int port_can_open(const char *device, const char *interface, const char *args, char why[WHY_BYTES])
{
	bool xdp = strncmp(device, "af_xdp:", 7) == 0;
	const char *right = missing_right(xdp);
	uint32_t first = port_number_arg(args, ",start_queue=", 0), n = port_number_arg(args, ",queue_count=", 1);
	struct channels has;

	if (right != NULL)
		return why_fail(why, EPERM, "%s: the right %s is missing (root has it)", device, right);
	if (xdp && channels_get(interface, &has) == 0 && (first >= has.rx || n > has.rx - first))
		return why_fail(why, EINVAL, "%s: queues from %u on, %u of them, are wanted; interface %s has %u",
				device, first, n, interface, has.rx);
	return 0;
}

int port_can_make(const char *device, char why[WHY_BYTES])
{
	char name[IFNAMSIZ], path[64];

	if (strncmp(device, "tap:", 4) != 0)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device + 4, ","), device + 4);
	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	if (if_nametoindex(name) == 0 || access(path, F_OK) == 0)
		return 0;
	return why_fail(why, EEXIST, "%s: there is an interface of that name, which is no tap", device);
}

// Adds to *n those that this process has. 0 or -errno.
static int count_files(rlim_t *n)
{
	DIR *dir = opendir("/proc/self/fd");

	if (dir == NULL)
		return -errno;
	while (readdir(dir) != NULL)
		++*n;
	closedir(dir);
	return 0;
}

int port_can_have_files(const char *device, uint16_t n_queues, char why[WHY_BYTES])
{
	rlim_t need = FILES_OF_A_PORT + (rlim_t)FILES_OF_A_QUEUE * n_queues, n = 0;
	struct rlimit files;
	int rc = count_files(&n);

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 0;
	if (rc == 0 && n + need > files.rlim_cur && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files); // up to there anybody may
	}
	if (rc == 0 && n + need <= files.rlim_cur)
		return 0;
	if (rc < 0 && rc != -EMFILE)
		return 0; // it cannot be found out here
	return why_fail(why, EMFILE,
			"%s: a port needs up to %llu file descriptors, this process has too many of its %llu open "
			"(ulimit -Hn, systemd: LimitNOFILE=)",
			device, (unsigned long long)need, (unsigned long long)files.rlim_cur);
}
