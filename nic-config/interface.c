// SPDX-License-Identifier: Apache-2.0
#include "interface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// 0, or -errno with ifr as far as the kernel filled it.
static int interface_ioctl(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	if (ioctl(fd, request, ifr) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int interface_prepare(const char *name, uint16_t mtu, char why[WHY_BYTES])
{
	struct ifreq ifr = {0};
	int rc;

	if (if_nametoindex(name) == 0)
		return why_fail(why, ENODEV, "interface %s: there is none of this name", name);
	rc = interface_ioctl(name, SIOCGIFMTU, &ifr);
	if (rc == 0 && ifr.ifr_mtu < mtu) {
		ifr.ifr_mtu = mtu;
		rc = interface_ioctl(name, SIOCSIFMTU, &ifr);
	}
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: MTU %u: %s", name, mtu, strerror(-rc));
	rc = interface_ioctl(name, SIOCGIFFLAGS, &ifr);
	if (rc == 0 && (ifr.ifr_flags & IFF_UP) == 0) {
		ifr.ifr_flags |= IFF_UP;
		rc = interface_ioctl(name, SIOCSIFFLAGS, &ifr);
	}
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: cannot be brought up: %s", name, strerror(-rc));
	return 0;
}

// The carrier itself: IFF_RUNNING follows it up to a second later.
bool interface_is_up(const char *name)
{
	struct ethtool_value carrier = {.cmd = ETHTOOL_GLINK};
	struct ifreq ifr = {0};
	bool running;

	if (interface_ioctl(name, SIOCGIFFLAGS, &ifr) < 0 || (ifr.ifr_flags & IFF_UP) == 0)
		return false;
	running = (ifr.ifr_flags & IFF_RUNNING) != 0;
	ifr.ifr_data = (void *)&carrier;
	return interface_ioctl(name, SIOCETHTOOL, &ifr) == 0 ? carrier.data != 0 : running;
}

bool interface_is_card(const char *name)
{
	char path[64], bus[256];
	const char *last;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/subsystem", name);
	n = readlink(path, bus, sizeof(bus) - 1);
	if (n <= 0)
		return false;
	bus[n] = '\0';
	last = strrchr(bus, '/');
	last = last == NULL ? bus : last + 1;
	return strcmp(last, "pci") == 0 || strcmp(last, "usb") == 0 || strcmp(last, "platform") == 0;
}
