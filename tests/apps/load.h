// SPDX-License-Identifier: Apache-2.0
// pane-load: the traffic of scripts/apps.sh. One process a command, single threaded, ended by SIGTERM or its --seconds.
// Series go to standard output, one line a step: seconds since the epoch, Mb/s.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct load_opts {
	const char *target; // address, addresses (comma list) or interface
	uint16_t port;
	uint32_t flows;    // send: TCP flows to each address; flood: destination ports
	uint32_t size;     // flood: bytes of the largest UDP payload
	uint64_t rate_bps; // flood: bit/s of Ethernet frames
	uint64_t bytes;    // send: in all, 0 for no end
	double seconds;    // 0 for no end
	uint32_t step_ms;  // between two lines of a series
};

// Set by SIGTERM and SIGINT.
extern volatile sig_atomic_t load_stop;

// Seconds since the epoch.
double load_now(void);

// True while neither a signal nor the --seconds since `begin` has ended the command.
int load_going(const struct load_opts *opts, double begin);

// Counts bytes and prints their rate at every step.
struct load_series {
	double next, step; // s
	uint64_t bytes;
};
void load_series_start(struct load_series *s, uint32_t step_ms);
void load_series_run(struct load_series *s);

// The commands: 0, or -1 after a message on standard error.
int load_sink(const struct load_opts *opts);
// Its last line: "done", "broken" (a flow was) or "stopped", seconds since the epoch, seconds it took.
int load_send(const struct load_opts *opts);
int load_flood(const struct load_opts *opts);
int load_watch(const struct load_opts *opts);
