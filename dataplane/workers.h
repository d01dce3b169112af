// SPDX-License-Identifier: Apache-2.0
// All workers of a switch, as one: they share the address table, the policy's snapshot and the ports.
//
// Each queue a port receives with is one worker's; of a port with more queues than there are workers, some have
// several. A port with fewer queues than there are workers is received from by
// one of them, who gives each frame to the worker that a hash of its addresses names (of both directions the same). So
// the packets of a flow are all one worker's, and stay in order. The first worker is the owner of every scheduler:
// limits reach over ports, so their tokens have one owner. The others hand over to it, through rings, what has a
// guarantee or a limit, what goes to a port with a rate, and what goes to a port without a queue of theirs; whatever
// else they send themselves. Nothing that is written for a packet is shared.
// Threads: one thread (main lcore) for everything but what is marked "any thread".
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "hft/err.h"
#include "worker.h"

#define WORKERS_MAX 8
#define WORKERS_QUEUES_MAX 16 // that a port receives by
#define WORKER_RING 1024      // frames from one to another that wait

struct box;
struct class_ask;
struct rte_mempool;
struct sched;
struct sched_limits;
struct layers;
struct names_node;
struct sight;
struct sched_log;
struct snapshot_slot;
struct workers;

struct workers_port {
	uint16_t port_id;         // rte_ethdev's; the worker's own port numbers are indices into the configuration
	uint16_t max_frame_bytes; // without FCS, with tags; longer frames are dropped and counted
	uint16_t n_rx_queues, n_tx_queues; // 0 counts as 1; at most WORKERS_QUEUES_MAX are received from
	bool absent;                       // at the start: its device has not come yet (workers_port_attach)
	struct sched *sched;               // borrowed, used by the first worker only
	bool shaped;                       // it has a rate: everything goes through it
	bool partial_checksums;            // frames received may come without (checksum.h)
	uint16_t n_wait_fds;               // of so many queues; the worker of another never waits in the kernel
	int wait_fd[WORKERS_QUEUES_MAX];   // by queue: readable while frames are there; the device's
};

struct workers_conf {
	struct workers_port port[WORKER_PORTS_MAX];
	uint16_t n_ports;
	uint16_t n_workers; // 0 counts as 1
	uint32_t mac_ageing_s;
	uint64_t tsc_hz;
	struct rte_mempool *pool; // for the copies of flooded frames; its buffers hold max_frame_bytes in one segment
	struct sched_limits *limits;    // shared by the ports' schedulers; borrowed
	struct sched_log *log;          // of changes for the schedulers, read as reader 0; borrowed
	const struct names_node *nodes; // by slot; borrowed
	const struct layers *layers;    // whose views are published; borrowed
	struct class_ask *ask;          // questions to the owner, NULL: none; borrowed
	struct snapshot_slot *slot;     // borrowed; made for n_workers, which are its readers 0 to n_workers - 1
	bool poll_always;               // never sleep
	bool drop_fragments;            // of IP packets
};

// NULL with err: -EINVAL or -ENOMEM. Registers with slot->rcu (offline until worker_main). Ports start up.
struct workers *workers_create(const struct workers_conf *conf, struct err *err);
void workers_destroy(struct workers *all); // accepts NULL; packets still in schedulers are theirs
uint16_t workers_n(const struct workers *all);
struct worker *workers_at(struct workers *all, uint16_t i);
void workers_stop(struct workers *all); // any thread, also a signal handler
// Any thread. Whoever has published, logged or asked something says so: idle workers wait for frames otherwise, for
// some milliseconds.
void workers_wake(struct workers *all);

// Between these two no worker that runs is in a turn. What follows holds them itself if the caller does not. Frames
// wait meanwhile: as little as can be is done then.
void workers_hold(struct workers *all);
void workers_release(struct workers *all);
struct workers_holds {
	uint64_t n, ns, longest_ns; // from asking the workers until they were let go
};
void workers_holds_get(const struct workers *all, struct workers_holds *out); // any thread
// The port is there from the next turn on, and up. It may have been there before, its scheduler, too. All that takes
// long comes before: the device is started. port < WORKER_PORTS_MAX.
void workers_port_attach(struct workers *all, uint16_t port, const struct workers_port *conf);
// No worker touches the device any more; what is meant for the port, and what its scheduler holds, is dropped and
// counted, what it counted stays.
void workers_port_detach(struct workers *all, uint16_t port);
// Of a detached port: nobody touches the scheduler any more. Another port may have this number: it counts from 0.
void workers_port_forget(struct workers *all, uint16_t port);

// Any thread. The workers forget the addresses behind a port that goes down, and drop (counted) what is meant for it.
// One caller at a time.
void workers_port_set_up(struct workers *all, uint16_t port, bool up);
// value[COUNTER_N] of one port since it has this number, the driver's own losses included. Another thread than the one
// that attaches and detaches sees to it that this does not happen meanwhile.
void workers_counters_get(const struct workers *all, uint16_t port, uint64_t *value);
// Any thread. Since start.
void workers_phases_get(const struct workers *all, struct worker_phases *out);
// Any thread. What the requests of rows were met by, by counter slot (names.h), up to some 100 ms ago (200 where it is
// idle): numbers that only grow, each whole.
void workers_row_count(const struct workers *all, uint32_t slot, uint64_t *packets, uint64_t *bytes);
// Link thread. Where senders were met, of each worker oldest first, not each time (sights.h), of the workers in turn;
// false: no more.
bool workers_next_sight(struct workers *all, struct sight *out);
// Frames that come in at any port and are of one of these boxes (which time and users do not narrow) are copied from
// now on, whatever becomes of them; n_boxes 0: no more. What finds no room is counted in missed.
#define WORKERS_CAPTURE_BOXES 8
#define WORKERS_CAPTURE_BYTES 1600
struct workers_captured {
	int64_t time_ns; // since the epoch
	uint32_t len_bytes;
	uint16_t port, n; // n: bytes of it that are here
	uint8_t data[WORKERS_CAPTURE_BYTES];
};
// 0 or -ENOMEM.
int workers_capture(struct workers *all, const struct box *box, uint16_t n_boxes);
bool workers_next_captured(struct workers *all, struct workers_captured *out); // as sights
uint32_t workers_capture_missed(const struct workers *all);                    // since workers_capture
// Any thread. Addresses known now.
uint32_t workers_n_addresses(const struct workers *all);
