// SPDX-License-Identifier: Apache-2.0
// The network of OpenFlow switches: sessions, links, hosts, and the entries each switch should have. No sockets and no
// clock: bytes come in and go out by functions, time is an argument.
// Owner: the caller. Thread: control only. now_ns: monotonic.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addrs.h"
#include "hft/err.h"
#include "lldp.h"
#include "of_groups.h"
#include "of_policy.h"
#include "of_rules.h"
#include "topo.h"

// A switch that is away forwards by its entries, into the queues that they name: those are left to it for so long.
#define OF_NET_GONE_NS (24 * 3600 * 1000000000LL)

struct of_net;
struct of_switch; // one session

struct of_net_ops {
	void (*send)(void *session, const uint8_t *bytes, size_t len); // copied by the callee
	void (*close)(void *session);              // ends it, not before the caller has returned to its loop
	void (*note)(void *ctx, const char *text); // something an operator may want to read; may be NULL
	// A request cannot be kept by the network from now on, for this reason; NULL: it can again. May be NULL.
	void (*kept)(void *ctx, uint64_t request, const char *why);
	void (*contested)(void *ctx, const struct addr_contest *c); // once a minute for an address; may be NULL
	// The dataplane is to keep one part in so many of the limit of a request (of_plan_parts); of each limit, after
	// each plan. May be NULL.
	void (*parted)(void *ctx, uint64_t request, uint32_t parts);
	void *ctx; // of note, kept, contested and parted
};

// Two kilobytes each, and over twice what all hosts that are kept come to.
#define OF_NET_ENTRIES_MAX (1U << 18)

struct of_net_conf {
	uint8_t key[LLDP_KEY_BYTES]; // random, of this process
	uint64_t salt;               // random, too: addresses are chosen by hosts. 0: none
	uint32_t hosts_max;
	uint32_t port_hosts_max; // topo.h
	int64_t lease_ns;        // of_plan.h; 0: none
	bool queues;             // of_plan.h
	// Of ours that one switch may tell of; four times as many of all while they are read. 0: OF_NET_ENTRIES_MAX.
	uint32_t entries_max;
};

struct of_net_stats {
	uint32_t n_switches, n_links, n_hosts; // up; directed links that are verified both ways
	uint32_t n_synced;                     // switches that have what they should have
	uint64_t flow_mods, meter_mods, group_mods, barriers, barriers_answered, packet_ins, bad_probes, errors;
	uint64_t contests;       // an address was claimed by a second host while the first one still says it has it
	uint64_t moves;          // hosts came up elsewhere
	uint64_t rounds;         // of probes
	uint64_t hosts_refused;  // packets of hosts that were not learnt, as their port has port_hosts_max
	uint64_t flaps;          // changes of ports that were not followed at once
	uint64_t plans;          // of all switches
	uint32_t rows_unsayable; // of the policy, by switches that are up
};

struct of_net *of_net_create(const struct of_net_ops *ops, const struct of_net_conf *conf);
void of_net_destroy(struct of_net *net); // sessions must be gone; accepts NULL

// A switch has connected; session is handed to send and close. NULL: out of memory.
struct of_switch *of_net_attach(struct of_net *net, void *session, int64_t now_ns);
// It is gone (not called by the net itself, also after close).
void of_net_detach(struct of_net *net, struct of_switch *sw, int64_t now_ns);
// Bytes from it. 0, or -errno with the reason: the session is to be closed.
int of_net_input(struct of_net *net, struct of_switch *sw, const uint8_t *bytes, size_t len, int64_t now_ns,
		 struct err *err);
// Probes, ages, keeps alive, and brings the switches to what they should have. To be called by of_net_next_ns and
// after input. wall_ns: since the epoch, for the intervals of rows.
void of_net_turn(struct of_net *net, int64_t now_ns, int64_t wall_ns);
int64_t of_net_next_ns(const struct of_net *net);
// The last of_net_turn took so long: plans that only new hosts, or ports that come and go, ask for are made no more
// often than that a tenth of the time goes to them.
void of_net_took(struct of_net *net, int64_t took_ns);

// The policy from now on (taken over; *policy is left empty).
void of_net_policy(struct of_net *net, struct of_policy *policy);

// Asks all switches for everything they have installed. Answered, or without those that are gone meanwhile: is_read.
void of_net_read(struct of_net *net);
bool of_net_is_read(const struct of_net *net);
// What comes from now on is not taken; a switch that still owes a part counts as one that has answered nothing. What
// the others answered stays as it is, whatever they send, until of_net_read or of_net_read_end, or until they are gone.
void of_net_read_stop(struct of_net *net);
// What a switch (of the topology) answered, sorted; NULL: not all. Valid as said, once of_net_read_stop was called.
const struct of_rules *of_net_tables(const struct of_net *net, uint32_t idx);
// The groups that they name, likewise.
const struct of_groups *of_net_groups(const struct of_net *net, uint32_t idx);
void of_net_read_end(struct of_net *net); // frees it

// Whether the network could keep one more request. 0; -EBUSY with the reason; -ENOMEM.
int of_net_fit(struct of_net *net, const struct demand *probe, int64_t wall_ns, struct err *err);

// The queues that reservations in force need, and limits (ovsdb.h); malloc'ed. *gen changes when they may have. Their
// number; -EAGAIN: not known yet, or as *gen says the same as before; -ENOMEM.
struct ovsdb_queue;
int of_net_queues(const struct of_net *net, uint64_t *gen, struct ovsdb_queue **out);
// Which switches these queues are for: all but *but (*known), or none but them; malloc'ed. It is those that are here
// and have their entries, and those that have not been here for OF_NET_GONE_NS. Changes with *gen. Their number;
// -ENOMEM.
int of_net_queues_of(const struct of_net *net, bool *known, uint64_t **but);

// The datapath of this switch forwards as if there were no queues, or not.
void of_net_ignores_queues(struct of_net *net, uint64_t dpid, bool ignores);

const struct topo *of_net_topo(const struct of_net *net);
const struct addrs *of_net_addrs(const struct of_net *net); // also of hosts that are gone
void of_net_stats(const struct of_net *net, struct of_net_stats *out);
const struct of_net_stats *of_net_counts(const struct of_net *net); // all but n_* and rows_unsayable; cheap
