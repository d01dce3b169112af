// SPDX-License-Identifier: Apache-2.0
// The ports of a dataplane: opened at the start, but for those whose device is not there yet; later they come and go as
// the configuration says, or as their devices do. A port whose device vanishes stays, down, with its number and its
// scheduler, and is opened again when the device is back. Owner: dp. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "workers.h"

struct dp;
struct dp_port;

// Steps of dp_up: devices; schedulers; what drops in the driver. 0, or -errno with err.
int dp_ports_up(struct dp *dp, struct err *err);
void dp_ports_down(struct dp *dp);
int dp_scheds_up(struct dp *dp, struct err *err);
void dp_scheds_down(struct dp *dp);
int dp_filters_up(struct dp *dp, struct err *err);
void dp_filters_down(struct dp *dp);

struct workers_port dp_port_for_workers(const struct dp_port *port);
bool dp_has_port(const struct dp *dp, uint16_t i);
// Reads the state of all ports; what changed is logged, and the workers and the controller are told. Besides, it does
// one of what takes long (0.2 s and more: drivers wait for the kernel or for a card): lets go of a device that went,
// tries one that may be back, takes a port away, adds one. true: more of that is due now. Whoever calls goes on with
// what cannot wait (commits, instants) between any two calls.
bool dp_ports_turn(struct dp *dp, int64_t mono_ns);
// From now on ports shall be those of conf->reload, which later turns see to: what is the same is not touched, what is
// not there any more goes, what is new comes; a new one that cannot be opened is tried again as if its device had
// vanished. Another one while they are at it takes the place of the first.
void dp_ports_reload(struct dp *dp);
