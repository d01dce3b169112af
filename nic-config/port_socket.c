// SPDX-License-Identifier: Apache-2.0
#include "port_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_alarm.h>
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
	port_socket_stop(port_id);
	return port_start(port_id, why);
}

// The driver of memif connects within rte_eth_dev_start, and would wait without end for a server that listens and
// accepts nobody. So this definition stands in front of the C library's: there, and only there, it does not wait.
static _Thread_local bool at_once;

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int flags, rc;

	if (!at_once)
		return (int)syscall(SYS_connect, fd, addr, len);
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	rc = (int)syscall(SYS_connect, fd, addr, len);
	if (rc == 0)
		fcntl(fd, F_SETFL, flags);
	return rc;
}

int port_socket_start(uint16_t port_id)
{
	int rc;

	at_once = true;
	rc = rte_eth_dev_start(port_id);
	at_once = false;
	return rc;
}

struct stop {
	uint16_t port_id;
	sem_t done;
};

static void stop_there(void *arg)
{
	struct stop *s = arg;

	rte_eth_dev_stop(s->port_id);
	sem_post(&s->done);
}

// EAL's interrupt thread has what comes over the socket of memif in hand, and the driver frees that when it stops: so
// it is that thread that stops it, between two messages.
void port_socket_stop(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	struct stop s = {.port_id = port_id};

	if (rte_eth_dev_info_get(port_id, &info) == 0 && strcmp(info.driver_name, "net_memif") == 0) {
		sem_init(&s.done, 0, 0);
		if (rte_eal_alarm_set(1, stop_there, &s) == 0) {
			while (sem_wait(&s.done) < 0) // a signal
				;
			return;
		}
	}
	rte_eth_dev_stop(port_id);
}
