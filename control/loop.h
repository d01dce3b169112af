// SPDX-License-Identifier: Apache-2.0
// The event loop: waits for sockets and instants, reads the clock once a turn and passes it down. The only clock reader
// of the controller.
// Owner: the controller. Thread: control only. Time: ns since the epoch (CLOCK_REALTIME).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

struct event_base;
struct loop;

// One turn, after the socket events of the turn. Returns the instant of the next turn that must come even without
// events: INT64_MAX none, now_ns or earlier: at once.
typedef int64_t (*loop_turn_fn)(void *ctx, int64_t now_ns);

struct loop *loop_create(struct err *err); // SIGTERM and SIGINT stop it
void loop_destroy(struct loop *loop);      // accepts NULL; what was made on its base must be gone
struct event_base *loop_base(struct loop *loop);
// Turns until loop_stop or a signal: the status given to loop_stop (0 for a signal), -errno when the loop itself fails.
int loop_run(struct loop *loop, loop_turn_fn turn, void *ctx);
void loop_stop(struct loop *loop, int status);

int64_t loop_clock_ns(void);  // CLOCK_REALTIME, for start-up and log lines
int64_t loop_uptime_ns(void); // CLOCK_MONOTONIC, for the supervisor's back-off and how long turns last
