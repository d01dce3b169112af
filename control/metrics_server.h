// SPDX-License-Identifier: Apache-2.0
// GET /metrics over HTTP: the figures (metrics.h) for whoever watches the switch. It reads and changes nothing, and
// asks nobody who he is: listen where only those come who may know. Thread: control only (libevent).
#pragma once
#include "hft/err.h"
#include "metrics.h"

struct event_base;
struct metrics_server;

// listen: "ADDRESS:PORT". src is copied, what it names is borrowed. NULL with err: -EINVAL, or it cannot be listened
// on.
struct metrics_server *metrics_server_create(struct event_base *base, const char *listen,
					     const struct metrics_source *src, struct err *err);
void metrics_server_destroy(struct metrics_server *s); // accepts NULL
