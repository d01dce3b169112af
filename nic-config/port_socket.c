// SPDX-License-Identifier: Apache-2.0
#include "port_socket.h"

#include <errno.h>

#include <rte_ethdev.h>

#include "local_socket.h"
#include "port.h"

int port_socket_prepare(const char *device, char why[WHY_BYTES])
{
	struct local_socket s = local_socket_of(device);

	if (s.listens)
		return local_socket_clear(&s, why);
	if (s.connects && !local_socket_is_served(&s))
		return why_fail(why, ENODEV, "nobody listens at %s", s.path);
	return 0;
}

bool port_socket_is_taken(const char *device, char why[WHY_BYTES])
{
	struct local_socket s = local_socket_of(device);

	if (!s.listens || !local_socket_is_served(&s))
		return false;
	why_fail(why, EADDRINUSE, "another program, or a port of the same id, listens at %s", s.path);
	return true;
}

bool port_socket_is_there(const char *device)
{
	struct local_socket s = local_socket_of(device);

	return !s.connects || local_socket_is_served(&s);
}

bool port_can_reconnect(const char *device)
{
	struct local_socket s = local_socket_of(device);

	return s.connects && local_socket_is_served(&s);
}

int port_reconnect(uint16_t port_id, char why[PORT_ERR_MAX])
{
	rte_eth_dev_stop(port_id);
	return port_start(port_id, why);
}
