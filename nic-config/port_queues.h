// SPDX-License-Identifier: Apache-2.0
// The queues of a port: how many, and what goes into which. Thread: main lcore.
#pragma once
#include <stdint.h>

#include "port.h"

#define PORT_RSS_KEY_BYTES 64 // devices that want a longer one keep theirs

// Receive queues of a kernel interface; 0: there is none of this name.
uint16_t port_interface_queues(const char *interface);
// Queues (conf->n_queues at most), MTU and promiscuous mode of a port that the EAL has. Tags stay in the frames: no
// VLAN stripping, no filter. 0, or -errno with why.
int port_configure(const struct port_conf *conf, uint16_t port_id, char why[PORT_ERR_MAX]);
// PORT_RSS_KEY_BYTES whose hash is the same when source and destination change places; a device takes as many from
// their beginning as it wants. For ever.
uint8_t *port_rss_key(void);
// Why a driver refused: many have no reason but -1, which is no errno, and speak of it on standard error.
const char *port_driver_words(int rc);
