// SPDX-License-Identifier: Apache-2.0
// The lcore that carries packets: receive, parse, learn, classify, act, schedule, transmit. The only reader of the tsc.
// It is an 802.1D learning bridge per (VLAN id, MAC); frames leave as they came, tags included.
// Threads: worker_main runs on one lcore; create and destroy on the main thread while it does not run; the functions
// marked "any thread" while it runs. No allocation after worker_create.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "hft/err.h"

#define WORKER_PORTS_MAX 32

struct class_ask;
struct rte_mempool;
struct sched;
struct sched_limits;
struct layers;
struct names_node;
struct row_count;
struct sight;
struct sched_log;
struct snapshot_slot;
struct worker;

struct worker_port_conf {
	uint16_t port_id;         // rte_ethdev's; the worker's own port numbers are indices into the configuration
	uint16_t max_frame_bytes; // without FCS, with tags; longer frames are dropped and counted
	struct sched *sched;      // of its transmit queue; borrowed, used by the worker only
};

struct worker_conf {
	struct worker_port_conf port[WORKER_PORTS_MAX];
	uint16_t n_ports;
	uint32_t mac_ageing_s;
	uint64_t tsc_hz;
	struct rte_mempool *pool; // for the copies of flooded frames; its buffers hold max_frame_bytes in one segment
	struct sched_limits *limits;    // shared by the ports' schedulers; borrowed
	struct sched_log *log;          // of changes for the schedulers, read as reader 0; borrowed
	const struct names_node *nodes; // by slot; borrowed
	const struct layers *layers;    // whose views are published; borrowed
	struct class_ask *ask;          // questions to this worker, NULL: none; borrowed
	struct snapshot_slot *slot;     // borrowed; slot->rcu has room for qsbr_id
	unsigned int qsbr_id;           // of this worker in slot->rcu
	bool poll_always;               // never sleep
	bool drop_fragments;            // of IP packets
};

// NULL with err: -EINVAL or -ENOMEM. Registers qsbr_id with slot->rcu (offline until worker_main). Ports start up.
struct worker *worker_create(const struct worker_conf *conf, struct err *err);
void worker_destroy(struct worker *w); // accepts NULL; packets still in schedulers are theirs

// For rte_eal_remote_launch: turns until worker_stop. Returns 0.
int worker_main(void *worker);
void worker_stop(struct worker *w); // any thread, also a signal handler

// One turn at now_tsc (rx, decide, tx); the number of packets received and sent. Without a live snapshot nothing is
// received. worker_main is this in a loop; tests drive it themselves.
unsigned int worker_turn(struct worker *w, uint64_t now_tsc);

// Any thread. The worker forgets the addresses behind a port that goes down, and drops (counted) what is meant for it.
// One caller at a time.
void worker_port_set_up(struct worker *w, uint16_t port, bool up);
// Any thread. value[COUNTER_N] of one port since start, the driver's own losses included.
void worker_counters_get(const struct worker *w, uint16_t port, uint64_t *value);
// Where a worker's time goes, by phase of a turn; of one turn in WORKER_TIMED_TURNS, so that it costs nothing.
#define WORKER_TIMED_TURNS 64
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
// Any thread. Since start.
void worker_phases_get(const struct worker *w, struct worker_phases *out);
// Any thread. What the requests of rows were met by, by counter slot (names.h), up to some 100 ms ago: numbers that
// only grow, each whole.
const struct row_count *worker_row_counts(const struct worker *w);
// Link thread. Where senders were met, oldest first, not each time (sights.h); false: no more.
bool worker_next_sight(struct worker *w, struct sight *out);
// Any thread. Addresses known now.
uint32_t worker_n_addresses(const struct worker *w);
