// SPDX-License-Identifier: Apache-2.0
// DPDK's af_packet driver (up to and with 24.11) joins a fanout group with PACKET_FANOUT_FLAG_DEFRAG and has no
// argument against it: the kernel then hands over reassembled datagrams, which are larger than any port's MTU, and
// every fragmented one is lost. A switch forwards fragments as they come. PACKET_FANOUT_FLAG_ROLLOVER lets frames of a
// queue that is full go to another, past those that wait. So this definition stands in front of the C
// library's for the driver too, takes both flags out, and leaves every other call as it is.
#include "af_packet_sockets.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FANOUT_FLAGS ((unsigned int)(PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER) << 16)

static bool mended;

void af_packet_sockets_mend(void)
{
	mended = true;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	unsigned int fanout;

	if (mended && level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(fanout)) {
		fanout = *(const unsigned int *)value & ~FANOUT_FLAGS;
		value = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

uint64_t af_packet_sockets_lost(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops : 0;
}

// The drivers wait for a device that takes nothing: af_packet in poll() without end until the oldest frame of its ring
// is sent, af_xdp in a loop of send() for as long as that says EAGAIN. Meanwhile the worker's other ports would stand
// still. A ring that is full is nothing to wait for: the frames are counted as those that the device did not take.
#define KICKS_MAX 128 // of one af_xdp ring in a row: a device that is only busy has taken something by then

static bool is_packet_socket(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_PACKET;
}

// the C library declares the array as one that poll() only writes
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts = {0};
	bool for_ever = timeout_ms < 0;

	if (for_ever && n == 1 && fds->events == POLLOUT && is_packet_socket(fds->fd))
		for_ever = false;
	else if (timeout_ms > 0)
		ts = (struct timespec){timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	return ppoll(fds, n, for_ever ? NULL : &ts, NULL);
}
#pragma GCC diagnostic pop

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	static _Thread_local unsigned int n_kicks;
	ssize_t rc = sendto(fd, data, len, flags, NULL, 0);
	bool again = rc < 0 && (errno == EAGAIN || errno == EBUSY);

	if (data != NULL || len != 0 || flags != MSG_DONTWAIT) // not the driver's
		return rc;
	n_kicks = again ? n_kicks + 1 : 0;
	if (n_kicks > KICKS_MAX) {
		n_kicks = 0;
		errno = ENOBUFS; // with that the driver goes on
	}
	return rc;
}
