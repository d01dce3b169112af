// SPDX-License-Identifier: Apache-2.0
#include "interface_mtu.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union answer {
	struct nlmsghdr head;
	char bytes[8192];
};

// RFC 3549: what is said of one link.
static int ask(int if_index, union answer *a)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} wanted = {.head = {.nlmsg_len = sizeof(wanted), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
		    .link = {.ifi_index = if_index}};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = send(fd, &wanted, sizeof(wanted), 0) < 0 ? -1 : recv(fd, a, sizeof(*a), 0);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	if (!NLMSG_OK(&a->head, (size_t)n))
		return -EBADMSG;
	if (a->head.nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(&a->head))->error;
	return a->head.nlmsg_type == RTM_NEWLINK ? 0 : -EBADMSG;
}

int interface_mtu(const char *name, uint32_t *now, uint32_t *max)
{
	unsigned int if_index = if_nametoindex(name);
	union answer a;
	int rc = if_index == 0 ? -ENODEV : ask((int)if_index, &a), left;

	*now = 0;
	*max = UINT32_MAX;
	if (rc < 0)
		return rc;
	left = (int)IFLA_PAYLOAD(&a.head);
	for (const struct rtattr *at = IFLA_RTA(NLMSG_DATA(&a.head)); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_MTU)
			memcpy(now, RTA_DATA(at), sizeof(*now));
		if (at->rta_type == IFLA_MAX_MTU)
			memcpy(max, RTA_DATA(at), sizeof(*max));
	}
	if (*max == 0)
		*max = UINT32_MAX;
	return *now != 0 ? 0 : -EBADMSG;
}
