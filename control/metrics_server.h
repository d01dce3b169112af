// SPDX-License-Identifier: Apache-2.0
// GET and HEAD /metrics over HTTP/1.1: the figures (metrics.h) for whoever watches the switch. It reads and changes
// nothing, and asks nobody who he is: listen where only those come who may know. What a client can cost is bounded: so
// many connections, so long, one request of HTTP_HEAD_MAX bytes and one answer in memory for each. Thread: control
// only (libevent).
#pragma once
#include "hft/err.h"
#include "metrics.h"

struct event_base;
struct metrics_server;

#define METRICS_CLIENTS_MAX 32 // who comes beyond gets 503
#define METRICS_LIFE_MS 20000  // usual

// listen: "ADDRESS:PORT". src is copied, what it names is borrowed. life_ms: after that a connection is closed,
// whatever it does, and after half of it when no request is under way. NULL with err: -EINVAL, or it cannot be
// listened on.
struct metrics_server *metrics_server_create(struct event_base *base, const char *listen, unsigned int life_ms,
					     const struct metrics_source *src, struct err *err);
void metrics_server_destroy(struct metrics_server *s); // accepts NULL; closes all connections
