// SPDX-License-Identifier: Apache-2.0
// What the dataplane as a whole can say of itself: figures.def as numbers, and DPDK telemetry commands (below /pane).
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct dp;

enum figure {
#define FIGURE(name, kind, help) FIGURE_##name,
#include "figures.def"
#undef FIGURE
	FIGURE_N,
};

// Takes down what only the link thread knows: rows, layers, merges, memory, what ports dropped by themselves. Thread:
// link, once a second.
void dp_figures_note(struct dp *dp);
// Thread: any, while the worker exists. What dp_figures_note takes down, as it was then.
void dp_figures_get(const struct dp *dp, uint64_t value[FIGURE_N]);
// What the device of the port dropped by itself goes to its places in value[COUNTER_N]. Likewise.
void dp_dev_counters_get(const struct dp *dp, uint16_t port, uint64_t *value);
extern const char *const dp_figure_name[FIGURE_N];

// /pane/ports, /pane/port,NAME, /pane/worker and /pane/policy answer about this dataplane until dp_telemetry_down. They
// are answered by the telemetry library's own thread. Thread: main.
void dp_telemetry_up(struct dp *dp);
void dp_telemetry_down(void);
// Between true and false nobody is answered: for what answers read and is about to go.
void dp_telemetry_hold(bool hold);
