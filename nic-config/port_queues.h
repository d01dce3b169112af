// SPDX-License-Identifier: Apache-2.0
// The queues of a port: how many, and what goes into which. Thread: main lcore.
#pragma once
#include <stdint.h>

#include "port.h"

#define PORT_RSS_KEY_BYTES 64 // devices that want a longer one keep theirs

// Queues (conf->n_queues at most), MTU and promiscuous mode of a port that the EAL has. Tags stay in the frames: no
// VLAN stripping, no filter. 0, or -errno with why.
int port_configure(const struct port_conf *conf, uint16_t port_id, char why[PORT_ERR_MAX]);
uint16_t port_mtu(uint16_t port_id); // of a port that port_configure has done
// The sockets of af_packet receive from every interface of the host until they are bound to theirs, and each frame of
// that one until all are members of its fanout group. What they have by then is not this port's: it is dropped. Of a
// port that was just started; others are left alone.
#define PORT_AF_PACKET_FRAMES 1024 // in a ring of theirs
void port_forget_received(uint16_t port_id);
// PORT_RSS_KEY_BYTES whose hash is the same when source and destination change places; a device takes as many from
// their beginning as it wants. For ever.
uint8_t *port_rss_key(void);
// Why a driver refused: many have no reason but -1, which is no errno, and speak of it on standard error.
const char *port_driver_words(int rc);
