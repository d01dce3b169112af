// SPDX-License-Identifier: Apache-2.0
// The few ethtool and interface calls pane-nic needs. All: 0 or -errno; -EOPNOTSUPP: the driver has no such thing.
// Thread: any.
#pragma once
#include <stdbool.h>
#include <stdint.h>

int eth_flags(const char *interface, bool *up, bool *carrier);
int eth_set_up(const char *interface, bool up);
int eth_mtu(const char *interface, uint32_t *mtu);
int eth_set_mtu(const char *interface, uint32_t mtu);
int eth_queues(const char *interface, uint32_t *now, uint32_t *max); // pairs of a receive and a transmit queue
int eth_set_queues(const char *interface, uint32_t n);
int eth_speed_mb(const char *interface, uint32_t *speed_mb);
// The key of receive-side scaling: up to size bytes at key, how many it has at *len.
int eth_rss_key(const char *interface, uint8_t *key, uint32_t size, uint32_t *len);
int eth_set_rss_key(const char *interface, const uint8_t *key, uint32_t len);
