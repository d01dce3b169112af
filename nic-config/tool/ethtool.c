// SPDX-License-Identifier: Apache-2.0
#include "ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int call(const char *interface, unsigned long request, struct ifreq *ifr)
{
	int fd, rc = 0;

	if (strlen(interface) >= IFNAMSIZ)
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(ifr->ifr_name, interface, strlen(interface) + 1);
	if (ioctl(fd, request, ifr) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int ethtool(const char *interface, void *command)
{
	struct ifreq ifr = {0};

	ifr.ifr_data = command;
	return call(interface, SIOCETHTOOL, &ifr);
}

int eth_flags(const char *interface, bool *up, bool *carrier)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	struct ifreq ifr = {0};
	int rc = call(interface, SIOCGIFFLAGS, &ifr);

	if (rc < 0)
		return rc;
	*up = (ifr.ifr_flags & IFF_UP) != 0;
	*carrier = ethtool(interface, &link) == 0 ? link.data != 0 : (ifr.ifr_flags & IFF_RUNNING) != 0;
	return 0;
}

int eth_set_up(const char *interface, bool up)
{
	struct ifreq ifr = {0};
	int rc = call(interface, SIOCGIFFLAGS, &ifr);

	if (rc < 0)
		return rc;
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	return call(interface, SIOCSIFFLAGS, &ifr);
}

int eth_mtu(const char *interface, uint32_t *mtu)
{
	struct ifreq ifr = {0};
	int rc = call(interface, SIOCGIFMTU, &ifr);

	if (rc == 0)
		*mtu = (uint32_t)ifr.ifr_mtu;
	return rc;
}

int eth_set_mtu(const char *interface, uint32_t mtu)
{
	struct ifreq ifr = {0};

	ifr.ifr_mtu = (int)mtu;
	return call(interface, SIOCSIFMTU, &ifr);
}

// Drivers have either combined queues, or as many of each kind.
int eth_queues(const char *interface, uint32_t *now, uint32_t *max)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
	int rc = ethtool(interface, &c);

	if (rc < 0)
		return rc;
	*now = c.combined_count != 0 ? c.combined_count : c.rx_count < c.tx_count ? c.rx_count : c.tx_count;
	*max = c.max_combined != 0 ? c.max_combined : c.max_rx < c.max_tx ? c.max_rx : c.max_tx;
	return 0;
}

int eth_set_queues(const char *interface, uint32_t n)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
	int rc = ethtool(interface, &c);

	if (rc < 0)
		return rc;
	c.cmd = ETHTOOL_SCHANNELS;
	if (c.max_combined != 0)
		c.combined_count = n;
	else
		c.rx_count = c.tx_count = n;
	return ethtool(interface, &c);
}

int eth_speed_mb(const char *interface, uint32_t *speed_mb)
{
	struct ethtool_cmd c = {.cmd = ETHTOOL_GSET};
	int rc = ethtool(interface, &c);

	if (rc < 0)
		return rc;
	*speed_mb = ethtool_cmd_speed(&c);
	if (*speed_mb == (uint32_t)SPEED_UNKNOWN)
		*speed_mb = 0;
	return 0;
}

int eth_rss_key(const char *interface, uint8_t *key, uint32_t size, uint32_t *len)
{
	struct ethtool_rxfh sizes = {.cmd = ETHTOOL_GRSSH}, *full;
	size_t bytes;
	int rc = ethtool(interface, &sizes);

	if (rc < 0)
		return rc;
	if (sizes.key_size == 0)
		return -EOPNOTSUPP;
	if (sizes.key_size > size)
		return -E2BIG;
	bytes = sizeof(*full) + sizes.indir_size * sizeof(uint32_t) + sizes.key_size;
	full = calloc(1, bytes);
	if (full == NULL)
		return -ENOMEM;
	full->cmd = ETHTOOL_GRSSH;
	full->indir_size = sizes.indir_size;
	full->key_size = sizes.key_size;
	rc = ethtool(interface, full);
	if (rc == 0) {
		memcpy(key, (uint8_t *)full + bytes - sizes.key_size, sizes.key_size);
		*len = sizes.key_size;
	}
	free(full);
	return rc;
}

int eth_set_rss_key(const char *interface, const uint8_t *key, uint32_t len)
{
	struct ethtool_rxfh *full = calloc(1, sizeof(*full) + len);
	int rc;

	if (full == NULL)
		return -ENOMEM;
	full->cmd = ETHTOOL_SRSSH;
	full->indir_size = ETH_RXFH_INDIR_NO_CHANGE;
	full->key_size = len;
	memcpy((uint8_t *)full + sizeof(*full), key, len);
	rc = ethtool(interface, full);
	free(full);
	return rc;
}
