// SPDX-License-Identifier: Apache-2.0
// Ports that have lost their other end, and can find it again (port_can_reconnect). Thread: main.
#pragma once
#include <stdint.h>

struct dp;
struct dp_port;

// Of an open port: if it is down, its time has come and somebody is there, it is connected anew; the workers are held
// for as long as that takes, which is not for whoever does not answer. port->broken: it is to be closed.
void dp_reconnect(struct dp *dp, struct dp_port *port, int64_t mono_ns);
// It has come up, or gone down: one that is down has a second for a handshake that may be under way.
void dp_reconnect_later(struct dp_port *port, int64_t mono_ns);
