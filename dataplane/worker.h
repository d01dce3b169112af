// SPDX-License-Identifier: Apache-2.0
// An lcore that carries packets: receive, parse, learn, classify, act, schedule, transmit. The only reader of the tsc.
// It is an 802.1D learning bridge per (VLAN id, MAC); frames leave as they came, tags included.
// It is made, told and asked through workers.h. No allocation after it was made.
#pragma once
#include <stdint.h>

#define WORKER_PORTS_MAX 32

struct worker;

// For rte_eal_remote_launch: turns until workers_stop. Returns 0.
int worker_main(void *worker);

// One turn at now_tsc (rx, decide, tx); the number of packets received and sent. Without a live snapshot nothing is
// received. worker_main is this in a loop; tests drive it themselves.
unsigned int worker_turn(struct worker *w, uint64_t now_tsc);

// Where a worker's time goes, by phase of a turn; of one turn in WORKER_TIMED_TURNS, so that it costs nothing.
// A prime: bursts of 32 frames of a number of flows that is a power of two would show the same frames each 64 turns.
#define WORKER_TIMED_TURNS 61
enum worker_phase {
	WORKER_RX,       // the drivers' receiving
	WORKER_PARSE,    // headers to keys
	WORKER_CLASSIFY, // rows that packets meet
	WORKER_ACT,      // learning, forwarding, scheduling
	WORKER_TX,       // the drivers' sending
	WORKER_PHASES,
};
extern const char *const worker_phase_name[WORKER_PHASES];
struct worker_phases {
	uint64_t ticks[WORKER_PHASES];
	uint64_t packets; // received in those turns
};
