// SPDX-License-Identifier: Apache-2.0
#include "channels.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int (*ioctl_fn)(int fd, unsigned long request, ...);

static _Thread_local bool tells_combined;

static int ioctl_of_libc(int fd, unsigned long request, void *arg)
{
	static ioctl_fn next;

	if (next == NULL)
		next = (ioctl_fn)dlsym(RTLD_NEXT, "ioctl");
	if (next == NULL) {
		errno = ENOSYS;
		return -1;
	}
	return next(fd, request, arg);
}

// 0 or -errno.
static int ask_driver(const char *interface, struct ethtool_channels *c)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;
	struct ifreq ifr = {0};

	if (fd < 0)
		return -errno;
	*c = (struct ethtool_channels){.cmd = ETHTOOL_GCHANNELS};
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	ifr.ifr_data = (void *)c;
	rc = ioctl_of_libc(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int ask_kernel(const char *interface, struct channels *out)
{
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", interface);
	dir = opendir(path);
	if (dir == NULL)
		return -ENODEV;
	while ((e = readdir(dir)) != NULL) {
		out->rx += strncmp(e->d_name, "rx-", 3) == 0;
		out->tx += strncmp(e->d_name, "tx-", 3) == 0;
	}
	closedir(dir);
	out->rx_max = out->rx;
	out->tx_max = out->tx;
	return 0;
}

int channels_get(const char *interface, struct channels *out)
{
	struct ethtool_channels c = {0};

	memset(out, 0, sizeof(*out));
	if (if_nametoindex(interface) == 0)
		return -ENODEV;
	if (ask_driver(interface, &c) == 0 && c.combined_count + c.rx_count > 0) {
		out->rx = (uint16_t)(c.combined_count + c.rx_count);
		out->tx = (uint16_t)(c.combined_count + c.tx_count);
		out->rx_max = (uint16_t)(c.max_combined != 0 ? c.max_combined : c.max_rx);
		out->tx_max = (uint16_t)(c.max_combined != 0 ? c.max_combined : c.max_tx);
		out->combined = c.max_combined != 0;
	} else if (ask_kernel(interface, out) < 0 || out->rx == 0) {
		out->rx = out->rx_max = 1; // what it has at least
	}
	if (out->tx == 0)
		out->tx = out->tx_max = 1;
	return 0;
}

void channels_line(const char *interface, const struct channels *now, uint16_t n, char out[CHANNELS_LINE_BYTES])
{
	snprintf(out, CHANNELS_LINE_BYTES, "ethtool -L %s %s %u", interface, now->combined ? "combined" : "rx", n);
}

void channels_tell_combined(bool on)
{
	tells_combined = on;
}

// In front of libc's, for the driver, too.
int ioctl(int fd, unsigned long request, ...)
{
	struct ethtool_channels *c;
	struct channels now;
	struct ifreq *ifr;
	va_list ap;

	va_start(ap, request);
	ifr = va_arg(ap, void *);
	va_end(ap);
	if (!tells_combined || request != SIOCETHTOOL)
		return ioctl_of_libc(fd, request, ifr);
	c = (void *)ifr->ifr_data;
	if (c->cmd != ETHTOOL_GCHANNELS || channels_get(ifr->ifr_name, &now) < 0)
		return ioctl_of_libc(fd, request, ifr);
	*c = (struct ethtool_channels){.cmd = ETHTOOL_GCHANNELS, .max_combined = now.rx, .combined_count = now.rx};
	errno = 0; // the driver looks at it
	return 0;
}
