// SPDX-License-Identifier: Apache-2.0
// DPDK's af_packet driver (up to and with 24.11) joins a fanout group with PACKET_FANOUT_FLAG_DEFRAG and has no
// argument against it: the kernel then hands over reassembled datagrams, which are larger than any port's MTU, and
// every fragmented one is lost. A switch forwards fragments as they come. PACKET_FANOUT_FLAG_ROLLOVER lets frames of a
// queue that is full go to another, past those that wait. So this definition stands in front of the C
// library's for the driver too, takes both flags out, and leaves every other call as it is.
#include "af_packet_defrag.h"

#include <linux/if_packet.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FANOUT_FLAGS ((unsigned int)(PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER) << 16)

static bool defrag_off;

void af_packet_defrag_off(void)
{
	defrag_off = true;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	unsigned int fanout;

	if (defrag_off && level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(fanout)) {
		fanout = *(const unsigned int *)value & ~FANOUT_FLAGS;
		value = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
