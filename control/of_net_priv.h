// SPDX-License-Identifier: Apache-2.0
// What of_net.c (sessions and entries) and of_discover.c (links and hosts) share. Thread: control only.
#pragma once
#include "of_conn.h"
#include "of_net.h"
#include "of_rules.h"

enum sync_state {
	SYNC_NONE,    // not up
	SYNC_READING, // flow statistics are coming
	SYNC_KNOWN,   // `have` is what it has
};

struct of_switch {
	struct of_net *net;
	void *session;
	struct of_conn *conn;
	uint32_t idx; // in the topology; TOPO_NONE: not up
	enum sync_state sync;
	struct of_rules have;
	bool dirty;           // may differ from what it should have
	int64_t hold_ns;      // left alone until then; INT64_MIN: no more
	int64_t read_back_ns; // when to read again; INT64_MAX: no need
	struct of_switch *next;
};

struct of_net {
	struct of_net_ops ops;
	struct of_net_conf conf;
	struct topo topo;
	struct of_switch *switches;
	struct flowtab policy;
	uint64_t policy_gen, planned_gen, planned_policy;
	uint64_t round;                                 // of probes
	bool settling;                                  // some port was not settled at the last one
	int64_t now_ns, probe_ns, slow_ns, boundary_ns; // next ones; boundary: wall clock
	int64_t wall_minus_now_ns;
	int64_t first_up_ns; // INT64_MAX: no switch yet
	struct of_net_stats stats;
};

void of_net_note(struct of_net *net, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A packet has come in from a switch that is up: a probe, or something to learn a host from.
void of_discover_packet(struct of_switch *sw, const struct of_packet_in *p);
// Probes the ports whose turn it is; sets when the next ones are due.
void of_discover_probe(struct of_net *net);
