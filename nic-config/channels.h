// SPDX-License-Identifier: Apache-2.0
// Queues of a kernel interface, as its driver counts them (ETHTOOL_GCHANNELS), or else as the kernel does (sysfs).
// Thread: any.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct channels {
	uint16_t rx, tx;         // in use
	uint16_t rx_max, tx_max; // possible
	bool combined;           // a channel is a queue of each kind
};

// 0, or -ENODEV.
int channels_get(const char *interface, struct channels *out);
// How it gets n receive queues: "ethtool -L eth0 combined 4".
#define CHANNELS_LINE_BYTES 64
void channels_line(const char *interface, const struct channels *now, uint16_t n, char out[CHANNELS_LINE_BYTES]);

// The driver of af_xdp (DPDK 22.11) counts combined channels only, so it refuses all queues but one of an interface
// that has receive and transmit channels apart (veth). Between true and false it is told that all receive channels are
// combined. Of this thread.
void channels_tell_combined(bool on);
