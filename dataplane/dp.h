// SPDX-License-Identifier: Apache-2.0
// The dataplane process: EAL, ports, the worker, the link. dp_run is its whole life.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

struct dp_port_conf {
	const char *name;
	const char *device; // see nic-config/port.h
	uint64_t rate_bps;  // 0: none
};

struct dp_conf {
	const char *link_path;       // Unix socket to listen on for the controller
	const char *interfaces_path; // file: how kernel interfaces were before (nic-config/interface.h); NULL: none
	uint32_t link_uid;           // the OS user that the controller runs as; 0: as we do
	const struct dp_port_conf *ports;
	uint32_t n_ports;
	uint32_t mac_ageing_s, memory_mb, mtu, policy_wait_ms, simd_max_bits;
	uint32_t held_buffers; // that devices keep for good, beyond their rings (pcap with infinite_rx: its frames)
	bool huge_pages, poll_always, drop_fragments;
	bool again; // it has run before with this configuration: a port that does not open is tried again, as later
	const char
		*lcores; // "0,1,2": cores of main and of workers; NULL: chosen from the affinity mask (one is enough)
	uint16_t n_workers; // 0: as many as lcores names after the first, or one. They may share cores
	// Says which ports there shall be from now on, asked when *reload_asked is true, which it sets to false. 0, or
	// -errno with err: those before stay. The list is the callee's, and as it is until the next call. NULL: ports
	// never change.
	int (*reload)(void *ctx, const struct dp_port_conf **ports, uint32_t *n_ports, struct err *err);
	void *reload_ctx;
	volatile bool *reload_asked;
	// Is there a controller's process, connected or not (see policy_wait.h)? Asked by the link thread. NULL: not
	// known.
	bool (*controller_is_there)(void *ctx);
	void *controller_ctx;
	const char *file_prefix; // EAL prefix, so that several run side by side
};

// What of ports, mtu, memory_mb, lcores and n_workers can be seen to be wrong without starting anything: 0, or -errno
// with err. Interfaces that are there are asked for their MTU and queues. Any thread.
int dp_check(const struct dp_conf *conf, struct err *err);
// Runs until *stop becomes true (set by a signal handler). 0, or -errno with err: what failed and why. Logs to stderr.
int dp_run(const struct dp_conf *conf, const volatile bool *stop, struct err *err);
