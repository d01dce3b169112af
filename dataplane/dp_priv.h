// SPDX-License-Identifier: Apache-2.0
// What the files of dp share: everything the process has, in the order in which it is brought up.
// Owner: dp_run. Thread: main lcore.
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "class_ask.h"
#include "dp.h"
#include "dp_figures.h"
#include "dp_policy.h"
#include "dp_tell.h"
#include "dp_trace.h"
#include "link.h"
#include "nic-config/port.h"
#include "port_plan.h"
#include "snapshot.h"
#include "table.h"
#include "workers.h"

struct dp_port {             // by the workers' number
	char *name, *device; // NULL: no such port
	uint64_t rate_bps;
	struct port_caps caps;
	struct sched *sched;
	uint16_t port_id;     // rte_ethdev's
	bool opened;          // else the device is gone, or has not come yet
	bool up, told;        // told: up was logged
	bool tried;           // to open it, in vain
	bool failed;          // so it did again, and that was logged
	bool cut;             // nothing can be received from its device, and that was logged
	bool broken;          // it cannot find its other end again: to be closed, and opened anew
	bool shaper_refused;  // by the device, and that was logged
	int64_t retry_ns;     // when to try again
	int64_t reconnect_ns; // not before
	int64_t reconnect_after_ns;
};

struct dp {
	const struct dp_conf *conf;
	size_t n_up; // steps of bringing it up that were taken
	bool eal;    // is up
	struct rte_mempool *pool;
	bool pool_is_for_dma; // PCI devices can be given its buffers
	uint32_t queued_max;  // buffers that may wait in the scheduler of one port
	uint32_t n_parts;     // of the pool, one a port, with a receive queue for each worker
	uint32_t n_more;      // receive queues beyond those that the pool has buffers for
	uint16_t last_number; // given to a port
	struct dp_port port[WORKER_PORTS_MAX];
	uint16_t last_changed; // port whose device was opened or closed
	struct port_plan plan; // ports of a configuration that is being followed
	struct sched_limits *limits;
	struct sched_log *log; // of changes for the schedulers
	struct snapshot_slot slot;
	struct table *table;
	struct dp_policy *policy;
	struct workers *workers;
	struct class_ask ask;           // to the owner of the schedulers, for answers to the controller
	uint16_t n_workers, n_launched; // n_launched: that run
	bool left;                      // a builder uses the EAL's memory still
	struct link *link;
	struct {
		uint32_t number, left; // frames that are still to be told; 0: nothing is captured
	} capture;
	struct dp_tell *tell;
	struct dp_trace *trace;
	int64_t change_waits_ms;          // the change under way, for the builders
	uint64_t n_changes_failed;        // since start
	_Atomic uint64_t noted[FIGURE_N]; // writer: link thread
	struct {
		_Atomic uint64_t denied, unserved;
	} dev[WORKER_PORTS_MAX]; // likewise, once a second: only it may ask the filters
};

// Everything but the loop: 0, or -errno with err, and then nothing is up. conf: borrowed until dp_down. Without a
// link_path there is no link, and whoever called publishes the policy.
int dp_up(struct dp *dp, const struct dp_conf *conf, struct err *err);
void dp_down(struct dp *dp);

// CPU numbers, of CPUs that this process may use; NULL: chosen later. 0, or -errno with err.
int dp_lcores_check(const char *lcores, struct err *err);
// Brings the EAL up as conf says: cores, memory, devices; *n_workers: how many lcores there are for workers. 0, or
// -errno with err. Once in a process.
int dp_eal_up(const struct dp_conf *conf, uint16_t *n_workers, struct err *err);
void dp_eal_down(void); // also removes what EAL leaves in the file system
int dp_workers_check(const struct dp_conf *conf, uint16_t *n_workers, struct err *err); // how many there would be

// The packet buffers and each port's part of them. 0, or -errno with err: too little memory, and how much is enough.
int dp_pool_up(struct dp *dp, struct err *err);
int dp_pool_check(const struct dp_conf *conf, uint16_t n_workers, struct err *err); // whether that would be so
// Parts for ports that may still come: those that the receive queues of others have not taken.
uint32_t dp_pool_n_parts_left(const struct dp *dp);
// Whether the rings of so many receive queues can be filled for a port that is not open. 0, or -ENOMEM with err.
int dp_pool_has(const struct dp *dp, const struct dp_port *port, uint16_t n_queues, struct err *err);
void dp_pool_down(struct dp *dp);

// Serves link, boundaries, port states and counters until *stop.
void dp_loop(struct dp *dp, const volatile bool *stop);
