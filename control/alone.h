// SPDX-License-Identifier: Apache-2.0
// What the one switch can keep of a request where there is no network of OpenFlow switches: no waypoint, and of
// reservations for destinations that were seen at its ports no more than those carry (`rate:`). What is around such a
// switch is not known, so an avoid is taken to be kept. Thread: control only.
#pragma once
#include "demand.h"
#include "hft/err.h"

// A port that these flows leave by, or may leave by, and that was given no rate; NULL: none is known.
struct nib;
struct nib_port;
const struct nib_port *alone_port_without_rate(const struct nib *nib, const struct match *flows);

// For engine_ask_network, with the nib as ctx: 0, or -1 and why not.
int alone_fit(void *ctx, const struct demand *demand, struct err *err);
