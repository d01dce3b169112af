// SPDX-License-Identifier: Apache-2.0
// What the controller knows of the network: named hosts, ports of the dataplane with their counters, what it has seen,
// and the switches that OpenFlow brings in.
// Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addrs.h"
#include "hft/err.h"
#include "hft/match.h"
#include "topo.h"

struct nib;
struct ovsdb_queue;
struct queue_book;
struct reply;

struct nib_port {
	uint16_t port;
	bool up;
	uint8_t mac[6];
	uint64_t rate_bps; // 0: not configured
	char name[32];
	char device[64];
	uint16_t n_counters;
	uint64_t counter[64]; // order of dataplane/counters.def
};

// The OpenFlow switches, as their owner keeps them.
struct nib_net {
	const struct topo *topo;
	const struct addrs *addrs;
	int64_t wall_minus_now_ns;        // their times are monotonic; since the epoch with this added
	const struct ovsdb_queue *queues; // of reservations, on their ports (ovsdb.h)
	uint32_t n_queues;
	uint64_t hosts_refused, flaps; // of_net.h
};

#define NIB_SEEN_MAX 65536
#define NIB_MADE_UP_MAX 1024

// An address that the dataplane has seen as a source. A host with several IP addresses is seen once for each.
struct nib_seen {
	uint64_t mac;
	uint16_t vlan; // 0: untagged
	uint16_t port;
	bool has_ip, ip6;
	u128 ip;         // as in hft/match.h
	int64_t last_ns; // when, ns since the epoch
	int64_t at_ns;   // when, CLOCK_MONOTONIC: what orders sights, though somebody sets the clock
};

struct nib *nib_create(void); // NULL: no memory
void nib_destroy(struct nib *nib);

// Address text: IPv4 or IPv6 without prefix. -EEXIST: the name is taken; -EINVAL.
int nib_host_add(struct nib *nib, const char *name, const char *address, struct err *err);
void nib_hosts_forget(struct nib *nib); // all named ones
// true and the address as a one-address span plus its kinds (MATCH_KINDS_V4 or _V6).
bool nib_host_find(const struct nib *nib, const char *name, struct span128 *addr, uint32_t *kinds);

// Named hosts in the order of addition; NULL after the last one. kinds as above.
const char *nib_host_at(const struct nib *nib, size_t i, struct span128 *addr, uint32_t *kinds);

// What was seen: by (mac, vlan, ip) one entry, the latest port and time. Over NIB_SEEN_MAX new ones are not kept; those
// of PROTO_MADE_UP have room of their own, so that no host keeps links from being found.
void nib_seen_set(struct nib *nib, const struct nib_seen *seen);
void nib_seen_forget(struct nib *nib, uint64_t mac, uint16_t vlan); // all addresses of one interface
uint64_t nib_gen(const struct nib *nib);                            // changes with what was seen, and with ports
size_t nib_n_seen(const struct nib *nib);
const struct nib_seen *nib_seen_at(const struct nib *nib, size_t i); // in no order

const struct nib_port *nib_port_find(const struct nib *nib, uint16_t port); // NULL: unknown

void nib_port_set(struct nib *nib, const struct nib_port *port); // add or update, counters kept; without a name: remove
const char *nib_counter_name(size_t i);                          // of nib_port.counter[i]; NULL: there are no more
uint64_t nib_port_counter(const struct nib_port *port, const char *name); // 0: the dataplane has told none of this name
void nib_port_counters(struct nib *nib, uint16_t port, const uint64_t *value, uint16_t n);
// The dataplane's figures, in the order of dataplane/figures.def; *n of them.
void nib_figures_set(struct nib *nib, const uint64_t *value, uint16_t n);
const uint64_t *nib_figures(const struct nib *nib, uint16_t *n);
// The dataplane has said something, at now_ns; INT64_MIN: it is gone.
void nib_told(struct nib *nib, int64_t now_ns);
int64_t nib_told_ns(const struct nib *nib);   // when it did so last
uint64_t nib_n_rounds(const struct nib *nib); // of figures, and so of counters, that it has told
size_t nib_n_ports(const struct nib *nib);
const struct nib_port *nib_port_at(const struct nib *nib, size_t i);
void nib_ports_down(struct nib *nib); // the dataplane is gone: nothing is known to be up, nor of queues

void nib_net_set(struct nib *nib, const struct nib_net *net); // what it points to is borrowed; NULL: no switches
const struct nib_net *nib_net(const struct nib *nib);         // NULL: none

// The queues of the ports above, changed by who hears of them.
struct queue_book *nib_queues(const struct nib *nib);

// Who checks the switches on request (of_audit.h). ask as of_audit_ask.
struct nib_verifier {
	int (*ask)(void *ctx, uint64_t round, struct reply *reply); // NULL: nobody
	void *ctx;
};
void nib_verifier_set(struct nib *nib, struct nib_verifier verifier);
struct nib_verifier nib_verifier(const struct nib *nib);
