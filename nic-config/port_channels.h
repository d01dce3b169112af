// SPDX-License-Identifier: Apache-2.0
// Which queues of its interface an af_xdp port takes: all, as frames of a queue without socket reach nobody (decision
// 0017). Thread: main lcore.
#pragma once
#include <stdint.h>

#include "port.h"

// Of the interface; args: ",NAME=VALUE..." for the driver, which may say which. More than PORT_QUEUES_MAX, and a
// program of the switch is wanted: -E2BIG, with the line that makes them fewer in why. 0: also for an interface that is
// not there.
int port_channels_wanted(const struct port_conf *conf, const char *interface, const char *args, uint16_t *n,
			 char why[PORT_ERR_MAX]);
// Of an open port, as it was opened with these args. Until port_channels_forget.
void port_channels_note(uint16_t port_id, const char *interface, const char *args);
void port_channels_forget(uint16_t port_id);
// Transmit queues that the interface has for its n; n if nothing is known.
uint16_t port_channels_tx(uint16_t port_id, uint16_t n);
// 1: the interface has others by now, said in why. 0.
int port_channels_changed(uint16_t port_id, char why[PORT_ERR_MAX]);
// What follows key ("," and "=" included) in args, the last time, as for the driver.
uint32_t port_number_arg(const char *args, const char *key, uint32_t absent);
